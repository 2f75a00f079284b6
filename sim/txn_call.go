// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node"
	"chronik/sim/plan"
)

// What a call of a process goes to.
const (
	toTxn    = iota // the coordinator of its transactional id
	toGroup         // the coordinator of its group
	toLeader        // of a partition
)

// txnCall is a request that a process makes until it is answered.
type txnCall struct {
	what    string
	to      int
	part    *txnPart // toLeader
	request func() kmsg.Request
	done    func(kmsg.Response)
	number  uint64
	broker  int       // where it is under way to; 0: nowhere
	finding bool      // it is a question for the coordinator
	tried   bool      // it was sent and not answered
	lost    bool      // so it may take effect at any time
	twice   bool      // it arrives twice
	fences  bool      // whoever has the transactional id
	patient node.Time // how much longer than others it may take
	began   node.Time
	retryAt node.Time
}

// ask begins a call.
func (p *txnProcess) ask(what string, to int, part *txnPart, request func() kmsg.Request, done func(kmsg.Response)) {
	p.calls++
	p.call = &txnCall{what: what, to: to, part: part, request: request, done: done, number: p.calls, began: p.world.now}
}

// sendCall sends the call, or the question whom to send it.
func (p *txnProcess) sendCall() {
	call, w := p.call, p.world
	if call.broker != 0 || w.now < call.retryAt {
		return
	}
	to, find := 0, false
	if call.to == toLeader {
		v := &call.part.topic.partitions[call.part.partition]
		if to = v.leader; to == 0 || call.part.topic.stale {
			call.part.topic.stale = true
			p.client.askMetadata()
			return
		}
	} else if to = p.coordinators[call.to]; to == 0 {
		to, find = p.client.nextBroker, true
	}
	cn := p.client.conn(to)
	if cn == nil || p.mayEnd() {
		return
	}
	if find {
		p.find(cn)
		return
	}
	call.broker, call.tried = to, true
	req := call.request()
	p.tracef("%s goes to broker %d", call.what, to)
	if call.fences {
		p.rivals()
	}
	call.twice = p.double(req, to) || call.twice
	cn.askFor(w, req, at(p.client.timeout())+call.patient, p.answered(call, func(resp kmsg.Response) {
		call.tried = false
		call.done(resp)
	}))
	p.mayLose(cn)
}

// rivals notes whom a request for a producer id may fence: all others, and its own process if one of them has asked and has no answer
// yet. Of two that ask at the same time either may be first.
func (p *txnProcess) rivals() {
	for _, o := range p.machine.processes {
		if o != p {
			o.rival = true
			p.rival = p.rival || o.call != nil && o.call.fences && (o.call.tried || o.call.lost || o.call.twice)
		}
	}
}

// mayLose has a connection break soon after a request, whose answer may get lost by that.
func (p *txnProcess) mayLose(cn *conn) {
	m, w := p.machine, p.world
	if w.healing || m.spec.Loses == 0 || !m.draw().Ratio(m.spec.Loses, 1000) {
		return
	}
	soon := at(plan.Duration(m.draw().LogUniform(int64(100*microsecond), int64(200*millisecond))))
	w.schedule(event{at: w.now + soon, kind: evConnLost, conn: cn})
}

// answered wraps what to do with an answer: nothing if the call isn't waited for any more.
func (p *txnProcess) answered(call *txnCall, f func(kmsg.Response)) func(kmsg.Response) {
	broker := call.broker
	return func(resp kmsg.Response) {
		if p.dead || p.call != call || call.broker != broker {
			return
		}
		call.broker, call.finding = 0, false
		f(resp)
	}
}

// finish ends the call.
func (p *txnProcess) finish() {
	p.call = nil
	p.client.again = true
}

// retry makes the call once more.
func (p *txnProcess) retry() {
	p.call.retryAt = p.world.now + p.client.retryDelay()
	p.client.wakeAt(p.call.retryAt)
}

