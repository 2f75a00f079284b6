// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/node/step"
	"chronik/node/txn"
)

// Once a transaction is decided, every group that takes part gets a marker: its leader puts it into its log (marker.go). The
// coordinator's leader sends each group's marker to the broker that leads it, and again until that has acknowledged it. Nothing
// depends on the order, and one group without a leader holds up only the transactions in which it takes part. A new leader of
// the coordinator begins anew: a marker that a group has already is answered like the first.

// markersOut are the markers of one decision that are under way, on the leader of a coordinator.
type markersOut struct {
	number  uint64 // of the decision; 0: none is under way
	marker  txnMarker
	groups  []uint64
	left    map[uint64]bool // those that haven't acknowledged theirs
	resend  *step.Deadline
	backoff time.Duration
	sending bool // the groups are being gone through
	waiting waiters[func(error)]
	idle    *step.Deadline // then an entry says that all are acknowledged, if no other has
}

// Times of markers. The first repetition comes soon, because a new leader is usually there by then.
const (
	markerRetry     = 50 * time.Millisecond
	markerRetryMost = time.Second
	completeAfter   = 500 * time.Millisecond
	markerPatience  = 500 * time.Millisecond // how long a client waits for the markers before it is told to ask again
	maxMarkersIn    = 1 << 16                // under way here, for other brokers
)

// decide begins to send the markers of a decision.
func (l *liveTransaction) decide(t *txn.Transaction) {
	if l.number == t.Number {
		return
	}
	m := l.of
	m.node.deadlines.Cancel(l.timeout)
	l.endMarkers(nil)
	l.began, l.number, l.groups, l.backoff = 0, t.Number, t.Groups, markerRetry
	l.since = m.node.now.Add(-m.passed(t.Changed))
	l.marker = txnMarker{
		producerID: t.Marker.ID, epoch: t.Marker.Epoch, coordinatorEpoch: leaderEpoch(m.group.term),
		commit: t.Commits(), number: t.Number,
	}
	l.left = make(map[uint64]bool, len(t.Groups))
	for _, g := range t.Groups {
		l.left[g] = true
	}
	m.decided[t.Number] = l
	m.unmarked++
	l.send()
}

// endMarkers stops sending: all are acknowledged and it is known, or this broker no longer leads. Who waits goes on.
func (l *liveTransaction) endMarkers(err error) {
	if l.number == 0 {
		return
	}
	n := l.of.node
	n.deadlines.Cancel(l.resend)
	n.deadlines.Cancel(l.idle)
	delete(l.of.decided, l.number)
	l.of.unmarked -= btoi(len(l.left) > 0)
	waiting := l.waiting.all()
	l.markersOut = markersOut{}
	for _, done := range waiting {
		n.later(func() { done(err) })
	}
}

// send sends the markers that aren't acknowledged.
func (l *liveTransaction) send() {
	if !l.sending {
		l.sending = true
		l.sendFrom(l.number, 0)
	}
}

// sendFrom goes through the groups from the i-th on, in this step and the next ones.
func (l *liveTransaction) sendFrom(number uint64, i int) {
	n := l.of.node
	for first := true; l.number == number && i < len(l.groups); first = false {
		if !first && n.spent(1) {
			n.later(func() { l.sendFrom(number, i) })
			return
		}
		n.out.Work.Parts++
		if g := l.groups[i]; l.left[g] {
			l.sendTo(GroupID(g))
		}
		i++
	}
	if l.number != number {
		return // the last was acknowledged, or another is decided
	}
	l.sending = false
	if len(l.left) > 0 {
		l.resend = n.deadlines.Add(n.now.Add(l.backoff), l.send)
		l.backoff = min(2*l.backoff, markerRetryMost)
	}
}

// sendTo sends one marker, if the group has a leader that is known. A group that was deleted needs none. The catalog gives out
// the numbers of groups in rising order, so one that it doesn't know and that is below the next was deleted, and one above isn't known here
// yet.
func (l *liveTransaction) sendTo(g GroupID) {
	n := l.of.node
	meta := n.catalog.partitionOf(g)
	if meta == nil {
		if g < n.catalog.nextGroup {
			l.acknowledge(g, nil)
		}
		return
	}
	leader, _ := n.leaderOf(meta)
	if leader == n.self {
		number := l.number
		n.addMarker(g, l.marker, func(err error) {
			if l.number == number {
				l.acknowledge(g, err)
			}
		})
		return
	}
	if p := n.peer(leader); p != nil {
		p.envelope = appendMarker(p.begin(), l.of.group.id, g, &l.marker)
	}
}

// acknowledge takes a group's answer. One that knows the producer with a later epoch has its end from somebody newer.
func (l *liveTransaction) acknowledge(g GroupID, err error) {
	n := l.of.node
	n.out.Work.Parts++
	if err != nil && code(err) != kerr.InvalidProducerEpoch.Code || !l.left[uint64(g)] {
		return
	}
	delete(l.left, uint64(g))
	if len(l.left) > 0 {
		return
	}
	l.of.unmarked--
	n.deadlines.Cancel(l.resend)
	for _, done := range l.waiting.all() {
		n.later(func() { done(nil) })
	}
	l.completeAfter(completeAfter)
}

