// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/checker"
	"chronik/kafka"
	"chronik/sim/keyed"
	"chronik/sim/plan"
)

// When all is over, the verifier has read every record, so it knows the answer to every question about offsets by time and
// about where leader epochs end. It asks a few.

// Kinds of calls that only the verifier makes.
const (
	callByTime  = "by-time"  // ListOffsets for the time Offset
	callByEpoch = "by-epoch" // OffsetForLeaderEpoch of the epoch Offset
)

// stamped is what the verifier knows of a record, beside its content.
type stamped struct {
	offset, ms int64
	epoch      int32
}

// reading is what the verifier has read of a partition since it began at the start.
type reading struct {
	records []stamped
	txns    []checker.TxnRecord // the same records
	epochs  map[int64]int16     // of each producer, the newest; look-up only
}

// note takes a batch that was read, whose records follow by add.
func (c *client) note(name string, b *kafka.Batch) *reading {
	if c != c.world.verifier {
		return nil
	}
	r := c.world.readings[name]
	if r == nil {
		return nil
	}
	if newest, known := r.epochs[b.ProducerID]; known && b.IsIdempotent() && b.ProducerEpoch < newest {
		c.world.fail("epoch-fenced", "%s has at offset %d a batch of producer %d in epoch %d after one in epoch %d", name, b.BaseOffset, b.ProducerID, b.ProducerEpoch, newest)
	}
	r.epochs[b.ProducerID] = b.ProducerEpoch
	return r
}

// add takes a record of a batch.
func (r *reading) add(offset, ms int64, epoch int32) {
	if r != nil && (len(r.records) == 0 || r.records[len(r.records)-1].offset < offset) {
		r.records = append(r.records, stamped{offset, ms, epoch})
	}
}

// addTxn says what a record that was just added is to transactions.
func (r *reading) addTxn(b *kafka.Batch, id checker.RecordID, commit bool) {
	if r != nil && len(r.txns) < len(r.records) {
		r.txns = append(r.txns, checker.TxnRecord{
			Value: id, Producer: b.ProducerID, Epoch: b.ProducerEpoch, Transactional: b.IsTransactional(), Marker: b.IsControl(), Commit: commit,
		})
	}
}

// mostQuizzed bounds the partitions of a world that the verifier asks about.
const mostQuizzed = 4

// quiz asks the verifier's questions about partitions from which nothing goes by itself.
func (w *world) quiz(v *client) {
	asked := 0
	for i := range w.plan.Topics {
		t := &w.plan.Topics[i]
		if w.doomed[t.Name] || w.transactional[t.Name] || t.Keys > 0 || t.RetentionBytes > 0 || t.RetentionMs > 0 || w.epoch > 0 {
			continue
		}
		for p := range t.Partitions {
			name := partitionName(t.Name, p)
			if w.readings[name] == nil || asked == mostQuizzed {
				continue
			}
			records := w.known(name)
			if len(records) == 0 {
				continue
			}
			asked++
			d := w.seed.Draw(domainQuiz, keyed.Pair(i, int(p)), 0)
			for range 3 {
				d = d.Next()
				at := records[d.Below(int64(len(records)))]
				times := []int64{at.ms, at.ms + 1, 0, 1 << 60, -2, -3, -4}
				w.question(v, callByTime, t.Name, p, times[d.Next().Below(int64(len(times)))])
				w.question(v, callByEpoch, t.Name, p, int64(at.epoch)+d.Next().Next().Below(2))
			}
		}
	}
}

func (w *world) question(v *client, kind, topic string, partition int32, x int64) {
	call := w.verifierCall(kind, topic, partition)
	call.Offset = x
	v.begin(call)
	w.waitFor(fmt.Sprintf("a question (%s %d) about %s is answered", kind, x, partitionName(topic, partition)), w.patience())
}

func (c *client) sendQuestion(cn *conn, p *pendingCall) {
	switch p.call.Kind {
	case callByTime:
		c.sendByTime(cn, p)
	case callByEpoch:
		c.sendByEpoch(cn, p)
	case callStable:
		c.sendStableEnd(cn, p)
	}
}

