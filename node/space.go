// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/kafka"
)

// When the disk is full the broker goes on: it takes no more records, reads and votes, and hands
// leadership to brokers that have space. The log keeps a segment in reserve for what has to be written
// all the same. When space returns, so do the writes.

var (
	// errDiskFull is what a producer is told.
	errDiskFull = errors.New("this broker's disk is full")

	errStorage = kafka.Errorf(kerr.KafkaStorageError, "this broker's disk is full; make room, and writes go on by themselves")
)

// spaceRetry is how often the log tries again to prepare a segment.
const spaceRetry = time.Second

// mindSpace looks at every tick whether the disk is full, or no longer, and tells the others.
func (n *Node) mindSpace() {
	if full := n.log.Full(); full != n.full {
		n.full = full
		n.event(Event{Kind: EventDiskFull, N: int64(btoi(full))})
		for _, g := range n.groups {
			g.tried = nil
		}
		n.tellFull()
	}
	if !n.full {
		return
	}
	if n.now >= n.spaceAt {
		n.spaceAt = n.now.Add(spaceRetry)
		n.log.Retry()
	}
	n.tellFull()
	for _, g := range n.groups {
		g.handOver()
	}
}

func (n *Node) tellFull() {
	for _, p := range n.peers {
		p.envelope = append(p.begin(), itemFull, byte(btoi(n.full)))
	}
}

func (n *Node) receiveFull(from BrokerID, full bool) {
	p := n.peer(from)
	switch {
	case p == nil:
	case full:
		p.fullTill = n.now.Add(n.electionTimeout())
	default:
		p.fullTill = 0
	}
}

// hasRoom reports whether a broker's disk has room, as far as it said.
func (n *Node) hasRoom(id BrokerID) bool {
	if p := n.peer(id); p != nil {
		return p.fullTill <= n.now
	}
	return !n.full
}

// hasRoom reports whether a majority of the replicas can take entries. Otherwise what is proposed would
// never be committed.
func (g *group) hasRoom() bool {
	room := 0
	for _, id := range g.conf.Voters {
		room += btoi(g.node.hasRoom(brokerOf(id)))
	}
	return 2*room > len(g.conf.Voters)
}

// smallEntry is how large an entry is, in bytes, that is taken even then: those with which a leader
// begins its term, and those that delete records and so make room.
const smallEntry = 32

// holdsData reports whether any entry needs space to speak of.
func holdsData(ents []*pb.Entry) bool {
	return slices.ContainsFunc(ents, func(e *pb.Entry) bool { return len(e.GetData()) > smallEntry })
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
