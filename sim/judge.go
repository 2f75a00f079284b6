// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"math/bits"

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
	known     map[node.GroupID]bool   // in groups; look-up only
	groups    []groupInfo             // in order of discovery
	votes     map[replicaID]vote      // durable ones, by the bytes on the disks; look-up only
	voters    map[ballot]int64        // who has ever durably voted so, a bit each; look-up only
	gone      map[node.GroupID]bool   // a replica was deleted with its topic; look-up only
	trimmed   map[string]bool         // partitions of which somebody tried to delete records; look-up only
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

// groupInfo is a group that some broker had a replica of.
type groupInfo struct {
	id        node.GroupID
	topic     string // "" for the catalog
	partition int32
	replicas  []node.BrokerID
}

// vote is a term and the broker voted for in it, -1 for none.
type vote struct {
	term   uint64
	broker int64
}

// ballot is a candidate of a group in a term.
type ballot struct {
	group     node.GroupID
	term      uint64
	candidate int64
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
		votes:     make(map[replicaID]vote),
		voters:    make(map[ballot]int64),
		trimmed:   make(map[string]bool),
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
	for _, e := range out.Events {
		if e.Kind == node.EventSnapshotInstalled {
			delete(j.seen, replicaID{b.number, e.Group})
			j.cluster.Installed(int32(b.number), uint64(e.Group), uint64(e.N))
		}
	}
	for _, g := range out.Changed {
		if appended(out.Events, g) { // maybe in the place of others: the view needn't show it
			delete(j.seen, replicaID{b.number, g})
		}
		j.observeGroup(w, b, g)
	}
	for _, e := range out.Events {
		if e.Kind == node.EventTopicDeleted {
			j.forgetDeleted(b)
		}
	}
}

func appended(events []node.Event, g node.GroupID) bool {
	for i := range events {
		if events[i].Kind == node.EventAppended && events[i].Group == g {
			return true
		}
	}
	return false
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
	if v.Role == node.Leader {
		j.checkLeader(w, b, &v)
	}
	if !j.known[g] {
		j.known[g] = true
		j.groups = append(j.groups, groupInfo{g, v.Topic, v.Partition, v.Replicas})
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

// written takes what of a write is durable now, by the bytes on the disk and not by its result.
func (j *judge) written(w *world, b *broker, op wal.Op) {
	if n := b.disk.durablePrefix(op.File, op.Off, op.Data); n == len(op.Data) {
		j.synced(w, b, op.Data, true)
	} else {
		b.limbo = append(b.limbo, op)
	}
}

// synced takes the durable bytes of a write. all says that it is the whole write.
func (j *judge) synced(w *world, b *broker, data []byte, all bool) {
	j.at.broker, j.at.all = b, all
	if err := wal.Walk(data, j.record); err != nil && all {
		w.fail("write", "broker %d wrote bytes that are no records: %v", b.number, err)
	}
}

// durable takes one durable record. State records of a part of a write don't count: a segment whose
// beginning is torn is no segment.
func (j *judge) durable(r *wal.Record) {
	b, g := j.at.broker.number, r.Group
	switch {
	case r.Type == wal.RecordEntry:
		j.cluster.Durable(int32(b), uint64(g), r.Entry.Index, checker.Entry{Term: r.Entry.Term, Hash: checker.HashPayload(r.Entry.Data)})
	case r.Type == wal.RecordVote, r.Type == wal.RecordState && j.at.all:
		j.durableVote(b, g, vote{r.State.Term, voteOf(r.State.Vote)})
	}
}

func (j *judge) durableVote(broker int, g node.GroupID, v vote) {
	j.votes[replicaID{broker, g}] = v
	j.voters[ballot{g, v.term, v.broker}] |= 1 << broker
	j.at.world.violated(j.cluster.DurableVote(int32(broker), uint64(g), v.term, v.broker))
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
// and looks at what the broker recovered. All of it must be durable now: what it tells others from
// here on may not be lost any more.
func (j *judge) recovered(w *world, b *broker) {
	for _, op := range b.limbo {
		n := b.disk.durablePrefix(op.File, op.Off, op.Data)
		j.synced(w, b, op.Data[:n], n == len(op.Data))
	}
	b.limbo = b.limbo[:0]
	log, _, err := wal.Open(b.disk.image(), w.config(b).Log)
	if err != nil {
		w.fail("recovery-durable", "broker %d started, but could not start again after a power loss now: %v", b.number, err)
	}
	for _, g := range b.node.Groups() {
		v, _ := b.node.Inspect(g)
		st, _ := log.State(g)
		durable := vote{st.Term, voteOf(st.Vote)}
		if durable != (vote{v.Term, int64(v.Vote)}) || st.Last != v.LastIndex || st.First != v.FirstIndex {
			w.fail("recovery-durable", "broker %d, group %d: recovered entries %d to %d, term %d and vote %d, but after a power loss now it would have entries %d to %d, term %d and vote %d",
				b.number, g, v.FirstIndex, v.LastIndex, v.Term, v.Vote, st.First, st.Last, durable.term, durable.broker)
		}
		if w.tracing() {
			w.tracef("%s  group %d: entries %d to %d, commit %d, term %d, vote %d", w.column(b), g, v.FirstIndex, v.LastIndex, v.Commit, v.Term, v.Vote)
		}
		j.durableVote(b.number, g, durable)
		j.observeGroup(w, b, g)
	}
}

// checkLeader demands of a leader that its term is durable on its own disk (the hold rule: else it
// could win the same term once more, with other entries), and that a quorum has durably voted for
// it.
func (j *judge) checkLeader(w *world, b *broker, v *node.View) {
	if own := j.votes[replicaID{b.number, v.Group}]; own.term < v.Term {
		w.fail("leader-term-durable", "broker %d leads group %d in term %d, but a power loss would put it back to term %d", b.number, v.Group, v.Term, own.term)
	}
	voters := j.voters[ballot{v.Group, v.Term, int64(b.number)}]
	if n := bits.OnesCount64(uint64(voters)); n <= len(v.Replicas)/2 {
		w.fail("votes-durable", "broker %d leads group %d in term %d, but only %d of %d replicas ever had a durable vote for it", b.number, v.Group, v.Term, n, len(v.Replicas))
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
		v := &c.topic(p.call.Topic).partitions[p.call.Partition]
		v.end = max(v.end, f.HighWatermark) // what was under way for long may still arrive
	}
	if w.tracing() {
		w.tracef("client %d  call %d fetch %s from %d: %d records, high watermark %d", c.spec.ID, p.call.ID, name, f.Offset, len(f.Records), f.HighWatermark)
	}
}

// restart notes that a client was told to go on at the start of the log. What the verifier has read
// before is gone.
func (j *judge) restart(w *world, c *client, p *pendingCall, start int64) {
	name := partitionName(p.call.Topic, p.call.Partition)
	if j.histories.Truths[name] != nil && c == w.verifier {
		j.histories.Truths[name] = &checker.Truth{Start: start}
	}
}

// hasTrimmed notes that records were deleted.
func (j *judge) hasTrimmed(w *world, c *client, p *pendingCall, start int64) {
	w.result.Ops++
	w.hash.word(uint64(p.call.ID)<<32 ^ uint64(start))
	if w.tracing() {
		w.tracef("client %d  call %d trim %s: the log starts at %d", c.spec.ID, p.call.ID, partitionName(p.call.Topic, p.call.Partition), start)
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
	if c.topic(p.call.Topic).plan.Auto {
		return // created by requests for metadata, too
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
