// SPDX-License-Identifier: Apache-2.0

package plan

// lateCommands cuts a broker off while somebody asks it, and nobody else, to change the catalog, lets the leader of the
// catalog stand still, or holds up what the broker says until there is another leader. Those who asked give up; others go on to change it; then the broker is back. None of what it was
// asked may happen any more. The same holds for elections.
func (g *generator) lateCommands() {
	g.stage(3, 3, 64*second)
	p := g.plan
	k := &p.Knobs
	k.Tick, k.ElectionTicks, k.HeartbeatTicks = 100*millisecond, int(g.between(20, 35)), 2
	k.LinkLatency, k.WriteLatency = g.span(100*microsecond, millisecond), g.span(100*microsecond, millisecond)
	p.Expect = []string{"catalog changed"}
	p.Topics = append(p.Topics, Topic{Name: "churn", Partitions: 1, Replicas: 3, Grows: true})
	g.load(500*millisecond, 62*second, 60, 5, 64)
	others := g.client(false)
	for i := range Duration(2) {
		begin, victim := (6+30*i)*second+Duration(g.upTo(int64(second))), int(g.between(1, 3))
		for n := range Duration(4) {
			g.change(others, begin+(6+4*n)*second)
		}
		if g.chance(1, 4) {
			g.lateElection(begin)
			continue
		}
		away := Fault{Target: Target([]string{"1", "2", "3"}[victim-1])}.of(FaultIsolate, begin, 24*second)
		switch g.pick(3) {
		case 1:
			away = Fault{Target: TargetLeader, Group: 0}.of(FaultPause, begin, 24*second)
		case 2:
			away.Kind = FaultClog
			g.strike(Fault{Target: TargetLeader, Group: 0}.of(FaultPower, begin+4*second, 2*second))
		}
		g.strike(away)
		for n := range g.between(2, 4) {
			c := g.client(false)
			spec := &p.Clients[c-1]
			spec.Home, spec.Stays, spec.Timeout = victim, true, g.span(200*millisecond, 500*millisecond)
			spec.GiveUp = spec.Timeout + 100*millisecond
			g.change(c, begin+200*millisecond+Duration(n)*g.span(millisecond, 200*millisecond))
		}
	}
}

// lateElection lets a leader fail and come back, and asks for its election just when the one that took over stands still, or
// when what others say to that one is held up. It would give way by itself, but not before it has led for some seconds.
func (g *generator) lateElection(begin Duration) {
	g.strike(Fault{Target: TargetLeader, Group: 1}.of(FaultPower, begin, g.span(100*millisecond, second)))
	away := Fault{Target: TargetLeader, Group: 1}.of(FaultPause, begin+g.span(1500*millisecond, 2500*millisecond), g.span(second, 10*second))
	if g.chance(1, 3) {
		away.Kind = FaultClog
	}
	g.strike(away)
	for home := range 3 {
		c := g.client(false)
		spec := &g.plan.Clients[c-1]
		spec.Home, spec.Stays, spec.Timeout = home+1, true, g.span(200*millisecond, 500*millisecond)
		spec.GiveUp = spec.Timeout + 100*millisecond
		for n := range Duration(3) {
			g.call(Call{At: away.At + (100+400*n)*millisecond, Client: c, Kind: CallElect, Topic: "t0"})
		}
	}
}

// change adds a call that changes the catalog.
func (g *generator) change(client int, at Duration) {
	c := Call{At: at, Client: client, Topic: "churn"}
	switch g.pick(5) {
	case 0:
		c.Kind = CallCreate
	case 1:
		c.Kind = CallDelete
	case 2:
		c.Kind, c.Offset = CallGrow, g.between(2, 6)
	case 3:
		c.Kind, c.Topic, c.Offset = CallConfigure, "t0", g.between(1, 1000)
	case 4:
		c.Kind, c.Topic, c.Partition, c.Brokers = CallMove, "t0", int32(g.pick(int64(g.plan.Topics[0].Partitions))), g.someBrokers(true)
	}
	g.call(c)
}

// heldCommands lets brokers stand still, or cuts them off, just when commands to the catalog are under way from them.
func (g *generator) heldCommands() {
	p := g.plan
	if g.prof.faults == 0 || g.prof.moves || !g.chance(1, 8) {
		return
	}
	for range g.between(1, 3) {
		f := Fault{
			ID: len(p.Faults) + 1, Kind: []FaultKind{FaultPause, FaultIsolate}[g.pick(2)], Target: TargetHere,
			After: &Anchor{Event: "command sent", Count: int(g.wide(1, 12))}, For: g.span(500*millisecond, 15*second),
		}
		if g.chance(1, 2) {
			f.At = g.span(microsecond, 100*millisecond)
		}
		p.Faults = append(p.Faults, f)
	}
}
