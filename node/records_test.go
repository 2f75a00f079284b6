// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"chronik/kafka"
)

// The time of appending that the index holds never falls, though a leader's clock did.
func TestTimesOfAppendingNeverFall(t *testing.T) {
	s := newRecords()
	for i, stamp := range []int64{10, 30, 20, 40} {
		b := kafka.AppendBatch(nil, kafka.NewBatchSpec(kafka.Record{Value: []byte("x")}))
		kafka.SetBaseOffset(b, stamp)
		s.apply(uint64(i+1), 1, b, 0)
		s.state(0) // ends the span
	}
	var got []int64
	for _, at := range s.spans {
		got = append(got, at.appended)
	}
	if !slices.Equal(got, []int64{10, 30, 30, 40}) {
		t.Errorf("spans were appended at %v", got)
	}
}

// What it is proposed to forget stays if it has written since, and what isn't a list of producers changes nothing.
func TestOnlySilentProducersAreForgotten(t *testing.T) {
	p := newRecords()
	for i := range int64(3) {
		p.producers.addFor(100+i, i, 0)
	}
	p.producers.addFor(101, 9, 1)
	list := []byte{3}
	for i := range int64(3) {
		list = binary.AppendVarint(binary.AppendVarint(list, 100+i), i)
	}
	if _, n, ok := p.applyForget(&scan{b: list}); !ok || n != 2 || !slices.Equal(p.producers.ids(), []int64{101}) {
		t.Errorf("%v are left", p.producers.ids())
	}
	for _, bad := range [][]byte{{}, {200}, {2, 202, 1, 0}, {1, 202, 1, 18, 0}} {
		if _, _, ok := p.applyForget(&scan{b: bad}); ok || len(p.producers.byID) != 1 {
			t.Errorf("% x is applied", bad)
		}
	}
}

// manyProducers is the state of a partition that as many producers wrote some batches to.
func manyProducers(ids int64, batches int32) *records {
	p := &records{producers: newProducers()}
	for b := range batches {
		for id := range ids {
			p.producers.addFor(1000+id, p.highWatermark, b)
			p.highWatermark++
		}
	}
	return p
}

// 400,000 producers, as many as many short-lived clients make in a day, must fit a broker.
func TestManyProducers(t *testing.T) {
	const ids = 400_000
	for batches, most := range map[int32]uint64{1: 200, 6: 320} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		p := manyProducers(ids, batches)
		runtime.GC()
		runtime.ReadMemStats(&after)
		if each := (after.HeapAlloc - before.HeapAlloc) / ids; each > most {
			t.Errorf("%d batches of each: %d bytes of memory a producer, want at most %d", batches, each, most)
		}
		state := p.state(0)
		if each := len(state) / ids; each > 6+8*min(int(batches), windowBatches) {
			t.Errorf("%d batches of each: %d bytes of a checkpoint a producer", batches, each)
		}
		q := new(records)
		if err := q.restore([][]byte{p.state(0), state}, 0); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(q.state(0), state) || !slices.Equal(q.producers.ids(), p.producers.ids()) {
			t.Error("what was restored differs")
		}
		runtime.KeepAlive(p)
	}
}

// After a crash a checkpoint may be there together with the one that it replaced. What both say of spans counts once.
func TestStateBesideTheOneItReplaced(t *testing.T) {
	p := newRecords()
	batch := func(index uint64) {
		b, err := kafka.ParseBatch(kafka.AppendBatch(nil, kafka.NewBatchSpec(kafka.Record{Value: []byte("x")})))
		if err != nil {
			t.Fatal(err)
		}
		p.append(index, &b, 0)
	}
	states := [][]byte{p.state(0)}
	for index := uint64(2); index <= 200; index++ {
		if batch(index); index%90 == 0 {
			states = append(states, p.state(0)) // the next one replaces it
		}
	}
	states = append(states, p.state(0))
	q := newRecords()
	if err := q.restore(states, 0); err != nil {
		t.Fatal(err)
	}
	if err := q.check(200); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(q.state(0), p.state(0)) {
		t.Error("what was restored differs")
	}
}

// The states of earlier releases, which have windows by id, can be read.
func TestProducersOfEarlierReleases(t *testing.T) {
	old := []byte{
		2, 40, 0, 0, 0, // version 2, high watermark 20, log start, last append, no leader epochs
		2,
		10, 0, 1, 0, 0, 30, 0, // producer 5: one batch, sequence 0, at offset 15
		14, 2, 2, 0, 0, 10, 0, 2, 2, 12, 0, // producer 7, epoch 1: two batches
		0,
	} // no spans
	p := new(records)
	if err := p.restore([][]byte{old}, 0); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(p.producers.ids(), p.producers.byID[5].batches, p.producers.byID[7].batches); got != "[7 5] [{0 0 15 0}] [{0 0 5 0} {1 1 6 0}]" {
		t.Errorf("%s", got)
	}
}

// addFor notes a batch of one record.
func (ps *producers) addFor(id, base int64, sequence int32) {
	ps.touch(id, 0, base, 1, 0).add(&kafka.Batch{ProducerID: id, BaseSequence: sequence, Count: 1}, base)
}
