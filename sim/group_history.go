// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"chronik/checker"
	"chronik/node"
)

// This file is the part of the judge that listens to members of consumer groups. A call is noted when
// it is made, with an unknown outcome, and completed when it is answered.

func (j *judge) consumers(m *member) *checker.ConsumerGroup {
	return j.histories.ConsumerGroup(m.spec.Group)
}

// asks is the span of a call that begins now.
func (m *member) asks() checker.Span {
	return checker.Span{Client: int64(m.client.spec.ID), Call: int64(m.world.now), Return: int64(node.Never)}
}

// done completes a call.
func (j *judge) done(m *member, s *checker.Span, what uint64) {
	s.Return = int64(m.world.now)
	m.world.result.Ops++
	m.world.hash.word(uint64(m.spec.ID)<<48 ^ what)
}

// joins notes a call by which a member gives up what it owns, and returns its place.
func (j *judge) joins(m *member) int {
	g := j.consumers(m)
	g.Joins = append(g.Joins, checker.Join{Span: m.asks(), Owner: m.owner(), Outcome: checker.Unknown})
	return len(g.Joins) - 1
}

func (j *judge) joined(m *member, place int, o checker.Outcome) {
	c := &j.consumers(m).Joins[place]
	c.Outcome = o
	j.done(m, &c.Span, uint64(len(o)))
}

func (j *judge) syncs(m *member) int {
	g := j.consumers(m)
	g.Syncs = append(g.Syncs, checker.Sync{
		Span: m.asks(), Owner: m.owner(), Generation: m.epoch, Leads: m.leads, Outcome: checker.Unknown,
		Patience: int64(min(m.spec.Session, m.spec.Rebalance)),
	})
	return len(g.Syncs) - 1
}

func (j *judge) memberSynced(m *member, place int, o checker.Outcome, owns []string) {
	c := &j.consumers(m).Syncs[place]
	c.Outcome, c.Partitions = o, owns
	j.done(m, &c.Span, uint64(m.epoch)<<16^uint64(len(owns)))
}

func (j *judge) beats(m *member, epoch int32, says bool) int {
	g := j.consumers(m)
	g.Beats = append(g.Beats, checker.Beat{
		Span: m.asks(), Member: m.id, Sent: epoch, Owned: m.ownedNames(), Says: says, Outcome: checker.Unknown,
	})
	return len(g.Beats) - 1
}

func (j *judge) beaten(m *member, place int, o checker.Outcome, epoch int32, told bool, granted []string) {
	c := &j.consumers(m).Beats[place]
	c.Outcome, c.Epoch, c.Told, c.Granted = o, epoch, told, granted
	j.done(m, &c.Span, uint64(epoch)<<16^uint64(len(granted)))
}

// commits notes one offset of a commit, and returns its place and its id.
func (j *judge) commits(m *member, c *staleCommit, o commitOffset) (int, int64) {
	g := j.consumers(m)
	place := len(g.Commits)
	g.Commits = append(g.Commits, checker.Commit{
		Span: m.asks(), ID: int64(place) + 1, Partition: o.name, Offset: o.offset, Member: c.id,
		Instance: m.spec.Instance, Generation: c.generation, Outcome: checker.Unknown,
	})
	return place, int64(place) + 1
}

func (j *judge) committed(m *member, place int, o checker.Outcome) {
	c := &j.consumers(m).Commits[place]
	c.Outcome = o
	j.done(m, &c.Span, uint64(c.Offset))
}

func (j *judge) readOffset(m *member, began node.Time, partition string, offset, commit int64) {
	g := j.consumers(m)
	s := m.asks()
	s.Call = int64(began)
	j.done(m, &s, uint64(offset))
	g.Reads = append(g.Reads, checker.OffsetRead{Span: s, Partition: partition, Offset: offset, Commit: commit})
	if offset >= 0 {
		m.tracef("reads offset %d of %s, commit %d", offset, partition, commit)
	}
}

func (j *judge) memberFetched(m *member, partition string, f checker.Fetch) {
	if j.histories.Truths[partition] == nil { // later, more may come than the verifier saw
		h := j.histories.Partition(partition)
		h.Fetches = append(h.Fetches, f)
	}
	m.world.result.Ops++
	m.world.hash.word(uint64(m.spec.ID)<<48 ^ uint64(f.HighWatermark)<<8 ^ uint64(len(f.Records)))
}

func (j *judge) delivered(m *member, partition string, from, to int64) {
	g := j.consumers(m)
	g.Deliveries = append(g.Deliveries, checker.Delivery{Partition: partition, From: from, To: to})
	m.tracef("gets %s from %d to %d", partition, from, to)
}
