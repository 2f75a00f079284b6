// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"testing"
)

// TestCheckpointsTakeTurns is a broker that needs checkpoints of many partitions. Few are under way at a time, and each lets the
// next one begin as soon as it is there. They waited for a time-out of four election timeouts each.
func TestCheckpointsTakeTurns(t *testing.T) {
	const partitions = 12
	c := newMany(t, 3, small)
	name := func(i int) string { return fmt.Sprintf("t%d", i) }
	for i := range partitions {
		c.create(name(i), int32(1+i%2), int32(2-i%2), 3)
		c.until("it isn't led by 3", func() bool { l := c.leader(name(i)); return l == 1 || l == 2 })
	}
	c.nodes[3].cut = true
	first, _ := values(0, 100)
	more, _ := values(100, 20)
	for i := range partitions {
		c.produce(name(i), first...)
		c.deleteRecords(name(i), 80)
		c.produce(name(i), more...)
	}
	c.nodes[3].cut = false
	began := c.now
	c.until("the broker has caught up", func() bool {
		for i := range partitions {
			if v, ok := c.view(3, name(i)); !ok || v.HighWatermark != 120 {
				return false
			}
		}
		return true
	})
	if installed := c.nodes[3].events[EventSnapshotInstalled]; installed < partitions {
		t.Fatalf("only %d checkpoints were fetched", installed)
	}
	if took, patience := c.now.Sub(began), c.nodes[3].node.snapshotPatience(); took > patience {
		t.Errorf("it took %v; a checkpoint that makes no progress is given up after %v", took, patience)
	}
	for id, m := range c.nodes {
		if s := m.node.Stats(); s.SnapshotsIn+s.SnapshotsOut > 0 {
			t.Errorf("broker %d: %d checkpoints come and %d go", id, s.SnapshotsIn, s.SnapshotsOut)
		}
	}
}

// What a leader's log keeps for a follower that has fetched a checkpoint goes after a restart, too, when nobody writes.
func TestLogIsReleasedAfterARestart(t *testing.T) {
	c := newMany(t, 3, small)
	c.create("t", 1, 2, 3)
	c.kill(3)
	vs, _ := values(0, 100)
	c.produce("t", vs...)
	c.deleteRecords("t", 100)
	first := func(id BrokerID) uint64 {
		v, _ := c.view(id, "t")
		return v.FirstIndex
	}
	c.until("the log is cut", func() bool { return first(1) > 1 })
	c.start(3)
	c.until("a checkpoint was fetched", func() bool { return first(3) > 1 })
	vs, _ = values(100, 100)
	c.produce("t", vs...)
	c.deleteRecords("t", 200)
	c.produce("t", "the commit index goes to the disk with it")
	leader := c.leader("t")
	c.until("the others' logs are cut once more", func() bool { return first(leader%3+1) > 150 && first((leader+1)%3+1) > 150 })
	before := first(leader)
	if before > 150 {
		t.Fatal("the leader's log was cut, too")
	}
	c.kill(leader)
	c.start(leader)
	c.until("the log is cut once more", func() bool { return first(leader) > before })
}
