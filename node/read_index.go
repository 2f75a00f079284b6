// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"

	"go.etcd.io/raft/v3"
)

// readQueue holds reads that need proof that this replica still leads (raft's ReadIndex, thesis section 6.4). A
// deposed leader doesn't know that it was deposed, and would answer with an old state. The proof is one round of
// heartbeats that a majority answers. A round serves all reads that came before it began, and no later ones: what
// was committed before a read must be covered by it.
type readQueue struct {
	last    uint64        // context of the newest round
	round   uint64        // context of the round under way, 0 if none
	age     int           // ticks since it was sent
	asked   []*indexRead  // served by the round under way
	waiting []*indexRead  // served by the next
	proven  []provenReads // wait for the state machine: a majority may have committed more than is applied here
}

// indexRead is one read that waits. If its request is over, it stays in the queue until the round ends. That is soon,
// at the latest when leadership ends, and meanwhile it holds nothing.
type indexRead struct {
	request *request
	done    func(err error) // nil: it was called, or the request is over
}

func (w *indexRead) end(err error) {
	if done := w.done; done != nil {
		w.done = nil
		if w.request != nil {
			w.request.giveWaits(1)
		}
		done(err)
	}
}

// provenReads are answered when the entries up to index are applied.
type provenReads struct {
	index uint64
	done  []*indexRead
}

// readIndex calls done once everything that was committed before the call is applied here, and this replica is known
// to have led after the call. It calls done with an error if it can't tell, and not at all if the request is over
// before that.
func (g *group) readIndex(r *request, done func(err error)) {
	switch {
	case !g.serving:
		done(errNotLeader)
		return
	case r != nil && !r.takeWaits(1):
		done(errTooManyWaits)
		return
	}
	w := &indexRead{r, done}
	if r != nil {
		r.onEnd(func() {
			if w.done != nil {
				w.done = nil
				r.giveWaits(1)
			}
		})
	}
	g.reads.waiting = append(g.reads.waiting, w)
	g.reads.start(g)
}

func (q *readQueue) start(g *group) {
	if q.round != 0 || len(q.waiting) == 0 {
		return
	}
	q.last++
	q.round, q.age = q.last, 0
	q.asked, q.waiting = q.waiting, nil
	q.send(g)
}

func (q *readQueue) send(g *group) {
	g.rn.ReadIndex(binary.BigEndian.AppendUint64(nil, q.round))
	g.touch()
}

// tick repeats a round that isn't answered: raft doesn't notice if its messages are lost.
func (q *readQueue) tick(g *group) {
	if q.round == 0 {
		return
	}
	if q.age++; q.age%(2*g.node.cfg.HeartbeatTicks) == 0 {
		q.send(g)
	}
}

// confirmed takes raft's answers.
func (q *readQueue) confirmed(g *group, states []raft.ReadState) {
	for _, s := range states {
		if q.round == 0 || binary.BigEndian.Uint64(s.RequestCtx) != q.round {
			continue // the second answer to a round that was repeated
		}
		q.proven = append(q.proven, provenReads{s.Index, q.asked})
		q.round, q.asked = 0, nil
		q.start(g)
	}
	q.applied(g)
}

// applied answers the reads whose entries are applied.
func (q *readQueue) applied(g *group) {
	for len(q.proven) > 0 && q.proven[0].index <= g.applied {
		done := q.proven[0].done
		q.proven = q.proven[1:]
		for i, d := range done {
			if i < endedAtOnce {
				d.end(nil)
			} else {
				g.node.later(func() { d.end(nil) })
			}
		}
	}
}

// endedAtOnce is how many reads of one round are answered in the step in which it ends. The others follow in later
// steps, because thousands of clients may wait for one round.
const endedAtOnce = 64

// fail answers all reads when leadership ends.
func (q *readQueue) fail(g *group) {
	all := append(q.asked, q.waiting...)
	for _, p := range q.proven {
		all = append(all, p.done...)
	}
	q.round, q.asked, q.waiting, q.proven = 0, nil, nil, nil
	for _, d := range all {
		g.node.later(func() { d.end(errNotLeader) })
	}
}
