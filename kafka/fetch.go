// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/binary"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Frame is the bytes of a frame, without its length bytes, in pieces that follow each other. Record
// batches are pieces where they lie in memory, so a consumer's answer costs no copy of them. Whoever
// has a frame must not change its bytes.
type Frame [][]byte

// Len is the number of bytes.
func (f Frame) Len() (n int) {
	for _, piece := range f {
		n += len(piece)
	}
	return n
}

// Bytes returns the frame in one piece, copied if it has several.
func (f Frame) Bytes() []byte {
	if len(f) == 1 {
		return f[0]
	}
	return slices.Concat(f...)
}

// copyBelow: to copy so few bytes costs less than one more piece.
const copyBelow = 2 << 10

// frameWriter makes a frame.
type frameWriter struct {
	pieces Frame
	buf    []byte // the bytes from start on are not in pieces yet
	start  int
}

// refer adds bytes as they are.
func (w *frameWriter) refer(b []byte) {
	if len(b) < copyBelow {
		w.buf = append(w.buf, b...)
		return
	}
	w.cut()
	w.pieces = append(w.pieces, b)
}

// cut ends the piece that is being written.
func (w *frameWriter) cut() {
	if len(w.buf) > w.start {
		w.pieces = append(w.pieces, w.buf[w.start:len(w.buf):len(w.buf)])
		w.start = len(w.buf)
	}
}

func (w *frameWriter) int16(v int16) { w.buf = binary.BigEndian.AppendUint16(w.buf, uint16(v)) }
func (w *frameWriter) int32(v int32) { w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(v)) }
func (w *frameWriter) int64(v int64) { w.buf = binary.BigEndian.AppendUint64(w.buf, uint64(v)) }

// length writes the length of an array, a string or bytes, compact or with size bytes.
func (w *frameWriter) length(n int, flexible bool, size int) {
	switch {
	case flexible:
		w.buf = binary.AppendUvarint(w.buf, uint64(n)+1)
	case size == 2:
		w.int16(int16(n))
	default:
		w.int32(int32(n))
	}
}

// null writes that there is no array.
func (w *frameWriter) null(flexible bool) {
	if flexible {
		w.buf = append(w.buf, 0)
	} else {
		w.int32(-1)
	}
}

// noTags ends a struct of a flexible version.
func (w *frameWriter) noTags(flexible bool) {
	if flexible {
		w.buf = append(w.buf, 0)
	}
}

// PlacedBatch is a batch as it lies in the log, with its base offset and leader epoch. A replica learns its offset when
// it applies the entry; the epoch is the entry's term.
type PlacedBatch struct {
	Raw    []byte
	Offset int64
	Epoch  int32
}

// FetchFrame makes the frame that answers a Fetch, version 4 to 18. The k-th of batches is what the
// k-th partition of resp gets; resp itself has no RecordBatches.
func FetchFrame(correlationID int32, resp *kmsg.FetchResponse, batches [][]PlacedBatch) Frame {
	if hasTaggedFields(resp) { // rare; the records of the other partitions are copied twice, see FetchCopies
		return Frame{copiedFetch(correlationID, resp, batches)}
	}
	v, flexible := resp.Version, resp.IsFlexible()
	w := &frameWriter{buf: make([]byte, 0, fetchBytes(resp, batches))}
	w.int32(correlationID)
	w.noTags(flexible)
	w.int32(resp.ThrottleMillis)
	if v >= 7 {
		w.int16(resp.ErrorCode)
		w.int32(resp.SessionID)
	}
	w.length(len(resp.Topics), flexible, 4)
	for i := range resp.Topics {
		t := &resp.Topics[i]
		if v >= 13 {
			w.buf = append(w.buf, t.TopicID[:]...)
		} else {
			w.length(len(t.Topic), flexible, 2)
			w.buf = append(w.buf, t.Topic...)
		}
		w.length(len(t.Partitions), flexible, 4)
		for j := range t.Partitions {
			w.fetched(&t.Partitions[j], v, flexible, batches[0])
			batches = batches[1:]
		}
		w.noTags(flexible)
	}
	w.noTags(flexible)
	w.cut()
	return w.pieces
}

