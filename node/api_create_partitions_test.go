// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

func growRequest(topic string, count int32, assignment ...[]int32) *kmsg.CreatePartitionsRequest {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Version, req.TimeoutMillis = 3, 5000
	in := kmsg.NewCreatePartitionsRequestTopic()
	in.Topic, in.Count = topic, count
	for _, replicas := range assignment {
		in.Assignment = append(in.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: replicas})
	}
	req.Topics = append(req.Topics, in)
	return req
}

func TestCreatePartitions(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 2, 3)
	c.produce("t", "a")
	grow := func(id BrokerID, req *kmsg.CreatePartitionsRequest) string {
		t.Helper()
		r := c.ask(id, req).(*kmsg.CreatePartitionsResponse).Topics[0]
		if r.ErrorCode != 0 && (r.ErrorMessage == nil || *r.ErrorMessage == "") {
			t.Errorf("%s without a text", kafka.CodeName(r.ErrorCode))
		}
		return kafka.CodeName(r.ErrorCode)
	}
	dry := growRequest("t", 4)
	dry.ValidateOnly = true
	for _, s := range []struct {
		req  *kmsg.CreatePartitionsRequest
		want string
		have int
	}{
		{dry, "NONE", 1},
		{growRequest("t", 1), "INVALID_PARTITIONS", 1},
		{growRequest("t", 0), "INVALID_PARTITIONS", 1},
		{growRequest("t", maxPartitions+1), "INVALID_PARTITIONS", 1},
		{growRequest("u", 4), "UNKNOWN_TOPIC_OR_PARTITION", 1},
		{growRequest("t", 3, []int32{1, 2}), "INVALID_REPLICA_ASSIGNMENT", 1}, // one of two
		{growRequest("t", 2, []int32{1}), "INVALID_REPLICA_ASSIGNMENT", 1},    // too few replicas
		{growRequest("t", 2, []int32{1, 1}), "INVALID_REPLICA_ASSIGNMENT", 1}, // twice
		{growRequest("t", 2, []int32{1, 9}), "INVALID_REPLICA_ASSIGNMENT", 1}, // no such broker
		{growRequest("t", 3, []int32{3, 1}, []int32{1, 2}), "NONE", 3},        // chosen
		{growRequest("t", 5), "NONE", 5},                                      // spread
		{growRequest("t", 5), "INVALID_PARTITIONS", 5},                        // again
	} {
		if e := grow(2, s.req); e != s.want {
			t.Errorf("%+v: %s, want %s", s.req.Topics, e, s.want)
		}
		c.until("all brokers know", func() bool {
			for _, id := range c.ids {
				if len(c.nodes[id].node.catalog.byName["t"].Partitions) != s.have {
					return false
				}
			}
			return true
		})
	}
	c.expectSpread()
	if got := c.read("t", 0); len(got) != 1 {
		t.Errorf("records: %v", got)
	}
	c.kill(2)
	c.start(2)
	c.until("they are there after a restart", func() bool { return c.nodes[2].node.catalog.partition("t", 4) != nil })
}

// expectSpread wants the five partitions of topic t on two of three brokers each, led in turn.
func (c *many) expectSpread() {
	c.t.Helper()
	var placed [][]BrokerID
	for _, p := range c.nodes[1].node.catalog.byName["t"].Partitions {
		placed = append(placed, brokersOf(p.Replicas))
	}
	if diff := cmp.Diff([][]BrokerID{{2, 3}, {3, 1}, {1, 2}, {2, 3}, {3, 1}}, placed); diff != "" {
		c.t.Error(diff)
	}
	c.until("the new partitions are led by whom they prefer", func() bool {
		for i, b := range []BrokerID{2, 3, 1, 2, 3} {
			p := c.nodes[b].node.catalog.partition("t", int32(i))
			if part := c.nodes[b].node.partitions[p.Group]; part == nil || !part.leads() {
				return false
			}
		}
		return true
	})
}

