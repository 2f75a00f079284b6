// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"
	"strconv"
)

// Generate expands a seed into a plan. The run takes only the plan.
func Generate(s uint64, profile string) (*Plan, error) {
	n := uint64(0)
	return generate(s, profile, func(limit int64) int64 {
		n++
		return seed(s).draw(domainPlan, 0, n).below(limit)
	})
}

// Profiles lists the names that Generate knows.
func Profiles() []string {
	var names []string
	for _, p := range slices.Concat(profiles, scenarios) {
		names = append(names, p.name)
	}
	return names
}

// profile bounds what is drawn.
type profile struct {
	name       string
	brokers    []int // drawn from these
	topics     int   // at most
	partitions int32 // at most, of one topic
	clients    int   // at most, of each sort
	calls      int   // at most
	safety     [2]Duration
	faults     int // at most; 0: none
	kinds      []FaultKind
	tiny       bool                     // knobs at their smallest
	dense      bool                     // always many calls in little time, on one partition
	moves      bool                     // always brokers that join and leave, and partitions that move
	configs    func(*generator, *Topic) // of every topic
	script     func(*generator)         // writes the whole plan; nothing else applies then
	groups     int64                    // of 100 worlds, so many have consumer groups
	members    int                      // at most, of one group
	hostile    int64                    // of 100 worlds, so many have hostile clients
	lies       int64                    // of 100 worlds, so many have a broker that lies
	lists      int64                    // of 100 worlds, so many have founders with wrong lists of members
	seconds    int64                    // of 100 worlds, so many have a second process with a broker's id
	states     int64                    // of 100 worlds, so many have states of many hundreds of things
	clumsy     bool                     // clocks that are years off
	ages       bool                     // few clocks are wrong in most worlds, so that ages can be judged
}

