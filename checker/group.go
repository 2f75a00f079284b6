// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// group is what all replicas of one raft group agree on, as far as it has been observed.
type group struct {
	id       uint64
	disks    []*disk
	replicas map[ReplicaID]*replica // all that ever were, as they were last

	configs       []Config // ascending by index, as far as known
	configEntries []uint64 // where there may be entries that change the configuration, ascending

	leaders map[uint64]ReplicaID // by term: who won it
	ballots map[ballot][]*life   // which disks ever had a vote

	// By index, from base on: what is below was forgotten.
	base      uint64
	seen      [][]sighting   // every entry that any replica ever had there
	committed []committed    // the first of all is the empty log
	applied   []appliedState // what the state machine was
	// appliedTop is the highest index in applied with a high watermark.
	appliedTop uint64
}

// sighting is an entry where it was seen first.
type sighting struct {
	mirrored
	on ReplicaID
}

// committed is an entry when it was first seen committed.
type committed struct {
	mirrored
	inTerm uint64 // term of the observer: at least that of the leader that committed it
	on     ReplicaID
}

// appliedState is a state machine after it applied an entry.
type appliedState struct {
	set           bool
	highWatermark int64
	state         uint64
	on            ReplicaID
}

func newGroup(id uint64) *group {
	return &group{
		id: id, replicas: map[ReplicaID]*replica{}, leaders: map[uint64]ReplicaID{}, ballots: map[ballot][]*life{},
		committed: []committed{{mirrored: emptyLog}},
	}
}

// commit returns the highest index that was ever seen committed.
func (g *group) commit() uint64 { return g.base + uint64(len(g.committed)) - 1 }

// committedAt returns what is known of a committed entry at base or above.
func (g *group) committedAt(index uint64) *committed { return &g.committed[index-g.base] }

// forget drops what is known of entries below an index, at most the commit index.
func (g *group) forget(index uint64) {
	if index <= g.base {
		return
	}
	n := index - g.base
	g.base = index
	g.committed = slices.Clone(g.committed[n:])
	g.seen = slices.Clone(g.seen[min(n, uint64(len(g.seen))):])
	g.applied = slices.Clone(g.applied[min(n, uint64(len(g.applied))):])
	for _, d := range g.disks {
		for _, l := range d.lives {
			l.log.forget(index)
		}
	}
	//det:ok order does not matter because each forgets on its own
	for _, r := range g.replicas {
		r.log.forget(index)
	}
}

// entryBefore returns the entry at index-1 if it is known to be committed.
func (g *group) entryBefore(index uint64) mirrored {
	if index <= g.base || index-1 > g.commit() {
		return mirrored{}
	}
	return g.committedAt(index - 1).mirrored
}

// sight looks an entry up among those seen at its index, and remembers it if its term is new there.
func (g *group) sight(index uint64, s sighting) (first sighting, ok bool) {
	if index < g.base {
		return s, false
	}
	g.seen = grow(g.seen, index-g.base)
	at := &g.seen[index-g.base]
	for _, old := range *at {
		if old.Term == s.Term {
			return old, true
		}
	}
	*at = append(*at, s)
	return s, false
}

// grow extends a slice so that it has the index.
func grow[T any](s []T, index uint64) []T {
	if missing := int(index) + 1 - len(s); missing > 0 {
		s = append(s, make([]T, missing)...)
	}
	return s
}

// top is the state at appliedTop, unset if that is forgotten.
func (g *group) top() appliedState {
	if g.appliedTop < g.base {
		return appliedState{}
	}
	return g.applied[g.appliedTop-g.base]
}

// HashPayload hashes an entry's payload. It is no defence against forgery: it has to tell apart
// what broken software writes.
func HashPayload(data []byte) uint64 {
	h := mix(0x9e3779b97f4a7c15, uint64(len(data)))
	for len(data) >= 8 {
		h = mix(h, binary.LittleEndian.Uint64(data))
		data = data[8:]
	}
	var rest [8]byte
	copy(rest[:], data)
	return mix(h, binary.LittleEndian.Uint64(rest[:]))
}

// mix folds v into h: the two halves of a product, as in wyhash.
func mix(h, v uint64) uint64 {
	hi, lo := bits.Mul64(h^0xa0761d6478bd642f, v^0xe7037ed1a0b428db)
	return hi ^ lo ^ bits.RotateLeft64(h, 23)
}