// Two brokers are asked at once: one of them adds, and the other finds nothing left to add.
func TestCreatePartitionsTwiceAtOnce(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 1, 2, 3)
	for _, id := range []BrokerID{1, 2} {
		m := c.nodes[id]
		m.replies, m.lastID = nil, m.lastID+1
		m.in.Requests = append(m.in.Requests, Request{Conn: 1, Frame: kafka.AppendRequest(nil, m.lastID, "", growRequest("t", 4))})
	}
	c.until("both answered", func() bool { return len(c.nodes[1].replies) > 0 && len(c.nodes[2].replies) > 0 })
	var codes []string
	for _, id := range []BrokerID{1, 2} {
		resp := kmsg.NewPtrCreatePartitionsResponse()
		resp.Version = 3
		if _, err := kafka.ParseResponse(kafka.Frame(c.nodes[id].replies[0].Frame).Bytes(), resp); err != nil {
			t.Fatal(err)
		}
		codes = append(codes, kafka.CodeName(resp.Topics[0].ErrorCode))
	}
	slices.Sort(codes)
	if diff := cmp.Diff([]string{"INVALID_PARTITIONS", "NONE"}, codes); diff != "" {
		t.Error(diff)
	}
	if got := len(c.nodes[1].node.catalog.byName["t"].Partitions); got != 4 {
		t.Errorf("%d partitions", got)
	}
}

func TestInternalTopicCantGrow(t *testing.T) {
	o := newGroups(t, nil)
	if r := o.ask(growRequest(groupsTopic, 20)).(*kmsg.CreatePartitionsResponse).Topics[0]; r.ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("%+v", r)
	}
}

// Who has created a topic finds its leaders at once, as in Kafka.
func TestNewPartitionsHaveLeaders(t *testing.T) {
	c := newMany(t, 3, nil)
	led := func(topic string) {
		t.Helper()
		for _, p := range c.nodes[2].node.catalog.byName[topic].Partitions {
			if !c.nodes[2].node.led(p) {
				t.Errorf("partition %d of %s has no leader", p.Index, topic)
			}
		}
	}
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Version, create.TimeoutMillis = 7, 10000
	in := kmsg.NewCreateTopicsRequestTopic()
	in.Topic, in.NumPartitions, in.ReplicationFactor = "t", 6, 2
	create.Topics = append(create.Topics, in)
	if e := c.ask(2, create).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode; e != 0 {
		t.Fatal(kafka.CodeName(e))
	}
	led("t")
	if e := c.ask(2, growRequest("t", 12)).(*kmsg.CreatePartitionsResponse).Topics[0].ErrorCode; e != 0 {
		t.Fatal(kafka.CodeName(e))
	}
	led("t")
	name := "made-by-asking"
	meta := kmsg.NewPtrMetadataRequest()
	meta.Version, meta.AllowAutoTopicCreation = 12, true
	meta.Topics = append(meta.Topics, kmsg.MetadataRequestTopic{Topic: &name})
	if got := c.ask(2, meta).(*kmsg.MetadataResponse).Topics[0]; got.ErrorCode != 0 || got.Partitions[0].Leader < 1 {
		t.Errorf("%+v", got)
	}
	// Where nobody can lead, the topic is there all the same, and the answer doesn't take for ever.
	c.kill(3) // nobody misses it yet
	a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
	a.Replicas = []int32{3}
	create.Topics[0].Topic, create.Topics[0].NumPartitions, create.Topics[0].ReplicationFactor = "u", -1, -1
	create.Topics[0].ReplicaAssignment = append(create.Topics[0].ReplicaAssignment, a)
	before := c.now
	if e := c.ask(2, create).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode; e != 0 || c.now.Sub(before) > ledPatience+100e6 {
		t.Errorf("%s after %v", kafka.CodeName(e), c.now.Sub(before))
	}
}
