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
