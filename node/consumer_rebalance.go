// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxGroupBytes bounds what the members of a group may say about themselves, together.
const maxGroupBytes = 8 << 20

// joinGroup takes a client into the group, or back into it.
func (g *classicGroup) joinGroup(r *request, req *kmsg.JoinGroupRequest) {
	if err := g.admit(r, req); err != nil {
		r.reply(failedJoin(req.MemberID, r.code(err)))
		return
	}
	if req.MemberID == "" {
		g.joinNew(r, req)
		return
	}
	if req.InstanceID == nil && g.keepPromise(req.MemberID) {
		g.add(&groupMember{id: req.MemberID}, r, req)
		return
	}
	m, err := g.identify(req.MemberID, req.InstanceID)
	if err != nil {
		r.reply(failedJoin(req.MemberID, r.code(err)))
		return
	}
	g.joinAgain(m, r, req)
}

// admit reports why a client can't join.
func (g *classicGroup) admit(r *request, req *kmsg.JoinGroupRequest) error {
	if g.state == groupDead {
		return kerr.CoordinatorNotAvailable
	}
	if !g.understands(req) {
		return kerr.InconsistentGroupProtocol
	}
	size := g.bytes + len(req.MemberID) + len(r.header.ClientID) + protocolBytes(req.Protocols)
	known := g.known(req)
	if known != nil {
		size -= known.bytes()
	}
	_, expected := g.promised[req.MemberID]
	if full := len(g.members)+len(g.promised) >= g.node.cfg.GroupMaxSize; full && known == nil && !expected || size > maxGroupBytes {
		return kerr.GroupMaxSizeReached
	}
	return nil
}

// understands reports whether a client shares a protocol with all members.
func (g *classicGroup) understands(req *kmsg.JoinGroupRequest) bool {
	if req.ProtocolType == "" || len(req.Protocols) == 0 {
		return false
	}
	if len(g.members) == 0 {
		return true
	}
	return req.ProtocolType == g.protocolType && slices.ContainsFunc(req.Protocols, func(p kmsg.JoinGroupRequestProtocol) bool {
		return g.allSpeak(p.Name)
	})
}

// joinNew takes in a client without a member id. From version 4 on it gets the id first and joins
// with that: a client that tries again because an answer got lost would leave a ghost behind, for
// which every rebalance waits (KIP-394). A static member is known by its name instead.
func (g *classicGroup) joinNew(r *request, req *kmsg.JoinGroupRequest) {
	if req.InstanceID != nil {
		if old := g.byInstance(*req.InstanceID); old != nil {
			g.replace(old, r, req)
			return
		}
	}
	id := g.node.newMemberID(r, req.InstanceID)
	if req.InstanceID == nil && req.Version >= 4 {
		g.promise(id, millis(req.SessionTimeoutMillis))
		r.reply(failedJoin(id, kerr.MemberIDRequired.Code))
		return
	}
	g.add(&groupMember{id: id, unaware: true}, r, req)
}

// add takes in a new member.
func (g *classicGroup) add(m *groupMember, r *request, req *kmsg.JoinGroupRequest) {
	if len(g.members) == 0 {
		g.protocolType, g.leader = req.ProtocolType, m.id
	}
	m.instance, m.fresh, m.join = req.InstanceID, true, r
	m.update(r, req)
	g.enlist(m)
	g.expireAfter(m, newMemberTimeout)
	g.newcomers = true
	g.rebalance()
}

// joinAgain takes a member's word that it wants to be in the next generation. If nothing would
// change it gets the current one again: its answer may have been lost.
func (g *classicGroup) joinAgain(m *groupMember, r *request, req *kmsg.JoinGroupRequest) {
	settled := g.state == groupCompleting || g.state == groupStable && m.id != g.leader
	if settled && m.saysAgain(req) {
		g.heard(m)
		g.tellJoined(r, m)
		return
	}
	g.failJoin(m, kerr.RebalanceInProgress) // its own older request
	g.change(m, func() {
		m.update(r, req)
		m.join = r
	})
	g.rebalance()
}

