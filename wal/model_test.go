// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// model is what a log should hold. It is never changed once it is in a history.
type model map[GroupID]modelGroup

type modelGroup struct {
	State       State
	Entries     []Entry // from State.First to State.Last
	Checkpoints []Checkpoint
}

func same(a, b model) bool {
	return maps.EqualFunc(a, b, func(a, b modelGroup) bool {
		return a.State == b.State && slices.EqualFunc(a.Entries, b.Entries, sameEntry) && slices.EqualFunc(a.Checkpoints, b.Checkpoints, sameCheckpoint)
	})
}

func sameCheckpoint(a, b Checkpoint) bool {
	return a.Index == b.Index && a.Term == b.Term && bytes.Equal(a.Data, b.Data)
}

func sameEntry(a, b Entry) bool {
	return a.Index == b.Index && a.Term == b.Term && a.Kind == b.Kind && bytes.Equal(a.Data, b.Data)
}

func diff(a, b model) string { return gocmp.Diff(a, b, cmpopts.EquateEmpty()) }

// has says that the group holds exactly this entry.
func (mg modelGroup) has(e Entry) bool {
	return mg.State.First <= e.Index && e.Index <= mg.State.Last && sameEntry(mg.Entries[e.Index-mg.State.First], e)
}

func (m model) group(g GroupID) modelGroup {
	if mg, ok := m[g]; ok {
		return mg
	}
	return modelGroup{State: State{First: 1}}
}

func (m model) with(g GroupID, mg modelGroup) model {
	n := maps.Clone(m)
	n[g] = mg
	return n
}

func (m model) append(g GroupID, e Entry) model {
	mg := m.group(g)
	keep := mg.Entries[:e.Index-mg.State.First]
	mg.Entries = append(slices.Clip(keep), e)
	mg.State.Last, mg.State.LastTerm = e.Index, e.Term
	return m.with(g, mg)
}

func (m model) replace(g GroupID, e Entry) model {
	mg := m.group(g)
	mg.Entries = slices.Clone(mg.Entries)
	mg.Entries[e.Index-mg.State.First] = e
	return m.with(g, mg)
}

func (m model) vote(g GroupID, term, vote uint64) model {
	mg := m.group(g)
	mg.State.Term, mg.State.Vote = term, vote
	return m.with(g, mg)
}

func (m model) commit(g GroupID, commit uint64) model {
	mg := m.group(g)
	mg.State.Commit = commit
	return m.with(g, mg)
}

func (m model) term(g GroupID, i uint64) uint64 {
	mg := m.group(g)
	if i+1 == mg.State.First {
		return mg.State.PrevTerm
	}
	return mg.Entries[i-mg.State.First].Term
}

func (m model) release(g GroupID, first uint64) model {
	mg := m.group(g)
	mg.State.PrevTerm = m.term(g, first-1)
	mg.Entries = mg.Entries[first-mg.State.First:]
	mg.State.First = first
	mg.State.Commit = max(mg.State.Commit, first-1)
	mg.Checkpoints = mg.without(func(c Checkpoint) bool { return c.Index < first-1 })
	return m.with(g, mg)
}

// hasIndex says that the group holds an entry of the same index and term.
func (mg modelGroup) hasIndex(e Entry) bool {
	return mg.State.First <= e.Index && e.Index <= mg.State.Last && mg.Entries[e.Index-mg.State.First].Term == e.Term
}

func (mg modelGroup) hasCheckpoint(c Checkpoint) bool {
	return slices.ContainsFunc(mg.Checkpoints, func(x Checkpoint) bool { return sameCheckpoint(x, c) })
}

// without returns the checkpoints but some.
func (mg modelGroup) without(gone func(c Checkpoint) bool) []Checkpoint {
	return slices.DeleteFunc(slices.Clone(mg.Checkpoints), gone)
}

func (m model) checkpoint(g GroupID, c Checkpoint) model {
	m = m.drop(g, c.Index)
	mg := m.group(g)
	mg.Checkpoints = append(mg.Checkpoints, c)
	slices.SortFunc(mg.Checkpoints, func(a, b Checkpoint) int { return cmp.Compare(a.Index, b.Index) })
	return m.with(g, mg)
}

func (m model) drop(g GroupID, index uint64) model {
	mg := m.group(g)
	mg.Checkpoints = mg.without(func(c Checkpoint) bool { return c.Index == index })
	return m.with(g, mg)
}

