// SPDX-License-Identifier: Apache-2.0

package hunt

import (
	"slices"
	"strconv"

	"chronik/sim/plan"
)

const (
	microsecond plan.Duration = 1e3
	millisecond               = 1e3 * microsecond
	second                    = 1e3 * millisecond
)

// change is a way to change a plan. It may find nothing to change.
type change struct {
	name   string
	weight int64
	do     func(*breeder)
}

// changes are the ways to change a plan.
var changes = []change{
	{"noise", 4, (*breeder).otherNoise},
	{"fault after a rare event", 4, (*breeder).faultAfterRareEvent},
	{"another's fault", 2, (*breeder).anothersFault},
	{"move a fault", 3, (*breeder).moveFault},
	{"repeat a fault", 2, (*breeder).repeatFault},
	{"another target", 2, (*breeder).otherTarget},
	{"a knob", 2, (*breeder).knob},
	{"other clocks", 2, (*breeder).otherClocks},
	{"splice", 2, (*breeder).splice},
	{"pin a client", 2, (*breeder).pinClient},
	{"crowd calls", 4, (*breeder).crowdCalls},
	{"shift calls", 2, (*breeder).shiftCalls},
	{"shift a turn", 2, (*breeder).shiftTurn},
	{"thin out", 4, (*breeder).thinOut},
	{"shorten", 3, (*breeder).shorten},
}

// Plans don't grow beyond these.
const (
	mostFaults = 100
	mostCalls  = 1000
)

// otherNoise gives all latencies, and whatever else the plan doesn't spell out, other values.
func (b *breeder) otherNoise() { b.plan.Seed = uint64(b.next()) }

// movable says that a fault may have any anchor and target. The others are drawn with care.
func movable(f *plan.Fault) bool {
	switch f.Kind {
	case plan.FaultJoin, plan.FaultSecond, plan.FaultClockJump:
		return false
	}
	return !f.Kind.Everywhere()
}

// someFault returns a fault of a plan that may be moved, nil if there is none.
func (b *breeder) someFault(p *plan.Plan) *plan.Fault {
	for range 8 {
		if len(p.Faults) == 0 {
			return nil
		}
		if f := &p.Faults[b.below(len(p.Faults))]; movable(f) {
			return f
		}
	}
	return nil
}

// addFault adds a copy of a fault.
func (b *breeder) addFault(f plan.Fault) {
	if len(b.plan.Faults) >= mostFaults {
		return
	}
	f.ID = nextID(b.plan.Faults, func(f *plan.Fault) int { return f.ID })
	f.For, f.At = min(f.For, b.plan.Safety), min(f.At, b.plan.Safety)
	b.plan.Faults = append(b.plan.Faults, f)
}

// newFault is a fault as this profile has it.
func (b *breeder) newFault() (plan.Fault, bool) {
	for range 4 {
		if f := b.someFault(b.sibling()); f != nil && b.fits(f) {
			return *f, true
		}
	}
	return plan.Fault{}, false
}

// fits says that a fault of another plan is about brokers that this one has.
func (b *breeder) fits(f *plan.Fault) bool {
	n, named := f.Target.Broker()
	return !(named && n > b.plan.Brokers) && f.Peer <= b.plan.Brokers && (f.After == nil || f.After.Broker <= b.plan.Brokers)
}

// faultAfterRareEvent adds a fault right after an event that is rare.
func (b *breeder) faultAfterRareEvent() {
	f, ok := b.newFault()
	event, rare := b.rareEvent()
	if !ok || !rare {
		return
	}
	f.After, f.At, f.Times = b.anchor(event), 0, int(b.wide(1, 4))
	if b.chance(1, 2) {
		f.At = b.span(microsecond, 200*millisecond)
	}
	if b.chance(2, 3) {
		f.Target, f.Group = plan.TargetHere, 0
	}
	b.addFault(f)
}

