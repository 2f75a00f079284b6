// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"hash/fnv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
	"chronik/node/step"
	"chronik/node/txn"
)

// transactionsTopic is the internal topic whose partitions are the coordinators of transactions, named as in Kafka. It is
// created when the first client asks for one.
const transactionsTopic = "__transaction_state"

// txnCoordinator is one partition of transactionsTopic: the transactional ids that hash to it. What happens to them is decided by
// the commands in its log (package txn). Its leader serves clients, ends what takes too long, and sends
// the markers of what is decided (transactions_markers.go); what it needs for that beside the state is lost with its leadership.
type txnCoordinator struct {
	node  *Node
	group *group
	ids   txn.State
	// live are the transactions with which something is to happen, by transactional id, and decided those whose markers are under way,
	// by the number of the decision. Both are empty but on a leader.
	live    map[string]*liveTransaction
	decided map[uint64]*liveTransaction
	// unmarked is how many of those have a group that hasn't acknowledged its marker.
	unmarked int
	leads    bool
	loads    bool           // they are being made ready, on a new leader
	sweep    *step.Deadline // next look for transactional ids that nobody uses, on the leader
	parkedFetches
}

// liveTransaction is what a leader knows of a transaction that isn't over.
type liveTransaction struct {
	of         *txnCoordinator
	name       string
	began      uint64         // which transaction it is, while it is ongoing
	since      Time           // when it began, or was decided
	timeout    *step.Deadline // when it has taken too long
	markersOut                // once it is decided
}

// newTxnCoordinator returns one that knows of nothing.
func newTxnCoordinator(n *Node) *txnCoordinator {
	return &txnCoordinator{node: n, live: make(map[string]*liveTransaction), decided: make(map[uint64]*liveTransaction)}
}

// Limits and times that nobody has needed to set.
const (
	maxTransactionalID = 1 << 10 // bytes
	// transactionRetry is when a leader tries again what its log didn't take.
	transactionRetry = time.Second
)

// transactionsPartition returns the partition of transactionsTopic that a transactional id belongs to, nil before the topic
// exists. The number of partitions never changes.
func (n *Node) transactionsPartition(id string) *partitionMeta {
	t := n.catalog.byName[transactionsTopic]
	if t == nil {
		return nil
	}
	h := fnv.New32a()
	h.Write([]byte(id))
	return t.Partitions[h.Sum32()%uint32(len(t.Partitions))]
}

func checkTransactionalID(id string) error {
	if id == "" || len(id) > maxTransactionalID {
		return kafka.Errorf(kerr.InvalidRequest, "a transactional id has 1 to %d bytes, not %d", maxTransactionalID, len(id))
	}
	return nil
}

// transactionsOf finds the coordinator of a transactional id, if that is this broker.
func (n *Node) transactionsOf(id string) (*txnCoordinator, error) {
	if err := checkTransactionalID(id); err != nil {
		return nil, err
	}
	meta := n.transactionsPartition(id)
	if meta == nil {
		return nil, kerr.NotCoordinator // there will be one when the client has asked for it
	}
	m := n.transactions[meta.Group]
	switch {
	case m == nil || brokerOf(m.group.lead) != n.self:
		return nil, kerr.NotCoordinator
	case !m.serves():
		return nil, kerr.CoordinatorLoadInProgress
	}
	return m, nil
}

// serves reports whether this broker leads, and knows of all transactions what is to be done.
func (m *txnCoordinator) serves() bool { return m.group.serving && m.leads && !m.loads }

// apply implements machine. The result is a txn.Result, or an error if this release can't parse the command.
func (m *txnCoordinator) apply(index, _ uint64, data []byte) any {
	if len(data) == 0 {
		return nil
	}
	c, err := txn.Parse(data)
	if err != nil {
		e := Event{Kind: EventEntryRefused, N: int64(index), Text: err.Error()}
		if m.group != nil { // not while the log is read
			e.Group = m.group.id
		}
		m.node.event(e)
		return err
	}
	m.node.out.Work.Parts += 1 + len(c.Groups)/8
	_, after, result := m.ids.Apply(index, c)
	if m.leads {
		m.follow(c.Name, after)
	}
	return result
}

