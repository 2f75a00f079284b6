// SPDX-License-Identifier: Apache-2.0

package node

import "chronik/kafka"

// partition is a replica of a topic's partition: the state of its records, which only apply changes, and what this broker
// does with it.
type partition struct {
	node  *Node
	group *group
	meta  *partitionMeta
	records
	markers       markers
	parkedFetches                     // of those who read all records,
	stable        parkedFetches       // and of those who read only to the last stable offset
	compacted     cursor              // up to here this replica's entries were compacted since it opened
	forgetting    bool                // as leader: it is proposed to forget producers that were silent
	expiring      bool                // as leader: a deletion of old records is on its way
	joined        map[int64]joinedTxn // as leader, by producer id (produce_txn.go)
	tried         uint64              // term in which it proposed something of level 2
}

// apply implements machine. Its result is a verdict for a batch, and the log start offset for a command.
func (p *partition) apply(index, term uint64, data []byte) any {
	o := p.records.apply(index, leaderEpoch(term), data, p.node.now)
	p.act(index, &o)
	if len(data) > 0 && data[0] == commandTrial {
		p.node.meets(&p.node.trial.Applied, "an entry of a partition")
	}
	switch {
	case len(data) == 0:
		return nil
	case data[0] != 0:
		return p.start
	}
	return o.verdict
}

// act does what follows from an entry that was applied.
func (p *partition) act(index uint64, o *outcome) {
	n, e := p.node, Event{Group: p.meta.Group}
	n.out.Work.Parts += o.named / 8
	switch {
	case o.refused != nil:
		e.Kind, e.N, e.Text = EventEntryRefused, int64(index), o.refused.Error()
	case o.marker && o.ended:
		e.Kind, e.N = EventTransactionEnded, o.verdict.offset
	case o.marker:
		e.Kind, e.N = EventMarkerIgnored, o.producer
	case o.verdict.err != nil:
		e.Kind, e.N = EventSequenceRefused, o.producer
	case o.verdict.duplicate:
		e.Kind, e.N = EventDuplicateBatch, o.verdict.offset
	case o.forgotten > 0:
		e.Kind, e.N = EventProducersGone, int64(o.forgotten)
	case o.moved:
		if p.group != nil { // not while the log is read
			p.group.release()
		}
		e.Kind, e.N = EventLogStartMoved, p.start
	}
	if e.Kind != EventInvalid {
		n.event(e)
	}
	if o.marker {
		p.markers.note(o.producer)
	}
	if o.grew > 0 {
		p.parkedFetches.grown(n, o.grew)
		if len(p.open) == 0 && !o.ended {
			p.stable.grown(n, o.grew)
		}
	}
	if o.stable {
		p.stable.wakeAll(n)
	}
	if o.moved {
		p.wakeFetches()
	}
}

// stamp writes the time of appending where a batch that came from a producer has its base offset, 0.
// The checksum doesn't cover it, and readers never see it.
func (p *partition) stamp(raw []byte) {
	ms := int64(stampUnknown)
	if p.node.clock.heard {
		ms = p.node.stampMs()
	}
	kafka.SetBaseOffset(raw, ms)
}

// epochEnd answers OffsetForLeaderEpoch.
func (p *partition) epochEnd(epoch int32) (int32, int64) {
	return p.records.epochEnd(epoch, leaderEpoch(p.group.term))
}

// logStart is the first offset that can be read.
func (p *partition) logStart() int64 { return p.start }

// snapshot implements machine.
func (p *partition) snapshot(since uint64) pieces {
	mark, all := p.trialMark(nil), p.records.snapshot(since)
	if len(mark) == 0 {
		return all
	}
	return follow(func(b []byte) ([]byte, bool) { return append(b, mark...), false }, all)
}

// state implements machine.
func (p *partition) state(since uint64) []byte {
	return append(p.trialMark(nil), p.records.state(since)...)
}

// restore implements machine.
func (p *partition) restore(checkpoints [][]byte) error {
	return p.records.restore(p.withoutMarks(checkpoints), p.node.now)
}

// adopt implements machine.
func (p *partition) adopt(received machine) { p.records.adopt(&received.(*partition).records) }

// retain implements machine.
func (p *partition) retain() uint64 { return p.records.retain(p.group.applied) }

func (p *partition) leading() {}

// following implements machine: clients that wait here have to look for the new leader.
func (p *partition) following() { p.wakeFetches() }

// wakeFetches lets parked fetches look again, at the end of this step.
func (p *partition) wakeFetches() {
	p.parkedFetches.wakeAll(p.node)
	p.stable.wakeAll(p.node)
}

// leads reports whether this broker may answer for the partition: it leads, and an entry of its own
// term is applied, so it knows everything that was ever committed (raft paper, section 8).
func (p *partition) leads() bool { return p.group.serving }
