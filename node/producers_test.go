// SPDX-License-Identifier: Apache-2.0

package node

import (
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

// However many producers are silent, an entry names only so many of them.
func TestManyProducersAreForgottenInPieces(t *testing.T) {
	o := newOne(t, func(cfg *Config) { cfg.ProducerExpiration = time.Second })
	o.byHand = true
	o.create("t")
	o.produce("t", batch(1, 0, 0, "x"))
	p := o.node.partitions[o.node.catalog.partition("t", 0).Group]
	const atOnce = 4096
	for id := range int64(3 * atOnce) {
		b := batch(10+id, 0, 0, "x")
		kafka.SetBaseOffset(b, 1)
		p.records.apply(p.group.applied, 1, b, 0)
	}
	before, entries := o.events[EventProducersGone], 0
	for last := len(p.producerIDs()); last > 0; {
		o.step(Input{})
		now := len(p.producerIDs())
		if last-now > atOnce {
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
