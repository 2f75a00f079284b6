// SPDX-License-Identifier: Apache-2.0

package plan

import "strconv"

// Scenarios are profiles with a fixed story from the life of a cluster. When things happen, to which broker, at what
// sizes, and what the network and the disks do meanwhile is drawn, so each seed tells the story in another way.

// scenarios lists them. Each writes a whole plan but for its seed.
var scenarios = []profile{
	{name: "catch-up", script: (*generator).catchUp},
	{name: "crash-producing", script: (*generator).crashProducing},
	{name: "behind-retention", script: (*generator).behindRetention},
	{name: "leader-cut-off", script: (*generator).leaderCutOff},
	{name: "coordinator-cut-off", script: (*generator).coordinatorCutOff},
	{name: "flapping", script: (*generator).flapping},
	{name: "transfers", script: (*generator).transfers},
	{name: "rolling-restart", script: (*generator).rollingRestart},
	{name: "all-killed", script: (*generator).allKilled},
	{name: "two-lose-unsynced", script: (*generator).twoLoseUnsynced},
	{name: "grow-and-shrink", script: (*generator).growAndShrink},
	{name: "lost-disk", script: (*generator).lostDisk},
	{name: "silent-producers", script: (*generator).silentProducers},
	{name: "nearly-silent", script: (*generator).nearlySilent},
	{name: "late-requests", script: (*generator).lateRequests},
	{name: "late-commands", script: (*generator).lateCommands},
	{name: "coordinators-change", script: (*generator).coordinatorsChange},
	{name: "silent-transactions", script: (*generator).silentTransactions},
	{name: "behind-transactions", script: (*generator).behindTransactions},
	{name: "compacted-transactions", script: (*generator).compactedStory},
	{name: "transactions-cut-off", script: (*generator).transactionsCutOff},
	{name: "late-batches", script: (*generator).lateBatches},
	{name: "shared-chains", script: (*generator).sharedChains},
}

// stage makes a cluster of which the brokers 1 to founders begin it, with one topic of three replicas.
func (g *generator) stage(brokers, founders int, safety Duration) {
	p := g.plan
	p.Brokers, p.Founders, p.Safety = brokers, founders, safety
	p.Clocks = make([]Clock, brokers)
	p.Topics = []Topic{{Name: "t0", Partitions: int32(g.between(1, 3)), Replicas: 3}}
	g.prof = &profile{name: p.Profile, clients: 4}
	g.knobs()
	k := &p.Knobs
	k.HotEntries = int(g.wide(1, 32)) // so that what is a little behind has to be read back from the log
	k.ReplicationBytes, k.ReplicationWindow, k.FlushBytes, k.StepItems = 512<<10, int(g.wide(4, 64)), 4<<20, 1000
	k.CacheBytes, k.ColdReadBytes = g.wide(64<<10, 64<<20), g.wide(4<<10, 1<<20)
	k.SegmentBytes = g.wide(64<<10, 1<<20)
	k.LinkLatency, k.WriteLatency = g.span(100*microsecond, 2*millisecond), g.span(100*microsecond, 3*millisecond)
	k.ReadLatency = g.span(50*microsecond, 2*millisecond)
	g.call(Call{Client: g.client(false), Kind: CallCreate, Topic: "t0"})
}

// load lets idempotent producers send batches from one time to another, evenly but for a little, and
// some consumers read along.
func (g *generator) load(from, to Duration, batches int, records, size int64) {
	p := g.plan
	if g.producers == nil {
		for range g.between(2, 4) {
			g.producers = append(g.producers, g.client(true))
		}
		g.consumers = []int{g.client(false), g.client(false)}
	}
	for i := range batches {
		c := Call{
			At:     from + (to-from)*Duration(i)/Duration(batches) + Duration(g.upTo(int64(to-from)/int64(batches)))/1000*1000,
			Client: g.producers[g.pick(int64(len(g.producers)))], Kind: CallProduce, Topic: "t0",
			Partition: int32(g.pick(int64(p.Topics[0].Partitions))),
			Records:   int(g.between((records+1)/2, records)), Size: int(g.wide(MinValue, size)), Acks: -1,
		}
		g.call(c)
		if i%4 == 0 {
			g.call(Call{At: c.At, Client: g.consumers[i/4%2], Kind: [...]string{CallFetch, CallFetch, CallLatest}[i/4%3], Topic: "t0", Partition: c.Partition})
		}
	}
}

