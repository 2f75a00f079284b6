// SPDX-License-Identifier: Apache-2.0

package node

import "go.etcd.io/raft/v3"

// Role is a replica's place in its raft group.
type Role uint8

// The roles of raft.
const (
	Follower Role = iota
	PreCandidate
	Candidate
	Leader
)

// View is what one replica of a group believes, for invariants, metrics and tests. It costs
// nothing until somebody asks.
type View struct {
	Group         GroupID
	Term          uint64
	Vote          BrokerID // -1: none
	Lead          BrokerID // -1: unknown
	Role          Role
	FirstIndex    uint64 // first entry that is still in the log
	LastIndex     uint64 // last entry handed to the log, durable or not
	Commit        uint64
	Applied       uint64
	DurableTerm   uint64 // term that would survive a power loss now
	HotFirst      uint64 // entries from here on are in memory
	HighWatermark int64  // partitions: next offset to be given; -1 for group 0
	LogStart      int64  // partitions: first offset that can be read; -1 for group 0
	Topic         string // partitions
	Partition     int32
	Replicas      []BrokerID // who votes in the group, ascending; must not be changed
}

// Groups lists the groups of which this broker has a replica, ascending.
func (n *Node) Groups() []GroupID {
	ids := make([]GroupID, len(n.groups))
	for i, g := range n.groups {
		ids[i] = g.id
	}
	return ids
}

// Inspect returns what this broker's replica of a group believes; false if it has none.
func (n *Node) Inspect(id GroupID) (View, bool) {
	g := n.group(id)
	if g == nil {
		return View{}, false
	}
	st, _ := n.log.State(id)
	v := View{
		Group: id, Term: g.term, Vote: brokerOf(g.vote), Lead: brokerOf(g.lead), Role: roleOf(g.role),
		FirstIndex: st.First, LastIndex: st.Last, Commit: g.commit, Applied: g.applied,
		DurableTerm: g.pipe.durableTerm, HotFirst: g.view.hotFirst(), HighWatermark: -1, LogStart: -1,
		Replicas: g.peers,
	}
	if p := n.partitions[id]; p != nil {
		v.HighWatermark, v.LogStart = p.highWatermark, p.logStart()
		v.Topic, v.Partition = p.meta.Topic.Name, p.meta.Index
	}
	return v, true
}

// EntryAt returns the term and payload of an entry that is in memory; false if it isn't. The
// payload must not be changed.
func (n *Node) EntryAt(id GroupID, index uint64) (term uint64, data []byte, ok bool) {
	g := n.group(id)
	if g == nil {
		return 0, nil, false
	}
	e := g.view.entry(index)
	return e.GetTerm(), e.GetData(), e != nil
}

func roleOf(s raft.StateType) Role {
	switch s {
	case raft.StateLeader:
		return Leader
	case raft.StateCandidate:
		return Candidate
	case raft.StatePreCandidate:
		return PreCandidate
	default:
		return Follower
	}
}
