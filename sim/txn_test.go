// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/checker"
	"chronik/kafka"
	"chronik/node"
)

// TestTransactionsAreBusy guards against transactors that do nothing: everything that the checks of transactions look at has to occur.
func TestTransactionsAreBusy(t *testing.T) {
	count := make(map[string]int)
	for s := range uint64(24) {
		w := runGroups(t, mustGenerate(t, s, "transactions"))
		h := &w.judge.histories.Txns
		for i := range h.Txns {
			x := &h.Txns[i]
			end := "abort "
			if x.Commit {
				end = "commit "
			}
			if x.Asked == 0 {
				end = "no end "
			}
			count[end+string(x.Outcome)]++
			for j := range x.Sends {
				count["send "+string(x.Sends[j].Outcome)]++
				count["input"] += btoi(x.Sends[j].Input != nil)
			}
			count["offsets"] += len(x.Offsets)
		}
		for i := range h.Reads {
			count["read below the high watermark"] += btoi(h.Reads[i].Stable < h.Reads[i].HighWatermark)
		}
		for i := range h.Grants {
			count["fence"] += btoi(h.Grants[i].Fences)
		}
		for i := range h.OffsetReads {
			count["offset read"] += btoi(h.OffsetReads[i].ID > 0)
		}
		//det:ok sums
		for _, a := range w.judge.archives {
			count["archived"] += len(a.log.Records)
			count["compacted away"] += len(a.log.Records) - len(w.readings[a.name].records)
		}
		count["double"] += len(w.doubles)
		count["end told"] += len(h.Ends)
		count["timed out"] += int(w.result.Events[node.EventTxnTimedOut])
		count["marker ignored"] += int(w.result.Events[node.EventMarkerIgnored])
	}
	for what, least := range map[string]int{
		"commit ok": 200, "commit unknown": 5, "commit failed": 1, "abort ok": 50, "no end unknown": 10, "send ok": 1000, "send unknown": 10, "input": 200,
		"offsets": 100, "read below the high watermark": 100, "fence": 100, "offset read": 50, "double": 100, "end told": 300, "timed out": 2, "marker ignored": 10, "archived": 100, "compacted away": 50,
	} {
		if count[what] < least {
			t.Errorf("%s: %d times in 24 worlds, expected are at least %d", what, count[what], least)
		}
	}
}

// TestTransactionsRepeat compares two runs of one plan.
func TestTransactionsRepeat(t *testing.T) {
	for s := uint64(1); s < 4; s++ {
		p := mustGenerate(t, s, "transactions")
		first := Run(p, Options{}).Hash
		if again := Run(p, Options{}).Hash; first != again {
			t.Errorf("seed %d: trace hash %016x, then %016x", s, first, again)
		}
	}
}

// TestCommittedRead checks what a reader makes of an answer: producer 1 aborts its first transaction and commits its second one, which
// begins before the end of what is said to be aborted of producer 2.
func TestCommittedRead(t *testing.T) {
	w := newWorld(mustGenerate(t, 1, "tiny"), Options{})
	c := newClient(w, &w.plan.Clients[0])
	var raw []byte
	offset := int64(0)
	add := func(producer int64, control bool, records ...kafka.Record) {
		spec := kafka.NewBatchSpec(records...)
		spec.BaseOffset, spec.ProducerID, spec.ProducerEpoch = offset, producer, 0
		if producer >= 0 {
			spec.Attributes, spec.BaseSequence = kafka.TransactionalFlag, int32(offset)
		}
		if control {
			spec.Attributes, spec.BaseSequence = spec.Attributes|kafka.ControlFlag, -1
		}
		raw = kafka.AppendBatch(raw, spec)
		offset += int64(len(records))
	}
	record := func(i int) kafka.Record { return kafka.Record{Value: value(recordID(1, i), 16)} }
	marker := func(commit bool) kafka.Record {
		return kafka.Record{Key: []byte{0, 0, 0, byte(btoi(commit))}, Value: make([]byte, 6)}
	}
	add(1, false, record(0), record(1))
	add(-1, false, record(2))
	add(2, false, record(3))
	add(1, true, marker(false))
	add(1, false, record(5))
	add(2, true, marker(false))
	add(1, true, marker(true))
	add(2, false, record(8))
	add(2, true, marker(true))
	r := &kmsg.FetchResponseTopicPartition{
		RecordBatches: raw, LastStableOffset: offset, HighWatermark: offset,
		AbortedTransactions: []kmsg.FetchResponseTopicPartitionAbortedTransaction{{ProducerID: 2, FirstOffset: 3}, {ProducerID: 1, FirstOffset: 0}},
	}
	for from, want := range map[int64][]int64{0: {2, 5, 8}, 5: {5, 8}, 9: nil} {
		read := c.committedRead(c.topics[0], 0, from, r)
		var got []int64
		for _, x := range read.Records {
			got = append(got, x.Offset)
		}
		if !slices.Equal(got, want) || read.Next != offset {
			t.Errorf("from %d: offsets %v, then %d; want %v, then %d", from, got, read.Next, want, offset)
		}
	}
}

// TestMarkersHaveValues demands that markers which say different things differ in histories.
func TestMarkersHaveValues(t *testing.T) {
	w := newWorld(mustGenerate(t, 1, "tiny"), Options{})
	seen := make(map[checker.RecordID]bool)
	for producer := range int64(3) {
		for epoch := range int16(3) {
			for _, commit := range []bool{false, true} {
				spec := kafka.NewBatchSpec(kafka.Record{Key: []byte{0, 0, 0, byte(btoi(commit))}, Value: make([]byte, 6)})
				spec.ProducerID, spec.ProducerEpoch, spec.Attributes = producer, epoch, kafka.TransactionalFlag|kafka.ControlFlag
				got, id := w.marker("t/0", kafka.AppendBatch(nil, spec))
				if got != commit || seen[id] || id>>63 != 1 {
					t.Errorf("producer %d.%d, commit %v: %v, value %x", producer, epoch, commit, got, id)
				}
				seen[id] = true
			}
		}
	}
}
