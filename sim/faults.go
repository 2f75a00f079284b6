// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"

	"chronik/node"
)

// FaultKind names a fault of a plan.
type FaultKind string

// The kinds of fault. For is how long it lasts; the broker is Fault.Target.
const (
	FaultKill     FaultKind = "kill"           // kill -9, start again after For
	FaultPower    FaultKind = "power"          // power loss, start again after For
	FaultRecovery FaultKind = "recovery-crash" // power loss; the recovery after For dies at its Rate-th disk call
	FaultStop     FaultKind = "stop"           // a clean stop, as by SIGTERM; start again after For
	FaultPause    FaultKind = "pause"          // the process stands still, its clocks and peers go on

	FaultIsolate  FaultKind = "isolate"   // cut off from all brokers, both ways
	FaultSends    FaultKind = "mute"      // one way: what it sends to brokers is lost
	FaultReceives FaultKind = "deaf"      // one way: what brokers send to it is lost
	FaultLink     FaultKind = "link"      // cut off from Peer only
	FaultHalves   FaultKind = "halves"    // the brokers fall into two parts, Rate is the set of the first part's bits
	FaultClog     FaultKind = "clog"      // what it sends to brokers waits and comes as a burst
	FaultLoss     FaultKind = "loss"      // all links lose Rate of 1000 messages
	FaultDup      FaultKind = "duplicate" // all links deliver Rate of 1000 messages twice
	FaultTail     FaultKind = "tail"      // all links delay Rate of 1000 messages by up to seconds

	FaultPeers FaultKind = "peer-reset" // its connections to brokers break, though both ends live

	FaultReset   FaultKind = "reset"   // its client connections break
	FaultRefuse  FaultKind = "refuse"  // its client connections break and no new ones are taken
	FaultSilence FaultKind = "silence" // half-open: nothing passes between it and its clients for a while

	FaultSlowDisk  FaultKind = "slow-disk"   // its disk takes Rate times as long
	FaultStall     FaultKind = "stall"       // its disk finishes nothing
	FaultSyncError FaultKind = "sync-error"  // its next sync fails and drops the pages
	FaultWriteErr  FaultKind = "write-error" // its next write fails half done

	FaultFull FaultKind = "disk-full" // its disk is full
	FaultRot  FaultKind = "rot"       // a bit of a committed entry on its disk changes, if the other replicas can repair that

	FaultClockJump FaultKind = "clock-jump" // its wall clock jumps by Rate ms, back if negative

	FaultJoin     FaultKind = "join"           // it joins, if it isn't in the cluster, with an empty disk
	FaultOldCopy  FaultKind = "old-copy"       // after For it dies and comes back with the folder as it was before, if the others know better
	FaultSecond   FaultKind = "second-process" // after For another process starts with its id, if all hear from it: Rate 1: with an empty folder, else with a copy
	FaultLoseDisk FaultKind = "lose-disk"      // it dies and comes back after For with an empty disk, if the others hold everything
)

// faultKinds lists the kinds in the order in which they are reported.
var faultKinds = []FaultKind{
	FaultKill, FaultPower, FaultRecovery, FaultPause,
	FaultIsolate, FaultSends, FaultReceives, FaultLink, FaultHalves, FaultClog, FaultLoss, FaultDup, FaultTail,
	FaultReset, FaultRefuse, FaultSilence,
	FaultSlowDisk, FaultStall, FaultSyncError, FaultWriteErr,
	FaultClockJump,
	FaultStop, FaultPeers,
	FaultJoin, FaultLoseDisk,
	FaultFull, FaultRot,
	FaultOldCopy,
	FaultSecond,
}

// drawnKinds are those that worlds of all kinds may have. What comes after them is drawn by itself, last, so that the
// other draws of a seed stay what they were.
var drawnKinds = faultKinds[:slices.Index(faultKinds, FaultSecond)]

// FaultNames lists the kinds of fault in the order of Result.Faults.
func FaultNames() []string {
	names := make([]string, len(faultKinds))
	for i, k := range faultKinds {
		names[i] = string(k)
	}
	return names
}

func (k FaultKind) index() int  { return slices.Index(faultKinds, k) }
func (k FaultKind) known() bool { return k.index() >= 0 }

// everywhere says that a kind is about all links and has no target.
func (k FaultKind) everywhere() bool {
	return k == FaultLoss || k == FaultDup || k == FaultTail || k == FaultHalves
}

// worldEvents are the events that anchors can name beside those of the node.
var worldEvents = []string{
	"write issued", // an OpWrite went to the disk and is not synced yet
	"write synced", // it was carried out, and the node was not told yet
	"restarted",    // a broker recovered
	"replied",      // a reply to a client went out
}

const (
	worldWriteIssued = iota
	worldWriteSynced
	worldRestarted
	worldReplied
)

// anchorIndex numbers the events that anchors can name: the node's, then the world's.
func anchorIndex(name string) (int, bool) {
	names := anchorNames()
	i := slices.Index(names, name)
	return i, i >= 0
}

func anchorKnown(name string) bool {
	_, ok := anchorIndex(name)
	return ok
}

// anchorNames lists the node's events by number, then the world's.
func anchorNames() []string { return append(eventNames(), worldEvents...) }

// eventNames lists the node's event kinds by number; index 0 is invalid.
func eventNames() []string {
	names := []string{"invalid"}
	for k := node.EventInvalid + 1; k < node.EventKinds; k++ {
		names = append(names, k.String())
	}
	return names
}