var profiles = []profile{
	{
		name: "default", brokers: []int{3, 3, 3, 3, 5, 1, 2, 4, 5, 3}, topics: 3, partitions: 4, clients: 4,
		calls: 600, safety: [2]Duration{5 * second, 60 * second}, faults: 60, kinds: drawnKinds,
		groups: 12, members: 4, hostile: 10, lies: 10, lists: 4, seconds: 8, states: 4,
	},
	{
		name: "tiny", brokers: []int{3}, topics: 1, partitions: 1, clients: 1,
		calls: 12, safety: [2]Duration{3 * second, 15 * second}, faults: 12, kinds: drawnKinds, tiny: true,
	},
	{
		name: "calm", brokers: []int{3, 1, 5, 2, 4}, topics: 3, partitions: 4, clients: 4,
		calls: 600, safety: [2]Duration{5 * second, 60 * second}, groups: 12, members: 4,
	},
	{
		name: "disk", brokers: []int{3, 3, 1, 5}, topics: 2, partitions: 2, clients: 2,
		calls: 200, safety: [2]Duration{5 * second, 30 * second}, faults: 24, tiny: true, states: 6,
		kinds: []FaultKind{FaultPower, FaultKill, FaultRecovery, FaultSlowDisk, FaultStall, FaultSyncError, FaultWriteErr},
	},
	{
		name: "network", brokers: []int{3, 5}, topics: 2, partitions: 2, clients: 2,
		calls: 200, safety: [2]Duration{5 * second, 30 * second}, faults: 24,
		kinds: []FaultKind{FaultIsolate, FaultSends, FaultReceives, FaultLink, FaultHalves, FaultClog, FaultLoss, FaultDup, FaultTail, FaultPause, FaultReset, FaultRefuse, FaultSilence},
	},
	{ // leaders that don't know yet that they were deposed, and clients that still ask them
		name: "stale", brokers: []int{3, 3, 5}, topics: 1, partitions: 1, clients: 4,
		calls: 600, safety: [2]Duration{3 * second, 8 * second}, faults: 12, dense: true,
		kinds: staleKinds,
	},
	{ // brokers join, leave and lose their disks, partitions move
		name: "moves", brokers: []int{4, 5, 3, 6, 5, 7, 2}, topics: 2, partitions: 3, clients: 2,
		calls: 200, safety: [2]Duration{8 * second, 40 * second}, faults: 16, moves: true, groups: 25, members: 3, seconds: 20, states: 6,
		kinds: []FaultKind{
			FaultLoseDisk, FaultJoin, FaultKill, FaultPower, FaultRecovery, FaultStop, FaultPause, FaultIsolate, FaultSends, FaultReceives,
			FaultHalves, FaultLoss, FaultDup, FaultTail, FaultSlowDisk, FaultStall, FaultPeers,
		},
	},
	{ // consumer groups whose members come and go, and whose coordinators do
		name: "groups", brokers: []int{3, 3, 3, 5, 1, 4}, topics: 2, partitions: 4, clients: 2,
		calls: 200, safety: [2]Duration{8 * second, 40 * second}, faults: 16, kinds: drawnKinds, groups: 100, members: 6, states: 6,
	},
	{ // records that are deleted because they are old or many, or on request
		name: "retention", brokers: []int{3, 3, 5}, topics: 2, partitions: 2, clients: 3, calls: 600,
		safety: [2]Duration{8 * second, 60 * second}, faults: 24, kinds: drawnKinds, configs: (*generator).retention, ages: true, states: 6,
	},
	{ // records that are dropped when there are newer ones with their key
		name: "compact", brokers: []int{3, 3, 5}, topics: 2, partitions: 2, clients: 3, calls: 600,
		safety: [2]Duration{8 * second, 40 * second}, faults: 24, kinds: drawnKinds, configs: (*generator).compaction, states: 6,
	},
	{ // bits that change on the disks
		name: "rot", brokers: []int{3, 3, 5}, topics: 2, partitions: 3, clients: 3, calls: 600,
		safety: [2]Duration{8 * second, 40 * second}, faults: 24, tiny: true,
		kinds: []FaultKind{FaultRot, FaultRot, FaultRot, FaultKill, FaultPower, FaultRecovery, FaultStop, FaultIsolate, FaultLoss, FaultSlowDisk},
	},
	{ // disks that are full for a while
		name: "full", brokers: []int{3, 3, 5, 1}, topics: 2, partitions: 3, clients: 3, calls: 600,
		safety: [2]Duration{8 * second, 40 * second}, faults: 24, tiny: true,
		kinds: []FaultKind{FaultFull, FaultFull, FaultFull, FaultKill, FaultPower, FaultStop, FaultIsolate, FaultLoss, FaultSlowDisk},
	},
	{ // clients that send what nobody should, beside those that behave
		name: "hostile", brokers: []int{3, 3, 1, 5}, topics: 2, partitions: 2, clients: 2, calls: 200,
		safety: [2]Duration{5 * second, 20 * second}, faults: 12, kinds: drawnKinds, hostile: 100, lies: 50, groups: 25, members: 3, states: 20,
	},
	{ // extreme settings, clocks that are years off, machines that are taken away, brought back and swapped
		name: "clumsy", brokers: []int{3, 4, 5, 1}, topics: 2, partitions: 2, clients: 2, calls: 200,
		safety: [2]Duration{5 * second, 30 * second}, faults: 24, tiny: true, moves: true, hostile: 25, lies: 25, lists: 35, groups: 25, members: 3, clumsy: true, seconds: 40,
		kinds: []FaultKind{
			FaultClockJump, FaultClockJump, FaultClockJump, FaultOldCopy, FaultOldCopy, FaultJoin, FaultJoin, FaultLoseDisk, FaultStop, FaultKill, FaultPower, FaultFull,
			FaultIsolate, FaultPeers, FaultRefuse,
		},
	},
}

// staleKinds are the faults that depose leaders which go on for a while.
var staleKinds = []FaultKind{FaultIsolate, FaultSends, FaultReceives, FaultHalves, FaultLink, FaultPause, FaultSlowDisk, FaultStall}

// generator draws a plan. pick(n) is uniform in [0, n); 0 is always the simplest choice, so that a
// property test that draws the choices shrinks towards a plain world.
type generator struct {
	pick  func(n int64) int64
	prof  *profile
	plan  *Plan
	dense bool
	moves bool

	wrongClocks int // of brokers 1 to this; the others are right; 0: nothing is known

	producers, consumers []int // of a script
}