func (c *client) sendByTime(cn *conn, p *pendingCall) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version = 7
	if p.call.Offset == -4 {
		req.Version = 8
	}
	req.ReplicaID = -1
	rt, rp := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
	rt.Topic, rp.Partition, rp.CurrentLeaderEpoch, rp.Timestamp = p.call.Topic, p.call.Partition, -1, p.call.Offset
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	c.question(cn, p, req, func(resp kmsg.Response) (int16, func() int64) {
		r := &resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
		return r.ErrorCode, func() int64 {
			c.world.checkByTime(p.call, r)
			return r.Offset
		}
	})
}

// question sends a request again until it is answered. read returns the answer's error code, and what checks an answer without
// one and returns its offset.
func (c *client) question(cn *conn, p *pendingCall, req kmsg.Request, read func(kmsg.Response) (code int16, check func() (offset int64))) {
	cn.ask(c.world, req, c.answered(p, func(resp kmsg.Response) {
		code, check := read(resp)
		switch {
		case retriable(code):
			c.retrySerial(p)
			return
		case code != 0:
			c.unexpected(p.call, code, kmsg.NameForKey(req.Key()))
		}
		c.world.judge.answered(c.world, c, p, check())
		c.endSerial(p)
	}))
}

// known are the records of a partition from the start of its log on: a batch that is read may begin before that.
func (w *world) known(name string) []stamped {
	records, start := w.readings[name].records, w.judge.histories.Truths[name].Start
	for len(records) > 0 && records[0].offset < start {
		records = records[1:]
	}
	return records
}

// checkByTime compares an answer with the records.
func (w *world) checkByTime(call *plan.Call, r *kmsg.ListOffsetsResponseTopicPartition) {
	name := partitionName(call.Topic, call.Partition)
	records, want := w.known(name), stamped{-1, -1, -1}
	for _, x := range records {
		switch ms := call.Offset; {
		case ms == -3 && (want.offset < 0 || x.ms > want.ms),
			(ms == -2 || ms == -4) && want.offset < 0:
			want = x
		case ms >= 0 && want.offset < 0 && x.ms >= ms:
			want = x
		}
	}
	got := stamped{r.Offset, r.Timestamp, r.LeaderEpoch}
	switch {
	case got.offset > records[len(records)-1].offset: // what was under way for long may still arrive
		return
	case call.Offset == -2 || call.Offset == -4: // no time is told
		want.offset, want.ms = w.judge.histories.Truths[name].Start, -1
	case call.Offset == -3 && got.ms == want.ms: // of several records of that time, any
		for _, x := range records {
			if x.offset == got.offset && x.ms == want.ms {
				want = x
			}
		}
	}
	if got != want {
		w.fail("offset-by-time", "asked for the time %d, %s is said to have offset %d, time %d, epoch %d; of its %d records the one at offset %d, time %d, epoch %d is the right one",
			call.Offset, name, got.offset, got.ms, got.epoch, len(records), want.offset, want.ms, want.epoch)
	}
}

func (c *client) sendByEpoch(cn *conn, p *pendingCall) {
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.Version = 2 + int16(p.call.ID%3)
	rt, rp := kmsg.NewOffsetForLeaderEpochRequestTopic(), kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	rt.Topic, rp.Partition, rp.CurrentLeaderEpoch, rp.LeaderEpoch = p.call.Topic, p.call.Partition, -1, int32(p.call.Offset)
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	c.question(cn, p, req, func(resp kmsg.Response) (int16, func() int64) {
		r := &resp.(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0]
		return r.ErrorCode, func() int64 {
			c.world.checkByEpoch(p.call, r.LeaderEpoch, r.EndOffset)
			return r.EndOffset
		}
	})
}

// checkByEpoch compares where an epoch is said to end with the records.
func (w *world) checkByEpoch(call *plan.Call, epoch int32, end int64) {
	name := partitionName(call.Topic, call.Partition)
	records, asked := w.known(name), int32(call.Offset)
	last := records[len(records)-1]
	if asked > last.epoch || end > last.offset+1 { // a later leader may have written nothing, and something may still arrive
		return
	}
	want, of := last.offset+1, int32(-1)
	for _, x := range records {
		if x.epoch > asked {
			want = x.offset
			break
		}
		of = x.epoch
	}
	if end != want || epoch > asked || epoch < of {
		w.fail("epoch-end", "epoch %d of %s is said to end with epoch %d at offset %d; its records say epoch %d and offset %d", asked, name, epoch, end, of, want)
	}
}
