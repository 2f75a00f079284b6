// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// RecordType says what a record means. 0 is never written, so zeroed space holds no record.
type RecordType uint8

// The record types; doc.go draws their payloads.
const (
	RecordOpen       RecordType = iota + 1 // the log was opened; the records after it carry its epoch
	RecordManifest                         // which older segments are still part of the log
	RecordState                            // all that is known of a group but its entries and the data of its checkpoints
	RecordEntry                            // one entry; replaces the group's entries from its index on
	RecordVote                             // term and vote
	RecordCommit                           // commit index
	RecordRelease                          // entries below an index are no longer needed
	RecordRemove                           // a group is gone
	RecordSeal                             // ends a segment, and says what is live in it: the log goes on in the next one
	RecordCheckpoint                       // a checkpoint of a group
	RecordInstall                          // a checkpoint that takes the place of all entries and checkpoints
	RecordDrop                             // a checkpoint is no longer needed
	RecordMoved                            // an entry that is in the log is here, too, from now on
	RecordPacked                           // consecutive entries that are in the log are here, in one record, from now on
	RecordPiece                            // a piece of a staged checkpoint's data
	RecordEnd                              // a staged checkpoint becomes one of the group's, or is given up
	recordTypes
)

const (
	recordHead  = 40 // bytes before a record's payload
	sumFrom     = 4  // its checksum covers all bytes of it from here on
	entryHead   = 16 // bytes of an entry's or checkpoint's payload before its data
	packedHead  = 24 // the same of packed entries
	pieceHead   = 40 // the same of a piece of a checkpoint
	endBytes    = 32 // of the payload of an end record
	manifestRow = 24 // bytes of a run of segments in a manifest
	stateBytes  = 56 // of a state record's payload, before the indexes of checkpoints
	// MaxEntryBytes bounds Entry.Data and Checkpoint.Data, so that offsets in a segment fit 32 bits.
	MaxEntryBytes = 1 << 30
)

// stateWithIDs is the kind of a state record in which each checkpoint's index is followed by its id.
const stateWithIDs EntryKind = 1

// What becomes of a staged checkpoint, by its end record.
const (
	endGivenUp    = 0
	endCheckpoint = 1 // as a RecordCheckpoint
	endInstall    = 2 // as a RecordInstall
)

// castagnoli is the polynomial of CRC-32C, for which processors have an instruction.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Record is one parsed record. Which fields mean something depends on Type.
type Record struct {
	Type    RecordType
	Epoch   uint32 // counts the Opens of the log
	LSN     LSN    // where the record begins
	Durable LSN    // everything below was durable when the record was written
	Group   GroupID

	Entry Entry // RecordEntry, RecordMoved, RecordPacked; Data points into the buffer that was parsed
	// Checkpoint is that of a RecordCheckpoint, RecordInstall, RecordPiece or RecordEnd, with Data as above,
	// and the Index of a RecordDrop.
	Checkpoint Checkpoint
	Piece      Piece // RecordPiece, RecordEnd
	// State holds, by type: state: everything; vote: Term, Vote; commit: Commit;
	// release: First, PrevTerm.
	State State
	// Checkpoints are the indexes of all checkpoints of a RecordState's group, ascending.
	Checkpoints []uint64
	// IDs are their ids, 0 for those in one record; empty if all are.
	IDs []LSN
	// Live holds the sequence numbers of a manifest's segments as runs.
	Live []SegmentRun
	// Table is the payload of a seal; it points into the buffer that was parsed.
	Table []byte
}

// Piece says which piece of which staged checkpoint a record has.
type Piece struct {
	ID    LSN    // of the checkpoint: where its first piece was written
	Part  uint64 // from 0
	Parts uint64 // how many there are
	End   uint64 // RecordEnd: what becomes of it
}

// SegmentRun names Count segments with consecutive sequence numbers. SealAt is the file offset of
// the last one's seal; for the others, the next segment's header says it.
type SegmentRun struct{ First, Count, SealAt uint64 }