func generate(s uint64, name string, pick func(int64) int64) (*Plan, error) {
	profiles := slices.Concat(profiles, scenarios)
	i := slices.IndexFunc(profiles, func(p profile) bool { return p.name == name })
	if i < 0 {
		return nil, fmt.Errorf("unknown profile %q; use one of %v", name, Profiles())
	}
	g := &generator{pick: pick, prof: &profiles[i], plan: &Plan{Seed: s, Profile: name}}
	if g.prof.script != nil {
		g.prof.script(g)
		return g.checked(), nil
	}
	g.dense = g.prof.dense || g.prof.calls > 100 && g.chance(1, 3)
	g.world()
	g.topics()
	g.knobs()
	g.clients()
	g.membership()
	g.faults()
	g.groups()
	if g.chance(1, 2) { // drawn last: the other draws of a seed stay what they were
		g.plan.Knobs.CatchUpRate = g.wide(256<<10, 4<<20)
	}
	g.late()
	g.attacks()
	g.lies()
	g.lists()
	g.watching()
	g.seconds()
	g.heldCommands()
	g.states()
	return g.checked(), nil
}

func (g *generator) checked() *Plan {
	if err := g.plan.validate(); err != nil {
		panic("the generator made a plan that can't be run: " + err.Error())
	}
	return g.plan
}

// upTo is uniform in [0, n].
func (g *generator) upTo(n int64) int64 { return g.pick(n + 1) }

// between is uniform in [lo, hi].
func (g *generator) between(lo, hi int64) int64 { return lo + g.pick(hi-lo+1) }

// wide is in [lo, hi], each doubling as likely as the next; lo must be positive.
func (g *generator) wide(lo, hi int64) int64 {
	a, b := log2(lo), log2(hi)
	return min(max(exp2(a+g.pick(b-a+1)), lo), hi)
}

// skew is in (-limit, limit), near 0 more often.
func (g *generator) skew(limit int64) int64 {
	ahead, behind := g.wide(1, limit), g.wide(1, limit)
	return ahead - behind
}

func (g *generator) span(lo, hi Duration) Duration {
	// Rounded to 3 digits or so, for people.
	d := g.wide(int64(lo), int64(hi))
	unit := int64(1)
	for d/unit >= 10_000 {
		unit *= 10
	}
	return Duration(max(d/unit*unit, int64(lo)))
}

func (g *generator) chance(num, den int64) bool { return g.pick(den) >= den-num }

func (g *generator) world() {
	p := g.plan
	p.Brokers = g.prof.brokers[g.pick(int64(len(g.prof.brokers)))]
	p.Founders = p.Brokers
	if g.prof.moves || p.Brokers > 1 && len(g.prof.brokers) > 1 && g.prof.faults > 0 && g.chance(1, 8) {
		g.moves = true
		p.Founders = max(1, p.Brokers-int(g.upTo(int64(p.Brokers-1))))
	}
	p.Safety = g.span(g.prof.safety[0], g.prof.safety[1])
	if g.dense {
		p.Safety = g.span(3*second, 8*second)
	}
	g.clocks()
}

// clocks draws what clocks show: all may be wrong, or only so few that the others are believed.
func (g *generator) clocks() {
	p := g.plan
	skewed := g.prof.faults > 0 && (g.prof.clumsy || g.chance(1, 3))
	if g.prof.ages && g.chance(2, 3) {
		skewed, g.wrongClocks = false, (p.Brokers-1)/2
		p.Knobs.ClockPatience = g.span(second, 20*second)
	}
	for i := range p.Brokers {
		c := Clock{}
		if skewed || i < g.wrongClocks {
			c.OffsetMs = g.skew(1 << 32)
			if g.prof.clumsy || g.prof.ages {
				c.OffsetMs = g.skew(1 << 40)
			}
			c.DriftPPM = g.skew(200_000)
		}
		if g.wrongClocks > 0 {
			c.DriftPPM = g.skew(rightDriftPPM)
		}
		p.Clocks = append(p.Clocks, c)
	}
}

