// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/node/step"
	"chronik/node/txn"
)

// A batch of a transaction may be put into a partition's log only if the coordinator knows that the partition takes part:
// otherwise nobody would ever send it a marker. Clients of the older protocol tell the coordinator themselves beforehand, and
// the partition's leader only asks (KIP-890 part 1). For those of the newer one the partition's leader tells it (part 2). The
// leader of a consumer group's coordinator does the same for offsets.

// joinTable holds the questions of this broker that are under way.
type joinTable struct {
	node *Node
	// last is the number of the newest. The first one is drawn: the answer to a question of an earlier process may come late.
	last uint64
	open map[uint64]*join
}

// join is one question.
type join struct {
	joins    *joinTable
	number   uint64
	id       string // the transactional id
	producer txn.Producer
	group    GroupID
	add      bool
	done     func(error)
	end      Time           // not longer
	again    *step.Deadline // if there is no answer until then
}

// Times of questions.
const (
	joinPatience = 3 * time.Second
	joinRetry    = 100 * time.Millisecond // after an answer of a broker that isn't the coordinator, or while nobody is
	joinRepeat   = time.Second            // without any answer
	maxJoinsIn   = 1 << 14                // under way here, for other brokers
	decideRounds = 5                      // in which other commands come between
)

// joinTransaction asks the coordinator of a transactional id whether a group (partition or consumer coordinator) is part of the
// ongoing transaction of (producer id, epoch); add: makes it a part (KIP-890 part 2), otherwise it only looks (part 1). done gets
// nil or the error of the coordinator, perhaps later, at most after joinPatience.
func (n *Node) joinTransaction(txnID string, producerID int64, epoch int16, g GroupID, add bool, done func(error)) {
	err := checkTransactionalID(txnID)
	if err == nil && (producerID < 0 || epoch < 0) {
		err = kerr.InvalidProducerIDMapping
	}
	if err != nil {
		done(err)
		return
	}
	j := &n.joins
	j.last++
	q := &join{joins: j, number: j.last, id: txnID, producer: txn.Producer{ID: producerID, Epoch: epoch}, group: g, add: add, done: done, end: n.now.Add(joinPatience)}
	j.open[q.number] = q
	q.ask()
}

// ask sends the question to whom this broker takes for the coordinator.
func (q *join) ask() {
	n := q.joins.node
	if n.now >= q.end {
		q.finish(kerr.CoordinatorNotAvailable)
		return
	}
	meta := n.transactionsPartition(q.id)
	if meta == nil { // nobody has a transactional id, as far as is known here
		q.finish(kerr.CoordinatorNotAvailable)
		return
	}
	leader, _ := n.leaderOf(meta)
	wait := joinRetry
	if p := n.peer(leader); p != nil {
		wait = joinRepeat
		p.envelope = q.append(p.begin())
	}
	q.again = n.deadlines.Add(min(n.now.Add(wait), q.end), q.ask)
	if leader == n.self {
		n.answerJoin(q.id, q.producer, q.group, q.add, q.answered)
	}
}

// answered takes an answer. One that only says that another broker is to be asked, or this one a little later, isn't the last.
func (q *join) answered(err error) {
	n := q.joins.node
	if q.joins.open[q.number] != q {
		return // an answer to the same question came before
	}
	switch code(err) {
	case kerr.NotCoordinator.Code, kerr.CoordinatorLoadInProgress.Code:
		n.deadlines.Cancel(q.again)
		q.again = n.deadlines.Add(min(n.now.Add(joinRetry), q.end), q.ask)
	default:
		q.finish(err)
	}
}

func (q *join) finish(err error) {
	q.joins.node.deadlines.Cancel(q.again)
	delete(q.joins.open, q.number)
	q.done(err)
}

// append appends an item: number, transactional id, producer, group, whether it is to become part.
func (q *join) append(b []byte) []byte {
	b = append(b, itemJoin)
	b = binary.AppendUvarint(b, q.number)
	b = appendBytes(b, []byte(q.id))
	b = binary.AppendUvarint(b, uint64(q.producer.ID))
	b = binary.AppendUvarint(b, uint64(q.producer.Epoch))
	b = binary.AppendUvarint(b, uint64(q.group))
	return append(b, byte(btoi(q.add)))
}

