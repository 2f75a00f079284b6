// SPDX-License-Identifier: Apache-2.0

package node

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// metadataOf asks for one topic, by name or, if there is none, by id.
func (o *one) metadataOf(version int16, name *string, id [16]byte) kmsg.MetadataResponseTopic {
	o.t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	req.Version = version
	in := kmsg.NewMetadataRequestTopic()
	in.Topic, in.TopicID = name, id
	req.Topics = append(req.Topics, in)
	return o.ask(req).(*kmsg.MetadataResponse).Topics[0]
}

func (o *one) idOf(topic string) [16]byte {
	o.t.Helper()
	return o.metadataOf(12, &topic, noTopicID).TopicID
}

// deleteByID returns the error's name.
func (o *one) deleteByID(id [16]byte) string {
	o.t.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TimeoutMillis = 6, 1000
	in := kmsg.NewDeleteTopicsRequestTopic()
	in.TopicID = id
	req.Topics = append(req.Topics, in)
	return kafka.CodeName(o.ask(req).(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode)
}

func fetchByID(id [16]byte, offset int64) *kmsg.FetchRequest {
	req := fetchRequest("", offset)
	req.Version, req.Topics[0].TopicID = 18, id
	return req
}

func produceByID(id [16]byte, raw []byte) *kmsg.ProduceRequest {
	req := produceRequest("", -1, raw)
	req.Version, req.Topics[0].TopicID = 13, id
	return req
}

func TestTopicIDs(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	o.create("u")
	id, other := o.idOf("t"), o.idOf("u")
	if id == noTopicID || id == other {
		t.Fatalf("ids %x and %x", id, other)
	}
	got := o.metadataOf(12, nil, id)
	if got.ErrorCode != 0 || got.Topic == nil || *got.Topic != "t" || got.TopicID != id || len(got.Partitions) != 1 {
		t.Errorf("metadata by id: %+v", got)
	}
	if p := o.ask(produceByID(id, plain("a"))).(*kmsg.ProduceResponse).Topics[0]; p.TopicID != id || p.Partitions[0].ErrorCode != 0 || p.Partitions[0].BaseOffset != 0 {
		t.Errorf("produce by id: %+v", p)
	}
	f := o.ask(fetchByID(id, 0)).(*kmsg.FetchResponse).Topics[0]
	if f.TopicID != id || f.Partitions[0].ErrorCode != 0 || len(f.Partitions[0].RecordBatches) == 0 {
		t.Errorf("fetch by id: %+v", f)
	}
	o.restart()
	if now := o.idOf("t"); now != id {
		t.Errorf("the id changed from %x to %x over a restart", id, now)
	}
}

// Clients that know a topic by the id that it had before it was created again never meet the new one.
func TestTopicCreatedAgainHasAnotherID(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	old := o.idOf("t")
	if e := o.deleteByID(old); e != "NONE" {
		t.Fatal(e)
	}
	o.create("t")
	o.produce("t", plain("new"))
	id := o.idOf("t")
	if id == old {
		t.Fatalf("the id %x is used again", id)
	}
	if got := o.metadataOf(12, nil, old); got.ErrorCode != kerr.UnknownTopicID.Code || got.Topic != nil {
		t.Errorf("metadata: %+v", got)
	}
	if p := o.ask(fetchByID(old, 0)).(*kmsg.FetchResponse).Topics[0].Partitions[0]; p.ErrorCode != kerr.UnknownTopicID.Code || len(p.RecordBatches) > 0 {
		t.Errorf("fetch: %+v", p)
	}
	if p := o.ask(produceByID(old, plain("x"))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != kerr.UnknownTopicID.Code || p.BaseOffset != -1 {
		t.Errorf("produce: %+v", p)
	}
	if e := o.deleteByID(old); e != "UNKNOWN_TOPIC_ID" {
		t.Errorf("deletion by the old id: %s", e)
	}
	if got := o.read("t", 0); len(got) != 1 {
		t.Errorf("records: %v", got)
	}
}

// A fetch that waits on a topic hears at once that it is gone.
func TestFetchOfDeletedTopicEnds(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	id := o.idOf("t")
	f := o.begin(2, fetchByID(id, 0))
	if f.peek() != nil {
		t.Fatal("there is nothing to fetch yet")
	}
	o.deleteByID(id)
	if p := f.peek(); p == nil || p.(*kmsg.FetchResponse).Topics[0].Partitions[0].ErrorCode != kerr.UnknownTopicID.Code {
		t.Errorf("%+v", p)
	}
}

func TestCreateTopicsSaysTheID(t *testing.T) {
	o := newOne(t, nil)
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, 1000
	in := kmsg.NewCreateTopicsRequestTopic()
	in.Topic, in.NumPartitions, in.ReplicationFactor = "t", 1, 1
	req.Topics = append(req.Topics, in)
	if got := o.ask(req).(*kmsg.CreateTopicsResponse).Topics[0].TopicID; got == noTopicID || got != o.idOf("t") {
		t.Errorf("created with id %x, metadata says %x", got, o.idOf("t"))
	}
}

// Internal topics have ids too, or clients would drop back to names for whole sessions; but they can't be deleted.
func TestInternalTopicHasAnID(t *testing.T) {
	o := newGroups(t, nil)
	id := o.idOf(groupsTopic)
	if id == noTopicID {
		t.Fatal("no id")
	}
	if e := o.deleteByID(id); e != "INVALID_TOPIC_EXCEPTION" {
		t.Errorf("deletion: %s", e)
	}
	if p := o.ask(fetchByID(id, 0)).(*kmsg.FetchResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 {
		t.Errorf("fetch: %+v", p)
	}
}

// Before version 12 metadata is asked for by name alone.
func TestMetadataByIDNeedsVersion12(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	if got := o.metadataOf(11, nil, o.idOf("t")); got.ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("%+v", got)
	}
}

// A broker that doesn't lead says who does, to produce and fetch requests alike (KIP-951).
func TestFollowerNamesTheLeader(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 1, 2, 3)
	leader := c.leader("t")
	follower := leader%3 + 1
	c.until("the follower knows the leader", func() bool { v, ok := c.view(follower, "t"); return ok && v.Lead == leader })
	id := c.nodes[1].node.catalog.byName["t"].uuid
	f := c.ask(follower, fetchByID(id, 0)).(*kmsg.FetchResponse)
	if p := f.Topics[0].Partitions[0]; p.ErrorCode != kerr.NotLeaderForPartition.Code || p.CurrentLeader.LeaderID != int32(leader) || p.CurrentLeader.LeaderEpoch < 1 {
		t.Errorf("fetch: %+v", p)
	}
	if len(f.Brokers) != 1 || f.Brokers[0].NodeID != int32(leader) || f.Brokers[0].Port != 9000+int32(leader)-1 {
		t.Errorf("brokers: %+v", f.Brokers)
	}
	p := c.ask(follower, produceByID(id, plain("a"))).(*kmsg.ProduceResponse)
	if p.Topics[0].Partitions[0].CurrentLeader.LeaderID != int32(leader) || len(p.Brokers) != 1 {
		t.Errorf("produce: %+v", p)
	}
}

func TestFetchAnswersAreBounded(t *testing.T) {
	o := newOne(t, func(c *Config) { c.FetchMaxBytes = 200 })
	o.create("t")
	size := len(plain("x"))
	for range 10 {
		o.produce("t", plain("x"))
	}
	if got, want := len(o.fetch(fetchRequest("t", 0)).RecordBatches), 200/size*size; got != want || want == 0 {
		t.Errorf("%d bytes, want %d", got, want)
	}
}

// The more answers are unread, the smaller are new ones. But a client that takes nothing can't keep others from reading.
func TestUnreadAnswersMakeNewOnesSmaller(t *testing.T) {
	o := newOne(t, func(c *Config) { c.AnswerBytes = 4 << 20 })
	o.create("t")
	value := strings.Repeat("x", 20_000)
	size := len(plain(value))
	for range 60 {
		o.produce("t", plain(value))
	}
	req := fetchRequest("t", 0)
	req.MaxBytes, req.MinBytes, req.MaxWaitMillis = 100<<20, 1<<20, 10_000
	req.Topics[0].Partitions[0].PartitionMaxBytes = 100 << 20
	for _, c := range []struct{ unread, most int }{{0, 4 << 20 / answerShare}, {2 << 20, 2 << 20 / answerShare}, {4 << 20, leastAnswer}, {100 << 20, leastAnswer}} {
		o.unread = int64(c.unread)
		begun := o.now
		if got, want := len(o.fetch(req).RecordBatches), c.most/size*size; got != want || want == 0 {
			t.Errorf("with %d bytes unread: an answer of %d bytes, want %d", c.unread, got, want)
		}
		if waited := o.now.Sub(begun); waited > time.Second {
			t.Errorf("with %d bytes unread: it waited %v for more than it can get", c.unread, waited)
		}
	}
}