func (g *generator) topics() {
	p := g.plan
	topics := g.between(1, int64(g.prof.topics))
	if g.dense {
		topics = 1
	}
	for i := range topics {
		t := Topic{Name: "t" + strconv.Itoa(int(i)), Partitions: 1, Replicas: int16(min(3, p.Founders))}
		if i > 0 && g.chance(1, 4) {
			t.Auto = true // the brokers' defaults apply: one partition, three replicas
		} else {
			t.Partitions = int32(g.wide(1, int64(g.prof.partitions)))
			if g.dense {
				t.Partitions = min(t.Partitions, 2)
			}
			if g.chance(1, 4) {
				t.Replicas = int16(g.between(1, int64(p.Founders)))
			}
		}
		switch {
		case t.Auto:
		case g.prof.configs != nil:
			g.prof.configs(g, &t)
		case g.prof.faults > 0 && g.chance(1, 12):
			g.retention(&t)
		case g.prof.faults > 0 && g.chance(1, 12):
			g.compaction(&t)
		}
		p.Topics = append(p.Topics, t)
	}
}

// retention lets records of a topic expire.
func (g *generator) retention(t *Topic) {
	if g.chance(1, 2) {
		t.RetentionMs = g.wide(1000, 30_000)
	} else {
		t.RetentionBytes = g.wide(1<<10, 256<<10)
	}
}

// compaction has older records of a key dropped.
func (g *generator) compaction(t *Topic) { t.Keys = int(g.wide(1, 64)) }

// knobs draws sizes and speeds. Each is often at a plain value and sometimes anywhere.
func (g *generator) knobs() {
	k := &g.plan.Knobs
	k.Tick = 50*millisecond + Duration(g.upTo(2))*25*millisecond
	k.ElectionTicks = int(g.between(10, 14))
	k.HeartbeatTicks = int(g.between(1, 3))
	odd := func(plain, lo, hi int64) int64 {
		if g.prof.tiny {
			hi = max(lo, min(hi, lo*64))
		} else if !g.chance(1, 2) {
			return plain
		}
		return g.wide(lo, hi)
	}
	k.HotEntries = int(odd(10_000, 1, 256))
	k.CacheBytes = odd(64<<20, 1<<10, 64<<20)
	k.ColdReadBytes = odd(1<<20, 1<<6, 1<<20)
	k.ReplicationBytes = uint64(odd(512<<10, 1, 512<<10))
	k.ReplicationWindow = int(odd(64, 1, 256))
	k.CheckpointEntries = int(odd(20_000, 1, 256))
	k.CheckpointBytes = odd(32<<20, 1<<8, 1<<20)
	k.RetainEntries = int(odd(1000, 1, 256))
	if slices.ContainsFunc(g.plan.Topics, func(t Topic) bool { return t.Keys > 0 || t.RetentionBytes > 0 || t.RetentionMs > 0 }) {
		k.RetainEntries = int(g.wide(1, 32)) // nothing else is ever let go
	}
	k.SegmentBytes = odd(256<<10, 4<<10, 1<<20)
	k.FlushBytes = int(odd(4<<20, 64, 4<<20))
	k.StepItems = int(odd(1000, 1, 1000))
	k.StepCost = g.span(20*microsecond, 500*microsecond)
	k.LinkLatency = g.span(100*microsecond, 10*millisecond)
	k.LinkInOrder = g.chance(1, 2)
	k.WriteLatency = g.span(100*microsecond, 10*millisecond)
	k.ReadLatency = g.span(50*microsecond, 5*millisecond)
	k.RestartTime = g.span(millisecond, 200*millisecond)
	if slices.ContainsFunc(g.plan.Topics, func(t Topic) bool { return t.Keys > 0 }) && g.chance(1, 3) {
		k.CompactionBytes = g.wide(300, 4000) // some keys have no room
	}
}

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
	largest := g.wide(minValue, 32<<10)
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
			c.Size = int(g.wide(minValue, min(largest, maxBatchBytes/2/int64(c.Records))))
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

