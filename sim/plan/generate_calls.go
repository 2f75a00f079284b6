// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// clients draws producers, consumers and those that ask for ends, and their calls.
func (g *generator) clients() {
	p := g.plan
	admin := g.client(false)
	for i := range p.Topics {
		if !p.Topics[i].Auto {
			g.call(Call{Client: admin, Kind: CallCreate, Topic: p.Topics[i].Name})
		}
	}
	var producers, consumers, askers []int
	for range g.between(1, int64(g.prof.clients)) {
		producers = append(producers, g.client(!g.chance(1, 5)))
	}
	for range g.between(1, int64(g.prof.clients)) {
		consumers = append(consumers, g.client(false))
	}
	for range g.between(1, int64(min(2, g.prof.clients))) {
		askers = append(askers, g.client(false))
	}
	g.calls(producers, consumers, askers)
	if len(p.Topics) > 1 && g.chance(1, 6) {
		last := p.Topics[len(p.Topics)-1].Name
		g.call(Call{At: Duration(g.upTo(int64(p.Safety))), Client: admin, Kind: CallDelete, Topic: last})
	}
	if g.chance(1, 4) {
		g.churn(append(askers, admin))
	}
	if g.chance(1, 4) {
		g.trims(askers)
	}
}

// trims lets clients delete records from the start of partitions.
func (g *generator) trims(clients []int) {
	p := g.plan
	for range g.between(1, 8) {
		t := &p.Topics[g.pick(int64(len(p.Topics)))]
		c := Call{
			At: Duration(g.upTo(int64(p.Safety))), Client: clients[g.pick(int64(len(clients)))], Kind: CallTrim,
			Topic: t.Name, Partition: int32(g.pick(int64(t.Partitions))), Offset: -1,
		}
		if g.chance(2, 3) {
			c.Offset = g.wide(1, 500)
		}
		g.call(c)
	}
}

// churn lets several clients create and delete one more topic.
func (g *generator) churn(clients []int) {
	p := g.plan
	p.Topics = append(p.Topics, Topic{Name: "churn", Partitions: 1, Replicas: int16(min(1+2*g.upTo(1), int64(p.Founders)))})
	for i := range g.between(2, 12) {
		c := Call{At: Duration(g.upTo(int64(p.Safety))), Client: clients[g.pick(int64(len(clients)))], Kind: CallCreate, Topic: "churn"}
		if i%2 == 1 {
			c.Kind = CallDelete
		}
		g.call(c)
	}
}

func (g *generator) client(idempotent bool) int {
	p := g.plan
	c := Client{
		ID: len(p.Clients) + 1, Idempotent: idempotent, InFlight: 5 - int(g.upTo(4)),
		Timeout: g.span(100*millisecond, g.longestTimeout()), Home: int(g.between(1, int64(p.Brokers))),
	}
	c.Eager = g.chance(1, 3)
	c.GiveUp = c.Timeout + g.span(2*second, 60*second)
	p.Clients = append(p.Clients, c)
	return c.ID
}

// remade has a topic that is deleted made again and deleted again, while others produce to it and read from it, and somebody
// asks for its id.
func (g *generator) remade() {
	p := g.plan
	i := slices.IndexFunc(p.Calls, func(c Call) bool { return c.Kind == CallDelete && !p.Topic(c.Topic).Auto }) // whoever asks about one that is Auto makes it
	if i < 0 {
		return
	}
	first := p.Calls[i]
	later := func() Duration { return Duration(g.between(int64(first.At), int64(max(p.Safety, first.At)))) }
	for n := range g.between(1, 4) {
		again := Call{At: later(), Client: first.Client, Kind: CallCreate, Topic: first.Topic}
		if n%2 == 1 {
			again.Kind = CallDelete
		}
		g.call(again)
	}
	g.call(Call{At: max(first.At, p.Safety*9/10), Client: first.Client, Kind: CallCreate, Topic: first.Topic}) // so that there mostly is one in the end
	for i := range p.Calls {
		if c := &p.Calls[i]; c.Kind == CallDelete && c.Topic == first.Topic && c.At > p.Safety*8/10 {
			c.Kind = CallCreate
		}
	}
	for range g.wide(2, 32) {
		c := Call{At: later(), Client: p.Clients[g.pick(int64(len(p.Clients)))].ID, Kind: CallFetch, Topic: first.Topic}
		if g.chance(1, 2) {
			c.Kind, c.Records, c.Size = CallProduce, int(g.wide(1, 4)), MinValue
			c.Acks = g.acks(c.Client)
		}
		g.call(c)
	}
	for range 16 {
		p.Asks = append(p.Asks, Ask{ID: len(p.Asks) + 1, At: later(), Kind: "Metadata/all", Version: 12, Topic: first.Topic})
	}
}

