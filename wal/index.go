// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
)

// group is what the log knows of one group: its state, and where each entry is.
type group struct {
	id    GroupID
	state State
	terms []termRun // by index; each reaches up to the next
	runs  []run     // by index; without gaps, but for recovery (see recover.go)

	checkpoints []checkpoint // by index

	seen uint64 // recovery: sequence number of the last segment with a state record of it
}

// termRun says that the entries from first on have a term.
type termRun struct{ first, term uint64 }

// run is a row of consecutive entries of one group in one segment.
type run struct {
	seg   *segment
	first uint64
	at    []place
}

func (r *run) end() uint64 { return r.first + uint64(len(r.at)) }

// place is where a record is in its file: 8 bytes of memory per entry.
type place struct{ off, size uint32 }

func (p place) end() int64 { return int64(p.off) + int64(p.size) }

// ensure returns the group and makes it if it is new.
func (l *Log) ensure(id GroupID) *group {
	g := l.groups[id]
	if g == nil {
		g = &group{id: id, state: State{First: 1}}
		l.groups[id] = g
		i, _ := slices.BinarySearchFunc(l.order, id, compareGroup)
		l.order = slices.Insert(l.order, i, g)
	}
	return g
}

func compareGroup(g *group, id GroupID) int { return cmp.Compare(g.id, id) }

// forget removes the group and its entries.
func (l *Log) forget(id GroupID) {
	g := l.groups[id]
	if g == nil {
		return
	}
	l.cut(g, 0)
	l.keepCheckpoints(g, nil)
	delete(l.groups, id)
	if i, ok := slices.BinarySearchFunc(l.order, id, compareGroup); ok {
		l.order = slices.Delete(l.order, i, i+1)
	}
}

// addEntry puts an entry into the index. It replaces the group's entries from its index on.
func (l *Log) addEntry(g *group, index, term uint64, seg *segment, at place) {
	l.cut(g, index)
	if n := len(g.runs); n == 0 || g.runs[n-1].seg != seg || g.runs[n-1].end() != index {
		g.runs = append(g.runs, run{seg: seg, first: index})
	}
	r := &g.runs[len(g.runs)-1]
	r.at = append(r.at, at)
	seg.live += int64(at.size)
	if n := len(g.terms); n == 0 || g.terms[n-1].term != term {
		g.terms = append(g.terms, termRun{index, term})
	}
	g.state.Last, g.state.LastTerm = index, term
}

// cut drops the entries from index on out of the index. It leaves the state alone.
func (l *Log) cut(g *group, index uint64) {
	for n := len(g.runs); n > 0 && g.runs[n-1].end() > index; n-- {
		r := &g.runs[n-1]
		if r.first < index {
			keep := int(index - r.first)
			l.unref(r.seg, sumBytes(r.at[keep:]))
			r.at = r.at[:keep]
			break
		}
		l.unref(r.seg, sumBytes(r.at))
		g.runs[n-1] = run{}
		g.runs = g.runs[:n-1]
	}
	for n := len(g.terms); n > 0 && g.terms[n-1].first >= index; n-- {
		g.terms = g.terms[:n-1]
	}
}

// trim drops the entries below index out of the index. It leaves the state alone.
func (l *Log) trim(g *group, index uint64) {
	for len(g.runs) > 0 && g.runs[0].first < index {
		r := &g.runs[0]
		if r.end() > index {
			n := int(index - r.first)
			l.unref(r.seg, sumBytes(r.at[:n]))
			r.at, r.first = r.at[n:], index
			break
		}
		l.unref(r.seg, sumBytes(r.at))
		g.runs[0] = run{}
		g.runs = g.runs[1:]
	}
	if len(g.runs) == 0 {
		g.terms = nil
		return
	}
	for len(g.terms) > 1 && g.terms[1].first <= index {
		g.terms = g.terms[1:]
	}
	g.terms[0].first = max(g.terms[0].first, index)
}

func sumBytes(at []place) int64 {
	n := int64(0)
	for _, p := range at {
		n += int64(p.size)
	}
	return n
}

// unref says that records with n bytes in a segment are no longer needed.
func (l *Log) unref(seg *segment, n int64) {
	seg.live -= n
	if seg.live == 0 && n > 0 && seg.sealed {
		l.dead++
	}
}

// restore gives a group a state and the checkpoints at the given indexes, and drops what is outside
// of it.
func (l *Log) restore(g *group, s State, checkpoints []uint64) {
	g.state = s
	l.cut(g, s.Last+1)
	l.trim(g, s.First)
	l.keepCheckpoints(g, checkpoints)
}

// release drops the entries below first, and the checkpoints that only they would continue.
// Released entries are committed by definition.
func (l *Log) release(g *group, first, prevTerm uint64) {
	g.state.First, g.state.PrevTerm = first, prevTerm
	g.state.Commit = max(g.state.Commit, first-1)
	l.trim(g, first)
	l.trimCheckpoints(g, first-1)
}

// locate returns the run that holds entry i and the entry's place in it.
func (g *group) locate(i uint64) (r *run, k int, ok bool) {
	n := sort.Search(len(g.runs), func(n int) bool { return g.runs[n].first > i })
	if n == 0 || g.runs[n-1].end() <= i {
		return nil, 0, false
	}
	r = &g.runs[n-1]
	return r, int(i - r.first), true
}

func (g *group) term(i uint64) (uint64, bool) {
	switch {
	case i+1 == g.state.First:
		return g.state.PrevTerm, true
	case i < g.state.First || i > g.state.Last:
		return 0, false
	case i == g.state.Last:
		return g.state.LastTerm, true
	}
	n := sort.Search(len(g.terms), func(n int) bool { return g.terms[n].first > i })
	return g.terms[n-1].term, true
}

// check reports how a state contradicts itself.
func (s State) check() error {
	switch {
	case s.First == 0 || s.Last+1 < s.First || s.Last+1 == 0:
		return fmt.Errorf("first entry %d and last entry %d contradict each other", s.First, s.Last)
	case s.Commit+1 < s.First || s.Commit > s.Last:
		return fmt.Errorf("commit index %d is outside of entries %d to %d", s.Commit, s.First, s.Last)
	case s.LastTerm < s.PrevTerm || s.Last+1 == s.First && s.LastTerm != s.PrevTerm:
		return fmt.Errorf("last entry's term %d contradicts term %d before the first entry", s.LastTerm, s.PrevTerm)
	}
	return nil
}

// check reports how the index contradicts the state: every entry from First to Last must be
// there, with terms that never decrease.
func (g *group) check() error {
	if err := g.state.check(); err != nil {
		return err
	}
	next := g.state.First
	for i := range g.runs {
		if g.runs[i].first != next {
			return fmt.Errorf("entry %d is missing", next)
		}
		next = g.runs[i].end()
	}
	if next != g.state.Last+1 {
		return fmt.Errorf("entry %d is missing", next)
	}
	term := g.state.PrevTerm
	for _, t := range g.terms {
		if t.term < term {
			return fmt.Errorf("term of entry %d falls from %d to %d", t.first, term, t.term)
		}
		term = t.term
	}
	if term != g.state.LastTerm {
		return fmt.Errorf("last entry has term %d, not %d", term, g.state.LastTerm)
	}
	return g.checkCheckpoints()
}
