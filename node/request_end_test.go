// SPDX-License-Identifier: Apache-2.0

package node

import (
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// TestEndsOfRequests works out an end on one broker and looks at it on the other, now, later, and after a start.
func TestEndsOfRequests(t *testing.T) {
	c := newMany(t, 2, small)
	a, b := c.nodes[1].node, c.nodes[2].node
	end, known := a.peer(2).endIn(time.Minute)
	m := &pb.Message{}
	a.peer(2).endHandOver(m)
	switch {
	case !known:
		t.Fatal("brokers that talk know no time of each other")
	case b.isOver(end), b.isLateHandOver(m), b.isLateHandOver(&pb.Message{}):
		t.Error("what has just begun is over")
	}
	for _, other := range []uint64{1 << 62, 3 << 62} {
		b.process.nonce += other
		if !b.isOver(end) {
			t.Error("the next process of a broker believes an end of the one before")
		}
		b.process.nonce -= other
	}
	b.now = b.now.Add(longestAhead + 100*time.Millisecond)
	if !b.isOver(end) || !b.isLateHandOver(m) {
		t.Error("what is over counts")
	}
	if past, _ := a.peer(2).endIn(-time.Second); !b.isOver(past) {
		t.Error("an end in the past counts")
	}
}

// TestTimeOfTheProcessBefore doesn't count for the next one.
func TestTimeOfTheProcessBefore(t *testing.T) {
	n := newMany(t, 2, small).nodes[1].node
	p := n.peer(2)
	p.start.nonce++
	if _, known := p.endIn(time.Second); known {
		t.Error("the time of the process before counts for the next one")
	}
	if n.receiveTime(2, 5); p.timeOffset != 5-uint64(n.now) {
		t.Error("the time of a new process isn't taken")
	}
}
