// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// What is clean is left alone, and a pass gets on whatever fits its memory.
func TestCompactionComesToRest(t *testing.T) {
	c := newMany(t, 1, func(cfg *Config) { cfg.CompactionBytes = 1000 })
	c.createWith("t", 1, map[string]string{"cleanup.policy": "compact", "segment.ms": "1000", "min.cleanable.dirty.ratio": "0.01"})
	for i := range 600 {
		c.put("t", fmt.Sprintf("k%d", i%200), fmt.Sprintf("v%d", i))
	}
	c.pass(2 * time.Minute)
	if records, last := c.table("t"); records > 300 || len(last) != 200 {
		t.Errorf("%d records of %d keys are left", records, len(last))
	}
	before := c.nodes[1].node.counters.compacted
	c.pass(time.Minute)
	if now := c.nodes[1].node.counters.compacted; now != before || before == 0 {
		t.Errorf("the compactor looked at %d bytes, and at %d more at rest", before, now-before)
	}
}

// What compaction has emptied costs readers and its next passes nothing.
func TestEmptySpansAreSkipped(t *testing.T) {
	c := newMany(t, 1, func(cfg *Config) { cfg.HotEntries, cfg.CacheBytes, cfg.ColdReadBytes = 1, 20_000, 4000 })
	c.createWith("t", 1, map[string]string{"cleanup.policy": "compact", "segment.ms": "1000", "min.cleanable.dirty.ratio": "0.01"})
	for i := range 2000 {
		c.put("t", fmt.Sprintf("k%d", i%10), fmt.Sprintf("v%d", i))
	}
	m := c.nodes[1]
	c.pass(time.Minute)
	passes, looked := m.events[EventCompacted], m.node.counters.compacted
	before := m.events[EventColdRead]
	if records, last := c.table("t"); records > 200 || len(last) != 10 || last["k9"] != "v1999" {
		t.Errorf("%d records are left: %v", records, last)
	}
	if reads := m.events[EventColdRead] - before; reads > 10 {
		t.Errorf("%d reads for what 2000 updates of ten keys have left", reads)
	}
	c.put("t", "k0", "again")
	c.pass(time.Minute)
	if m.events[EventCompacted] == passes {
		t.Error("what came later isn't compacted")
	}
	if now := m.node.counters.compacted; now-looked > 40_000 {
		t.Errorf("another pass looks at %d bytes", now-looked)
	}
	if size := m.node.partitions[1].spans[3].bytes; size != 0 || !m.node.partitions[1].spans[3].empty {
		t.Errorf("a span of 64 emptied batches counts %d bytes", size)
	}
}

// A pass whose memory ends within a batch looks at that batch again, with its other keys.
func TestBatchWithMoreKeysThanFit(t *testing.T) {
	c := newMany(t, 1, func(cfg *Config) { cfg.CompactionBytes = 300 }) // five keys
	c.createWith("t", 1, map[string]string{"cleanup.policy": "compact", "segment.ms": "1000", "min.cleanable.dirty.ratio": "0.01"})
	for i := range 60 {
		keys := []string{"a", "b", "c", "d", "e", "f", "g"}[3*(i%2):][:3+i%2]
		var records []kafka.Record
		for _, key := range keys {
			records = append(records, kafka.Record{Key: []byte(key), Value: fmt.Append(nil, i)})
		}
		spec := kafka.NewBatchSpec(records...)
		spec.FirstTimestamp = c.unixMs
		if p := c.ask(1, produceRequest("t", -1, kafka.AppendBatch(nil, spec))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 {
			t.Fatal(kafka.CodeName(p.ErrorCode))
		}
	}
	c.pass(5 * time.Minute)
	if records, last := c.table("t"); records != 7 || len(last) != 7 {
		t.Errorf("%d records of %d keys are left", records, len(last))
	}
}
