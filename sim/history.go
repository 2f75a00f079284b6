// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"

	"chronik/checker"
	"chronik/node"
	"chronik/sim/plan"
)

// This file is the half of the judge that listens to clients: it writes their calls into the
// histories that package checker judges in the end.

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
		Outcome: checker.Unknown, Values: b.values, BaseOffset: -1, Idempotent: c.spec.Idempotent || c.spec.Keeps,
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
	if f.Offset >= j.begins[name] { // else it is about an epoch that was judged already
		h.Fetches = append(h.Fetches, f)
	}
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

// answered notes an answer that is in no history.
func (j *judge) answered(w *world, c *client, p *pendingCall, what int64) {
	w.result.Ops++
	w.hash.word(uint64(p.call.ID)<<32 ^ uint64(what))
	if w.tracing() {
		w.tracef("client %d  call %d %s %v is answered", c.spec.ID, p.call.ID, p.call.Kind, p.call.Brokers)
	}
}

// move is one attempt to move a partition.
type move struct {
	began, ended node.Time // ended: never, if there was no answer
	brokers      []int
}

// moved notes an attempt to move a partition.
func (j *judge) moved(w *world, c *client, p *pendingCall, outcome checker.Outcome) {
	name := partitionName(p.call.Topic, p.call.Partition)
	m := move{p.attempt, node.Never, p.call.Brokers}
	if outcome == checker.OK {
		m.ended = w.now
		j.answered(w, c, p, 0)
	}
	j.moves[name] = append(j.moves[name], m)
}

// checkPlacement demands, when no move is under way any more, that a partition is where the last move
// said, or one that may have been the last.
func (j *judge) checkPlacement(w *world, partition string, replicas []int32) {
	moves := j.moves[partition]
	overwritten := func(m move) bool {
		return slices.ContainsFunc(moves, func(o move) bool { return o.ended != node.Never && o.began > m.ended })
	}
	for _, m := range moves {
		if len(m.brokers) == 0 || slices.EqualFunc(replicas, m.brokers, func(r int32, b int) bool { return int(r) == b }) && !overwritten(m) {
			return // where a move went that was called off depends on how far it was
		}
	}
	if len(moves) > 0 && slices.ContainsFunc(moves, func(m move) bool { return m.ended != node.Never }) {
		w.fail("placement", "%s is on brokers %v, but the last moves that were acknowledged went elsewhere: %v", partition, replicas, moves)
	}
}

// checkLeft demands of a broker whose removal is answered that the catalog doesn't count on its vote any
// more: it may be taken away now.
func (j *judge) checkLeft(w *world, b *broker) {
	var newest *seenReplica
	for _, seen := range j.seen {
		for _, r := range seen {
			if r.group == 0 && (newest == nil || r.view.ConfIndex > newest.view.ConfIndex) {
				newest = r
			}
		}
	}
	if newest == nil || b.leaving {
		return
	}
	self := checker.NewReplicaID(int32(b.number), b.diskNumber)
	for _, id := range append(replicaIDs(newest.view.Voters), replicaIDs(newest.view.Outgoing)...) {
		if id == self {
			w.fail("removed-too-early", "the removal of broker %d is answered, but it is still a voter of the catalog, whose configuration is that of entry %d", b.number, newest.view.ConfIndex)
		}
	}
}

// hasTrimmed notes that records were deleted.
func (j *judge) hasTrimmed(w *world, c *client, p *pendingCall, start int64) {
	w.result.Ops++
	w.hash.word(uint64(p.call.ID)<<32 ^ uint64(start))
	if !w.doomed[p.call.Topic] { // a new topic of the same name begins at 0
		name := partitionName(p.call.Topic, p.call.Partition)
		j.starts[name] = max(j.starts[name], start)
	}
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
	if p.call.Kind == plan.CallDelete {
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
func (j *judge) missed(w *world, c *client, call *plan.Call, began node.Time) {
	if !w.healing || call.Kind == plan.CallProduce && !c.spec.Idempotent || w.doomed[call.Topic] || call.Kind == plan.CallMove || call.Kind == plan.CallRemove {
		return
	}
	if well := w.now - max(began, w.healedAt); well >= w.patience() {
		w.fail("liveness", "client %d, call %d (%s %s/%d) got no answer though all faults had ended %v before",
			c.spec.ID, call.ID, call.Kind, call.Topic, call.Partition, plan.Duration(well))
	}
}
