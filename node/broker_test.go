// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/wal"
)

func (o *one) create(topic string) {
	o.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = 7
	in := kmsg.NewCreateTopicsRequestTopic()
	in.Topic, in.NumPartitions, in.ReplicationFactor = topic, 1, 1
	req.Topics = append(req.Topics, in)
	if e := o.ask(req).(*kmsg.CreateTopicsResponse).Topics[0]; e.ErrorCode != 0 {
		o.t.Fatalf("creating topic %s: %s", topic, *e.ErrorMessage)
	}
	for range 20 { // the partition elects its leader
		o.step(Input{})
	}
}

func batch(producer int64, epoch int16, sequence int32, values ...string) []byte {
	var records []kafka.Record
	for _, v := range values {
		records = append(records, kafka.Record{Value: []byte(v)})
	}
	spec := kafka.NewBatchSpec(records...)
	spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = producer, epoch, sequence
	return kafka.AppendBatch(nil, spec)
}

func plain(values ...string) []byte { return batch(-1, -1, -1, values...) }

func produceRequest(topic string, acks int16, raw []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, acks, 1000
	t, p := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	p.Records = raw
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// produce returns the base offset and the error's name.
func (o *one) produce(topic string, raw []byte) (int64, string) {
	o.t.Helper()
	p := o.ask(produceRequest(topic, -1, raw)).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	return p.BaseOffset, kafka.CodeName(p.ErrorCode)
}

func fetchRequest(topic string, offset int64) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxBytes, req.MinBytes, req.MaxWaitMillis = 12, 1<<20, 1, 500
	t, p := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = offset, 1<<20, -1
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func (o *one) fetch(req *kmsg.FetchRequest) kmsg.FetchResponseTopicPartition {
	o.t.Helper()
	return o.ask(req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
}

// read consumes a topic from an offset to its end.
func (o *one) read(topic string, offset int64) []string {
	o.t.Helper()
	var got []string
	for {
		p := o.fetch(fetchRequest(topic, offset))
		if p.ErrorCode != 0 {
			o.t.Fatalf("fetch at %d: %s", offset, kafka.CodeName(p.ErrorCode))
		}
		if offset == p.HighWatermark {
			return got
		}
		if err := kafka.SplitBatches(p.RecordBatches, func(one []byte) {
			if err := kafka.Records(one, func(at, _ int64, _, value []byte) error {
				if at >= offset {
					got, offset = append(got, fmt.Sprintf("%d=%s", at, value)), at+1
				}
				return nil
			}); err != nil {
				o.t.Fatal(err)
			}
		}); err != nil {
			o.t.Fatal(err)
		}
	}
}

func TestProduceAndFetch(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	for _, c := range []struct {
		raw    []byte
		offset int64
	}{{plain("a", "b"), 0}, {plain("c"), 2}, {plain("d", "e", "f"), 3}} {
		if offset, e := o.produce("t", c.raw); offset != c.offset || e != "NONE" {
			t.Errorf("offset %d, error %s; want offset %d", offset, e, c.offset)
		}
	}
	want := []string{"0=a", "1=b", "2=c", "3=d", "4=e", "5=f"}
	if diff := cmp.Diff(want, o.read("t", 0)); diff != "" {
		t.Error(diff)
	}
	o.restart()
	if diff := cmp.Diff(want[1:], o.read("t", 1)); diff != "" { // begins inside a batch
		t.Error("after a restart: ", diff)
	}
	if o.events[EventColdRead] == 0 {
		t.Error("after a restart records are read back from the log, but no read was seen")
	}
}

// TestOldEntriesAreReadBack keeps one entry in memory and a tiny cache, so that nearly everything
// has to be read back, in pieces.
func TestOldEntriesAreReadBack(t *testing.T) {
	o := newOne(t, func(c *Config) { c.HotEntries, c.CacheBytes, c.ColdReadBytes = 1, 500, 700 })
	o.create("t")
	var want []string
	for i := range 100 {
		v := fmt.Sprintf("%d%s", i, strings.Repeat("x", 100*(i%5)))
		want = append(want, fmt.Sprintf("%d=%s", i, v))
		if _, e := o.produce("t", plain(v)); e != "NONE" {
			t.Fatal(e)
		}
	}
	if diff := cmp.Diff(want, o.read("t", 0)); diff != "" {
		t.Error(diff)
	}
}

func TestIdempotentProducer(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	check := func(raw []byte, wantOffset int64, wantError string) {
		t.Helper()
		if offset, e := o.produce("t", raw); offset != wantOffset || e != wantError {
			t.Errorf("got offset %d, %s; want %d, %s", offset, e, wantOffset, wantError)
		}
	}
	check(batch(7, 0, 0, "a", "b"), 0, "NONE")
	check(batch(7, 0, 2, "c"), 2, "NONE")
	check(batch(7, 0, 0, "a", "b"), 0, "NONE") // a retry gets the old offset
	check(batch(7, 0, 4, "e"), -1, "OUT_OF_ORDER_SEQUENCE_NUMBER")
	o.restart()
	check(batch(7, 0, 2, "c"), 2, "NONE") // the window survives
	check(batch(7, 0, 3, "d"), 3, "NONE")
	for i := range int32(5) {
		check(batch(7, 0, 4+i, "e"), int64(4+i), "NONE")
	}
	check(batch(7, 0, 4, "e"), 4, "NONE")                          // the oldest of five
	check(batch(7, 0, 3, "d"), -1, "OUT_OF_ORDER_SEQUENCE_NUMBER") // out of the window
	check(batch(7, 1, 3, "x"), -1, "OUT_OF_ORDER_SEQUENCE_NUMBER") // a new epoch starts at 0
	check(batch(7, 1, 0, "x"), 9, "NONE")
	check(batch(7, 0, 9, "x"), -1, "INVALID_PRODUCER_EPOCH")
	check(batch(8, 3, math.MaxInt32, "y"), 10, "NONE") // unknown producers may start anywhere
	check(batch(8, 3, 0, "z"), 11, "NONE")             // sequences wrap
	check(batch(9, 0, math.MaxInt32-1, "p", "q", "r"), 12, "NONE")
	check(batch(9, 0, 1, "s"), 15, "NONE")
	if o.events[EventDuplicateBatch] < 3 || o.events[EventSequenceRefused] < 4 { // a restart may tell again
		t.Errorf("%d duplicates and %d refusals were told", o.events[EventDuplicateBatch], o.events[EventSequenceRefused])
	}
}

func TestProduceRefusals(t *testing.T) {
	o := newOne(t, func(c *Config) { c.MaxMessageBytes = 200 })
	o.create("t")
	broken := plain("a")
	broken[len(broken)-1] ^= 1
	control := plain("a")
	control[22] |= 0x20
	for name, c := range map[string]struct {
		req  *kmsg.ProduceRequest
		want *kerr.Error
	}{
		"unknown topic":     {produceRequest("u", -1, plain("a")), kerr.UnknownTopicOrPartition},
		"wrong acks":        {produceRequest("t", 2, plain("a")), kerr.InvalidRequiredAcks},
		"checksum":          {produceRequest("t", -1, broken), kerr.CorruptMessage},
		"too large":         {produceRequest("t", -1, plain(strings.Repeat("x", 300))), kerr.MessageTooLarge},
		"two batches":       {produceRequest("t", -1, append(plain("a"), plain("b")...)), kerr.InvalidRecord},
		"no batch":          {produceRequest("t", -1, nil), kerr.InvalidRecord},
		"changed after CRC": {produceRequest("t", -1, control), kerr.CorruptMessage},
	} {
		p := o.ask(c.req).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if p.ErrorCode != c.want.Code || p.BaseOffset != -1 {
			t.Errorf("%s: %s at offset %d, want %s", name, kafka.CodeName(p.ErrorCode), p.BaseOffset, c.want.Message)
		}
	}
	if got := o.read("t", 0); len(got) > 0 {
		t.Errorf("refused records are there: %v", got)
	}
}

func TestAcksZeroHasNoAnswer(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	send := func(topic string) Reply {
		o.step(Input{Requests: []Request{{Conn: 1, Frame: kafka.AppendRequest(nil, 1, "", produceRequest(topic, 0, plain("a")))}}})
		r := o.replies[0]
		o.replies = nil
		return r
	}
	if r := send("t"); len(r.Frame) > 0 || r.Close {
		t.Errorf("a good one: %+v", r)
	}
	if r := send("unknown"); len(r.Frame) > 0 || !r.Close {
		t.Errorf("a failed one has to close the connection: %+v", r)
	}
	o.step(Input{Hangups: []ConnID{1}})
	if got := o.read("t", 0); len(got) != 1 {
		t.Errorf("records: %v", got)
	}
}

func TestFetchWaits(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	before := o.now
	if p := o.fetch(fetchRequest("t", 0)); p.ErrorCode != 0 || len(p.RecordBatches) > 0 || p.HighWatermark != 0 {
		t.Errorf("%+v", p)
	}
	if waited := o.now.Sub(before); waited < 500*time.Millisecond || waited > 600*time.Millisecond {
		t.Errorf("an empty fetch waited %v, want max_wait_ms", waited)
	}
	req := fetchRequest("t", 0)
	req.MinBytes = 0
	before = o.now
	o.fetch(req)
	if waited := o.now.Sub(before); waited > 50*time.Millisecond {
		t.Errorf("min_bytes 0 waited %v", waited)
	}
	// A record that arrives on another connection ends the wait.
	o.step(Input{Requests: []Request{{Conn: 2, Frame: kafka.AppendRequest(nil, 1, "", fetchRequest("t", 0))}}})
	o.step(Input{Requests: []Request{{Conn: 1, Frame: kafka.AppendRequest(nil, 2, "", produceRequest("t", -1, plain("a")))}}})
	if len(o.replies) != 2 {
		t.Errorf("%d replies, want the produce's and the fetch's", len(o.replies))
	}
}

func TestFetchLimitsAreSoft(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	for range 3 {
		o.produce("t", plain(strings.Repeat("x", 1000)))
	}
	size := len(plain(strings.Repeat("x", 1000)))
	for _, c := range []struct{ max, want int }{{1, size}, {size, size}, {2*size - 1, size}, {2 * size, 2 * size}, {100000, 3 * size}} {
		req := fetchRequest("t", 0)
		req.Topics[0].Partitions[0].PartitionMaxBytes = int32(c.max)
		if got := len(o.fetch(req).RecordBatches); got != c.want {
			t.Errorf("partition_max_bytes %d: %d bytes, want %d", c.max, got, c.want)
		}
	}
	for offset, want := range map[int64]*kerr.Error{-1: kerr.OffsetOutOfRange, 4: kerr.OffsetOutOfRange} {
		if p := o.fetch(fetchRequest("t", offset)); p.ErrorCode != want.Code || p.HighWatermark != 3 {
			t.Errorf("offset %d: %+v", offset, p)
		}
	}
}

func TestListOffsets(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	for _, ms := range []int64{100, 300, 200, 400} {
		spec := kafka.NewBatchSpec(kafka.Record{Value: []byte("v")}, kafka.Record{Value: []byte("w")})
		spec.FirstTimestamp = ms
		o.produce("t", kafka.AppendBatch(nil, spec))
	}
	for timestamp, want := range map[int64]int64{-1: 8, -2: 0, -3: 6, 0: 0, 100: 0, 101: 2, 300: 2, 301: 6, 401: -1} {
		req := kmsg.NewPtrListOffsetsRequest()
		req.Version = 7
		rt, rp := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
		rp.Timestamp, rp.CurrentLeaderEpoch = timestamp, -1
		rt.Topic, rt.Partitions = "t", append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		if p := o.ask(req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.Offset != want {
			t.Errorf("timestamp %d: offset %d, error %d; want %d", timestamp, p.Offset, p.ErrorCode, want)
		}
	}
}

func TestLeaderEpochs(t *testing.T) {
	o := newOne(t, nil)
	o.create("t") // term 1
	o.produce("t", plain("a", "b"))
	o.restart() // term 2
	o.restart() // term 3
	o.produce("t", plain("c"))
	for epoch, want := range map[int32][2]int64{0: {-1, -1}, 1: {1, 2}, 2: {2, 2}, 3: {3, 3}, 4: {-1, -1}} {
		req := kmsg.NewPtrOffsetForLeaderEpochRequest()
		req.Version = 4
		rt, rp := kmsg.NewOffsetForLeaderEpochRequestTopic(), kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		rp.LeaderEpoch, rp.CurrentLeaderEpoch = epoch, -1
		rt.Topic, rt.Partitions = "t", append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		p := o.ask(req).(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0]
		if got := [2]int64{int64(p.LeaderEpoch), p.EndOffset}; p.ErrorCode != 0 || got != want {
			t.Errorf("epoch %d: %v, error %d; want %v", epoch, got, p.ErrorCode, want)
		}
	}
	for epoch, want := range map[int32]*kerr.Error{2: kerr.FencedLeaderEpoch, 4: kerr.UnknownLeaderEpoch} {
		req := fetchRequest("t", 0)
		req.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch
		if p := o.fetch(req); p.ErrorCode != want.Code {
			t.Errorf("current leader epoch %d: %s, want %s", epoch, kafka.CodeName(p.ErrorCode), want.Message)
		}
	}
}

func TestDeletedTopicComesBackEmpty(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	o.produce("t", plain("a"))
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version = 5
	req.TopicNames = []string{"t", "u"}
	var codes []string
	for _, r := range o.ask(req).(*kmsg.DeleteTopicsResponse).Topics {
		codes = append(codes, kafka.CodeName(r.ErrorCode))
	}
	if diff := cmp.Diff([]string{"NONE", "UNKNOWN_TOPIC_OR_PARTITION"}, codes); diff != "" {
		t.Error(diff)
	}
	o.restart()
	o.create("t")
	if offset, e := o.produce("t", plain("b")); offset != 0 || e != "NONE" {
		t.Errorf("offset %d, %s", offset, e)
	}
	o.restart()
	if diff := cmp.Diff([]string{"0=b"}, o.read("t", 0)); diff != "" {
		t.Error(diff)
	}
}

// TestEveryAdvertisedVersion drives each version of each API with a request that holds nothing and
// with the same cut short: the first is answered, the second closes the connection.
func TestEveryAdvertisedVersion(t *testing.T) {
	o := newOne(t, nil)
	for _, a := range apiTable() {
		for v := max(a.min, a.served); v <= a.max; v++ {
			req := kmsg.RequestForKey(a.key.Int16())
			req.SetVersion(v)
			if p, ok := req.(*kmsg.ProduceRequest); ok {
				p.Acks = -1
			}
			o.ask(req)
			frame := kafka.AppendRequest(nil, 5, "test", req)
			if a.key == kmsg.ApiVersions && v < 3 {
				continue // these have no body to cut
			}
			o.step(Input{Requests: []Request{{Conn: 2, Frame: frame[:len(frame)-1]}}})
			if len(o.replies) != 1 || !o.replies[0].Close {
				t.Errorf("%s v%d cut short: %+v", a.key.Name(), v, o.replies)
			}
			o.replies = nil
			o.step(Input{Hangups: []ConnID{2}})
		}
	}
}

func TestApiVersionsOfTheFuture(t *testing.T) {
	o := newOne(t, nil)
	frame := kafka.AppendRequest(nil, 9, "future", kmsg.NewPtrApiVersionsRequest())
	frame[3] = 99
	o.step(Input{Requests: []Request{{Conn: 1, Frame: frame}}})
	resp := kmsg.NewPtrApiVersionsResponse()
	if id, err := kafka.ParseResponse(kafka.Frame(o.replies[0].Frame).Bytes(), resp); err != nil || id != 9 {
		t.Fatal(id, err)
	}
	if resp.ErrorCode != kerr.UnsupportedVersion.Code || len(resp.ApiKeys) != len(apiTable()) {
		t.Errorf("error %d with %d keys", resp.ErrorCode, len(resp.ApiKeys))
	}
}

// TestRepliesKeepRequestOrder parks a fetch in front of a request that could be answered at once.
func TestRepliesKeepRequestOrder(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	meta := kmsg.NewPtrMetadataRequest()
	meta.Version = 9
	o.step(Input{Requests: []Request{
		{Conn: 1, Frame: kafka.AppendRequest(nil, 1, "", fetchRequest("t", 0))},
		{Conn: 1, Frame: kafka.AppendRequest(nil, 2, "", meta)},
		{Conn: 2, Frame: kafka.AppendRequest(nil, 3, "", meta)},
	}})
	if len(o.replies) != 1 || o.replies[0].Conn != 2 {
		t.Fatalf("only the other connection may be answered now: %+v", o.replies)
	}
	for range 100 {
		o.step(Input{})
	}
	if len(o.replies) != 3 || o.replies[1].Frame[0][3] != 1 || o.replies[2].Frame[0][3] != 2 {
		t.Errorf("replies: %+v", o.replies)
	}
}

func TestStopAlone(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	o.produce("t", plain("a"))
	before := o.now
	in := Input{Now: o.now, Stop: true}
	for range 10 {
		out := o.node.Step(&in)
		in = Input{Now: o.now}
		for _, op := range out.Ops {
			in.Results = append(in.Results, wal.Do(o.dir, op))
		}
		if out.Stopped {
			return
		}
	}
	t.Errorf("not stopped after %v", o.now.Sub(before))
}
