// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// overwritten makes a compacted topic and updates ten of its keys 300 times, all of it in memory.
func overwritten(t *testing.T, configs map[string]string) *many {
	c := newMany(t, 1, func(*Config) {})
	all := map[string]string{"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1"}
	maps.Copy(all, configs)
	c.createWith("t", 1, all)
	for i := range 300 {
		c.put("t", fmt.Sprintf("k%d", i%10), fmt.Sprintf("v%d", i))
	}
	return c
}

// When compaction may begin with the newest records, in a topic so small that all of it is in memory.
func TestNewestRecordsAreCompactedInTime(t *testing.T) {
	for _, c := range []struct {
		configs map[string]string
		after   time.Duration
		shrinks bool
	}{
		{nil, 20 * time.Second, false}, // segment.ms is a week
		{map[string]string{"segment.ms": "5000"}, 20 * time.Second, true},
		{map[string]string{"segment.ms": "5000", "min.compaction.lag.ms": "60000"}, 20 * time.Second, false},
		{map[string]string{"segment.ms": "5000", "min.compaction.lag.ms": "60000"}, 80 * time.Second, true},
		{map[string]string{"max.compaction.lag.ms": "10000", "min.cleanable.dirty.ratio": "1.0"}, 4 * time.Second, false},
		{map[string]string{"max.compaction.lag.ms": "10000", "min.cleanable.dirty.ratio": "1.0"}, 25 * time.Second, true},
	} {
		cl := overwritten(t, c.configs)
		cl.pass(c.after)
		records, last := cl.table("t")
		if len(last) != 10 || last["k9"] != "v299" {
			t.Errorf("%v: the newest values are %v", c.configs, last)
		}
		if shrunk := records < 30; shrunk != c.shrinks {
			t.Errorf("%v: after %v %d of 300 records are left", c.configs, c.after, records)
		}
	}
}

// A compactor that has nothing to do does nothing.
func TestCompactorRests(t *testing.T) {
	c := overwritten(t, map[string]string{"segment.ms": "5000"})
	c.pass(30 * time.Second)
	compacted := c.nodes[1].events[EventCompacted]
	c.pass(time.Minute)
	if again := c.nodes[1].events[EventCompacted]; compacted == 0 || again != compacted {
		t.Errorf("%d passes, and %d more while nothing was written", compacted, again-compacted)
	}
}

// Batches that compaction left without records aren't handed out, but for one that ends the partition.
func TestEmptyBatchesStayInTheLog(t *testing.T) {
	c := overwritten(t, map[string]string{"segment.ms": "5000", "delete.retention.ms": "1000", "min.cleanable.dirty.ratio": "0.0"})
	for i := range 10 {
		c.put("t", fmt.Sprintf("k%d", i), "") // all is deleted
	}
	c.pass(30 * time.Second)
	c.put("t", "new", "v")
	c.pass(30 * time.Second)
	batches := func(offset int64) (list []kafka.Batch) {
		if err := kafka.SplitBatches(c.ask(1, fetchRequest("t", offset)).(*kmsg.FetchResponse).Topics[0].Partitions[0].RecordBatches, func(one []byte) {
			b, _ := kafka.ParseBatch(one)
			list = append(list, b)
		}); err != nil {
			t.Fatal(err)
		}
		return list
	}
	if got := batches(0); len(got) != 1 || got[0].Count != 1 || got[0].BaseOffset != 310 {
		t.Errorf("a reader from the start gets %+v", got)
	}
	c.put("t", "new", "")
	c.pass(time.Minute)
	if got := batches(0); len(got) != 1 || got[0].Count != 0 || got[0].LastOffset() != 311 {
		t.Errorf("a reader of nothing but empty batches gets %+v, and not the last to get to the end", got)
	}
}

// Of the newest entries of a partition no more bytes are kept than a bound says, be they few.
func TestFewLargeEntriesAreReleased(t *testing.T) {
	c := newMany(t, 1, func(cfg *Config) {
		cfg.RetainEntries, cfg.RetainBytes, cfg.CheckpointBytes = 1000, 256<<10, 256<<10
	})
	c.createWith("t", 1, map[string]string{"retention.bytes": "262144"})
	for range 100 {
		c.produce("t", strings.Repeat("x", 64<<10))
	}
	c.pass(10 * time.Second)
	c.produce("t", strings.Repeat("x", 64<<10))
	v, _ := c.view(1, "t")
	if kept := v.LastIndex + 1 - v.FirstIndex; kept > 30 {
		t.Errorf("%d entries of 64 KiB are kept where 256 KiB are wanted", kept)
	}
}
