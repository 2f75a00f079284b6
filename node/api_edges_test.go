// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// deleteRecords returns the log start that is answered, and the error's name.
func (o *one) deleteRecords(topic string, offset int64) (int64, string) {
	o.t.Helper()
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Version, req.TimeoutMillis = 2, 1000
	t, p := kmsg.NewDeleteRecordsRequestTopic(), kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Offset = offset
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	r := o.ask(req).(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0]
	return r.LowWatermark, kafka.CodeName(r.ErrorCode)
}

// What Kafka answers when records are deleted that are gone, not there yet, or not to be deleted.
func TestDeleteRecordsAtTheEdges(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	for range 20 {
		o.produce("t", plain("x"))
	}
	o.createWith("compacted", "cleanup.policy=compact")
	o.createWith("both", "cleanup.policy=compact,delete")
	o.produce("both", batchWithKey("k", "v"))
	for _, c := range []struct {
		topic  string
		offset int64
		low    int64
		err    string
	}{
		{"t", 0, 0, "NONE"},
		{"t", 10, 10, "NONE"},
		{"t", 10, 10, "NONE"},
		{"t", 5, 10, "NONE"},
		{"t", 0, 10, "NONE"},
		{"t", 21, -1, "OFFSET_OUT_OF_RANGE"},
		{"t", -2, -1, "OFFSET_OUT_OF_RANGE"},
		{"t", -1, 20, "NONE"},
		{"t", -1, 20, "NONE"},
		{"t", 20, 20, "NONE"},
		{"compacted", 0, -1, "POLICY_VIOLATION"},
		{"compacted", -1, -1, "POLICY_VIOLATION"},
		{"both", 1, 1, "NONE"},
		{"none", 0, -1, "UNKNOWN_TOPIC_OR_PARTITION"},
		{groupsTopic, 0, -1, "UNKNOWN_TOPIC_OR_PARTITION"},
	} {
		if low, err := o.deleteRecords(c.topic, c.offset); low != c.low || err != c.err {
			t.Errorf("%s to %d: %d, %s; want %d, %s", c.topic, c.offset, low, err, c.low, c.err)
		}
	}
}

func batchWithKey(key, value string) []byte {
	return kafka.AppendBatch(nil, kafka.NewBatchSpec(kafka.Record{Key: []byte(key), Value: []byte(value)}))
}

// Kafka's time-out of Produce bounds the wait for other replicas, so with acks 0 or 1, or one replica, it means
// nothing, and clients leave it at anything.
func TestProduceTimeoutThatMeansNothing(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("one", 1)
	c.create("three", 1, 2, 3)
	for _, row := range []struct {
		topic   string
		acks    int16
		timeout int32
		code    int16
	}{
		{"one", 1, 0, 0},
		{"one", 1, -1, 0},
		{"one", -1, 0, 0},
		{"three", 1, 0, 0},
		{"three", 1, -1, 0},
		{"three", 1, 1, 0},
		{"three", -1, 1000, 0},
		{"three", -1, 0, kerr.RequestTimedOut.Code},
	} {
		req := produceRequest(row.topic, row.acks, plain("x"))
		req.TimeoutMillis = row.timeout
		if r := c.ask(c.leader(row.topic), req).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; r.ErrorCode != row.code {
			t.Errorf("%+v: %s", row, kafka.CodeName(r.ErrorCode))
		}
	}
	// A leader that nobody hears answers all the same, when it finds out.
	lead := c.leader("three")
	c.nodes[lead].cut = true
	req := produceRequest("three", 1, plain("lost"))
	req.TimeoutMillis = 0
	if r := c.ask(lead, req).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; r.ErrorCode != kerr.NotLeaderForPartition.Code {
		t.Errorf("cut off: %s", kafka.CodeName(r.ErrorCode))
	}
}