// follow takes note of what a transactional id is now; nil if it isn't known any more.
func (m *txnCoordinator) follow(name string, t *txn.Transaction) {
	l := m.live[name]
	if t == nil || t.Idle() {
		if l != nil {
			l.drop(nil)
		}
		return
	}
	if l == nil {
		l = &liveTransaction{of: m, name: name}
		m.live[name] = l
	}
	if t.Status == txn.Ongoing {
		l.ongoing(t)
	} else {
		l.decide(t)
	}
}

// ongoing bounds the time of a transaction. A new leader gives one that it loads what its predecessors have left of it, by the time that is
// believed (ADR 10), and a little for a client that has just found its coordinator. Given anew by each, a transaction
// that nobody ends lasted for as long as leaders changed more often than it may take. One that begins here gets its whole time,
// whatever is believed by now: that may have jumped since the command was proposed.
func (l *liveTransaction) ongoing(t *txn.Transaction) {
	if l.began == t.Began {
		return
	}
	l.endMarkers(nil)
	l.began = t.Began
	limit := millis(t.TimeoutMs)
	passed := l.of.passed(t.Started)
	l.since = l.of.node.now.Add(-passed)
	if !l.of.loads {
		l.wait(limit)
		return
	}
	l.wait(max(limit-passed, min(limit, takeoverGrace)))
}

// passed is for how long something has been so that began at a time by a leader's clock: not at all, unless that leader was another one.
func (m *txnCoordinator) passed(unixMs int64) time.Duration {
	if !m.loads {
		return 0
	}
	return time.Duration(min(max(m.node.unixMs-unixMs, 0), 1<<40)) * time.Millisecond
}

// oldest are the ages of the transaction that has been ongoing for longest, and of the decision that some group hasn't acknowledged for
// longest; 0 if there is none.
func (m *txnCoordinator) oldest() (ongoing, deciding time.Duration) {
	//det:ok the largest of them has no order
	for _, l := range m.live {
		age := m.node.now.Sub(l.since)
		if l.number == 0 {
			ongoing = max(ongoing, age)
		} else if len(l.left) > 0 {
			deciding = max(deciding, age)
		}
	}
	return ongoing, deciding
}

// takeoverGrace is how long a transaction goes on at least at a new coordinator.
const takeoverGrace = time.Second

func (l *liveTransaction) wait(d time.Duration) {
	n := l.of.node
	n.deadlines.Cancel(l.timeout)
	l.timeout = n.deadlines.Add(n.now.Add(d), l.expire)
}

// expire aborts the transaction, as nobody ends it.
func (l *liveTransaction) expire() {
	m, began := l.of, l.began
	m.propose(nil, &txn.Command{Kind: txn.Timeout, Name: l.name, Producer: txn.None, Fresh: -1, Of: began}, func(res txn.Result, err error) {
		switch {
		case err != nil && m.live[l.name] == l && l.began == began:
			l.wait(transactionRetry)
		case err == nil && res.Err == nil:
			m.node.event(Event{Kind: EventTxnTimedOut, Group: m.group.id, Text: l.name})
		}
	})
}

// drop forgets the transaction: it is over, or this broker no longer leads. Who waits for it is told.
func (l *liveTransaction) drop(err error) {
	m := l.of
	m.node.deadlines.Cancel(l.timeout)
	delete(m.live, l.name)
	l.endMarkers(err)
}

// propose puts a command into the log and calls done once, with what became of it, or with an error if that isn't known. If it
// needs a new producer id, it gets one. A client's request that is over by then hears nothing.
func (m *txnCoordinator) propose(r *request, c *txn.Command, done func(txn.Result, error)) {
	if c.Kind == txn.Complete || c.Number == 0 {
		c.Number = m.acknowledged(c.Name)
	}
	c.At = m.node.unixMs
	m.group.propose(c.Append(nil), func(result any, err error) {
		res, ok := result.(txn.Result)
		switch {
		case r != nil && r.settled:
		case err != nil || !ok:
			done(txn.Result{}, notDecided(err))
		case errors.Is(res.Err, txn.ErrFresh):
			m.withFresh(r, c, func() { m.propose(r, c, done) }, func() { done(txn.Result{}, kerr.CoordinatorLoadInProgress) })
		default:
			done(res, nil)
		}
	})
}

