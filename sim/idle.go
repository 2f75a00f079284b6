// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"

	"chronik/node"
	"chronik/sim/plan"
	"chronik/wal"
)

// Work that nobody needs is seen by no client, only by whoever pays for the machine: groups that are advanced though nothing
// happened in them, records that are sent again and again, a disk that is written to by a cluster that does nothing. Steps
// count what they do (node.Work), and worlds what comes out of them. At two places it is known how much of it has to be
// (check wasteful).
//
//   - In an idle cluster all groups but the catalog are quiet: nothing is sent, ticked or advanced because of them. Nothing is applied or
//     written. Each group is looked at once a second.
//   - Where no fault ever was, work goes with what was asked for: each entry costs each replica so much and no more, whatever
//     other groups there are. And where messages arrive in order, each entry is sent to each follower once.
//
// And nobody needs a step for which nothing was there, and which did nothing.

// spent is what a broker has done since it was last set to nothing.
type spent struct {
	node.Work
	writes    int
	reads     int // and whatever else a disk is used for
	envelopes int // to other brokers
	bytes     int // of those
	vain      int // steps that got nothing and did nothing
}

func (s *spent) add(in *node.Input, out *node.Output) {
	w := &out.Work
	s.Entries, s.Walked, s.Advanced = s.Entries+w.Entries, s.Walked+w.Walked, s.Advanced+w.Advanced
	s.Saved, s.Placed, s.Parts = s.Saved+w.Saved, s.Placed+w.Placed, s.Parts+w.Parts
	s.Ticked, s.Appended, s.Owed, s.Sent = s.Ticked+w.Ticked, s.Appended+w.Appended, s.Owed+w.Owed, s.Sent+w.Sent
	for i := range out.Ops {
		if out.Ops[i].Kind == wal.OpWrite {
			s.writes++
		} else {
			s.reads++
		}
	}
	s.envelopes += len(out.Messages)
	for _, m := range out.Messages {
		for _, p := range m.Pieces {
			s.bytes += len(p)
		}
	}
	s.vain += btoi(gotNothing(in) && didNothing(out))
}

func gotNothing(in *node.Input) bool {
	return len(in.Requests)+len(in.Hangups)+len(in.Messages)+len(in.Lost)+len(in.Refused)+len(in.Results)+len(in.Done) == 0 && !in.Stop
}

func didNothing(out *node.Output) bool {
	return out.Work == node.Work{} && len(out.Replies)+len(out.Messages)+len(out.Ops)+len(out.Tasks)+len(out.Events)+len(out.Changed)+len(out.Members) == 0
}

// checkWork compares the work of the safety phase with what was asked for.
func (w *world) checkWork() {
	for _, b := range w.brokers {
		if s := &b.spent; s.vain > 32+int(b.steps)/64 {
			w.fail("wasteful", "broker %d got nothing in %d of %d steps, and did nothing", b.number, s.vain, b.steps)
		}
	}
	if len(w.plan.Faults)+len(w.plan.Attacks)+len(w.plan.Lies) > 0 || w.result.Events[node.EventLostLeadership]+w.result.Crashes > 0 {
		return
	}
	for _, b := range w.brokers {
		w.checkLoad(b)
	}
}

// checkLoad compares what a broker did with the entries that it got and the ticks that passed. It is meant for what grows with something
// else, such as the number of groups, so it allows twice as much as was ever seen.
func (w *world) checkLoad(b *broker) {
	s, groups := &b.spent, len(w.judge.groups)
	if w.plan.Knobs.LinkInOrder && s.Sent > s.Owed+s.Owed/2+sentSlack*groups {
		w.fail("wasteful", "broker %d appended entries of which followers need %d copies, and sent %d entries; there are %d groups", b.number, s.Owed, s.Sent, groups)
	}
	beats := s.Ticked / w.plan.Knobs.HeartbeatTicks // of all groups
	ticks := int(w.now / node.Time(w.plan.Knobs.Tick))
	all := groups * ticks
	for _, c := range []struct {
		what      string
		did, most int
	}{
		{"looked at groups because it looks at all", s.Walked, s.Ticked + all/4 + ticks + 40}, // the compactor does once a second, and so often quiet groups are visited, but one in each tick
		{"advanced groups", s.Advanced, beats + beats/3 + 10*(s.Appended+20)},
		{"wrote to its disk", s.writes, 5*(s.Appended+20) + w.piecesOfRights(s)},
	} {
		if c.did > c.most {
			w.fail("wasteful", "broker %d has %d groups, ticked them %d times and appended %d entries; it %s %d times, and %d is much", b.number, groups, s.Ticked, s.Appended, c.what, c.did, c.most)
		}
	}
}