func (w *frameWriter) fetched(p *kmsg.FetchResponseTopicPartition, version int16, flexible bool, batches []PlacedBatch) {
	w.int32(p.Partition)
	w.int16(p.ErrorCode)
	w.int64(p.HighWatermark)
	w.int64(p.LastStableOffset)
	if version >= 5 {
		w.int64(p.LogStartOffset)
	}
	w.aborted(p.AbortedTransactions, flexible)
	if version >= 11 {
		w.int32(p.PreferredReadReplica)
	}
	size := 0
	for i := range batches {
		size += len(batches[i].Raw)
	}
	w.length(size, flexible, 4)
	for i := range batches {
		b := &batches[i]
		w.int64(b.Offset)
		w.buf = append(w.buf, b.Raw[8:lengthEnd]...)
		w.int32(b.Epoch)
		w.refer(b.Raw[lengthEnd+4:])
	}
	w.noTags(flexible)
}

// aborted writes which transactions among the records were aborted; nil: the client didn't ask.
func (w *frameWriter) aborted(all []kmsg.FetchResponseTopicPartitionAbortedTransaction, flexible bool) {
	if all == nil {
		w.null(flexible)
		return
	}
	w.length(len(all), flexible, 4)
	for i := range all {
		w.int64(all[i].ProducerID)
		w.int64(all[i].FirstOffset)
		w.noTags(flexible)
	}
}

// FetchCopies is about how many bytes are written to make a FetchFrame, and into how many partitions.
func FetchCopies(resp *kmsg.FetchResponse, batches [][]PlacedBatch) (bytes, partitions int) {
	bytes = fetchBytes(resp, batches)
	if hasTaggedFields(resp) {
		for _, of := range batches {
			for i := range of {
				bytes += 2 * len(of[i].Raw)
			}
		}
	}
	return bytes, len(batches) + len(resp.Topics)
}

// fetchBytes is about how many bytes of the answer are copied.
func fetchBytes(resp *kmsg.FetchResponse, batches [][]PlacedBatch) int {
	n := 64
	for i := range resp.Topics {
		n += 32 + len(resp.Topics[i].Topic)
		for j := range resp.Topics[i].Partitions {
			n += abortedBytes * len(resp.Topics[i].Partitions[j].AbortedTransactions)
		}
	}
	for _, of := range batches {
		n += 64
		for i := range of {
			if n += 16; len(of[i].Raw) < copyBelow {
				n += len(of[i].Raw)
			}
		}
	}
	return n
}

const abortedBytes = 17 // of an aborted transaction in an answer

// hasTaggedFields says that a response says where a client should go instead, or truncate.
func hasTaggedFields(resp *kmsg.FetchResponse) bool {
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			p := &resp.Topics[i].Partitions[j]
			if p.CurrentLeader.LeaderID >= 0 || p.DivergingEpoch.Epoch >= 0 || p.SnapshotID.Epoch >= 0 {
				return true
			}
		}
	}
	return len(resp.Brokers) > 0
}

// copiedFetch does without pieces. Its buffers don't grow while they are written: a copy of many megabytes is a stretch in which
// Go can't stop the thread.
func copiedFetch(correlationID int32, resp *kmsg.FetchResponse, batches [][]PlacedBatch) []byte {
	room := fetchBytes(resp, batches)
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			size := 0
			for k := range batches[0] {
				size += len(batches[0][k].Raw)
			}
			all := make([]byte, 0, size) // null would confuse some clients
			for _, b := range batches[0] {
				at := len(all)
				all = append(all, b.Raw...)
				SetBaseOffset(all[at:], b.Offset)
				SetLeaderEpoch(all[at:], b.Epoch)
			}
			resp.Topics[i].Partitions[j].RecordBatches = all
			room += size
			batches = batches[1:]
		}
	}
	return AppendResponse(make([]byte, 0, room+taggedRoom(resp)), correlationID, resp)
}

// taggedBytes is what the tagged fields of a partition take at most, and a broker without its texts.
const taggedBytes = 64

// taggedRoom is enough for the tagged fields of an answer.
func taggedRoom(resp *kmsg.FetchResponse) int {
	n := taggedBytes * (1 + len(resp.Brokers))
	for i := range resp.Topics {
		n += taggedBytes * len(resp.Topics[i].Partitions)
	}
	for i := range resp.Brokers {
		n += len(resp.Brokers[i].Host)
		if rack := resp.Brokers[i].Rack; rack != nil {
			n += len(*rack)
		}
	}
	return n
}
