// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// newRacks is a cluster of three brokers in racks r1 to r3 with a topic that has some records.
func newRacks(t *testing.T) (c *many, leader, follower BrokerID) {
	c = newMany(t, 3, func(cfg *Config) {
		for i := range cfg.Members {
			cfg.Members[i].Rack = fmt.Sprintf("r%d", cfg.Members[i].ID)
		}
	})
	c.create("t", 1, 2, 3)
	c.produce("t", "a", "b", "c")
	leader = c.leader("t")
	follower = leader%3 + 1
	c.applied(follower, 3)
	return c, leader, follower
}

func (c *many) applied(id BrokerID, offset int64) {
	c.t.Helper()
	c.until("the follower has applied it", func() bool { v, ok := c.view(id, "t"); return ok && v.HighWatermark == offset })
}

func (c *many) fetchAs(id BrokerID, rack string, offset int64, change func(*kmsg.FetchRequest)) kmsg.FetchResponseTopicPartition {
	c.t.Helper()
	req := fetchRequest("t", offset)
	req.Rack = rack
	if change != nil {
		change(req)
	}
	return c.ask(id, req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
}

func TestFetchFromTheClosestReplica(t *testing.T) {
	c, leader, follower := newRacks(t)
	rack := fmt.Sprintf("r%d", follower)
	before := c.now
	p := c.fetchAs(leader, rack, 0, nil)
	if p.ErrorCode != 0 || p.PreferredReadReplica != int32(follower) || len(p.RecordBatches) > 0 || p.HighWatermark != 3 {
		t.Errorf("the leader answers %+v", p)
	}
	if p := c.fetchAs(leader, rack, 3, nil); p.PreferredReadReplica != int32(follower) || c.now.Sub(before) > millis(100) {
		t.Errorf("at the end the leader answers %+v after %v", p, c.now.Sub(before))
	}
	there := c.fetchAs(follower, rack, 0, func(req *kmsg.FetchRequest) { req.Topics[0].Partitions[0].LastFetchedEpoch = -1 })
	here := c.fetchAs(leader, "", 0, nil)
	if there.ErrorCode != 0 || there.PreferredReadReplica != -1 || there.HighWatermark != 3 || !slices.Equal(there.RecordBatches, here.RecordBatches) {
		t.Errorf("the follower answers %+v, the leader %+v", there, here)
	}
	for name, p := range map[string]kmsg.FetchResponseTopicPartition{
		"no rack":           c.fetchAs(leader, "", 0, nil),
		"the leader's rack": c.fetchAs(leader, fmt.Sprintf("r%d", leader), 0, nil),
		"an unknown rack":   c.fetchAs(leader, "r9", 0, nil),
		"before v11":        c.fetchAs(leader, rack, 0, func(req *kmsg.FetchRequest) { req.Version = 10 }),
	} {
		if p.PreferredReadReplica != -1 || len(p.RecordBatches) == 0 {
			t.Errorf("%s: %+v", name, p)
		}
	}
	for name, p := range map[string]kmsg.FetchResponseTopicPartition{
		"no rack":      c.fetchAs(follower, "", 0, nil),
		"another rack": c.fetchAs(follower, "r9", 0, nil),
	} {
		if p.ErrorCode != kerr.NotLeaderForPartition.Code {
			t.Errorf("the follower answers to %s: %+v", name, p)
		}
	}
}

// What a follower hasn't applied yet is neither out of its range nor a sign of divergence: the consumer
// may have it from the leader.
func TestFollowerWaitsForWhatItHasNotApplied(t *testing.T) {
	c, leader, follower := newRacks(t)
	rack := fmt.Sprintf("r%d", follower)
	v, _ := c.view(leader, "t")
	ahead := func(req *kmsg.FetchRequest) { req.Topics[0].Partitions[0].LastFetchedEpoch = leaderEpoch(v.Term) }
	if p := c.fetchAs(follower, rack, 4, ahead); p.ErrorCode != 0 || len(p.RecordBatches) > 0 || p.HighWatermark != 3 || p.DivergingEpoch.EndOffset >= 0 {
		t.Errorf("one ahead: %+v", p)
	}
	m := c.nodes[follower]
	m.replies, m.lastID = nil, m.lastID+1
	req := fetchRequest("t", 3)
	req.Rack, req.MaxWaitMillis = rack, 10000
	m.in.Requests = append(m.in.Requests, Request{Conn: 7, Frame: kafka.AppendRequest(nil, m.lastID, "test", req)})
	c.round()
	c.produce("t", "d")
	c.until("the fetch that waits gets the record", func() bool { return len(m.replies) > 0 })
	resp := req.ResponseKind().(*kmsg.FetchResponse)
	if _, err := kafka.ParseResponse(kafka.Frame(m.replies[0].Frame).Bytes(), resp); err != nil || len(resp.Topics[0].Partitions[0].RecordBatches) == 0 {
		t.Errorf("%v: %+v", err, resp)
	}
	if p := c.fetchAs(follower, rack, -1, nil); p.ErrorCode != kerr.OffsetOutOfRange.Code {
		t.Errorf("below the start: %+v", p)
	}
	for epoch, want := range map[int32]*kerr.Error{leaderEpoch(v.Term) - 1: kerr.FencedLeaderEpoch, leaderEpoch(v.Term) + 1: kerr.UnknownLeaderEpoch} {
		if p := c.fetchAs(follower, rack, 0, func(req *kmsg.FetchRequest) { req.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch }); p.ErrorCode != want.Code {
			t.Errorf("epoch %d: %s", epoch, kafka.CodeName(p.ErrorCode))
		}
	}
}

// A follower that doesn't hear its leader sends consumers away, and a dead one is sent none.
func TestLonelyFollowerServesNobody(t *testing.T) {
	c, leader, follower := newRacks(t)
	rack := fmt.Sprintf("r%d", follower)
	c.nodes[follower].cut = true
	c.until("the follower sends consumers away", func() bool {
		return c.fetchAs(follower, rack, 0, nil).ErrorCode == kerr.NotLeaderForPartition.Code
	})
	c.until("the leader serves them itself", func() bool {
		p := c.fetchAs(leader, rack, 0, nil)
		return p.PreferredReadReplica == -1 && len(p.RecordBatches) > 0
	})
}
