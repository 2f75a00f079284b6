// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"chronik/node"
	"chronik/sim/plan"
)

// leftTxn is a transaction whose process has ended, and for which no other one starts before its coordinator must have aborted it.
type leftTxn struct {
	of    string
	since node.Time
	due   node.Time
	ends  []leftAt
}

// leftAt is the last offset of it that is known in a partition.
type leftAt struct {
	topic     string
	partition int32
	offset    int64
}

// leaves notes that a process ends, perhaps in a transaction.
func (p *txnProcess) leaves() {
	x, w, m := p.txn, p.world, p.machine
	if x == nil || w.plan.AbortsWithin == 0 || w.healing {
		return
	}
	left := leftTxn{of: p.String(), since: w.now, due: w.now + at(m.spec.TxnTimeout+w.plan.AbortsWithin)}
	for _, t := range p.parts {
		if t.acked >= 0 {
			left.ends = append(left.ends, leftAt{t.topic.plan.Name, t.partition, t.acked})
		}
	}
	if len(left.ends) == 0 || w.now+at(m.spec.Rest) < left.due {
		return
	}
	w.abandons = append(w.abandons, left)
	w.schedule(event{at: left.due, kind: evAbortDue, index: len(w.abandons) - 1})
}

// checkAborted demands that a transaction which nobody ends was aborted soon after its time-out (aborted-late). Coordinators may change
// as often as they like meanwhile, as long as there is one.
func (w *world) checkAborted(index int) {
	left := &w.abandons[index]
	for _, at := range left.ends {
		if !w.healing && !w.isDecided(at) {
			w.fail("aborted-late", "%v ended %v ago in a transaction, which is still open in %s at offset %d",
				left.of, plan.Duration(w.now-left.since), partitionName(at.topic, at.partition), at.offset)
		}
	}
}

// isDecided says that some broker knows the last stable offset of a partition to be past an offset.
func (w *world) isDecided(at leftAt) bool {
	for _, g := range w.judge.groups {
		if g.topic != at.topic || g.partition != at.partition {
			continue
		}
		for _, b := range w.brokers {
			if b.node == nil {
				continue
			}
			if v, ok := b.node.Inspect(g.id); ok && v.LastStable > at.offset {
				return true
			}
		}
	}
	return false
}
