// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Checkpoint is the state that a group's entries up to and including Index have built, and
// what raft calls a snapshot. What the data means is the caller's business.
type Checkpoint struct {
	Index uint64
	Term  uint64 // of entry Index
	Data  []byte // at most MaxEntryBytes; written at once unless it was staged, see Stage
}

// CheckpointInfo describes a checkpoint that the log holds.
type CheckpointInfo struct {
	Index uint64
	Term  uint64
	Size  int // of the data, in bytes
}

// checkpoint is where a checkpoint of a group is: in one record, or in pieces.
type checkpoint struct {
	index, term uint64
	size        int     // of the data, in bytes
	pieces      []piece // none during recovery if no record of it was met yet
	id          LSN     // where its first record was at first; a move keeps that, another checkpoint has another one
	whole       LSN     // where the record ends that made it the group's, if that was written since Open
}

// piece is a record with data of a checkpoint.
type piece struct {
	seg   *segment // nil during recovery if the record wasn't met yet
	at    place
	bytes int // of the data
}

// single says that all is in one record.
func (c *checkpoint) single() bool { return len(c.pieces) == 1 }

// single returns the index's form of a checkpoint in one record.
func single(c *Checkpoint, p piece) checkpoint {
	return checkpoint{index: c.Index, term: c.Term, size: p.bytes, pieces: []piece{p}, id: p.seg.lsn(p.at), whole: p.seg.base + LSN(p.at.end())}
}

// missing says that some record of it isn't there.
func (c *checkpoint) missing() bool {
	return len(c.pieces) == 0 || slices.ContainsFunc(c.pieces, func(p piece) bool { return p.seg == nil })
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
	if st := l.stagedAs(g, &c); st != nil {
		l.putEnd(g, st, endCheckpoint)
	} else {
		at := l.putCheckpoint(RecordCheckpoint, g, &c)
		l.addSingle(l.ensure(g), &c, piece{l.cur, at, len(c.Data)})
	}
	l.retire()
}

