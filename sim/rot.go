// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"

	"chronik/node"
	"chronik/sim/keyed"
	"chronik/sim/plan"
	"chronik/wal"
)

// rotten is a replica of which a committed entry can't be read any more.
type rotten struct {
	broker *broker
	group  node.GroupID
	self   uint64
	index  uint64
	file   string // where the bit is
	off    int64

	// What moved found when that was last looked for, as counted by disksDid.
	wasMoved bool
	lookedAt int64
}

// rot changes a bit of a committed entry on a broker's disk. The fault atlas: the entry is durable on
// every replica of its group, all of them are there and well, and they stay at least three, so that
// the others can make this one whole again. It is in a segment that has ended: in the last one, rot
// can't be told from a write that was torn by a power loss.
func (w *world) rot(b *broker, f *plan.Fault) bool {
	if b.diskNumber == 0 || b.leaving {
		return false
	}
	d := w.seed.Draw(domainRot, uint64(f.ID), w.armedOf(f).fired)
	if w.plan.Beyond() {
		return b.disk.rotAnywhere(d)
	}
	seen := w.judge.seen[b.number]
	for range seen {
		d = d.Next()
		r := seen[d.Below(int64(len(seen)))]
		if limit := w.commonCommit(b, r); limit > 0 && w.rotEntry(b, f, r, limit, d.Next()) {
			return true
		}
	}
	return false
}

func (w *world) armedOf(f *plan.Fault) *armed {
	for i := range w.armed {
		if w.armed[i].fault == f {
			return &w.armed[i]
		}
	}
	panic("every fault of the plan is armed")
}

// commonCommit returns the commit index that is durable on all replicas of a group; 0 if one of them is
// not well, or there are too few.
func (w *world) commonCommit(b *broker, r *seenReplica) uint64 {
	v := &r.view
	if r.group == 0 || v.Topic == "" || w.judge.gone[r.group] || w.plan.FewestReplicas(v.Topic, v.Partition) < 3 ||
		len(v.Voters) < 3 || len(v.Outgoing) > 0 || v.ConfIndex < w.judge.newestConfig(r.group) {
		return 0
	}
	limit := v.Commit
	for _, id := range append(replicaIDs(v.Voters), replicaIDs(v.Learners)...) {
		if !w.current(id, r.group) {
			return 0
		}
		o := w.brokers[id.Broker()-1]
		limit = min(limit, o.disk.commits(w.config(o).Log)(r.group))
	}
	return limit
}

// rotEntry damages one entry of a replica up to limit, if its disk has one where it can be damaged.
func (w *world) rotEntry(b *broker, f *plan.Fault, r *seenReplica, limit uint64, d keyed.Draw) bool {
	log, _, err := wal.Open(b.disk.image(), w.config(b).Log)
	if err != nil {
		return false
	}
	st, ok := log.State(r.group)
	if !ok || st.First > limit {
		return false
	}
	index := uint64(d.Between(int64(st.First), int64(limit)))
	op, err := log.Read(r.group, index, index+1, 1)
	if err != nil || op.File == b.lastFile || op.N <= recordGap {
		return false
	}
	off := op.Off + d.Next().Below(op.N-recordGap)
	switch {
	case f.Kind == plan.FaultSector && !b.disk.spoil(op.File, off),
		f.Kind == plan.FaultRot && !b.disk.rot(op.File, off, byte(1)<<d.Next().Next().Below(8)):
		return false
	}
	w.rotten = append(w.rotten, rotten{broker: b, group: r.group, self: r.view.Self, index: index, file: op.File, off: off})
	if w.tracing() {
		w.tracef("%s  entry %d of group %d rots", w.column(b), index, r.group)
	}
	return true
}

// recordGap is more than there may be between two records of a log, in bytes which mean nothing.
const recordGap = 8

// settled returns a file that has a durable byte; nil if it isn't there or is being written.
func (d *disk) settled(name string, off int64) *file {
	i, ok := find(d.durable, name)
	if !ok || off >= d.durable[i].file.durableSize {
		return nil
	}
	f, n := d.durable[i].file, off/pageBytes
	if int(n) >= len(f.pages) || f.pages[n] == nil || f.pages[n] != f.durable[n] || f.dirty[n] {
		return nil
	}
	return f
}

