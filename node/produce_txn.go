// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
)

// A batch of a transaction goes into the log only after the transaction's coordinator has said that the partition takes part
// (joinTransaction). It waits first in its queue, so the order of its producer's batches stays. The answer is good for all
// batches of the producer until a marker for it comes: that ends the transaction here, whatever is known of the next.

// asked is how far a batch is with its question to the coordinator.
type asked byte

const (
	askedNot asked = iota
	askedNow
	askedDone
)

// joinedTxn is a transaction of which the partition's leader knows that the partition takes part.
type joinedTxn struct {
	epoch int16
	seen  uint64 // markerSeen, before the question
}

const (
	maxJoined    = 1 << 14 // producers whose transactions a partition remembers to be part of
	mostQuestion = 4       // for a batch, if markers of the producer come between question and answer
)

// waitsForCoordinator reports whether a batch can't go on before its coordinator has answered. It asks, once.
func (n *Node) waitsForCoordinator(key arrivalKey, a *arrival) bool {
	p := a.part
	known, there := p.joined[a.batch.ProducerID]
	switch {
	case a.txnID == "" || a.asks == askedDone, a.err != nil, a.raw == nil, n.partitions[key.group] != p:
		return false
	case a.asks == askedNow:
		return true
	case there && known == joinedTxn{a.batch.ProducerEpoch, p.markerSeen(a.batch.ProducerID)}:
		return false
	}
	now := true // until this returns
	a.asks = askedNow
	n.askFor(key, a, mostQuestion, func(err error) {
		a.asks, a.err = askedDone, err
		if !now {
			n.letGo(key)
		}
	})
	now = false
	return a.asks == askedNow
}

// askFor asks the coordinator whether a batch's partition takes part in its transaction. If a marker for the producer comes before
// the answer, the answer may be about the transaction that it ends.
func (n *Node) askFor(key arrivalKey, a *arrival, times int, done func(error)) {
	p, b := a.part, &a.batch
	version := a.request.header.Version
	seen := p.markerSeen(b.ProducerID)
	n.joinTransaction(a.txnID, b.ProducerID, b.ProducerEpoch, key.group, version >= 12, func(err error) {
		switch {
		case err != nil:
			done(produceError(err, version))
		case seen == p.markerSeen(b.ProducerID):
			p.remember(b.ProducerID, joinedTxn{b.ProducerEpoch, seen})
			done(nil)
		case times == 1 || a.raw == nil:
			done(kafka.Errorf(kerr.NotEnoughReplicas, "transactions of producer %d end while it is asked whether this batch is in one; send it again", b.ProducerID))
		default:
			n.askFor(key, a, times-1, done)
		}
	})
}

// remember notes that the partition takes part in a producer's transaction.
func (p *partition) remember(producer int64, t joinedTxn) {
	if p.joined == nil || len(p.joined) >= maxJoined {
		p.joined = make(map[int64]joinedTxn) // those that were forgotten are asked for again
	}
	p.joined[producer] = t
}

// produceError returns the error for a producer whose batch the coordinator has not admitted. What older clients don't try again is
// told as what they do, as in Kafka.
func produceError(err error, version int16) error {
	switch code(err) {
	case kerr.ProducerFenced.Code:
		return kafka.Errorf(kerr.InvalidProducerEpoch, "the coordinator knows a newer producer with this transactional id")
	case kerr.ConcurrentTransactions.Code:
		if version >= 12 {
			return err
		}
	case kerr.NotCoordinator.Code, kerr.CoordinatorLoadInProgress.Code, kerr.CoordinatorNotAvailable.Code:
	case kerr.TransactionAbortable.Code:
		if version >= 11 {
			return err
		}
		return kafka.Errorf(kerr.InvalidTxnState, "the partition was not added to the transaction")
	default:
		return err
	}
	return kafka.Errorf(kerr.NotEnoughReplicas, "the coordinator can't say now whether the partition takes part in the transaction (%s)", kafka.CodeName(code(err)))
}