// replace puts a client in the place of a static member of the same name: a consumer that was
// restarted. It keeps the assignment, so the others needn't notice (KIP-345).
func (g *classicGroup) replace(m *groupMember, r *request, req *kmsg.JoinGroupRequest) {
	g.failJoin(m, kerr.FencedInstanceID)
	g.failSync(m, kerr.FencedInstanceID)
	was := m.id
	g.change(m, func() {
		m.id = g.node.newMemberID(r, req.InstanceID)
		m.update(r, req)
	})
	leads := g.leader == was
	if leads {
		g.leader = m.id
	}
	if g.state != groupStable || g.choose() != g.protocol {
		g.change(m, func() { m.join = r })
		g.rebalance()
		return
	}
	g.heard(m)
	generation := g.generation
	g.store(g.metadata(), func(err error) {
		switch {
		case err != nil:
			r.reply(failedJoin(m.id, r.code(err)))
		case g.state != groupStable || g.generation != generation:
			r.reply(failedJoin(m.id, kerr.RebalanceInProgress.Code))
		default:
			g.tellRejoined(r, m, was, leads, req.Version)
		}
	})
}

// tellRejoined answers a static member that takes its assignment over. If it leads it must not assign
// anew: before version 9, which can say so (KIP-814), it is told that its former self leads.
func (g *classicGroup) tellRejoined(r *request, m *groupMember, was string, leads bool, version int16) {
	resp := g.joined(m.id)
	switch {
	case leads && version >= 9:
		resp.SkipAssignment = true
		g.tellLeader(r, resp)
		return
	case leads:
		resp.LeaderID = was
	}
	r.reply(resp)
}

// rebalance begins a new generation, or goes on if one is about to begin.
func (g *classicGroup) rebalance() {
	switch g.state {
	case groupDead:
		return
	case groupPreparing:
		g.tryCompleteJoin()
		return
	}
	g.node.out.Work.Parts += len(g.members) / 16
	for _, m := range g.members {
		g.failSync(m, kerr.RebalanceInProgress)
		m.owes = false
	}
	first := g.state == groupEmpty
	g.enter(groupPreparing)
	if d := min(g.node.cfg.GroupInitialDelay, g.patience()); first && d > 0 {
		g.delayed, g.newcomers, g.left = true, false, g.patience()-d
		g.startTimer(d, g.endDelay)
		return
	}
	g.startTimer(g.patience(), g.completeJoin)
	g.tryCompleteJoin()
}

// patience is how long a rebalance waits for members: as long as the slowest of them asks for.
func (g *classicGroup) patience() (d time.Duration) {
	for _, m := range g.members {
		d = max(d, m.rebalance)
	}
	return d
}

// endDelay completes the first rebalance of a group, unless members still come in: each wave gets
// the delay once more (KIP-134).
func (g *classicGroup) endDelay() {
	if d := min(g.node.cfg.GroupInitialDelay, g.left); g.newcomers && d > 0 {
		g.newcomers = false
		g.left -= d
		g.startTimer(d, g.endDelay)
		return
	}
	g.completeJoin()
}

// tryCompleteJoin completes the joining if nobody is missing.
func (g *classicGroup) tryCompleteJoin() {
	if g.state == groupPreparing && !g.delayed && len(g.promised) == 0 && g.joining == len(g.members) {
		g.completeJoin()
	}
}

// completeJoin begins the next generation with those who joined. Dynamic members that didn't are
// out; static ones stay until their session ends.
func (g *classicGroup) completeJoin() {
	g.delayed = false
	g.remove(func(m *groupMember) bool {
		gone := m.join == nil && m.instance == nil
		return gone || m.unaware && m.join != nil && m.join.gone // its client will never learn its id
	})
	first := slices.IndexFunc(g.members, func(m *groupMember) bool { return m.join != nil })
	if len(g.members) > 0 && first < 0 {
		g.startTimer(g.patience(), g.completeJoin) // only static members, all away
		return
	}
	g.generation++
	g.storing = false
	g.node.event(Event{Kind: EventGroupGeneration, Group: g.group(), N: int64(g.generation), Text: g.of.id})
	if len(g.members) == 0 {
		g.becomeEmpty()
		return
	}
	if m := g.member(g.leader); m == nil || m.join == nil {
		g.leader = g.members[first].id
	}
	g.protocol = g.choose()
	g.enter(groupCompleting)
	g.startTimer(g.patience(), g.endSync)
	g.node.out.Work.Parts += len(g.members) / 4
	for _, m := range g.members {
		m.fresh, m.unaware = false, false
		if m.join != nil {
			m.owes = true
			g.heard(m)
			resp := g.joined(m.id)
			if m.id == g.leader {
				g.answerJoin(m, func(r *request) { g.tellLeader(r, resp) })
			} else {
				g.answerJoin(m, func(r *request) { r.reply(resp) })
			}
		}
	}
}

