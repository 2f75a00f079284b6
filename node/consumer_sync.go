// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// syncGroup gives a member its assignment, when the leader's word is committed.
func (g *classicGroup) syncGroup(r *request, req *kmsg.SyncGroupRequest, parts map[string][]byte) {
	m, err := g.current(req.MemberID, req.InstanceID, req.Generation)
	switch {
	case err != nil:
	case req.ProtocolType != nil && *req.ProtocolType != g.protocolType, req.Protocol != nil && *req.Protocol != g.protocol:
		err = kerr.InconsistentGroupProtocol
	case g.state == groupPreparing:
		err = kerr.RebalanceInProgress
	}
	if err != nil {
		r.reply(failedSync(r.code(err)))
		return
	}
	m.owes = false
	g.heard(m)
	if g.state == groupStable {
		r.reply(g.assigned(m))
		return
	}
	g.failSync(m, kerr.RebalanceInProgress) // its own older request
	m.sync = r
	if m.id == g.leader && !g.storing {
		g.assign(parts)
	}
}

// assign puts the leader's assignment into the log; when it is committed everybody gets their part.
// It is taken once per generation, or a leader that says it twice could leave the log and the members
// with different ones.
func (g *classicGroup) assign(parts map[string][]byte) {
	v := g.metadata()
	for i := range v.Members {
		v.Members[i].Assignment = parts[v.Members[i].MemberID]
		if v.Members[i].Assignment == nil {
			v.Members[i].Assignment = []byte{}
		}
	}
	if size := metadataBytes(v); size > int(g.node.cfg.MaxMessageBytes) {
		g.failAssignment(kafka.Errorf(kerr.MessageTooLarge, "group %q with its assignment has %d bytes, and max.message.bytes is %d; let its members say less, or make several groups", g.of.id, size, g.node.cfg.MaxMessageBytes))
		return
	}
	g.storing = true
	generation := g.generation
	g.store(v, func(err error) {
		switch {
		case g.state != groupCompleting || g.generation != generation: // too late: all were told
		case err != nil:
			g.failAssignment(err)
		default:
			g.finishRebalance(v)
		}
	})
}

func (g *classicGroup) failAssignment(err error) {
	g.node.out.Work.Parts += len(g.members) / 16
	for _, m := range g.members {
		g.failSync(m, err)
	}
	g.rebalance()
}

func (g *classicGroup) finishRebalance(v *kmsg.GroupMetadataValue) {
	g.enter(groupStable)
	g.node.out.Work.Parts += len(g.members) / 8
	for i, m := range g.members { // the same as when v was made: any change begins a rebalance
		m.assignment = v.Members[i].Assignment
		if m.sync != nil {
			g.heard(m)
			g.answerSync(m)
		}
	}
}

// endSync throws out members that were told of the generation and never asked for their part.
func (g *classicGroup) endSync() {
	late := g.remove(func(m *groupMember) bool {
		if m.owes {
			g.node.event(Event{Kind: EventGroupMemberLost, Group: g.group(), Text: g.of.id})
		}
		return m.owes
	})
	if late {
		g.rebalance()
	}
}

func (g *classicGroup) assigned(m *groupMember) *kmsg.SyncGroupResponse {
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.ProtocolType, resp.Protocol, resp.MemberAssignment = &g.protocolType, &g.protocol, m.assignment
	return resp
}
