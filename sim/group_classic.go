// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"cmp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/checker"
)

// The classic group protocol as consumers speak it, with eager rebalancing: a member gives up all that
// it owns before it joins anew.

func compareText(a, b string) int { return strings.Compare(a, b) }

// stepClassic makes the next call.
func (m *member) stepClassic() {
	cn := m.coordinatorConn()
	if cn == nil {
		return
	}
	switch {
	case m.phase == phaseJoin:
		m.join(cn)
	case m.phase == phaseSync:
		m.sync(cn)
	case m.beatAt <= m.world.now:
		m.beatClassic(cn)
	}
}

func (m *member) joinVersion() int16 {
	if m.spec.Instance != "" {
		return m.version(kmsg.JoinGroup, [...]int16{9, 5, 7, 8}[m.spec.ID%4], 5)
	}
	return m.version(kmsg.JoinGroup, [...]int16{9, 2, 5, 4}[m.spec.ID%4], 5)
}

func (m *member) join(cn *conn) {
	w := m.world
	m.own(nil)
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version = m.joinVersion()
	req.Group, req.MemberID, req.InstanceID = m.spec.Group, m.id, m.instance()
	req.SessionTimeoutMillis = int32(m.spec.Session / millisecond)
	req.RebalanceTimeoutMillis = int32(m.spec.Rebalance / millisecond)
	req.ProtocolType = "consumer"
	said := kmsg.ConsumerMemberMetadata{Version: 1, Topics: m.topics}
	req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: said.AppendTo(nil)}}
	m.busy = true
	place := w.judge.joins(m)
	cn.askFor(w, req, m.patience(), func(resp kmsg.Response) { m.joined(place, resp.(*kmsg.JoinGroupResponse)) })
}

func (m *member) joined(place int, resp *kmsg.JoinGroupResponse) {
	m.busy = false
	m.world.judge.joined(m, place, outcomeOf(resp.ErrorCode))
	m.tracef("JoinGroup answers %d, generation %d", resp.ErrorCode, resp.Generation)
	switch resp.ErrorCode {
	case 0:
		m.id, m.epoch = resp.MemberID, resp.Generation
		m.leads = resp.LeaderID == resp.MemberID && !resp.SkipAssignment
		m.sharing = resp.Members
		m.phase = phaseSync
	case kerr.MemberIDRequired.Code:
		m.id = resp.MemberID
	case kerr.RebalanceInProgress.Code:
		m.pause()
	default:
		m.refused(resp.ErrorCode, "JoinGroup")
	}
}

// refused takes an error that many calls can be answered with.
func (m *member) refused(code int16, what string) {
	switch code {
	case kerr.UnknownMemberID.Code:
		m.id = ""
		m.rejoin()
	case kerr.IllegalGeneration.Code, kerr.RebalanceInProgress.Code:
		m.rejoin()
	case kerr.FencedInstanceID.Code: // another process has its name
		m.stop(true)
	default:
		m.trouble(code, what)
	}
}

func (m *member) rejoin() { m.phase, m.leads, m.sharing = phaseJoin, false, nil }

func (m *member) sync(cn *conn) {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version = m.version(kmsg.SyncGroup, [...]int16{5, 3, 4, 3}[m.spec.ID%4], 3)
	req.Group, req.Generation, req.MemberID, req.InstanceID = m.spec.Group, m.epoch, m.id, m.instance()
	req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	if m.leads {
		req.GroupAssignment = m.assign()
	}
	m.busy = true
	if m.leads && m.draw().Ratio(1, 4) { // as if an answer had been lost
		m.syncTwice(cn, *req)
	}
	place := m.world.judge.syncs(m)
	cn.askFor(m.world, req, m.patience(), func(resp kmsg.Response) { m.synced(place, resp.(*kmsg.SyncGroupResponse)) })
}

// syncTwice sends another assignment first; whichever is taken, it has to be one of them for all.
func (m *member) syncTwice(cn *conn, req kmsg.SyncGroupRequest) {
	req.GroupAssignment = m.assign()
	place := m.world.judge.syncs(m)
	cn.askFor(m.world, &req, m.patience(), func(resp kmsg.Response) {
		r := resp.(*kmsg.SyncGroupResponse)
		m.world.judge.memberSynced(m, place, outcomeOf(r.ErrorCode), m.assigned(r.MemberAssignment))
	})
}

