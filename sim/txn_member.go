// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node"
)

// Chains of different transactional ids can share inputs as members of one group, in the classic protocol. Then no epoch fences a
// process that went silent and lost its inputs to others: what keeps it from processing a record once more is that offsets of an
// earlier generation are refused (KIP-447), and that its heir waits for offsets that are pending.

// txnMember is what a process knows of its membership.
type txnMember struct {
	id         string
	generation int32
	has        bool // it has its share of the inputs
	joined     bool // it has a generation
	leads      bool
	sharing    []kmsg.JoinGroupResponseMember
	beatAt     node.Time
}

// isMember says that the process gets its inputs from a group.
func (p *txnProcess) isMember() bool { return p.machine.spec.Session > 0 }

// belong makes the next call that membership asks for, if one is due.
func (p *txnProcess) belong() bool {
	switch {
	case !p.member.joined:
		p.callJoin()
	case !p.member.has:
		p.callSync()
	case p.world.now >= p.member.beatAt:
		p.callBeat()
	default:
		return false
	}
	return true
}

// outOfGroup takes an error that says that the process is no member of the present generation.
func (p *txnProcess) outOfGroup(what string, code int16) bool {
	switch code {
	case kerr.UnknownMemberID.Code:
		p.member.id = ""
	case kerr.IllegalGeneration.Code, kerr.RebalanceInProgress.Code:
	default:
		return false
	}
	if !p.isMember() {
		return false
	}
	p.tracef("%s is answered %d: it joins anew", what, code)
	p.member = txnMember{id: p.member.id}
	p.inputs = nil
	return true
}

// settled takes the code of a call about membership, and reports whether it is good.
func (p *txnProcess) settled(what string, code int16) bool {
	switch {
	case code == 0:
		p.finish()
		return true
	case p.outOfGroup(what, code):
		p.finish()
	case !p.trouble(code):
		p.unexpected(what, code)
	}
	return false
}

func (p *txnProcess) callJoin() {
	s := p.machine.spec
	p.ask("JoinGroup", toGroup, nil, func() kmsg.Request {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Version = [...]int16{5, 2, 9}[s.ID%3]
		req.Group, req.MemberID, req.ProtocolType = s.Group, p.member.id, "consumer"
		req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = int32(s.Session/millisecond), int32(s.Session/millisecond/20) // who is within a transaction is often left out
		said := kmsg.ConsumerMemberMetadata{Version: 1, Topics: []string{s.From}}
		req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: said.AppendTo(nil)}}
		return req
	}, func(resp kmsg.Response) {
		r := resp.(*kmsg.JoinGroupResponse)
		if r.ErrorCode == kerr.MemberIDRequired.Code {
			p.member.id = r.MemberID
			p.finish()
			return
		}
		if p.settled("JoinGroup", r.ErrorCode) {
			p.member = txnMember{id: r.MemberID, generation: r.Generation, joined: true, leads: r.LeaderID == r.MemberID && !r.SkipAssignment, sharing: r.Members}
			p.tracef("is member %s in generation %d", r.MemberID, r.Generation)
		}
	})
	p.call.patient = at(3 * s.Session)
}

func (p *txnProcess) callSync() {
	s := p.machine.spec
	p.ask("SyncGroup", toGroup, nil, func() kmsg.Request {
		req := kmsg.NewPtrSyncGroupRequest()
		req.Version = [...]int16{3, 2, 5}[s.ID%3]
		req.Group, req.Generation, req.MemberID = s.Group, p.member.generation, p.member.id
		req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
		if p.member.leads {
			req.GroupAssignment = p.share()
		}
		return req
	}, func(resp kmsg.Response) {
		r := resp.(*kmsg.SyncGroupResponse)
		if !p.settled("SyncGroup", r.ErrorCode) {
			return
		}
		p.inputs, p.input, p.member.has = nil, 0, true
		p.beatLater()
		var a kmsg.ConsumerMemberAssignment
		if err := a.ReadFrom(r.MemberAssignment); err != nil && len(r.MemberAssignment) > 0 {
			p.world.fail("protocol", "an assignment comes to %v as %x: %v", p, r.MemberAssignment, err)
		}
		for _, t := range a.Topics {
			for _, part := range t.Partitions {
				p.inputs = append(p.inputs, &txnInput{txnPart: txnPart{topic: p.client.topic(t.Topic), partition: part}, position: -1})
			}
		}
		p.tracef("has %d inputs", len(p.inputs))
	})
	p.call.patient = at(3 * s.Session)
}

// share gives each partition to a member, differently each time.
func (p *txnProcess) share() (list []kmsg.SyncGroupRequestGroupAssignment) {
	from := p.world.plan.Topic(p.machine.spec.From)
	parts := make([][]int32, len(p.member.sharing))
	for i, turn := int32(0), int(p.machine.draw().Below(64)); i < from.Partitions; i++ {
		to := (turn + int(i)) % len(parts)
		parts[to] = append(parts[to], i)
	}
	for i, m := range p.member.sharing {
		a := kmsg.ConsumerMemberAssignment{Version: 1}
		if len(parts[i]) > 0 {
			a.Topics = []kmsg.ConsumerMemberAssignmentTopic{{Topic: from.Name, Partitions: parts[i]}}
		}
		list = append(list, kmsg.SyncGroupRequestGroupAssignment{MemberID: m.MemberID, MemberAssignment: a.AppendTo(nil)})
	}
	return list
}

func (p *txnProcess) callBeat() {
	s := p.machine.spec
	p.ask("Heartbeat", toGroup, nil, func() kmsg.Request {
		req := kmsg.NewPtrHeartbeatRequest()
		req.Version = [...]int16{3, 2, 4}[s.ID%3]
		req.Group, req.Generation, req.MemberID = s.Group, p.member.generation, p.member.id
		return req
	}, func(resp kmsg.Response) {
		if p.settled("Heartbeat", resp.(*kmsg.HeartbeatResponse).ErrorCode) {
			p.beatLater()
		}
	})
}

func (p *txnProcess) beatLater() {
	p.member.beatAt = p.world.now + at(p.machine.spec.Session/4)
	p.client.wakeAt(p.member.beatAt)
}

// groupDone notes that a last process has come to the end of its inputs, and reports whether that is so of all of the group. It
// remains a member until then: others may go, and leave it more.
func (p *txnProcess) groupDone() bool {
	w, s := p.world, p.machine.spec
	for _, in := range p.inputs {
		w.drained[s.Group+" "+in.name()] = true
	}
	for i := range w.plan.Topic(s.From).Partitions {
		if !w.drained[s.Group+" "+partitionName(s.From, i)] {
			return false
		}
	}
	return true
}
