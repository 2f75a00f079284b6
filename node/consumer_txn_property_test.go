// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"

	"chronik/kafka"
)

// offsetsModel is what a coordinator should say of the offsets of groups.
type offsetsModel struct {
	committed map[string]int64 // by group and partition
	pending   map[int64][]modelOffset
	epochs    map[int64]int16
	numbers   map[int64]uint64
}

type modelOffset struct {
	group     string
	partition int32
	offset    int64
}

func (o *modelOffset) key() string { return fmt.Sprintf("%s/%d", o.group, o.partition) }

// Offsets of transactions become those of their groups when a marker says so, and only then, whatever comes in whatever
// order, and also through checkpoints.
func TestPendingOffsetsAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &coordinator{node: &Node{}, group: &group{}}
		m := &offsetsModel{map[string]int64{}, map[int64][]modelOffset{}, map[int64]int16{}, map[int64]uint64{}}
		for i := range rapid.IntRange(1, 80).Draw(t, "steps") {
			switch rapid.IntRange(0, 8).Draw(t, "what") {
			case 0, 1, 2, 3:
				m.pend(t, c, int64(i))
			case 4, 5:
				m.mark(t, c, uint64(i+1))
			case 6:
				o := drawOffset(t, int64(i))
				c.apply(0, 0, appendGroupBatch(nil, []kafka.Record{offsetRecord(o.group, "t", &committedOffset{partition: o.partition, offset: o.offset})}, 0))
				m.committed[o.key()] = o.offset
			case 7:
				m.delete(c, drawOffset(t, 0).group)
			case 8:
				received := &coordinator{node: &Node{}}
				if err := received.restore([][]byte{c.state(0)}); err != nil {
					t.Fatal(err)
				}
				c = &coordinator{node: &Node{}, group: &group{}}
				c.adopt(received)
			}
			m.agrees(t, c)
		}
	})
}

func drawOffset(t *rapid.T, offset int64) modelOffset {
	return modelOffset{rapid.SampledFrom([]string{"g", "h"}).Draw(t, "group"), rapid.Int32Range(0, 2).Draw(t, "partition"), offset}
}

func (m *offsetsModel) pend(t *rapid.T, c *coordinator, offset int64) {
	id := rapid.Int64Range(1, 3).Draw(t, "producer")
	epoch := max(m.epochs[id]+int16(rapid.IntRange(-1, 1).Draw(t, "epoch")), 0)
	o := drawOffset(t, offset)
	err, _ := c.apply(0, 0, pendingBatch(id, epoch, offsetRecord(o.group, "t", &committedOffset{partition: o.partition, offset: offset}))).(error)
	current, known := m.epochs[id]
	want := int16(0)
	switch {
	case known && epoch < current:
		want = kerr.InvalidProducerEpoch.Code
	case epoch > current && len(m.pending[id]) > 0:
		want = kerr.InvalidTxnState.Code
	}
	if code(err) != want {
		t.Fatalf("offsets of producer %d in epoch %d: %v, want code %d", id, epoch, err, want)
	}
	if want == 0 {
		m.epochs[id] = epoch
		m.pending[id] = append(m.pending[id], o)
	}
}

func (m *offsetsModel) mark(t *rapid.T, c *coordinator, number uint64) {
	id := rapid.Int64Range(1, 3).Draw(t, "producer")
	epoch := max(m.epochs[id]+int16(rapid.IntRange(-1, 1).Draw(t, "epoch")), 0)
	commit := rapid.Bool().Draw(t, "commit")
	if rapid.IntRange(0, 3).Draw(t, "late") == 0 {
		number = uint64(rapid.IntRange(1, int(number)).Draw(t, "number"))
	}
	marker := txnMarker{producerID: id, epoch: epoch, commit: commit, number: number}
	err, _ := c.apply(0, 0, marker.entry(1)).(error)
	current, known := m.epochs[id]
	switch {
	case number <= m.numbers[id]:
		if err != nil {
			t.Fatalf("a late marker: %v", err)
		}
	case known && epoch < current:
		if code(err) != kerr.InvalidProducerEpoch.Code {
			t.Fatalf("a marker of epoch %d after %d: %v", epoch, current, err)
		}
	default:
		if err != nil {
			t.Fatal(err)
		}
		m.epochs[id], m.numbers[id] = epoch, number
		for _, o := range m.pending[id] {
			if commit {
				m.committed[o.key()] = o.offset
			}
		}
		delete(m.pending, id)
	}
}

func (m *offsetsModel) delete(c *coordinator, group string) {
	c.apply(0, 0, appendGroupBatch(nil, []kafka.Record{groupTombstone(group)}, 0))
	for key := range m.committed {
		if key[0] == group[0] {
			delete(m.committed, key)
		}
	}
	for id, all := range m.pending {
		var left []modelOffset
		for _, o := range all {
			if o.group != group {
				left = append(left, o)
			}
		}
		m.pending[id] = left
	}
}

func (m *offsetsModel) agrees(t *rapid.T, c *coordinator) {
	if err := c.check(); err != nil {
		t.Fatal(err)
	}
	unstable := map[string]bool{}
	for id, all := range m.pending {
		for _, o := range all {
			unstable[o.key()] = true
		}
		if c.txns.isOpen(id, m.epochs[id]) != (len(all) > 0) {
			t.Fatalf("producer %d has %d pending offsets, and open is %v", id, len(all), len(all) == 0)
		}
	}
	for _, group := range []string{"g", "h"} {
		for partition := range int32(3) {
			o := modelOffset{group, partition, 0}
			offset, waits := int64(-1), false
			if g := c.find(group); g != nil {
				waits = g.stored.unstable("t", partition)
				if stored := g.stored.find("t", partition); stored != nil {
					offset = stored.offset
				}
			}
			want, there := m.committed[o.key()]
			if !there {
				want = -1
			}
			if offset != want || waits != unstable[o.key()] {
				t.Fatalf("%s: offset %d, waits %v; want %d, %v", o.key(), offset, waits, want, unstable[o.key()])
			}
		}
	}
}