// assign shares the partitions out, differently each time: so they often change hands, and an assignment
// that is sent once more is another one.
func (m *member) assign() []kmsg.SyncGroupRequestGroupAssignment {
	parts := make([]kmsg.ConsumerMemberAssignment, len(m.sharing))
	said := make([]kmsg.ConsumerMemberMetadata, len(m.sharing))
	for i := range m.sharing {
		if err := said[i].ReadFrom(m.sharing[i].ProtocolMetadata); err != nil {
			m.world.fail("protocol", "what %s said when it joined comes to the leader of the group as %x: %v", m.sharing[i].MemberID, m.sharing[i].ProtocolMetadata, err)
		}
	}
	turn := int(m.draw().Below(64))
	for _, t := range m.client.topics {
		var want []int
		for i := range said {
			if slices.Contains(said[i].Topics, t.plan.Name) {
				want = append(want, i)
			}
		}
		slices.SortFunc(want, func(a, b int) int { return cmp.Compare(m.sharing[a].MemberID, m.sharing[b].MemberID) })
		for p := 0; p < len(t.partitions) && len(want) > 0; p++ {
			to := &parts[want[turn%len(want)]]
			turn++
			if n := len(to.Topics); n == 0 || to.Topics[n-1].Topic != t.plan.Name {
				to.Topics = append(to.Topics, kmsg.ConsumerMemberAssignmentTopic{Topic: t.plan.Name})
			}
			last := &to.Topics[len(to.Topics)-1]
			last.Partitions = append(last.Partitions, int32(p))
		}
	}
	out := make([]kmsg.SyncGroupRequestGroupAssignment, len(parts))
	for i := range parts {
		out[i].MemberID, out[i].MemberAssignment = m.sharing[i].MemberID, parts[i].AppendTo(nil)
	}
	return out
}

func (m *member) synced(place int, resp *kmsg.SyncGroupResponse) {
	m.busy = false
	m.tracef("SyncGroup answers %d", resp.ErrorCode)
	if resp.ErrorCode != 0 {
		m.world.judge.memberSynced(m, place, checker.Failed, nil)
		m.refused(resp.ErrorCode, "SyncGroup")
		return
	}
	names := m.assigned(resp.MemberAssignment)
	m.world.judge.memberSynced(m, place, checker.OK, names)
	m.phase = phaseMember
	m.own(names)
	m.beatAt = m.world.now + at(m.spec.Beat)
	m.sendStale()
}

// assigned names the partitions of an assignment; none if the leader didn't count on this member.
func (m *member) assigned(assignment []byte) (names []string) {
	if len(assignment) == 0 {
		return nil
	}
	var a kmsg.ConsumerMemberAssignment
	if err := a.ReadFrom(assignment); err != nil {
		m.world.fail("protocol", "an assignment comes to %v as %x: %v", m, assignment, err)
	}
	for _, t := range a.Topics {
		for _, p := range t.Partitions {
			names = append(names, partitionName(t.Topic, p))
		}
	}
	slices.Sort(names)
	return names
}

func (m *member) beatClassic(cn *conn) {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version = m.version(kmsg.Heartbeat, [...]int16{4, 3, 4, 3}[m.spec.ID%4], 3)
	req.Group, req.Generation, req.MemberID, req.InstanceID = m.spec.Group, m.epoch, m.id, m.instance()
	m.busy = true
	m.beatAt = m.world.now + at(m.spec.Beat)
	cn.ask(m.world, req, func(resp kmsg.Response) {
		m.busy = false
		if code := resp.(*kmsg.HeartbeatResponse).ErrorCode; code != 0 {
			m.tracef("Heartbeat answers %d", code)
			if code == kerr.RebalanceInProgress.Code && m.draw().Ratio(1, 2) {
				m.commitAt = 0
				m.commit()
			}
			m.refused(code, "Heartbeat")
		}
	})
}

// leave tells the coordinator that the member leaves, if it knows one, and ends the process.
func (m *member) leave() {
	static := m.spec.Instance != ""
	if m.conn == nil || !m.conn.ready || m.id == "" || static && !m.spec.Modern {
		m.stop(true) // static members just end, so that they can come back (KIP-345)
		return
	}
	if m.phase == phaseLeaving {
		return // under way
	}
	m.phase = phaseLeaving
	if m.spec.Modern {
		m.leaveModern(m.conn)
		return
	}
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Version = m.version(kmsg.LeaveGroup, [...]int16{5, 1, 4, 3}[m.spec.ID%4], 3)
	req.Group, req.MemberID = m.spec.Group, m.id
	req.Members = []kmsg.LeaveGroupRequestMember{{MemberID: m.id}}
	m.own(nil)
	m.busy = true
	place := m.world.judge.joins(m)
	m.conn.ask(m.world, req, func(resp kmsg.Response) {
		m.world.judge.joined(m, place, outcomeOf(resp.(*kmsg.LeaveGroupResponse).ErrorCode))
		m.stop(true)
	})
}

func outcomeOf(code int16) checker.Outcome {
	if code == 0 {
		return checker.OK
	}
	return checker.Failed
}

// waitsFor is used by the client's metadata: the member wants to know who leads what it owns.
func (m *member) waitsFor(t *topicView, partition int32) bool {
	return slices.ContainsFunc(m.owned, func(o *owned) bool { return o.topic == t && o.partition == partition })
}

// staleTopic returns a topic of the member's that has to be asked for.
func (m *member) staleTopic() *topicView {
	if m.paused {
		return nil
	}
	for _, name := range m.topics {
		if t := m.client.topic(name); t.stale {
			return t
		}
	}
	return nil
}