// anothersFault adds a fault of another plan as it is.
func (b *breeder) anothersFault() {
	from := b.sibling()
	if b.chance(1, 2) {
		from = b.other()
	}
	if f := b.someFault(from); f != nil && b.fits(f) {
		b.addFault(*f)
	}
}

// moveFault gives a fault another anchor or time, or lets it last longer or shorter.
func (b *breeder) moveFault() {
	f := b.someFault(b.plan)
	if f == nil {
		return
	}
	switch b.pick(4) {
	case 0:
		if event, ok := b.rareEvent(); ok {
			f.After = b.anchor(event)
			f.At = min(f.At, b.span(microsecond, 100*millisecond))
		}
	case 1:
		if f.After != nil {
			f.After = b.anchor(f.After.Event)
		} else {
			f.At = b.within()
		}
	case 2:
		f.At = b.near(f.At)
	case 3:
		f.For = min(max(f.For*plan.Duration(b.wide(1, 64))/8, millisecond), b.plan.Safety)
	}
}

// near is a time shortly before or after another one.
func (b *breeder) near(t plan.Duration) plan.Duration {
	by := b.span(100*microsecond, 2*second)
	if b.chance(1, 2) {
		by = -by
	}
	return min(max(t+by, 0), b.plan.Safety)
}

// repeatFault lets a fault happen again, by itself or soon after.
func (b *breeder) repeatFault() {
	f := b.someFault(b.plan)
	if f == nil {
		return
	}
	if f.After != nil && b.chance(1, 2) {
		f.Times = min(max(f.Times, 1)*2, 16)
		return
	}
	again := *f
	again.At = min(f.At+b.span(millisecond, 5*second), b.plan.Safety)
	b.addFault(again)
}

// otherTarget lets a fault hit another broker.
func (b *breeder) otherTarget() {
	f := b.someFault(b.plan)
	if f == nil {
		return
	}
	f.Group = 0
	switch b.pick(4) {
	case 0:
		f.Target = plan.Target(strconv.Itoa(1 + b.below(b.plan.Brokers)))
	case 1:
		f.Target, f.Group = plan.TargetFollower, b.group()
	case 2:
		if f.After != nil {
			f.Target = plan.TargetHere
			return
		}
		fallthrough
	default:
		f.Target, f.Group = plan.TargetLeader, b.group()
	}
}

// group is a raft group: mostly the first partition's.
func (b *breeder) group() uint64 {
	n := int64(1)
	for _, t := range b.plan.Topics {
		n += int64(t.Partitions)
	}
	if b.chance(1, 2) {
		return 1
	}
	return uint64(b.pick(n))
}

// knob takes one setting from a new plan of the same profile.
func (b *breeder) knob() {
	k, o := &b.plan.Knobs, b.sibling().Knobs
	small := b.lets() // then little may be retained, as nothing else is let go
	switch b.pick(15) {
	case 0:
		k.HotEntries = o.HotEntries
	case 1:
		k.CacheBytes = o.CacheBytes
	case 2:
		k.ColdReadBytes = o.ColdReadBytes
	case 3:
		k.ReplicationBytes = o.ReplicationBytes
	case 4:
		k.ReplicationWindow = o.ReplicationWindow
	case 5:
		k.CheckpointEntries = min(k.CheckpointEntries, o.CheckpointEntries)
	case 6:
		k.CheckpointBytes = o.CheckpointBytes
	case 7:
		if !small {
			k.RetainEntries = o.RetainEntries
		}
	case 8:
		k.SegmentBytes = o.SegmentBytes
	case 9:
		k.FlushBytes = o.FlushBytes
	case 10:
		k.StepItems = o.StepItems
	case 11:
		k.LinkLatency, k.LinkInOrder = o.LinkLatency, o.LinkInOrder
	case 12:
		k.WriteLatency, k.ReadLatency = o.WriteLatency, o.ReadLatency
	case 13:
		k.RestartTime, k.StepCost = o.RestartTime, o.StepCost
	case 14:
		k.Tick, k.ElectionTicks, k.HeartbeatTicks = o.Tick, o.ElectionTicks, o.HeartbeatTicks
	}
}

