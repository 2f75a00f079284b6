// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"fmt"
	"slices"
)

// ReplicaID names one replica of a group for ever: its broker in the upper 32 bits, and below a
// number, at least 1, that no replica of the group on that broker had before. A replica that lost
// its log, or was dropped, never comes back under its name.
type ReplicaID uint64

// NewReplicaID puts a name together.
func NewReplicaID(broker int32, number uint32) ReplicaID {
	return ReplicaID(uint64(uint32(broker))<<32 | uint64(number))
}

// Broker returns the broker on which the replica is or was.
func (id ReplicaID) Broker() int32 { return int32(id >> 32) }

// String returns the broker, and the number if it isn't the first: "3", "3#17".
func (id ReplicaID) String() string {
	if number := uint32(id); number > 1 {
		return fmt.Sprintf("%d#%d", id.Broker(), number)
	}
	return fmt.Sprint(id.Broker())
}

// replica is what has been observed of a replica of a group that runs, or did last.
type replica struct {
	id    ReplicaID
	view  View // the last one
	fresh bool // not observed yet since it started
	log   mirror
	life  *life // what its broker's disk has of it

	installed bool // a snapshot took the place of the log since the last view

	// checked is up to where the log was compared to the committed entries.
	checked uint64
}

// ballot is a term and the vote in it.
type ballot struct {
	term uint64
	vote ReplicaID // 0: none
}

type indexed struct {
	index uint64
	Entry
}

func newReplica(id ReplicaID) *replica { return &replica{id: id, fresh: true, log: newMirror(1)} }

// disk is what a broker's log has of a group: of one replica after the other, as they were begun and
// removed.
type disk struct {
	broker  int32
	lives   []*life
	running *replica // nil: none, as far as is known
	stopped *replica // what ran before the broker stopped
}

// life is the part of a broker's log that speaks of one replica.
type life struct {
	begins  uint64 // position in the log
	unseen  bool   // of a replica that nobody has seen yet; it may have begun earlier
	removed bool   // its end is durable, or the disk is lost
	ends    uint64 // position after which the log speaks of the next one, if removed; 0 on a lost disk

	log  mirror // by the truth of the disk
	vote ballot
	// replaced lists the entries that were put in the place of others and aren't durable yet: a
	// power loss may keep or undo each.
	replaced []indexed
	cutAfter uint64 // durable entries after this one may be gone through a snapshot; 0: none may
}

// blank reports whether nothing of a replica was ever durable.
func (l *life) blank() bool { return len(l.log.entries) == 0 && l.vote == ballot{} }

// begin adds the life of a replica whose records begin at a position.
func (d *disk) begin(begins uint64) *life {
	l := &life{begins: begins, log: newMirror(1)}
	d.lives = append(d.lives, l)
	return l
}

// life returns the one to which a durable record at a position of the log belongs. A log is recovered
// in order, so all that is before that position is durable, too: a replica before this one of which
// nothing is there wrote nothing, and its removal didn't, either.
func (d *disk) life(at uint64) *life {
	for i := len(d.lives) - 1; i >= 0; i-- {
		if l := d.lives[i]; l.begins <= at && !(l.removed && at >= l.ends) {
			for _, before := range d.lives[:i] {
				if before.blank() && !before.removed {
					before.removed, before.ends = true, before.begins
				}
			}
			return l
		}
	}
	l := d.begin(at)
	l.unseen = true
	return l
}

// lifeOf returns the life of a replica that is seen first, and whose records begin at a position. Some
// may be durable already: the header of a segment tells of every group.
func (d *disk) lifeOf(begins uint64) *life {
	if n := len(d.lives); n > 0 && d.lives[n-1].unseen && d.lives[n-1].begins >= begins {
		l := d.lives[n-1]
		l.begins, l.unseen = begins, false
		return l
	}
	return d.begin(begins)
}

// survivor returns the life that goes on when the broker starts: the first whose end isn't durable,
// because what comes after it in the log isn't durable either. The next ones never happened. All that
// the log says after the end of the one before is of the survivor, also at positions that the broker
// gave out once before and then lost.
func (d *disk) survivor() *life {
	ends := uint64(0)
	for i, l := range d.lives {
		if !l.removed {
			d.lives = d.lives[:i+1]
			l.begins = ends
			return l
		}
		ends = l.ends
	}
	return d.begin(ends)
}

// everDurable reports whether a replica ever had an entry on its disk: removed replicas and lost disks
// count, because an acknowledgement may be under way when they go.
func (g *group) everDurable(id ReplicaID, index uint64, e Entry) bool {
	r := g.replicas[id]
	if r == nil {
		return false
	}
	m, ok := r.life.log.at(index)
	return ok && m.Entry == e
}

// mirror is a copy of a log: terms and hashes of its entries from first on.
type mirror struct {
	first   uint64
	entries []mirrored
}

// mirrored is one entry of a mirror.
type mirrored struct {
	Entry
	known   bool   // else the entry was never in memory when it could be asked for
	chain   uint64 // hash of this entry and all before it
	chained bool   // chain is known
}

// emptyLog is the entry before the first one of every log.
var emptyLog = mirrored{known: true, chained: true}

func newMirror(first uint64) mirror { return mirror{first: first} }

// last returns the index of the last entry; first-1 if there is none.
func (m *mirror) last() uint64 { return m.first + uint64(len(m.entries)) - 1 }

// at returns the entry at an index, and whether it is there and known.
func (m *mirror) at(index uint64) (mirrored, bool) {
	if index < m.first || index > m.last() {
		return mirrored{}, false
	}
	e := m.entries[index-m.first]
	return e, e.known
}

// cut removes the entries from index on.
func (m *mirror) cut(index uint64) {
	switch {
	case index <= m.first:
		m.entries = m.entries[:0]
	case index <= m.last():
		m.entries = m.entries[:index-m.first]
	}
}

// forget removes the entries below index.
func (m *mirror) forget(index uint64) {
	if n := min(index-min(index, m.first), uint64(len(m.entries))); n > 0 {
		m.entries = slices.Clone(m.entries[n:])
		m.first += n
	}
}

// put places an entry and removes everything after it. A gap before it means that what was below
// is compacted away.
func (m *mirror) put(index uint64, e mirrored) {
	if index > m.last()+1 || index < m.first {
		*m = newMirror(index)
	}
	m.cut(index)
	m.entries = append(m.entries, e)
}

// after returns the entry with its chain hash, given the one before it.
func (e mirrored) after(before mirrored) mirrored {
	if e.known && before.chained {
		e.chain, e.chained = mix(mix(before.chain, e.Term), e.Hash), true
	}
	return e
}

// same reports whether two entries, and all before them as far as that is known, are the same.
func (e mirrored) same(o mirrored) bool {
	return e.Entry == o.Entry && (!e.chained || !o.chained || e.chain == o.chain)
}
