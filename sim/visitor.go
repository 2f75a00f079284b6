// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/checker"
	"chronik/kafka"
	"chronik/node"
	"chronik/node/sasl"
	"chronik/sim/plan"
)

// visitor is a client whose rights change, and who asks one broker all the time for what it may do and what not.
type visitor struct {
	client *client
	spec   *plan.Visitor
	until  node.Time
	next   node.Time // the next request
	asking bool
	gone   bool

	// Of one who looks at everything once, when all is healed.
	looks   bool
	answers int
	refused bool // it could not log in
}

const visitorClients = 1 << 22 // a multiple of 256

// visit lets a visitor come.
func (w *world) visit(spec *plan.Visitor) *visitor {
	c := newClient(w, &plan.Client{ID: visitorClients + spec.ID, InFlight: 1, Timeout: 4 * second, GiveUp: 4 * second, Home: spec.Broker})
	v := &visitor{client: c, spec: spec, until: w.now + at(spec.For)}
	c.visitor = v
	w.secure.visitors = append(w.secure.visitors, v)
	c.advance()
	return v
}

// disguise is what of a visitor's identity isn't right.
func (v *visitor) disguise(id *identity) {
	switch v.spec.Habit {
	case plan.VisitorWrong:
		id.password = "wrong"
	case plan.VisitorFormer:
		id.password = id.user + "-1"
	}
}

// change is as whom it logs in again.
func (v *visitor) change(id *identity) {
	switch {
	case v.spec.Habit != plan.VisitorOther:
	case v.spec.ID%2 == 0:
		id.password = "wrong"
	default:
		id.user, id.password = plan.Admin, v.client.world.secure.passwords[plan.Admin]
	}
}

// presses asks for something before it has the answer to the last token, by which it logs in again as somebody else. It mustn't get
// an answer to that, and what it asks for mustn't be done.
func (v *visitor) presses(cn *conn) {
	if v.spec.Habit == plan.VisitorOther && cn.login.user != "" {
		w := v.client.world
		v.ask(cn, &probes[0], w.plan.Topics[0].Name)
		cn.ask(w, pressed(cn.login.user), func(kmsg.Response) {})
	}
}

// pressedFor is the name in a rule that nobody may make.
const pressedFor = "pressed"

// pressed makes that rule.
func pressed(user string) kmsg.Request {
	req := kmsg.NewPtrCreateACLsRequest()
	req.Version = 1
	in := kmsg.NewCreateACLsRequestCreation()
	in.ResourceType, in.ResourceName, in.ResourcePatternType = kmsg.ACLResourceTypeTopic, pressedFor, kmsg.ACLResourcePatternTypeLiteral
	in.Principal, in.Host, in.Operation, in.PermissionType = "User:"+user, "*", kmsg.ACLOperationRead, kmsg.ACLPermissionTypeAllow
	req.Creations = append(req.Creations, in)
	return req
}

// renews says that a visitor logs in again when it's time for that.
func (v *visitor) renews(*conn) bool { return v.spec.Habit != plan.VisitorOutstays }

// logsIn says that a visitor logs in at all.
func (v *visitor) logsIn() bool { return v.spec.Habit != plan.VisitorStranger }

func (v *visitor) due() node.Time { return v.client.sooner(node.Never, v.next) }

func (v *visitor) lost() {
	v.asking = false
	v.rest()
}

func (v *visitor) rest() {
	c := v.client
	v.next = c.world.now + 1 + node.Time(c.draw().Below(int64(v.spec.Pause)))
	c.wakeAt(v.next)
}

func (v *visitor) advance() {
	c := v.client
	w := c.world
	switch {
	case v.gone:
		return
	case w.now >= v.until, v.looks && (v.refused || v.answers >= len(probes)):
		v.leave()
		return
	case v.asking:
		return
	case w.now < v.next:
		c.wakeAt(v.next)
		return
	}
	cn := c.conn(v.spec.Broker)
	if cn == nil {
		return
	}
	d := c.draw()
	p := &probes[d.Below(int64(len(probes)))]
	switch {
	case v.looks:
		p = &probes[v.answers%len(probes)]
	case d.Next().Next().Ratio(1, 2) && !v.logsIn(), d.Next().Next().Ratio(1, 32):
		v.odd(cn)
		return
	}
	names := p.names(w)
	v.ask(cn, p, names[d.Next().Below(int64(len(names)))])
}