// completeAfter lets an entry say that all markers are acknowledged, if none that is wanted anyway has said so.
func (l *liveTransaction) completeAfter(d time.Duration) {
	m, number := l.of, l.number
	l.idle = m.node.deadlines.Add(m.node.now.Add(d), func() {
		m.propose(nil, &txn.Command{Kind: txn.Complete, Name: l.name, Producer: txn.None, Fresh: -1}, func(_ txn.Result, err error) {
			if err != nil && l.number == number {
				l.completeAfter(transactionRetry)
			}
		})
	})
}

// acknowledged returns the number of the decision all of whose markers are acknowledged, though no entry says so; 0 if there is
// none.
func (m *txnCoordinator) acknowledged(id string) uint64 {
	if l := m.live[id]; l != nil && l.number != 0 && len(l.left) == 0 {
		return l.number
	}
	return 0
}

// whenMarked calls done once, when the markers that are under way for a transactional id are acknowledged, or soon with
// CONCURRENT_TRANSACTIONS if they aren't, or with another error when this broker no longer leads.
func (m *txnCoordinator) whenMarked(r *request, id string, done func(error)) {
	l := m.live[id]
	if l == nil || l.number == 0 || len(l.left) == 0 {
		done(nil)
		return
	}
	n, called := m.node, false
	var patience *step.Deadline
	once := func(err error) {
		if !called {
			called = true
			n.deadlines.Cancel(patience)
			done(err)
		}
	}
	patience = n.deadlines.Add(n.now.Add(markerPatience), func() { once(kerr.ConcurrentTransactions) })
	if r != nil {
		r.onEnd(func() { n.deadlines.Cancel(patience) })
	}
	l.waiting.add(r, once)
}

// markerKey is a marker from another broker, on its way into the log here.
type markerKey struct {
	coordinator, group GroupID
	number             uint64
}

// appendMarker appends an item: the coordinator's group, the group, then the marker.
func appendMarker(b []byte, coordinator, g GroupID, m *txnMarker) []byte {
	b = append(b, itemMarker)
	b = binary.AppendUvarint(b, uint64(coordinator))
	b = binary.AppendUvarint(b, uint64(g))
	b = binary.AppendUvarint(b, uint64(m.producerID))
	b = binary.AppendUvarint(b, uint64(m.epoch))
	b = binary.AppendUvarint(b, uint64(m.coordinatorEpoch))
	b = binary.AppendUvarint(b, m.number)
	return append(b, byte(btoi(m.commit)))
}

// receiveMarker takes a marker for a group that this broker leads, or led. It answers in any case.
func (n *Node) receiveMarker(from BrokerID, r *reader) {
	k := markerKey{coordinator: GroupID(r.uvarint()), group: GroupID(r.uvarint())}
	id, epoch, coordinatorEpoch := r.uvarint(), r.uvarint(), r.uvarint()
	k.number = r.uvarint()
	commit := r.byte()
	if r.bad || id > 1<<63-1 || epoch > 1<<15-1 || coordinatorEpoch > maxTerm || k.number == 0 || commit > 1 {
		r.fail()
		return
	}
	if r.narrow {
		return
	}
	n.out.Work.Parts++
	if _, underWay := n.markersIn[k]; underWay {
		n.markersIn[k] = from // it is answered once, to who asked last
		return
	}
	if len(n.markersIn) >= maxMarkersIn {
		return // it is sent again
	}
	n.markersIn[k] = from
	m := txnMarker{producerID: int64(id), epoch: int16(epoch), coordinatorEpoch: int32(coordinatorEpoch), commit: commit == 1, number: k.number}
	n.addMarker(k.group, m, func(err error) {
		to := n.markersIn[k]
		delete(n.markersIn, k)
		if p := n.peer(to); p != nil {
			p.envelope = appendMarked(p.begin(), k, err)
		}
	})
}

func appendMarked(b []byte, k markerKey, err error) []byte {
	b = append(b, itemMarked)
	b = binary.AppendUvarint(b, uint64(k.coordinator))
	b = binary.AppendUvarint(b, uint64(k.group))
	b = binary.AppendUvarint(b, k.number)
	return binary.AppendVarint(b, int64(code(err)))
}

// receiveMarked takes the answer to a marker.
func (n *Node) receiveMarked(r *reader) {
	coordinator, g, number, c := GroupID(r.uvarint()), GroupID(r.uvarint()), r.uvarint(), r.code()
	if r.bad || r.narrow {
		return
	}
	if m := n.transactions[coordinator]; m != nil {
		if l := m.decided[number]; l != nil {
			l.acknowledge(g, kerr.ErrorForCode(c))
		}
	}
}

// code reads an error code of Kafka's.
func (r *reader) code() int16 {
	c := r.varint()
	if c < -1<<15 || c > 1<<15-1 {
		r.fail()
		return 0
	}
	return int16(c)
}
