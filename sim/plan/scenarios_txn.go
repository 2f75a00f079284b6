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
		t.At, t.Crashes, t.TxnTimeout = min(t.At, 5*second), max(t.Crashes, 60), g.span(8*second, 12*second)
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

// behindTransactions cuts a broker off while transactions are open and what came before is deleted. So it gets a checkpoint that has open
// transactions, and then leads.
func (g *generator) behindTransactions() {
	g.stage(3, 3, 24*second)
	p := g.plan
	p.Expect = []string{"log start moved", "snapshot installed", "transaction ended"}
	k := &p.Knobs
	k.GroupPartitions = 1
	k.RetainEntries, k.CheckpointEntries = int(g.wide(1, 4)), int(g.wide(1, 8))
	victim := int(g.between(1, 3))
	g.load(500*millisecond, 20*second, 60, 5, 64)
	for range g.between(3, 5) {
		t := g.transactor([]string{"t0"})
		t.At, t.Pause, t.Most = g.span(300*millisecond, 4*second), g.span(50*millisecond, 500*millisecond), 100
		t.Timeout, t.Crashes, t.Doubles = min(t.Timeout, second), g.wide(15, 120), 0
		t.TxnTimeout, t.Rest = g.span(8*second, 20*second), g.span(8*second, 16*second)
	}
	p.Readers = append(p.Readers, Reader{ID: 1, Timeout: second, Pause: g.span(10*millisecond, second), Home: 1})
	g.strike(Fault{Target: Target(strconv.Itoa(victim))}.of(FaultIsolate, 2*second, 9*second))
	operator := g.client(false)
	for at := 5 * second; at < 11*second; at += second {
		for n := range p.Topics[0].Partitions {
			g.call(Call{At: at, Client: operator, Kind: CallTrim, Topic: "t0", Partition: n, Offset: -1})
		}
	}
	g.leads(operator, victim, 12*second)
}

// compactedStory has a topic compacted while some transactions are open for long and most others abort, so that whole spans of the log hold
// nothing, and markers go at once. Readers begin anew all the time.
func (g *generator) compactedStory() {
	g.stage(3, 3, 30*second)
	p := g.plan
	p.Expect = []string{"compacted", "transaction ended"}
	t0 := &p.Topics[0]
	t0.Partitions, t0.Keys, t0.TombstonesMs = int32(g.between(1, 2)), int(g.wide(2, 64)), g.wide(1, 4000)
	k := &p.Knobs
	k.GroupPartitions, k.ClockPatience = 1, g.span(second, 4*second)
	k.RetainEntries, k.CheckpointEntries = int(g.wide(1, 4)), int(g.wide(1, 64))
	g.load(500*millisecond, 10*second, 20, 2, 64)
	for i := range g.between(3, 6) {
		t := g.transactor([]string{"t0"})
		t.At, t.Pause, t.Most, t.Records = g.span(300*millisecond, 4*second), g.span(5*millisecond, 300*millisecond), 200, int(g.wide(1, 8))
		t.Crashes, t.Doubles, t.Aborts = 0, 0, g.between(30, 95)
		if i%2 == 1 {
			t.Crashes, t.TxnTimeout, t.Rest = g.wide(15, 120), g.span(4*second, 15*second), g.span(4*second, 12*second)
		}
	}
	for i := range 3 {
		p.Readers = append(p.Readers, Reader{ID: i + 1, Timeout: second, Pause: g.span(10*millisecond, 200*millisecond), Home: i + 1})
	}
	for range g.upTo(4) {
		kind := []FaultKind{FaultKill, FaultPower, FaultStop, FaultPause}[g.pick(4)]
		g.strike(g.someone(3).of(kind, g.span(2*second, 28*second), g.span(100*millisecond, 3*second)))
	}
}

// transactionsCutOff cuts off the coordinator of transactions again and again, so that it is deposed and doesn't know, while its clients
// still reach it. Their connections break often, and then they ask anybody for it.
func (g *generator) transactionsCutOff() {
	g.stage(3, 3, 30*second)
	p := g.plan
	p.Topics[0].Partitions = 1
	p.Expect = []string{"transaction ended"}
	p.Knobs.GroupPartitions = 1
	p.Knobs.Tick, p.Knobs.ElectionTicks, p.Knobs.HeartbeatTicks = 100*millisecond, 10, 2
	g.load(500*millisecond, 29*second, 40, 5, 64)
	for range g.between(3, 6) {
		t := g.transactor([]string{"t0"})
		t.Modern, t.Crashes, t.Doubles = g.chance(1, 5), 0, 0
		t.At, t.Pause, t.Most, t.Records, t.Aborts = g.span(300*millisecond, 2*second), g.span(5*millisecond, 50*millisecond), 1000, 2, 10
		t.TxnTimeout, t.Timeout, t.Loses = g.span(2*second, 10*second), g.span(200*millisecond, second), g.wide(30, 300)
	}
	g.cutOffCoordinators(8)
}