// odd asks for what belongs to a login at a wrong time, or isn't served.
func (v *visitor) odd(cn *conn) {
	c := v.client
	w := c.world
	v.asking = true
	handshake := func(version int16, mechanism string, want int16, then func()) {
		req := kmsg.NewPtrSASLHandshakeRequest()
		req.Version, req.Mechanism = version, mechanism
		cn.ask(w, req, func(resp kmsg.Response) {
			if r := resp.(*kmsg.SASLHandshakeResponse); r.ErrorCode != want {
				w.fail("unexpected-error", "visitor %d: SaslHandshake %d for %s is answered %s", v.spec.ID, version, mechanism, kafka.CodeName(r.ErrorCode))
			}
			v.asking = false
			v.rest()
			then()
		})
	}
	authenticate := kmsg.NewPtrSASLAuthenticateRequest()
	authenticate.Version, authenticate.SASLAuthBytes = int16(c.draw().Below(3)), []byte("anything")
	answered := func(resp kmsg.Response) {
		code := resp.(*kmsg.SASLAuthenticateResponse).ErrorCode
		if v.asking = false; code != kerr.IllegalSaslState.Code {
			w.fail("unexpected-error", "visitor %d: SaslAuthenticate without a handshake is answered %s", v.spec.ID, kafka.CodeName(code))
		}
		v.rest()
	}
	nothing := func() {}
	choice := c.draw().Below(5)
	switch {
	case v.logsIn() && (w.secure.spec.Lifetime > 0 || v.spec.Token > 0 || choice < 2), choice == 0: // who hasn't logged in gets no answer
		cn.ask(w, authenticate, answered)
	case v.logsIn():
		handshake(int16(choice%2), sasl.Plain, kerr.IllegalSaslState.Code, nothing)
	case choice == 1:
		handshake(int16(c.draw().Below(2)), "GSSAPI", kerr.UnsupportedSaslMechanism.Code, nothing)
	case choice == 2:
		handshake(1, sasl.Plain, 0, func() { handshake(int16(c.draw().Below(2)), sasl.Plain, kerr.IllegalSaslState.Code, nothing) })
	case choice == 3:
		handshake(1, sasl.Plain, 0, func() { v.ask(cn, &probes[0], clusterName) })
	default:
		handshake(0, sasl.Plain, 0, func() { cn.hangUp(w); c.disconnected(cn) })
	}
}

func (v *visitor) leave() {
	v.gone, v.asking = true, false
	v.client.goAway()
}

// ask asks for one thing, and judges the answer.
func (v *visitor) ask(cn *conn, p *probe, name string) {
	c := v.client
	w := c.world
	req := p.request(c, name)
	v.asking = true
	if w.tracing() {
		w.tracef("visitor %d  asks broker %d, conn %d: %s %s", v.spec.ID, v.spec.Broker, cn.id, p.what, name)
	}
	cn.ask(w, req, func(resp kmsg.Response) {
		v.asking = false
		v.answers++
		v.rest()
		v.judge(cn, p, name, resp)
	})
}

// judge holds an answer against the rules.
func (v *visitor) judge(cn *conn, p *probe, name string, resp kmsg.Response) {
	w := v.client.world
	s, principal, host := w.secure, "User:"+cn.login.user, strings.TrimPrefix(cn.from, "/")
	codes := w.cells.Codes(resp)
	refused := refusal(codes)
	if w.tracing() {
		w.tracef("visitor %d  is answered %v", v.spec.ID, codes)
	}
	ask := func(st *checker.RightsState, op, kind int8, name string) bool {
		return st.Allows(principal, host, op, kind, name)
	}
	check := func(name string, refused bool) {
		w.violated(s.rights.Check(&checker.RightsCall{
			RightsSpan: cn.last.RightsSpan, What: fmt.Sprintf("%s of %s for %s from %s at broker %d", p.what, name, principal, host, cn.broker.number), Refused: refused,
			Needs: func(st *checker.RightsState) bool {
				return p.needs(func(op, kind int8, name string) bool { return ask(st, op, kind, name) }, name)
			},
		}))
	}
	if p.lists != nil {
		for _, listed := range p.lists(resp) {
			check(listed, false)
		}
		return
	}
	check(name, refused)
	knows, _ := s.rights.During(cn.last.From, cn.last.To, func(st *checker.RightsState) bool {
		return p.kind != checker.OfCluster && ask(st, checker.OpDescribe, p.kind, name)
	})
	if refused && !knows {
		s.checkTold(w, p.what, name, resp)
	}
}

// settleSecurity demands that all orders are carried out, and then that each broker knows what became of users and rules: it lets in
// who may come in, and gives what is allowed.
func (w *world) settleSecurity() {
	s := w.secure
	if s == nil {
		return
	}
	if !w.runUntil(w.now+2*w.patience(), func() bool { return len(s.admin.queue) == 0 }) {
		w.fail("liveness", "the administrator's orders aren't carried out within %v after all faults ended: %v", plan.Duration(w.now-w.healedAt), s.admin.queue[0].what)
	}
	for _, v := range s.visitors {
		v.leave()
	}
	w.converge()
	var looking []*visitor
	for _, b := range w.brokers {
		for u := range s.spec.Users {
			for _, habit := range []plan.VisitorKind{plan.VisitorUsual, plan.VisitorWrong, plan.VisitorFormer} {
				if b.node != nil {
					spec := &plan.Visitor{ID: 201 + len(looking)%40, For: plan.Duration(2 * w.patience()), Pause: millisecond, Broker: b.number, User: plan.UserName(u + 1), Habit: habit}
					looking = append(looking, w.visit(spec))
					looking[len(looking)-1].looks = true
				}
			}
		}
	}
	var last *visitor
	if !w.runUntil(w.now+w.patience(), w.afterAnswers(func() bool {
		for _, v := range looking {
			if last = v; !v.refused && v.answers < len(probes) {
				return false
			}
		}
		return true
	})) {
		w.fail("liveness", "%s is neither let in at broker %d nor refused, or isn't answered, %v after all faults ended", last.spec.User, last.spec.Broker, plan.Duration(w.now-w.healedAt))
	}
	for _, v := range looking {
		v.leave()
	}
	w.settleHasty()
}

// leaveSecurity lets all go that only worlds with security have.
func (w *world) leaveSecurity() {
	if w.secure == nil {
		return
	}
	for _, v := range w.secure.visitors {
		v.leave()
	}
	w.seeOff()
	w.secure.admin.client.goAway()
}
