// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TxnOffsetCommit, versions 0 to 5: offsets that become those of a group when a transaction is committed.
//
//	v2  leader epoch
//	v3  flexible; member and generation (KIP-447)
//	v4  TRANSACTION_ABORTABLE (KIP-890)
//	v5  the request makes the group part of the transaction; before, AddOffsetsToTxn did
//
// The coordinator of the transaction says first whether the group is part of it, unless offsets of it are pending
// already. Then they go into the log as one entry, and are answered when it is committed. Nobody sees them before the
// marker comes (consumer_txn.go).
func (n *Node) handleTxnOffsetCommit(r *request, m kmsg.Request) {
	req := m.(*kmsg.TxnOffsetCommitRequest)
	o := &txnOffsetCommit{req: req, offsetCommit: offsetCommit{node: n, request: r, resp: kmsg.NewPtrOffsetCommitResponse(), size: batchBytes(nil)}}
	plain := kmsg.NewPtrOffsetCommitRequest()
	plain.Version, plain.Group, plain.Generation, plain.MemberID, plain.InstanceID = plainVersion, req.Group, req.Generation, req.MemberID, req.InstanceID
	plain.Topics = make([]kmsg.OffsetCommitRequestTopic, len(req.Topics))
	o.offsetCommit.req = plain
	n.eachPart(r, len(req.Topics), o.begin, o.add, o.join)
	r.expireAfter(coordinatorTimeout, func() { o.fail(kerr.CoordinatorNotAvailable) })
}

// plainVersion is that of the OffsetCommit of which a request is made: topics have names.
const plainVersion = 8

// txnOffsetCommit is what a request wants to commit, in the making, as if it were an OffsetCommit.
type txnOffsetCommit struct {
	offsetCommit
	req   *kmsg.TxnOffsetCommitRequest
	asked int // so many times the transaction's coordinator was asked
}

func (o *txnOffsetCommit) begin(i int) int {
	in, plain := &o.req.Topics[i], &o.offsetCommit.req.Topics[i]
	plain.Topic, plain.Partitions = in.Topic, make([]kmsg.OffsetCommitRequestTopicPartition, len(in.Partitions))
	return o.offsetCommit.begin(i)
}

func (o *txnOffsetCommit) add(i, j int) {
	in, plain := &o.req.Topics[i].Partitions[j], &o.offsetCommit.req.Topics[i].Partitions[j]
	plain.Partition, plain.Offset, plain.LeaderEpoch, plain.Metadata = in.Partition, in.Offset, in.LeaderEpoch, in.Metadata
	o.offsetCommit.add(i, j)
}

// fail answers every partition of the request alike.
func (o *txnOffsetCommit) fail(err error) {
	o.failAll(o.request.code(err))
	o.reply()
}

func (o *txnOffsetCommit) reply() {
	resp, topics := kmsg.NewPtrTxnOffsetCommitResponse(), o.resp.Topics
	resp.Topics = make([]kmsg.TxnOffsetCommitResponseTopic, len(topics))
	o.node.eachPart(o.request, len(topics), func(i int) int {
		resp.Topics[i].Topic = topics[i].Topic
		resp.Topics[i].Partitions = make([]kmsg.TxnOffsetCommitResponseTopicPartition, len(topics[i].Partitions))
		return len(topics[i].Partitions)
	}, func(i, j int) {
		in, out := &topics[i].Partitions[j], &resp.Topics[i].Partitions[j]
		out.Partition, out.ErrorCode = in.Partition, in.ErrorCode
	}, func() { o.request.reply(resp) })
}

// mostAsked bounds how often a coordinator is asked again because markers came meanwhile.
const mostAsked = 3

// join asks whether the group is part of the transaction, or makes it so. An answer to a question from before a marker may
// be about the transaction that the marker ends.
func (o *txnOffsetCommit) join() {
	req, n := o.req, o.node
	c, err := n.coordinatorOf(req.Group)
	switch {
	case err != nil:
		o.fail(err)
		return
	case req.ProducerID < 0 || req.ProducerEpoch < 0 || req.TransactionalID == "":
		o.fail(kerr.InvalidRequest)
		return
	case len(o.records) == 0:
		o.reply()
		return
	case c.txns.isOpen(req.ProducerID, req.ProducerEpoch) && c.markers.underway[req.ProducerID] == 0: // no marker comes before them
		o.commit(c)
		return
	}
	o.asked++
	seen := c.markerSeen(req.ProducerID)
	n.joinTransaction(req.TransactionalID, req.ProducerID, req.ProducerEpoch, c.group.id, req.Version >= 5, thenWith(o.request, func(err error) {
		switch again := n.coordinators[c.group.id] == c && c.markerSeen(req.ProducerID) != seen; {
		case code(err) == kerr.TransactionAbortable.Code && req.Version < 4:
			o.fail(kerr.InvalidTxnState)
		case err != nil:
			o.fail(err)
		case again && o.asked < mostAsked:
			o.join()
		case again:
			o.fail(kerr.ConcurrentTransactions)
		default:
			o.commit(c)
		}
	}))
}

