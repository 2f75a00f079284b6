// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// remains is what a stopped broker leaves.
func (c *many) remains(id BrokerID) *Remains {
	m := c.nodes[id]
	r := &Remains{Cluster: m.cfg.ClusterID, LogCluster: m.cfg.LogCluster, Broker: id, Incarnation: m.cfg.Incarnation, Files: m.dir}
	for _, o := range m.cfg.Members {
		if o.ID == id {
			r.Folder = o.Folder
		}
	}
	return r
}

func (c *many) plan(skip []SkippedEntry, ids ...BrokerID) *Mending {
	c.t.Helper()
	var left []*Remains
	for _, id := range ids {
		left = append(left, c.remains(id))
	}
	plan, err := PlanMending(left, "mended", skip)
	if err != nil {
		c.t.Fatal(err)
	}
	return plan
}

// killAll kills all brokers.
func (c *many) killAll() {
	for _, id := range c.ids {
		c.kill(id)
	}
}

// holds reports whether some brokers have everything up to an offset.
func (c *many) holds(topic string, end int64, ids ...BrokerID) bool {
	return !slices.ContainsFunc(ids, func(id BrokerID) bool {
		v, ok := c.view(id, topic)
		return !ok || v.HighWatermark < end
	})
}

// TestPlanMending says what is planned and what is refused.
func TestPlanMending(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 1, 2, 3)
	c.produce("t", "a")
	c.killAll()
	if _, err := PlanMending([]*Remains{c.remains(1), c.remains(2)}, "mended", nil); !errors.Is(err, ErrWhole) {
		t.Error(err)
	}
	for want, left := range map[string][]*Remains{
		"two of the folders are of broker 1": {c.remains(1), c.remains(1)},
		"name the data folders":              nil,
	} {
		if _, err := PlanMending(left, "mended", nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, not %q", err, want)
		}
	}
	plan := c.plan(nil, 1)
	if p := plan.Partitions[0]; len(plan.Lost) != 2 || plan.Catalog.Quorum || p.From != 1 || p.End != 1 || len(p.Changes) != 2 {
		t.Errorf("%+v", plan)
	}
	p, index := plan.Partitions[0], uint64(0)
	for _, bad := range []uint64{p.Last + 1, index} {
		if _, err := PlanMending([]*Remains{c.remains(1), c.remains(2)}, "mended", []SkippedEntry{{Group: p.Group, Index: bad}}); err == nil {
			t.Errorf("entry %d was left out", bad)
		}
	}
}

// TestWhatIsLeft reads what a stopped broker's folder holds, to its end and as far as it is known to be committed.
func TestWhatIsLeft(t *testing.T) {
	c := newMany(t, 3, small)
	c.create("t", 1, 2, 3)
	wrote, _ := values(0, 40)
	c.produce("t", wrote...)
	c.until("broker 1 has all", func() bool { return c.holds("t", 40, 1) })
	v, _ := c.view(1, "t")
	c.killAll()
	files := len(c.nodes[1].dir)
	e, err := examine(c.remains(1), nil)
	if err != nil || e.wrong != nil {
		t.Fatal(err, e.wrong)
	}
	if err := e.readPartitions(e.catalog, nil); err != nil {
		t.Fatal(err)
	}
	r := e.found[v.Group]
	if r.wrong != nil || r.self != v.Self || r.state.Last != v.LastIndex || r.committed > 40 || r.end != 40 || len(r.conf.Voters) != 3 {
		t.Errorf("%+v", r)
	}
	r.on.Incarnation = 7
	if err := e.readPartitions(e.catalog, nil); err == nil {
		t.Error("a folder that the broker had before counts")
	}
	if len(c.nodes[1].dir) != files {
		t.Error("the folder was changed")
	}
}
