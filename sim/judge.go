// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"chronik/checker"
	"chronik/node"
	"chronik/wal"
)

// judge holds a run against its promises: raft's invariants after every step, the truth of the
// disks, and at the end what clients saw.
type judge struct {
	cluster   *checker.Cluster
	histories checker.Histories
	seen      map[replicaID]node.View // last view given to the cluster; look-up only
	known     map[node.GroupID]bool   // the cluster knows who votes; look-up only
	gone      map[node.GroupID]bool   // a replica was deleted with its topic; look-up only
	producers map[producerKey]bool    // ids given out; look-up only

	// Where the cluster's questions for entries and the walk over a write go.
	at struct {
		broker *broker
		group  node.GroupID
		world  *world
		all    bool
	}
	entry  func(index uint64) (uint64, []byte, bool)
	record func(*wal.Record)
}

type replicaID struct {
	broker int
	group  node.GroupID
}

type producerKey struct {
	id    int64
	epoch int16
}

func newJudge(w *world) *judge {
	j := &judge{
		cluster:   checker.NewCluster(),
		histories: checker.Histories{Truths: make(map[string]*checker.Truth)},
		seen:      make(map[replicaID]node.View),
		known:     make(map[node.GroupID]bool),
		gone:      make(map[node.GroupID]bool),
		producers: make(map[producerKey]bool),
	}
	for _, t := range w.plan.Topics {
		for p := range t.Partitions {
			j.histories.Partition(partitionName(t.Name, p))
		}
	}
	j.at.world = w
	j.entry = func(index uint64) (uint64, []byte, bool) {
		return j.at.broker.node.EntryAt(j.at.group, index)
	}
	j.record = j.durable
	return j
}

// observe looks at what a step changed.
func (j *judge) observe(w *world, b *broker, out *node.Output) {
	for _, g := range out.Changed {
		j.observeGroup(w, b, g)
	}
	for _, e := range out.Events {
		if e.Kind == node.EventTopicDeleted {
			j.forgetDeleted(b)
		}
	}
}

func (j *judge) observeGroup(w *world, b *broker, g node.GroupID) {
	v, ok := b.node.Inspect(g)
	if !ok || j.gone[g] {
		return
	}
	id := replicaID{b.number, g}
	if last, ok := j.seen[id]; ok && sameView(&last, &v) {
		return
	}
	j.seen[id] = v
	if !j.known[g] {
		j.known[g] = true
		j.cluster.SetReplicas(uint64(g), brokerNumbers(v.Replicas))
	}
	j.at.broker, j.at.group = b, g
	w.violated(j.cluster.Observe(int32(b.number), uint64(g), checker.View{
		Term: v.Term, Vote: int64(v.Vote), Leader: v.Role == node.Leader,
		First: v.FirstIndex, Last: v.LastIndex, Commit: v.Commit, Applied: v.Applied,
		HighWatermark: v.HighWatermark, LogStart: v.LogStart,
	}, j.entry))
	if v.DurableTerm > v.Term {
		w.fail("durable-term", "broker %d, group %d: durable term %d is above its term %d", b.number, g, v.DurableTerm, v.Term)
	}
}

// sameView says that nothing changed that the cluster looks at.
func sameView(a, b *node.View) bool {
	return a.Term == b.Term && a.Vote == b.Vote && a.Role == b.Role && a.FirstIndex == b.FirstIndex &&
		a.LastIndex == b.LastIndex && a.Commit == b.Commit && a.Applied == b.Applied &&
		a.HighWatermark == b.HighWatermark && a.LogStart == b.LogStart && a.DurableTerm == b.DurableTerm
}

func brokerNumbers(ids []node.BrokerID) []int32 {
	out := make([]int32, len(ids))
	for i, id := range ids {
		out[i] = int32(id)
	}
	return out
}

// forgetDeleted drops replicas that a broker no longer has. From then on nothing is demanded of
// their groups: other replicas may go on for a while, but nothing in them is needed.
func (j *judge) forgetDeleted(b *broker) {
	//det:ok order does not matter because each replica is dropped for itself
	for id := range j.seen {
		if id.broker != b.number {
			continue
		}
		if _, ok := b.node.Inspect(id.group); !ok {
			delete(j.seen, id)
			j.gone[id.group] = true
			j.cluster.RemoveReplica(int32(b.number), uint64(id.group))
		}
	}
}

// synced takes the bytes of a write that is durable now. all says that it is the whole write.
func (j *judge) synced(w *world, b *broker, data []byte, all bool) {
	j.at.broker, j.at.all = b, all
	if err := wal.Walk(data, j.record); err != nil && all {
		w.fail("write", "broker %d wrote bytes that are no records: %v", b.number, err)
	}
}

// durable takes one durable record.
func (j *judge) durable(r *wal.Record) {
	b, g := int32(j.at.broker.number), uint64(r.Group)
	switch {
	case r.Type == wal.RecordEntry:
		j.cluster.Durable(b, g, r.Entry.Index, checker.Entry{Term: r.Entry.Term, Hash: checker.HashPayload(r.Entry.Data)})
	case r.Type == wal.RecordVote, r.Type == wal.RecordCheckpoint && j.at.all:
		j.at.world.violated(j.cluster.DurableVote(b, g, r.State.Term, voteOf(r.State.Vote)))
	}
}

// voteOf is the broker in a raft id, as node makes them: the upper half; -1 for none.
func voteOf(raftID uint64) int64 {
	if raftID == 0 {
		return -1
	}
	return int64(raftID >> 32)
}

// crashed notes that a broker stopped.
func (j *judge) crashed(_ *world, b *broker) {
	j.cluster.Restarted(int32(b.number))
	//det:ok order does not matter because each view is dropped for itself
	for id := range j.seen {
		if id.broker == b.number {
			delete(j.seen, id)
		}
	}
}

