// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
)

// Checkpoint is the state that a group's entries up to and including Index have built, and
// what raft calls a snapshot. What the data means is the caller's business.
type Checkpoint struct {
	Index uint64
	Term  uint64 // of entry Index
	Data  []byte // at most MaxEntryBytes; one flush writes it all, so large ones delay others
}

// CheckpointInfo describes a checkpoint that the log holds.
type CheckpointInfo struct {
	Index uint64
	Term  uint64
	Size  int // of the data, in bytes
}

// checkpoint is where a checkpoint of a group is.
type checkpoint struct {
	index, term uint64
	size        int      // of the data, in bytes
	seg         *segment // nil during recovery if the record wasn't met yet
	at          place
	id          LSN // where it was at first; a move keeps that, another checkpoint has another one
}

// in returns the index's form of a checkpoint that lies in a segment.
func (c *Checkpoint) in(seg *segment, at place) checkpoint {
	return checkpoint{c.Index, c.Term, len(c.Data), seg, at, seg.lsn(at)}
}

func compareCheckpoint(c checkpoint, index uint64) int { return cmp.Compare(c.index, index) }

// AddCheckpoint keeps a checkpoint of the group, beside those at other indexes and in place of one
// at the same. Its entry is at First-1 or later and committed. It copies the data.
func (l *Log) AddCheckpoint(g GroupID, c Checkpoint) {
	s, _ := l.State(g)
	if c.Index+1 < s.First || c.Index > s.Commit {
		panic(fmt.Sprintf("wal: group %d: checkpoint at entry %d, entries %d to %d, commit index %d", g, c.Index, s.First, s.Last, s.Commit))
	}
	if term, _ := l.Term(g, c.Index); c.Term != term {
		panic(fmt.Sprintf("wal: group %d: checkpoint at entry %d of term %d, not %d", g, c.Index, c.Term, term))
	}
	at := l.putCheckpoint(RecordCheckpoint, g, &c)
	l.addCheckpoint(l.ensure(g), c.in(l.cur, at))
	l.retire()
}

// Install replaces all of the group's entries and checkpoints by a checkpoint that another replica
// made; the group's log goes on after entry c.Index, which is committed. Term and vote stay. It
// makes the group if it is new. It is one record, so a crash leaves all of it or nothing.
func (l *Log) Install(g GroupID, c Checkpoint) {
	s, _ := l.State(g)
	if c.Index < s.Commit || c.Index+1 == 0 {
		panic(fmt.Sprintf("wal: group %d: a checkpoint at entry %d would drop committed entries (commit index %d)", g, c.Index, s.Commit))
	}
	at := l.putCheckpoint(RecordInstall, g, &c)
	l.install(l.ensure(g), c.in(l.cur, at))
	l.retire()
}

// DropCheckpoint says that the checkpoint at an index is no longer needed. It does nothing if
// there is none.
func (l *Log) DropCheckpoint(g GroupID, index uint64) {
	if l.findCheckpoint(g, index) == nil {
		return
	}
	binary.LittleEndian.PutUint64(l.add(RecordDrop, 0, g, 8), index)
	l.dropCheckpoint(l.groups[g], index)
	l.retire()
}

// Checkpoints lists the group's checkpoints by index, ascending.
func (l *Log) Checkpoints(g GroupID) []CheckpointInfo {
	gr := l.groups[g]
	if gr == nil {
		return nil
	}
	infos := make([]CheckpointInfo, len(gr.checkpoints))
	for i, c := range gr.checkpoints {
		infos[i] = CheckpointInfo{c.index, c.term, c.size}
	}
	return infos
}

// ReadCheckpoint returns an OpRead for the checkpoint at an index, which must be durable. As for
// Read, the file stays what it is until the Result was given to CheckpointData, exactly once.
func (l *Log) ReadCheckpoint(g GroupID, index uint64) (Op, error) {
	c := l.findCheckpoint(g, index)
	if c == nil {
		return Op{}, missingCheckpoint(g, index)
	}
	seg, p, _, ok := l.readable(0, &run{seg: c.seg, at: []place{c.at}})
	if !ok {
		return Op{}, fmt.Errorf("group %d, checkpoint at entry %d is not durable yet: %w", g, index, ErrMissing)
	}
	asked := *c
	return l.read(OpRead, int64(p.at.off), int64(p.at.size), &reading{seg: seg, parts: []part{p}, checkpoint: &asked}), nil
}