// membership lets the brokers that are no founders join, partitions move, and some brokers leave.
func (g *generator) membership() {
	p := g.plan
	if !g.moves {
		return
	}
	for b := p.Founders + 1; b <= p.Brokers; b++ {
		p.Faults = append(p.Faults, Fault{
			ID: len(p.Faults) + 1, Kind: FaultJoin, Target: Target(strconv.Itoa(b)),
			At: Duration(g.upTo(int64(p.Safety)/2) / 1000 * 1000),
		})
	}
	operators := []int{g.client(false), g.client(false)}
	whole := g.chance(1, 2) // every partition always has three replicas, so that disks can be lost
	for range g.wide(1, 16) {
		c := g.onSomePartition(Call{Client: operators[g.pick(2)], Kind: CallMove})
		switch g.pick(8) {
		default:
			c.Brokers = g.someBrokers(whole)
		case 6:
			c.Kind = CallElect
		case 7: // call it off
		}
		g.call(c)
	}
	if p.Brokers > 2 && g.chance(1, 3) {
		g.leave(operators, whole)
	}
}

// late adds a topic that is made when some brokers are dead: its partitions have one replica each, and are as many as
// there are brokers.
func (g *generator) late() {
	if g.chance(1, 2) {
		g.plan.Topics = append(g.plan.Topics, Topic{Name: "late", Partitions: int32(g.plan.Brokers), Replicas: 1, Late: true})
	}
}

// leave moves all partitions away from a broker, then removes it.
func (g *generator) leave(operators []int, whole bool) {
	p := g.plan
	leaves := int(g.between(2, int64(p.Brokers)))
	if leaves <= p.Founders && slices.ContainsFunc(p.Topics, func(t Topic) bool { return int(t.Replicas) == p.Founders }) {
		return // topics couldn't be created any more
	}
	from := Duration(g.upTo(int64(p.Safety)))
	for i := range p.Topics {
		for n := range p.Topics[i].Partitions {
			c := Call{At: from, Client: operators[0], Kind: CallMove, Topic: p.Topics[i].Name, Partition: n, Brokers: g.someBrokers(whole)}
			c.Brokers = slices.DeleteFunc(c.Brokers, func(b int) bool { return b == leaves })
			if len(c.Brokers) > 0 {
				g.call(c)
			}
		}
	}
	g.call(Call{At: from, Client: operators[1], Kind: CallRemove, Topic: p.Topics[0].Name, Brokers: []int{leaves}})
}

// onSomePartition gives a call a time and a partition.
func (g *generator) onSomePartition(c Call) Call {
	t := &g.plan.Topics[g.pick(int64(len(g.plan.Topics)))]
	c.At = Duration(g.upTo(int64(g.plan.Safety)) / 1000 * 1000)
	c.Topic, c.Partition = t.Name, int32(g.pick(int64(t.Partitions)))
	return c
}

// someBrokers draws where a partition is moved, the preferred leader first.
func (g *generator) someBrokers(whole bool) []int {
	var all []int
	for b := range g.plan.Brokers {
		all = append(all, b+1)
	}
	n := min(3, len(all))
	if !whole && g.chance(1, 2) {
		n = int(g.between(1, min(5, int64(len(all)))))
	}
	for i := range n {
		j := i + int(g.pick(int64(len(all)-i)))
		all[i], all[j] = all[j], all[i]
	}
	return all[:n]
}

// faults draws how much of each kind there is, often nothing (swarm): a run without a kind of fault
// reaches places that a run with all of them never does.
func (g *generator) faults() {
	if g.prof.faults == 0 {
		return
	}
	var weights []int64
	total := int64(0)
	kinds := g.prof.kinds
	if g.dense && g.chance(1, 3) {
		kinds = staleKinds
	}
	for _, kind := range kinds {
		w := int64(0)
		switch kind {
		case FaultKill, FaultPower, FaultRecovery, FaultLoseDisk: // most bugs of a replicated log need them
			if g.chance(1, 2) {
				w = g.between(1, 16)
			}
		default:
			if g.chance(1, 3) {
				w = g.between(1, 8)
			}
		}
		weights = append(weights, w)
		total += w
	}
	if total == 0 {
		return
	}
	anchored := g.upTo(3) // thirds of the faults
	for range g.wide(2, int64(g.prof.faults)) {
		x := g.pick(total)
		for i, w := range weights {
			if x < w {
				g.fault(kinds[i], g.pick(3) < anchored)
				break
			}
			x -= w
		}
	}
}

