// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// A follower in the rack of a consumer shows as much of transactions as it has applied.
func TestReadCommittedFromTheClosestReplica(t *testing.T) {
	c, _, follower := newRacks(t)
	rack := fmt.Sprintf("r%d", follower)
	c.transact("t", txnBatch(7, 0, 0, "d"))
	c.transact("t", txnBatch(8, 0, 0, "e"))
	c.mark("t", txnMarker{producerID: 7, number: 1})
	c.applied(follower, 6)
	fetch := func() string {
		p := c.fetchAs(follower, rack, 0, func(req *kmsg.FetchRequest) { req.IsolationLevel = readCommitted })
		kept, next := readAs(t, &p, 0)
		return fmt.Sprintf("%v %d %d %d %s", kept, next, p.LastStableOffset, len(p.AbortedTransactions), kafka.CodeName(p.ErrorCode))
	}
	if got := fetch(); got != "[0=a 1=b 2=c] 4 4 1 NONE" {
		t.Error(got)
	}
	c.mark("t", txnMarker{producerID: 8, number: 2, commit: true})
	c.applied(follower, 7)
	if got := fetch(); got != "[0=a 1=b 2=c 4=e] 7 7 1 NONE" {
		t.Error(got)
	}
}

// A new leader knows which transactions are open, and ends them.
func TestTransactionsOutliveTheLeader(t *testing.T) {
	c, leader, _ := newRacks(t)
	c.transact("t", txnBatch(7, 0, 0, "d"))
	c.mark("t", txnMarker{producerID: 9, epoch: 3, number: 4})
	c.kill(leader)
	c.until("another one leads", func() bool { l := c.leader("t"); return l > 0 && l != leader && c.part(l, "t").leads() })
	p := c.part(c.leader("t"), "t")
	if p.lastStable() != 3 || !p.transactionOpen(7, 0) {
		t.Errorf("the last stable offset is %d", p.lastStable())
	}
	c.mark("t", txnMarker{producerID: 7, number: 5, commit: true})
	c.mark("t", txnMarker{producerID: 9, epoch: 3, number: 4})
	if p.lastStable() != 5 || p.producers.byID[9].epoch != 3 {
		t.Errorf("the last stable offset is %d", p.lastStable())
	}
	c.start(leader)
	c.applied(leader, 5)
	if p := c.part(leader, "t"); p.lastStable() != 5 || p.check() != nil {
		t.Errorf("where it led before, the last stable offset is %d: %v", p.lastStable(), p.check())
	}
}

// Apply costs batches without transactions nothing more: no memory is taken for one.
func TestBatchesWithoutTransactionsTakeNoMemory(t *testing.T) {
	for name, raw := range map[string][]byte{"plain": plain("x"), "idempotent": batch(7, 0, 0, "x")} {
		p, index := newRecords(), uint64(0)
		apply := func() {
			if kafka.SetBaseOffset(raw, 1); name == "idempotent" {
				binary.BigEndian.PutUint32(raw[53:], uint32(index)) // the next sequence
			}
			index++
			if o := p.apply(index, 1, raw, 0); o.grew == 0 {
				t.Fatal("it is refused")
			}
		}
		apply()
		if n := testing.AllocsPerRun(40, apply); n != 0 {
			t.Errorf("%s: %v allocations a batch", name, n)
		}
	}
}