func (g *classicGroup) becomeEmpty() {
	g.protocol, g.leader = "", ""
	g.node.deadlines.Cancel(g.timer)
	g.enter(groupEmpty)
	g.store(g.metadata(), func(error) {}) // if it gets lost, the members in the log will expire again
}

// choose elects the protocol: each member votes for the first in its list that all speak.
func (g *classicGroup) choose() string {
	votes, looked := make(map[string]int), 0
	for _, m := range g.members {
		i := slices.IndexFunc(m.protocols, func(p kmsg.JoinGroupRequestProtocol) bool { return g.allSpeak(p.Name) })
		if looked += 1 + max(i, 0); i >= 0 {
			votes[m.protocols[i].Name]++
		}
	}
	g.node.out.Work.Parts += looked / 16
	best, most := "", 0
	for i := range g.members[0].protocols {
		if name := g.members[0].protocols[i].Name; votes[name] > most {
			best, most = name, votes[name]
		}
	}
	return best
}

// joined says to a member that it is in the current generation.
func (g *classicGroup) joined(id string) *kmsg.JoinGroupResponse {
	resp := kmsg.NewPtrJoinGroupResponse()
	protocolType, protocol := g.protocolType, g.protocol // they may be others when this is encoded
	resp.Generation, resp.ProtocolType, resp.Protocol = g.generation, &protocolType, &protocol
	resp.LeaderID, resp.MemberID = g.leader, id
	return resp
}

// tellJoined answers a member that is in the current generation.
func (g *classicGroup) tellJoined(r *request, m *groupMember) {
	if resp := g.joined(m.id); m.id == g.leader {
		g.tellLeader(r, resp)
	} else {
		r.reply(resp)
	}
}

// tellLeader tells the leader of all members, one after the other. Should a rebalance begin meanwhile, the generation is over
// that it learns of, and it will be told so.
func (g *classicGroup) tellLeader(r *request, resp *kmsg.JoinGroupResponse) {
	members := slices.Clone(g.members)
	resp.Members = make([]kmsg.JoinGroupResponseMember, 0, len(members))
	i := 0
	g.node.inPieces(r, func() bool {
		if i < len(members) {
			g.node.out.Work.Parts++
			out := kmsg.NewJoinGroupResponseMember()
			out.MemberID, out.InstanceID, out.ProtocolMetadata = members[i].id, members[i].instance, members[i].says(*resp.Protocol)
			resp.Members = append(resp.Members, out)
			i++
		}
		return i < len(members)
	}, func() { r.reply(resp) })
}

// metadataBytes is a little more than what is written of a group. To find out by encoding it would cost as much as a client likes.
func metadataBytes(v *kmsg.GroupMetadataValue) int {
	sum := 64 + len(v.ProtocolType)
	for i := range v.Members {
		m := &v.Members[i]
		sum += 64 + len(m.MemberID) + len(m.ClientID) + len(m.ClientHost) + len(m.Subscription) + len(m.Assignment)
		if m.InstanceID != nil {
			sum += len(*m.InstanceID)
		}
	}
	return sum
}

// heartbeat keeps a member's session, and tells it of a rebalance.
func (g *classicGroup) heartbeat(req *kmsg.HeartbeatRequest) error {
	m, err := g.current(req.MemberID, req.InstanceID, req.Generation)
	if err != nil {
		return err
	}
	g.heard(m)
	if g.state == groupPreparing {
		return kerr.RebalanceInProgress
	}
	return nil
}

// leave notes a member that is to go at its own wish, or a static one at an administrator's, who doesn't know
// its id. Members go together (dismiss), because each removal looks at all that are left.
func (g *classicGroup) leave(out map[*groupMember]string, id string, instance *string) error {
	if g.state == groupDead {
		return kerr.CoordinatorNotAvailable
	}
	if instance == nil && g.breakPromise(id) {
		return nil
	}
	if id == "" && instance != nil {
		if m := g.byInstance(*instance); m != nil {
			id = m.id
		}
	}
	m, err := g.identify(id, instance)
	if err != nil {
		return err
	}
	if _, twice := out[m]; twice {
		return kerr.UnknownMemberID
	}
	out[m] = m.id
	return nil
}

// dismiss takes members out, by the ids that they had when they were to go, and lets the others share their work.
func (g *classicGroup) dismiss(out map[*groupMember]string) {
	if len(out) > 0 && g.remove(func(m *groupMember) bool { id, gone := out[m]; return gone && id == m.id }) {
		g.rebalance()
	}
}