// commit proposes the offsets, if the group takes them.
func (o *txnOffsetCommit) commit(c *coordinator) {
	g, err := o.group(c)
	switch {
	case err != nil:
		o.fail(err)
	case o.tooLarge() || !g.hasRoomFor(o.wanted) || !c.txns.takes(o.req.ProducerID, len(o.records)):
		g.classic.forgetIfUnused()
		o.fail(kerr.InvalidCommitOffsetSize)
	case c.txns.isFull(o.req.ProducerID):
		g.classic.forgetIfUnused()
		o.fail(errTooManyBusy)
	default:
		o.propose(g)
	}
}

// group finds the group, or makes one that has no members, and asks whether it takes the offsets.
func (o *txnOffsetCommit) group(c *coordinator) (*consumerGroup, error) {
	now, err := o.node.coordinatorOf(o.req.Group)
	if err == nil && now != c {
		err = kerr.NotCoordinator
	}
	if err != nil {
		return nil, err
	}
	if o.req.Generation >= 0 && c.find(o.req.Group) == nil {
		return nil, kerr.IllegalGeneration
	}
	g, err := c.open(o.req.Group)
	if err == nil {
		err = g.admitTxnCommit(o.offsetCommit.req)
	}
	if err != nil && g != nil {
		g.classic.forgetIfUnused()
	}
	return g, err
}

// admitTxnCommit reports why a client may not commit offsets in a transaction now. Those that say nothing of a member, as
// all did before version 3, may always.
func (g *consumerGroup) admitTxnCommit(req *kmsg.OffsetCommitRequest) error {
	nobody := req.Generation < 0 && req.MemberID == "" && req.InstanceID == nil
	if g.isModern() {
		s := g.stored.modern
		if nobody || req.Generation < 0 && len(s.members) == 0 {
			return nil
		}
		err := s.admit(req.MemberID, req.Generation)
		if code(err) == kerr.StaleMemberEpoch.Code {
			err = kerr.IllegalGeneration
		}
		return err
	}
	switch live := g.classic; {
	case live.state == groupDead:
		return kerr.CoordinatorNotAvailable
	case nobody || req.Generation < 0 && live.state == groupEmpty:
		return nil
	default:
		_, err := live.current(req.MemberID, req.InstanceID, req.Generation)
		return err
	}
}

// takes reports whether a transaction may have so many more offsets.
func (t *offsetTransactions) takes(producer int64, more int) bool {
	if p := t.byID[producer]; p != nil {
		more += len(p.pending)
	}
	return more <= maxPendingOffsets
}

// isFull reports whether no other producer may have pending offsets.
func (t *offsetTransactions) isFull(producer int64) bool {
	p := t.byID[producer]
	return t.busy.Len() >= maxBusyProducers && (p == nil || len(p.pending) == 0)
}

// propose answers when the offsets are in the log.
func (o *txnOffsetCommit) propose(g *consumerGroup) {
	live := g.classic
	live.commits++
	live.offsets += len(o.records)
	o.node.event(Event{Kind: EventOffsetCommit, Group: live.group(), N: int64(len(o.records)), Text: g.id})
	answer := thenWith(o.request, func(err error) {
		if err != nil {
			o.fail(err)
		} else {
			o.reply()
		}
	})
	g.coordinator.group.propose(appendPending(o.req.ProducerID, o.req.ProducerEpoch, o.records, o.node.unixMs), func(result any, err error) {
		live.commits--
		live.offsets -= len(o.records)
		live.forgetIfUnused()
		if refused, ok := result.(error); ok {
			err = refused
		} else if err != nil {
			err = kerr.NotCoordinator
		}
		answer(err)
	})
}