// The same goes for DeleteRecords: Kafka waits only for other replicas.
func TestDeleteRecordsTimeoutThatMeansNothing(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("one", 1)
	c.create("three", 1, 2, 3)
	for _, row := range []struct {
		topic   string
		offset  int64
		timeout int32
		code    int16
	}{
		{"one", 1, 0, 0},
		{"one", 2, -1, 0},
		{"three", 1, 1000, 0},
		{"three", 2, 0, kerr.RequestTimedOut.Code},
	} {
		lead := c.leader(row.topic)
		c.ask(lead, produceRequest(row.topic, -1, plain("x")))
		req := kmsg.NewPtrDeleteRecordsRequest()
		req.Version, req.TimeoutMillis = 2, row.timeout
		rt, rp := kmsg.NewDeleteRecordsRequestTopic(), kmsg.NewDeleteRecordsRequestTopicPartition()
		rp.Offset = row.offset
		rt.Topic, rt.Partitions = row.topic, append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		if p := c.ask(lead, req).(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0]; p.ErrorCode != row.code {
			t.Errorf("%+v: %s", row, kafka.CodeName(p.ErrorCode))
		}
	}
}

// A request with acks=0 has no answer, and Kafka waits for nothing.
func TestAcks0WithoutTimeoutKeepsTheConnection(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	req := produceRequest("t", 0, plain("x"))
	req.TimeoutMillis = 0
	o.lastID++
	o.step(Input{Requests: []Request{{Conn: 1, Frame: kafka.AppendRequest(nil, o.lastID, "test", req)}}})
	if len(o.replies) != 1 || o.replies[0].Close {
		t.Fatalf("%+v", o.replies)
	}
	o.replies = nil
	if got := o.read("t", 0); len(got) != 1 {
		t.Fatalf("read %q", got)
	}
}

// Names that become the same in names of metrics can't both be topics.
func TestCollidingNames(t *testing.T) {
	o := newOne(t, nil)
	for _, c := range [][2]string{
		{"a.b_c", "NONE"},
		{"a_b.c", "INVALID_TOPIC_EXCEPTION"},
		{"a_b_c", "INVALID_TOPIC_EXCEPTION"},
		{"a.b_c", "TOPIC_ALREADY_EXISTS"},
		{"a-b-c", "NONE"},
		{"abc", "NONE"},
	} {
		if e := o.createWith(c[0]); e != c[1] {
			t.Errorf("%s: %s, want %s", c[0], e, c[1])
		}
	}
	name := "a.b.c"
	ask := kmsg.NewPtrMetadataRequest()
	ask.Version, ask.AllowAutoTopicCreation = 12, true
	ask.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
	if m := o.ask(ask).(*kmsg.MetadataResponse).Topics[0]; m.ErrorCode != kerr.InvalidTopicException.Code {
		t.Errorf("asked for: %s", kafka.CodeName(m.ErrorCode))
	}
	o.restart()
	if e := o.createWith("a_b_c"); e != "INVALID_TOPIC_EXCEPTION" {
		t.Errorf("after a restart: %s", e)
	}
	o.deleteByID(o.idOf("a.b_c"))
	if e := o.createWith("a_b_c"); e != "NONE" {
		t.Errorf("after the other is deleted: %s", e)
	}
}

// A log that was written when names might collide still says what it said.
func TestCollidingNamesOfOldLogsStay(t *testing.T) {
	o := newOne(t, nil)
	o.create("a.b")
	o.node.commands.submit(command{CreateTopic: &createTopic{Name: "a_b", Replicas: [][]BrokerID{{1}}}}, func(commandResult) {})
	for range 50 {
		o.step(Input{})
	}
	o.restart()
	if o.idOf("a_b") == noTopicID || o.idOf("a.b") == noTopicID {
		t.Fatal("a topic is gone")
	}
	o.deleteByID(o.idOf("a_b"))
	if e := o.createWith("a_b"); e != "INVALID_TOPIC_EXCEPTION" {
		t.Errorf("beside a.b: %s", e)
	}
}

// A batch for a compacted topic is refused for the records that have no key, and they are named: clients send the
// others again (KIP-467).
func TestRecordsWithoutKeysAreNamed(t *testing.T) {
	o := newOne(t, nil)
	o.createWith("t", "cleanup.policy=compact")
	raw := kafka.AppendBatch(nil, kafka.NewBatchSpec(
		kafka.Record{Key: []byte("k"), Value: []byte("0")}, kafka.Record{Value: []byte("1")},
		kafka.Record{Key: []byte{}, Value: []byte("2")}, kafka.Record{Value: []byte("3")}))
	r := o.ask(produceRequest("t", -1, raw)).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	if r.ErrorCode != kerr.InvalidRecord.Code || len(r.ErrorRecords) != 2 || r.ErrorRecords[0].RelativeOffset != 1 ||
		r.ErrorRecords[1].RelativeOffset != 3 || *r.ErrorRecords[0].ErrorMessage == "" {
		t.Errorf("%+v", r)
	}
}

