// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

func TestModernCommits(t *testing.T) {
	o := newModernGroups(t)
	a := o.modern(11)
	o.expect("NONE", a.beat())
	commit := func(version int16, id string, epoch int32, offset int64) string {
		c := o.consumer(11)
		c.id, c.generation = id, epoch
		req := c.commitRequest("p", offset)
		req.Version = version
		req.Topics[0].TopicID = o.node.catalog.byName["p"].uuid
		return kafka.CodeName(o.begin(11, req).wait(time.Second).(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode)
	}
	o.expect("NONE", commit(9, a.id, 1, 5), commit(10, a.id, 1, 6))
	o.expect("STALE_MEMBER_EPOCH", commit(9, a.id, 0, 7), commit(9, a.id, 2, 7))
	o.expect("UNKNOWN_MEMBER_ID", commit(9, "x", 1, 7), commit(9, "", -1, 7))
	o.expect("UNSUPPORTED_VERSION", commit(8, a.id, 0, 7))
	fetch := func(version int16, id *string, epoch int32) string {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version = version
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group, g.MemberID, g.MemberEpoch = "g", id, epoch
		g.Topics = []kmsg.OffsetFetchRequestGroupTopic{{Topic: "p", TopicID: o.node.catalog.byName["p"].uuid, Partitions: []int32{0}}}
		req.Groups = append(req.Groups, g)
		got := o.do(req).(*kmsg.OffsetFetchResponse).Groups[0]
		if got.ErrorCode != 0 {
			return kafka.CodeName(got.ErrorCode)
		}
		return fmt.Sprint(got.Topics[0].Partitions[0].Offset)
	}
	x := "x"
	o.expect("6", fetch(9, &a.id, 1), fetch(10, &a.id, 1), fetch(9, nil, -1))
	o.expect("STALE_MEMBER_EPOCH", fetch(9, &a.id, 0))
	o.expect("UNKNOWN_MEMBER_ID", fetch(10, &x, 1))
	o.expect("NONE", a.say(leaveEpoch), commit(9, "", -1, 8))
	o.expect("8", fetch(9, nil, -1))
	none := o.consumer(11).commitRequest("p", 1)
	none.Version = 10
	o.expect("UNKNOWN_TOPIC_ID", kafka.CodeName(o.begin(11, none).wait(time.Second).(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode))
}

// TestProtocolsDontMix: a group speaks one protocol at a time, and can change when it is empty.
func TestProtocolsDontMix(t *testing.T) {
	o := newModernGroups(t)
	c, m := o.consumer(11), o.modern(12)
	o.stable(c)
	o.expect("NONE", c.commit("t", 3))
	o.expect("GROUP_ID_NOT_FOUND", m.beat())
	o.want("state", "Stable", o.describe("g").State)
	o.expect("NONE", c.leave(), m.beat())
	o.want("list", []string{`g Stable "consumer" consumer`}, o.list(nil, nil))
	c.id, c.generation = "", -1
	resp := o.begin(11, c.joinRequest(9)).wait(time.Second).(*kmsg.JoinGroupResponse)
	o.expect("INCONSISTENT_GROUP_PROTOCOL", kafka.CodeName(resp.ErrorCode))
	del := kmsg.NewPtrDeleteGroupsRequest()
	del.Version, del.Groups = 2, []string{"g"}
	o.want("deleting", kerr.NonEmptyGroup.Code, o.do(del).(*kmsg.DeleteGroupsResponse).Groups[0].ErrorCode)
	o.expect("NONE", m.say(leaveEpoch))
	o.stable(c)
	o.want("list", []string{`g Stable "consumer" classic`}, o.list(nil, nil))
	o.restart()
	o.pass(500 * time.Millisecond)
	o.want("list after a restart", []string{`g Stable "consumer" classic`}, o.list(nil, nil))
	o.want("offset", int64(3), o.committedAt("g", "t"))
	o.expect("NONE", c.leave())
	m.epoch, m.owned = 0, nil
	o.expect("NONE", m.beat(), m.say(leaveEpoch))
	o.want("deleting", int16(0), o.do(del).(*kmsg.DeleteGroupsResponse).Groups[0].ErrorCode)
	o.want("offset", int64(-1), o.committedAt("g", "t"))
	o.want("groups", 0, o.groups())
}

func TestModernRefusals(t *testing.T) {
	o := newModernGroups(t)
	empty := ""
	for name, change := range map[string]func(*kmsg.ConsumerGroupHeartbeatRequest){
		"no member id":    func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberID = "" },
		"empty instance":  func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.InstanceID = &empty },
		"empty rack":      func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.RackID = &empty },
		"epoch -3":        func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = -3 },
		"no subscription": func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicNames = nil },
		"no partitions":   func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Topics = nil },
		"no rebalance":    func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.RebalanceTimeoutMillis = -1 },
		"owns when it joins": func(r *kmsg.ConsumerGroupHeartbeatRequest) {
			r.Topics = make([]kmsg.ConsumerGroupHeartbeatRequestTopic, 1)
		},
		"too long a list": func(r *kmsg.ConsumerGroupHeartbeatRequest) {
			r.SubscribedTopicNames = slices.Repeat([]string{strings.Repeat("x", 1000)}, 1100)
		},
		"too long a memberid": func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberID = strings.Repeat("x", 2000) },
	} {
		req := o.modern(11).request()
		change(req)
		resp := o.begin(11, req).wait(time.Second).(*kmsg.ConsumerGroupHeartbeatResponse)
		if resp.ErrorCode != kerr.InvalidRequest.Code || resp.ErrorMessage == nil {
			t.Errorf("%s: %s", name, kafka.CodeName(resp.ErrorCode))
		}
	}
	o.want("groups", 0, o.groups())
	req := o.modern(11).request()
	req.Version, req.MemberID = 0, ""
	if resp := o.begin(11, req).wait(time.Second).(*kmsg.ConsumerGroupHeartbeatResponse); resp.ErrorCode != 0 || *resp.MemberID == "" {
		t.Errorf("in version 0 the coordinator makes the member id: %+v", resp)
	}
	o.want("a group of the old protocol", "GROUP_ID_NOT_FOUND", func() string {
		req := kmsg.NewPtrConsumerGroupDescribeRequest()
		req.Groups = []string{"nosuch"}
		return kafka.CodeName(o.do(req).(*kmsg.ConsumerGroupDescribeResponse).Groups[0].ErrorCode)
	}())
}
