// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"chronik/node"
	"chronik/sim/keyed"
	"chronik/sim/plan"
)

// armed is a fault that waits for its time or its event.
type armed struct {
	fault  *plan.Fault
	event  int    // plan.AnchorIndex; -1 for a fault with a time
	broker int    // the event must happen here; 0: anywhere
	seen   int    // events counted
	fires  int    // how often it still fires
	fired  uint64 // how often it did
}

// arm puts all faults of the plan in place.
func (w *world) arm() {
	w.armed = make([]armed, len(w.plan.Faults))
	for i := range w.plan.Faults {
		f := &w.plan.Faults[i]
		a := armed{fault: f, event: -1, fires: max(f.Times, 1)}
		if f.After == nil {
			w.schedule(event{at: w.epochBegan + at(f.At), kind: evFault, index: i})
		} else {
			a.event, _ = plan.AnchorIndex(f.After.Event)
			a.broker = f.After.Broker
			w.anchored[a.event] = append(w.anchored[a.event], i)
		}
		w.armed[i] = a
	}
}

// observe counts an event at a broker and schedules the faults that waited for it. A fault without
// delay fires before anything else happens.
func (w *world) observe(kind int, b *broker) {
	for _, i := range w.anchored[kind] {
		a := &w.armed[i]
		if a.fires == 0 || a.broker != 0 && a.broker != b.number || w.healing {
			continue
		}
		if a.seen++; a.seen < a.fault.After.Count {
			continue
		}
		a.fires--
		a.seen = 0
		a.broker = b.number // the same broker again
		w.schedule(event{at: w.now + at(a.fault.At), kind: evFault, index: i, broker: b})
	}
}

// fire lets the fault at index i of the plan happen; here is where its anchor's event was.
func (w *world) fire(i int, here *broker) {
	if w.healing {
		return
	}
	f, a := w.armed[i].fault, &w.armed[i]
	a.fired++
	if f.After == nil {
		if a.fires--; a.fires > 0 {
			w.schedule(event{at: w.now + at(f.At), kind: evFault, index: i})
		}
	}
	if f.Kind.Everywhere() {
		w.begin(i, nil)
		return
	}
	targets := w.targets(a, here)
	if f.Kind.OfMachine() {
		targets = w.withMates(targets)
	}
	for _, b := range targets {
		w.begin(i, b)
	}
}

// targets returns the brokers that a fault hits now.
func (w *world) targets(a *armed, here *broker) []*broker {
	f := a.fault
	if n, ok := f.Target.Broker(); ok {
		return w.brokers[n-1 : n]
	}
	switch f.Target {
	case plan.TargetAll:
		return w.brokers
	case plan.TargetHere:
		return []*broker{here}
	}
	leader := w.leader(node.GroupID(f.Group))
	if f.Target == plan.TargetLeader {
		if leader == nil {
			return nil
		}
		return []*broker{leader}
	}
	return w.follower(node.GroupID(f.Group), leader, w.seed.Draw(domainTarget, uint64(f.ID), a.fired))
}

// leader returns the broker that leads a group in the highest term, or nil.
func (w *world) leader(g node.GroupID) *broker {
	var leader *broker
	var term uint64
	for _, b := range w.brokers {
		if b.node == nil {
			continue
		}
		if v, ok := b.node.Inspect(g); ok && v.Role == node.Leader && v.Term > term {
			leader, term = b, v.Term
		}
	}
	return leader
}

// follower picks a broker that is up, has a replica of g and doesn't lead it.
func (w *world) follower(g node.GroupID, leader *broker, d keyed.Draw) []*broker {
	var followers []*broker
	for _, b := range w.brokers {
		if b == leader || b.node == nil {
			continue
		}
		if _, ok := b.node.Inspect(g); ok {
			followers = append(followers, b)
		}
	}
	if len(followers) == 0 {
		return nil
	}
	i := d.Below(int64(len(followers)))
	return followers[i : i+1]
}

// begin starts one fault at one broker (nil for those that are everywhere), and schedules its end.
func (w *world) begin(i int, b *broker) {
	f := w.armed[i].fault
	k := f.Kind.Index()
	if w.straying() {
		return
	}
	w.result.Faults[k].Fired++
	w.noteFault(f, b, "begins")
	if w.features != nil {
		w.features.fault(w, f, b)
	}
	w.disturbed()
	w.holdUp(f, b)
	if w.takeEffect(f, b) {
		w.result.Faults[k].Mattered++
	}
	if f.Kind.Lasts() {
		w.schedule(event{at: w.now + at(f.For), kind: evFaultEnd, index: i, broker: b})
	}
}