// A topic that is named twice in a request that changes topics is answered once, and nothing is done about it.
func TestATopicNamedTwiceIsRefused(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	name, id := "t", o.idOf("t")
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.Version, del.TimeoutMillis = 6, 1000
	del.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: &name}, {Topic: &name}}
	if r := o.ask(del).(*kmsg.DeleteTopicsResponse).Topics; len(r) != 1 || r[0].ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("deleted: %+v", r)
	}
	del.Topics = []kmsg.DeleteTopicsRequestTopic{{TopicID: id}, {TopicID: id}}
	if r := o.ask(del).(*kmsg.DeleteTopicsResponse).Topics; len(r) != 1 || r[0].ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("deleted by id: %+v", r)
	}
	more := kmsg.NewPtrCreatePartitionsRequest()
	more.Version, more.TimeoutMillis = 3, 1000
	more.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: name, Count: 2}, {Topic: name, Count: 3}}
	if r := o.ask(more).(*kmsg.CreatePartitionsResponse).Topics; len(r) != 1 || r[0].ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("partitions: %+v", r)
	}
	if o.idOf("t") != id || len(o.node.catalog.byName["t"].Partitions) != 1 {
		t.Error("the topic was changed")
	}
}

// What is written to a partition that a request names several times can't be answered, so none of it is taken. The others are.
func TestAPartitionNamedTwiceTakesNothing(t *testing.T) {
	o := newOne(t, nil)
	for _, name := range []string{"t", "u"} {
		o.create(name)
	}
	for n, version := range []int16{9, 13, 9, 13} {
		req := kmsg.NewPtrProduceRequest()
		req.Version, req.Acks, req.TimeoutMillis = version, -1, 1000
		for _, name := range []string{"t", "u", "t"} {
			req.Topics = append(req.Topics, kmsg.ProduceRequestTopic{Topic: name, TopicID: o.idOf(name), Partitions: []kmsg.ProduceRequestTopicPartition{{Records: plain("x")}}})
		}
		for i := range n / 2 * 20 { // many are looked at in another way
			t := &req.Topics[1]
			t.Partitions = append(t.Partitions, kmsg.ProduceRequestTopicPartition{Partition: int32(1 + i)})
		}
		var got []string
		for _, in := range o.ask(req).(*kmsg.ProduceResponse).Topics {
			got = append(got, fmt.Sprintf("%s %d", kafka.CodeName(in.Partitions[0].ErrorCode), in.Partitions[0].BaseOffset))
		}
		offset := len(o.read("u", 0)) - 1
		if diff := cmp.Diff([]string{"INVALID_REQUEST -1", fmt.Sprintf("NONE %d", offset), "INVALID_REQUEST -1"}, got); diff != "" {
			t.Errorf("version %d: %s", version, diff)
		}
	}
	if got := o.read("t", 0); len(got) > 0 {
		t.Errorf("of what was refused there is %q", got)
	}
}

// When all records are deleted, the partition still has the place of the last ones. A search by time that went there looked for an
// entry that the log had let go, again and again, and the step never ended.
func TestSearchAfterAllIsDeleted(t *testing.T) {
	o := newOne(t, func(c *Config) { c.HotEntries, c.CheckpointEntries, c.RetainEntries = 1, 20, 1 })
	o.create("t")
	for range 3 {
		o.produce("t", plain("x"))
	}
	if low, name := o.deleteRecords("t", 3); low != 3 || name != "NONE" {
		t.Fatalf("deleting all records: %d, %s", low, name)
	}
	p := o.node.partitions[1]
	for first := uint64(0); first <= p.seek(0).index && o.now < Time(time.Hour); first, _ = p.group.view.FirstIndex() {
		o.deleteRecords("t", -1) // an entry each, until a checkpoint lets the log release those before it
		o.pass(time.Second)
	}
	if p.places() == 0 || o.now >= Time(time.Hour) {
		t.Fatalf("%d places at %v: there is nothing to see", p.places(), o.now)
	}
	for _, timestamp := range []int64{timestampMax, 0} {
		if got := o.offsetAt("t", timestamp); got != -1 {
			t.Errorf("timestamp %d: offset %d, want none", timestamp, got)
		}
	}
}
