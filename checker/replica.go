// SPDX-License-Identifier: Apache-2.0

package checker

// replica is what has been observed of one broker's replica of a group.
type replica struct {
	broker int32
	view   View // the last one
	fresh  bool // not observed yet since it started
	log    mirror

	installed bool   // a snapshot took the place of the log since the last view
	cutAfter  uint64 // durable entries after this one may be gone through a snapshot; 0: none may

	// checked is up to where the log was compared to the committed entries.
	checked uint64

	durable     mirror
	durableVote ballot
	lost        []mirror // what disks of this broker that are lost had made durable

	// replaced lists the entries that were put in the place of others and aren't durable yet: a
	// power loss may keep or undo each.
	replaced []indexed
}

// ballot is a term and the vote in it.
type ballot struct {
	term uint64
	vote int64 // -1: none
}

type indexed struct {
	index uint64
	Entry
}

func newReplica(broker int32) replica {
	return replica{broker: broker, view: View{Vote: -1}, fresh: true, log: newMirror(1), durable: newMirror(1), durableVote: ballot{vote: -1}}
}

// everDurable reports whether a disk of the broker had the entry: lost disks count, because an
// acknowledgement may be under way while its disk is lost.
func (r *replica) everDurable(index uint64, e Entry) bool {
	if m, ok := r.durable.at(index); ok && m.Entry == e {
		return true
	}
	for i := range r.lost {
		if m, ok := r.lost[i].at(index); ok && m.Entry == e {
			return true
		}
	}
	return false
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
