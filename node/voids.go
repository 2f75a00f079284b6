// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"encoding/binary"
	"errors"

	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/kafka"
	"chronik/node/step"
	"chronik/wal"
)

// A void is an entry of a partition that holds no record: a batch that compaction has emptied, one that was refused, or
// raft's own. It still counts: it takes offsets and belongs to its producer's window, and a follower may have it as its
// last. Many of them are one record in the log (ADR 11), as its bytes say how they differ from each other:
//
//	version u8, then for each void, flags u8 and what they announce, as varints:
//	  nothing                       raft's own
//	  attributes, leader epoch      where they aren't those of the batch before
//	  producer id, producer epoch   the same
//	  base sequence                 where it doesn't follow that of the batch before
//	  last offset delta             where it isn't that of the batch before
//	  last minus first timestamp    the same
//	  then always: time of appending and first timestamp, both minus those of the batch before
const voidsVersion = 1

// maxVoids bounds the entries in one record: whoever needs one reads all.
const maxVoids = 512

// The flags of a void.
const (
	voidOwn = 1 << iota
	voidShape
	voidProducer
	voidSequence
	voidOffsets
	voidTimes
)

// isVoid reports whether an entry is a void, in the form that compaction leaves.
func isVoid(e *wal.Entry) bool {
	if pb.EntryType(e.Kind) != pb.EntryNormal || len(e.Data) == 0 {
		return pb.EntryType(e.Kind) == pb.EntryNormal
	}
	b, err := kafka.ParseBatch(e.Data)
	return err == nil && b.Count == 0 && bytes.Equal(e.Data, kafka.EmptyBatch(b))
}

// encodeVoids makes one record's data of voids.
func encodeVoids(voids []wal.Entry) []byte {
	b := []byte{voidsVersion}
	var before kafka.Batch
	for i := range voids {
		if len(voids[i].Data) == 0 {
			b = append(b, voidOwn)
			continue
		}
		v, err := kafka.ParseBatch(voids[i].Data)
		step.Assert(err == nil, "a void is a batch: %v", err)
		b = appendVoid(b, &before, &v)
		before = v
	}
	return b
}

func appendVoid(b []byte, before, v *kafka.Batch) []byte {
	at := len(b)
	b = append(b, 0)
	announce := func(flag byte, values ...int64) {
		b[at] |= flag
		for _, n := range values {
			b = binary.AppendVarint(b, n)
		}
	}
	if v.Attributes != before.Attributes || v.LeaderEpoch != before.LeaderEpoch {
		announce(voidShape, int64(v.Attributes), int64(v.LeaderEpoch))
	}
	if v.ProducerID != before.ProducerID || v.ProducerEpoch != before.ProducerEpoch {
		announce(voidProducer, v.ProducerID, int64(v.ProducerEpoch))
	}
	if v.BaseSequence != sequenceAfter(before) {
		announce(voidSequence, int64(v.BaseSequence))
	}
	if v.LastOffsetDelta != before.LastOffsetDelta {
		announce(voidOffsets, int64(v.LastOffsetDelta))
	}
	if v.MaxTimestamp-v.FirstTimestamp != before.MaxTimestamp-before.FirstTimestamp {
		announce(voidTimes, v.MaxTimestamp-v.FirstTimestamp)
	}
	announce(0, v.BaseOffset-before.BaseOffset, v.FirstTimestamp-before.FirstTimestamp)
	return b
}

// sequenceAfter is the sequence that the batch after this one most likely begins with.
func sequenceAfter(b *kafka.Batch) int32 {
	if b.ProducerID < 0 {
		return b.BaseSequence
	}
	return nextSequence(b.LastSequence())
}

var errVoids = errors.New("packed entries that this version can't read")

// decodeVoids is the inverse of encodeVoids.
func decodeVoids(e *wal.Entry) ([]wal.Entry, error) {
	r := newReader(e.Data)
	if r.byte() != voidsVersion || e.Last-e.Index >= uint64(len(r.b)) {
		return nil, errVoids
	}
	voids := make([]wal.Entry, 0, e.Last+1-e.Index)
	var v kafka.Batch
	for i := e.Index; i <= e.Last; i++ {
		flags := r.byte()
		var data []byte
		if flags != voidOwn {
			r.void(flags, &v)
			data = kafka.EmptyBatch(v)
		}
		voids = append(voids, wal.Entry{Index: i, Term: e.Term, Kind: wal.EntryKind(pb.EntryNormal), Data: data})
	}
	if r.bad || len(r.b) > 0 {
		return nil, errVoids
	}
	return voids, nil
}

// void turns a batch into the one after it.
func (r *reader) void(flags byte, v *kafka.Batch) {
	times, sequence := v.MaxTimestamp-v.FirstTimestamp, sequenceAfter(v)
	if flags&voidShape != 0 {
		v.Attributes, v.LeaderEpoch = int16(r.varint()), int32(r.varint())
	}
	if flags&voidProducer != 0 {
		v.ProducerID, v.ProducerEpoch = r.varint(), int16(r.varint())
	}
	if flags&voidSequence != 0 {
		sequence = int32(r.varint())
	}
	if flags&voidOffsets != 0 {
		v.LastOffsetDelta = int32(r.varint())
	}
	if flags&voidTimes != 0 {
		times = r.varint()
	}
	v.BaseSequence = sequence
	v.BaseOffset += r.varint()
	v.FirstTimestamp += r.varint()
	v.MaxTimestamp = v.FirstTimestamp + times
}

// unpacked returns entries that were read from the log one by one, those from an index on. An error says that
// a record can't be read though it is what was written.
func unpacked(g GroupID, ents []wal.Entry, from uint64) ([]wal.Entry, error) {
	packed := false
	for i := range ents {
		packed = packed || ents[i].Last > 0
	}
	if !packed {
		return ents, nil
	}
	var all []wal.Entry
	for i := range ents {
		if ents[i].Last == 0 {
			all = append(all, ents[i])
			continue
		}
		voids, err := decodeVoids(&ents[i])
		if err != nil {
			return nil, &wal.Damage{Group: g, Index: ents[i].Index, Why: err}
		}
		for k := range voids {
			if voids[k].Index >= from {
				all = append(all, voids[k])
			}
		}
	}
	return all, nil
}

// maxUnpacked bounds the entries of one read: voids unfold.
const maxUnpacked = 8 * maxVoids