// anchors are the events after which a crash is worth more than at any other time.
var anchors = []string{
	"voted", "new term", "became leader", "appended", "committed", "write issued", "write synced",
	"truncated", "held message", "lost leadership", "segment rolled", "cold read", "restarted", "replied",
	"topic created", "duplicate batch", "proposal lost", "segment recycled",
}

func (g *generator) fault(kind FaultKind, anchored bool) {
	p := g.plan
	f := Fault{ID: len(p.Faults) + 1, Kind: kind, For: min(g.lasting(kind), p.Safety)}
	if anchored && !kind.everywhere() && kind != FaultJoin {
		f.After = g.anchor()
		if g.chance(1, 2) {
			f.At = g.span(microsecond, 100*millisecond)
		}
		f.Times = int(g.wide(1, 4))
		f.Target = TargetHere
	} else {
		f.At = Duration(g.upTo(int64(p.Safety)) / 1000 * 1000)
		f.Target = Target(strconv.Itoa(int(g.between(1, int64(p.Brokers)))))
	}
	switch x := g.pick(6); {
	case kind == FaultJoin:
	case x >= 2 && x <= 4:
		f.Target = TargetLeader
		f.Group = g.group()
	case x == 5:
		f.Target = TargetFollower
		f.Group = g.group()
	}
	if (kind == FaultPower || kind == FaultKill) && g.chance(1, 8) {
		f.Target = TargetAll
	}
	g.rate(&f)
	p.Faults = append(p.Faults, f)
}

// lasting draws how long a fault lasts: a restart may be immediate, but a partition shorter than an
// election time-out changes little.
func (g *generator) lasting(kind FaultKind) Duration {
	switch kind {
	case FaultKill, FaultPower, FaultRecovery, FaultLoseDisk:
		return g.span(millisecond, 30*second)
	}
	if g.chance(1, 4) {
		return g.span(millisecond, 200*millisecond)
	}
	return g.span(200*millisecond, 10*second)
}

// group picks a raft group: mostly that of the first partition, which may be a favourite; 0 is the
// catalog. Ids are given in order of creation.
func (g *generator) group() uint64 {
	if g.chance(1, 2) {
		return 1
	}
	n := int64(0)
	for _, t := range g.plan.Topics {
		n += int64(t.Partitions)
	}
	return uint64(g.upTo(n))
}

// anchor picks one of the first events of a kind, or a later one.
func (g *generator) anchor() *Anchor {
	names := anchors
	if g.chance(1, 4) {
		names = anchorNames()[1:] // 0 is no event
	}
	a := &Anchor{Event: names[g.pick(int64(len(names)))], Count: int(g.wide(1, 8))}
	switch a.Event {
	case "appended", "committed", "write issued", "write synced", "replied":
		a.Count = int(g.wide(1, 400))
	}
	if g.chance(1, 2) {
		a.Broker = int(g.between(1, int64(g.plan.Brokers)))
	}
	return a
}

// rate draws what the kind wants to know beside the target and the time.
func (g *generator) rate(f *Fault) {
	n := int64(g.plan.Brokers)
	switch f.Kind {
	case FaultRecovery:
		f.Rate = g.wide(1, 16)
	case FaultLink:
		f.Peer = int(g.between(1, n))
	case FaultHalves:
		f.Rate = g.between(min(1, n-1), int64(1)<<n-2)
	case FaultLoss, FaultDup, FaultTail:
		f.Rate = g.wide(1, 500)
	case FaultSlowDisk:
		f.Rate = g.wide(1, 100)
	case FaultClockJump:
		f.Rate = g.skew(1 << 36)
		if g.wrongClocks > 0 { // the others stay right
			f.Target, f.Group = Target(strconv.Itoa(int(g.between(1, int64(g.wrongClocks))))), 0
			f.At, f.After, f.Times = Duration(g.upTo(int64(g.plan.Safety))/1000*1000), nil, 0
		}
	}
}
