// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Security says that brokers ask clients for logins and let them do only what rules allow. The usual clients log in as one user,
// the crew, who may do everything that they do: by rules, or as a super user. An administrator makes users and rules, and carries
// out the plan's orders. Visitors are users whose rights change.
type Security struct {
	Users    int      `json:"users"`              // of visitors: u1, u2, and so on
	Lifetime Duration `json:"lifetime,omitempty"` // of a session; 0: for ever
	Super    bool     `json:"super,omitempty"`    // the crew is a super user
}

// Order is something that the administrator does, one after another.
type Order struct {
	ID   int       `json:"id"` // from 1, unique
	At   Duration  `json:"at"`
	Kind OrderKind `json:"kind"`
	User string    `json:"user,omitempty"` // of OrderPassword, OrderRemove and OrderClear
	Rule *Rule     `json:"rule,omitempty"` // of OrderCreate and OrderDelete

	Quota *Quota `json:"quota,omitempty"` // of OrderQuota
}

// OrderKind says what an administrator does.
type OrderKind string

// The kinds of orders.
const (
	OrderPassword OrderKind = "password" // a user gets another password, and is made by that
	OrderRemove   OrderKind = "remove"   // a user goes
	OrderCreate   OrderKind = "create"   // a rule
	OrderDelete   OrderKind = "delete"   // a rule
	OrderClear    OrderKind = "clear"    // all rules about a user go
	OrderQuota    OrderKind = "quota"    // a quota is set or removed
)

// OrderKinds lists them.
var OrderKinds = []OrderKind{OrderPassword, OrderRemove, OrderCreate, OrderDelete, OrderClear, OrderQuota}

// Rule is one of Kafka's ACLs.
type Rule struct {
	Permission kmsg.ACLPermissionType      `json:"permission"`
	Principal  string                      `json:"principal"`
	Host       string                      `json:"host"`
	Operation  kmsg.ACLOperation           `json:"operation"`
	Type       kmsg.ACLResourceType        `json:"type"`
	Pattern    kmsg.ACLResourcePatternType `json:"pattern"`
	Name       string                      `json:"name"`
}

// Visitor is a client that asks a broker for what its user may do or may not. Nothing that it asks for changes anything.
type Visitor struct {
	ID     int         `json:"id"` // from 1, unique
	At     Duration    `json:"at"`
	For    Duration    `json:"for"`
	Pause  Duration    `json:"pause"` // between requests, at most
	Broker int         `json:"broker"`
	User   string      `json:"user,omitempty"`
	Habit  VisitorKind `json:"habit,omitempty"`
	Token  Duration    `json:"token,omitempty"` // it logs in by tokens of OAUTHBEARER, which are right for so long; 0: by a password
}

// VisitorKind says what is special about a visitor.
type VisitorKind string

// The kinds of visitors.
const (
	VisitorUsual    VisitorKind = ""         // logs in, and again in time
	VisitorStranger VisitorKind = "stranger" // asks without having logged in
	VisitorWrong    VisitorKind = "wrong"    // with a wrong password
	VisitorFormer   VisitorKind = "former"   // with the first password that its user had
	VisitorOutstays VisitorKind = "outstays" // doesn't log in again
	VisitorOther    VisitorKind = "other"    // logs in again as the administrator, or with a wrong password
)

// VisitorKinds lists them.
var VisitorKinds = []VisitorKind{VisitorUsual, VisitorStranger, VisitorWrong, VisitorFormer, VisitorOutstays, VisitorOther}

// Names of users.
const (
	Admin = "admin"
	Crew  = "crew"
)

