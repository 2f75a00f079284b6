// SPDX-License-Identifier: Apache-2.0

package node

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node/txn"
)

// InitProducerId, versions 0 to 5. A producer without a transactional id gets a new id, or with v3 its own id with the next
// epoch (KIP-360); one with a transactional id gets that from its coordinator. v4 knows PRODUCER_FENCED; v5 adds an error that
// isn't needed; 6 (KIP-939) isn't stable in Kafka 4.3.
func (n *Node) handleInitProducerID(r *request, m kmsg.Request) {
	req := m.(*kmsg.InitProducerIDRequest)
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	switch {
	case req.TransactionalID != nil && *req.TransactionalID == "", (req.ProducerID < 0) != (req.ProducerEpoch < 0):
		resp.ErrorCode = kerr.InvalidRequest.Code
		r.reply(resp)
		return
	case req.TransactionalID != nil:
		n.initTransactional(r, req, resp)
		return
	case req.ProducerID >= 0 && req.ProducerEpoch >= 0 && req.ProducerEpoch < maxProducerEpoch:
		resp.ProducerID, resp.ProducerEpoch = req.ProducerID, req.ProducerEpoch+1
		r.reply(resp)
		return
	}
	n.producerIDs.take(r, func(id int64) {
		resp.ProducerID, resp.ProducerEpoch = id, 0
		r.reply(resp)
	})
	r.expireAfter(producerIDTimeout, func() {
		resp.ErrorCode = kerr.CoordinatorLoadInProgress.Code // retriable everywhere
		r.reply(resp)
	})
}

// initTransactional gives a producer to a client with a transactional id. One that says which it had gets the next after that,
// once; whoever had one before is fenced.
func (n *Node) initTransactional(r *request, req *kmsg.InitProducerIDRequest, resp *kmsg.InitProducerIDResponse) {
	if t := millis(req.TransactionTimeoutMillis); t <= 0 || t > n.cfg.TransactionMaxTimeout {
		resp.ErrorCode = kerr.InvalidTransactionTimeout.Code
		r.reply(resp)
		return
	}
	c := &txn.Command{
		Kind: txn.Init, Name: *req.TransactionalID, Producer: txn.None, TimeoutMs: req.TransactionTimeoutMillis, Most: n.cfg.MaxTransactionalIDs,
	}
	if req.Version >= 3 && req.ProducerID >= 0 {
		c.Producer = txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}
	}
	n.transact(r, c, req.Version >= 4, func(res txn.Result) {
		if resp.ErrorCode = r.code(res.Err); res.Err == nil {
			resp.ProducerID, resp.ProducerEpoch = res.Producer.ID, res.Producer.Epoch
		}
		if code(res.Err) == kerr.PolicyViolation.Code {
			n.event(Event{Kind: EventCreationRefused, Text: res.Err.Error()})
		}
		r.reply(resp)
	})
}

const (
	producerIDTimeout = 2 * time.Second // a broker that is cut off can't give any; others can
	maxProducerEpoch  = 1<<15 - 2       // the last one is kept for fencing
	producerIDBlock   = 1000
)

// producerIDs hands out producer ids from blocks that the catalog reserves for this broker, one block
// ahead, so that a producer needn't wait, and gets one even from a broker that is cut off. Ids of a
// block that wasn't used up are lost at a restart; there are 2^63.
type producerIDs struct {
	node    *Node
	next    int64
	end     int64
	spare   []int64 // first id of the next block, if it is reserved
	asked   bool
	given   bool // one was given out by this process
	waiting waiters[func(id int64)]
}

// take calls done with an id, perhaps later.
func (p *producerIDs) take(r *request, done func(id int64)) {
	if id, ok := p.draw(); ok {
		done(id)
	} else {
		p.waiting.add(r, done)
	}
}

// draw returns the next id; false if none is left for now.
func (p *producerIDs) draw() (int64, bool) {
	if p.next == p.end && len(p.spare) > 0 {
		p.next, p.end, p.spare = p.spare[0], p.spare[0]+producerIDBlock, nil
	}
	p.reserve()
	if p.next == p.end {
		return 0, false
	}
	p.next++
	p.given = true
	return p.next - 1, true
}

// reserve asks for the next block if there is none.
func (p *producerIDs) reserve() {
	if !p.asked && len(p.spare) == 0 {
		p.asked = true
		p.node.commands.submit(command{ProducerIDs: &allocateProducers{producerIDBlock}}, p.reserved)
	}
}

func (p *producerIDs) reserved(res commandResult) {
	p.asked = false
	if res.err != nil { // a block is lost; there are enough
		p.reserve()
		return
	}
	p.spare = []int64{res.first}
	for p.waiting.len() > 0 {
		id, ok := p.draw()
		if !ok {
			return
		}
		done, _ := p.waiting.pop()
		done(id)
	}
}
