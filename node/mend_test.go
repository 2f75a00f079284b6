// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"
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
