// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/wal"
)

// held steps a node whose tasks are held back until the test wants them done.
type held struct {
	*one
	tasks []Task
}

// send gives the node one request on a connection, without waiting for its answer.
func (h *held) send(conn ConnID, id int32, req kmsg.Request) {
	h.run(Input{Requests: []Request{{Conn: conn, Frame: kafka.AppendRequest(nil, id, "test", req)}}})
}

// run steps the node until it wants nothing more but time and tasks.
func (h *held) run(in Input) {
	for range 50 {
		h.now = h.now.Add(1e6)
		in.Now, in.UnixMs = h.now, int64(h.now)/1e6
		out := h.node.Step(&in)
		in = Input{}
		for _, op := range out.Ops {
			in.Results = append(in.Results, wal.Do(h.dir, op))
		}
		h.tasks = append(h.tasks, out.Tasks...)
		h.replies = append(h.replies, out.Replies...)
	}
	h.results = append(h.results, in.Results...)
}

// finish has tasks done, by their place in the order in which they were wanted.
func (h *held) finish(places ...int) {
	var in Input
	for _, i := range places {
		in.Done = append(in.Done, h.tasks[i].Do())
	}
	h.run(in)
}

// A producer's compressed batch is looked into by a task. What it sends behind it to the same partition waits,
// plain or not; what others send doesn't.
func TestBatchesKeepTheirOrderWhileOneIsChecked(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	o.create("u")
	h := &held{one: o}
	h.send(1, 1, produceRequest("t", -1, compressed(kafka.CodecGzip, "1")))
	h.send(1, 2, produceRequest("t", -1, plain("2")))
	h.send(1, 3, produceRequest("t", -1, compressed(kafka.CodecZstd, "3")))
	h.send(1, 4, produceRequest("u", -1, plain("of another topic")))
	h.send(2, 5, produceRequest("t", -1, plain("of another connection")))
	if len(h.tasks) != 2 {
		t.Fatalf("%d tasks, want 2", len(h.tasks))
	}
	if len(h.replies) != 1 || h.replies[0].Conn != 2 {
		t.Fatalf("only the other connection may have its answer: %+v", h.replies)
	}
	h.finish(1)
	if len(h.replies) != 1 {
		t.Fatal("batch 3 overtook batch 1")
	}
	h.finish(0)
	if len(h.replies) != 5 {
		t.Fatalf("%d answers, want 5", len(h.replies))
	}
	var got []string
	for offset := int64(0); offset < 4; offset++ {
		p := h.fetch1("t", offset)
		if err := kafka.Unpack(p, 1<<20, func(_, _ int64, _, value []byte) error {
			got = append(got, string(value))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"of another connection", "1", "2", "3"}, got); diff != "" {
		t.Error(diff)
	}
}

// fetch1 returns the batch at an offset, asked for over a connection of its own.
func (h *held) fetch1(topic string, offset int64) []byte {
	h.replies, h.results = nil, nil
	o := *h.one
	var one []byte
	if err := kafka.SplitBatches(o.fetch(fetchRequest(topic, offset)).RecordBatches, func(raw []byte) {
		if one == nil {
			one = raw
		}
	}); err != nil {
		h.t.Fatal(err)
	}
	h.now = o.now
	return one
}

// What is wrong inside a batch is said to its producer, and takes no offset.
func TestBrokenBatchesAreRefused(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	bomb, err := new(kafka.Compressor).CompressBatch(plain(string(make([]byte, 17<<20))), kafka.CodecGzip)
	if err != nil {
		t.Fatal(err)
	}
	cut := compressed(kafka.CodecGzip, "abc")
	two := compressed(kafka.CodecLZ4, "a", "b")
	for what, c := range map[string]struct {
		raw  []byte
		want *kerr.Error
	}{
		"a bomb":              {bomb, kerr.MessageTooLarge},
		"gzip that isn't":     {seal(append(slices.Clone(cut[:61]), "no gzip at all"...)), kerr.InvalidRecord},
		"more than are there": {seal(altered(two, func(b []byte) { b[26], b[60] = 4, 5 })), kerr.InvalidRecord},
	} {
		if _, e := o.produce("t", c.raw); e != c.want.Message {
			t.Errorf("%s: %s, want %s", what, e, c.want.Message)
		}
	}
	if offset, e := o.produce("t", compressed(kafka.CodecSnappy, "good")); offset != 0 || e != "NONE" {
		t.Errorf("offset %d, %s; what was refused must take none", offset, e)
	}
}

// A partition that goes while a batch for it is being checked doesn't get it, nor does the next of that name.
func TestATopicIsDeletedWhileABatchIsChecked(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	h := &held{one: o}
	h.send(7, 1, produceRequest("t", -1, compressed(kafka.CodecGzip, "late")))
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.Version, del.TopicNames, del.TimeoutMillis = 3, []string{"t"}, 1000
	h.send(8, 2, del)
	h.finish(0)
	var answer *kmsg.ProduceResponse
	for _, r := range h.replies {
		if r.Conn == 7 {
			answer = kmsg.NewPtrProduceResponse()
			answer.Version = 9
			if err := answer.ReadFrom(bytes.Join(r.Frame, nil)[5:]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if answer == nil || answer.Topics[0].Partitions[0].ErrorCode != kerr.NotLeaderForPartition.Code {
		t.Errorf("%+v", answer)
	}
	h.replies = nil
	o.create("t")
	if got := o.read("t", 0); len(got) != 0 {
		t.Errorf("the new topic holds %v", got)
	}
}

// One connection's many searches go through a few at a time, and another's isn't behind them all.
func TestTurnsRotate(t *testing.T) {
	turns := turns{limit: 2}
	from := &source{}
	a, b, c := &conn{from: from}, &conn{from: from}, &conn{from: from}
	var got []string
	for i := range 5 {
		turns.take(a, func() { got = append(got, fmt.Sprint("a", i)) })
	}
	turns.take(b, func() { got = append(got, "b") })
	for range 4 {
		turns.give()
	}
	if diff := cmp.Diff([]string{"a0", "a1", "a2", "b", "a3", "a4"}, got); diff != "" {
		t.Error(diff)
	}
	deep := 0
	for range 100_000 {
		turns.take(c, func() { deep++; turns.give() })
	}
	turns.give()
	if turns.give(); deep != 100_000 || turns.taken != 0 {
		t.Errorf("%d went, %d turns are taken", deep, turns.taken)
	}
}

// A partition that is named twice in a ListOffsets is refused, as Kafka does: each search costs something.
func TestListOffsetsNamesAPartitionTwice(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	o.produce("t", plain("a"))
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version, req.ReplicaID = 7, -1
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = "t"
	for range 2 {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp, p.CurrentLeaderEpoch = 0, -1
		topic.Partitions = append(topic.Partitions, p)
	}
	req.Topics = append(req.Topics, topic)
	for _, p := range o.ask(req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions {
		if p.ErrorCode != kerr.InvalidRequest.Code {
			t.Error(kafka.CodeName(p.ErrorCode))
		}
	}
}

func altered(raw []byte, f func([]byte)) []byte {
	raw = slices.Clone(raw)
	f(raw)
	return raw
}

// seal makes a batch's length and checksum right.
func seal(raw []byte) []byte {
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// A check is done quickly only if its batch is small and unfolds to little, and then its result is that of Do.
func TestShortChecksAreQuick(t *testing.T) {
	for _, c := range []struct {
		size, limit int
		quick       bool
	}{{1000, 1 << 20, true}, {1000, 500, true}, {quickUnfold * 2, quickUnfold / 2, true}, {quickUnfold * 2, 1 << 20, false}} {
		raw, err := new(kafka.Compressor).CompressBatch(kafka.AppendBatch(nil, kafka.NewBatchSpec(kafka.Record{Value: make([]byte, c.size)})), kafka.CodecGzip)
		if err != nil {
			t.Fatal(err)
		}
		task := Task{ID: 1, Kind: TaskCheck, Batch: raw, Demands: kafka.Demands{Unfold: c.limit, Newest: kafka.AnyTime}}
		got, quick := task.DoQuickly()
		want := task.Do()
		if quick != c.quick || quick && (got.Time != want.Time || kafka.Code(got.Err) != kafka.Code(want.Err)) {
			t.Errorf("%d bytes, limit %d: quick %v, %v; want %v, %v", c.size, c.limit, quick, got.Err, c.quick, want.Err)
		}
	}
	task := Task{Kind: TaskCheck, Batch: make([]byte, quickBatch+1)}
	if _, quick := task.DoQuickly(); quick {
		t.Error("a large batch is checked quickly")
	}
	task = Task{Kind: TaskFind}
	if _, quick := task.DoQuickly(); quick {
		t.Error("a search is done quickly")
	}
}
