// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node"
	"chronik/node/acl"
	"chronik/node/sasl"
	"chronik/sim/plan"
)

// administrator carries out orders, one after the other, each until it is answered.
type administrator struct {
	client *client
	queue  []*order
	asking int // broker; 0: none
	again  node.Time
}

// order is one request for a change of users or rules.
type order struct {
	spec    *plan.Order
	what    []string // what it changes, as node.EventCatalogChanged says it
	request func() kmsg.Request
	wishes  []int // of the attempt under way
}

const adminClient = 1<<22 + 250

func (w *world) newAdministrator() {
	s := w.secure
	if s == nil {
		return
	}
	c := newClient(w, &plan.Client{ID: adminClient, InFlight: 1, Timeout: 3 * second, GiveUp: 3 * second, Home: 1})
	s.admin = &administrator{client: c}
	c.admin = s.admin
	s.admin.add(&plan.Order{Kind: plan.OrderPassword, User: plan.Crew})
	for _, r := range crewRights() {
		s.admin.add(&plan.Order{Kind: plan.OrderCreate, Rule: &r})
	}
	for i := range w.plan.Orders {
		w.schedule(event{at: at(w.plan.Orders[i].At), kind: evOrder, index: i})
	}
	for i := range w.plan.Visitors {
		w.schedule(event{at: at(w.plan.Visitors[i].At), kind: evVisitor, index: i})
	}
	for i := range w.plan.Hasty {
		w.schedule(event{at: at(w.plan.Hasty[i].At), kind: evHasty, index: i})
	}
}

// begin gives the administrator an order, or lets a visitor or a hasty client come.
func (s *security) begin(w *world, e event) {
	switch {
	case e.kind == evOrder:
		s.admin.add(&w.plan.Orders[e.index])
	case w.healing:
	case e.kind == evVisitor:
		w.visit(&w.plan.Visitors[e.index])
	default:
		w.hurry(&w.plan.Hasty[e.index])
	}
}

// add takes an order.
func (a *administrator) add(spec *plan.Order) {
	o := &order{spec: spec}
	switch spec.Kind {
	case plan.OrderPassword:
		for _, h := range []sasl.Hash{sasl.SHA256, sasl.SHA512} { // a request names a user once
			a.queue = append(a.queue, a.password(spec, h, h == sasl.SHA256 && spec.User != plan.Crew))
		}
	case plan.OrderRemove:
		for _, h := range []sasl.Hash{sasl.SHA256, sasl.SHA512} {
			a.queue = append(a.queue, &order{
				spec: spec, what: []string{fmt.Sprintf("delete the %s credential of user %.80q", h.Mechanism(), spec.User)},
				request: func() kmsg.Request {
					req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
					d := kmsg.NewAlterUserSCRAMCredentialsRequestDeletion()
					d.Name, d.Mechanism = spec.User, int8(h)
					req.Deletions = append(req.Deletions, d)
					return req
				},
			})
		}
	case plan.OrderCreate:
		rule := ruleOf(spec.Rule)
		o.what = []string{"create rule " + rule.String()}
		o.request = func() kmsg.Request { return createRule(spec.Rule) }
		a.queue = append(a.queue, o)
	case plan.OrderQuota:
		a.queue = append(a.queue, quotaOrder(spec))
	default:
		f, in := filterOf(spec)
		o.what = []string{"delete rules: " + f.String()}
		o.request = func() kmsg.Request {
			req := kmsg.NewPtrDeleteACLsRequest()
			req.Version = 1
			req.Filters = append(req.Filters, in)
			return req
		}
		a.queue = append(a.queue, o)
	}
	a.client.advance()
}

func (a *administrator) password(spec *plan.Order, h sasl.Hash, another bool) *order {
	s := a.client.world.secure
	o := &order{spec: spec, what: []string{fmt.Sprintf("set the %s credential of user %.80q", h.Mechanism(), spec.User)}}
	if another {
		s.nextPassword(spec.User)
	}
	salt, password := s.saltFor(spec.User, h), s.passwords[spec.User]
	o.request = func() kmsg.Request {
		req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
		u := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
		u.Name, u.Mechanism, u.Iterations, u.Salt, u.SaltedPassword = spec.User, int8(h), sasl.MinIterations, salt, salted(h, password, salt, sasl.MinIterations)
		req.Upsertions = append(req.Upsertions, u)
		return req
	}
	return o
}

// ruleOf is a rule as brokers have it.
func ruleOf(r *plan.Rule) acl.Rule {
	return acl.Rule{
		Type: acl.ResourceType(r.Type), Pattern: acl.PatternType(r.Pattern), Name: r.Name, Principal: r.Principal, Host: r.Host,
		Operation: acl.Operation(r.Operation), Permission: acl.Permission(r.Permission),
	}
}

