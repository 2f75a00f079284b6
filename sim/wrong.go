// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"hash/crc32"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node"
	"chronik/sim/keyed"
	"chronik/sim/plan"
)

// What goes wrong on the way, and is noticed. A message between brokers has a checksum: a damaged one is as good as lost, and
// ends its connection. Kafka's own frames have none but that of each record batch, so only bits of batches change; a client
// drops a batch with a wrong checksum and asks again. A connection of a client that breaks in the middle of a frame loses that
// frame and all after it, and what came before has arrived.

// tornOnTheWay says that a message is damaged, and lets both ends hear of it.
func (w *world) tornOnTheWay(b *broker, from int) bool {
	if b.tornRate == 0 {
		return false
	}
	l := &w.net.links[from][b.number]
	l.torn++
	if !w.seed.Draw(domainDamage, keyed.Pair(from, b.number), l.torn).Ratio(b.tornRate, 1000) {
		return false
	}
	w.matters(plan.FaultTorn)
	for _, end := range [...]struct{ at, of int }{{b.number, from}, {from, b.number}} {
		w.schedule(event{at: w.now + node.Time(w.plan.Knobs.LinkLatency) + 1, kind: evLost, broker: w.brokers[end.at-1], from: end.of})
	}
	return true
}

// drawFrame decides about the next frame of a connection.
func (cn *conn) drawFrame(w *world, rate int64) bool {
	cn.faulty++
	return w.seed.Draw(domainDamage, uint64(cn.id), cn.faulty).Ratio(rate, 1000)
}

// cutInFrame says that a client's connection breaks in a frame. The broker's end is closed; the other hears of it by itself.
func (w *world) cutInFrame(b *broker, cn *conn) bool {
	if b.cutRate == 0 || cn.client == nil || !cn.drawFrame(w, b.cutRate) {
		return false
	}
	w.matters(plan.FaultCut)
	b.forget(cn)
	b.mail.hangups = append(b.mail.hangups, cn.id)
	return true
}

// understands says that a client checks checksums: those that only make calls do.
func (cn *conn) understands(w *world) bool {
	c := cn.client
	return c != nil && c.member == nil && c.watcher == nil && c.asks == nil && c != w.verifier
}

// withWrongBit returns a frame in which a bit of a batch may have changed.
func (w *world) withWrongBit(b *broker, cn *conn, frame []byte) []byte {
	if b.bitsRate == 0 || !cn.understands(w) {
		return frame
	}
	h, _, err := kafka.ParseHeader(frame)
	if err != nil || h.Key != int16(kmsg.Produce) || !cn.drawFrame(w, b.bitsRate) {
		return frame
	}
	frame = slices.Clone(frame)
	_, body, _ := kafka.ParseHeader(frame)
	req, _, err := kafka.ParseWithin(h, body, 1<<20)
	if err != nil {
		return frame
	}
	for _, t := range req.(*kmsg.ProduceRequest).Topics {
		for _, p := range t.Partitions {
			if w.changeIn(cn, p.Records) {
				w.matters(plan.FaultBits)
				return frame
			}
		}
	}
	return frame
}

// changeBit may change a bit of a batch in an answer.
func (w *world) changeBit(b *broker, cn *conn, resp kmsg.Response) {
	r, ok := resp.(*kmsg.FetchResponse)
	if !ok || b.bitsRate == 0 || !cn.understands(w) || !cn.drawFrame(w, b.bitsRate) {
		return
	}
	for i := range r.Topics {
		for j := range r.Topics[i].Partitions {
			p := &r.Topics[i].Partitions[j]
			p.RecordBatches = slices.Clone(p.RecordBatches)
			if w.changeIn(cn, p.RecordBatches) {
				w.matters(plan.FaultBits)
				cn.wrongBits++
				return
			}
		}
	}
}

// coveredFrom is where the checksum of a batch begins to cover it.
const coveredFrom = 21

// changeIn changes a bit of the first batch, of what its checksum covers.
func (w *world) changeIn(cn *conn, raw []byte) bool {
	b, err := kafka.ParseBatch(first(raw))
	if err != nil {
		return false
	}
	d := w.seed.Draw(domainDamage, uint64(cn.id), cn.faulty).Next()
	raw[coveredFrom+d.Below(int64(b.Size()-coveredFrom))] ^= 1 << d.Next().Below(8)
	return true
}

// first is the first whole batch of records.
func first(raw []byte) (one []byte) {
	err := kafka.SplitBatches(raw, func(b []byte) {
		if one == nil {
			one = b
		}
	})
	if err != nil {
		return nil
	}
	return one
}

// wrongSum says that a batch that was read has a wrong checksum, because a bit changed on the way.
func (c *client) wrongSum(broker int, raw []byte) (wrong bool) {
	cn := c.conns[broker]
	if cn == nil || cn.wrongBits == 0 {
		return false
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	err := kafka.SplitBatches(raw, func(one []byte) {
		b, err := kafka.ParseBatch(one)
		wrong = wrong || err == nil && crc32.Checksum(one[coveredFrom:], table) != b.CRC
	})
	if wrong = wrong && err == nil; wrong {
		cn.wrongBits--
	}
	return wrong
}