// recordBytes is the size on disk of a record with n bytes of payload: a multiple of 8.
func recordBytes(n int) int { return (recordHead + n + 7) &^ 7 }

// putRecord fills in all of a record's header that is known when it is buffered, and zeroes its
// padding. rec is the whole record, padding included; n is the length of its payload.
func putRecord(rec []byte, t RecordType, kind EntryKind, g GroupID, n int, lsn LSN, epoch uint32) {
	le := binary.LittleEndian
	le.PutUint64(rec[len(rec)-8:], 0)
	le.PutUint32(rec[4:], uint32(n))
	le.PutUint64(rec[8:], uint64(lsn))
	le.PutUint32(rec[24:], epoch)
	le.PutUint32(rec[28:], uint32(t)|uint32(kind)<<8)
	le.PutUint64(rec[32:], uint64(g))
}

// sealRecord fills in what is known only when the record is written.
func sealRecord(rec []byte, durable LSN, seed uint32) {
	binary.LittleEndian.PutUint64(rec[16:], uint64(durable))
	binary.LittleEndian.PutUint32(rec, crc32.Update(seed, castagnoli, rec[4:]))
}

func putState(p []byte, s State) {
	for i, v := range [...]uint64{s.Term, s.Vote, s.Commit, s.First, s.PrevTerm, s.Last, s.LastTerm} {
		binary.LittleEndian.PutUint64(p[8*i:], v)
	}
}

var (
	// errNoRecord says that the bytes are not a whole record: zeros, a torn or old record, rot.
	errNoRecord = errors.New("no valid record")
	// errRecord says that a record's checksum is right and its content makes no sense.
	errRecord = errors.New("record with a valid checksum and impossible content")
)

// sizeOfRecord returns the size of the record at the start of b, if there may be one.
func sizeOfRecord(b []byte) (size int, ok bool) {
	if len(b) < recordHead || b[28] == 0 {
		return 0, false
	}
	n := binary.LittleEndian.Uint32(b[4:])
	if n > MaxEntryBytes+packedHead || recordBytes(int(n)) > len(b) {
		return 0, false
	}
	return recordBytes(int(n)), true
}

// parseRecord reads the record at the start of b into rec and returns its size on disk. seed is that of its segment.
// The error is errNoRecord or errRecord.
func parseRecord(b []byte, seed uint32, rec *Record) (int, error) {
	size, ok := sizeOfRecord(b)
	if !ok || crc32.Update(seed, castagnoli, b[4:size]) != binary.LittleEndian.Uint32(b) {
		return 0, errNoRecord
	}
	return parseSized(b, size, rec)
}

// parseSized parses a record of known size without verifying its checksum.
func parseSized(b []byte, size int, rec *Record) (int, error) {
	le := binary.LittleEndian
	*rec = Record{
		Type:    RecordType(b[28]),
		Epoch:   le.Uint32(b[24:]),
		LSN:     LSN(le.Uint64(b[8:])),
		Durable: LSN(le.Uint64(b[16:])),
		Group:   GroupID(le.Uint64(b[32:])),
	}
	rec.Entry.Kind = EntryKind(b[29])
	n := int(le.Uint32(b[4:]))
	if !rec.parsePayload(b[recordHead : recordHead+n : recordHead+n]) {
		return 0, errRecord
	}
	return size, nil
}

func (r *Record) parsePayload(p []byte) bool {
	u64 := func(i int) uint64 { return binary.LittleEndian.Uint64(p[8*i:]) }
	switch r.Type {
	case RecordOpen, RecordRemove:
		return len(p) == 0
	case RecordSeal:
		r.Table = p
	case RecordManifest:
		for i := 0; i+2 < len(p)/8; i += 3 {
			r.Live = append(r.Live, SegmentRun{u64(i), u64(i + 1), u64(i + 2)})
		}
		return len(p)%manifestRow == 0
	case RecordState:
		return r.parseState(p)
	case RecordEntry, RecordMoved:
		if len(p) < entryHead {
			return false
		}
		r.Entry.Index, r.Entry.Term, r.Entry.Data = u64(0), u64(1), p[entryHead:]
	case RecordPacked:
		if len(p) < packedHead {
			return false
		}
		r.Entry.Index, r.Entry.Last, r.Entry.Term, r.Entry.Data = u64(0), u64(1), u64(2), p[packedHead:]
		return r.Entry.Index > 0 && r.Entry.Index < r.Entry.Last && r.Entry.Last+1 != 0
	case RecordCheckpoint, RecordInstall:
		if len(p) < entryHead {
			return false
		}
		r.Checkpoint = Checkpoint{u64(0), u64(1), p[entryHead:]}
	case RecordPiece, RecordEnd:
		return r.parsePiece(p)
	default:
		return r.parseNumbers(p)
	}
	return true
}