// lateBatches has clients give batches up and abort, while leaders stand still for moments and messages between brokers are late. So a
// batch may come to its partition after the marker of its transaction, or just before it is applied.
func (g *generator) lateBatches() {
	g.stage(3, 3, 20*second)
	p := g.plan
	p.Topics[0].Partitions = 1
	p.Expect = []string{"transaction ended"}
	k := &p.Knobs
	k.GroupPartitions = int32(g.between(1, 3))
	k.LinkInOrder, k.StepItems, k.WriteLatency = false, int(g.wide(1, 8)), g.span(5*millisecond, 50*millisecond)
	g.load(500*millisecond, 19*second, 20, 5, 64)
	for range g.between(3, 6) {
		t := g.transactor([]string{"t0"})
		t.Modern, t.Crashes, t.Doubles = g.chance(1, 4), 0, 0
		t.At, t.Pause, t.Most, t.Aborts = g.span(300*millisecond, 2*second), g.span(5*millisecond, 50*millisecond), 1000, g.between(100, 400)
		t.TxnTimeout, t.Patience = g.span(2*second, 10*second), g.span(2*millisecond, 200*millisecond)
	}
	p.Readers = append(p.Readers, Reader{ID: 1, Timeout: second, Pause: g.span(10*millisecond, second), Home: 1})
	for i := range Duration(8) {
		g.strike(Fault{Target: "1", Rate: g.wide(10, 400)}.of(FaultTail, (2+2*i)*second, second))
	}
	leader := Fault{Target: TargetLeader, Group: 1}
	for range 40 {
		g.strike(leader.of(FaultPause, second+Duration(g.upTo(int64(18*second)))/1000*1000, g.span(10*millisecond, 300*millisecond)))
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

// sharedChains has processes of several transactional ids share the partitions of a topic as members of a group. They stand still, end and
// come back, so that partitions change hands in the middle of transactions.
func (g *generator) sharedChains() {
	g.stage(3, 3, 30*second)
	p := g.plan
	p.Topics[0].Partitions = int32(g.between(1, 4))
	p.Expect = []string{"transaction ended", "group generation"}
	k := &p.Knobs
	k.GroupPartitions, k.GroupDelay, k.WriteLatency = int32(g.between(1, 2)), g.span(millisecond, 500*millisecond), g.span(millisecond, 20*millisecond)
	g.load(500*millisecond, 29*second, 100, 5, 64)
	source := g.transactor([]string{"t0"})
	source.Pause, source.Most, source.Records, source.Crashes, source.Doubles = g.span(20*millisecond, 200*millisecond), 300, int(g.between(1, 8)), 0, 0
	out := Topic{Name: "x0", Partitions: int32(g.between(1, 2)), Replicas: 3}
	p.Topics = append(p.Topics, out)
	g.call(Call{Client: p.Clients[0].ID, Kind: CallCreate, Topic: out.Name})
	for range g.between(2, 4) {
		t := g.transactor([]string{out.Name})
		t.From, t.Group, t.Session = "t0", "chain", g.span(ShortestSession, 4*second)
		t.At, t.Pause, t.Most, t.Records = g.span(300*millisecond, 5*second), g.span(5*millisecond, 100*millisecond), 300, int(g.between(2, 24))
		t.Crashes, t.Doubles, t.Timeout = g.wide(5, 80), g.wide(1, 50), min(t.Timeout, second)
		t.TxnTimeout = g.span(2*second, 15*second)
	}
	p.Readers = append(p.Readers, Reader{ID: 1, Timeout: second, Pause: g.span(10*millisecond, second), Home: 1})
	for range g.upTo(5) {
		kind := []FaultKind{FaultKill, FaultPower, FaultStop, FaultPause, FaultIsolate}[g.pick(5)]
		g.strike(g.someone(3).of(kind, g.span(2*second, 28*second), g.span(100*millisecond, 3*second)))
	}
}
