// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// isDirty reports whether there is anything to compact.
func (p *partition) isDirty() bool {
	dirty := p.dirty()
	return p.compacts() && dirty > 0 && dirty >= p.dirtyRatio()
}

// createCompacted makes a topic whose old values are dropped as soon as there is anything to drop.
func (c *many) createCompacted(topic string, replicas int32) {
	c.t.Helper()
	c.createWith(topic, replicas, map[string]string{"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1", "delete.retention.ms": "3000"})
}

// createWith makes a topic with one partition and configurations.
func (c *many) createWith(topic string, replicas int32, configs map[string]string) {
	c.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, 10000
	in := kmsg.NewCreateTopicsRequestTopic()
	in.Topic, in.NumPartitions, in.ReplicationFactor = topic, 1, int16(replicas)
	for name, value := range configs {
		k := kmsg.NewCreateTopicsRequestTopicConfig()
		k.Name, k.Value = name, &value
		in.Configs = append(in.Configs, k)
	}
	req.Topics = append(req.Topics, in)
	if r := c.ask(1, req).(*kmsg.CreateTopicsResponse).Topics[0]; r.ErrorCode != 0 {
		c.t.Fatal(*r.ErrorMessage)
	}
	c.until("the topic has a leader", func() bool { return c.leader(topic) > 0 })
}

// put writes one record with a key; no value is a tombstone.
func (c *many) put(topic, key, value string) {
	c.t.Helper()
	spec := kafka.NewBatchSpec(kafka.Record{Key: []byte(key), Value: []byte(value)})
	if value == "" {
		spec.Records[0].Value = nil
	}
	spec.FirstTimestamp = c.unixMs
	req := produceRequest(topic, -1, kafka.AppendBatch(nil, spec))
	c.until("somebody leads", func() bool { return c.leader(topic) > 0 })
	if p := c.ask(c.leader(topic), req).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 {
		c.t.Fatal(kafka.CodeName(p.ErrorCode))
	}
}

// table reads a compacted topic: every record, and the last value of each key.
func (c *many) table(topic string) (records int, last map[string]string) {
	c.t.Helper()
	last = map[string]string{}
	for offset := int64(0); ; {
		c.until("somebody leads", func() bool { return c.leader(topic) > 0 })
		p := c.ask(c.leader(topic), fetchRequest(topic, offset)).(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if p.ErrorCode == kerr.NotLeaderForPartition.Code {
			continue
		}
		if p.ErrorCode != 0 {
			c.t.Fatal(kafka.CodeName(p.ErrorCode))
		}
		if offset == p.HighWatermark {
			return records, last
		}
		if err := kafka.SplitBatches(p.RecordBatches, func(one []byte) {
			b, _ := kafka.ParseBatch(one)
			if err := kafka.Unpack(one, 1<<20, func(_, _ int64, key, value []byte) error {
				records++
				last[string(key)] = strings.TrimSpace(string(value))
				return nil
			}); err != nil {
				c.t.Fatal(err)
			}
			offset = b.LastOffset() + 1
		}); err != nil {
			c.t.Fatal(err)
		}
	}
}

func TestCompaction(t *testing.T) {
	c := newMany(t, 3, small)
	c.createCompacted("t", 3)
	want := map[string]string{}
	for i := range 600 {
		key, value := fmt.Sprintf("k%d", i%7), fmt.Sprintf("v%d", i)
		if key == "k3" && i > 300 {
			value = "" // deleted
		}
		c.put("t", key, value+strings.Repeat(" ", 300*min(1, len(value))))
		want[key] = value
	}
	for _, id := range c.ids {
		c.until("every broker has compacted what is there", func() bool {
			n := c.nodes[id].node
			return c.nodes[id].events[EventCompacted] > 0 && n.compactor.part == nil &&
				!slices.ContainsFunc(n.groups, func(g *group) bool { return n.partitions[g.id] != nil && n.partitions[g.id].isDirty() })
		})
	}
	check := func() {
		t.Helper()
		records, last := c.table("t")
		if records > 100 {
			t.Errorf("%d records are left", records)
		}
		if last["k3"] == "" { // the tombstone may be gone, too
			last["k3"] = ""
		}
		if diff := cmp.Diff(want, last); diff != "" {
			t.Error(diff)
		}
	}
	check()
	for _, id := range c.ids { // everything again from the log
		c.kill(id)
		c.start(id)
	}
	c.until("somebody leads", func() bool { return c.leader("t") > 0 })
	check()

	// A new replica gets what is left, and the offsets are where they were.
	c.add(3, 3, 9)
	c.until("it has everything", func() bool { v, ok := c.view(3, "t"); return ok && v.HighWatermark == 600 })
	for _, g := range []GroupID{0, 1} {
		c.until("it votes", func() bool {
			return c.votes(3, g)
		})
	}
	c.kill(1)
	c.kill(2)
	c.start(1)
	c.until("somebody leads", func() bool { return c.leader("t") > 0 })
	check()
	if p := c.ask(c.leader("t"), produceRequest("t", -1, plain("no key"))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != kerr.InvalidRecord.Code {
		t.Errorf("a record without a key: %s", kafka.CodeName(p.ErrorCode))
	}
	c.put("t", "k0", "newest")
	want["k0"] = "newest"
	check()
}

// TestTombstonesGo drops a key altogether, some time after it was deleted.
func TestTombstonesGo(t *testing.T) {
	c := newMany(t, 1, small)
	c.createCompacted("t", 1)
	c.put("t", "gone", "value")
	c.put("t", "gone", "")
	for range 1000 {
		c.round()
	}
	for i := range 100 { // something to compact
		c.put("t", fmt.Sprintf("k%d", i%3), strings.Repeat("x", 400))
	}
	for range 1000 {
		c.round()
	}
	_, last := c.table("t")
	if _, there := last["gone"]; there || len(last) != 3 {
		t.Errorf("keys: %v", len(last))
	}
}