// parseNumbers parses a payload of one number or two.
func (r *Record) parseNumbers(p []byte) bool {
	var n [2]uint64
	for i := range min(len(p)/8, len(n)) {
		n[i] = binary.LittleEndian.Uint64(p[8*i:])
	}
	switch {
	case r.Type == RecordVote && len(p) == 16:
		r.State.Term, r.State.Vote = n[0], n[1]
	case r.Type == RecordCommit && len(p) == 8:
		r.State.Commit = n[0]
	case r.Type == RecordRelease && len(p) == 16:
		r.State.First, r.State.PrevTerm = n[0], n[1]
	case r.Type == RecordDrop && len(p) == 8:
		r.Checkpoint.Index = n[0]
	default:
		return false
	}
	return true
}

func (r *Record) parseState(p []byte) bool {
	u64 := func(i int) uint64 { return binary.LittleEndian.Uint64(p[8*i:]) }
	if len(p) < stateBytes || len(p)%8 != 0 {
		return false
	}
	r.State = State{u64(0), u64(1), u64(2), u64(3), u64(4), u64(5), u64(6)}
	n := len(p) / 8
	if r.Entry.Kind != stateWithIDs {
		for i := stateBytes / 8; i < n; i++ {
			r.Checkpoints = append(r.Checkpoints, u64(i))
		}
		return true
	}
	for i := stateBytes / 8; i+1 < n; i += 2 {
		r.Checkpoints, r.IDs = append(r.Checkpoints, u64(i)), append(r.IDs, LSN(u64(i+1)))
	}
	return (len(p)-stateBytes)%16 == 0
}

func (r *Record) parsePiece(p []byte) bool {
	u64 := func(i int) uint64 { return binary.LittleEndian.Uint64(p[8*i:]) }
	if r.Type == RecordEnd {
		if len(p) != endBytes {
			return false
		}
		r.Checkpoint.Index, r.Checkpoint.Term = u64(0), u64(1)
		r.Piece = Piece{ID: LSN(u64(2)), End: u64(3)}
		return r.Piece.End <= endInstall
	}
	if len(p) < pieceHead {
		return false
	}
	r.Checkpoint = Checkpoint{u64(0), u64(1), p[pieceHead:]}
	r.Piece = Piece{ID: LSN(u64(2)), Part: u64(3), Parts: u64(4)}
	return r.Piece.ID <= r.LSN && r.Piece.Part < r.Piece.Parts && r.Piece.Parts > 1 && r.Piece.Parts <= maxPieces
}

// Walk calls fn with each record in the Data of an OpWrite, in order. The record and what it
// points to are valid only during the call. It fails if data is anything else than whole records,
// with a segment header in front where a segment begins. Checksums are not verified: their seed isn't in data.
func Walk(data []byte, fn func(rec *Record)) error {
	off := 0
	if _, ok := parseHeader(data); ok {
		off = headerBytes
	}
	var rec Record
	for off < len(data) {
		size, ok := sizeOfRecord(data[off:])
		if !ok {
			return fmt.Errorf("offset %d: %w", off, errNoRecord)
		}
		n, err := parseSized(data[off:], size, &rec)
		if err != nil {
			return fmt.Errorf("offset %d: %w", off, err)
		}
		fn(&rec)
		off += n
	}
	return nil
}