// Install replaces all of the group's entries and checkpoints by a checkpoint that another replica
// made; the group's log goes on after entry c.Index, which is committed. Term and vote stay. It
// makes the group if it is new. A crash leaves all of it or nothing.
func (l *Log) Install(g GroupID, c Checkpoint) {
	s, _ := l.State(g)
	if c.Index < s.Commit || c.Index+1 == 0 {
		panic(fmt.Sprintf("wal: group %d: a checkpoint at entry %d would drop committed entries (commit index %d)", g, c.Index, s.Commit))
	}
	if st := l.stagedAs(g, &c); st != nil {
		l.putEnd(g, st, endInstall)
	} else {
		at := l.putCheckpoint(RecordInstall, g, &c)
		l.installSingle(l.ensure(g), &c, piece{l.cur, at, len(c.Data)})
	}
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

// CheckpointRead reads a checkpoint of a group, one record after the other.
type CheckpointRead struct {
	log   *Log
	group GroupID
	index uint64
	id    LSN
	next  int // piece
	data  []byte
}

// ReadCheckpoint begins to read the checkpoint at an index, which must be durable.
func (l *Log) ReadCheckpoint(g GroupID, index uint64) (*CheckpointRead, error) {
	c := l.findCheckpoint(g, index)
	if c == nil {
		return nil, missingCheckpoint(g, index)
	}
	r := &CheckpointRead{log: l, group: g, index: index, id: c.id}
	if c.whole > l.durable {
		return nil, fmt.Errorf("group %d, checkpoint at entry %d is not durable yet: %w", g, index, ErrMissing)
	}
	return r, nil
}

// Next returns an OpRead for the next record. As for Log.Read, the file stays what it is until the Result was given
// to Take, exactly once. It fails with ErrMissing if the checkpoint was dropped or replaced meanwhile.
func (r *CheckpointRead) Next() (Op, error) {
	c := r.find()
	if c == nil {
		return Op{}, missingCheckpoint(r.group, r.index)
	}
	p := c.pieces[r.next]
	seg, p2, _, ok := r.log.readable(0, &run{seg: p.seg, at: []place{p.at}})
	if !ok {
		return Op{}, fmt.Errorf("group %d, checkpoint at entry %d is not durable yet: %w", r.group, r.index, ErrMissing)
	}
	return r.log.read(OpRead, int64(p2.at.off), int64(p2.at.size), &reading{seg: seg, parts: []part{p2}, checkpoint: r}), nil
}

// Take verifies the result of the read that Next returned, and says whether there is another one to do. It fails with
// ErrCorrupt (see Damage) if it isn't what was written, and with ErrMissing if the checkpoint was dropped or
// replaced meanwhile.
func (r *CheckpointRead) Take(res Result) (more bool, err error) {
	under, err := r.log.finishRead(&res)
	if errors.Is(err, ErrUnreadable) && r.find() != nil {
		return false, &Damage{Group: r.group, Index: r.index, Checkpoint: true, File: res.Op.File, Off: res.Op.Off, Why: err}
	}
	if err != nil {
		return false, err
	}
	if under.checkpoint != r {
		panic(fmt.Sprintf("wal: read %d is not one of group %d, checkpoint at entry %d", res.Op.ID, r.group, r.index))
	}
	c := r.find()
	if c == nil {
		return false, missingCheckpoint(r.group, r.index)
	}
	rec, err := under.seg.verify(under.parts[0].at, res.Data)
	if err == nil && rec.Group != r.group {
		err = errOther
	}
	if err == nil {
		err = c.verify(r.next, &rec)
	}
	if err != nil {
		return false, &Damage{Group: r.group, Index: r.index, Checkpoint: true, File: res.Op.File, Off: res.Op.Off, Why: err}
	}
	if r.next++; c.single() {
		r.data = rec.Checkpoint.Data
	} else {
		r.data = append(slices.Grow(r.data, c.size-len(r.data)), rec.Checkpoint.Data...)
	}
	return r.next < len(c.pieces), nil
}

// Data returns the checkpoint's data when all is read.
func (r *CheckpointRead) Data() []byte { return r.data }

// find returns the checkpoint that is being read, nil if it is no longer there.
func (r *CheckpointRead) find() *checkpoint {
	if c := r.log.findCheckpoint(r.group, r.index); c != nil && c.id == r.id {
		return c
	}
	return nil
}

// verify reports that a record is another one than a piece of the checkpoint.
func (c *checkpoint) verify(part int, rec *Record) error {
	is := rec.isCheckpoint()
	if !c.single() {
		is = rec.Type == RecordPiece && rec.Piece.ID == c.id && rec.Piece.Part == uint64(part) && rec.Piece.Parts == uint64(len(c.pieces))
	}
	if !is || rec.Checkpoint.Index != c.index || rec.Checkpoint.Term != c.term {
		return errOther
	}
	return nil
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

// addSingle puts a checkpoint in one record into the index.
func (l *Log) addSingle(g *group, c *Checkpoint, p piece) {
	added := single(c, p)
	l.refPiece(g, &added, 0)
	l.addCheckpoint(g, added)
}

// addCheckpoint puts a checkpoint into the index, in place of one at the same index.
func (l *Log) addCheckpoint(g *group, c checkpoint) {
	i, ok := g.checkpoint(c.index)
	if !ok {
		g.checkpoints = slices.Insert(g.checkpoints, i, c)
		return
	}
	l.unrefCheckpoint(&g.checkpoints[i])
	g.checkpoints[i] = c
}

// install gives a group a checkpoint, whose records count already, and nothing else but its term and vote.
func (l *Log) install(g *group, c checkpoint) {
	s := g.state
	s.Commit, s.First, s.PrevTerm, s.Last, s.LastTerm = c.index, c.index+1, c.term, c.index, c.term
	l.restore(g, s, nil, nil)
	l.dropStaged(g)
	l.addCheckpoint(g, c)
}

func (l *Log) installSingle(g *group, c *Checkpoint, p piece) {
	installed := single(c, p)
	l.refPiece(g, &installed, 0)
	l.install(g, installed)
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
// index yet gets a row without a place. ids says which of those that were staged; none if it is empty.
func (l *Log) keepCheckpoints(g *group, indexes []uint64, ids []LSN) {
	kept := make([]checkpoint, 0, len(indexes))
	for k, index := range indexes {
		if len(ids) > 0 && ids[k] > 0 {
			kept = append(kept, g.takeStaged(index, 0, ids[k]))
			continue
		}
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
	for _, p := range c.pieces {
		l.unrefPiece(p)
	}
}

// refPiece counts a piece of a checkpoint as needed where it is.
func (l *Log) refPiece(g *group, c *checkpoint, part int) {
	p := c.pieces[part]
	p.seg.enlist(g)
	p.seg.live += int64(p.at.size)
	if c.single() {
		p.seg.table += checkpointCost
	} else {
		p.seg.table += pieceCost
	}
}

func (l *Log) unrefPiece(p piece) {
	if p.seg != nil {
		l.unref(p.seg, int64(p.at.size))
	}
}

// eachCheckpoint calls fn with the group's checkpoints, and those that are staged.
func (g *group) eachCheckpoint(fn func(*checkpoint)) {
	for i := range g.checkpoints {
		fn(&g.checkpoints[i])
	}
	for i := range g.staged {
		fn(&g.staged[i])
	}
}

// checkCheckpoints reports how the group's checkpoints contradict its state and its entries, which
// were checked before.
func (g *group) checkCheckpoints() error {
	for i := range g.checkpoints {
		c := &g.checkpoints[i]
		if c.missing() {
			return fmt.Errorf("checkpoint at entry %d is missing", c.index)
		}
		if term, ok := g.term(c.index); !ok || term != c.term {
			return fmt.Errorf("checkpoint at entry %d has term %d, not %d", c.index, c.term, term)
		}
	}
	return nil
}