// strike adds a fault.
func (g *generator) strike(f Fault) {
	f.ID = len(g.plan.Faults) + 1
	g.plan.Faults = append(g.plan.Faults, f)
}

// someone is a broker's number among the first n, or one of the words for the first partition.
func (g *generator) someone(n int) Fault {
	switch g.pick(4) {
	case 1:
		return Fault{Target: TargetLeader, Group: 1}
	case 2:
		return Fault{Target: TargetFollower, Group: 1}
	}
	return Fault{Target: Target(strconv.Itoa(int(g.between(1, int64(n)))))}
}

func (f Fault) of(kind FaultKind, at, lasts Duration) Fault {
	f.Kind, f.At, f.For = kind, at, lasts
	return f
}

// catchUp cuts one broker off while 50,000 records are produced, far more than are kept in memory.
func (g *generator) catchUp() {
	g.stage(3, 3, 16*second)
	g.plan.Expect = []string{"cold read"}
	g.load(500*millisecond, 2*second, 10, 20, 64)
	g.strike(g.someone(3).of(FaultIsolate, 2*second, 9*second))
	g.load(3*second, 10*second, 70, 1000, 32)
	g.load(11*second, 15*second, 20, 20, 64)
}

// crashProducing kills a broker in the middle of producing; 30,000 more records follow before it is back.
func (g *generator) crashProducing() {
	g.stage(3, 3, 16*second)
	g.plan.Expect = []string{"cold read"}
	g.load(500*millisecond, 3*second, 30, 100, 256)
	kind := []FaultKind{FaultKill, FaultPower, FaultRecovery}[g.pick(3)]
	f := g.someone(3).of(kind, g.span(1500*millisecond, 3*second), 8*second)
	if kind == FaultRecovery {
		f.Rate = g.wide(1, 16)
	}
	g.strike(f)
	g.load(3*second, 10*second, 50, 1000, 32)
	g.load(11*second, 15*second, 20, 20, 64)
}

// behindRetention cuts a broker off until the others have deleted what it lacks. It gets the state at
// the log's start, then the entries. Then it becomes leader, so that retries are checked against the producer
// windows from its checkpoint.
func (g *generator) behindRetention() {
	g.stage(3, 3, 22*second)
	p := g.plan
	p.Expect = []string{"log start moved", "snapshot installed"}
	k := &p.Knobs
	k.RetainEntries, k.CheckpointEntries = int(g.wide(1, 16)), int(g.wide(1, 32))
	p.Topics[0].RetentionBytes = g.wide(16<<10, 64<<10)
	victim := int(g.between(1, 3))
	g.load(500*millisecond, 2*second, 10, 20, 64)
	g.producers = nil // these are not heard of again: only the checkpoint knows them
	g.strike(Fault{Target: Target(strconv.Itoa(victim))}.of(FaultIsolate, 2*second, 9*second))
	g.load(2*second, 10*second, 400, 20, 256)
	operator := g.client(false)
	for n := range p.Topics[0].Partitions {
		g.call(Call{At: 8 * second, Client: operator, Kind: CallTrim, Topic: "t0", Partition: n, Offset: -1})
	}
	g.leads(operator, victim, 12*second)
	g.load(11*second, 21*second, 150, 5, 64)
	for i := range 8 {
		g.strike(Fault{Target: TargetLeader, Group: 1, Kind: FaultReset, At: Duration(11+i)*second + Duration(g.upTo(int64(second)))})
		g.strike(Fault{Target: TargetLeader, Group: 1, Kind: FaultSilence, At: Duration(11+i)*second + Duration(g.upTo(int64(second))), For: 600 * millisecond})
	}
}