func createRule(r *plan.Rule) kmsg.Request {
	req := kmsg.NewPtrCreateACLsRequest()
	req.Version = 1
	in := kmsg.NewCreateACLsRequestCreation()
	in.ResourceType, in.ResourcePatternType, in.ResourceName, in.Principal, in.Host, in.Operation, in.PermissionType = r.Type, r.Pattern, r.Name, r.Principal, r.Host, r.Operation, r.Permission
	req.Creations = append(req.Creations, in)
	return req
}

// filterOf means one rule, or all that are about a user.
func filterOf(o *plan.Order) (acl.Filter, kmsg.DeleteACLsRequestFilter) {
	in := kmsg.NewDeleteACLsRequestFilter()
	if r := o.Rule; r != nil {
		in.ResourceType, in.ResourcePatternType, in.ResourceName, in.Principal, in.Host, in.Operation, in.PermissionType = r.Type, r.Pattern, &r.Name, &r.Principal, &r.Host, r.Operation, r.Permission
	} else {
		principal := "User:" + o.User
		in.ResourceType, in.ResourcePatternType, in.Principal, in.Operation, in.PermissionType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny, &principal, kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
	}
	return acl.Filter{
		Type: acl.ResourceType(in.ResourceType), Pattern: acl.PatternType(in.ResourcePatternType), Name: in.ResourceName, Principal: in.Principal, Host: in.Host,
		Operation: acl.Operation(in.Operation), Permission: acl.Permission(in.PermissionType),
	}, in
}

func (a *administrator) due() node.Time { return a.client.sooner(node.Never, a.again) }

// advance sends the first order.
func (a *administrator) advance() {
	c := a.client
	w := c.world
	if len(a.queue) == 0 || a.asking != 0 {
		return
	}
	if w.now < a.again {
		c.wakeAt(a.again)
		return
	}
	cn := c.conn(c.nextBroker)
	if cn == nil {
		return
	}
	o := a.queue[0]
	a.asking = cn.broker.number
	o.wishes = nil
	for _, what := range o.what {
		w.judge.wishes = append(w.judge.wishes, wish{what, a.asking, w.now, node.Never})
		o.wishes = append(o.wishes, len(w.judge.wishes)-1)
	}
	if w.tracing() {
		w.tracef("the administrator asks broker %d, conn %d: %v", a.asking, cn.id, o.what)
	}
	cn.ask(w, o.request(), func(resp kmsg.Response) { a.answered(cn, o, resp) })
}

// answered takes an answer. Afterwards the broker that gave it must decide by what it has done.
func (a *administrator) answered(cn *conn, o *order, resp kmsg.Response) {
	w := a.client.world
	code := int16(0)
	switch r := resp.(type) {
	case *kmsg.AlterUserSCRAMCredentialsResponse:
		code = r.Results[0].ErrorCode
	case *kmsg.CreateACLsResponse:
		code = r.Results[0].ErrorCode
	case *kmsg.DeleteACLsResponse:
		code = r.Results[0].ErrorCode
	case *kmsg.AlterClientQuotasResponse:
		code = r.Entries[0].ErrorCode
	}
	if w.tracing() {
		w.tracef("the administrator is answered %s by broker %d: %v", kafka.CodeName(code), cn.broker.number, o.what)
	}
	switch {
	case code == 0, code == kerr.ResourceNotFound.Code && o.spec.Kind == plan.OrderRemove:
		a.endWishes(o)
		a.asking = 0
		a.queue = a.queue[1:]
		a.client.again = true
		s := w.secure
		for _, c := range s.changes {
			if c.index <= cn.last.To {
				s.answered[cn.broker.number] = max(s.answered[cn.broker.number], c.index)
			}
		}
	case retriable(code), code == kerr.ThrottlingQuotaExceeded.Code:
		a.retry(o)
	default:
		w.fail("unexpected-error", "the administrator asks broker %d: %v; it answers %s", cn.broker.number, o.what, kafka.CodeName(code))
	}
}

func (a *administrator) endWishes(o *order) {
	for _, i := range o.wishes {
		wish := &a.client.world.judge.wishes[i]
		wish.ended = min(wish.ended, a.client.world.now)
	}
}

// retry asks again, elsewhere.
func (a *administrator) retry(o *order) {
	c := a.client
	a.endWishes(o)
	a.asking = 0
	c.nextBroker = c.nextBroker%len(c.world.brokers) + 1
	a.again = c.world.now + c.retryDelay()
	c.wakeAt(a.again)
}

// lost is called when the connection to a broker is gone.
func (a *administrator) lost(broker int) {
	if a.asking == broker {
		a.retry(a.queue[0])
		return
	}
	a.again = max(a.again, a.client.world.now+a.client.retryDelay())
	a.client.wakeAt(a.again)
}