// CheckpointData verifies the result of a ReadCheckpoint and returns the checkpoint's data, which
// points into res.Data. It fails with ErrCorrupt (see Damage) if it isn't what was written, and with
// ErrMissing if the checkpoint was dropped or replaced since the read began.
func (l *Log) CheckpointData(g GroupID, index uint64, res Result) ([]byte, error) {
	r, err := l.finishRead(&res)
	if err != nil {
		return nil, err
	}
	if r.checkpoint == nil || r.checkpoint.index != index {
		panic(fmt.Sprintf("wal: read %d is not one of group %d, checkpoint at entry %d", res.Op.ID, g, index))
	}
	c := l.findCheckpoint(g, index)
	if c == nil || c.id != r.checkpoint.id {
		return nil, missingCheckpoint(g, index)
	}
	rec, err := r.seg.verify(r.parts[0].at, res)
	if err == nil && (!rec.isCheckpoint() || rec.Group != g || rec.Checkpoint.Index != index || rec.Checkpoint.Term != c.term) {
		err = errOther
	}
	if err != nil {
		return nil, &Damage{Group: g, Index: index, Checkpoint: true, File: res.Op.File, Off: res.Op.Off, Why: err}
	}
	return rec.Checkpoint.Data, nil
}

func missingCheckpoint(g GroupID, index uint64) error {
	return fmt.Errorf("group %d, checkpoint at entry %d: %w", g, index, ErrMissing)
}

// findCheckpoint returns the checkpoint at an index, nil if there is none.
func (l *Log) findCheckpoint(g GroupID, index uint64) *checkpoint {
	if gr := l.groups[g]; gr != nil {
		if i, ok := gr.checkpoint(index); ok {
			return &gr.checkpoints[i]
		}
	}
	return nil
}

func (l *Log) putCheckpoint(t RecordType, g GroupID, c *Checkpoint) place {
	if len(c.Data) > MaxEntryBytes {
		panic(fmt.Sprintf("wal: group %d: checkpoint at entry %d has %d bytes", g, c.Index, len(c.Data)))
	}
	p := l.add(t, 0, g, entryHead+len(c.Data))
	binary.LittleEndian.PutUint64(p, c.Index)
	binary.LittleEndian.PutUint64(p[8:], c.Term)
	copy(p[entryHead:], c.Data)
	size := uint32(recordBytes(len(p)))
	return place{uint32(l.cur.end) - size, size}
}

// checkpoint returns where in g.checkpoints the one at an index is or would be.
func (g *group) checkpoint(index uint64) (int, bool) {
	return slices.BinarySearchFunc(g.checkpoints, index, compareCheckpoint)
}

// addCheckpoint puts a checkpoint into the index, in place of one at the same index.
func (l *Log) addCheckpoint(g *group, c checkpoint) {
	c.seg.enlist(g)
	c.seg.live += int64(c.at.size)
	c.seg.table += checkpointCost
	i, ok := g.checkpoint(c.index)
	if !ok {
		g.checkpoints = slices.Insert(g.checkpoints, i, c)
		return
	}
	l.unrefCheckpoint(&g.checkpoints[i])
	g.checkpoints[i] = c
}

// install gives a group a checkpoint and nothing else but its term and vote.
func (l *Log) install(g *group, c checkpoint) {
	s := g.state
	s.Commit, s.First, s.PrevTerm, s.Last, s.LastTerm = c.index, c.index+1, c.term, c.index, c.term
	l.restore(g, s, nil)
	l.addCheckpoint(g, c)
}

func (l *Log) dropCheckpoint(g *group, index uint64) bool {
	i, ok := g.checkpoint(index)
	if ok {
		l.unrefCheckpoint(&g.checkpoints[i])
		g.checkpoints = slices.Delete(g.checkpoints, i, i+1)
	}
	return ok
}

// keepCheckpoints makes the group's checkpoints those at the given indexes. One that isn't in the
// index yet gets a row without a place.
func (l *Log) keepCheckpoints(g *group, indexes []uint64) {
	kept := make([]checkpoint, 0, len(indexes))
	for _, index := range indexes {
		i, ok := g.checkpoint(index)
		if !ok {
			kept = append(kept, checkpoint{index: index})
			continue
		}
		kept = append(kept, g.checkpoints[i])
		g.checkpoints = slices.Delete(g.checkpoints, i, i+1)
	}
	for i := range g.checkpoints {
		l.unrefCheckpoint(&g.checkpoints[i])
	}
	g.checkpoints = kept
}

// trimCheckpoints drops the checkpoints below an index out of the index.
func (l *Log) trimCheckpoints(g *group, index uint64) {
	n, _ := g.checkpoint(index)
	for i := range g.checkpoints[:n] {
		l.unrefCheckpoint(&g.checkpoints[i])
	}
	g.checkpoints = slices.Delete(g.checkpoints, 0, n)
}

func (l *Log) unrefCheckpoint(c *checkpoint) {
	if c.seg != nil {
		l.unref(c.seg, int64(c.at.size))
	}
}

// checkCheckpoints reports how the group's checkpoints contradict its state and its entries, which
// were checked before.
func (g *group) checkCheckpoints() error {
	for i := range g.checkpoints {
		c := &g.checkpoints[i]
		if c.seg == nil {
			return fmt.Errorf("checkpoint at entry %d is missing", c.index)
		}
		if term, ok := g.term(c.index); !ok || term != c.term {
			return fmt.Errorf("checkpoint at entry %d has term %d, not %d", c.index, c.term, term)
		}
	}
	return nil
}
