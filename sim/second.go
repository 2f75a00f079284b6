// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"cmp"
	"slices"

	"chronik/node"
	"chronik/sim/keyed"
	"chronik/sim/plan"
)

// A second process may be started under a broker's id, elsewhere, while the first one runs: with an empty folder, which
// joins, or with a copy of the first one's. It must be told so by whoever hears from the first one, and end, before it serves
// anybody; and the first one must go on as if nothing were. No other fault begins meanwhile.
//
// The atlas: a copy that is as new as the folder itself has voted as that has, and could vote once more where nobody
// hears from the first one. No broker can keep it from that. So it is started only while all brokers are up and
// hear from the first one, over a sound network.

// lend keeps a copy of a folder for a second process.
func (w *world) lend(b *broker, f *plan.Fault) {
	b.lent = nil
	if b.node != nil && f.Rate != plan.SecondEmpty {
		b.lent = b.disk.image()
	}
}

// second starts a second process beside a broker that runs, and says whether it did.
func (w *world) second(b *broker, f *plan.Fault) bool {
	lent := b.lent
	b.lent = nil
	if f.Rate != plan.SecondEmpty && lent == nil || !w.heardByAll(b) {
		return false
	}
	w.secondStarts++
	s := &broker{
		number: b.number, diskNumber: b.diskNumber, met: b.met, clock: b.clock, wake: w.now, bootedAt: w.now,
		incarnation: 1000 + w.secondStarts, disk: lent, first: b, stray: true, newer: true, empty: f.Rate == plan.SecondEmpty,
	}
	if s.empty {
		s.disk = newDisk(w.seed, keyed.Pair(b.number, 1<<21+int(w.secondStarts)))
		s.diskNumber += 1000 + uint32(w.secondStarts)
	}
	w.random.turn(s)
	cfg := w.config(s)
	s.budget = cmp.Or(cfg.StepBudget, node.StepBudget)
	n, err := node.Open(cfg, s.disk, s.local(w.now))
	w.random.done(s)
	if err != nil {
		w.fail("second-process", "a second broker %d doesn't start: %v", b.number, err)
	}
	s.node = n
	w.extra = append(w.extra, s)
	if w.tracing() {
		w.tracef("%s  a second process starts", w.column(s))
	}
	return true
}

// heardByAll says that a broker runs, and that all others do and hear from it.
func (w *world) heardByAll(b *broker) bool {
	if b.node == nil || !b.node.Ready() || b.leaving || b.alone || w.straying() || w.founding() || w.net.troubled() || w.plan.Leaves(b.number) {
		return false
	}
	others := 0
	for _, o := range w.brokers {
		if o.diskNumber == 0 || o.leaving {
			continue
		}
		sound := o.disk.failSyncs+o.disk.failWrites == 0 && o.dieAt == 0 && o.stopBy == 0 && o.pausedUntil <= w.now && o.stalledUntil <= w.now && o.slowness == 0 && o.tornRate == 0 && o.stepRate == 0
		if o.node == nil || !o.node.Ready() || !sound || o != b && !o.node.Hears(node.BrokerID(b.number)) {
			return false
		}
		others += btoi(o != b)
	}
	return others > 0
}

// troubled says that some fault of the network is on.
func (n *network) troubled() bool {
	for a := range n.links {
		for b := range n.links[a] {
			if l := &n.links[a][b]; l.cut > 0 || l.clogs > 0 || l.narrows > 0 {
				return true
			}
		}
	}
	return n.lossRate+n.dupRate+n.tailRate > 0
}

// elsewhere is what a second process is told of itself: it isn't where others look for the broker.
func elsewhere(s *broker, members []node.Member) []node.Member {
	members = slices.DeleteFunc(members, func(m node.Member) bool { return m.ID == node.BrokerID(s.number) })
	self := machine(s.number)
	self.Peer += " elsewhere"
	return append(members, self)
}

// sendBack answers a second process. What others say to the broker goes to the first one.
func (w *world) sendBack(b *broker, m node.Envelope) {
	i := slices.IndexFunc(w.extra, func(s *broker) bool { return s.incarnation == m.Back && s.number == int(m.To) })
	if i < 0 {
		return
	}
	t, again := w.net.arrivals(w.now, b.number, int(m.To), 0)
	if t != node.Never {
		w.schedule(event{at: t, kind: evMessage, broker: w.extra[i], from: b.number, pieces: m.Pieces, hash: hashOfPieces(m.Pieces)})
	}
	if again != node.Never { // it comes only once
		w.net.links[b.number][m.To].queued--
	}
}

// stepped looks at a second process after each step.
func (w *world) stepped(s *broker) {
	if s.node.Ready() {
		w.fail("second-process", "a second broker %d is taken in, while the first one is heard of by all", s.number)
	}
}

// secondEnded takes its end.
func (w *world) secondEnded(s *broker, end *node.End) {
	want := node.EndOutdated
	if s.empty {
		want = node.EndTaken
	}
	if end.Kind != want {
		w.fail("second-process", "a second broker %d ends for another reason: %v", s.number, end)
	}
	s.node = nil
	w.extra = slices.DeleteFunc(w.extra, func(o *broker) bool { return o == s })
	if w.tracing() {
		w.tracef("%s  the second process ends: %v", w.column(s), end)
	}
}

// mayBeTaken says that a broker which comes with an empty disk may hear that its id is taken: messages of the process
// before it were under way not long ago. Its operator tries again.
func (w *world) mayBeTaken(b *broker) bool {
	return b.diskNumber > 1 && b.crashes > 0 && w.now <= w.onItsWay(b.diedAt)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