// recovered finds out, from the durable bytes, how much of the writes that were cut short survived,
// and looks at what the broker recovered.
func (j *judge) recovered(w *world, b *broker) {
	for _, op := range b.limbo {
		got := b.disk.durableAt(op.File, op.Off, len(op.Data))
		n := 0
		for n < len(got) && got[n] == op.Data[n] {
			n++
		}
		j.synced(w, b, op.Data[:n], n == len(op.Data))
	}
	b.limbo = b.limbo[:0]
	for _, g := range b.node.Groups() {
		j.observeGroup(w, b, g)
	}
}

// producerID demands that no producer id is given out twice (KIP-98).
func (j *judge) producerID(w *world, c *client, id int64, epoch int16) {
	k := producerKey{id, epoch}
	if id < 0 || j.producers[k] {
		w.fail("producer-id", "client %d is given producer id %d, epoch %d, which another client has", c.spec.ID, id, epoch)
	}
	j.producers[k] = true
}

// producing notes that a produce call began, and returns its place in the history.
func (j *judge) producing(c *client, b *batch) int {
	h := j.histories.Partition(partitionName(b.call.Topic, b.call.Partition))
	h.Produces = append(h.Produces, checker.Produce{
		Span:    checker.Span{Client: int64(c.spec.ID), Call: int64(b.began), Return: int64(node.Never)},
		Outcome: checker.Unknown, Values: b.values, BaseOffset: -1, Idempotent: c.spec.Idempotent,
	})
	return len(h.Produces) - 1
}

// produced notes how it ended.
func (j *judge) produced(w *world, c *client, b *batch, outcome checker.Outcome, offset int64) {
	p := &j.histories.Partition(partitionName(b.call.Topic, b.call.Partition)).Produces[b.record]
	p.Return, p.Outcome, p.BaseOffset = int64(w.now), outcome, offset
	w.hash.word(uint64(b.call.ID)<<32 ^ uint64(offset))
	if outcome == checker.OK {
		w.result.Ops++
		w.result.Acked += int64(len(b.values))
	}
	if w.tracing() {
		w.tracef("client %d  call %d produce %s %s at %d", c.spec.ID, b.call.ID, p.Outcome, partitionName(b.call.Topic, b.call.Partition), offset)
	}
	if outcome != checker.OK {
		j.missed(w, c, b.call, b.began)
	}
}

// fetched notes an answered fetch.
func (j *judge) fetched(w *world, c *client, p *pendingCall, f checker.Fetch) {
	w.result.Ops++
	name := partitionName(p.call.Topic, p.call.Partition)
	w.hash.word(uint64(p.call.ID)<<32 ^ uint64(f.HighWatermark)<<8 ^ uint64(len(f.Records)))
	h := j.histories.Partition(name)
	h.Fetches = append(h.Fetches, f)
	if t := j.histories.Truths[name]; t != nil && c == w.verifier {
		for _, r := range f.Records {
			if r.Offset >= f.Offset {
				t.Records = append(t.Records, r)
			}
		}
	}
	if w.tracing() {
		w.tracef("client %d  call %d fetch %s from %d: %d records, high watermark %d", c.spec.ID, p.call.ID, name, f.Offset, len(f.Records), f.HighWatermark)
	}
}

// end notes an answered question for the end of a partition.
func (j *judge) end(w *world, c *client, p *pendingCall, e checker.End) {
	w.result.Ops++
	w.hash.word(uint64(p.call.ID)<<32 ^ uint64(e.Offset))
	h := j.histories.Partition(partitionName(p.call.Topic, p.call.Partition))
	h.Ends = append(h.Ends, e)
	if c == w.verifier {
		c.topic(p.call.Topic).partitions[p.call.Partition].end = e.Offset
	}
	if w.tracing() {
		w.tracef("client %d  call %d latest %s: %d", c.spec.ID, p.call.ID, h.Partition, e.Offset)
	}
}

// catalog notes one attempt to create or delete a topic.
func (j *judge) catalog(w *world, c *client, p *pendingCall, outcome checker.Outcome, refused bool) {
	if outcome == checker.OK {
		w.result.Ops++
	}
	op := checker.CreateTopic
	if p.call.Kind == CallDelete {
		op = checker.DeleteTopic
	}
	j.histories.Catalog = append(j.histories.Catalog, checker.CatalogCall{
		Span: c.span(p), Op: op, Topic: p.call.Topic, Outcome: outcome, Refused: refused,
	})
	if w.tracing() {
		w.tracef("client %d  call %d %s %s: %s refused=%v", c.spec.ID, p.call.ID, p.call.Kind, p.call.Topic, outcome, refused)
	}
}

// gaveUp notes that a call that is not produce got no answer in time.
func (j *judge) gaveUp(w *world, c *client, p *pendingCall) {
	if w.tracing() {
		w.tracef("client %d  call %d %s gave up", c.spec.ID, p.call.ID, p.call.Kind)
	}
	j.missed(w, c, p.call, p.began)
}

// missed ends the run if a call was given up though everything had been well for long.
func (j *judge) missed(w *world, c *client, call *Call, began node.Time) {
	if !w.healing || call.Kind == CallProduce && !c.spec.Idempotent || w.doomed[call.Topic] {
		return
	}
	if well := w.now - max(began, w.healedAt); well >= w.patience() {
		w.fail("liveness", "client %d, call %d (%s %s/%d) got no answer though all faults had ended %v before",
			c.spec.ID, call.ID, call.Kind, call.Topic, call.Partition, Duration(well))
	}
}
