// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node/txn"
)

// EndTxn, versions 0 to 5, on the coordinator: commit or abort. It is answered when the decision is committed; the markers
// go out then.
//
//	v2  PRODUCER_FENCED
//	v3  flexible
//	v4  TRANSACTION_ABORTABLE, which isn't needed
//	v5  the producer gets its next epoch, or a new id (KIP-890 part 2)
func (n *Node) handleEndTxn(r *request, m kmsg.Request) {
	req := m.(*kmsg.EndTxnRequest)
	resp := kmsg.NewPtrEndTxnResponse()
	c := &txn.Command{
		Kind: txn.End, Name: req.TransactionalID, Producer: txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch},
		Commit: req.Commit, V2: req.Version >= 5,
	}
	n.transact(r, c, req.Version >= 2, func(res txn.Result) {
		resp.ErrorCode, resp.ProducerID, resp.ProducerEpoch = r.code(res.Err), -1, -1
		if res.Err == nil {
			resp.ProducerID, resp.ProducerEpoch = res.Producer.ID, res.Producer.Epoch
		}
		r.reply(resp)
	})
}

// transact lets the coordinator decide about a client's command, if that is this broker, and answers once. Older versions of each
// request know a fenced producer by another error.
func (n *Node) transact(r *request, c *txn.Command, knowsFenced bool, answer func(txn.Result)) {
	fail := func(err error) { answer(txn.Result{Err: err, Producer: txn.None}) }
	m, err := n.transactionsOf(c.Name)
	switch {
	case err != nil:
		fail(err)
		return
	case c.Producer != txn.None && (c.Producer.ID < 0 || c.Producer.Epoch < 0):
		fail(kerr.InvalidProducerIDMapping)
		return
	}
	m.decide(r, c, thenWith(r, func(res txn.Result) {
		if code(res.Err) == kerr.ProducerFenced.Code && !knowsFenced {
			res.Err = kerr.InvalidProducerEpoch
		}
		answer(res)
	}))
	r.expireAfter(coordinatorTimeout, func() { fail(kerr.CoordinatorNotAvailable) })
}
