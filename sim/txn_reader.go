// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"cmp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/checker"
	"chronik/kafka"
	"chronik/node"
	"chronik/sim/keyed"
	"chronik/sim/plan"
)

// txnReader reads what is committed. Now and then it goes back, and it asks for the ends of partitions.
type txnReader struct {
	client *client
	spec   *plan.Reader
	fresh  bool // it reads everything once, when all is healed
	parts  []*readPart
}

// readPart is what a reader knows of a partition.
type readPart struct {
	topic     *topicView
	partition int32
	position  int64
	furthest  int64
	asking    int // broker; 0: none
	again     node.Time
	atEnd     bool // nothing more was there, and nothing undecided
}

func (r *readPart) name() string { return partitionName(r.topic.plan.Name, r.partition) }

func (w *world) newReader(spec *plan.Reader) *txnReader {
	c := newClient(w, &plan.Client{ID: readerClients + len(w.readers), InFlight: 1, Timeout: spec.Timeout, GiveUp: spec.Timeout, Home: spec.Home})
	r := &txnReader{client: c, spec: spec}
	for _, name := range w.plan.Transactional() {
		t := c.topic(name)
		for i := range t.partitions {
			r.parts = append(r.parts, &readPart{topic: t, partition: int32(i)})
		}
	}
	c.reader = r
	w.readers = append(w.readers, r)
	c.advance()
	return r
}

func (r *txnReader) stop() {
	r.client.reader = nil
	r.client.goAway()
}

// due is when something has to be done next, if nothing happens before.
func (r *txnReader) due() node.Time {
	next := node.Never
	for _, p := range r.parts {
		next = r.client.sooner(next, p.again)
	}
	return next
}

// lost is called when the connection to a broker is gone.
func (r *txnReader) lost(broker int) {
	for _, p := range r.parts {
		if p.asking == broker {
			p.asking, p.again = 0, r.client.world.now+r.client.retryDelay()
		}
	}
}

func (r *txnReader) advance() {
	c := r.client
	for _, p := range r.parts {
		v := &p.topic.partitions[p.partition]
		switch {
		case p.asking != 0 || c.world.now < p.again:
			continue
		case p.topic.stale || v.leader == 0:
			p.topic.stale = true
			c.askMetadata()
			continue
		}
		cn := c.conn(v.leader)
		if cn == nil {
			continue
		}
		p.asking = v.leader
		if !r.fresh && c.draw().Ratio(1, 4) {
			r.askEnd(cn, p)
		} else {
			r.fetch(cn, p)
		}
	}
	if next := r.due(); next != node.Never {
		c.wakeAt(next)
	}
}

// rest lets a partition be for a while.
func (r *txnReader) rest(p *readPart) {
	p.again = r.client.world.now + 1 + node.Time(r.client.draw().Below(int64(r.spec.Pause)))
	r.client.wakeAt(p.again)
}

func (r *txnReader) fetch(cn *conn, p *readPart) {
	c, w := r.client, r.client.world
	req := kmsg.NewPtrFetchRequest()
	req.Version = [...]int16{12, 11, 9, 13, 15}[c.draw().Below(5)]
	req.Version = byName(req.Version, fetchByID, p.topic)
	req.ReplicaID, req.MinBytes, req.MaxBytes, req.IsolationLevel = -1, 1, 1<<20, 1
	req.MaxWaitMillis = int32(c.draw().LogUniform(1, 500))
	began, from, epoch := w.now, p.position, p.topic.partitions[p.partition].epoch
	f := &fetching{topic: p.topic, partition: p.partition, epoch: epoch, position: from}
	most := int32(1 << 20)
	if !r.fresh {
		most = int32(c.draw().LogUniform(1, 1<<18))
	}
	c.addFetch(req, f, most)
	broker := cn.broker.number
	cn.ask(w, req, func(resp kmsg.Response) {
		p.asking = 0
		r.rest(p)
		got := onlyPartition(w, resp.(*kmsg.FetchResponse))
		if r.refused(p, from, got) || c.wrongSum(broker, got.RecordBatches) {
			return
		}
		read := c.committedRead(p.topic, p.partition, from, got)
		read.Span, read.LeaderEpoch = checker.Span{Client: int64(c.spec.ID), Call: int64(began), Return: int64(w.now)}, epoch
		w.judge.readCommitted(read)
		p.position = read.Next
		p.furthest = max(p.furthest, p.position)
		p.atEnd = read.Next == read.Stable && read.Stable == read.HighWatermark
		if !r.fresh && read.Next == from && c.draw().Ratio(1, 3) {
			p.position = c.draw().Below(p.furthest + 1)
		}
	})
}

// refused takes the error of a fetch, if it is one.
func (r *txnReader) refused(p *readPart, from int64, got *kmsg.FetchResponseTopicPartition) bool {
	w := r.client.world
	switch code := got.ErrorCode; {
	case code == 0:
		return false
	case code == kerr.OffsetOutOfRange.Code && w.judge.trimmed[p.name()] && got.LogStartOffset > from:
		p.position = got.LogStartOffset
		p.furthest = max(p.furthest, p.position)
	case code == kerr.OffsetOutOfRange.Code:
		w.fail("offset-out-of-range", "reader %d fetches %s at offset %d, which was reached by reading, and is told that it is out of range (high watermark %d, log start %d)",
			r.spec.ID, p.name(), from, got.HighWatermark, got.LogStartOffset)
	case retriable(code):
		p.topic.stale = true
	default:
		w.fail("unexpected-error", "reader %d: a fetch of %s is answered %s", r.spec.ID, p.name(), kafka.CodeName(code))
	}
	return true
}