// receiveJoin takes another broker's question.
func (n *Node) receiveJoin(from BrokerID, r *reader) {
	number, name, id, epoch, g, add := r.uvarint(), string(r.bytes()), r.uvarint(), r.uvarint(), GroupID(r.uvarint()), r.byte()
	if r.bad || checkTransactionalID(name) != nil || id > 1<<63-1 || epoch > 1<<15-1 || g == 0 || add > 1 {
		r.fail()
		return
	}
	n.out.Work.Parts++
	if n.joinsIn >= maxJoinsIn || r.narrow {
		return // it is asked again
	}
	n.joinsIn++
	n.answerJoin(name, txn.Producer{ID: int64(id), Epoch: int16(epoch)}, g, add == 1, func(err error) {
		n.joinsIn--
		if p := n.peer(from); p != nil {
			b := binary.AppendUvarint(append(p.begin(), itemJoined), number)
			p.envelope = binary.AppendVarint(b, int64(code(err)))
		}
	})
}

// receiveJoined takes the answer to a question.
func (n *Node) receiveJoined(r *reader) {
	number, c := r.uvarint(), r.code()
	if q := n.joins.open[number]; q != nil && !r.bad && !r.narrow {
		q.answered(kerr.ErrorForCode(c))
	}
}

// answerJoin answers as the coordinator. done is called once.
func (n *Node) answerJoin(id string, p txn.Producer, g GroupID, add bool, done func(error)) {
	m, err := n.transactionsOf(id)
	if err != nil {
		done(err)
		return
	}
	if add {
		c := &txn.Command{Kind: txn.Add, Name: id, Producer: p, Fresh: -1, Groups: []uint64{uint64(g)}}
		m.decide(nil, c, func(res txn.Result) { done(res.Err) })
		return
	}
	m.confirm(nil, func(err error) {
		if err == nil {
			err = m.verify(id, p, g)
		}
		done(err)
	})
}

// verify reports whether a group takes part in the ongoing transaction of a producer.
func (m *txnCoordinator) verify(id string, p txn.Producer, g GroupID) error {
	t := m.ids.Find(id)
	switch {
	case t == nil || t.Producer.ID != p.ID:
		return kerr.InvalidProducerIDMapping
	case t.Producer.Epoch != p.Epoch:
		return kerr.ProducerFenced
	case t.Deciding():
		return kerr.ConcurrentTransactions
	case t.Status != txn.Ongoing || !t.Has(uint64(g)):
		return kerr.TransactionAbortable
	}
	return nil
}

// confirm calls done once it is certain that what is known here is what was committed before the call. Without that a leader
// that was deposed and doesn't know it would answer for a transaction that is over.
func (m *txnCoordinator) confirm(r *request, done func(error)) {
	m.group.readIndex(r, func(err error) {
		switch {
		case err == errTooManyWaits:
			err = kerr.CoordinatorLoadInProgress
		case err != nil || !m.serves():
			err = kerr.NotCoordinator
		}
		done(err)
	})
}

// decide puts a command into the log if it would change anything, and calls done once with what became of it; not at all if the
// request is over before. Where it has to wait for the markers of the transaction before, it does for a while.
func (m *txnCoordinator) decide(r *request, c *txn.Command, done func(txn.Result)) {
	fail := func(err error) { done(txn.Result{Err: err, Producer: txn.None}) }
	if !m.serves() {
		fail(kerr.NotCoordinator)
		return
	}
	waited, rounds := false, 0
	var try func()
	judged := func(res txn.Result) {
		if code(res.Err) != kerr.ConcurrentTransactions.Code || waited {
			done(res)
			return
		}
		waited = true
		m.whenMarked(r, c.Name, func(err error) {
			if err != nil {
				fail(err)
				return
			}
			try()
		})
	}
	try = func() {
		if rounds++; !m.serves() || rounds > decideRounds {
			fail(kerr.NotCoordinator)
			return
		}
		c.Number, c.Fresh = m.acknowledged(c.Name), -1
		m.node.out.Work.Parts += len(c.Groups) / 8
		before, after, res := m.ids.Judge(m.group.applied+1, c)
		switch {
		case code(res.Err) == kerr.ConcurrentTransactions.Code && before == after:
			judged(res)
		case before == after && res.Err != txn.ErrFresh: // nothing is to be written; but it has to be true
			m.confirm(r, func(err error) {
				if err != nil {
					fail(err)
					return
				}
				if before, after, res := m.ids.Judge(m.group.applied+1, c); before == after {
					judged(res)
					return
				}
				try() // something else came between
			})
		case res.Err == txn.ErrFresh:
			m.withFresh(r, c, func() { m.proposeFor(r, c, judged, fail) }, func() { fail(kerr.NotCoordinator) })
		default:
			m.proposeFor(r, c, judged, fail)
		}
	}
	try()
}

func (m *txnCoordinator) proposeFor(r *request, c *txn.Command, judged func(txn.Result), fail func(error)) {
	m.propose(r, c, func(res txn.Result, err error) {
		if err != nil {
			fail(err)
			return
		}
		judged(res)
	})
}