func (m model) install(g GroupID, c Checkpoint) model {
	s := m.group(g).State
	s.Commit, s.First, s.PrevTerm, s.Last, s.LastTerm = c.Index, c.Index+1, c.Term, c.Index, c.Term
	return m.with(g, modelGroup{State: s, Checkpoints: []Checkpoint{c}})
}

func (m model) remove(g GroupID) model {
	n := maps.Clone(m)
	delete(n, g)
	return n
}

// load reads everything that a log holds through its public methods.
func load(l *Log, fs FS) (model, error) {
	m := model{}
	for _, g := range l.Groups() {
		s, ok := l.State(g)
		if !ok {
			return nil, fmt.Errorf("group %d has no state", g)
		}
		mg := modelGroup{State: s}
		for i := s.First; i <= s.Last; {
			op, err := l.Read(g, i, s.Last+1, 1000)
			if err != nil {
				return nil, err
			}
			entries, err := l.Entries(g, i, Do(fs, op))
			if err != nil {
				return nil, err
			}
			if len(entries) == 0 {
				return nil, fmt.Errorf("group %d: no entries at %d", g, i)
			}
			entries = unpacked(entries, i)
			mg.Entries = append(mg.Entries, entries...)
			i += uint64(len(entries))
		}
		var err error
		if mg.Checkpoints, err = loadCheckpoints(l, fs, g); err != nil {
			return nil, err
		}
		m[g] = mg
		if err := checkTerms(l, g, mg); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// packed makes one entry of many, as a caller of Pack does.
func packed(entries []Entry) Entry {
	e := Entry{Index: entries[0].Index, Last: entries[len(entries)-1].Index, Term: entries[0].Term}
	for _, x := range entries {
		e.Data = binary.LittleEndian.AppendUint32(append(e.Data, byte(x.Kind)), uint32(len(x.Data)))
		e.Data = append(e.Data, x.Data...)
	}
	return e
}

// unpacked is the inverse, for entries of which those from lo on are of interest.
func unpacked(entries []Entry, lo uint64) (out []Entry) {
	for _, e := range entries {
		if e.Last == 0 {
			out = append(out, e)
			continue
		}
		for b, i := e.Data, e.Index; len(b) > 0; i++ {
			n := 5 + binary.LittleEndian.Uint32(b[1:])
			if i >= lo {
				out = append(out, Entry{Index: i, Term: e.Term, Kind: EntryKind(b[0]), Data: b[5:n]})
			}
			b = b[n:]
		}
	}
	return out
}

func loadCheckpoints(l *Log, fs FS, g GroupID) ([]Checkpoint, error) {
	var out []Checkpoint
	for _, info := range l.Checkpoints(g) {
		data, err := checkpointData(l, fs, g, info.Index)
		if err != nil {
			return nil, err
		}
		if len(data) != info.Size {
			return nil, fmt.Errorf("group %d: checkpoint at entry %d has %d bytes, not %d", g, info.Index, len(data), info.Size)
		}
		out = append(out, Checkpoint{info.Index, info.Term, data})
	}
	return out, nil
}

// checkpointData reads a checkpoint.
func checkpointData(l *Log, fs FS, g GroupID, index uint64) ([]byte, error) {
	r, err := l.ReadCheckpoint(g, index)
	for more := err == nil; more; {
		op, err := r.Next()
		if err != nil {
			return nil, err
		}
		if more, err = r.Take(Do(fs, op)); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	return r.Data(), nil
}

func checkTerms(l *Log, g GroupID, mg modelGroup) error {
	want := []uint64{mg.State.PrevTerm}
	for _, e := range mg.Entries {
		want = append(want, e.Term)
	}
	for k, term := range want {
		i := mg.State.First - 1 + uint64(k)
		if got, ok := l.Term(g, i); !ok || got != term {
			return fmt.Errorf("group %d: term of entry %d is %d, %v, want %d", g, i, got, ok, term)
		}
	}
	if got, ok := l.Term(g, mg.State.Last+1); ok {
		return fmt.Errorf("group %d: term of entry %d, which isn't there, is %d", g, mg.State.Last+1, got)
	}
	return nil
}

// flush carries out everything that the log wants, until it wants nothing.
func flush(l *Log, fs FS) error {
	for {
		l.RequestSync() // moves append more
		op, ok := l.Next()
		if !ok {
			return l.Check()
		}
		if err := l.Done(Do(fs, op)); err != nil {
			return err
		}
	}
}
