// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// expectTimes reads the records of topic t, checks their batches, and compares their timestamps.
func (o *one) expectTimes(want ...int64) {
	t := o.t
	t.Helper()
	var times []int64
	if err := kafka.SplitBatches(o.fetch(fetchRequest("t", 0)).RecordBatches, func(one []byte) {
		if _, err := kafka.CheckBatch(withoutOffset(one), 1<<20); err != nil {
			t.Error(err)
		}
		if err := kafka.Records(one, func(_, ms int64, _, _ []byte) error { times = append(times, ms); return nil }); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, times); diff != "" {
		t.Error(diff)
	}
}

func TestLogAppendTime(t *testing.T) {
	o := newOne(t, nil)
	if e := o.createWith("t", "message.timestamp.type=LogAppendTime"); e != "NONE" {
		t.Fatal(e)
	}
	if e := o.createWith("u", "message.timestamp.type=Whenever"); e != "INVALID_CONFIG" {
		t.Error(e)
	}
	write := func(sequence int32) (offset, appended int64) {
		spec := kafka.NewBatchSpec(kafka.Record{Value: []byte("v")}, kafka.Record{Value: []byte("w"), TimestampDelta: 9})
		spec.FirstTimestamp, spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = 5, 7, 0, sequence // of 1970
		p := o.ask(produceRequest("t", -1, kafka.AppendBatch(nil, spec))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if p.ErrorCode != 0 {
			t.Fatal(kafka.CodeName(p.ErrorCode))
		}
		return p.BaseOffset, p.LogAppendTime
	}
	unix := func() int64 { return int64(o.now) / 1e6 }
	o.pass(1e9)
	before := unix()
	_, first := write(0)
	if first < before || first > unix() {
		t.Errorf("log append time %d, but it is %d to %d", first, before, unix())
	}
	o.pass(1e9)
	if offset, again := write(0); offset != 0 || again != first {
		t.Errorf("the retry has offset %d and time %d, want 0 and %d", offset, again, first)
	}
	offset, second := write(2)
	if offset != 2 || second < first+1000 {
		t.Errorf("offset %d at %d, want 2 at least a second after %d", offset, second, first)
	}
	o.expectTimes(first, first, second, second)
	for timestamp, want := range map[int64]int64{0: 0, first: 0, first + 1: 2, second: 2, second + 1: -1} {
		if got := o.offsetAt("t", timestamp); got != want {
			t.Errorf("offset at %d: %d, want %d", timestamp, got, want)
		}
	}
	o.restart()
	for range 20 {
		o.step(Input{})
	}
	o.expectTimes(first, first, second, second)
	if offset, again := write(2); offset != 2 || again != second {
		t.Errorf("after a restart the retry has offset %d and time %d", offset, again)
	}
	o.edit("t", "message.timestamp.type=CreateTime")
	if _, appended := write(4); appended != -1 {
		t.Errorf("with the producer's time the answer says %d", appended)
	}
}

// withoutOffset undoes what a broker fills in, so that a batch can be judged as a producer's.
func withoutOffset(one []byte) []byte {
	one = slices.Clone(one)
	kafka.SetBaseOffset(one, 0)
	return one
}

func (o *one) offsetAt(topic string, timestamp int64) int64 {
	o.t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version = 10
	rt, rp := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
	rp.Timestamp, rp.CurrentLeaderEpoch = timestamp, -1
	rt.Topic, rt.Partitions = topic, append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	p := o.ask(req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		o.t.Fatal(kafka.CodeName(p.ErrorCode))
	}
	return p.Offset
}

func TestListOffsetsOfTieredStorage(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	o.produce("t", plain("a", "b"))
	if local, tiered, pending := o.offsetAt("t", -4), o.offsetAt("t", -5), o.offsetAt("t", -6); local != 0 || tiered != -1 || pending != -1 {
		t.Errorf("local %d, tiered %d, pending %d", local, tiered, pending)
	}
}

// Records live from when they were appended, whatever time their producers claim: none (-1), one long ago,
// microseconds, or the largest there is.
func TestRecordsExpireByAppendTime(t *testing.T) {
	for _, claimed := range []int64{-1, 0, 1000, 5e12, 1e15, 1<<63 - 1} {
		o := newOne(t, func(c *Config) { c.ClockPatience = time.Second })
		o.createWith("t", "retention.ms=5000", "message.timestamp.after.max.ms=9223372036854775807")
		o.pass(3e9)
		for range 2 {
			spec := kafka.NewBatchSpec(kafka.Record{Value: []byte("v")})
			spec.FirstTimestamp = claimed
			if _, e := o.produce("t", kafka.AppendBatch(nil, spec)); e != "NONE" {
				t.Fatal(e)
			}
		}
		o.pass(4e9)
		if got := o.read("t", 0); len(got) != 2 {
			t.Errorf("timestamp %d: records after 4 of 5 seconds: %v", claimed, got)
		}
		o.pass(4e9)
		if p := o.fetch(fetchRequest("t", 2)); p.LogStartOffset != 2 {
			t.Errorf("timestamp %d: after 8 seconds of 5 the log starts at %d", claimed, p.LogStartOffset)
		}
	}
}

// Old versions of sarama don't say what the largest timestamp is. Their records are found by time, and
// expire, all the same.
func TestUnsetMaxTimestamp(t *testing.T) {
	o := newOne(t, nil)
	o.createWith("t", "retention.ms=5000")
	now := int64(o.now) / 1e6
	for i := range int64(3) {
		spec := kafka.NewBatchSpec(kafka.Record{Value: []byte("v")})
		spec.FirstTimestamp = now + 100*i
		raw := kafka.AppendBatch(nil, spec)
		binary.BigEndian.PutUint64(raw[35:], ^uint64(0))
		binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
		if _, e := o.produce("t", raw); e != "NONE" {
			t.Fatal(e)
		}
	}
	for timestamp, want := range map[int64]int64{now: 0, now + 50: 1, now + 200: 2, now + 201: -1, -3: 2} {
		if got := o.offsetAt("t", timestamp); got != want {
			t.Errorf("offset at %d: %d, want %d", timestamp-now, got, want)
		}
	}
	o.pass(10e9)
	if p := o.fetch(fetchRequest("t", 3)); p.LogStartOffset != 3 {
		t.Errorf("the log starts at %d: old records are still there", p.LogStartOffset)
	}
}

// What was deleted still counts in the time of its span, and the newest record is another one.
func TestNewestRecordAfterADeletion(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	now := int64(o.now) / 1e6
	for _, deltas := range [][]int64{{0, 500, 20}, {10, 30, 5}, {40}, {7}} {
		spec := kafka.NewBatchSpec()
		for _, ms := range deltas {
			spec.Records = append(spec.Records, kafka.Record{Value: []byte("v"), TimestampDelta: ms})
		}
		spec.FirstTimestamp = now
		if _, e := o.produce("t", kafka.AppendBatch(nil, spec)); e != "NONE" {
			t.Fatal(e)
		}
	}
	for _, c := range []struct{ below, newest int64 }{{0, 1}, {1, 1}, {2, 6}, {6, 6}, {7, 7}, {8, -1}} {
		o.deleteRecords("t", c.below)
		if got := o.offsetAt("t", timestampMax); got != c.newest {
			t.Errorf("after the deletion of all below %d the newest record is said to be at %d instead of %d", c.below, got, c.newest)
		}
	}
}
