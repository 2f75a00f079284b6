// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"chronik/kafka"
	"chronik/wal"
)

// Whatever voids there are, they come back from one record as they were.
func TestVoidsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first, term := rapid.Uint64Range(1, 1<<40).Draw(t, "first"), rapid.Uint64().Draw(t, "term")
		var voids []wal.Entry
		b := kafka.Batch{ProducerID: -1, ProducerEpoch: -1, BaseSequence: -1, LeaderEpoch: -1}
		for i := range uint64(rapid.IntRange(1, 30).Draw(t, "voids")) {
			e := wal.Entry{Index: first + i, Term: term}
			if rapid.IntRange(0, 5).Draw(t, "own") > 0 {
				b = nextVoid(t, b)
				e.Data = kafka.EmptyBatch(b)
			}
			if !isVoid(&e) {
				t.Fatal("not taken for a void")
			}
			voids = append(voids, e)
		}
		packed := wal.Entry{Index: first, Last: first + uint64(len(voids)) - 1, Term: term, Data: encodeVoids(voids)}
		got, err := decodeVoids(&packed)
		if diff := cmp.Diff(voids, got); diff != "" || err != nil {
			t.Fatal(diff, err)
		}
		packed.Data = packed.Data[:len(packed.Data)-1]
		if _, err := decodeVoids(&packed); err == nil {
			t.Fatal("cut and not noticed")
		}
	})
}

// nextVoid draws a batch that may follow another.
func nextVoid(t *rapid.T, b kafka.Batch) kafka.Batch {
	b.BaseSequence = sequenceAfter(&b)
	b.BaseOffset += rapid.Int64Range(0, 9).Draw(t, "stamp")
	b.FirstTimestamp += rapid.Int64().Draw(t, "first timestamp")
	b.MaxTimestamp = b.FirstTimestamp
	switch rapid.IntRange(0, 9).Draw(t, "change") {
	case 0:
		b.ProducerID, b.ProducerEpoch = rapid.Int64Range(-1, 1<<62).Draw(t, "producer"), int16(rapid.IntRange(-1, 1<<15-1).Draw(t, "epoch"))
	case 1:
		b.BaseSequence = rapid.Int32Range(-1, 1<<31-1).Draw(t, "sequence")
	case 2:
		b.LastOffsetDelta = rapid.Int32Range(0, 1<<31-1).Draw(t, "delta")
	case 3:
		b.MaxTimestamp = rapid.Int64().Draw(t, "max timestamp")
	case 4:
		b.BaseOffset = stampUnknown
	case 5:
		b.Attributes = int16(rapid.IntRange(0, 1<<15-1).Draw(t, "attributes")) &^ kafka.CodecMask
		b.LeaderEpoch = rapid.Int32().Draw(t, "leader epoch")
	}
	return b
}

// The updates of few keys leave few records in the log of each replica: after a start, and of one that comes later, too.
func TestFewKeysLeaveLittle(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { cfg.HotEntries, cfg.CacheBytes, cfg.ColdReadBytes = 1, 200_000, 40_000 })
	c.createWith("t", 3, map[string]string{"cleanup.policy": "compact", "segment.ms": "1000", "min.cleanable.dirty.ratio": "0.01"})
	want := map[string]string{}
	const updates = 1500
	for i := range updates {
		key, value := fmt.Sprintf("k%d", i%10), fmt.Sprintf("v%d", i)
		c.put("t", key, value)
		want[key] = value
	}
	check := func(id BrokerID, when string) {
		t.Helper()
		if records, bytes := c.nodes[id].node.log.Stored(1); records > 100 || bytes > 40_000 {
			t.Errorf("%s broker %d stores %d records of %d bytes", when, id, records, bytes)
		}
	}
	c.pass(time.Minute)
	for _, id := range c.ids {
		check(id, "after the load")
	}
	for _, id := range c.ids {
		c.kill(id)
		c.start(id)
		check(id, "after a start")
	}
	c.add(3, 3, 9)
	c.until("the new broker votes", func() bool { v, ok := c.view(3, "t"); return ok && v.HighWatermark == updates && c.votes(3, 1) })
	c.pass(time.Minute)
	for _, id := range c.ids {
		check(id, "in the end")
	}
	for range 3 { // whoever leads
		records, last := c.table("t")
		if diff := cmp.Diff(want, last); diff != "" || records > 60 {
			t.Errorf("%d records, %s", records, diff)
		}
		c.kill(c.leader("t"))
		c.until("somebody leads", func() bool { return c.leader("t") > 0 })
		for _, id := range c.ids {
			if c.nodes[id] == nil || c.nodes[id].node == nil {
				c.start(id)
			}
		}
	}
}
