// SPDX-License-Identifier: Apache-2.0

package plan

import "strconv"

// coordinatorsChange stops one broker after the other, so that no coordinator leads for as long as a transaction may take. Meanwhile
// processes end in the middle of transactions, and none starts in their place: their transactions have to be aborted in time.
func (g *generator) coordinatorsChange() {
	g.stage(3, 3, 45*second)
	p := g.plan
	p.Expect = []string{"leadership moved", "transaction timed out"}
	p.AbortsWithin = 10 * second
	p.Knobs.GroupPartitions = int32(g.between(1, 3))
	p.Knobs.Tick, p.Knobs.ElectionTicks, p.Knobs.HeartbeatTicks = 50*millisecond, 10, 2
	g.load(500*millisecond, 44*second, 40, 5, 64)
	for range g.between(3, 5) {
		t := g.ownTransactor()
		t.TxnTimeout = g.span(8*second, 12*second)
		t.Rest = t.TxnTimeout + p.AbortsWithin + second
	}
	apart := g.span(1600*millisecond, 2*second)
	for i, at := 0, 2*second; at < p.Safety; i, at = i+1, at+apart {
		g.strike(Fault{Target: Target(strconv.Itoa(i%3 + 1))}.of(FaultStop, at+Duration(g.upTo(100))*millisecond, g.span(50*millisecond, 400*millisecond)))
	}
}

// silentTransactions lets producers be silent until they are forgotten, between two transactions and within one that nobody ends.
func (g *generator) silentTransactions() {
	g.stage(3, 3, 50*second)
	p := g.plan
	p.Expect = []string{"producers forgotten", "transaction ended"}
	k := &p.Knobs
	k.GroupPartitions = int32(g.between(1, 3))
	k.ProducerExpiry, k.ClockPatience = g.span(9*second, 12*second), g.span(second, 4*second)
	k.CheckpointEntries, k.RetainEntries = int(g.wide(1, 64)), int(g.wide(1, 16))
	g.load(500*millisecond, 48*second, 100, 5, 64)
	for range g.between(3, 5) {
		t := g.ownTransactor()
		t.Pause = g.span(100*millisecond, 20*second)
		t.TxnTimeout = g.span(5*second, 40*second)
		t.Rest = g.span(5*second, 30*second)
	}
	p.Readers = append(p.Readers, Reader{ID: 1, Timeout: second, Pause: g.span(10*millisecond, second), Home: 1})
	for range g.between(1, 6) {
		kind := []FaultKind{FaultKill, FaultPower, FaultStop, FaultIsolate, FaultPause}[g.pick(5)]
		g.strike(g.someone(3).of(kind, g.span(2*second, 40*second), g.span(100*millisecond, 3*second)))
	}
	for i := range p.Clients { // nobody tries a batch again after its producer was forgotten
		c := &p.Clients[i]
		c.Timeout = min(c.Timeout, second)
		c.GiveUp = c.Timeout + 3*second
	}
}

// ownTransactor draws a transactor with a topic of its own, whose processes end in the middle of transactions.
func (g *generator) ownTransactor() *Transactor {
	p := g.plan
	topic := Topic{Name: "x" + strconv.Itoa(len(p.Transactors)), Partitions: int32(g.between(1, 2)), Replicas: 3}
	p.Topics = append(p.Topics, topic)
	g.call(Call{Client: p.Clients[0].ID, Kind: CallCreate, Topic: topic.Name})
	t := g.transactor([]string{topic.Name})
	t.At, t.Pause, t.Most = g.span(300*millisecond, 10*second), g.span(50*millisecond, 500*millisecond), 100
	t.Timeout, t.Crashes = min(t.Timeout, second), g.wide(15, 120)
	return t
}
