// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"

	"go.etcd.io/raft/v3"

	"chronik/wal"
)

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
// nothing until somebody asks. Raft ids have the broker in their upper 32 bits, and below a number
// that the broker's replicas of the group never had before.
type View struct {
	Group         GroupID
	Self          uint64 // raft id of this replica
	Closed        bool   // it was found damaged and waits to be replaced; nothing else is valid then
	Term          uint64
	Vote          uint64   // raft id; 0: none
	Lead          BrokerID // -1: unknown
	Role          Role
	FirstIndex    uint64 // first entry that is still in the log
	LastIndex     uint64 // last entry handed to the log, durable or not
	Commit        uint64
	Applied       uint64
	DurableTerm   uint64 // term that would survive a power loss now
	HotFirst      uint64 // entries from here on are in memory
	Quiet         bool   // nothing happens in the group, and it isn't ticked
	Offers        bool   // followers are offered a checkpoint
	HighWatermark int64  // partitions: next offset to be given; -1 for group 0
	LastStable    int64  // partitions: first offset of the oldest open transaction, else the high watermark; -1 for group 0
	LogStart      int64  // partitions: first offset that can be read; -1 for group 0
	Topic         string // partitions
	Partition     int32
	Spans         int        // partitions: rows of the index from offsets to entries; a pass of compaction packs what it has emptied in each for itself
	Replicas      []BrokerID // where the group has replicas, ascending; must not be changed

	// The configuration that is in force here: the one that the log has at entry ConfIndex, 0 for that
	// of the founders. Raft ids, which must not be changed. Outgoing is set while it is joint.
	ConfIndex                  uint64
	Voters, Outgoing, Learners []uint64
	// Begins is the position from which on the broker's log speaks of this replica; before, it may
	// speak of earlier ones. 0 if the replica was there when the log was opened.
	Begins wal.LSN
}

// Groups lists the groups of which this broker has a replica, ascending.
func (n *Node) Groups() []GroupID {
	ids := make([]GroupID, len(n.groups))
	for i, g := range n.groups {
		ids[i] = g.id
	}
	slices.Sort(ids)
	return ids
}

// Placing reports whether the catalog asks for replicas that this broker hasn't opened yet, or keeps some that should go.
func (n *Node) Placing() bool { return n.placing.active }

// HasHeardClocks reports whether this process has heard the clocks of a majority. Before, it knows only its own, and refuses no record for its time.
func (n *Node) HasHeardClocks() bool { return n.clock.heard }

// Inspect returns what this broker's replica of a group believes; false if it has none.
func (n *Node) Inspect(id GroupID) (View, bool) {
	g := n.group(id)
	if g == nil {
		return View{}, false
	}
	st, _ := n.log.State(id)
	v := View{
		Group: id, Self: g.self, Closed: g.closed, Term: g.term, Vote: g.vote, Lead: brokerOf(g.lead), Role: roleOf(g.role),
		FirstIndex: st.First, LastIndex: st.Last, Commit: g.commit, Applied: g.applied,
		DurableTerm: g.pipe.durableTerm, HotFirst: g.view.hotFirst(), Quiet: g.quiet.is, Offers: g.outgoing != nil, HighWatermark: -1, LastStable: -1, LogStart: -1,
		Replicas: g.peers, ConfIndex: g.confIndex, Begins: g.begins,
		Voters: g.conf.GetVoters(), Outgoing: g.conf.GetVotersOutgoing(), Learners: g.conf.GetLearners(),
	}
	if p := n.partitions[id]; p != nil {
		v.HighWatermark, v.LastStable, v.LogStart = p.highWatermark, p.lastStable(), p.logStart()
		v.Topic, v.Partition, v.Spans = p.meta.Topic.Name, p.meta.Index, p.places()
	}
	return v, true
}

// InSync returns on which brokers the replicas of a partition are, and which of them are in sync, as this broker says.
func (n *Node) InSync(id GroupID) (replicas, inSync []BrokerID) {
	p := n.catalog.partitionOf(id)
	if p == nil {
		return nil, nil
	}
	for _, b := range n.describePartition(p).ISR {
		inSync = append(inSync, BrokerID(b))
	}
	return brokersOf(p.Replicas), inSync
}

// Placement returns where this broker's copy of the catalog wants the replicas of a partition, and where they are moving to; it is for
// tests.
func (n *Node) Placement(id GroupID) (lists [2][]BrokerID) {
	if p := n.catalog.partitionOf(id); p != nil {
		lists = [2][]BrokerID{brokersOf(p.Replicas), brokersOf(p.Target)}
	}
	return lists
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

// TakesOffsets says whether an entry that a replica has applied took offsets, if it holds a batch, and of which term it is. It is
// for tests.
func (n *Node) TakesOffsets(id GroupID, index uint64) (term uint64, takes bool) {
	g, p := n.group(id), n.partitions[id]
	if g == nil || p == nil {
		return 0, false
	}
	term, _ = g.view.Term(index)
	return term, p.spans.holding(index) >= 0 && !p.spans.refused(index)
}

// StateOf returns the state of a replica after its last applied entry, as bytes that are equal where the
// states are; nil if this broker has none. It is for tests: it costs what a checkpoint does.
func (n *Node) StateOf(id GroupID) []byte {
	g := n.group(id)
	if g == nil || g.closed {
		return nil
	}
	if p := n.partitions[id]; p != nil {
		return p.appendAborted(p.producers.appendTo(p.appendHead(nil)), p.start) // the spans differ from replica to replica
	}
	return g.machine.state(0)
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

// Unfinished returns what the node wants so far in the middle of a Step that panicked: to be described (DescribeOutput),
// never to be done.
func (n *Node) Unfinished() *Output { return &n.out }
