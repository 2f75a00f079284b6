// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// What the examiner does to have something to ask about: a group of KIP-848 whose two members subscribe by different regular
// expressions, and a transaction.

const (
	examGroup = "exam-group"
	examTxn   = "exam-transaction"
)

// coordinator finds out which broker coordinates a group (kind 0) or a transactional id (kind 1).
func (e *exam) coordinator(kind int8, key string) *broker {
	var found *broker
	asked := false
	e.put(&inquiry{
		what: fmt.Sprintf("FindCoordinator of %q", key),
		request: func(*broker) kmsg.Request {
			if asked { // one of them
				return nil
			}
			asked = true
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.Version, req.CoordinatorType, req.CoordinatorKey = 3, kind, key
			return req
		},
		wrong: eachOf(func(t told, r *kmsg.FindCoordinatorResponse) string {
			asked = false
			if n := e.client.brokerNumber(r.NodeID); r.ErrorCode == 0 && n > 0 {
				found = e.world.brokers[n-1]
			}
			return e.code(t, r.ErrorCode)
		}),
	})
	return found
}

// act asks a coordinator for something until it does that. right says whether an answer is what is wanted.
func (e *exam) act(kind int8, key, what string, req kmsg.Request, right func(resp kmsg.Response) (code int16, ok bool)) {
	w := e.world
	for limit := w.now + w.patience(); ; e.pause(100 * millisecond) {
		b := e.coordinator(kind, key)
		if b.node == nil {
			continue
		}
		code, ok := right(e.call(b, what, req))
		if ok {
			return
		}
		if w.now >= limit {
			w.fail("description", "when all is over, broker %d, asked %s, answers %s", b.number, what, kafka.CodeName(code))
		}
	}
}

// examConsumer is a member of the examiner's group.
type examConsumer struct {
	exam  *exam
	id    string
	topic string // the one to which its regular expression subscribes
	epoch int32
	owns  []kmsg.ConsumerGroupHeartbeatRequestTopic
}

// beat says everything, with a time-out of so many ms for giving up partitions, and takes the assignment. That must be in the answer.
func (m *examConsumer) beat(rebalance int32) {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.MemberEpoch = 1, examGroup, m.id, m.epoch
	req.SubscribedTopicRegex, req.ServerAssignor, req.Topics = kmsg.StringPtr(m.topic), kmsg.StringPtr([]string{"uniform", "range"}[m.exam.pick(2)]), m.owns
	if req.RebalanceTimeoutMillis = rebalance; req.Topics == nil {
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
	m.exam.act(0, examGroup, "to take a full heartbeat of "+m.id, req, func(resp kmsg.Response) (int16, bool) {
		r := resp.(*kmsg.ConsumerGroupHeartbeatResponse)
		switch r.ErrorCode {
		case 0:
		case kerr.UnknownMemberID.Code, kerr.FencedMemberEpoch.Code: // it was silent for too long
			m.epoch, m.owns = 0, nil
			return r.ErrorCode, true
		default:
			return r.ErrorCode, false
		}
		if r.Assignment == nil {
			m.exam.world.fail("description", "member %s of %s says all that it knows, and isn't told what it shall own", m.id, examGroup)
		}
		m.epoch, m.owns = r.MemberEpoch, nil
		for _, t := range r.Assignment.Topics {
			m.owns = append(m.owns, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: t.TopicID, Partitions: t.Partitions})
		}
		return 0, true
	})
}

// leave ends the membership.
func (m *examConsumer) leave() {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.MemberEpoch, req.RebalanceTimeoutMillis = 1, examGroup, m.id, epochLeave, -1
	m.exam.act(0, examGroup, "to let "+m.id+" go", req, func(resp kmsg.Response) (int16, bool) {
		code := resp.(*kmsg.ConsumerGroupHeartbeatResponse).ErrorCode
		return code, code == 0 || code == kerr.UnknownMemberID.Code || code == kerr.GroupIDNotFound.Code
	})
}