// otherClocks takes the clocks of a new plan. Where ages are judged they were drawn with care.
func (b *breeder) otherClocks() {
	if o := b.sibling(); o.Brokers == b.plan.Brokers && b.plan.Knobs.ClockPatience == 0 && o.Knobs.ClockPatience == 0 {
		b.plan.Clocks = slices.Clone(o.Clocks)
	}
}

// lets says that records of some topic are dropped.
func (b *breeder) lets() bool {
	return slices.ContainsFunc(b.plan.Topics, func(t plan.Topic) bool { return t.Keys > 0 || t.RetentionBytes > 0 || t.RetentionMs > 0 })
}

// splice adds some faults of another kept plan, or puts them in the place of this plan's.
func (b *breeder) splice() {
	other := b.other()
	if b.chance(1, 2) {
		b.plan.Faults = slices.DeleteFunc(b.plan.Faults, func(f plan.Fault) bool { return movable(&f) })
	}
	for i := range other.Faults {
		if f := &other.Faults[i]; movable(f) && b.fits(f) && b.chance(1, 2) {
			b.addFault(*f)
		}
	}
}

// ordinary says that a call may be left out, moved and repeated: it is about records, not about the cluster.
func ordinary(c *plan.Call) bool {
	switch c.Kind {
	case plan.CallProduce, plan.CallFetch, plan.CallLatest:
		return true
	}
	return false
}

// pinClient lets a client begin at a broker, and ask about one partition only.
func (b *breeder) pinClient() {
	c := &b.plan.Clients[b.below(len(b.plan.Clients))]
	c.Home = 1 + b.below(b.plan.Brokers)
	some := b.someCalls()
	if len(some) == 0 {
		return
	}
	like := b.plan.Calls[some[0]]
	for i := range b.plan.Calls {
		if call := &b.plan.Calls[i]; call.Client == c.ID && ordinary(call) {
			call.Topic, call.Partition = like.Topic, like.Partition
		}
	}
}

// moment is a time when something happens: a fault, a turn, or any.
func (b *breeder) moment() plan.Duration {
	if n := len(b.plan.Faults); n > 0 && b.chance(1, 2) {
		if f := &b.plan.Faults[b.below(n)]; f.After == nil {
			return f.At
		}
	}
	if n := len(b.plan.Turns); n > 0 && b.chance(1, 3) {
		return b.plan.Turns[b.below(n)].At
	}
	return b.within()
}

// crowdCalls repeats some calls in quick succession, most often while a fault lasts, and about one partition.
func (b *breeder) crowdCalls() {
	some := b.someCalls()
	if len(some) == 0 {
		return
	}
	id := nextID(b.plan.Calls, func(c *plan.Call) int { return c.ID })
	many := b.wide(8, 64)
	from, gap := b.moment(), b.span(millisecond, 200*millisecond)
	if f := b.someFault(b.plan); f != nil && f.After == nil && b.chance(3, 4) {
		from = f.At
		gap = max(min(f.For, 5*second)/plan.Duration(many), 100*microsecond) / microsecond * microsecond
	}
	one, like := b.chance(3, 4), b.plan.Calls[some[0]]
	for n := range many {
		if len(b.plan.Calls) >= mostCalls {
			return
		}
		c := b.plan.Calls[some[b.below(len(some))]]
		if one {
			c.Topic, c.Partition = like.Topic, like.Partition
		}
		c.ID, c.At = id+int(n), min(from+plan.Duration(n)*gap, b.plan.Safety)
		b.plan.Calls = append(b.plan.Calls, c)
	}
}

// someCalls are the places of a few ordinary calls, of several kinds if there are.
func (b *breeder) someCalls() (places []int) {
	if len(b.plan.Calls) == 0 {
		return nil
	}
	for range 16 {
		i := b.below(len(b.plan.Calls))
		c := &b.plan.Calls[i]
		alike := func(place int) bool {
			return b.plan.Calls[place].Kind == c.Kind && b.plan.Calls[place].Client == c.Client
		}
		if ordinary(c) && !slices.ContainsFunc(places, alike) {
			places = append(places, i)
		}
		if len(places) == 4 {
			break
		}
	}
	return places
}

