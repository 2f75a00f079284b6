// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/kafka"
)

// Fetch, versions 4 to 18.
//
//	v4  isolation level: there are no transactions, so both levels see the same
//	v5  log start offset
//	v7  sessions (KIP-227): there are none; every answer has session 0. A request within a session,
//	    by its epoch, gets FETCH_SESSION_ID_NOT_FOUND, and clients fall back to full requests. With
//	    epoch 0 or -1 a request is full whatever its session id, which kafka-go sets to -1
//	v9  current leader epoch (KIP-320)
//	v10 zstd; before, batches are sent as they are all the same: Kafka refuses them only where
//	    compression.type=zstd says that there is nothing else, and kafka-python 2 reads zstd at v4
//	v11 rack (KIP-392): see api_fetch_closest.go
//	v12 flexible, and last fetched epoch (KIP-595): checked for truncation
//	v13 topics by id (KIP-516)
//	v16 who leads, in the answer of one that doesn't (KIP-951)
//	v15, v17, v18 fields of Kafka's own replicas: ignored
//
// A fetch waits until min_bytes are there, max_wait_ms are over, or a partition has an error. The
// limits on bytes are soft: the first batch goes out whole whatever its size, else a large batch
// would stop its consumer for ever. No answer is larger than FetchMaxBytes whatever the client
// allows, so that clients who read slowly cost little. Batches that are no longer in memory are read from the log
// first; the request waits for that, beyond max_wait_ms if it has to.
type fetch struct {
	node     *Node
	request  *request
	req      *kmsg.FetchRequest
	deadline Time
	parked   []*partition // where it waits
	begun    []cursor     // per partition of the request: how far it looked when it had to wait for a read
	woken    bool         // in node.woken
}

func (n *Node) handleFetch(r *request, m kmsg.Request) {
	req := m.(*kmsg.FetchRequest)
	if req.SessionEpoch > 0 {
		resp := kmsg.NewPtrFetchResponse()
		resp.ErrorCode = kerr.FetchSessionIDNotFound.Code
		r.reply(resp)
		return
	}
	f := &fetch{node: n, request: r, req: req}
	f.deadline = n.now.Add(millis(req.MaxWaitMillis))
	f.try()
	r.expireAfter(millis(req.MaxWaitMillis), f.wake)
}

// wake lets the fetch look again at the end of this step.
func (f *fetch) wake() {
	if !f.woken && !f.request.done {
		f.woken = true
		f.node.woken = append(f.node.woken, f)
	}
}

// retry is called once for a woken fetch, after everything else in the step.
func (f *fetch) retry() {
	f.woken = false
	for _, p := range f.parked {
		p.unpark(f)
	}
	f.parked = f.parked[:0]
	if !f.request.done && !f.request.gone {
		f.try()
	}
}

// try answers the fetch if it can, or parks it.
func (f *fetch) try() {
	a := fetchAnswer{fetch: f, budget: min(int64(f.req.MaxBytes), f.node.cfg.FetchMaxBytes), resp: kmsg.NewPtrFetchResponse()}
	a.fill()
	if a.missing && a.bytes == 0 && !a.failed && !a.redirected {
		return // a read is under way; its result wakes us
	}
	if a.failed || a.redirected || a.missing || a.bytes >= int64(f.req.MinBytes) || f.node.now >= f.deadline {
		f.request.replyBatches(a.resp, a.batches)
		return
	}
	f.node.event(Event{Kind: EventFetchParked})
	for _, p := range f.parked {
		p.parked = append(p.parked, f)
	}
}

// fetchAnswer is an answer in the making.
type fetchAnswer struct {
	fetch      *fetch
	resp       *kmsg.FetchResponse
	batches    [][]kafka.PlacedBatch // per partition
	bytes      int64
	budget     int64
	failed     bool // a partition has an error
	redirected bool // a partition is better read elsewhere
	missing    bool // a batch has to be read from the log first
}

func (a *fetchAnswer) fill() {
	f := a.fetch
	f.parked = f.parked[:0]
	a.resp.Topics = make([]kmsg.FetchResponseTopic, len(f.req.Topics))
	for i := range f.req.Topics {
		in, out := &f.req.Topics[i], &a.resp.Topics[i]
		*out = kmsg.NewFetchResponseTopic()
		out.Topic, out.TopicID = in.Topic, in.TopicID
		name, err := f.node.topicName(f.req.Version >= 13, in.Topic, in.TopicID)
		out.Partitions = make([]kmsg.FetchResponseTopicPartition, len(in.Partitions))
		for j := range in.Partitions {
			a.batches = append(a.batches, nil)
			a.fillPartition(name, err, &in.Partitions[j], &out.Partitions[j])
		}
	}
}

