// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// The checks of transactions. Jepsen's names are in brackets.
const (
	TornTransaction   = "torn-transaction"           // a transaction is committed in part
	CommittedLost     = "committed-write-lost"       // an acknowledged record of a committed transaction isn't committed
	CommittedUnasked  = "committed-unasked"          // a transaction is committed whose client never asked for it, or was refused
	AbortedByItself   = "aborted-though-committed"   // a transaction whose commit was acknowledged is aborted
	AbortedRead       = "aborted-read"               // a reader of what is committed got a record of an aborted transaction (G1a)
	PrecommittedRead  = "precommitted-read"          // it got one, or an end beyond one, whose client hadn't asked to commit yet (G1b, G1c)
	CommittedSkipped  = "committed-read-skipped"     // it was led past a committed record
	FencedSeen        = "fenced-seen"                // what a fenced producer did took effect
	TransactionsMixed = "transactions-mixed"         // one marker ends records of two transactions (G0)
	MarkerAlone       = "marker-without-transaction" // a marker stands in the log that ends nothing
	Hanging           = "hanging-transaction"        // a transaction never ends
	StableInside      = "stable-offset-inside"       // a last stable offset lies within a transaction
	StableBack        = "stable-offset-back"         // it fell
	EpochBack         = "producer-epoch-back"        // a producer epoch isn't newer than one that was given before
	OffsetsTorn       = "offsets-torn"               // offsets don't have the fate of their transaction
	TxnOffsetBack     = "transactional-offset-back"  // a committed offset falls
	InputTwice        = "input-twice"                // an input of a chain has two outputs
	InputLost         = "input-lost"                 // an input that counts as processed has no output
)

// CheckTransactions judges the transactions of a cluster. All of it takes time linear in the history, but for sorting.
//
// The final logs decide: a record belongs to the first marker of its producer after it. So the fate of each record is known in one
// pass, and with it the fate of each transaction, whose records must all have the same. What readers were told is compared with that. A
// last stable offset must be one that the log had at some time: where a transaction begins that was open when all that begin below it had ended,
// or an end without open transactions. And all that is committed below it must have been asked for before the answer came. So nobody reads of a
// transaction that isn't decided, and no two can read of each other. Transactions of different producers may interleave in a partition, as
// Kafka allows; those of one producer may not. That a reader gets all that is committed up to where it goes on leaves no other way to see a part of a
// transaction than to stop reading.
func CheckTransactions(h *Transactions) *Violation {
	t := newTxns(h)
	for _, check := range []func() *Violation{
		t.index, t.readLogs, t.checkGrants, t.checkFates, t.checkFenced, t.checkStable, t.checkReads, t.checkOffsets, t.checkChains,
	} {
		if v := check(); v != nil {
			return v
		}
	}
	return nil
}

func newTxns(h *Transactions) *txns {
	return &txns{h: h, logs: map[string]*txnLog{}, sends: map[RecordID]sendID{}, fates: make([]fate, len(h.Txns)), witness: make([]string, len(h.Txns))}
}

// fate is what became of a record or of a transaction.
type fate int8

const (
	fateNone      fate = iota // not in any log
	fateCommitted             // a marker says so
	fateAborted
)

func (f fate) String() string { return [...]string{"nowhere", "committed", "aborted"}[f] }

// sendID says which send a record is from.
type sendID struct{ txn, send int32 }

// txns is a history with what was worked out from it.
type txns struct {
	h       *Transactions
	logs    map[string]*txnLog // by partition
	sends   map[RecordID]sendID
	fates   []fate   // of each transaction
	witness []string // what shows that

	sendFates [][]fate
}

// txnLog is a log with what one pass over it says of each offset.
type txnLog struct {
	*TxnLog
	fates []fate // of each record; fateCommitted too for what is no part of a transaction
	// ends is, for each record with which a transaction begins, the place of its marker, else -1.
	ends []int32
	// lastEnd is the last place at which a transaction ends that begins below an offset, -1 if there is none; one more than records.
	lastEnd []int32
	// decided is the latest time at which the commit of one of the committed transactions below an offset was first asked for.
	decided []decision
	// newer is the place of the next committed record with the same key, -1 if there is none; nil: nothing is compacted.
	newer []int32
}

type decision struct {
	at  int64
	txn int32
}

func (t *txns) index() *Violation {
	for i := range t.h.Txns {
		x := &t.h.Txns[i]
		for j := range x.Sends {
			if other, ok := t.sends[x.Sends[j].Value]; ok {
				return violation(BadHistory, nil, "record %d was sent by %s and by %s", x.Sends[j].Value, t.name(int(other.txn)), t.name(i))
			}
			t.sends[x.Sends[j].Value] = sendID{int32(i), int32(j)}
		}
		t.sendFates = append(t.sendFates, make([]fate, len(x.Sends)))
	}
	return nil
}

// name describes a transaction for people.
func (t *txns) name(i int) string {
	x := &t.h.Txns[i]
	asked := "asked for no end"
	if x.Asked != 0 {
		end := "abort"
		if x.Commit {
			end = "commit"
		}
		asked = fmt.Sprintf("%s asked for at %s, %s", end, seconds(x.Asked), x.Outcome)
	}
	return fmt.Sprintf("transaction %d of %s, producer %d.%d, %s%s", i, x.TxnID, x.Producer, x.Epoch, asked, x.span())
}