// shiftCalls moves neighbouring calls to another time.
func (b *breeder) shiftCalls() {
	n := len(b.plan.Calls)
	if n == 0 {
		return
	}
	first := b.below(n)
	last := min(n, first+int(b.wide(1, 64)))
	by := b.moment() - b.plan.Calls[first].At
	for i := first; i < last; i++ {
		if c := &b.plan.Calls[i]; ordinary(c) {
			c.At = min(max(c.At+by, 0), b.plan.Safety)
		}
	}
}

// shiftTurn moves what happens to a member of a consumer group, or repeats it.
func (b *breeder) shiftTurn() {
	n := len(b.plan.Turns)
	if n == 0 {
		return
	}
	t := b.plan.Turns[b.below(n)]
	if t.Kind == plan.TurnStart {
		return
	}
	t.ID, t.At = nextID(b.plan.Turns, func(t *plan.Turn) int { return t.ID }), b.moment()
	b.plan.Turns = append(b.plan.Turns, t)
}

// thinOut leaves out about half of something.
func (b *breeder) thinOut() {
	p := b.plan
	switch b.pick(5) {
	case 0, 1:
		p.Faults = slices.DeleteFunc(p.Faults, func(f plan.Fault) bool { return f.Kind != plan.FaultJoin && b.chance(1, 2) })
	case 2, 3:
		p.Calls = slices.DeleteFunc(p.Calls, func(c plan.Call) bool { return ordinary(&c) && b.chance(1, 2) })
	case 4:
		p.Turns = slices.DeleteFunc(p.Turns, func(t plan.Turn) bool { return t.Kind != plan.TurnStart && b.chance(1, 2) })
		p.Attacks = slices.DeleteFunc(p.Attacks, func(plan.Attack) bool { return b.chance(1, 2) })
		p.Lies = slices.DeleteFunc(p.Lies, func(plan.Lie) bool { return b.chance(1, 2) })
		p.Asks = slices.DeleteFunc(p.Asks, func(plan.Ask) bool { return b.chance(1, 2) })
	}
}

// shorten ends the safety phase earlier, and leaves out what would come later.
func (b *breeder) shorten() {
	p := b.plan
	end := p.Safety * plan.Duration(4+b.pick(4)) / 8 / millisecond * millisecond
	if end < second {
		return
	}
	p.Safety = end
	p.Faults = slices.DeleteFunc(p.Faults, func(f plan.Fault) bool { return f.Kind != plan.FaultJoin && f.At > end })
	for i := range p.Faults {
		p.Faults[i].At, p.Faults[i].For = min(p.Faults[i].At, end), min(p.Faults[i].For, end)
	}
	p.Calls = slices.DeleteFunc(p.Calls, func(c plan.Call) bool { return ordinary(&c) && c.At > end })
	for i := range p.Calls {
		p.Calls[i].At = min(p.Calls[i].At, end)
	}
	p.Turns = slices.DeleteFunc(p.Turns, func(t plan.Turn) bool { return t.Kind != plan.TurnStart && t.At > end })
	for i := range p.Turns {
		p.Turns[i].At = min(p.Turns[i].At, end)
	}
	p.Attacks = slices.DeleteFunc(p.Attacks, func(a plan.Attack) bool { return a.At > end })
	p.Lies = slices.DeleteFunc(p.Lies, func(l plan.Lie) bool { return l.At > end })
	p.Asks = slices.DeleteFunc(p.Asks, func(a plan.Ask) bool { return a.At > end })
	for i := range p.Lists {
		p.Lists[i].For, p.Lists[i].Ahead = min(p.Lists[i].For, end), min(p.Lists[i].Ahead, end)
	}
}