// piecesOfRights is how many pieces of states may be written one by one: with users and rules the catalog has many.
func (w *world) piecesOfRights(s *spent) int {
	if w.secure == nil {
		return 0
	}
	return s.Saved
}

// sentSlack is for entries of a group that come before all its replicas are there: all that there are so far are sent again with
// each heartbeat.
const sentSlack = 16

// idleTicks is how long the cluster is watched while it is idle.
const idleTicks = 12

// idle watches a cluster of which nobody wants anything. Before, disks that were full are tried, which is done once a second, and
// so are checkpoints for which there was no room; messages arrive that a fault has held up; and followers hear of the last
// commits by heartbeats.
func (w *world) idle() {
	if w.busyByItself() {
		return
	}
	k := &w.plan.Knobs
	tick := node.Time(k.Tick)
	w.runUntil(w.now+w.patience(), w.afterSteps(func() bool { return !w.paces() && !w.heldUp() }))
	w.runUntil(w.now+w.patience(), func() bool { return !w.cleansUp() })
	if slices.ContainsFunc(w.plan.Faults, func(f plan.Fault) bool { return f.Kind == plan.FaultFull }) {
		w.runUntil(w.now+at(3*second/2), func() bool { return false })
	}
	if len(w.transactors) > 0 { // coordinators note a while later that their last transactions are complete
		w.runUntil(w.now+at(2*second), func() bool { return false })
		// And checkpoints of what a change of leaders brought come late, if nothing else is written.
		w.runUntil(w.now+w.patience(), func() bool { return w.now >= w.rest.lastAt+at(5*second) })
	}
	w.keepsNothing()
	w.fallsAsleep()
	stirred := w.stirred() // whoever wakes for one of these is awake for some time
	// Late messages may wake some, and quiet groups are looked at once a second, whether a checkpoint is due.
	w.runUntil(w.now+at(second)+tick*node.Time(2*k.HeartbeatTicks+1), func() bool { return false })
	w.fallsAsleep()
	for _, b := range w.brokers {
		b.spent = spent{}
	}
	w.runUntil(w.now+tick*idleTicks, func() bool { return false })
	if w.stirred() != stirred {
		return
	}
	for _, b := range w.brokers {
		if b.node != nil {
			w.checkIdle(b)
		}
	}
	w.wake()
}

// stirred counts what happens now and then for a reason: elections, members of consumer groups and producers that were silent for too long, and
// brokers of which a slow message kept all later ones back.
func (w *world) stirred() int {
	e := w.result.Events
	return int(e[node.EventNewTerm] + e[node.EventGroupMemberLost] + e[node.EventGroupExpired] + e[node.EventProducersGone] + e[node.EventBrokerSilent])
}

// cleansUp says that some disk was used just now, but to read: a broker removes the files of what was deleted, one after the other.
func (w *world) cleansUp() bool {
	return slices.ContainsFunc(w.brokers, func(b *broker) bool {
		return b.node != nil && w.now-b.changedDisk < 2*node.Time(w.plan.Knobs.Tick)
	})
}

// keepsNothing waits until no entries are kept any more for followers that were offered a checkpoint, which is for four election
// timeouts, and until what follows from it is over: when they go a segment may begin, and then each group makes a checkpoint.
func (w *world) keepsNothing() {
	limit, tick := w.now+w.patience(), node.Time(w.plan.Knobs.Tick)
	w.runUntil(limit, w.afterSteps(func() bool { return !w.offers() }))
	for made := int64(-1); made != w.result.Events[node.EventCheckpoint] && w.now < limit; {
		made = w.result.Events[node.EventCheckpoint]
		w.runUntil(w.now+2*tick, func() bool { return false })
	}
}