// habits gives some clients in half of all worlds what clients have that aren't the usual one: other versions, several
// partitions in a request, the next epoch of a producer id, sequences that wrap, timestamps in any order.
func (g *generator) habits() {
	if !g.chance(1, 2) {
		return
	}
	if g.chance(1, 2) {
		g.remade()
	}
	p := g.plan
	racks := g.chance(1, 3)
	if racks {
		p.Racks = int(g.between(1, 3))
	}
	for i := range p.Topics {
		t := &p.Topics[i]
		t.Recent = !t.Auto && !g.prof.clumsy && g.chance(1, 4)
	}
	for i := range p.Members {
		if m := &p.Members[i]; !m.Modern && g.chance(1, 2) {
			m.Versions = versions[g.pick(4)]
		}
	}
	share := g.between(1, 3) // thirds of the clients
	speaks, joins, bumps, wraps, skews := g.chance(1, 2), g.chance(1, 2), g.chance(1, 2), g.chance(1, 3), g.chance(1, 2)
	for i := range g.plan.Clients {
		if g.pick(3) >= share {
			continue
		}
		c := &g.plan.Clients[i]
		if speaks {
			c.Versions = versions[1+g.pick(3)]
		}
		c.Joint = joins && g.chance(2, 3)
		c.Bumps = bumps && c.Idempotent && g.chance(2, 3)
		if wraps && c.Idempotent {
			c.Wraps = int32(g.wide(1, 200))
		}
		if racks {
			c.Rack = int(g.upTo(int64(p.Racks)))
		}
		if skews && g.chance(2, 3) {
			c.Skew = g.span(millisecond, 10*second)
		}
	}
}

// keepers lets some clients write batches that keep their offsets, one after the other as a restore does.
func (g *generator) keepers() {
	if g.plan.Security != nil || !g.chance(1, 4) {
		return
	}
	for i := range g.plan.Clients {
		if c := &g.plan.Clients[i]; !c.Idempotent && g.chance(1, 2) {
			c.Keeps, c.Joint, c.InFlight = true, false, 1
		}
	}
}

func (g *generator) longestTimeout() Duration {
	if g.dense {
		return 500 * millisecond
	}
	return 4 * second
}

func (g *generator) call(c Call) {
	c.ID = len(g.plan.Calls) + 1
	g.plan.Calls = append(g.plan.Calls, c)
}

// calls spreads calls over the safety phase, in bursts.
func (g *generator) calls(producers, consumers, askers []int) {
	p := g.plan
	largest := g.wide(MinValue, 32<<10)
	n := g.wide(4, int64(g.prof.calls))
	if g.dense {
		n = g.wide(100, int64(g.prof.calls))
	}
	favourite := g.chance(1, 2)
	gap := 2 * int64(p.Safety) / n
	now := int64(0)
	for range n {
		if g.chance(1, 2) {
			now = min(now+g.upTo(2*gap), int64(p.Safety))
		}
		t := &p.Topics[g.pick(int64(len(p.Topics)))]
		c := Call{At: Duration(now / 1000 * 1000), Topic: t.Name, Partition: int32(g.pick(int64(t.Partitions)))}
		if favourite && g.chance(3, 4) {
			c.Topic, c.Partition = p.Topics[0].Name, 0
		}
		switch g.pick(10) {
		default:
			c.Kind, c.Client = CallProduce, producers[g.pick(int64(len(producers)))]
			c.Records = int(g.wide(1, 20))
			c.Size = int(g.wide(MinValue, min(largest, MaxBatchBytes/2/int64(c.Records))))
			c.Acks = g.acks(c.Client)
		case 6, 7:
			c.Kind, c.Client = CallFetch, consumers[g.pick(int64(len(consumers)))]
		case 8, 9:
			c.Kind, c.Client = CallLatest, askers[g.pick(int64(len(askers)))]
		}
		g.call(c)
	}
}

func (g *generator) acks(client int) int16 {
	if g.plan.Clients[client-1].Idempotent {
		return -1
	}
	return []int16{-1, 1, 0}[g.pick(3)]
}
