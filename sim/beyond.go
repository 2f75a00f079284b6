// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"strings"

	"chronik/node"
	"chronik/sim/keyed"
)

// keptBeyond says that a check holds whatever disks do. What clients read was sent by somebody, byte by byte, and the code keeps
// its own rules.
func keptBeyond(check string) bool {
	switch check {
	case "content", "protocol", "aliasing", "bookkeeping", "step-budget", "large-sync", "large-write", "address", "write", "refusal", "tail-forgotten":
		return true
	}
	return false
}

// refused switches a machine off whose broker can't go on, and says why. An operator tries once more, in half of the cases.
func (w *world) refused(b *broker, why string) {
	if len(strings.Fields(why)) < 5 {
		w.fail("refusal", "broker %d ends and doesn't say why: %q", b.number, why)
	}
	if w.tracing() {
		w.tracef("%s  refuses to go on: %s", w.column(b), why)
	}
	d := w.seed.Draw(domainRestart, uint64(b.number), b.crashes+uint64(b.incarnation)<<32)
	if b.node != nil {
		w.crash(b, false, node.Time(second))
	}
	if !d.Ratio(1, 2) || b.refusals > 20 {
		b.away = true
		return
	}
	b.refusals++
	w.schedule(event{at: w.now + node.Time(second), kind: evRestart, broker: b, incarnation: b.incarnation})
}

// settleBeyond lets the world run on after its faults. Nothing has to work again, and nobody may break its own rules.
func (w *world) settleBeyond() {
	w.runUntil(w.now+w.patience(), func() bool { return false })
	w.checkAllNotes()
}

// rotAnywhere changes a bit of some durable byte, and says whether there was one. Most of a file is zeros that are yet to be
// written.
func (d *disk) rotAnywhere(draw keyed.Draw) bool {
	for range 20 {
		if len(d.durable) == 0 {
			return false
		}
		e := d.durable[draw.Below(int64(len(d.durable)))]
		draw = draw.Next()
		if n := e.file.durableSize; n > 0 && d.rot(e.name, draw.Below(n), byte(1)<<draw.Next().Below(8)) {
			return true
		}
		draw = draw.Next().Next()
	}
	return false
}
