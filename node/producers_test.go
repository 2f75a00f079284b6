// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// remembered lists the producers that DescribeProducers tells of.
func (o *one) remembered(topic string) (ids []int64) {
	o.t.Helper()
	req := kmsg.NewPtrDescribeProducersRequest()
	req.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: topic, Partitions: []int32{0}}}
	for _, p := range o.ask(req).(*kmsg.DescribeProducersResponse).Topics[0].Partitions[0].ActiveProducers {
		ids = append(ids, p.ProducerID)
	}
	return ids
}

// A producer that writes nothing for producer.id.expiration.ms is forgotten, and taken at any sequence when it comes
// back, as Kafka does it (ProducerAppendInfo.checkSequence).
func TestSilentProducersAreForgotten(t *testing.T) {
	o := newOne(t, func(cfg *Config) { cfg.ProducerExpiration = 10 * time.Second })
	o.create("t")
	write := func(producer int64, sequence int32, want string) {
		t.Helper()
		if _, got := o.produce("t", batch(producer, 0, sequence, "x")); got != want {
			t.Errorf("producer %d, sequence %d: %q, want %q", producer, sequence, got, want)
		}
	}
	write(7, 0, "NONE")
	write(8, 0, "NONE")
	o.pass(6 * time.Second)
	write(8, 1, "NONE")
	o.pass(3 * time.Second)
	if got := o.remembered("t"); !slices.Equal(got, []int64{7, 8}) {
		t.Errorf("before its time: %v", got)
	}
	o.pass(3 * time.Second)
	if got := o.remembered("t"); !slices.Equal(got, []int64{8}) {
		t.Errorf("after its time: %v", got)
	}
	write(8, 5, "OUT_OF_ORDER_SEQUENCE_NUMBER")
	o.restart()
	if got := o.remembered("t"); !slices.Equal(got, []int64{8}) {
		t.Errorf("after a start: %v", got)
	}
	write(7, 5, "NONE")
	write(7, 7, "OUT_OF_ORDER_SEQUENCE_NUMBER")
	if got := o.remembered("t"); !slices.Equal(got, []int64{8, 7}) {
		t.Errorf("when it has come back: %v", got)
	}
}

// What it is proposed to forget stays if it has written since, and what isn't a list of producers changes nothing.
func TestOnlySilentProducersAreForgotten(t *testing.T) {
	p := &partition{node: newOne(t, nil).node, meta: &partitionMeta{}, producers: newProducers()}
	for i := range int64(3) {
		p.producers.addFor(100+i, i, 0)
	}
	p.producers.addFor(101, 9, 1)
	list := []byte{3}
	for i := range int64(3) {
		list = binary.AppendVarint(binary.AppendVarint(list, 100+i), i)
	}
	if !p.applyForget(&reader{b: list}) || !slices.Equal(p.producers.ids(), []int64{101}) {
		t.Errorf("%v are left", p.producers.ids())
	}
	for _, bad := range [][]byte{{}, {200}, {2, 202, 1, 0}, {1, 202, 1, 18, 0}} {
		if p.applyForget(&reader{b: bad}) || len(p.producers.byID) != 1 {
			t.Errorf("% x is applied", bad)
		}
	}
}

// manyProducers is a partition that as many producers wrote some batches to, as its state.
func manyProducers(n *Node, ids int64, batches int32) *partition {
	p := &partition{node: n, meta: &partitionMeta{}, producers: newProducers()}
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
	n := newOne(t, nil).node
	for batches, most := range map[int32]uint64{1: 200, 6: 320} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		p := manyProducers(n, ids, batches)
		runtime.GC()
		runtime.ReadMemStats(&after)
		if each := (after.HeapAlloc - before.HeapAlloc) / ids; each > most {
			t.Errorf("%d batches of each: %d bytes of memory a producer, want at most %d", batches, each, most)
		}
		state := p.state(0)
		if each := len(state) / ids; each > 6+8*min(int(batches), windowBatches) {
			t.Errorf("%d batches of each: %d bytes of a checkpoint a producer", batches, each)
		}
		q := &partition{node: n, meta: p.meta}
		if err := q.restore([][]byte{p.state(0), state}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(q.state(0), state) || !slices.Equal(q.producers.ids(), p.producers.ids()) {
			t.Error("what was restored differs")
		}
		runtime.KeepAlive(p)
	}
}

// However many producers are silent, an entry names only so many of them.
func TestManyProducersAreForgottenInPieces(t *testing.T) {
	o := newOne(t, func(cfg *Config) { cfg.ProducerExpiration = time.Second })
	o.create("t")
	o.produce("t", batch(1, 0, 0, "x"))
	p := o.node.partitions[o.node.catalog.partition("t", 0).Group]
	for id := range int64(3 * maxForget) {
		p.producers.addFor(10+id, 10+id, 0)
	}
	before, entries := o.events[EventProducersGone], 0
	for last := len(p.producers.byID); last > 0; {
		o.step(Input{})
		now := len(p.producers.byID)
		if last-now > maxForget {
			t.Fatalf("a step forgot %d producers", last-now)
		}
		entries += btoi(now < last)
		last = now
		if o.now > Time(time.Minute) {
			t.Fatalf("%d are left after a minute", now)
		}
	}
	if got := o.events[EventProducersGone] - before; got != 4 || entries != 4 {
		t.Errorf("%d events in %d steps", got, entries)
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
	p := &partition{node: newOne(t, nil).node, meta: &partitionMeta{}}
	if err := p.restore([][]byte{old}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(p.producers.ids(), p.producers.byID[5].batches, p.producers.byID[7].batches); got != "[7 5] [{0 0 15 0}] [{0 0 5 0} {1 1 6 0}]" {
		t.Errorf("%s", got)
	}
}

// addFor notes a batch of one record.
func (ps *producers) addFor(id, base int64, sequence int32) {
	ps.add(&kafka.Batch{ProducerID: id, BaseSequence: sequence, Count: 1}, base, 1, 0)
}
