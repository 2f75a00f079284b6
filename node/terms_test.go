// SPDX-License-Identifier: Apache-2.0

package node

import (
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
)

// lie gives broker 1 a message of a later leader, as broker 3 would send it.
func (c *many) lie(g *group, term uint64) {
	c.nodes[1].in.Messages = append(c.nodes[1].in.Messages, Message{From: 3, Data: hostile(g, func(m *pb.Message) {
		m.Type, m.Term = pb.MsgHeartbeat.Enum(), &term
	})})
	c.round()
}

// TestTermsCantBeUsedUp lets a broker that lies name ever higher terms, each no further than what would be believed.
// It gets as far as a replica may have missed, and not further, and the cluster goes on.
func TestTermsCantBeUsedUp(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 1, 2, 3)
	c.produce("t", "a")
	for _, id := range []GroupID{0, c.nodes[1].node.catalog.byName["t"].Partitions[0].Group} {
		g := c.nodes[1].node.group(id)
		began := g.term
		for range 3000 {
			for _, jump := range []uint64{freeTerms, freeTerms / 2, 1000, 1} {
				c.lie(g, g.term+jump)
			}
		}
		if most := began + freeTerms + 1000; g.term > most {
			t.Errorf("group %d: after 12,000 lies it is at term %d, from %d", id, g.term, began)
		}
		if last := g.lastTerm(); last <= began+freeTerms {
			t.Errorf("group %d: after %v it believes term %d and not more", id, c.now, last)
		}
	}
	c.produce("t", "b")
	if got := c.read("t", 0); len(got) != 2 {
		t.Errorf("read %q after all that", got)
	}
}

// TestEpochsEnd brings a group to its last term. It has told of it long before, and no election is called any more:
// there is no epoch after it, and none begins again.
func TestEpochsEnd(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 1, 2, 3)
	id := c.nodes[1].node.catalog.byName["t"].Partitions[0].Group
	for _, m := range c.nodes {
		m.node.group(id).termLimit = maxTerm
	}
	g := c.nodes[1].node.group(id)
	c.lie(g, lateTerm+5)
	c.until("all are that far", func() bool {
		for _, m := range c.nodes {
			if m.node.group(id).term < lateTerm+5 || m.events[EventTermsRunOut] != 1 {
				return false
			}
		}
		return true
	})
	c.lie(g, maxTerm)
	last := int32(0)
	for range 4000 {
		c.round()
		for _, m := range c.nodes {
			g := m.node.group(id)
			if g.term > maxTerm {
				t.Fatalf("term %d", g.term)
			}
			if g.serving {
				if epoch := leaderEpoch(g.term); epoch < last {
					t.Fatalf("epoch %d after %d", epoch, last)
				} else {
					last = epoch
				}
			}
		}
	}
	c.kill(1)
	c.start(1)
	for range 1000 {
		c.round()
	}
	if m := c.nodes[1]; m.node.group(id).term > maxTerm || m.events[EventTermsRunOut] < 2 {
		t.Errorf("after a start it is at term %d, and told %d times", m.node.group(id).term, m.events[EventTermsRunOut])
	}
}

// TestEpochsEndAlone is the same for a partition with one replica, which needs nobody to be elected.
func TestEpochsEndAlone(t *testing.T) {
	c := newMany(t, 1, nil)
	c.create("t", 1)
	g := c.nodes[1].node.group(c.nodes[1].node.catalog.byName["t"].Partitions[0].Group)
	g.termLimit = maxTerm
	c.lie(g, maxTerm)
	for range 1000 {
		c.round()
	}
	if g.term != maxTerm || g.serving {
		t.Errorf("it is at term %d, and serves: %v", g.term, g.serving)
	}
}
