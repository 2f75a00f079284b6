// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
)

// part returns the only partition of a topic.
func (o *one) part(topic string) *partition {
	return o.node.partitions[o.node.catalog.partition(topic, 0).Group]
}

// transact appends a batch as a client's gets into the log.
func (o *one) transact(topic string, raw []byte) (offset int64, e string) {
	o.t.Helper()
	p, answered := o.part(topic), false
	p.stamp(raw)
	p.group.propose(raw, func(result any, err error) {
		v := result.(verdict)
		offset, e, answered = v.offset, kafka.CodeName(code(errors.Join(err, v.err))), true
		if v.err != nil {
			e = kafka.CodeName(code(v.err))
		}
	})
	for !answered {
		o.step(Input{})
	}
	return offset, e
}

// mark ends a transaction.
func (o *one) mark(topic string, m txnMarker) error {
	o.t.Helper()
	var result error
	answered := false
	o.node.addMarker(o.node.catalog.partition(topic, 0).Group, m, func(err error) { result, answered = err, true })
	for !answered {
		o.step(Input{})
	}
	return result
}

// A marker is in the log once it is answered, on any replica, and a copy of it is answered alike.
func TestMarkersAreLogged(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	if offset, e := o.transact("t", txnBatch(7, 0, 0, "a", "b")); offset != 0 || e != "NONE" {
		t.Fatal(offset, e)
	}
	seen := o.part("t").markerSeen(7)
	m := txnMarker{producerID: 7, epoch: 1, coordinatorEpoch: 4, commit: true, number: 17}
	for range 2 {
		if err := o.mark("t", m); err != nil {
			t.Fatal(err)
		}
		if p := o.part("t"); p.highWatermark != 3 || p.lastStable() != 3 {
			t.Errorf("the log ends at %d, the last stable offset is %d", p.highWatermark, p.lastStable())
		}
	}
	if o.part("t").markerSeen(7) == seen {
		t.Error("nobody noticed the marker")
	}
	m.epoch, m.number = 0, 18
	if err := o.mark("t", m); code(err) != kerr.InvalidProducerEpoch.Code {
		t.Errorf("a marker of an older epoch: %v", err)
	}
	before := o.part("t").state(0)
	o.restart()
	for range 20 {
		o.step(Input{})
	}
	if w := o.part("t").producers.byID[7]; w == nil || w.number != 17 || w.epoch != 1 || w.coordinatorEpoch != 4 || w.began != -1 {
		t.Errorf("after a restart the window is %+v", w)
	}
	if p := o.part("t"); !bytes.Equal(p.producers.appendTo(nil), before[len(before)-len(p.producers.appendTo(nil)):]) {
		t.Error("after a restart the producers differ")
	}
	if o.events[EventTransactionEnded] == 0 || o.events[EventMarkerIgnored] == 0 {
		t.Error("there are no events")
	}
	var answer error
	o.node.addMarker(99, m, func(err error) { answer = err })
	if code(answer) != kerr.NotLeaderForPartition.Code {
		t.Errorf("a group that isn't here: %v", answer)
	}
}

// A marker that is proposed and not yet applied counts: a question that was answered before it came to the log may have been
// asked before.
func TestMarkersAreSeenWhenProposed(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	p := o.part("t")
	numbers := map[uint64]bool{p.markerSeen(7): true}
	answered := false
	o.node.addMarker(p.meta.Group, txnMarker{producerID: 7, number: 3}, func(error) { answered = true })
	numbers[p.markerSeen(7)] = true
	for !answered {
		o.step(Input{})
	}
	numbers[p.markerSeen(7)] = true
	p.group.term++
	numbers[p.markerSeen(7)] = true
	p.group.term--
	if len(numbers) != 4 {
		t.Errorf("only %d numbers: %v", len(numbers), numbers)
	}
	if len(p.markers.underway) != 0 {
		t.Error("it is under way for ever")
	}
}

// Markers of other producers make no difference, but for the rare case that nobody remembers so many. Then no number stays
// that a forgotten marker may have changed.
func TestMarkersSeenAreBounded(t *testing.T) {
	var m markers
	m.note(7)
	seven, eight, changed := m.seen(7, 1), m.seen(8, 1), 0
	for id := range int64(10 * maxMarkersNoted) {
		m.note(1000 + id)
		if now := m.seen(8, 1); now != eight {
			eight = now
			changed++
		}
		if len(m.now)+len(m.before) > 2*maxMarkersNoted {
			t.Fatal("they aren't bounded")
		}
	}
	if changed > 10 {
		t.Errorf("a producer without markers has %d numbers", changed+1)
	}
	if m.seen(7, 1) == seven {
		t.Error("a marker that was forgotten has its old number")
	}
}

// Open transactions and aborted ones outlive checkpoints and a start, on followers, too.
func TestTransactionsOutliveCheckpoints(t *testing.T) {
	o := newOne(t, func(c *Config) { c.CheckpointEntries = 10 })
	o.create("t")
	number := uint64(0)
	for i := range int32(40) {
		o.transact("t", txnBatch(7, 0, i, "x"))
		o.transact("t", txnBatch(8, 0, i, "y"))
		number++
		if err := o.mark("t", txnMarker{producerID: 7, number: number}); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.mark("t", txnMarker{producerID: 9, number: 1}); err != nil { // it takes no offset
		t.Fatal(err)
	}
	said := func() string {
		p := o.part("t")
		return fmt.Sprint(p.highWatermark, p.lastStable(), p.open, p.aborted, p.unplaced, p.producers.ids())
	}
	before := said()
	o.restart()
	for range 20 {
		o.step(Input{})
	}
	if after := said(); after != before {
		t.Errorf("before %s, after %s", before, after)
	}
	if p := o.part("t"); len(p.aborted) != 40 || p.lastStable() != 1 {
		t.Errorf("%d are aborted, the last stable offset is %d", len(p.aborted), p.lastStable())
	}
	if o.events[EventCheckpoint] < 5 {
		t.Errorf("%d checkpoints", o.events[EventCheckpoint])
	}
	if err := o.mark("t", txnMarker{producerID: 8, number: 1, commit: true}); err != nil || o.part("t").lastStable() != 121 {
		t.Error(err, o.part("t").lastStable())
	}
}
