// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node/acl"
	"chronik/node/txn"
)

// AddPartitionsToTxn, versions 0 to 3, on the coordinator: partitions become part of the transaction, all or none. Clients of the
// newer protocol don't send it. Versions 4 and 5 are for brokers, which here have messages of their own (txn_verify.go).
//
//	v2  PRODUCER_FENCED
//	v3  flexible
func (n *Node) handleAddPartitionsToTxn(r *request, m kmsg.Request) {
	req := m.(*kmsg.AddPartitionsToTxnRequest)
	resp := kmsg.NewPtrAddPartitionsToTxnResponse()
	resp.Topics = make([]kmsg.AddPartitionsToTxnResponseTopic, 0, len(req.Topics))
	c := &txn.Command{Kind: txn.Add, Name: req.TransactionalID, Producer: txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}}
	refused, named := false, make(map[GroupID]bool)
	var denied error // of the topic under way
	n.eachPart(r, len(req.Topics), func(i int) int {
		out := kmsg.NewAddPartitionsToTxnResponseTopic()
		out.Topic = req.Topics[i].Topic
		out.Partitions = make([]kmsg.AddPartitionsToTxnResponseTopicPartition, 0, len(req.Topics[i].Partitions))
		resp.Topics = append(resp.Topics, out)
		denied = r.topicRight(acl.Write, out.Topic)
		return len(req.Topics[i].Partitions)
	}, func(i, j int) {
		out := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
		out.Partition = req.Topics[i].Partitions[j]
		meta := n.catalog.partition(req.Topics[i].Topic, out.Partition)
		switch {
		case denied != nil:
			out.ErrorCode = r.code(denied)
		case meta == nil:
			out.ErrorCode = kerr.UnknownTopicOrPartition.Code
		case meta.Topic.Internal:
			out.ErrorCode = kerr.TopicAuthorizationFailed.Code
		default:
			if out.ErrorCode = kerr.OperationNotAttempted.Code; !named[meta.Group] {
				named[meta.Group] = true
				c.Groups = append(c.Groups, uint64(meta.Group))
			}
		}
		refused = refused || out.ErrorCode != kerr.OperationNotAttempted.Code
		resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, out)
	}, func() {
		if refused || len(c.Groups) == 0 { // then none is added
			r.reply(resp)
			return
		}
		n.transact(r, c, req.Version >= 2, func(res txn.Result) {
			n.deadlines.Cancel(r.expiry) // the answer is there, and takes its time
			n.eachPart(r, len(resp.Topics), func(i int) int { return len(resp.Topics[i].Partitions) }, func(i, j int) {
				resp.Topics[i].Partitions[j].ErrorCode = r.code(res.Err)
			}, func() { r.reply(resp) })
		})
	})
}

// AddOffsetsToTxn, versions 0 to 4, on the coordinator: the offsets of a consumer group become part of the transaction. What takes
// part is the group's own coordinator.
//
//	v2  PRODUCER_FENCED
//	v3  flexible
//	v4  TRANSACTION_ABORTABLE, which isn't needed
func (n *Node) handleAddOffsetsToTxn(r *request, m kmsg.Request) {
	req := m.(*kmsg.AddOffsetsToTxnRequest)
	resp := kmsg.NewPtrAddOffsetsToTxnResponse()
	answer := func(res txn.Result) {
		resp.ErrorCode = r.code(res.Err)
		r.reply(resp)
	}
	if err := checkGroupID(req.Group); err != nil {
		answer(txn.Result{Err: err})
		return
	}
	meta := n.coordinatorPartition(req.Group)
	if meta == nil { // clients ask for the group's coordinator only after this
		if !n.joining() {
			n.createOwnTopic(&n.seekers[0])
		}
		answer(txn.Result{Err: kerr.CoordinatorNotAvailable})
		return
	}
	c := &txn.Command{
		Kind: txn.Add, Name: req.TransactionalID, Producer: txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch},
		Groups: []uint64{uint64(meta.Group)},
	}
	n.transact(r, c, req.Version >= 2, answer)
}