// leads makes a broker the preferred leader of all partitions.
func (g *generator) leads(operator, broker int, at Duration) {
	order := []int{broker}
	for b := 1; b <= 3; b++ {
		if b != broker {
			order = append(order, b)
		}
	}
	for n := range g.plan.Topics[0].Partitions {
		g.call(Call{At: at, Client: operator, Kind: CallMove, Topic: "t0", Partition: n, Brokers: order})
		g.call(Call{At: at, Client: operator, Kind: CallElect, Topic: "t0", Partition: n})
	}
}

// leaderCutOff cuts leaders off: from a minority, from a majority, and one way, again and again.
func (g *generator) leaderCutOff() {
	brokers := []int{3, 5}[g.pick(2)]
	g.stage(brokers, brokers, 24*second)
	if brokers == 5 {
		g.plan.Topics[0].Replicas = 5
	}
	g.load(500*millisecond, 23*second, 300, 10, 256)
	leader := Fault{Target: TargetLeader, Group: uint64(g.upTo(int64(g.plan.Topics[0].Partitions)))}
	for i := range Duration(5) {
		at, lasts := (2+4*i)*second+Duration(g.upTo(int64(second))), g.span(200*millisecond, 4*second)
		switch g.pick(5) {
		case 0:
			g.strike(leader.of(FaultIsolate, at, lasts))
		case 1:
			g.strike(leader.of(FaultSends, at, lasts))
		case 2:
			g.strike(leader.of(FaultReceives, at, lasts))
		default: // from some: a minority or a majority
			from := g.between(1, int64(brokers)-1)
			for b := range from {
				f := leader.of(FaultLink, at, lasts)
				f.Peer = int(b) + 1
				g.strike(f)
			}
		}
	}
}

// flapping lets the network of one broker come and go.
func (g *generator) flapping() {
	g.stage(3, 3, 20*second)
	g.load(500*millisecond, 19*second, 200, 10, 256)
	f := g.someone(3).of([]FaultKind{FaultIsolate, FaultSends, FaultReceives}[g.pick(3)], g.span(50*millisecond, second), 0)
	f.For, f.Times = g.span(20*millisecond, second), 100
	g.strike(f)
}

// transfers moves leaderships on request while there is load.
func (g *generator) transfers() {
	g.stage(3, 3, 20*second)
	g.plan.Expect = []string{"leadership moved"}
	g.load(500*millisecond, 19*second, 400, 10, 256)
	operator := g.client(false)
	for i := range Duration(16) {
		g.leads(operator, int(g.between(1, 3)), (2+i)*second+Duration(g.upTo(int64(second))))
	}
}

// rollingRestart stops one broker after the other and starts it again.
func (g *generator) rollingRestart() {
	brokers := []int{3, 3, 5}[g.pick(3)]
	g.stage(brokers, brokers, Duration(4+4*brokers)*second)
	g.plan.Expect = []string{"leadership moved"}
	g.load(500*millisecond, g.plan.Safety-second, 300, 10, 256)
	for b := range brokers {
		at := Duration(3+4*b)*second + Duration(g.upTo(int64(second)))
		g.strike(Fault{Target: Target(strconv.Itoa(b + 1))}.of(FaultStop, at, g.span(50*millisecond, 2*second)))
	}
}

// allKilled kills all brokers at once, a few times.
func (g *generator) allKilled() {
	g.stage(3, 3, 24*second)
	g.load(500*millisecond, 23*second, 300, 10, 256)
	for i := range Duration(4) {
		at := (3+5*i)*second + Duration(g.upTo(int64(second)))
		g.strike(Fault{Target: TargetAll}.of([]FaultKind{FaultKill, FaultPower}[g.pick(2)], at, g.span(10*millisecond, 2*second)))
	}
}

