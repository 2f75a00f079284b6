// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/sim/plan"
)

// double has a request arrive once more, later, as one does that a client sent over another connection before it gave that up. In the old
// protocol, requests that belong to a transaction don't say to which of an epoch, so that one that arrives late may hit
// a later one, in Kafka as well (KAFKA-17754).
func (p *txnProcess) double(req kmsg.Request, to int) bool {
	m, w := p.machine, p.world
	if w.healing || m.spec.Doubles == 0 || !m.draw().Ratio(m.spec.Doubles, 1000) {
		return false
	}
	switch kmsg.Key(req.Key()) {
	case kmsg.EndTxn, kmsg.TxnOffsetCommit:
		if !m.spec.Modern {
			return false
		}
	case kmsg.Fetch, kmsg.OffsetFetch:
		return false
	}
	w.again(double{req, to, p.String()}, plan.Duration(m.draw().LogUniform(int64(millisecond), int64(10*second))))
	return true
}

// double does the same with a request of a producer. One that arrives when its producer has a later epoch may have the sequence that
// follows there.
func (c *client) double(req kmsg.Request, to int) {
	if w := c.world; c.spec.Doubles > 0 && !w.healing && c.draw().Ratio(c.spec.Doubles, 1000) {
		w.again(double{req, to, fmt.Sprintf("client %d", c.spec.ID)}, plan.Duration(c.draw().LogUniform(int64(millisecond), int64(3*second))))
	}
}

// again has a request arrive once more after a time.
func (w *world) again(d double, after plan.Duration) {
	w.doubles = append(w.doubles, d)
	w.schedule(event{at: w.now + at(after), kind: evDouble, index: len(w.doubles) - 1})
}

// double is a request that arrives once more.
type double struct {
	req    kmsg.Request
	broker int
	of     string
}

// sendDouble sends one, over a connection of its own, and nobody looks at the answer.
func (w *world) sendDouble(index int) {
	d := w.doubles[index]
	w.doubles[index].req = nil
	if w.healing {
		return
	}
	if w.ghost == nil {
		w.ghost = newClient(w, &plan.Client{ID: ghostClient, InFlight: 1, Timeout: 10 * second, GiveUp: 10 * second, Home: 1})
	}
	if w.tracing() {
		w.tracef("%s of %s reaches broker %d once more", kmsg.NameForKey(d.req.Key()), d.of, d.broker)
	}
	cn := w.connect(w.ghost, w.brokers[d.broker-1])
	if w.secure == nil {
		cn.ask(w, d.req, func(kmsg.Response) { cn.hangUp(w) })
		return
	}
	cn.then = func() {
		if w.healing {
			cn.hangUp(w)
			return
		}
		cn.ask(w, d.req, func(kmsg.Response) { cn.hangUp(w) })
	}
}
