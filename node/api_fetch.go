// SPDX-License-Identifier: Apache-2.0

package node

import (
	"container/list"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// Fetch, versions 4 to 18.
//
//	v4  isolation level: with read_committed nothing from the last stable offset on, and a list of the aborted
//	    transactions of which records or markers are in the answer. Clients leave those records out
//	v5  log start offset
//	v7  sessions (KIP-227), see fetch_session.go. With epoch 0 or -1 a request is full whatever its session id, which
//	    kafka-go sets to -1
//	v9  current leader epoch (KIP-320)
//	v10 zstd; before, batches are sent as they are all the same: Kafka refuses them only where
//	    compression.type=zstd says that there is nothing else, and kafka-python 2 reads zstd at v4
//	v11 rack (KIP-392): see api_fetch_closest.go
//	v12 flexible, and last fetched epoch (KIP-595): checked for truncation
//	v13 topics by id (KIP-516)
//	v16 who leads, in the answer of one that doesn't (KIP-951)
//	v15, v17, v18 fields of Kafka's own replicas: ignored
//
// A fetch waits until min_bytes are there, max_wait_ms are over, or a partition has an error. The limits on bytes are soft:
// the first batch goes out whole whatever its size, else a large batch would stop its consumer for ever. No answer is larger
// than FetchMaxBytes and what largestAnswer says, whatever the client allows, so that clients who read slowly cost little.
// One that is full by these doesn't wait for min_bytes. Batches that are no longer in memory are read from the log first; the
// request waits for that, beyond max_wait_ms if it has to. Of a partition that is named twice the last counts, as in Kafka.
type fetch struct {
	node     *Node
	request  *request
	req      *kmsg.FetchRequest
	deadline Time
	parked   []parking     // where it waits
	found    int64         // bytes that it could have by now
	waits    bool          // it is parked, perhaps nowhere
	coldWait entryWait     // of old entries
	begun    []cursor      // per partition of the request: how far it looked when it had to wait for a read
	woken    bool          // in node.woken
	filling  bool          // an answer is in the making
	again    bool          // woken while it was
	session  *fetchSession // that it goes on with; nil: none
	opens    bool          // it asks for a session
}

// parkedFetches are those that wait for a partition's records.
type parkedFetches struct {
	parked list.List // in order of arrival
	wakes  uint64    // how often they were woken
}

// wakeAll lets all of them look again, at the end of this step.
func (w *parkedFetches) wakeAll(n *Node) {
	w.wakes++
	if w.parked.Len() == 0 {
		return
	}
	n.out.Work.Parts += w.parked.Len() / 16
	for e := w.parked.Front(); e != nil; e = w.parked.Front() {
		w.parked.Remove(e).(*parking).fetch.wake()
	}
}

// grown lets those look again that may have enough now, since the partition got that many bytes. A fetch of many partitions
// that waits for many bytes would otherwise look at all of them for each batch of one.
func (w *parkedFetches) grown(n *Node, bytes int64) {
	w.wakes++
	n.out.Work.Parts += w.parked.Len() / 16
	for e := w.parked.Front(); e != nil; {
		p := e.Value.(*parking)
		e = e.Next()
		more := min(p.left, bytes)
		p.left -= more
		if p.fetch.found += more; p.fetch.found >= int64(p.fetch.req.MinBytes) {
			w.parked.Remove(p.place)
			p.fetch.wake()
		}
	}
}

// parking is a fetch's place among those that wait for a partition's records.
type parking struct {
	fetch *fetch
	at    *parkedFetches
	wakes uint64        // of the partition, when it was looked at
	left  int64         // so many bytes of it there is still room for in the answer
	place *list.Element // in its list
}

func (n *Node) handleFetch(r *request, m kmsg.Request) {
	req := m.(*kmsg.FetchRequest)
	var session *fetchSession
	switch {
	case req.SessionEpoch > 0:
		var err *kerr.Error
		if session, err = n.sessionOf(r, req); err != nil {
			r.refuseSession(err)
			return
		}
	case r.conn.session != nil && r.conn.session.id == req.SessionID:
		n.endSession(r.conn)
	}
	f := &fetch{node: n, request: r, req: req}
	f.deadline = n.now.Add(millis(req.MaxWaitMillis))
	f.coldWait = entryWait{request: r, again: f.wake}
	r.fetch = f
	r.onEnd(f.unpark)
	f.opens = req.SessionEpoch == 0 && req.Version >= 7
	begin := func() {
		f.try()
		r.expireAfter(f.deadline.Sub(n.now), f.wake)
	}
	f.merge(func() {
		if session == nil {
			begin()
			return
		}
		f.resume(session, begin)
	})
}

// merge leaves one of what is named for each partition, and calls then.
func (f *fetch) merge(then func()) {
	topics := f.req.Topics
	if len(topics) == 1 && len(topics[0].Partitions) == 1 {
		then()
		return
	}
	type key struct {
		name string
		id   [16]byte
		part int32
	}
	seen := make(map[key]*kmsg.FetchRequestTopicPartition)
	var all []kmsg.FetchRequestTopicPartition // of the topic under way
	f.node.eachPart(f.request, len(topics), func(i int) int {
		all, topics[i].Partitions = topics[i].Partitions, topics[i].Partitions[:0]
		return len(all)
	}, func(i, j int) {
		t := &topics[i]
		k := key{t.Topic, t.TopicID, all[j].Partition}
		if first := seen[k]; first != nil {
			*first = all[j]
			return
		}
		t.Partitions = append(t.Partitions, all[j])
		seen[k] = &t.Partitions[len(t.Partitions)-1]
	}, then)
}

// wake lets the fetch look again at the end of this step.
func (f *fetch) wake() {
	if !f.woken && !f.request.over() {
		f.woken = true
		f.node.woken = append(f.node.woken, f)
	}
}

// retry is called once for a woken fetch, after everything else in the step.
func (f *fetch) retry() {
	f.woken = false
	f.unpark()
	switch {
	case f.request.over():
	case f.filling:
		f.again = true
	default:
		f.try()
	}
}

// unpark takes the fetch out of where it waits.
func (f *fetch) unpark() {
	if f.waits {
		f.waits = false
		f.request.conn.parked--
		f.node.parkedBytes.give(f.request.size)
		f.request.conn.from.parked -= f.request.size
	}
	for i := range f.parked {
		if place := f.parked[i].place; place != nil {
			f.parked[i].at.parked.Remove(place)
			f.parked[i].place = nil
		}
	}
}

// park lets the fetch wait for more records; false if those that wait hold too much already. If a partition got some
// since it was looked at, it looks again.
func (f *fetch) park(found int64) bool {
	f.found = found
	from := f.request.conn.from
	if !f.node.parkedBytes.take(0, from.parked, f.request.size) {
		return false
	}
	f.waits = true
	f.request.uncharge() // it is counted where it waits now
	f.request.conn.parked++
	from.parked += f.request.size
	f.node.event(Event{Kind: EventFetchParked})
	for i := range f.parked {
		at := &f.parked[i]
		at.place = at.at.parked.PushBack(at)
		f.again = f.again || at.wakes != at.at.wakes
	}
	return true
}

// try makes an answer, partition by partition.
func (f *fetch) try() {
	a := &fetchAnswer{fetch: f, budget: min(int64(f.req.MaxBytes), f.node.largestAnswer(), f.request.fetchLimit()), resp: kmsg.NewPtrFetchResponse()}
	a.resp.Topics = make([]kmsg.FetchResponseTopic, len(f.req.Topics))
	f.filling, f.again, f.parked = true, false, f.parked[:0]
	f.node.eachPart(f.request, len(f.req.Topics), a.begin, a.fill, func() {
		f.filling = false
		f.conclude(a)
	})
}

// conclude gives the answer if it can be given, or waits.
func (f *fetch) conclude(a *fetchAnswer) {
	ready := a.failed || a.redirected || a.missing || a.cut || a.full || a.bytes >= int64(f.req.MinBytes) || f.node.now >= f.deadline
	switch {
	case a.missing && a.bytes == 0 && !a.failed && !a.redirected: // a read is under way; its result wakes us
	case ready, !f.park(a.bytes): // where there is no room to wait it is answered as if its time were up
		f.request.throttleFetch(a)
		f.settleSession(a, func() {
			f.node.unread += a.bytes
			f.request.replyBatches(a.resp, a.batches)
		})
	}
	if f.again {
		f.again = false
		f.wake()
	}
}

// fetchAnswer is an answer in the making.
type fetchAnswer struct {
	fetch      *fetch
	resp       *kmsg.FetchResponse
	topic      string // the name of the topic under way, or why it is unknown
	err        error
	batches    [][]kafka.PlacedBatch // per partition
	bytes      int64
	budget     int64
	named      map[BrokerID]bool // whose addresses are in the answer
	failed     bool              // a partition has an error
	redirected bool              // a partition is better read elsewhere
	missing    bool              // a batch has to be read from the log first
	cut        bool              // there is more, but this step has done enough
	full       bool              // there is more, but the answer may not be larger
	aborted    abortedList       // of the partition under way
	made       int64             // bytes of records that were put into form for it
	held       bool              // it is empty, because of a quota
}

// begin begins with a topic.
func (a *fetchAnswer) begin(i int) int {
	in, out := &a.fetch.req.Topics[i], &a.resp.Topics[i]
	*out = kmsg.NewFetchResponseTopic()
	out.Topic, out.TopicID = in.Topic, in.TopicID
	a.topic, a.err = a.fetch.topic(in)
	out.Partitions = make([]kmsg.FetchResponseTopicPartition, len(in.Partitions))
	return len(in.Partitions)
}

// fill adds a partition.
func (a *fetchAnswer) fill(i, j int) {
	a.batches = append(a.batches, nil)
	a.fillPartition(a.topic, a.err, &a.fetch.req.Topics[i].Partitions[j], &a.resp.Topics[i].Partitions[j])
}

// fillPartition answers for one partition; err says that its topic is unknown.
func (a *fetchAnswer) fillPartition(topic string, err error, in *kmsg.FetchRequestTopicPartition, out *kmsg.FetchResponseTopicPartition) {
	n := a.fetch.node
	*out = kmsg.NewFetchResponseTopicPartition()
	out.Partition, out.HighWatermark, out.LastStableOffset, out.LogStartOffset = in.Partition, -1, -1, -1
	out.PreferredReadReplica = -1
	switch {
	case err == nil && topic == groupsTopic:
		a.fillGroups(in, out)
		return
	case err == nil && topic == transactionsTopic:
		a.fillTransactions(in, out)
		return
	}
	var p *partition
	if err == nil && max(a.fetch.req.ReplicaID, a.fetch.req.ReplicaState.ID) >= 0 { // replicas don't ask here
		err = kerr.NotLeaderForPartition
	}
	if err == nil {
		p, err = a.source(topic, in)
	}
	if err != nil {
		out.ErrorCode, a.failed = a.fetch.request.code(err), true
		a.nameLeader(n.catalog.partition(topic, in.Partition), out)
		return
	}
	out.HighWatermark, out.LastStableOffset, out.LogStartOffset = p.highWatermark, p.lastStable(), p.logStart()
	if a.diverged(p, in, out) {
		return
	}
	ahead := in.FetchOffset > p.highWatermark
	if in.FetchOffset < p.logStart() || ahead && !p.mayLag() {
		out.ErrorCode, a.failed = kerr.OffsetOutOfRange.Code, true
		if n.logLevel <= LogDebug {
			a.fetch.request.noteReason(out.ErrorCode, fmt.Errorf("offset %d is asked for, and the partition has those from %d up to %d", in.FetchOffset, p.logStart(), p.highWatermark))
		}
		return
	}
	if a.redirect(p, out) {
		return
	}
	limit := min(int64(in.PartitionMaxBytes), a.budget-a.bytes)
	end, at := p.endFor(a.fetch.req.IsolationLevel)
	a.fetch.parked = append(a.fetch.parked, parking{fetch: a.fetch, at: at, wakes: at.wakes, left: limit})
	a.aborted = newAbortedList(p, a.fetch.req.IsolationLevel)
	switch {
	case in.FetchOffset >= end:
	case limit > 0 || a.bytes == 0:
		a.fillRecords(p, in, out, limit, end)
	default:
		a.full = a.full || in.PartitionMaxBytes > 0
	}
	out.AbortedTransactions = a.aborted.list
}

// fillRecords adds a partition's records up to an end.
func (a *fetchAnswer) fillRecords(p *partition, in *kmsg.FetchRequestTopicPartition, out *kmsg.FetchResponseTopicPartition, limit, end int64) {
	before := a.bytes
	batches, err := a.read(p, in.FetchOffset, end, limit)
	a.fetch.parked[len(a.fetch.parked)-1].left -= a.bytes - before
	if err != nil && len(batches) == 0 {
		out.ErrorCode, a.failed = a.fetch.request.code(err), true
	}
	a.batches[len(a.batches)-1] = batches
}

// diverged answers a client whose last record is of an epoch that ended earlier here: it has to
// truncate what it has (KIP-595).
func (a *fetchAnswer) diverged(p *partition, in *kmsg.FetchRequestTopicPartition, out *kmsg.FetchResponseTopicPartition) bool {
	if in.LastFetchedEpoch < 0 || a.fetch.req.Version < 12 || p.mayLag() && in.FetchOffset > p.highWatermark {
		return false // who hasn't applied something yet can't judge it
	}
	epoch, end := p.epochEnd(in.LastFetchedEpoch)
	if epoch == in.LastFetchedEpoch && end >= in.FetchOffset {
		return false
	}
	out.DivergingEpoch.Epoch, out.DivergingEpoch.EndOffset = epoch, end
	a.failed = true
	return true
}

// read returns whole batches from the one that holds offset on, up to an end, at least one unless this answer has
// some already. Batches that compaction left without records are of no use to clients, and some stop at them; but
// if nothing else is left, the last brings the client to the end.
func (a *fetchAnswer) read(p *partition, offset, end, limit int64) (out []kafka.PlacedBatch, err error) {
	number, size := len(a.batches)-1, int64(0)
	n := a.fetch.node
	var empty []kafka.PlacedBatch
	for c, looked := a.fetch.begin(number, p, offset), 0; c.base < end; looked++ {
		if looked%entriesAPart == entriesAPart-1 {
			n.out.Work.Parts++
			if n.spent(1) {
				a.cutRead(c, len(out))
				return out, nil
			}
		}
		if p.skip(&c, end) && len(a.aborted.within) > 0 {
			return out, nil // there may have been a marker, see abortedList.mustEnd
		}
		e, err := n.entry(p, c.index, &a.fetch.coldWait)
		if err != nil {
			return out, err
		}
		if e == nil {
			if len(out) == 0 { // otherwise what we have goes out now
				a.missing = true
				a.fetch.begun[number] = c
			}
			return out, nil
		}
		b, base, ok := p.take(&c, e)
		if !ok || base+b.Offsets() <= offset {
			continue
		}
		if b.Count == 0 {
			if a.aborted.mustEnd(&b, base) {
				return out, nil
			}
			empty = append(empty[:0], kafka.PlacedBatch{Raw: e.GetData(), Offset: base, Epoch: leaderEpoch(e.GetTerm())})
			continue
		}
		empty = empty[:0]
		if size += int64(b.Size()); size > limit && a.bytes > 0 {
			a.full = a.full || a.bytes+int64(b.Size()) > a.budget
			a.fetch.parked[len(a.fetch.parked)-1].left = 0
			return out, nil
		}
		a.bytes += int64(b.Size())
		a.aborted.add(&b, base)
		out = append(out, kafka.PlacedBatch{Raw: e.GetData(), Offset: base, Epoch: leaderEpoch(e.GetTerm())})
	}
	if len(empty) > 0 {
		a.bytes += int64(len(empty[0].Raw))
	}
	return append(out, empty...), nil
}

// cutRead ends a read because this step has done enough. With nothing to answer yet it goes on in the next one.
func (a *fetchAnswer) cutRead(c cursor, found int) {
	if a.cut = a.bytes > 0; !a.cut && found == 0 {
		a.missing = true
		a.fetch.begun[len(a.batches)-1] = c
		a.fetch.wake()
	}
}

// entriesAPart is how many entries cost as much as a partition.
const entriesAPart = 16

// begin returns where to look for an offset: where an earlier try had come to, so that a fetch gets
// on however little the cache holds, or the beginning of its span.
func (f *fetch) begin(number int, p *partition, offset int64) cursor {
	for len(f.begun) <= number {
		f.begun = append(f.begun, cursor{})
	}
	if c := f.begun[number]; c.index > 0 {
		return c
	}
	return p.seek(offset)
}
