// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
)

// txnMarker is the end of a transaction of a producer, for one of the partitions or consumer coordinators that are part
// of it.
type txnMarker struct {
	producerID       int64
	epoch            int16
	coordinatorEpoch int32 // leader epoch of the transaction coordinator's group
	commit           bool
	// number is the raft index of the entry by which the coordinator decided: it rises with each transaction of a
	// producer. So a late copy of a marker is known even where all transactions have the same epoch. 0: a client sent it.
	number uint64
}

func (m *txnMarker) entry(ms int64) []byte {
	return kafka.AppendMarker(nil, kafka.Marker{
		ProducerID: m.producerID, ProducerEpoch: m.epoch, CoordinatorEpoch: m.coordinatorEpoch, Commit: m.commit, Number: m.number,
	}, ms)
}

// addMarker proposes the end of a transaction to the log of a group that this broker leads. done gets nil when it is
// applied, or was before; an error with the code NOT_LEADER_FOR_PARTITION if this broker doesn't lead, or no longer; else
// why it can't be applied, with the code INVALID_PRODUCER_EPOCH if somebody newer has ended the transaction. It may be
// called before addMarker returns.
func (n *Node) addMarker(id GroupID, m txnMarker, done func(error)) {
	raw := m.entry(n.stampMs())
	var g *group
	var answered func()
	if p := n.partitions[id]; p != nil {
		g = p.group
		p.stamp(raw)
		answered = p.markers.begin(m.producerID)
	} else if c := n.coordinators[id]; c != nil {
		g = c.group
		answered = c.markers.begin(m.producerID)
	} else {
		done(kerr.NotLeaderForPartition)
		return
	}
	g.propose(raw, func(result any, err error) {
		answered()
		if errors.Is(err, errNotLeader) {
			err = kerr.NotLeaderForPartition
		}
		switch r := result.(type) {
		case verdict: // of a partition
			err = r.err
		case error: // of a coordinator
			err = r
		}
		done(err)
	})
}

// markers knows the newest markers that were proposed or applied here, by producer. Whoever asks the coordinator of a
// transaction whether a batch is part of it compares the producer's number before the question and after the answer: if it
// has changed, the answer may be about a transaction that has ended.
type markers struct {
	last        uint32           // number of the newest
	now, before map[int64]uint32 // the number of each producer's newest; when now is full, before is forgotten
	forgotten   uint32           // the newest number that was
	underway    map[int64]int    // by producer: those that were proposed, and whose proposer has no answer yet
}

const maxMarkersNoted = 1 << 10

// note notes a marker.
func (m *markers) note(producer int64) {
	m.last++
	if m.now == nil || len(m.now) >= maxMarkersNoted {
		if m.before != nil {
			m.forgotten = m.last
		}
		m.now, m.before = make(map[int64]uint32), m.now
	}
	m.now[producer] = m.last
}

// begin notes a marker that is proposed, and returns what to call when it is answered.
func (m *markers) begin(producer int64) (end func()) {
	m.note(producer)
	if m.underway == nil {
		m.underway = make(map[int64]int)
	}
	m.underway[producer]++
	return func() {
		if m.underway[producer]--; m.underway[producer] == 0 {
			delete(m.underway, producer)
		}
	}
}

// seen returns a producer's number in a term: a marker may come through another leader and be applied later.
func (m *markers) seen(producer int64, term uint64) uint64 {
	number, ok := m.now[producer]
	if !ok {
		number, ok = m.before[producer]
	}
	if !ok {
		number = m.forgotten
	}
	return term<<32 | uint64(number)
}

// markerSeen of a coordinator does the same.
func (c *coordinator) markerSeen(producerID int64) uint64 {
	return c.markers.seen(producerID, c.group.term)
}

// markerSeen returns a number that changes with each marker for a producer that is proposed or applied here.
func (p *partition) markerSeen(producerID int64) uint64 {
	return p.markers.seen(producerID, p.group.term)
}