// takeEffect applies f and says whether it can have mattered, as far as that is known at once.
func (w *world) takeEffect(f *plan.Fault, b *broker) bool {
	switch f.Kind {
	case plan.FaultKill:
		return w.crash(b, false, at(f.For))
	case plan.FaultPower:
		return w.crash(b, true, at(f.For))
	case plan.FaultRecovery:
		b.dieAt = int(max(f.Rate, 0))
		return w.crash(b, true, at(f.For))
	case plan.FaultJoin:
		return w.join(b)
	case plan.FaultRot, plan.FaultSector:
		return w.rot(b, f)
	case plan.FaultOldCopy:
		w.copyFolder(b)
		return false // see end
	case plan.FaultSecond:
		w.lend(b, f)
		return false // see end
	case plan.FaultLoseDisk:
		return w.loseDisk(b, at(f.For))
	case plan.FaultStop:
		return w.beginStop(b, at(f.For))
	case plan.FaultPause:
		b.pausedUntil = max(b.pausedUntil, w.now+at(f.For))
		return b.node != nil
	case plan.FaultPeers:
		b.crashes++ // keys the delays
		return w.loseBroker(b, false)
	case plan.FaultReset, plan.FaultRefuse:
		broke := w.breakConns(b)
		if f.Kind == plan.FaultRefuse {
			b.refusing++
		}
		return broke
	case plan.FaultSilence:
		b.silentUntil = max(b.silentUntil, w.now+at(f.For))
		return true
	case plan.FaultSlowDisk, plan.FaultStall:
		return w.slowDisk(f, b)
	case plan.FaultSyncError, plan.FaultWriteErr, plan.FaultReads, plan.FaultFull, plan.FaultPhantom:
		return b.breakDisk(f.Kind)
	case plan.FaultLostWrite, plan.FaultMiswrite, plan.FaultMisread, plan.FaultStaleSize:
		b.disk.mislead(f.Kind, int(max(f.Rate, 1)), func() { w.matters(f.Kind) })
		return false // see mislead.go
	case plan.FaultClockJump:
		b.unixOffsetMs += f.Rate
		return f.Rate != 0
	}
	if w.disturb(f, b, +1) { // of some of them it shows later, see matters
		return (f.Kind == plan.FaultFreeze || f.Kind == plan.FaultSlow) && b.node != nil
	}
	w.net.change(f, b, +1, w.now+at(f.For))
	return f.Kind != plan.FaultRing || len(w.brokers) > 3
}

// disturb switches on (+1) or off (-1) what concerns one broker and acts on some frames, messages or steps only.
func (w *world) disturb(f *plan.Fault, b *broker, by int64) bool {
	switch f.Kind {
	case plan.FaultCut:
		b.cutRate += by * f.Rate
	case plan.FaultBits:
		b.bitsRate += by * f.Rate
	case plan.FaultTorn:
		b.tornRate += by * f.Rate
	case plan.FaultStorm:
		w.storm.on += int(by)
		w.storm.patience = max(plan.Duration(f.Rate), 1) * millisecond
	case plan.FaultSlow:
		b.stepRate += by * max(f.Rate, 1)
	case plan.FaultFreeze:
		if b.still == 0 {
			b.stillMs = b.unixMs(w.now)
		}
		b.still += int(by)
	default:
		return false
	}
	return true
}

// matters notes that a fault that is on made a difference.
func (w *world) matters(kind plan.FaultKind) { w.result.Faults[kind.Index()].Mattered++ }

// breakDisk lets calls of a broker's disk fail, or seem to succeed.
func (b *broker) breakDisk(kind plan.FaultKind) bool {
	switch kind {
	case plan.FaultSyncError:
		b.disk.failSyncs++
	case plan.FaultWriteErr:
		b.disk.failWrites++
	case plan.FaultReads:
		b.failReads++
	case plan.FaultFull:
		b.full++
		b.disk.full = true
	case plan.FaultPhantom:
		b.disk.phantom++
		return false // see end
	}
	return true
}

func (w *world) slowDisk(f *plan.Fault, b *broker) bool {
	if f.Kind == plan.FaultStall {
		b.stalledUntil = max(b.stalledUntil, w.now+at(f.For))
		return true
	}
	b.slowness += max(f.Rate, 1)
	return true
}

// easeDisk makes a disk faster again. What it has under way is the faster for the rest of its time: a file that a slow disk
// began to make could keep it for half a minute after that otherwise.
func (w *world) easeDisk(b *broker, slowness int64) {
	b.slowness = slowness
	w.heap.change(func(e *event) node.Time {
		if e.kind != evOp || e.broker != b || e.slowness <= slowness {
			return e.at
		}
		left := (e.at - w.now) / node.Time(1+e.slowness) * node.Time(1+slowness)
		e.slowness = slowness
		return w.now + left
	})
}

// end undoes a fault that lasted.
func (w *world) end(i int, b *broker) {
	f := w.armed[i].fault
	if w.healing {
		return // everything was undone at once
	}
	w.noteFault(f, b, "ends")
	w.disturbed()
	switch f.Kind {
	case plan.FaultRefuse:
		b.refusing--
	case plan.FaultSilence, plan.FaultStall:
	case plan.FaultOldCopy:
		if w.putBack(b) {
			w.result.Faults[f.Kind.Index()].Mattered++
		}
	case plan.FaultSecond:
		if w.second(b, f) {
			w.result.Faults[f.Kind.Index()].Mattered++
		}
	case plan.FaultReads:
		b.failReads--
	case plan.FaultFull:
		b.full--
		b.disk.full = b.full > 0
	case plan.FaultPhantom:
		b.disk.phantom--
		if b.disk.unkept > 0 {
			b.disk.unkept = 0
			w.matters(f.Kind)
		}
		w.crash(b, true, span(w.seed.Draw(domainRestart, uint64(b.number), b.crashes), second))
	case plan.FaultSlowDisk:
		w.easeDisk(b, b.slowness-max(f.Rate, 1))
	default:
		if !w.disturb(f, b, -1) {
			w.net.change(f, b, -1, w.now)
		}
	}
}