// fillPartition answers for one partition; err says that its topic is unknown.
func (a *fetchAnswer) fillPartition(topic string, err error, in *kmsg.FetchRequestTopicPartition, out *kmsg.FetchResponseTopicPartition) {
	n := a.fetch.node
	*out = kmsg.NewFetchResponseTopicPartition()
	out.Partition, out.HighWatermark, out.LastStableOffset, out.LogStartOffset = in.Partition, -1, -1, -1
	out.PreferredReadReplica = -1
	var p *partition
	if err == nil {
		p, err = a.source(topic, in)
	}
	if err != nil {
		out.ErrorCode, a.failed = code(err), true
		a.nameLeader(n.catalog.partition(topic, in.Partition), out)
		return
	}
	out.HighWatermark, out.LastStableOffset, out.LogStartOffset = p.highWatermark, p.highWatermark, p.logStart()
	if a.diverged(p, in, out) {
		return
	}
	ahead := in.FetchOffset > p.highWatermark
	if in.FetchOffset < p.logStart() || ahead && !p.follows() {
		out.ErrorCode, a.failed = kerr.OffsetOutOfRange.Code, true
		return
	}
	if a.redirect(p, out) {
		return
	}
	a.fetch.parked = append(a.fetch.parked, p)
	limit := min(int64(in.PartitionMaxBytes), a.budget-a.bytes)
	if in.FetchOffset >= p.highWatermark || limit <= 0 && a.bytes > 0 {
		return
	}
	batches, err := a.read(p, in.FetchOffset, limit)
	if err != nil && len(batches) == 0 {
		out.ErrorCode, a.failed = code(err), true
	}
	a.batches[len(a.batches)-1] = batches
}

// nameLeader says who leads a partition, so that the client needn't ask for metadata.
func (a *fetchAnswer) nameLeader(meta *partitionMeta, out *kmsg.FetchResponseTopicPartition) {
	if meta == nil || a.fetch.req.Version < 16 || out.ErrorCode != kerr.NotLeaderForPartition.Code && out.ErrorCode != kerr.FencedLeaderEpoch.Code {
		return
	}
	n := a.fetch.node
	leader, epoch := n.leaderOf(meta)
	m := n.member(leader)
	if m == nil {
		return
	}
	out.CurrentLeader.LeaderID, out.CurrentLeader.LeaderEpoch = int32(leader), epoch
	if !slices.ContainsFunc(a.resp.Brokers, func(b kmsg.FetchResponseBroker) bool { return b.NodeID == int32(leader) }) {
		a.resp.Brokers = append(a.resp.Brokers, kmsg.FetchResponseBroker(endpoint(m)))
	}
}

// diverged answers a client whose last record is of an epoch that ended earlier here: it has to
// truncate what it has (KIP-595).
func (a *fetchAnswer) diverged(p *partition, in *kmsg.FetchRequestTopicPartition, out *kmsg.FetchResponseTopicPartition) bool {
	if in.LastFetchedEpoch < 0 || a.fetch.req.Version < 12 || p.follows() && in.FetchOffset > p.highWatermark {
		return false // a follower can't judge what it hasn't applied yet
	}
	epoch, end := p.epochEnd(in.LastFetchedEpoch)
	if epoch == in.LastFetchedEpoch && end >= in.FetchOffset {
		return false
	}
	out.DivergingEpoch.Epoch, out.DivergingEpoch.EndOffset = epoch, end
	a.failed = true
	return true
}

// read returns whole batches from the one that holds offset on, at least one unless this answer has
// some already.
func (a *fetchAnswer) read(p *partition, offset, limit int64) (out []kafka.PlacedBatch, err error) {
	number, size := len(a.batches)-1, int64(0)
	for c := a.fetch.begin(number, p, offset); c.base < p.highWatermark; {
		e, err := a.fetch.node.entry(p, c.index, a.fetch.wake)
		if err != nil {
			return out, err
		}
		if e == nil {
			if len(out) == 0 { // otherwise what we have goes out now
				a.missing = true
				a.fetch.begun[number] = c
			}
			break
		}
		b, base, ok := p.take(&c, e)
		if !ok || base+b.Offsets() <= offset {
			continue
		}
		if size += int64(b.Size()); size > limit && a.bytes > 0 {
			break
		}
		a.bytes += int64(b.Size())
		out = append(out, kafka.PlacedBatch{Raw: e.GetData(), Offset: base, Epoch: leaderEpoch(e.GetTerm())})
	}
	return out, nil
}

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

// entry returns an entry from memory, or nil: then a read was started, and ready is called when it
// is done. An error says that it can't be read at all.
func (n *Node) entry(p *partition, index uint64, ready func()) (*pb.Entry, error) {
	if e := p.group.view.entry(index); e != nil {
		n.counters.hotHits++
		return e, nil
	}
	if e := n.cold.lookup(p.group.id, index); e != nil {
		n.counters.cacheHits++
		return e, nil
	}
	if slices.Contains(p.group.unreadable, index) {
		return nil, errUnreadable
	}
	end := p.group.applied + 1
	if p.group.careful {
		end = index + 1
	}
	n.cold.read(p.group.id, index, end)
	n.coldFor = append(n.coldFor, coldWaiter{p.group.id, ready})
	return nil, nil
}

// readable finds a partition of which this broker may answer reads now.
func (n *Node) readable(topic string, index int32, epoch int32) (*partition, error) {
	p, err := n.partitionFor(topic, index)
	switch {
	case err != nil:
		return nil, err
	case p.checkEpoch(epoch) != nil:
		return nil, p.checkEpoch(epoch)
	case !p.leads():
		return nil, kerr.NotLeaderForPartition // a new leader that doesn't know its high watermark yet
	}
	return p, nil
}
