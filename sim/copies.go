// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"

	"chronik/node"
	"chronik/sim/plan"
	"chronik/wal"
)

// A data folder that is put back from a copy of itself has forgotten votes and entries that its broker answered for. The
// others have to refuse it, and it has to say so and end; then its operator puts the newest folder back, or empties it
// and lets the broker join again.
//
// The atlas: what the others know of a broker is in their memory. So a copy is put back only where each of them is up and
// has seen more of the broker's log than the copy holds, and where the broker never decided anything alone: nobody could
// keep it from doing so again before it is refused. No fault begins before it has ended. What it says and
// writes is not judged.

// folderCopy is a copy of a data folder.
type folderCopy struct {
	disk *disk
	end  wal.LSN // of its log
}

// newest is what a broker has that runs on a copy: the folder in whose place that is.
type newest struct {
	disk  *disk
	limbo []wal.Op
}

// copyFolder takes a copy.
func (w *world) copyFolder(b *broker) {
	b.copied = nil
	if b.node == nil || b.stray {
		return
	}
	img := b.disk.image()
	if _, report, err := wal.Open(img.image(), w.config(b).Log); err == nil {
		b.copied = &folderCopy{img, report.End}
	}
}

// putBack lets a broker die and start again with the copy, if it can be told from the newest folder.
func (w *world) putBack(b *broker) bool {
	c := b.copied
	b.copied = nil
	if c == nil || b.node == nil || b.leaving || b.alone || w.straying() || w.founding() {
		return false
	}
	for _, o := range w.brokers {
		sound := o.disk.failSyncs+o.disk.failWrites == 0 && o.dieAt == 0 && o.stopBy == 0
		if o.diskNumber > 0 && !o.leaving && (o.node == nil || !sound || o != b && o.node.Seen(node.BrokerID(b.number), b.diskNumber) <= c.end) {
			return false
		}
	}
	w.crash(b, false, node.Time(second))
	b.newest = newest{b.disk, b.limbo}
	b.disk, b.limbo, b.stray = c.disk, nil, true
	b.disk.full = b.full > 0
	return true
}

// straying says that some broker runs, or is about to run, on an older copy of its folder, or that two have one id.
func (w *world) straying() bool {
	return len(w.extra) > 0 || slices.ContainsFunc(w.brokers, func(b *broker) bool { return b.stray })
}

// strayEnded puts the newest folder of a broker that was refused back, or lets it join with an empty one.
func (w *world) strayEnded(b *broker, end *node.End) {
	removed := end.Kind == node.EndRemoved && b.removed == b.diskNumber
	if end.Kind != node.EndOutdated && !removed {
		w.fail("older-copy", "broker %d runs on an older copy of its folder, and ends for another reason: %v", b.number, end)
	}
	w.crash(b, true, node.Time(second))
	b.putNewestBack()
	if w.spare(b) && w.seed.Draw(domainLeave, uint64(b.number), b.crashes).Ratio(1, 2) {
		w.newDisk(b)
	}
}

// putNewestBack ends that a broker has an older copy of its folder.
func (b *broker) putNewestBack() {
	if b.stray {
		b.disk, b.limbo, b.stray = b.newest.disk, b.newest.limbo, false
		b.disk.full = b.full > 0
		b.newest = newest{}
	}
}

// waitForStrays demands that older copies of folders are refused.
func (w *world) waitForStrays() {
	if !w.runUntil(w.now+w.patience(), func() bool { return !w.straying() }) {
		if len(w.extra) > 0 {
			w.fail("second-process", "a second broker %d still runs %v after all faults ended", w.extra[0].number, plan.Duration(w.now-w.healedAt))
		}
		i := slices.IndexFunc(w.brokers, func(b *broker) bool { return b.stray })
		w.fail("older-copy", "broker %d runs on an older copy of its folder, and isn't refused within %v after all faults ended", i+1, plan.Duration(w.now-w.healedAt))
	}
}