// armed is a fault that waits for its time or its event.
type armed struct {
	fault  *Fault
	event  int    // anchorIndex; -1 for a fault with a time
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
			a.event, _ = anchorIndex(f.After.Event)
			a.broker = f.After.Broker
			w.anchored[a.event] = append(w.anchored[a.event], i)
		}
		w.armed[i] = a
	}
}

// observe counts an event at a broker and schedules the faults that waited for it. A fault without
// delay fires before anything else happens.
func (w *world) observe(event_ int, b *broker) {
	for _, i := range w.anchored[event_] {
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
	if f.Kind.everywhere() {
		w.begin(i, nil)
		return
	}
	for _, b := range w.targets(a, here) {
		w.begin(i, b)
	}
}

// targets returns the brokers that a fault hits now.
func (w *world) targets(a *armed, here *broker) []*broker {
	f := a.fault
	if n, ok := f.Target.broker(); ok {
		return w.brokers[n-1 : n]
	}
	switch f.Target {
	case TargetAll:
		return w.brokers
	case TargetHere:
		return []*broker{here}
	}
	leader := w.leader(node.GroupID(f.Group))
	if f.Target == TargetLeader {
		if leader == nil {
			return nil
		}
		return []*broker{leader}
	}
	return w.follower(node.GroupID(f.Group), leader, w.seed.draw(domainTarget, uint64(f.ID), a.fired))
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
func (w *world) follower(g node.GroupID, leader *broker, d draw) []*broker {
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
	i := d.below(int64(len(followers)))
	return followers[i : i+1]
}

// begin starts one fault at one broker (nil for those that are everywhere), and schedules its end.
func (w *world) begin(i int, b *broker) {
	f := w.armed[i].fault
	k := f.Kind.index()
	if w.straying() {
		return
	}
	w.result.Faults[k].Fired++
	w.noteFault(f, b, "begins")
	w.holdUp(f, b)
	if w.takeEffect(f, b) {
		w.result.Faults[k].Mattered++
	}
	if f.Kind.lasts() {
		w.schedule(event{at: w.now + at(f.For), kind: evFaultEnd, index: i, broker: b})
	}
}

// lasts says that something has to be undone when For is over; restarts are scheduled by crash.
func (k FaultKind) lasts() bool {
	switch k {
	case FaultIsolate, FaultSends, FaultReceives, FaultLink, FaultHalves, FaultClog, FaultLoss, FaultDup,
		FaultTail, FaultRefuse, FaultSilence, FaultSlowDisk, FaultStall, FaultFull, FaultOldCopy, FaultSecond:
		return true
	}
	return false
}

// takeEffect applies f and says whether it can have mattered, as far as that is known at once.
func (w *world) takeEffect(f *Fault, b *broker) bool {
	switch f.Kind {
	case FaultKill:
		return w.crash(b, false, at(f.For))
	case FaultPower:
		return w.crash(b, true, at(f.For))
	case FaultRecovery:
		b.dieAt = int(max(f.Rate, 0))
		return w.crash(b, true, at(f.For))
	case FaultJoin:
		return w.join(b)
	case FaultRot:
		return w.rot(b, f)
	case FaultFull:
		b.full++
		b.disk.full = true
		return true
	case FaultOldCopy:
		w.copyFolder(b)
		return false // see end
	case FaultSecond:
		w.lend(b, f)
		return false // see end
	case FaultLoseDisk:
		return w.loseDisk(b, at(f.For))
	case FaultStop:
		return w.beginStop(b, at(f.For))
	case FaultPause:
		b.pausedUntil = max(b.pausedUntil, w.now+at(f.For))
		return b.node != nil
	case FaultPeers:
		b.crashes++ // keys the delays
		return w.loseBroker(b, false)
	case FaultReset, FaultRefuse:
		broke := w.breakConns(b)
		if f.Kind == FaultRefuse {
			b.refusing++
		}
		return broke
	case FaultSilence:
		b.silentUntil = max(b.silentUntil, w.now+at(f.For))
		return true
	case FaultSlowDisk, FaultStall:
		return w.slowDisk(f, b)
	case FaultSyncError:
		b.disk.failSyncs++
		return true
	case FaultWriteErr:
		b.disk.failWrites++
		return true
	case FaultClockJump:
		b.unixOffsetMs += f.Rate
		return f.Rate != 0
	}
	w.net.change(f, b, +1, w.now+at(f.For))
	return true
}

func (w *world) slowDisk(f *Fault, b *broker) bool {
	if f.Kind == FaultStall {
		b.stalledUntil = max(b.stalledUntil, w.now+at(f.For))
		return true
	}
	b.slowness += max(f.Rate, 1)
	return true
}

// end undoes a fault that lasted.
func (w *world) end(i int, b *broker) {
	f := w.armed[i].fault
	if w.healing {
		return // everything was undone at once
	}
	w.noteFault(f, b, "ends")
	switch f.Kind {
	case FaultRefuse:
		b.refusing--
	case FaultSilence, FaultStall:
	case FaultOldCopy:
		if w.putBack(b) {
			w.result.Faults[f.Kind.index()].Mattered++
		}
	case FaultSecond:
		if w.second(b, f) {
			w.result.Faults[f.Kind.index()].Mattered++
		}
	case FaultFull:
		b.full--
		b.disk.full = b.full > 0
	case FaultSlowDisk:
		b.slowness -= max(f.Rate, 1)
	default:
		w.net.change(f, b, -1, w.now)
	}
}
