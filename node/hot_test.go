// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestDeletedTopicsLeaveMemory makes, fills and deletes topics. Their entries stayed in memory, and nobody counted them.
func TestDeletedTopicsLeaveMemory(t *testing.T) {
	c := newMany(t, 1, nil)
	for i := range 5 {
		name := fmt.Sprintf("t%d", i)
		c.create(name, 1)
		c.until("it leads", func() bool { return c.leader(name) == 1 })
		vs, _ := values(0, 20)
		c.produce(name, vs...)
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.Version, req.TimeoutMillis, req.TopicNames = 5, 5000, []string{name}
		c.ask(1, req)
		c.until("it is gone", func() bool { return len(c.nodes[1].node.partitions) == 0 })
	}
	n := c.nodes[1].node
	for _, g := range slices.Concat(n.hot.read.groups, n.hot.copies.groups) {
		if n.byID[g.id] != g {
			t.Errorf("group %d is gone, and %d of its entries are in memory", g.id, len(g.view.hot))
		}
	}
}

// Raft keeps the entries that it is given in messages, and some of them leave in a later step. Entries that were forgotten meanwhile
// went out as zeros, and the follower refused the message.
func TestEntriesInMessagesOutliveEviction(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	for range 8 {
		o.produce("t", plain("x"))
	}
	g := o.node.partitions[1].group
	for _, most := range []uint64{1 << 20, 1} {
		ents, err := g.view.Entries(g.view.hotFirst(), g.applied+1, most)
		if err != nil || len(ents) == 0 {
			t.Fatalf("%d entries, %v", len(ents), err)
		}
		first := ents[0].GetIndex()
		for range 3 {
			o.node.evictOne(g)
		}
		for i, e := range ents {
			if e.GetIndex() != first+uint64(i) || e.GetTerm() == 0 {
				t.Errorf("entry %d is gone from what raft has: %v", first+uint64(i), e)
			}
		}
	}
}

// TestFollowersCopiesLeaveMemoryFirst fills the memory for entries of three brokers. What a broker leads stays in it, and copies of
// what others lead stay only where somebody reads them.
func TestFollowersCopiesLeaveMemoryFirst(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) {
		cfg.HotBytes = 256 << 10
		for i := range cfg.Members {
			cfg.Members[i].Rack = fmt.Sprintf("r%d", cfg.Members[i].ID)
		}
	})
	c.create("t", 1, 2, 3)
	leader := c.leader("t")
	reads, copies := leader%3+1, (leader+1)%3+1
	// The other topic fills the memory of the brokers, and is led by the one that only has copies of the first.
	c.create("u", int32(copies), int32(leader), int32(reads))
	if at := c.leader("u"); at != copies {
		t.Fatalf("broker %d leads the other topic, not %d", at, copies)
	}
	value, offset := strings.Repeat("x", 4<<10), int64(0)
	for range 40 {
		c.produce("t", value)
		offset++
		c.applied(reads, offset)
		c.fetchAs(reads, fmt.Sprintf("r%d", reads), offset-1, nil)
	}
	for range 40 {
		c.produce("u", value)
	}
	hot := func(id BrokerID) int { return len(c.part(id, "t").group.view.hot) }
	if hot(leader) < 40 || hot(reads) < 40 || hot(copies) > 25 {
		t.Errorf("of 40 entries the leader has %d in memory, a follower that is read %d, and one that isn't %d", hot(leader), hot(reads), hot(copies))
	}
	for id, m := range c.nodes {
		if m.node.hotBytes > m.node.cfg.HotBytes {
			t.Errorf("broker %d has %d bytes of entries in memory, of %d", id, m.node.hotBytes, m.node.cfg.HotBytes)
		}
	}
}
