// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node/acl"
	"chronik/node/consumers"
	"chronik/node/txn"
)

// status is how a transaction shows: complete as soon as all have their markers.
func (m *txnCoordinator) status(t *txn.Transaction) txn.Status {
	if t.Deciding() && m.acknowledged(t.Name) == t.Number {
		return t.Status + txn.CompleteCommit - txn.PrepareCommit
	}
	return t.Status
}

// DescribeTransactions, version 0 (KIP-664), on the coordinator of each transactional id.
func (n *Node) handleDescribeTransactions(r *request, m kmsg.Request) {
	req := m.(*kmsg.DescribeTransactionsRequest)
	resp := kmsg.NewPtrDescribeTransactionsResponse()
	resp.TransactionStates = make([]kmsg.DescribeTransactionsResponseTransactionState, 0, len(req.TransactionalIDs))
	var groups []uint64 // of the transactional id under way, those that can be named
	var of string
	n.eachPart(r, len(req.TransactionalIDs), func(i int) int {
		of, groups = req.TransactionalIDs[i], nil
		out := kmsg.NewDescribeTransactionsResponseTransactionState()
		out.TransactionalID = of
		var c *txnCoordinator
		err := error(errTxnRight)
		if r.may(acl.Describe, acl.TransactionalID, of) {
			c, err = n.transactionsOf(of)
		}
		if err == nil {
			if t := c.ids.Find(of); t == nil {
				err = kerr.TransactionalIDNotFound
			} else {
				groups = c.describe(t, &out)
			}
		}
		out.ErrorCode = code(err)
		resp.TransactionStates = append(resp.TransactionStates, out)
		return len(groups)
	}, func(i, j int) {
		meta, out := n.catalog.partitionOf(GroupID(groups[j])), &resp.TransactionStates[i]
		if meta == nil || !r.permitted(acl.Describe, acl.Topic, meta.Topic.Name) { // deleted, or hidden
			return
		}
		k, there := slices.BinarySearchFunc(out.Topics, meta.Topic.Name, func(t kmsg.DescribeTransactionsResponseTransactionStateTopic, name string) int {
			return strings.Compare(t.Topic, name)
		})
		if !there {
			t := kmsg.NewDescribeTransactionsResponseTransactionStateTopic()
			t.Topic = meta.Topic.Name
			out.Topics = slices.Insert(out.Topics, k, t)
		}
		out.Topics[k].Partitions = append(out.Topics[k].Partitions, meta.Index)
	}, func() { r.reply(resp) })
}

// describe says where a transaction stands, and returns the groups that take part.
func (m *txnCoordinator) describe(t *txn.Transaction, out *kmsg.DescribeTransactionsResponseTransactionState) []uint64 {
	status := m.status(t)
	out.State, out.TimeoutMillis = status.String(), t.TimeoutMs
	out.ProducerID, out.ProducerEpoch, out.StartTimestamp = t.Producer.ID, t.Producer.Epoch, -1
	if t.Started > 0 && status != txn.Empty {
		out.StartTimestamp = t.Started
	}
	if status != t.Status {
		return nil
	}
	return t.Groups
}

// transactionList is an answer to ListTransactions in the making.
type transactionList struct {
	node      *Node
	request   *request
	req       *kmsg.ListTransactionsRequest
	resp      *kmsg.ListTransactionsResponse
	states    map[string]bool // that are asked for; nil: all
	producers map[int64]bool
	pattern   *consumers.Pattern
	left      []*txnCoordinator // the first is under way
	after     string            // the last of its ids that was looked at
}

// ListTransactions, versions 0 to 2 (KIP-664): the transactional ids whose coordinator this broker is, so clients ask every
// broker. v1 filters by how long a transaction has taken, v2 by a regular expression.
func (n *Node) handleListTransactions(r *request, m kmsg.Request) {
	req := m.(*kmsg.ListTransactionsRequest)
	l := &transactionList{node: n, request: r, req: req, resp: kmsg.NewPtrListTransactionsResponse(), left: n.ownTransactions()}
	if p := req.TransactionalIDPattern; req.Version >= 2 && p != nil && *p != "" {
		var err error
		if l.pattern, err = consumers.TopicPattern(*p); err != nil {
			l.resp.ErrorCode = code(err)
			r.reply(l.resp)
			return
		}
	}
	if len(req.ProducerIDFilters) > 0 {
		l.producers = make(map[int64]bool)
	}
	l.resp.UnknownStateFilters = make([]string, 0, len(req.StateFilters))
	n.each(r, len(req.ProducerIDFilters), func(i int) { l.producers[req.ProducerIDFilters[i]] = true }, func() {
		n.each(r, len(req.StateFilters), l.state, func() {
			n.inPieces(r, l.more, func() { r.reply(l.resp) })
		})
	})
}

// state takes a status that is asked for.
func (l *transactionList) state(i int) {
	name := l.req.StateFilters[i]
	if l.states == nil {
		l.states = make(map[string]bool)
	}
	for s := txn.Empty; s <= txn.CompleteAbort; s++ {
		if s.String() == name {
			l.states[name] = true
			return
		}
	}
	if !slices.Contains([]string{"Dead", "PrepareEpochFence"}, name) { // Kafka knows them, and no transactional id is ever in them
		l.resp.UnknownStateFilters = append(l.resp.UnknownStateFilters, name)
	}
}

// more looks at the next transactional id, and says whether there are more.
func (l *transactionList) more() bool {
	if len(l.left) == 0 {
		return false
	}
	l.node.out.Work.Parts++
	m := l.left[0]
	if !m.serves() {
		l.resp.ErrorCode = kerr.CoordinatorLoadInProgress.Code
	} else if t := m.ids.Next(l.after); t != nil {
		l.after = t.Name
		l.add(m, t)
		return true
	}
	l.left, l.after = l.left[1:], ""
	return len(l.left) > 0
}

func (l *transactionList) add(m *txnCoordinator, t *txn.Transaction) {
	out := kmsg.NewListTransactionsResponseTransactionState()
	out.TransactionalID, out.ProducerID, out.TransactionState = t.Name, t.Producer.ID, m.status(t).String()
	if l.pattern != nil {
		l.node.out.Work.Parts += l.pattern.Size * len(t.Name) / 256
	}
	switch d := l.req.DurationFilterMillis; {
	case len(l.req.StateFilters) > 0 && !l.states[out.TransactionState], l.producers != nil && !l.producers[t.Producer.ID],
		l.req.Version >= 1 && d >= 0 && (t.Idle() || l.node.unixMs-t.Started < d), l.pattern != nil && !l.pattern.Matches(t.Name),
		!l.request.permitted(acl.Describe, acl.TransactionalID, t.Name):
		return
	}
	l.resp.TransactionStates = append(l.resp.TransactionStates, out)
}

// ownTransactions lists the coordinators of transactions that this broker leads.
func (n *Node) ownTransactions() (own []*txnCoordinator) {
	t := n.catalog.byName[transactionsTopic]
	if t == nil {
		return nil
	}
	for _, p := range t.Partitions {
		if m := n.transactions[p.Group]; m != nil && brokerOf(m.group.lead) == n.self {
			own = append(own, m)
		}
	}
	return own
}