// askEnd asks for the last stable offset.
func (r *txnReader) askEnd(cn *conn, p *readPart) {
	c, w := r.client, r.client.world
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version = [...]int16{2, 4, 6, 7}[c.draw().Below(4)]
	req.ReplicaID, req.IsolationLevel = -1, 1
	rt, rp := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
	rt.Topic, rp.Partition, rp.CurrentLeaderEpoch, rp.Timestamp = p.topic.plan.Name, p.partition, p.topic.partitions[p.partition].epoch, -1
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	began := w.now
	cn.ask(w, req, func(resp kmsg.Response) {
		p.asking = 0
		r.rest(p)
		got := &resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
		switch {
		case retriable(got.ErrorCode) && got.ErrorCode != 0:
			p.topic.stale = true
			return
		case got.ErrorCode != 0:
			w.fail("unexpected-error", "reader %d: ListOffsets of %s is answered %s", r.spec.ID, p.name(), kafka.CodeName(got.ErrorCode))
		}
		w.judge.stableEnd(checker.StableEnd{
			Span: checker.Span{Client: int64(c.spec.ID), Call: int64(began), Return: int64(w.now)}, Partition: p.name(), Offset: got.Offset,
		})
	})
}

// committedRead makes of an answer what real clients make: it leaves out markers and the records of transactions that are said to be
// aborted. Those begin at the offsets that are said, and end with the marker of their producer.
func (c *client) committedRead(t *topicView, partition int32, from int64, r *kmsg.FetchResponseTopicPartition) checker.CommittedRead {
	w, name := c.world, partitionName(t.plan.Name, partition)
	read := checker.CommittedRead{Partition: name, Offset: from, Next: from, Stable: r.LastStableOffset, HighWatermark: r.HighWatermark}
	list := slices.Clone(r.AbortedTransactions)
	slices.SortStableFunc(list, func(a, b kmsg.FetchResponseTopicPartitionAbortedTransaction) int {
		return cmp.Compare(a.FirstOffset, b.FirstOffset)
	})
	aborted := make(map[int64]bool)
	err := kafka.SplitBatches(r.RecordBatches, func(one []byte) {
		b, err := kafka.ParseBatch(one)
		if err != nil {
			w.fail("content", "client %d reads %s: %v", c.spec.ID, name, err)
		}
		read.Next = max(read.Next, b.LastOffset()+1)
		for len(list) > 0 && list[0].FirstOffset <= b.LastOffset() {
			aborted[list[0].ProducerID] = true
			list = list[1:]
		}
		if b.IsControl() && b.Count == 0 {
			return // compaction has spent it
		}
		if b.IsControl() {
			if commit, _ := w.marker(name, one); !commit {
				delete(aborted, b.ProducerID)
			}
			return
		}
		if b.IsTransactional() && aborted[b.ProducerID] {
			return
		}
		err = kafka.Unpack(one, 1<<20, func(delta, _ int64, _, v []byte) error {
			id, ok := parseValue(v)
			if !ok {
				w.fail("content", "client %d reads at offset %d of %s a value that nobody wrote: %.40q", c.spec.ID, b.BaseOffset+delta, name, v)
			}
			if offset := b.BaseOffset + delta; offset >= from {
				read.Records = append(read.Records, checker.Record{Offset: offset, Value: id, LeaderEpoch: b.LeaderEpoch})
			}
			return nil
		})
		if err != nil {
			w.fail("content", "client %d reads %s: %v", c.spec.ID, name, err)
		}
	})
	if err != nil {
		w.fail("content", "client %d reads %s: %v", c.spec.ID, name, err)
	}
	return read
}

// marker reads the end of a transaction. Its value for histories follows from what it says.
func (w *world) marker(partition string, one []byte) (commit bool, value checker.RecordID) {
	b, err := kafka.ParseBatch(one)
	records := 0
	if err == nil {
		err = kafka.Unpack(one, 1<<10, func(_, _ int64, key, _ []byte) error {
			records++
			if len(key) != 4 || key[0] != 0 || key[1] != 0 || key[2] != 0 || key[3] > 1 {
				w.fail("content", "%s has at offset %d a marker with key %x", partition, b.BaseOffset, key)
			}
			commit = key[3] == 1
			return nil
		})
	}
	if err != nil || records != 1 || !b.IsTransactional() || b.BaseSequence != -1 || b.LastOffsetDelta != 0 {
		w.fail("content", "%s has at offset %d a marker with %d records, attributes %x, sequence %d: %v", partition, b.BaseOffset, records, b.Attributes, b.BaseSequence, err)
	}
	h := keyed.Mix(keyed.Mix(uint64(b.ProducerID))^uint64(uint16(b.ProducerEpoch))<<1^uint64(btoi(commit))) | 1<<63
	return commit, checker.RecordID(h)
}
