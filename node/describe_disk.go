// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/wal"
)

// describeOp prints an operation of the disk, and what a write puts there.
func describeOp(op *wal.Op) string {
	switch op.Kind {
	case wal.OpWrite:
		return fmt.Sprintf("write %d %s+%d %d bytes and sync: %s", op.ID, op.File, op.Off, len(op.Data), describeRecords(op.Data, op.Off))
	case wal.OpPrepare:
		return fmt.Sprintf("prepare %d %s, %d bytes", op.ID, op.File, op.N)
	case wal.OpRemove:
		return fmt.Sprintf("remove %d %s", op.ID, op.File)
	}
	return fmt.Sprintf("%v %d %s+%d %d bytes", op.Kind, op.ID, op.File, op.Off, op.N)
}

// describeResult prints what came of an operation, and what was read.
func describeResult(r *wal.Result) string {
	s := fmt.Sprintf("%v %d is done", r.Op.Kind, r.Op.ID)
	switch {
	case r.Err != nil:
		return fmt.Sprintf("%v %d failed: %v", r.Op.Kind, r.Op.ID, r.Err)
	case len(r.Data) == 0:
		return s
	}
	return fmt.Sprintf("%s: %s", s, describeRecords(r.Data, r.Op.Off))
}

// describeRecords prints what is written or was read. Entries of one group that follow each other are one part.
func describeRecords(data []byte, off int64) string {
	var parts []string
	var run struct {
		group             GroupID
		first, last, term uint64
	}
	flush := func() {
		switch {
		case run.first == 0:
		case run.first == run.last:
			parts = append(parts, fmt.Sprintf("entry g%d i%d t%d", run.group, run.first, run.term))
		default:
			parts = append(parts, fmt.Sprintf("entries g%d i%d..%d t%d", run.group, run.first, run.last, run.term))
		}
		run.first = 0
	}
	err := wal.Walk(data, func(r *wal.Record) {
		e := &r.Entry
		if r.Type == wal.RecordEntry && run.first != 0 && run.group == r.Group && run.last+1 == e.Index && run.term == e.Term {
			run.last = e.Index
			return
		}
		flush()
		if r.Type == wal.RecordEntry {
			run.group, run.first, run.last, run.term = r.Group, e.Index, e.Index, e.Term
			if pb.EntryType(e.Kind) != pb.EntryNormal {
				parts = append(parts, "change of replicas")
			}
			return
		}
		parts = append(parts, describeRecord(r))
	})
	flush()
	if err != nil {
		parts = append(parts, "other bytes")
	}
	if off == 0 {
		parts = append([]string{"new segment"}, parts...)
	}
	return listed(len(parts), 12, "; ", func(i int) string { return parts[i] })
}

// describeEnd says what becomes of a checkpoint that was written in pieces.
func describeEnd(r *wal.Record) string {
	what := [...]string{"gave up", "checkpoint", "install"}
	return fmt.Sprintf("%s g%d i%d, in pieces", what[r.Piece.End], r.Group, r.Checkpoint.Index)
}

// DescribeRecord says in one line what a record of a broker's log does.
func DescribeRecord(r *wal.Record) string {
	e := &r.Entry
	switch {
	case r.Type != wal.RecordEntry && r.Type != wal.RecordMoved:
		return describeRecord(r)
	case pb.EntryType(e.Kind) != pb.EntryNormal:
		return fmt.Sprintf("%v g%d i%d t%d: change of replicas", r.Type, r.Group, e.Index, e.Term)
	}
	return fmt.Sprintf("%v g%d i%d t%d: %s", r.Type, r.Group, e.Index, e.Term, describeData(e.Data))
}

func describeRecord(r *wal.Record) string {
	switch r.Type {
	case wal.RecordOpen:
		return fmt.Sprintf("opened for the %d. time", r.Epoch)
	case wal.RecordManifest:
		return fmt.Sprintf("manifest, %d runs of segments", len(r.Live))
	case wal.RecordState:
		s := &r.State
		return fmt.Sprintf("state g%d t%d i%d..%d c%d", r.Group, s.Term, s.First, s.Last, s.Commit)
	case wal.RecordVote:
		return fmt.Sprintf("vote g%d t%d for %s", r.Group, r.State.Term, describeReplica(r.State.Vote))
	case wal.RecordCommit:
		return fmt.Sprintf("commit g%d c%d", r.Group, r.State.Commit)
	case wal.RecordRelease:
		return fmt.Sprintf("release g%d before i%d", r.Group, r.State.First)
	case wal.RecordRemove:
		return fmt.Sprintf("remove g%d", r.Group)
	case wal.RecordSeal:
		return "seal of the segment"
	case wal.RecordCheckpoint:
		return fmt.Sprintf("checkpoint g%d i%d, %d bytes", r.Group, r.Checkpoint.Index, len(r.Checkpoint.Data))
	case wal.RecordInstall:
		return fmt.Sprintf("install g%d i%d, %d bytes", r.Group, r.Checkpoint.Index, len(r.Checkpoint.Data))
	case wal.RecordPiece:
		return fmt.Sprintf("piece %d of %d of a checkpoint g%d i%d, %d bytes", r.Piece.Part+1, r.Piece.Parts, r.Group, r.Checkpoint.Index, len(r.Checkpoint.Data))
	case wal.RecordEnd:
		return describeEnd(r)
	case wal.RecordDrop:
		return fmt.Sprintf("drop checkpoint g%d i%d", r.Group, r.Checkpoint.Index)
	case wal.RecordMoved:
		return fmt.Sprintf("moved g%d i%d", r.Group, r.Entry.Index)
	case wal.RecordPacked:
		return fmt.Sprintf("packed g%d i%d..%d", r.Group, r.Entry.Index, r.Entry.Last)
	}
	return fmt.Sprintf("record of type %d", r.Type)
}
