// SPDX-License-Identifier: Apache-2.0

package node

import "testing"

// TestLateEndOfAMove lets the report that a move is done arrive when the partition was sent elsewhere
// and back: it says nothing about the last move, whose replicas may not have changed places yet.
func TestLateEndOfAMove(t *testing.T) {
	n := &Node{}
	c := newCatalog(n)
	n.catalog = c
	for b := range BrokerID(4) {
		c.brokers = append(c.brokers, &brokerMeta{Member: Member{ID: b + 1}})
	}
	topic := &topicMeta{Name: "t"}
	c.appendPartitions(topic, [][]BrokerID{{1, 2}})
	c.addTopic(topic)
	p := topic.Partitions[0]
	move := func(to ...BrokerID) *reassigned {
		t.Helper()
		if err := c.reassign(&reassign{Topic: "t", Replicas: to}, 0); err != nil {
			t.Fatal(err)
		}
		return &reassigned{p.Group, p.goal(), p.Moves}
	}
	first := move(3, 4)
	move(1, 2)
	last := move(3, 4)
	if c.reassigned(first); !p.moving() || p.Replicas[0].Broker != 1 {
		t.Errorf("the end of an earlier move to the same brokers ends the last: %+v", p)
	}
	if c.reassigned(last); p.moving() || p.Replicas[0].Broker != 3 {
		t.Errorf("the last move doesn't end: %+v", p)
	}
}