// offers says that some broker keeps entries because a follower was offered a checkpoint.
func (w *world) offers() bool {
	return slices.ContainsFunc(w.brokers, func(b *broker) bool {
		return b.node != nil && slices.ContainsFunc(b.node.Groups(), func(g node.GroupID) bool {
			v, _ := b.node.Inspect(g)
			return v.Offers
		})
	})
}

// heldUp says that a message is under way for longer than any is without a fault.
func (w *world) heldUp() bool {
	for _, k := range w.heap.keys {
		if e := &w.heap.slab[k.slot]; e.kind == evMessage && e.at > w.now+node.Time(w.plan.Knobs.Tick) {
			return true
		}
	}
	return false
}

// idleFor is how many ticks each broker may have had meanwhile: clocks differ.
func (w *world) idleFor() int {
	drift := int64(0)
	for _, c := range w.plan.Clocks {
		drift = max(drift, c.DriftPPM, -c.DriftPPM)
	}
	return idleTicks + int(2*idleTicks*drift/1_000_000) + 1
}

// checkIdle compares what a broker did with what idle groups cost.
func (w *world) checkIdle(b *broker) {
	s, k, ticks, others := &b.spent, &w.plan.Knobs, w.idleFor(), len(w.brokers)-1
	beats := ticks/k.HeartbeatTicks + 1
	visits := int(int64(ticks)*int64(k.Tick)/int64(second)) + 1
	groups, quiet, links := 0, 0, 0
	for _, g := range b.node.Groups() {
		v, _ := b.node.Inspect(g)
		groups, quiet = groups+1, quiet+btoi(v.Quiet)
		if g == 0 { // the catalog is never quiet
			links = 1
			if v.Role == node.Leader {
				links = len(v.Voters) + len(v.Learners) - 1
			}
		}
	}
	for _, c := range []struct {
		what         string
		did, needing int
	}{
		{"applied entries", s.Entries, 0},
		{"wrote to its disk", s.writes, 0},
		{"used its disk otherwise", s.reads, ticks}, // looking for rot
		{"made pieces of checkpoints", s.Saved, 0},
		{"opened or closed groups", s.Placed, 0},
		{"sent entries", s.Sent, 0},
		{"made a step for nothing", s.vain, 0},
		{"ticked groups", s.Ticked, ticks + 1},                                         // the catalog
		{"advanced groups", s.Advanced, beats + 2},                                     // some heartbeats were on their way, or wait for a slow broker
		{"looked at groups", s.Walked, ticks + 1 + (visits+visits+1)*groups},           // and the compactor does once a second
		{"sent messages", s.envelopes, beats*links + (ticks+(visits+1)*groups)*others}, // a visit may take a step of its own
		{"sent bytes", s.bytes, 24*s.envelopes + 24*beats*links + (32*groups+8*ticks)*others + w.levelBytes(s, ticks*others)},
	} {
		if c.did > c.needing+idleSlack {
			w.fail("wasteful", "broker %d has %d groups, %d of them quiet, and nothing happens; within %d ticks, with a heartbeat every %d, it %s %d times, and %d would do",
				b.number, groups, quiet, idleTicks, k.HeartbeatTicks, c.what, c.did, c.needing)
		}
	}
}

// busyByItself says that brokers have something to do without clients: records expire or are compacted, producers are forgotten, and
// invented brokers are spoken to for ever.
func (w *world) busyByItself() bool {
	return w.plan.Knobs.ProducerExpiry > 0 || len(w.plan.Lies) > 0 || slices.ContainsFunc(w.plan.Topics, func(t plan.Topic) bool {
		return t.Keys > 0 || t.RetentionBytes > 0 || t.RetentionMs > 0
	})
}

// idleSlack is what may happen now and then.
const idleSlack = 3
