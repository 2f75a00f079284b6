// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"

	"chronik/node"
	"chronik/sim/keyed"
	"chronik/sim/plan"
)

// attacker is an attack under way.
type attacker struct {
	spec   *plan.Attack
	number uint64 // keys what it draws
	conns  []*conn
	sent   int       // requests, or bursts of them
	owed   int       // answers to come that say nothing new: of each burst all but one
	readAt node.Time // when it has read the last answer
}

// beginAttack connects to the broker and sends what is sent before any answer is read.
func (w *world) beginAttack(spec *plan.Attack) {
	if w.healing {
		return
	}
	b := w.attacked(spec)
	if b == nil || b.node == nil || b.refusing > 0 {
		return
	}
	a := &attacker{spec: spec, number: uint64(spec.ID)}
	w.attackers = append(w.attackers, a)
	w.result.Attacks[slices.Index(plan.AttackKinds, spec.Kind)].Fired++
	if w.tracing() {
		w.tracef("%s  attack %d %s begins", w.column(b), spec.ID, spec.Kind)
	}
	switch spec.Kind {
	case plan.AttackConnect:
		w.attackConnections(a, b)
		return
	case plan.AttackHerd: // to whichever broker: one of them coordinates the group
		for i := range spec.Count {
			if b := w.brokers[i%len(w.brokers)]; b.node != nil && b.refusing == 0 {
				w.attackNext(a, w.attackConn(a, b))
			}
		}
		w.schedule(event{at: w.now + at(spec.For), kind: evAttackEnd, attacker: a})
		return
	}
	cn := w.attackConn(a, b)
	for range min(spec.Ahead, spec.Count) {
		w.attackNext(a, cn)
	}
	w.schedule(event{at: w.now + at(spec.For), kind: evAttackEnd, attacker: a})
}

// attacked finds the broker that an attack is about: a client can find out who leads.
func (w *world) attacked(a *plan.Attack) *broker {
	if a.Broker > 0 {
		return w.brokers[a.Broker-1]
	}
	topic := a.Topic
	if topic == "" {
		topic = preyTopic
	}
	for _, g := range w.judge.groups {
		if g.topic == topic && g.partition == 0 && !w.judge.gone[g.id] {
			return w.leader(g.id)
		}
	}
	return w.brokers[0]
}

func (w *world) attackConn(a *attacker, b *broker) *conn {
	w.conns++
	cn := &conn{id: node.ConnID(w.conns), attacker: a, broker: b, incarnation: b.incarnation, from: attackersHost, open: true}
	b.conns = append(b.conns, cn)
	a.conns = append(a.conns, cn)
	return cn
}

// attackConnections opens connections and drops them, each after a request or before one.
func (w *world) attackConnections(a *attacker, b *broker) {
	for range a.spec.Count {
		cn := w.attackConn(a, b)
		if a.draw(w).Ratio(1, 2) {
			w.attackNext(a, cn)
		}
		a.sent++
		w.hangUpAttack(cn)
	}
}

// attackNext sends the next request.
func (w *world) attackNext(a *attacker, cn *conn) {
	if a.sent >= a.spec.Count || !cn.open || w.healing {
		return
	}
	a.sent++
	w.sendFrame(cn, evRequest, a.frame(w))
	if a.spec.Kind != plan.AttackProducers || a.sent == 1 {
		return
	}
	for range a.spec.Names - 1 { // a request has one batch for a partition
		w.sendFrame(cn, evRequest, a.frame(w))
		a.owed++
	}
}

// attackRead takes an answer, or the news that a connection is closed. An answer is read when its turn comes, and
// the next request is sent then.
func (w *world) attackRead(e event) {
	cn := e.conn
	if e.kind == evConnLost {
		cn.open = false
		return
	}
	a := cn.attacker
	w.result.Attacks[slices.Index(plan.AttackKinds, a.spec.Kind)].Mattered++
	if a.owed > 0 {
		a.owed--
		return
	}
	a.readAt = max(a.readAt, w.now) + at(a.spec.Pace)
	w.schedule(event{at: a.readAt, kind: evAttackNext, conn: cn})
}

func (w *world) endAttack(a *attacker) {
	for _, cn := range a.conns {
		w.hangUpAttack(cn)
	}
}

func (w *world) hangUpAttack(cn *conn) {
	if cn.open {
		cn.open = false
		w.sendFrame(cn, evHangup, nil)
	}
}

// draw makes the attacker's next decision.
func (a *attacker) draw(w *world) keyed.Draw {
	a.number += 1 << 32
	return w.seed.Draw(domainAttack, a.number, 0)
}

// checkBounded demands that a while after the last hostile client is gone nothing is left of it: no connection, no
// request that waits, no command on its way.
func (w *world) checkBounded() {
	why, who := "", 0
	if !w.runUntil(w.now+w.patience(), func() bool {
		for _, b := range w.brokers {
			if b.node != nil {
				if why = unbounded(b); why != "" {
					who = b.number
					return false
				}
			}
		}
		return true
	}) {
		w.fail("bounded", "broker %d %s", who, why)
	}
}

// unbounded says what a broker holds that nobody waits for any more; "" if nothing.
func unbounded(b *broker) string {
	held, asked := b.node.Held(), 0
	for _, cn := range b.conns {
		asked += len(cn.asked)
	}
	switch {
	case held.Conns > len(b.conns):
		return "keeps connections that are closed"
	case held.Requests > asked:
		return "keeps requests that nobody waits for"
	case held.Commands > 0:
		return "has commands for the catalog that don't come to an end"
	case held.Stale != "":
		return "keeps what nobody waits for: " + held.Stale
	case held.Over != "":
		return "goes beyond a bound: " + held.Over
	}
	return ""
}
