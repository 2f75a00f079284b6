// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"chronik/checker"
	"chronik/sim/plan"
)

// readCommittedAgain lets a new client read all that is committed, after the verifier has read everything.
func (w *world) readCommittedAgain() {
	if len(w.plan.Transactors) == 0 {
		return
	}
	r := w.newReader(&plan.Reader{ID: len(w.plan.Readers) + 1, Timeout: second, Pause: millisecond, Home: 1})
	r.fresh = true
	for r.behind() != nil {
		far := r.far()
		if w.runUntil(w.now+w.patience(), w.afterAnswers(func() bool { return r.far() != far })); r.far() == far {
			p := r.behind()
			w.fail("liveness", "a fresh client reads what is committed of %s up to offset %d and comes no further", p.name(), p.position)
		}
	}
	for _, r := range w.readers {
		r.stop()
	}
}

// behind is a partition whose end a reader hasn't come to, nil if there is none.
func (r *txnReader) behind() *readPart {
	for _, p := range r.parts {
		if !p.atEnd {
			return p
		}
	}
	return nil
}

// far is how far it has come in all of them.
func (r *txnReader) far() (sum int64) {
	for _, p := range r.parts {
		sum += p.position + int64(btoi(p.atEnd))
	}
	return sum
}

// judgeTransactions hands what was seen of transactions to the checker.
func (w *world) judgeTransactions() {
	if len(w.plan.Transactors) == 0 {
		return
	}
	t := &w.judge.histories.Txns
	for _, name := range w.plan.Transactional() {
		for p := range w.plan.Topic(name).Partitions {
			if l, ok := w.txnLog(partitionName(name, p)); ok {
				t.Logs = append(t.Logs, l)
			}
		}
	}
	w.violated(checker.CheckTransactions(t))
}

// txnLog is the final log of a partition, as the verifier read it.
func (w *world) txnLog(name string) (checker.TxnLog, bool) {
	r, truth := w.readings[name], w.judge.histories.Truths[name]
	if r == nil || truth == nil {
		return checker.TxnLog{}, false
	}
	l := checker.TxnLog{Partition: name, Start: truth.Start}
	for i, x := range r.records {
		if x.offset < truth.Start {
			continue
		}
		if want := truth.Start + int64(len(l.Records)); x.offset != want {
			w.fail("offsets-dense", "%s has offset %d where %d should be", name, x.offset, want)
		}
		l.Records = append(l.Records, r.txns[i])
	}
	return l, true
}