// actAsConsumers lets two members share two topics: each must get all of its own. Offsets of topics to which they subscribe can't be deleted.
func (e *exam) actAsConsumers() {
	topics := e.topics()
	if len(topics) == 0 {
		return
	}
	first, second := topics[0], topics[len(topics)-1]
	members := []*examConsumer{{exam: e, id: "exam-1", topic: first.Name}, {exam: e, id: "exam-2", topic: second.Name}}
	w := e.world
	for limit := w.now + w.patience(); ; e.pause(100 * millisecond) {
		for _, m := range members {
			m.beat(60_000)
		}
		var why string
		e.put(&inquiry{
			what: "ConsumerGroupDescribe of " + examGroup,
			request: func(*broker) kmsg.Request {
				req := kmsg.NewPtrConsumerGroupDescribeRequest()
				req.Version, req.Groups = 1, []string{examGroup}
				return req
			},
			wrong: func(answers []told) string {
				for _, t := range answers {
					if d := &t.resp.(*kmsg.ConsumerGroupDescribeResponse).Groups[0]; !isElsewhere(d.ErrorCode) {
						why = sharedAs(d, members, first.Name != second.Name)
					}
				}
				return ""
			},
		})
		if why == "" {
			break
		}
		if w.now >= limit {
			w.fail("description", "when all is over, two members of %s subscribe to %s and %s: %s", examGroup, first.Name, second.Name, why)
		}
	}
	e.deletesNothing(first.Name, second.Name)
	members[0].beat(0)
	for _, m := range members {
		m.leave()
	}
}

// sharedAs compares what the members have with what they subscribe to.
func sharedAs(d *kmsg.ConsumerGroupDescribeResponseGroup, members []*examConsumer, apart bool) string {
	owned := make(map[string]bool)
	for _, m := range members {
		i := slices.IndexFunc(d.Members, func(o kmsg.ConsumerGroupDescribeResponseGroupMember) bool { return o.MemberID == m.id })
		if i < 0 {
			return "member " + m.id + " isn't named"
		}
		o := &d.Members[i]
		if textOf(o.SubscribedTopicRegex) != m.topic || len(o.SubscribedTopics) > 0 || d.State != "Stable" {
			return fmt.Sprintf("member %s is said to subscribe to %q and %v, in state %s", m.id, textOf(o.SubscribedTopicRegex), o.SubscribedTopics, d.State)
		}
		for _, t := range o.Assignment.TopicPartitions {
			if t.Topic != m.topic {
				return fmt.Sprintf("member %s owns partitions of %s", m.id, t.Topic)
			}
			for _, p := range t.Partitions {
				owned[partitionName(t.Topic, p)] = true
			}
		}
	}
	want := 0
	for i, m := range members {
		if i == 0 || apart {
			want += int(m.exam.partitions(m.topic))
		}
	}
	if len(owned) != want {
		return fmt.Sprintf("%d of %d partitions have an owner", len(owned), want)
	}
	return ""
}

// partitions is how many a topic has by now.
func (e *exam) partitions(topic string) (n int32) {
	for _, g := range e.world.judge.groups {
		if g.topic == topic && !e.world.judge.gone[g.id] {
			n++
		}
	}
	return n
}

// deletesNothing asks to delete offsets of topics to which members subscribe, one by the name of which another one's expression doesn't match.
func (e *exam) deletesNothing(topics ...string) {
	req := kmsg.NewPtrOffsetDeleteRequest()
	req.Group = examGroup
	for _, name := range slices.Compact(topics) {
		t, p := kmsg.NewOffsetDeleteRequestTopic(), kmsg.NewOffsetDeleteRequestTopicPartition()
		t.Topic = name
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
	}
	e.act(0, examGroup, "to delete offsets of topics to which members subscribe", req, func(resp kmsg.Response) (int16, bool) {
		r := resp.(*kmsg.OffsetDeleteResponse)
		if r.ErrorCode != 0 {
			return r.ErrorCode, false
		}
		for i := range r.Topics {
			if code := r.Topics[i].Partitions[0].ErrorCode; code != kerr.GroupSubscribedToTopic.Code {
				return code, false
			}
		}
		return 0, true
	})
}
