// SPDX-License-Identifier: Apache-2.0

package node

import (
	"chronik/kafka"
)

// Batches are checked before they are proposed. A step checks uncompressed ones itself, up to inlineBytes in all. Tasks
// check the compressed ones, and the uncompressed ones that exceed that budget. A producer's batches for a partition are proposed in the order in which they came, so those
// after one that is being checked wait for it; those of other connections and partitions go on.

// arrivalKey names a queue: the batches of a connection for one partition.
type arrivalKey struct {
	conn  ConnID
	group GroupID
}

// arrival is a batch on its way to being proposed.
type arrival struct {
	request *request
	part    *partition
	batch   kafka.Batch
	raw     []byte
	txnID   string // of its transaction; "": it is in none
	kept    bool   // it keeps its offsets (kept.go)
	checked bool
	asks    asked // the coordinator of its transaction
	orphan  bool  // its client is gone
	// admitted: it isn't in its queue any more.
	admitted bool
	err      error
	propose  func()
	refuse   func(error)
}

// inlineBytes is how much of plain records one step checks itself, which takes about a millisecond per MiB.
const inlineBytes = 2 << 20

// inline reports whether this step looks at so many plain bytes itself, and counts them.
func (n *Node) inline(size int) bool {
	if n.inlined+size > inlineBytes {
		return false
	}
	n.inlined += size
	return true
}

// arrive checks a batch whose header is good, and proposes it when its turn in its queue has come.
func (n *Node) arrive(a *arrival) {
	key := arrivalKey{a.request.conn.id, a.part.group.id}
	inline := a.batch.Codec() == kafka.CodecNone && n.inline(len(a.raw))
	if inline {
		a.note((*kafka.Decompressor)(nil).CheckRecords(a.raw, a.demands()))
		if len(n.arrivals[key]) == 0 && !n.waitsForCoordinator(key, a) {
			n.admit(a) // most go this way, so no queue is made for them
			return
		}
	}
	n.arrivals[key] = append(n.arrivals[key], a)
	a.request.onEnd(func() { n.releaseArrival(a) })
	if inline {
		n.letGo(key)
		return
	}
	n.tasks.checks.take(a.request.conn, func() {
		if a.raw == nil || a.part.node.partitions[key.group] != a.part {
			n.tasks.checks.give() // nobody wants it any more
			n.checked(key, a, TaskResult{Err: errNotLeader})
			return
		}
		n.start(n.checkTask(a), func(res TaskResult) {
			n.tasks.checks.give()
			n.checked(key, a, res)
		})
	})
}

// maxOrphans bounds the batches of clients that are gone. They may have sent them with acks=0, so they are written if
// that is cheap; nothing else counts them any more.
const maxOrphans = 16 << 20

// releaseArrival lets go of a batch whose request is over. What the request was counted for may be asked for again, so
// nothing of it may stay behind.
func (n *Node) releaseArrival(a *arrival) {
	if a.admitted {
		return
	}
	size := int64(len(a.raw))
	if a.request.gone && n.orphans+size <= maxOrphans {
		a.orphan = true
		n.orphans += size
		return
	}
	a.raw, a.propose, a.refuse = nil, nil, nil
}

func (n *Node) checkTask(a *arrival) Task {
	return Task{Kind: TaskCheck, Batch: a.raw, Demands: a.demands()}
}

// demands are what the check of a batch asks of it.
func (a *arrival) demands() kafka.Demands {
	d := a.part.demands()
	if a.kept { // it was checked when it came to the log that it is from
		return kafka.Demands{Unfold: d.Unfold, Newest: kafka.AnyTime, Kept: true}
	}
	return d
}

// checked takes what the check of a batch found, and lets those go that are first in the queue.
func (n *Node) checked(key arrivalKey, a *arrival, res TaskResult) {
	a.note(res.Time, res.Err)
	n.letGo(key)
}

// note takes what the check of a batch found: the newest timestamp of its records, or why it can't be taken.
func (a *arrival) note(newest int64, err error) {
	a.checked, a.err = true, err
	if a.err == nil && a.raw != nil && newest != a.batch.MaxTimestamp && !a.batch.IsLogAppendTime() {
		kafka.SetMaxTimestamp(a.raw, newest) // as Kafka does: of the header anything may be said
	}
}

// letGo lets those go that are first in a queue: checked, and known to be part of their transactions.
func (n *Node) letGo(key arrivalKey) {
	queue := n.arrivals[key]
	for len(queue) > 0 && queue[0].checked && !n.waitsForCoordinator(key, queue[0]) {
		first := queue[0]
		queue[0] = nil
		queue = queue[1:]
		n.admit(first)
	}
	if len(queue) > 0 {
		n.arrivals[key] = queue
	} else {
		delete(n.arrivals, key)
	}
}

// admit proposes a batch or refuses it. Its partition may have gone meanwhile.
func (n *Node) admit(a *arrival) {
	a.admitted = true
	if a.orphan {
		n.orphans -= int64(len(a.raw))
	}
	switch {
	case a.raw == nil: // its time was up
	case n.partitions[a.part.meta.Group] != a.part:
		a.refuse(errNotLeader)
	case a.err != nil:
		a.refuse(a.err)
	default:
		a.propose()
	}
}