// rot changes bits of a durable byte; false if it isn't there or is being written.
func (d *disk) rot(name string, off int64, bits byte) bool {
	f, n := d.settled(name, off), off/pageBytes
	if f == nil {
		return false
	}
	changed := *f.pages[n]
	changed[off%pageBytes] ^= bits
	f.pages[n], f.durable[n] = &changed, &changed
	return true
}

// spoil makes a durable byte unreadable until it is written again; false if it isn't there or is being written. A sector would take other groups'
// entries with it, and those of the catalog, whose loss ends the broker.
func (d *disk) spoil(name string, off int64) bool {
	f := d.settled(name, off)
	if f == nil {
		return false
	}
	f.bad = append(f.bad, off)
	return true
}

// unreadable says whether a stretch of the file has a byte that can't be read.
func (f *file) unreadable(off, n int64) bool {
	return slices.ContainsFunc(f.bad, func(at int64) bool { return at >= off && at < off+n })
}

// rewrite makes the sectors readable that are written: the device puts them elsewhere.
func (f *file) rewrite(off, n int64) {
	f.bad = slices.DeleteFunc(f.bad, func(at int64) bool {
		return at/sectorBytes >= off/sectorBytes && at/sectorBytes <= (off+n-1)/sectorBytes
	})
}

// showEnd makes the sectors readable in which a log ends. Behind the end lies what is left of the file's earlier life. If that can't
// be read, nobody can tell whether the log ends there, and a refusal to start is right.
func (d *disk) showEnd(name string, end int64) {
	if i, ok := find(d.cached, name); ok {
		d.cached[i].file.rewrite(end, sectorBytes)
	}
}

// isRotten says whether a replica is known to be damaged.
func (w *world) isRotten(self uint64, g node.GroupID) bool {
	for i := range w.rotten {
		if r := &w.rotten[i]; r.group == g && r.self == self {
			return true
		}
	}
	return false
}

// checkDamage demands that a replica is given up only for what its disk has lost.
func (w *world) checkDamage(b *broker, e node.Event) {
	v, ok := b.node.Inspect(e.Group)
	if ok && !w.plan.Beyond() && !w.isRotten(v.Self, e.Group) {
		w.fail("unfounded", "broker %d gives up its replica of group %d, of which its disk has lost nothing: %s", b.number, e.Group, e.Text)
	}
}

// moved says whether the damaged entry is read from elsewhere: the log may have been about to move it. The
// log's own checks are not asked.
func (w *world) moved(r *rotten) bool {
	if d := w.disksDid; r.lookedAt != d {
		r.lookedAt, r.wasMoved = d, false
		if log, _, err := wal.Open(r.broker.disk.image(), w.config(r.broker).Log); err == nil {
			op, err := log.Read(r.group, r.index, r.index+1, 1)
			r.wasMoved = err == nil && (op.File != r.file || r.off < op.Off || r.off >= op.Off+op.N)
		}
	}
	return r.wasMoved
}

// scrubRound is how long a scrub of the largest log takes at most: of each segment the header, what is live and the seal, one read
// in each tick. At worst what is live lies so scattered that each read finds a KiB of it.
func (w *world) scrubRound() node.Time {
	files := 0
	for _, b := range w.brokers {
		files = max(files, len(b.disk.durable))
	}
	return node.Time(w.plan.Knobs.Tick) * node.Time(int64(files)*(3+int64(w.plan.Knobs.SegmentBytes)>>10))
}

// unrepaired names a replica that still has a damaged entry and that nobody has replaced; empty if there is none.
func (w *world) unrepaired() string {
	for i := range w.rotten {
		r := &w.rotten[i]
		if r.broker.node == nil {
			continue // it has left
		}
		if v, ok := r.broker.node.Inspect(r.group); ok && v.Self == r.self && v.FirstIndex <= r.index && !w.moved(r) {
			return fmt.Sprintf("entry %d of group %d on broker %d", r.index, r.group, r.broker.number)
		}
	}
	return ""
}

// waitForRepairs demands that every damaged replica is found out and replaced, unless it let go of the
// damaged entry.
func (w *world) waitForRepairs() {
	left := ""
	const pause = node.Time(70 * second) // a round begins a minute after the last one
	if !w.runUntil(w.now+w.patience()+pause+w.scrubRound(), func() bool {
		left = w.unrepaired()
		return left == ""
	}) {
		w.fail("rot-unnoticed", "the disk gives back %s changed or not at all, and nobody noticed and repaired it", left)
	}
}
