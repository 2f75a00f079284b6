// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// examTimeout is the time-out of the examiner's transaction, in ms.
const examTimeout = 60_000

// actInTransaction begins a transaction, asks how it stands, and aborts it.
func (e *exam) actInTransaction() {
	id, epoch := e.beginTransaction()
	e.put(e.standing(id, epoch, true))
	e.put(e.listing(id, true))
	e.commitsAsStranger(id, epoch)
	req := kmsg.NewPtrEndTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch = 3, examTxn, id, epoch
	e.act(1, examTxn, "to abort a transaction", req, func(resp kmsg.Response) (int16, bool) {
		code := resp.(*kmsg.EndTxnResponse).ErrorCode
		return code, code == 0
	})
	e.put(e.standing(id, epoch, false))
	e.put(e.listing(id, false))
}

// beginTransaction begins one in which offsets of the examiner's group are to be committed.
func (e *exam) beginTransaction() (id int64, epoch int16) {
	init := kmsg.NewPtrInitProducerIDRequest()
	init.Version, init.TransactionalID, init.TransactionTimeoutMillis, init.ProducerID, init.ProducerEpoch = 3, kmsg.StringPtr(examTxn), examTimeout, -1, -1
	e.act(1, examTxn, "for a producer id", init, func(resp kmsg.Response) (int16, bool) {
		r := resp.(*kmsg.InitProducerIDResponse)
		id, epoch = r.ProducerID, r.ProducerEpoch
		return r.ErrorCode, r.ErrorCode == 0
	})
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.Version, add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = 3, examTxn, id, epoch, examGroup
	e.act(1, examTxn, "to add a group to a transaction", add, func(resp kmsg.Response) (int16, bool) {
		code := resp.(*kmsg.AddOffsetsToTxnResponse).ErrorCode
		return code, code == 0
	})
	return id, epoch
}

// standing asks how the transaction stands: that the coordinator knows.
func (e *exam) standing(id int64, epoch int16, open bool) *inquiry {
	return &inquiry{
		what: "DescribeTransactions of " + examTxn,
		request: func(*broker) kmsg.Request {
			req := kmsg.NewPtrDescribeTransactionsRequest()
			req.TransactionalIDs = []string{examTxn}
			return req
		},
		wrong: func(answers []told) string {
			described := 0
			for _, t := range answers {
				s := &t.resp.(*kmsg.DescribeTransactionsResponse).TransactionStates[0]
				if isElsewhere(s.ErrorCode) {
					continue
				}
				described++
				if s.ErrorCode != 0 || s.TimeoutMillis != examTimeout || s.ProducerID != id || open && s.ProducerEpoch != epoch {
					return fmt.Sprintf("broker %d answers %s, time-out %d, producer %d in epoch %d", t.by.number, kafka.CodeName(s.ErrorCode), s.TimeoutMillis, s.ProducerID, s.ProducerEpoch)
				}
				groups := len(s.Topics) == 1 && s.Topics[0].Topic == ownTopic && len(s.Topics[0].Partitions) == 1
				if open != (s.State == "Ongoing") || open != groups || s.StartTimestamp <= 0 {
					return fmt.Sprintf("broker %d says that it is in state %s, began at %d, and is about %v", t.by.number, s.State, s.StartTimestamp, s.Topics)
				}
			}
			return once(described)
		},
	}
}

// listing asks for transactions by all sorts of filters.
func (e *exam) listing(id int64, open bool) *inquiry {
	filter := e.pick(6)
	listed := []bool{true, open, !open, true, false, true}[filter]
	return &inquiry{
		what: fmt.Sprintf("ListTransactions, filter %d", filter),
		request: func(*broker) kmsg.Request {
			req := kmsg.NewPtrListTransactionsRequest()
			req.Version = 2
			switch filter {
			case 1:
				req.StateFilters = []string{"Ongoing"}
			case 2:
				req.StateFilters = []string{"CompleteAbort"}
			case 3:
				req.ProducerIDFilters = []int64{id + 1, id}
			case 4:
				req.TransactionalIDPattern = kmsg.StringPtr("exam")
			case 5:
				req.TransactionalIDPattern = kmsg.StringPtr("exam-.*")
			}
			return req
		},
		wrong: func(answers []told) string {
			n := 0
			for _, t := range answers {
				r := t.resp.(*kmsg.ListTransactionsResponse)
				if why := e.code(t, r.ErrorCode); why != "" {
					return why
				}
				for _, s := range r.TransactionStates {
					n += btoi(s.TransactionalID == examTxn && s.ProducerID == id)
				}
			}
			if n != btoi(listed) {
				return fmt.Sprintf("%s is listed %d times, and not %d times", examTxn, n, btoi(listed))
			}
			return ""
		},
	}
}

// commitsAsStranger commits offsets of a group, in the transaction, as a member that the group doesn't have.
func (e *exam) commitsAsStranger(id int64, epoch int16) {
	topics := e.topics()
	if len(topics) == 0 {
		return
	}
	for _, as := range []struct {
		member     string
		generation int32
	}{{"nobody", 0}, {"nobody", 7}} {
		req := kmsg.NewPtrTxnOffsetCommitRequest()
		req.Version, req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = 3, examTxn, examGroup, id, epoch
		req.MemberID, req.Generation = as.member, as.generation
		t, p := kmsg.NewTxnOffsetCommitRequestTopic(), kmsg.NewTxnOffsetCommitRequestTopicPartition()
		t.Topic, p.Offset = topics[0].Name, 1
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		e.act(0, examGroup, fmt.Sprintf("to commit offsets as member %q in generation %d", as.member, as.generation), req, func(resp kmsg.Response) (int16, bool) {
			code := resp.(*kmsg.TxnOffsetCommitResponse).Topics[0].Partitions[0].ErrorCode
			return code, slices.Contains([]int16{kerr.UnknownMemberID.Code, kerr.IllegalGeneration.Code}, code)
		})
	}
}