func (p *Plan) validateSecurity() error {
	s := p.Security
	if s == nil {
		if len(p.Orders)+len(p.Visitors) > 0 {
			return errors.New("orders and visitors are for worlds with security")
		}
		return nil
	}
	if s.Users < 0 || s.Lifetime < 0 || s.Lifetime > 0 && s.Lifetime < 2*second {
		return errors.New("security: users must not be negative, a lifetime is at least 2s")
	}
	if len(p.Attacks)+len(p.Lists) > 0 || p.Beyond() {
		return errors.New("security: there may be no attacks and no wrong lists, and records may not be lost")
	}
	ids := make(map[int]bool)
	for _, o := range p.Orders {
		rule, quota := o.Kind == OrderCreate || o.Kind == OrderDelete, o.Kind == OrderQuota
		if o.ID < 1 || ids[o.ID] || o.At < 0 || !slices.Contains(OrderKinds, o.Kind) || rule != (o.Rule != nil) || quota != (o.Quota != nil) || (rule || quota) == (o.User != "") {
			return fmt.Errorf("order %d: id must be unique and positive, at not negative, kind one of %v, with a rule, a quota or a user", o.ID, OrderKinds)
		}
		if ids[o.ID] = true; o.User == Admin || o.User == Crew {
			return fmt.Errorf("order %d: %s stays as it is", o.ID, o.User)
		}
		if r := o.Rule; r != nil && (r.Principal == "" || r.Host == "" || r.Name == "") {
			return fmt.Errorf("order %d: a rule needs a principal, a host and a name", o.ID)
		}
		if r := o.Rule; r != nil && !s.Super && r.Permission == kmsg.ACLPermissionTypeDeny && (r.Principal == "User:*" || r.Principal == "User:"+Crew) {
			return fmt.Errorf("order %d: the crew, which is no super user, may not be denied anything", o.ID)
		}
	}
	visitors := make(map[int]bool)
	for _, v := range p.Visitors {
		if v.ID < 1 || v.ID > 200 || visitors[v.ID] || v.At < 0 || v.For < 0 || v.Pause < millisecond || v.Token < 0 || v.Broker < 1 || v.Broker > p.Brokers || !slices.Contains(VisitorKinds, v.Habit) {
			return fmt.Errorf("visitor %d: id must be unique and from 1 to 200, at and for not negative, pause at least 1ms, broker one of the brokers, habit one of %q", v.ID, VisitorKinds)
		}
		visitors[v.ID] = true
	}
	return nil
}

// UserName is the name of a visitors' user.
func UserName(n int) string { return "u" + strconv.Itoa(n) }

// Missing is a name that nothing has, as long as another one and unlike it from the first letter on.
func Missing(name string) string { return "n" + name[1:] }

// TopicNames, GroupNames and TxnNames are those that visitors ask about, half of which there aren't.
func (p *Plan) TopicNames() (names []string) {
	for i := range p.Topics {
		names = append(names, p.Topics[i].Name, Missing(p.Topics[i].Name))
	}
	return names
}

func (p *Plan) GroupNames() []string { return []string{"g0", Missing("g0"), "g1", Missing("g1")} }

func (p *Plan) TxnNames() []string { return []string{"txn1", Missing("txn1")} }

// security has clients log in in some worlds. It is drawn last.
func (g *generator) security() {
	p := g.plan
	if g.prof.secured == 0 || !g.chance(g.prof.secured, 100) || len(p.Attacks)+len(p.Lists) > 0 {
		return
	}
	s := &Security{Users: int(g.between(1, 3)), Super: g.chance(1, 3)}
	if g.chance(2, 3) {
		s.Lifetime = g.span(2500*millisecond, 20*second)
	}
	p.Security = s
	p.Asks = slices.DeleteFunc(p.Asks, func(a Ask) bool {
		return slices.Contains([]string{"CreateACLs", "DeleteACLs", "DescribeACLs"}, a.Kind.API())
	})
	g.orders()
	for range g.between(1, 8) {
		g.visitor()
	}
	if g.prof.faults > 0 {
		g.faultsAfter([]string{"catalog changed", "logged in"})
	}
	if g.prof.secured == 100 && g.chance(1, 6) { // then all brokers must know a change soon
		p.Faults = nil
	}
	g.hasty()
	g.tokens()
}

// tokens lets some visitors log in by them.
func (g *generator) tokens() {
	for i := range g.plan.Visitors {
		if v := &g.plan.Visitors[i]; g.chance(1, 4) {
			v.Token = g.span(500*millisecond, 20*second)
			if v.Habit == VisitorUsual && g.chance(1, 2) {
				v.Habit = VisitorOutstays
			}
		}
	}
}

// resourceTypes are those that rules of a world are about.
var resourceTypes = []kmsg.ACLResourceType{kmsg.ACLResourceTypeTopic, kmsg.ACLResourceTypeGroup, kmsg.ACLResourceTypeTransactionalId, kmsg.ACLResourceTypeCluster}

// orders makes users and some rules at the beginning, and changes them later.
func (g *generator) orders() {
	p := g.plan
	add := func(o Order) {
		o.ID = len(p.Orders) + 1
		p.Orders = append(p.Orders, o)
	}
	for u := range p.Security.Users {
		add(Order{Kind: OrderPassword, User: UserName(u + 1)})
		for _, t := range resourceTypes {
			if g.chance(1, 2) { // much is allowed, from which denials take away
				add(Order{Kind: OrderCreate, Rule: allowAll(UserName(u+1), t)})
			}
		}
	}
	rules := make([]*Rule, g.wide(4, 24))
	for i := range rules {
		rules[i] = g.rule()
	}
	for _, r := range rules[:len(rules)/2] {
		add(Order{Kind: OrderCreate, Rule: r})
	}
	now := int64(0)
	for range g.wide(2, 64) {
		now = min(now+g.upTo(int64(p.Safety)/8), int64(p.Safety))
		o := Order{At: Duration(now / 1000 * 1000), Kind: OrderCreate}
		switch g.pick(12) {
		default:
			o.Rule = rules[g.pick(int64(len(rules)))]
		case 5, 6, 7, 8:
			o.Kind, o.Rule = OrderDelete, rules[g.pick(int64(len(rules)))]
		case 9:
			o.Kind, o.User = OrderClear, g.user()
		case 10:
			o.Kind, o.User = OrderPassword, g.user()
		case 11:
			if o.Kind, o.User = OrderRemove, g.user(); g.chance(1, 2) { // and it comes back
				add(o)
				o.Kind = OrderPassword
			}
		}
		add(o)
	}
}

