// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/checker"
	"chronik/node"
	"chronik/sim/plan"
)

// healTransactors lets processes that stand still go on. They end their transactions, and begin no more.
func (w *world) healTransactors() {
	for _, m := range w.transactors {
		for _, p := range slices.Clone(m.processes) {
			p.goOn()
		}
	}
}

// settleTransactions demands that soon every transactional id can be used: a new process commits a transaction with all its partitions, and
// a chain processes all that there is. Then every transaction ends by itself, or by its time-out, and the last stable offset comes to the end of
// each partition.
func (w *world) settleTransactions() {
	if len(w.transactors) == 0 {
		return
	}
	longest := plan.Duration(0)
	for _, m := range w.transactors {
		longest = max(longest, m.spec.TxnTimeout, 3*m.spec.Session)
		m.final = true
		m.start()
	}
	for far := int64(-1); !w.runUntil(w.now+4*w.patience()+2*at(longest), w.afterAnswers(func() bool { return w.transacts() == nil })); far = w.processed() {
		if w.processed() > far { // chains have much to do
			continue
		}
		w.fail("liveness", "the last process of %s doesn't come to its end, though all faults had ended %v before", w.transacts().spec.TxnID, plan.Duration(w.now-w.healedAt))
	}
	for _, m := range w.transactors {
		for _, p := range slices.Clone(m.processes) {
			p.die(true)
		}
	}
	w.settleStable(longest)
}

// processed is how many records chains have come past.
func (w *world) processed() (sum int64) {
	for _, m := range w.transactors {
		for _, p := range m.processes {
			for _, in := range p.inputs {
				sum += max(in.position, 0) - int64(len(in.records))
			}
		}
	}
	return sum
}

// transacts is a machine whose last process isn't done, or on which another one waits for something; nil if there is none.
func (w *world) transacts() *transactor {
	for _, m := range w.transactors {
		if !m.done && !slices.ContainsFunc(m.processes, func(p *txnProcess) bool { return p.final }) {
			m.start()
		}
		if !m.done || slices.ContainsFunc(m.processes, func(p *txnProcess) bool { return p.txn != nil || p.call != nil }) {
			return m
		}
	}
	return nil
}

// settleStable demands that soon no transaction is open.
func (w *world) settleStable(longest plan.Duration) {
	why := ""
	for limit := w.now + w.patience() + 3*at(longest); ; {
		if why = w.unstable(); why == "" {
			return
		}
		if w.now > limit {
			w.fail("liveness", "%s, though all faults had ended %v before", why, plan.Duration(w.now-w.healedAt))
		}
		w.runUntil(w.now+node.Time(200*millisecond), func() bool { return false })
	}
}

// unstable names a partition in which a transaction is open; "" if there is none.
func (w *world) unstable() string {
	for _, name := range w.plan.Transactional() {
		for p := range w.plan.Topic(name).Partitions {
			var ends [2]int64
			for isolation := range ends {
				call := w.verifierCall(callStable, name, p)
				call.Offset = int64(isolation)
				w.verifier.begin(call)
				w.waitFor(fmt.Sprintf("a question for the end of %s is answered", partitionName(name, p)), w.patience())
				ends[isolation] = w.lastEnd
			}
			if ends[1] < ends[0] {
				return fmt.Sprintf("the last stable offset of %s stays at %d, and the log ends at %d", partitionName(name, p), ends[1], ends[0])
			}
		}
	}
	return ""
}

// callStable asks for the end of a partition with isolation level Offset.
const callStable = "stable"

func (c *client) sendStableEnd(cn *conn, p *pendingCall) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version, req.ReplicaID, req.IsolationLevel = 5, -1, int8(p.call.Offset)
	rt, rp := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
	rt.Topic, rp.Partition, rp.CurrentLeaderEpoch, rp.Timestamp = p.call.Topic, p.call.Partition, -1, -1
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	c.question(cn, p, req, func(resp kmsg.Response) (int16, func() int64) {
		r := &resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
		return r.ErrorCode, func() int64 {
			if c.world.lastEnd = r.Offset; p.call.Offset == 1 {
				c.world.judge.stableEnd(checker.StableEnd{Span: c.span(p), Partition: partitionName(p.call.Topic, p.call.Partition), Offset: r.Offset})
			}
			return r.Offset
		}
	})
}

// readCommittedAgain lets a new client read all that is committed, after the verifier has read everything.
func (w *world) readCommittedAgain() {
	if len(w.transactors) == 0 {
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

// finalLogs hands the final logs to the checker, and returns the records of aborted transactions.
func (w *world) finalLogs() map[checker.RecordID]bool {
	t := &w.judge.histories.Txns
	for _, name := range w.plan.Transactional() {
		for p := range w.plan.Topic(name).Partitions {
			if l, ok := w.txnLog(partitionName(name, p)); ok {
				t.Logs = append(t.Logs, l)
			}
		}
	}
	if len(w.judge.archives) == 0 {
		return nil
	}
	aborted, bad := checker.AbortedRecords(t)
	w.violated(bad)
	return aborted
}

// judgeTransactions hands what was seen of transactions to the checker.
func (w *world) judgeTransactions() {
	if len(w.transactors) > 0 {
		w.violated(checker.CheckTransactions(&w.judge.histories.Txns))
	}
}

// txnLog is the final log of a partition, as the verifier read it.
func (w *world) txnLog(name string) (checker.TxnLog, bool) {
	r, truth := w.readings[name], w.judge.histories.Truths[name]
	if r == nil || truth == nil {
		return checker.TxnLog{}, false
	}
	if a := w.judge.archiveOf(name); a != nil {
		a.compare(w, r)
		return a.log, true
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

// chainOffsets are the last committed offsets that chains were told.
func (w *world) chainOffsets() (all []committedOffset) {
	place := make(map[string]int)
	for _, r := range w.judge.histories.Txns.OffsetReads {
		c := committedOffset{key: r.Group + " " + r.Partition}
		if r.Offset >= 0 {
			c.text = offsetText(r.Offset, *commitText(r.ID))
		}
		switch i, ok := place[c.key]; {
		case !r.Stable:
		case ok:
			all[i] = c
		default:
			place[c.key] = len(all)
			all = append(all, c)
		}
	}
	return all
}
