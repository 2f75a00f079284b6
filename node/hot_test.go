// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
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
	for _, g := range n.hot {
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
