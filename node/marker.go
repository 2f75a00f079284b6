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
	if p := n.partitions[id]; p != nil {
		g = p.group
		p.stamp(raw)
		p.markers.note(m.producerID)
	} else if c := n.coordinators[id]; c != nil {
		g = c.group
		c.markers.note(m.producerID)
	} else {
		done(kerr.NotLeaderForPartition)
		return
	}
	g.propose(raw, func(result any, err error) {
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

// markers counts the markers that were proposed or applied here, by producer: several share a count. Whoever asks the
// coordinator of a transaction whether a batch is part of it compares the count before the question and after the
// answer: if it has grown, the answer may be about a transaction that has ended.
type markers struct{ counts *[markerCounts]uint32 }

const markerCounts = 64

func (m *markers) slot(producer int64) int {
	return int(uint64(producer) * 0x9e3779b97f4a7c15 >> 58)
}

func (m *markers) note(producer int64) {
	if m.counts == nil {
		m.counts = new([markerCounts]uint32)
	}
	m.counts[m.slot(producer)]++
}

// seen returns a producer's count in a term: a marker may come through another leader and be applied later.
func (m *markers) seen(producer int64, term uint64) uint64 {
	if m.counts == nil {
		return term << 32
	}
	return term<<32 | uint64(m.counts[m.slot(producer)])
}

// markerSeen of a coordinator does the same.
func (c *coordinator) markerSeen(producerID int64) uint64 {
	return c.markers.seen(producerID, c.group.term)
}

// markerSeen returns a number that changes with each marker for a producer that is proposed or applied here.
func (p *partition) markerSeen(producerID int64) uint64 {
	return p.markers.seen(producerID, p.group.term)
}