// find asks a broker for the coordinator that the call goes to.
func (p *txnProcess) find(cn *conn) {
	c, call := p.client, p.call
	c.nextBroker = c.nextBroker%len(c.world.brokers) + 1
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.Version = [...]int16{3, 4, 1, 5}[p.machine.spec.ID%4]
	key := p.machine.spec.TxnID
	req.CoordinatorType = 1
	if call.to == toGroup {
		key, req.CoordinatorType = p.machine.spec.Group, 0
	}
	req.CoordinatorKey, req.CoordinatorKeys = key, []string{key}
	call.broker, call.finding = cn.broker.number, true
	cn.ask(p.world, req, p.answered(call, func(resp kmsg.Response) { p.found(resp.(*kmsg.FindCoordinatorResponse)) }))
}

func (p *txnProcess) found(resp *kmsg.FindCoordinatorResponse) {
	if resp.Version >= 4 {
		if len(resp.Coordinators) != 1 {
			p.world.fail("protocol", "a question for one coordinator is answered with %d", len(resp.Coordinators))
		}
		r := &resp.Coordinators[0]
		resp.ErrorCode, resp.NodeID = r.ErrorCode, r.NodeID
	}
	switch {
	case resp.ErrorCode == 0 && p.client.brokerNumber(resp.NodeID) > 0:
		p.coordinators[p.call.to] = int(resp.NodeID)
		p.client.again = true
	case retriable(resp.ErrorCode) && resp.ErrorCode != 0:
		p.retry()
	default:
		p.unexpected("FindCoordinator", resp.ErrorCode)
	}
}

// lost is called when the connection to a broker is gone.
func (p *txnProcess) lost(broker int) {
	if call := p.call; call != nil && call.broker == broker {
		call.lost = call.lost || call.tried
		call.broker, call.finding = 0, false
		if call.to != toLeader {
			p.coordinators[call.to] = 0
		}
		p.retry()
	}
	for i := range p.coordinators {
		if p.coordinators[i] == broker {
			p.coordinators[i] = 0
		}
	}
	if p.txn != nil {
		for _, b := range p.txn.batches {
			if b.broker == broker {
				b.lost = true
				p.again(b)
			}
		}
	}
}

// trouble takes an error that says to ask again, perhaps elsewhere, and reports whether it is one.
func (p *txnProcess) trouble(code int16) bool {
	switch code {
	case kerr.NotCoordinator.Code, kerr.CoordinatorNotAvailable.Code:
		if p.call.to != toLeader {
			p.coordinators[p.call.to] = 0
		}
	case kerr.ConcurrentTransactions.Code, kerr.UnstableOffsetCommit.Code, kerr.OperationNotAttempted.Code:
	default:
		if !retriable(code) {
			return false
		}
		if p.call.to == toLeader {
			p.call.part.topic.stale = true
		}
	}
	p.call.lost = p.call.lost || code != kerr.ConcurrentTransactions.Code // it may be in the log of a coordinator that fell
	p.retry()
	return true
}

// isFatal says that an error ends a process: another one has its id, or the coordinator took its transaction for dead.
func isFatal(code int16) bool {
	switch code {
	case kerr.InvalidProducerEpoch.Code, kerr.ProducerFenced.Code, kerr.InvalidTxnState.Code, kerr.InvalidProducerIDMapping.Code:
		return true
	}
	return false
}

// fenced ends a process that was told so.
func (p *txnProcess) fenced(what string, code int16) {
	p.tracef("%s is answered %d", what, code)
	p.checkFenced(what, code)
	p.die(true)
}

// checkFenced demands that somebody has fenced a process: another process, a request that arrived twice, or a time-out.
func (p *txnProcess) checkFenced(what string, code int16) {
	m, w := p.machine, p.world
	if m.spec.Modern && (m.loose || p.rival) || !m.spec.Modern && (m.starts > 1 || m.spec.Doubles > 0) {
		return // in the older protocol also what an earlier process sent may begin a transaction, whose time-out fences
	}
	if !w.clocksAgree {
		return // for a new coordinator whose clock is ahead any transaction may be old
	}
	if x := p.txn; x != nil && w.now-x.began > at(m.spec.TxnTimeout/2) || !p.ready {
		return
	}
	w.fail("fenced-by-nobody", "%v: %s is answered %d, though no other process has the id, and its transaction isn't old", p, what, code)
}