// twoLoseUnsynced takes the power of two of three brokers while they write.
func (g *generator) twoLoseUnsynced() {
	g.stage(3, 3, 24*second)
	g.plan.Knobs.WriteLatency = g.span(3*millisecond, 30*millisecond)
	g.load(500*millisecond, 23*second, 600, 10, 256)
	for i := range Duration(5) {
		at, spared := (3+4*i)*second+Duration(g.upTo(int64(second))), int(g.between(1, 3))
		for b := 1; b <= 3; b++ {
			if b != spared {
				g.strike(Fault{Target: Target(strconv.Itoa(b))}.of(FaultPower, at, g.span(10*millisecond, 2*second)))
			}
		}
	}
}

// growAndShrink lets two brokers join, moves everything, and takes two others away.
func (g *generator) growAndShrink() {
	g.stage(5, 3, 30*second)
	p := g.plan
	p.Expect = []string{"broker removed", "replicas changed"}
	g.load(500*millisecond, 29*second, 400, 20, 256)
	g.strike(Fault{Target: "4"}.of(FaultJoin, g.span(second, 3*second), 0))
	g.strike(Fault{Target: "5"}.of(FaultJoin, g.span(second, 3*second), 0))
	operator := g.client(false)
	all := g.someBrokers(true) // three of five
	var leaving []int
	for b := 1; b <= 5; b++ {
		if b != all[0] && b != all[1] && b != all[2] {
			leaving = append(leaving, b)
		}
	}
	for n := range p.Topics[0].Partitions {
		g.call(Call{At: 6 * second, Client: operator, Kind: CallMove, Topic: "t0", Partition: n, Brokers: g.someBrokers(true)})
		g.call(Call{At: 14 * second, Client: operator, Kind: CallMove, Topic: "t0", Partition: n, Brokers: append([]int(nil), all...)})
	}
	for i, b := range leaving {
		g.call(Call{At: Duration(18+2*i) * second, Client: operator, Kind: CallRemove, Topic: "t0", Brokers: []int{b}})
	}
	for i := range p.Clients {
		p.Clients[i].GiveUp = max(p.Clients[i].GiveUp, 30*second)
	}
}

// lostDisk lets brokers come back with an empty disk, one after the other.
func (g *generator) lostDisk() {
	g.stage(3, 3, 24*second)
	g.plan.Expect = []string{"replicas changed"}
	g.load(500*millisecond, 23*second, 300, 50, 256)
	for i := range Duration(3) {
		g.strike(g.someone(3).of(FaultLoseDisk, (4+6*i)*second, g.span(10*millisecond, 2*second)))
	}
}

// coordinatorCutOff cuts off the coordinator of consumer groups again and again, so that it is deposed and doesn't know,
// while its clients still reach it: some go on to commit through the next one, others ask the old one what was committed.
func (g *generator) coordinatorCutOff() {
	g.stage(3, 3, 24*second)
	p := g.plan
	p.Topics[0].Partitions = 1
	p.Expect = []string{"offset commit"}
	g.prof.members = 4
	g.load(500*millisecond, 23*second, 100, 5, 64)
	g.groupKnobs()
	p.Knobs.GroupPartitions = 1
	p.Knobs.Tick, p.Knobs.ElectionTicks, p.Knobs.HeartbeatTicks = 100*millisecond, 10, 2
	for i := range g.between(2, 3) {
		g.oneGroup("g"+strconv.Itoa(int(i)), []string{"t0"})
	}
	for i := range p.Members {
		p.Members[i].Commit = g.span(100*millisecond, 400*millisecond)
	}
	g.cutOffCoordinators(6)
}

// cutOffCoordinators cuts off whoever leads the only partition of coordinators, so many times.
func (g *generator) cutOffCoordinators(times Duration) {
	coordinator := Fault{Target: TargetLeader, Group: 2} // the second partition that is made
	for i := range times {
		at, lasts := (4+3*i)*second+Duration(g.upTo(int64(second))), g.span(second, 2*second)
		kind := []FaultKind{FaultSends, FaultReceives, FaultIsolate}[g.pick(3)]
		g.strike(coordinator.of(kind, at, lasts))
	}
}