// notDecided is the error for a client whose command is in no log, or may be in one that another broker leads.
func notDecided(err error) error {
	if errors.Is(err, errDiskFull) || errors.Is(err, errTooMuchUnderway) {
		return kerr.CoordinatorNotAvailable
	}
	return kerr.NotCoordinator
}

// withFresh gives a command a new producer id and calls then, or otherwise if this broker no longer serves.
func (m *txnCoordinator) withFresh(r *request, c *txn.Command, then, otherwise func()) {
	m.node.producerIDs.take(r, func(id int64) {
		c.Fresh, c.Number = id, 0
		if m.serves() {
			then()
		} else {
			otherwise()
		}
	})
}

// leading implements machine.
func (m *txnCoordinator) leading() {
	m.leads, m.loads = true, true
	m.load("")
}

// load looks at the transactional ids after one, as many as half of the step's budget allows, and at the rest in the next
// steps: markers that a predecessor has decided are sent again, and what is ongoing gets its time.
func (m *txnCoordinator) load(after string) {
	for first := true; ; first = false {
		if !first && m.node.spent(2) {
			m.sweep = m.node.deadlines.Add(m.node.now, func() { m.load(after) })
			return
		}
		t := m.ids.Next(after)
		if t == nil {
			break
		}
		m.node.out.Work.Parts++
		after = t.Name
		m.follow(t.Name, t)
	}
	m.loads = false
	m.sweepAfter(m.node.cfg.OffsetsCheckInterval, "")
}

// following implements machine: whoever waits here has to look for the new coordinator.
func (m *txnCoordinator) following() {
	m.parkedFetches.wakeAll(m.node)
	m.node.deadlines.Cancel(m.sweep)
	m.leads, m.loads = false, false
	m.node.out.Work.Parts += m.ids.Len() / 32
	for _, t := range m.ids.All() {
		if l := m.live[t.Name]; l != nil {
			l.drop(kerr.NotCoordinator)
		}
	}
	step.Assert(len(m.live) == 0 && len(m.decided) == 0, "what is live is in the state: %d, %d", len(m.live), len(m.decided))
}

// sweepAfter looks for transactional ids that nobody uses after some time, beginning after one.
func (m *txnCoordinator) sweepAfter(d time.Duration, after string) {
	m.sweep = m.node.deadlines.Add(m.node.now.Add(d), func() { m.expireIDs(after) })
}

// expireIDs forgets transactional ids that nobody has used for long, as many as half of the step's budget allows, and the rest in the
// next steps.
func (m *txnCoordinator) expireIDs(after string) {
	n := m.node
	horizon := n.unixMs - n.cfg.TransactionalIDExpiration.Milliseconds()
	for first := true; n.clock.earliest.known; first = false { // otherwise nobody knows how old they are
		if !first && n.spent(2) {
			m.sweepAfter(0, after)
			return
		}
		t := m.ids.Next(after)
		if t == nil {
			break
		}
		n.out.Work.Parts++
		if after = t.Name; t.Idle() && t.Changed <= horizon {
			m.propose(nil, &txn.Command{Kind: txn.Expire, Name: t.Name, Producer: txn.None, Fresh: -1, Of: t.Touched}, func(txn.Result, error) {})
		}
	}
	m.sweepAfter(n.cfg.OffsetsCheckInterval, "")
}

// snapshot implements machine.
func (m *txnCoordinator) snapshot(uint64) pieces {
	m.node.out.Work.Parts += m.ids.Len() / 64
	return m.ids.Snapshot()
}

// state implements machine.
func (m *txnCoordinator) state(uint64) []byte { return pieces(m.ids.Snapshot()).whole() }

// restore implements machine.
func (m *txnCoordinator) restore(checkpoints [][]byte) error {
	return m.ids.Restore(checkpoints[len(checkpoints)-1])
}

// adopt implements machine.
func (m *txnCoordinator) adopt(received machine) { m.ids = received.(*txnCoordinator).ids }

// retain implements machine: what is in the state needs no entries.
func (m *txnCoordinator) retain() uint64 { return m.group.applied + 1 }
