// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"chronik/kafka"
)

// committedRequest is a fetch of a client that reads committed records only.
func committedRequest(topic string, offset int64) *kmsg.FetchRequest {
	req := fetchRequest(topic, offset)
	req.IsolationLevel = readCommitted
	return req
}

// readAs lets a client take an answer apart as clients do: it leaves out the records of aborted transactions, from the
// first offset in the list to the marker. It returns what it keeps and the offset after what it got.
func readAs(t testing.TB, p *kmsg.FetchResponseTopicPartition, from int64) (kept []string, next int64) {
	t.Helper()
	next = from
	aborted := make(map[int64]bool)
	if err := kafka.SplitBatches(p.RecordBatches, func(one []byte) {
		b, err := kafka.ParseBatch(one)
		if err != nil {
			t.Fatal(err)
		}
		next = b.LastOffset() + 1
		if b.IsControl() {
			if m, err := kafka.ParseMarker(one); err == nil && b.Count > 0 && !m.Commit {
				delete(aborted, b.ProducerID)
			}
			return
		}
		for _, a := range p.AbortedTransactions {
			if a.ProducerID == b.ProducerID && a.FirstOffset <= b.LastOffset() && !over(p, one, a) {
				aborted[a.ProducerID] = true
			}
		}
		if b.IsTransactional() && aborted[b.ProducerID] {
			return
		}
		if err := kafka.Unpack(one, 1<<20, func(delta, _ int64, _, value []byte) error {
			if at := b.BaseOffset + delta; at >= from {
				kept = append(kept, fmt.Sprintf("%d=%s", at, value))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	return kept, next
}

// over reports whether the marker of an aborted transaction comes before a batch, so the client has forgotten it.
func over(p *kmsg.FetchResponseTopicPartition, batch []byte, a kmsg.FetchResponseTopicPartitionAbortedTransaction) (ended bool) {
	here, _ := kafka.ParseBatch(batch)
	_ = kafka.SplitBatches(p.RecordBatches, func(one []byte) {
		b, _ := kafka.ParseBatch(one)
		if b.IsControl() && b.Count > 0 && b.ProducerID == a.ProducerID && b.BaseOffset > a.FirstOffset && b.BaseOffset < here.BaseOffset {
			ended = true
		}
	})
	return ended
}

// committed reads what a client sees that reads committed records only.
func (o *one) committed(topic string, offset int64, change func(*kmsg.FetchRequest)) (all []string) {
	o.t.Helper()
	for {
		req := committedRequest(topic, offset)
		req.MaxWaitMillis = 0
		if change != nil {
			change(req)
		}
		p := o.fetch(req)
		if p.ErrorCode != 0 {
			o.t.Fatalf("fetch at %d: %s", offset, kafka.CodeName(p.ErrorCode))
		}
		kept, next := readAs(o.t, &p, offset)
		if next > p.LastStableOffset {
			o.t.Fatalf("read to offset %d, the last stable one is %d", next, p.LastStableOffset)
		}
		all = append(all, kept...)
		if offset == next {
			return all
		}
		offset = next
	}
}

// A client that reads committed records gets nothing from the first open transaction on, and the list of exactly the
// aborted transactions that it gets something of.
func TestReadCommitted(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	o.produce("t", plain("a"))
	o.transact("t", txnBatch(7, 0, 0, "b", "c"))
	o.transact("t", txnBatch(8, 0, 0, "d"))
	o.produce("t", plain("e"))
	if got := fmt.Sprint(o.committed("t", 0, nil)); got != "[0=a]" {
		t.Error(got)
	}
	o.mark("t", txnMarker{producerID: 7, number: 1})               // aborted, at 5
	o.transact("t", txnBatch(7, 0, 2, "f"))                        // 6
	o.mark("t", txnMarker{producerID: 7, number: 2, commit: true}) // at 7
	if got := fmt.Sprint(o.committed("t", 0, nil)); got != "[0=a]" {
		t.Error(got)
	}
	o.mark("t", txnMarker{producerID: 8, number: 3, commit: true}) // at 8
	for _, max := range []int32{1, 100, 150, 1 << 20} {
		if got := fmt.Sprint(o.committed("t", 0, func(r *kmsg.FetchRequest) { r.MaxBytes = max })); got != "[0=a 3=d 4=e 6=f]" {
			t.Errorf("%d bytes at a time: %s", max, got)
		}
	}
	for offset, want := range map[int64]string{0: "[{7 1}]", 2: "[{7 1}]", 3: "[{7 1}]", 5: "[{7 1}]", 6: "[]", 9: "[]"} {
		req := committedRequest("t", offset)
		req.MaxWaitMillis = 0
		p := o.fetch(req)
		var got []string
		for _, a := range p.AbortedTransactions {
			got = append(got, fmt.Sprintf("{%d %d}", a.ProducerID, a.FirstOffset))
		}
		if s := fmt.Sprint(got); s != want || p.AbortedTransactions == nil {
			t.Errorf("from offset %d: %s, want %s", offset, s, want)
		}
	}
	if p := o.fetch(fetchRequest("t", 0)); p.AbortedTransactions != nil || p.LastStableOffset != 9 {
		t.Errorf("a client that reads all is told %+v, and %d", p.AbortedTransactions, p.LastStableOffset)
	}
	if got := len(o.read("t", 0)); got != 9 { // markers are records to it that it skips
		t.Errorf("%d records", got)
	}
}

// A fetch that waits for committed records is answered when a marker comes, and not before.
func TestMarkersWakeFetches(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	o.transact("t", txnBatch(7, 0, 0, "a"))
	req := committedRequest("t", 0)
	req.MaxWaitMillis = 60_000
	o.lastID++
	o.step(Input{Requests: []Request{{Conn: 1, Frame: kafka.AppendRequest(nil, o.lastID, "test", req)}}})
	o.transact("t", txnBatch(7, 0, 1, "b"))
	o.produce2("t", plain("c"))
	if len(o.replies) > 0 {
		t.Fatal("it is answered before the transaction ends")
	}
	o.mark("t", txnMarker{producerID: 7, number: 1, commit: true})
	for range 3 {
		o.step(Input{})
	}
	if len(o.replies) != 1 {
		t.Fatalf("%d answers", len(o.replies))
	}
	o.replies = nil
	// Without open transactions new records are enough.
	req = committedRequest("t", 4)
	req.MaxWaitMillis = 60_000
	o.lastID++
	o.step(Input{Requests: []Request{{Conn: 1, Frame: kafka.AppendRequest(nil, o.lastID, "test", req)}}})
	o.transact("t", plain("d"))
	for range 3 {
		o.step(Input{})
	}
	if len(o.replies) != 1 {
		t.Fatalf("%d answers", len(o.replies))
	}
}

// produce2 appends a batch while another request waits.
func (o *one) produce2(topic string, raw []byte) {
	if _, e := o.transact(topic, raw); e != "NONE" {
		o.t.Fatal(e)
	}
}

// ListOffsets tells a client that reads committed records of nothing beyond the last stable offset.
func TestListOffsetsCommitted(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	at := func(ms int64, raw []byte) []byte {
		spec := kafka.NewBatchSpec(kafka.Record{Value: []byte("x")})
		b, _ := kafka.ParseBatch(raw)
		spec.FirstTimestamp, spec.Attributes = ms, b.Attributes
		spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = b.ProducerID, b.ProducerEpoch, b.BaseSequence
		return kafka.AppendBatch(nil, spec)
	}
	o.transact("t", at(10, plain("a")))
	o.transact("t", at(30, txnBatch(7, 0, 0, "b")))
	o.transact("t", at(20, plain("c")))
	list := func(level int8, timestamp int64) string {
		req := kmsg.NewPtrListOffsetsRequest()
		req.Version, req.ReplicaID, req.IsolationLevel = 7, -1, level
		topic, p := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp, p.CurrentLeaderEpoch = timestamp, -1
		topic.Topic, topic.Partitions = "t", append(topic.Partitions, p)
		req.Topics = append(req.Topics, topic)
		out := o.ask(req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
		return fmt.Sprintf("%d %d %s", out.Offset, out.Timestamp, kafka.CodeName(out.ErrorCode))
	}
	for _, c := range []struct {
		level     int8
		timestamp int64
		want      string
	}{
		{0, timestampLatest, "3 -1 NONE"},
		{1, timestampLatest, "1 -1 NONE"},
		{0, timestampEarliest, "0 -1 NONE"},
		{1, timestampEarliest, "0 -1 NONE"},
		{0, timestampMax, "1 30 NONE"},
		{1, timestampMax, "-1 -1 NONE"},
		{0, 15, "1 30 NONE"},
		{1, 15, "-1 -1 NONE"},
		{1, 5, "0 10 NONE"},
	} {
		if got := list(c.level, c.timestamp); got != c.want {
			t.Errorf("level %d, timestamp %d: %s, want %s", c.level, c.timestamp, got, c.want)
		}
	}
	o.mark("t", txnMarker{producerID: 7, number: 1, commit: true})
	if got := list(1, timestampLatest) + ", " + list(1, 15); got != "4 -1 NONE, 1 30 NONE" {
		t.Errorf("after its end: %s", got)
	}
}

// history is what was written to a topic, and what of it is committed.
type history struct {
	o         *one
	topic     string
	offset    int
	number    uint64
	next      map[int64]int32
	open      map[int64][]string // by producer: what is part of its open transaction
	committed []string
}

// at returns the offset of a record in it.
func (h *history) at(s string) (offset int) {
	fmt.Sscanf(s, "%d=", &offset)
	return offset
}

// step writes a batch or ends a transaction.
func (h *history) step(t *rapid.T) {
	id := rapid.Int64Range(1, 3).Draw(t, "producer")
	switch rapid.IntRange(0, 3).Draw(t, "what") {
	case 0:
		h.o.transact(h.topic, plain("x"))
		h.committed = append(h.committed, fmt.Sprintf("%d=x", h.offset))
		h.offset++
	case 1, 2:
		n := rapid.IntRange(1, 3).Draw(t, "records")
		values := strings.Fields(strings.Repeat(fmt.Sprintf("p%d ", id), n))
		if _, e := h.o.transact(h.topic, txnBatch(id, 0, h.next[id], values...)); e != "NONE" {
			t.Fatal(e)
		}
		for _, v := range values {
			h.open[id] = append(h.open[id], fmt.Sprintf("%d=%s", h.offset, v))
			h.offset++
		}
		h.next[id] += int32(n)
	case 3:
		h.number++
		commit := rapid.Bool().Draw(t, "commit")
		if err := h.o.mark(h.topic, txnMarker{producerID: id, number: h.number, commit: commit}); err != nil {
			t.Fatal(err)
		}
		if all := h.open[id]; len(all) > 0 {
			if delete(h.open, id); commit {
				h.committed = append(h.committed, all...)
			}
			h.offset++
		}
	}
}

// visible returns what a client sees that reads committed records from an offset on, and where the last stable offset is.
func (h *history) visible(from func(stable int) int) (all []string, begin int) {
	stable := h.offset
	for _, records := range h.open {
		stable = min(stable, h.at(records[0]))
	}
	begin = from(stable)
	for _, s := range h.committed {
		if at := h.at(s); at >= begin && at < stable {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b string) int { return h.at(a) - h.at(b) })
	return all, begin
}

// Whatever is written, and however much a client takes at once, it sees the records of committed transactions and of
// none, each once and in order, up to the last stable offset.
func TestReadCommittedProperty(t *testing.T) {
	o := newOne(t, nil)
	topics := 0
	rapid.Check(t, func(rt *rapid.T) {
		topics++
		h := &history{o: o, topic: fmt.Sprintf("t%d", topics), next: make(map[int64]int32), open: make(map[int64][]string)}
		o.create(h.topic)
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			h.step(rt)
		}
		want, from := h.visible(func(stable int) int { return rapid.IntRange(0, stable).Draw(rt, "from") })
		size := rapid.Int32Range(1, 400).Draw(rt, "bytes")
		got := o.committed(h.topic, int64(from), func(r *kmsg.FetchRequest) { r.MaxBytes = size })
		if fmt.Sprint(got) != fmt.Sprint(want) {
			rt.Fatalf("from offset %d, %d bytes at a time: %v, want %v", from, size, got, want)
		}
	})
}

// Clients of __consumer_offsets see only what is committed, and hear that none was aborted.
func TestReadCommittedOffsets(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorKey = 3, "g"
	o.ask(find)
	req := committedRequest(groupsTopic, 0)
	req.MaxWaitMillis = 0
	if p := o.fetch(req); p.ErrorCode != 0 && p.ErrorCode != kerr.NotLeaderForPartition.Code || p.ErrorCode == 0 && p.AbortedTransactions == nil {
		t.Errorf("%+v", p)
	}
}
