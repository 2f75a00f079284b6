// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"fmt"
	"slices"
	"sort"
)

// group is what the log knows of one group: its state, and where each entry and checkpoint is.
type group struct {
	id          GroupID
	state       State
	runs        []run        // by index; without gaps, but for recovery (see replay.go)
	checkpoints []checkpoint // by index
	staged      []checkpoint // of which pieces are here, and which aren't in checkpoints: one, or more during recovery
	in          *segment     // the last one that took an entry or checkpoint of it
	position    int          // in Log.order
	seen        bool         // recovery: the last segment begins with a state record of it
}

// run is a row of consecutive entries of one group and one term in one segment, in the order of
// their places.
type run struct {
	seg         *segment
	first, term uint64
	at          []place
	packed      uint64 // not 0: so many entries are in one record, at[0], which may hold some before them
}

func (r *run) end() uint64 {
	if r.packed > 0 {
		return r.first + r.packed
	}
	return r.first + uint64(len(r.at))
}

// place returns where entry i is.
func (r *run) place(i uint64) place {
	if r.packed > 0 {
		return r.at[0]
	}
	return r.at[i-r.first]
}

// part returns the run's entries from an index up to another.
func (r *run) part(from, to uint64) run {
	if r.packed > 0 {
		return run{r.seg, from, r.term, r.at, to - from}
	}
	return run{r.seg, from, r.term, r.at[from-r.first : to-r.first : to-r.first], 0}
}

// bytes is what of its segment the run needs. Parts of a packed run need the whole record each.
func (r *run) bytes() int64 { return sumBytes(r.at) }

// continues says that r may be one with the run before it.
func (r *run) continues(before *run) bool {
	return before.seg == r.seg && before.term == r.term && before.end() == r.first && before.packed+r.packed == 0 &&
		before.at[len(before.at)-1].off < r.at[0].off
}

// place is where a record is in its file: 8 bytes of memory per entry.
type place struct{ off, size uint32 }

func (p place) end() int64 { return int64(p.off) + int64(p.size) }

func sumBytes(at []place) int64 {
	n := int64(0)
	for _, p := range at {
		n += int64(p.size)
	}
	return n
}

// ensure returns the group and makes it if it is new.
func (l *Log) ensure(id GroupID) *group {
	g := l.groups[id]
	if g == nil {
		g = &group{id: id, state: State{First: 1}}
		g.position = len(l.order)
		l.groups[id] = g
		l.order = append(l.order, g)
	}
	return g
}

// forget removes the group and all that it has.
func (l *Log) forget(id GroupID) {
	g := l.groups[id]
	if g == nil {
		return
	}
	l.cut(g, 0)
	l.keepCheckpoints(g, nil, nil)
	l.dropStaged(g)
	delete(l.groups, id)
	last := len(l.order) - 1
	l.order[g.position] = l.order[last]
	l.order[g.position].position = g.position
	l.order[last] = nil
	l.order = l.order[:last]
}

// addEntry puts an entry into the index. It replaces the group's entries from its index on.
func (l *Log) addEntry(g *group, index, term uint64, seg *segment, at place) {
	l.cut(g, index)
	g.state.Last, g.state.LastTerm = index, term
	if n := len(g.runs); n > 0 {
		r := &g.runs[n-1]
		if r.seg == seg && r.term == term && r.end() == index && r.packed == 0 {
			seg.live += int64(at.size)
			seg.table += entryCost(at, r.at[len(r.at)-1])
			r.at = append(r.at, at)
			return
		}
	}
	l.overlay(g, run{seg, index, term, []place{at}, 0})
}

// overlay puts a run into the index, in place of what is there at its indexes. It leaves the state
// and all other indexes alone.
func (l *Log) overlay(g *group, r run) {
	r.seg.enlist(g)
	r.seg.live += r.bytes()
	for k, before := 0, (place{}); k < len(r.at); k++ {
		r.seg.table += entryCost(r.at[k], before)
		before = r.at[k]
	}
	i := sort.Search(len(g.runs), func(i int) bool { return g.runs[i].end() > r.first })
	j := i
	parts := []run{r}
	for ; j < len(g.runs) && g.runs[j].first < r.end(); j++ {
		old := g.runs[j]
		gone := old.bytes()
		if old.first < r.first {
			before := old.part(old.first, r.first)
			gone -= before.bytes()
			parts = append([]run{before}, parts...)
		}
		if r.end() < old.end() {
			after := old.part(r.end(), old.end())
			gone -= after.bytes()
			old.seg.table += runCost
			parts = append(parts, after)
		}
		l.unref(old.seg, gone)
	}
	if i > 0 && parts[0].first == r.first && r.continues(&g.runs[i-1]) {
		g.runs[i-1].at = append(g.runs[i-1].at, r.at...)
		parts = parts[1:]
	} else {
		r.seg.table += runCost
	}
	g.runs = slices.Replace(g.runs, i, j, parts...)
}

// cut drops the entries from index on out of the index. It leaves the state alone.
func (l *Log) cut(g *group, index uint64) {
	for n := len(g.runs); n > 0 && g.runs[n-1].end() > index; n-- {
		r := &g.runs[n-1]
		if r.first < index {
			keep := r.part(r.first, index)
			l.unref(r.seg, r.bytes()-keep.bytes())
			*r = keep
			break
		}
		l.unref(r.seg, r.bytes())
		g.runs[n-1] = run{}
		g.runs = g.runs[:n-1]
	}
}

// trim drops the entries below index out of the index. It leaves the state alone.
func (l *Log) trim(g *group, index uint64) {
	for len(g.runs) > 0 && g.runs[0].first < index {
		r := &g.runs[0]
		if r.end() > index {
			keep := r.part(index, r.end())
			l.unref(r.seg, r.bytes()-keep.bytes())
			*r = keep
			break
		}
		l.unref(r.seg, r.bytes())
		g.runs[0] = run{}
		g.runs = g.runs[1:]
	}
}

// unref says that records with n bytes in a segment are no longer needed.
func (l *Log) unref(seg *segment, n int64) {
	before := l.sparse(seg)
	seg.live -= n
	switch {
	case n == 0 || !seg.sealed():
	case seg.live == 0:
		l.dead++
	case !before && l.sparse(seg) || seg.stuck > 0:
		l.move.look = true
	}
}

// restore gives a group a state and the checkpoints at the given indexes, and drops what is outside
// of it.
func (l *Log) restore(g *group, s State, checkpoints []uint64, ids []LSN) {
	g.state = s
	l.cut(g, s.Last+1)
	l.trim(g, s.First)
	l.keepCheckpoints(g, checkpoints, ids)
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
	r, _, ok := g.locate(i)
	if !ok {
		panic(fmt.Sprintf("wal: group %d: entry %d of %d to %d is not in the index", g.id, i, g.state.First, g.state.Last))
	}
	return r.term, true
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
	next, term := g.state.First, g.state.PrevTerm
	for i := range g.runs {
		r := &g.runs[i]
		if r.first != next {
			return fmt.Errorf("entry %d is missing", next)
		}
		if r.term < term {
			return fmt.Errorf("term of entry %d falls from %d to %d", r.first, term, r.term)
		}
		next, term = r.end(), r.term
	}
	if next != g.state.Last+1 {
		return fmt.Errorf("entry %d is missing", next)
	}
	if term != g.state.LastTerm {
		return fmt.Errorf("last entry has term %d, not %d", term, g.state.LastTerm)
	}
	return g.checkCheckpoints()
}