// checkFates compares the fates of a transaction's records with each other and with what its client knows.
func (t *txns) checkFates() *Violation {
	for i := range t.h.Txns {
		x := &t.h.Txns[i]
		for j := range x.Sends {
			s, f := &x.Sends[j], t.sendFates[i][j]
			if f == fateNone {
				continue
			}
			if t.fates[i] != fateNone && t.fates[i] != f {
				return violation(TornTransaction, nil, "%s is torn: %s, but record %d in %s is %s", t.name(i), t.witness[i], s.Value, s.Partition, f)
			}
			t.fates[i], t.witness[i] = f, fmt.Sprintf("record %d in %s is %s", s.Value, s.Partition, f)
		}
		if v := t.checkAsked(i); v != nil {
			return v
		}
	}
	return nil
}

// checkAsked compares the fate of one transaction with what was asked.
func (t *txns) checkAsked(i int) *Violation {
	x := &t.h.Txns[i]
	asked := x.Commit && x.Asked != 0
	switch {
	case t.fates[i] == fateCommitted && (!asked || x.Outcome == Failed):
		return violation(CommittedUnasked, nil, "%s is committed: %s", t.name(i), t.witness[i])
	case t.fates[i] == fateAborted && asked && x.Outcome == OK:
		return violation(AbortedByItself, nil, "%s is aborted: %s", t.name(i), t.witness[i])
	case t.fates[i] == fateCommitted, asked && x.Outcome == OK:
		t.fates[i] = fateCommitted
	default:
		return nil
	}
	for j := range x.Sends {
		s := &x.Sends[j]
		l := t.logs[s.Partition]
		if s.Outcome == OK && t.sendFates[i][j] == fateNone && l != nil && l.Start == 0 {
			return violation(CommittedLost, nil, "%s is committed, but record %d, which was acknowledged, isn't in %s", t.name(i), s.Value, s.Partition)
		}
	}
	return nil
}

// checkGrants demands that each epoch of a producer is given out once, and newer ones later.
func (t *txns) checkGrants() *Violation {
	type key struct {
		txnID    string
		producer int64
	}
	byKey := map[key][]timed{}
	var keys []key
	given := map[producerEpoch]int{}
	for i := range t.h.Grants {
		g := &t.h.Grants[i]
		pe := producerEpoch{g.Producer, g.Epoch}
		if other, ok := given[pe]; ok {
			return violation(EpochBack, nil, "producer %d, epoch %d is given out twice: to %s%s and to %s%s", g.Producer, g.Epoch,
				t.h.Grants[other].TxnID, t.h.Grants[other].span(), g.TxnID, g.span())
		}
		given[pe] = i
		k := key{g.TxnID, g.Producer}
		if byKey[k] == nil {
			keys = append(keys, k)
		}
		byKey[k] = append(byKey[k], timed{int64(g.Epoch), g.Call, g.Return, CallID{Index: i}})
	}
	for _, k := range keys {
		if lower, higher, ok := sweep(byKey[k]); !ok {
			return violation(EpochBack, nil, "producer %d of %s is given epoch %d%s after epoch %d%s", k.producer, k.txnID,
				lower.position, t.h.Grants[lower.id.Index].span(), higher.position, t.h.Grants[higher.id.Index].span())
		}
	}
	return nil
}

type producerEpoch struct {
	producer int64
	epoch    int16
}

// checkFenced demands that nothing takes effect that a client did after another process had got its transactional id.
func (t *txns) checkFenced() *Violation {
	fences := map[string][]*Grant{} // by transactional id, ascending by call
	for i := range t.h.Grants {
		if g := &t.h.Grants[i]; g.Fences {
			fences[g.TxnID] = append(fences[g.TxnID], g)
		}
	}
	//det:ok each list is sorted on its own
	for _, list := range fences {
		slices.SortStableFunc(list, func(a, b *Grant) int { return cmp.Compare(a.Call, b.Call) })
		for i := len(list) - 2; i >= 0; i-- { // the earliest return of those that were called then or later
			if list[i+1].Return < list[i].Return {
				list[i] = list[i+1]
			}
		}
	}
	for i := range t.h.Txns {
		x := &t.h.Txns[i]
		list := fences[x.TxnID]
		at, _ := slices.BinarySearchFunc(list, x.Call+1, func(g *Grant, call int64) int { return cmp.Compare(g.Call, call) })
		if at == len(list) {
			continue
		}
		if v := t.fencedBy(i, list[at]); v != nil {
			return v
		}
	}
	return nil
}

// fencedBy looks at a transaction that had begun before a process asked for its transactional id.
func (t *txns) fencedBy(i int, g *Grant) *Violation {
	x := &t.h.Txns[i]
	if g.Client == x.Client {
		return nil
	}
	if t.fates[i] == fateCommitted && x.Asked > g.Return {
		return violation(FencedSeen, nil, "%s is committed, but client %d had its id as producer %d.%d since %s", t.name(i), g.Client, g.Producer, g.Epoch, seconds(g.Return))
	}
	for j := range x.Sends {
		if s := &x.Sends[j]; s.Call > g.Return && t.sendFates[i][j] != fateNone {
			return violation(FencedSeen, nil, "%s: record %d, sent at %s, is in %s, but client %d had the id as producer %d.%d since %s",
				t.name(i), s.Value, seconds(s.Call), s.Partition, g.Client, g.Producer, g.Epoch, seconds(g.Return))
		}
	}
	return nil
}

const never = int64(math.MaxInt64)
