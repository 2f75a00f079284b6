// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMendBeginsAPartitionEmpty loses all replicas of a coordinator of transactions, whose topic nobody can delete. It begins anew with
// nothing in it, on a broker that is left, the others copy it, and transactions go on.
func TestMendBeginsAPartitionEmpty(t *testing.T) {
	c := newMany(t, 5, func(cfg *Config) { small(cfg); cfg.TransactionPartitions = 1 })
	expect := expecting(t)
	p := c.transactional("tx", true)
	expect(p.initialize(false), "NONE")
	p.untilStatus("Empty")
	had := brokersOf(c.nodes[1].node.transactionsPartition("tx").Replicas)
	left := slices.DeleteFunc(slices.Clone(c.ids), func(id BrokerID) bool { return slices.Contains(had, id) })
	if len(had) != 3 || len(left) != 2 {
		t.Fatal(had, left)
	}
	c.create("t", int32(left[0]))
	wrote, want := values(0, 20)
	c.produce("t", wrote...)
	c.until("the catalog is there", func() bool { return c.holds("t", 20, left[0]) })
	c.killAll()

	remains := []*Remains{c.remains(left[0]), c.remains(left[1])}
	plan, err := PlanMending(remains, "mended", nil, nil)
	if err != nil || plan.Partitions[0].From != -1 || plan.Partitions[0].Topic != transactionsTopic {
		t.Fatal(plan, err)
	}
	for text, name := range map[string]NamedPartition{
		"has a replica in the folder of broker": {"t", 0},
		"there is no partition 7":               {transactionsTopic, 7},
	} {
		if _, err := PlanMending(remains, "mended", nil, []NamedPartition{name}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, not %q", err, text)
		}
	}
	plan, err = PlanMending(remains, "mended", nil, []NamedPartition{{transactionsTopic, 0}})
	if err != nil {
		t.Fatal(err)
	}
	if e := plan.Partitions[0]; !e.Empty || !slices.Contains(left, e.From) || len(e.Changes) > 0 {
		t.Fatalf("%+v", e)
	}
	c.mend(plan)
	c.until("there is a coordinator", func() bool { return c.coordinatorOf("tx") == plan.Partitions[0].From })
	expect(p.status(), "TRANSACTIONAL_ID_NOT_FOUND")
	expect(p.initialize(false), "NONE")
	if diff := cmp.Diff(want, c.read("t", 0)); diff != "" {
		t.Fatal(diff)
	}
	for _, id := range had {
		c.addKnowing(id, 7, left[0])
	}
	group := c.nodes[left[0]].node.transactionsPartition("tx").Group
	c.until("it has three replicas again", func() bool {
		voters := 0
		for _, id := range c.ids {
			if g := c.nodes[id].node.group(group); g != nil && c.votes(id, group) {
				voters++
			}
		}
		return voters == 3
	})
	p.untilStatus("Empty")
}
