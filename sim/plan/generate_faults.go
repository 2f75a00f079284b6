// SPDX-License-Identifier: Apache-2.0

package plan

import "strconv"

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
	if anchored && !kind.Everywhere() && kind != FaultJoin {
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
		names = AnchorNames()[1:] // 0 is no event
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
	case FaultSlowDisk, FaultSlow:
		f.Rate = g.wide(1, 100)
	case FaultStorm:
		f.Rate = g.wide(5, 300)
	case FaultLostWrite, FaultMiswrite:
		f.Rate = g.wide(1, 50)
	case FaultMisread, FaultStaleSize:
		f.Rate = g.wide(1, 8)
	case FaultCut, FaultBits, FaultTorn:
		f.Rate = g.wide(1, 200)
	case FaultNarrow:
		f.Rate = g.wide(8, 4096)
	case FaultBridge:
		f.Rate, f.Peer = g.between(min(1, n-1), int64(1)<<n-2), int(g.between(1, n))
	case FaultClockJump, FaultFreeze:
		if f.Kind == FaultClockJump {
			f.Rate = g.skew(1 << 36)
		}
		if g.wrongClocks > 0 { // the others stay right
			f.Target, f.Group = Target(strconv.Itoa(int(g.between(1, int64(g.wrongClocks))))), 0
			f.At, f.After, f.Times = Duration(g.upTo(int64(g.plan.Safety))/1000*1000), nil, 0
		}
	}
}

// moreKinds are drawn by themselves, last, so that the other draws of a seed stay what they were: each where the profile has
// a kind that is like it.
var moreKinds = []struct{ kind, like FaultKind }{
	{FaultCut, FaultReset},
	{FaultBits, FaultReset},
	{FaultTorn, FaultLoss},
	{FaultNarrow, FaultTail},
	{FaultRing, FaultHalves},
	{FaultBridge, FaultHalves},
	{FaultClogs, FaultClog},
	{FaultSlow, FaultPause},
	{FaultFreeze, FaultClockJump},
	{FaultStorm, FaultReset},
}

// moreFaults draws some of up to three of them for a third of the worlds that have faults.
func (g *generator) moreFaults() {
	if g.prof.faults == 0 || !g.chance(1, 3) {
		return
	}
	var kinds []FaultKind
	for _, k := range moreKinds {
		for _, o := range g.prof.kinds {
			if o == k.like && (k.kind != FaultRing || g.plan.Brokers > 3) {
				kinds = append(kinds, k.kind)
				break
			}
		}
	}
	if len(kinds) == 0 {
		return
	}
	for range g.between(1, 3) {
		kind := kinds[g.pick(int64(len(kinds)))]
		for range g.wide(1, 6) {
			g.fault(kind, g.chance(1, 2))
		}
	}
}
