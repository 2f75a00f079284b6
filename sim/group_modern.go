// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/checker"
	"chronik/sim/plan"
)

// KIP-848 as consumers speak it: a member says in its heartbeats what it owns, and is told what it
// shall own. What it has to give up it works on for a moment longer, commits, and then says that it
// doesn't own it any more.

// Epochs by which a member says that it leaves, or that it will be back.
const (
	epochLeave = -1
	epochAway  = -2
)

// beatModern sends a heartbeat if it is time for one, or if there is something to say.
func (m *member) beatModern() {
	cn := m.coordinatorConn()
	if cn == nil {
		return
	}
	w := m.world
	said := false
	if m.phase == phaseMember {
		said = m.reconcile()
		if !said && w.now < m.beatAt {
			return
		}
		m.full = m.full || m.draw().Ratio(1, 8) // as after a timeout
	}
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version = 1
	req.Group, req.MemberID, req.MemberEpoch, req.InstanceID = m.spec.Group, m.id, m.epoch, m.instance()
	req.RebalanceTimeoutMillis = -1
	if m.full || said {
		req.Topics = m.ownedTopics()
	}
	if m.full {
		req.RebalanceTimeoutMillis = int32(m.spec.Rebalance / millisecond)
		req.SubscribedTopicNames = m.topics
	}
	m.busy = true
	m.beatAt = w.now + at(m.spec.Beat)
	place := w.judge.beats(m, m.epoch, req.Topics != nil)
	cn.ask(w, req, func(resp kmsg.Response) { m.beaten(place, resp.(*kmsg.ConsumerGroupHeartbeatResponse)) })
}

// reconcile gives up what the member shall not own, when it is done with it, and takes what it may
// own now. It reports whether there is something new to tell.
func (m *member) reconcile() bool {
	keep := slices.DeleteFunc(m.ownedNames(), func(p string) bool { return !slices.Contains(m.target, p) })
	gives := len(keep) < len(m.owned)
	if gives && m.revokeAt > m.world.now {
		return false
	}
	if !gives && len(m.target) == len(m.owned) {
		return false
	}
	m.own(m.target)
	return true
}

func (m *member) ownedTopics() []kmsg.ConsumerGroupHeartbeatRequestTopic {
	topics := []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	for _, o := range m.owned {
		if n := len(topics); n == 0 || topics[n-1].TopicID != o.topic.id {
			topics = append(topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: o.topic.id})
		}
		last := &topics[len(topics)-1]
		last.Partitions = append(last.Partitions, o.partition)
	}
	return topics
}

func (m *member) beaten(place int, resp *kmsg.ConsumerGroupHeartbeatResponse) {
	m.busy = false
	if resp.ErrorCode != 0 {
		m.tracef("ConsumerGroupHeartbeat answers %d", resp.ErrorCode)
		m.world.judge.beaten(m, place, checker.Failed, 0, false, nil)
		m.refusedModern(resp.ErrorCode)
		return
	}
	granted, known := m.granted(resp.Assignment)
	m.world.judge.beaten(m, place, checker.OK, resp.MemberEpoch, resp.Assignment != nil && known, granted)
	m.epoch, m.phase, m.full = resp.MemberEpoch, phaseMember, false
	if resp.Assignment == nil || !known {
		m.full = !known // asks again when it knows the topics
		return
	}
	m.target = granted
	if slices.ContainsFunc(m.ownedNames(), func(p string) bool { return !slices.Contains(granted, p) }) {
		m.revokeAt = m.world.now + at(plan.Duration(m.draw().LogUniform(int64(millisecond), int64(second))))
		m.commitAt = 0
	}
	m.sendStale()
}

// granted names the partitions of an assignment; false if it has topics whose ids aren't known yet.
func (m *member) granted(a *kmsg.ConsumerGroupHeartbeatResponseAssignment) (names []string, known bool) {
	if a == nil {
		return nil, true
	}
	for _, t := range a.Topics {
		i := slices.IndexFunc(m.client.topics, func(v *topicView) bool { return v.id == t.TopicID && t.TopicID != [16]byte{} })
		if i < 0 {
			for _, v := range m.client.topics {
				v.stale = v.stale || v.id == [16]byte{}
			}
			return nil, false
		}
		for _, p := range t.Partitions {
			names = append(names, partitionName(m.client.topics[i].plan.Name, p))
		}
	}
	slices.Sort(names)
	return names, true
}

func (m *member) refusedModern(code int16) {
	switch code {
	case kerr.FencedMemberEpoch.Code, kerr.UnknownMemberID.Code, kerr.GroupIDNotFound.Code:
		m.own(nil)
		m.target, m.epoch, m.phase, m.full = nil, 0, phaseJoin, true
		m.pause()
	case kerr.UnreleasedInstanceID.Code:
		m.pause()
	case kerr.FencedInstanceID.Code:
		m.stop(true)
	default:
		m.trouble(code, "ConsumerGroupHeartbeat")
	}
}

// leaveModern says that the member leaves; a static one mostly that it will be back.
func (m *member) leaveModern(cn *conn) {
	epoch := int32(epochLeave)
	if m.spec.Instance != "" && m.draw().Ratio(2, 3) {
		epoch = epochAway
	}
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version = 1
	req.Group, req.MemberID, req.MemberEpoch, req.InstanceID = m.spec.Group, m.id, epoch, m.instance()
	req.RebalanceTimeoutMillis = -1
	m.own(nil)
	m.busy = true
	place := m.world.judge.beats(m, epoch, false)
	cn.ask(m.world, req, func(resp kmsg.Response) {
		r := resp.(*kmsg.ConsumerGroupHeartbeatResponse)
		m.world.judge.beaten(m, place, outcomeOf(r.ErrorCode), r.MemberEpoch, false, nil)
		m.stop(true)
	})
}