// allowAll is a rule that allows a user to do everything to all resources of a type.
func allowAll(user string, t kmsg.ACLResourceType) *Rule {
	r := &Rule{
		Permission: kmsg.ACLPermissionTypeAllow, Principal: "User:" + user, Host: "*", Operation: kmsg.ACLOperationAll,
		Type: t, Pattern: kmsg.ACLResourcePatternTypeLiteral, Name: "*",
	}
	if t == kmsg.ACLResourceTypeCluster {
		r.Name = "kafka-cluster"
	}
	return r
}

func (g *generator) user() string { return UserName(1 + int(g.pick(int64(g.plan.Security.Users)))) }

var (
	topicOps = []kmsg.ACLOperation{
		kmsg.ACLOperationRead, kmsg.ACLOperationRead, kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe, kmsg.ACLOperationCreate, kmsg.ACLOperationDelete,
		kmsg.ACLOperationAlter, kmsg.ACLOperationDescribeConfigs, kmsg.ACLOperationAlterConfigs, kmsg.ACLOperationAll,
	}
	groupOps   = []kmsg.ACLOperation{kmsg.ACLOperationRead, kmsg.ACLOperationDescribe, kmsg.ACLOperationDelete, kmsg.ACLOperationAll}
	txnOps     = []kmsg.ACLOperation{kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe, kmsg.ACLOperationAll}
	clusterOps = []kmsg.ACLOperation{
		kmsg.ACLOperationDescribe, kmsg.ACLOperationAlter, kmsg.ACLOperationCreate, kmsg.ACLOperationDescribeConfigs, kmsg.ACLOperationDelete, kmsg.ACLOperationAll,
	}
)

// rule draws one about the names that visitors ask for.
func (g *generator) rule() *Rule {
	r := &Rule{Permission: kmsg.ACLPermissionTypeAllow, Principal: "User:" + g.user(), Host: "*", Pattern: kmsg.ACLResourcePatternTypeLiteral}
	var names []string
	var ops []kmsg.ACLOperation
	switch g.pick(10) {
	default:
		r.Type, names, ops = kmsg.ACLResourceTypeTopic, g.plan.TopicNames(), topicOps
	case 6, 7:
		r.Type, names, ops = kmsg.ACLResourceTypeGroup, g.plan.GroupNames(), groupOps
	case 8:
		r.Type, names, ops = kmsg.ACLResourceTypeTransactionalId, g.plan.TxnNames(), txnOps
	case 9:
		r.Type, names, ops = kmsg.ACLResourceTypeCluster, []string{"kafka-cluster"}, clusterOps
	}
	r.Name, r.Operation = names[g.pick(int64(len(names)))], ops[g.pick(int64(len(ops)))]
	if r.Type != kmsg.ACLResourceTypeCluster {
		switch g.pick(4) {
		case 1:
			r.Name = "*"
		case 2, 3:
			r.Pattern, r.Name = kmsg.ACLResourcePatternTypePrefixed, r.Name[:1+g.pick(int64(len(r.Name)))]
		}
	}
	if g.chance(1, 3) {
		r.Permission = kmsg.ACLPermissionTypeDeny
	}
	if g.chance(1, 8) && (g.plan.Security.Super || r.Permission == kmsg.ACLPermissionTypeAllow) {
		r.Principal = "User:*"
	}
	if g.chance(1, 8) {
		r.Host = "10.0.0." + strconv.Itoa(1+int(g.pick(8))) // a visitor's
	}
	return r
}

func (g *generator) visitor() {
	p := g.plan
	v := Visitor{
		ID: len(p.Visitors) + 1, At: Duration(g.upTo(int64(p.Safety)/2) / 1000 * 1000), For: g.span(2*second, max(3*second, p.Safety)), Pause: g.span(20*millisecond, second),
		Broker: int(g.between(1, int64(p.Brokers))), User: g.user(),
	}
	if g.chance(1, 2) {
		v.Habit = VisitorKinds[g.pick(int64(len(VisitorKinds)))]
	}
	if (v.Habit == VisitorOther || v.Habit == VisitorOutstays) && p.Security.Lifetime == 0 {
		v.Habit = VisitorUsual
	}
	p.Visitors = append(p.Visitors, v)
}
