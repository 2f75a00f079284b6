// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node/step"
)

// groupMember is one consumer of a group, as its coordinator knows it.
type groupMember struct {
	id         string
	instance   *string // name of a static member (KIP-345), nil for a dynamic one
	clientID   string
	host       string        // where the client is
	session    time.Duration // it is dead when it is silent for so long
	rebalance  time.Duration // how long a rebalance waits for it
	protocols  []kmsg.JoinGroupRequestProtocol
	assignment []byte

	fresh   bool     // never finished a rebalance
	unaware bool     // fresh, and its client doesn't know the id yet
	join    *request // waits for the others to join
	sync    *request // waits for the leader's assignment
	owes    bool     // was told to sync and hasn't yet
	expires Time
	timer   *step.Deadline // at expires or earlier
}

// newMemberTimeout is how long a member may wait in its first rebalance. It knows of no session yet,
// so its client doesn't heartbeat; if it is gone, nobody else would notice (KAFKA-7610).
const newMemberTimeout = 5 * time.Minute

// update takes what a member said when it joined.
func (m *groupMember) update(r *request, req *kmsg.JoinGroupRequest) {
	m.clientID, m.host = r.header.ClientID, r.conn.host
	m.session = millis(req.SessionTimeoutMillis)
	m.rebalance = millis(req.RebalanceTimeoutMillis)
	if req.RebalanceTimeoutMillis < 0 {
		m.rebalance = m.session
	}
	m.protocols = m.protocols[:0:0]
	for _, p := range req.Protocols { // there are few, see maxProtocols
		if !m.speaks(p.Name) {
			m.protocols = append(m.protocols, p)
		}
	}
}

// maxProtocols bounds the protocols of a member. Clients have one to five.
const maxProtocols = 100

// speaks reports whether the member knows a protocol.
func (m *groupMember) speaks(protocol string) bool {
	return slices.ContainsFunc(m.protocols, func(p kmsg.JoinGroupRequestProtocol) bool { return p.Name == protocol })
}

// says returns what the member said for a protocol.
func (m *groupMember) says(protocol string) []byte {
	for i := range m.protocols {
		if m.protocols[i].Name == protocol {
			return m.protocols[i].Metadata
		}
	}
	return []byte{}
}

// saysAgain reports whether a request repeats what the member said before.
func (m *groupMember) saysAgain(req *kmsg.JoinGroupRequest) bool {
	return slices.EqualFunc(m.protocols, req.Protocols, func(a, b kmsg.JoinGroupRequestProtocol) bool {
		return a.Name == b.Name && bytes.Equal(a.Metadata, b.Metadata)
	})
}

// bytes estimates what the member occupies.
func (m *groupMember) bytes() int { return len(m.id) + len(m.clientID) + protocolBytes(m.protocols) }

func protocolBytes(protocols []kmsg.JoinGroupRequestProtocol) int {
	sum := 0
	for i := range protocols {
		sum += len(protocols[i].Name) + len(protocols[i].Metadata)
	}
	return sum
}

// heard gives the member a new session.
func (g *classicGroup) heard(m *groupMember) { g.expireAfter(m, m.session) }

func (g *classicGroup) expireAfter(m *groupMember, d time.Duration) {
	m.expires = g.node.now.Add(d)
	if m.timer.Waits() && m.timer.At <= m.expires {
		return // it looks again when it fires
	}
	g.node.deadlines.Cancel(m.timer)
	m.timer = g.node.deadlines.Add(m.expires, func() { g.checkSession(m) })
}

// checkSession removes a member that was silent for too long.
func (g *classicGroup) checkSession(m *groupMember) {
	switch {
	case g.node.now < m.expires:
		m.timer = g.node.deadlines.Add(m.expires, func() { g.checkSession(m) })
	case m.waits():
		g.heard(m)
	case g.state != groupDead:
		g.dropSilent(m)
	}
}

// dropSilent removes a member that was silent for too long, and with it others that were, because each removal looks at all
// members, and a data center with all of a group may have lost its power.
func (g *classicGroup) dropSilent(first *groupMember) {
	now, lost := g.node.now, 0
	g.remove(func(m *groupMember) bool {
		if m != first && (lost == maxFenced || now < m.expires || m.waits()) {
			return false
		}
		lost++
		g.node.event(Event{Kind: EventGroupMemberLost, Group: g.group(), Text: g.of.id})
		return true
	})
	g.rebalance()
}

// waits reports whether the member waits for the coordinator, so that it can't be blamed for being silent.
func (m *groupMember) waits() bool { return m.join != nil && !m.fresh || m.sync != nil }

// answerJoin ends the member's wait for a rebalance. What answer says is decided now, but thousands may get theirs, so they
// get them one after the other.
func (g *classicGroup) answerJoin(m *groupMember, answer func(*request)) {
	if r := m.join; r != nil {
		m.join = nil
		g.joining--
		g.node.later(func() { answer(r) })
	}
}

func (g *classicGroup) failJoin(m *groupMember, err *kerr.Error) {
	if m.join != nil {
		id := m.id
		g.answerJoin(m, func(r *request) { r.reply(failedJoin(id, err.Code)) })
	}
}

// answerSync ends the member's wait for its assignment.
func (g *classicGroup) answerSync(m *groupMember) {
	if r := m.sync; r != nil {
		m.sync = nil
		resp := g.assigned(m)
		g.node.later(func() { r.reply(resp) })
	}
}

func (g *classicGroup) failSync(m *groupMember, err error) {
	if r := m.sync; r != nil {
		m.sync = nil
		g.node.later(func() { r.reply(failedSync(r.code(err))) })
	}
}

func failedJoin(memberID string, code int16) *kmsg.JoinGroupResponse {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.ErrorCode, resp.MemberID, resp.Generation = code, memberID, -1
	return resp
}

func failedSync(code int16) *kmsg.SyncGroupResponse {
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.ErrorCode, resp.MemberAssignment = code, []byte{}
	return resp
}