// silentProducers lets producers write, be silent until they are forgotten, and go on where they were. Others write all the
// time, and brokers fall, so that the windows are read from checkpoints and sent to others in between.
func (g *generator) silentProducers() {
	g.stage(3, 3, 50*second)
	p := g.plan
	p.Expect = []string{"producers forgotten"}
	k := &p.Knobs
	k.ProducerExpiry, k.ClockPatience = g.span(9*second, 12*second), g.span(second, 4*second)
	k.CheckpointEntries, k.RetainEntries = int(g.wide(1, 64)), int(g.wide(1, 16))
	g.load(500*millisecond, 4*second, 30, 5, 64)
	silent := g.producers
	g.producers = nil
	g.load(4*second, 48*second, 200, 5, 64)
	others := g.producers
	for range g.between(1, 6) {
		kind := []FaultKind{FaultKill, FaultPower, FaultStop, FaultIsolate, FaultPause}[g.pick(5)]
		g.strike(g.someone(3).of(kind, g.span(2*second, 30*second), g.span(100*millisecond, 3*second)))
	}
	g.producers = silent
	g.load(36*second, 48*second, 40, 5, 64)
	g.producers = append(silent, others...)
	for i := range p.Clients { // nobody tries a batch again after its producer was forgotten
		c := &p.Clients[i]
		c.Timeout = min(c.Timeout, second)
		c.GiveUp = c.Timeout + 3*second
	}
}

// lateRequests has requests of producers arrive once more, later, as over a connection that their clients gave up. The clients take new
// epochs of their producer ids all the time, and write single records. So a batch of an earlier epoch often has the sequence that
// follows.
func (g *generator) lateRequests() {
	g.stage(3, 3, 16*second)
	g.load(500*millisecond, 15*second, 300, 2, 64)
	p := g.plan
	for i := range p.Clients {
		c := &p.Clients[i]
		if c.Timeout = min(c.Timeout, second); c.Idempotent {
			c.GiveUp = c.Timeout + g.span(100*millisecond, 3*second)
			c.Bumps, c.Doubles, c.Eager = g.chance(4, 5), g.wide(50, 500), g.chance(1, 2)
		}
	}
	for range g.between(1, 8) {
		kind := []FaultKind{FaultKill, FaultPower, FaultStop, FaultIsolate, FaultPause, FaultPause}[g.pick(6)]
		g.strike(g.someone(3).of(kind, g.span(2*second, 13*second), g.span(100*millisecond, 2*second)))
	}
}

// nearlySilent lets producers be silent for about as long as it takes until they are forgotten, so that some write while that is on its
// way. Requests of theirs arrive once more soon after.
func (g *generator) nearlySilent() {
	g.stage(3, 3, 50*second)
	p := g.plan
	p.Topics[0].Partitions = 1
	p.Expect = []string{"producers forgotten"}
	k := &p.Knobs
	k.ProducerExpiry, k.ClockPatience = g.span(9*second, 12*second), g.span(second, 4*second)
	k.WriteLatency = g.span(2*millisecond, 40*millisecond)
	for range g.between(6, 12) {
		id := g.client(true)
		c := &p.Clients[len(p.Clients)-1]
		c.Timeout, c.Doubles = g.span(300*millisecond, second), g.wide(200, 1000)
		c.GiveUp = c.Timeout + 3*second
		for at := g.span(500*millisecond, 3*second); at < 48*second; at += k.ProducerExpiry + Duration(g.upTo(int64(2500*millisecond)))/1000*1000 {
			g.call(Call{At: at, Client: id, Kind: CallProduce, Topic: "t0", Records: int(g.between(1, 3)), Size: int(g.wide(MinValue, 64)), Acks: -1})
		}
	}
	for range g.between(0, 4) {
		g.strike(g.someone(3).of([]FaultKind{FaultPause, FaultStop}[g.pick(2)], g.span(2*second, 40*second), g.span(100*millisecond, 2*second)))
	}
}
