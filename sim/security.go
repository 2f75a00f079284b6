// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/checker"
	"chronik/kafka"
	"chronik/node"
	"chronik/node/sasl"
	"chronik/sim/plan"
	"chronik/wal"
)

// Where a plan has security, all clients log in (login.go), an administrator changes users and rules (administer.go), and visitors
// ask for what they may do and for what they may not (visitor.go). What is right follows from the catalog's entries, which the
// judge reads when they are written, and from the last one that a broker has applied when it gets a request and when it answers.
type security struct {
	spec    *plan.Security
	rights  *checker.Rights
	entries map[entryAt][]byte // of the catalog that change users or rules, as they were written; look-up only
	changes []rightsChange     // as rights has them, by entry

	salts     map[string]string // passwords, by salt; look-up only
	passwords map[string]string // that users got last, as far as anybody knows; look-up only
	made      map[string]int    // passwords of a user so far; look-up only
	saw       map[string][]byte // refusals, without names; look-up only

	answered [plan.MaxBrokers + 1]uint64 // the last change that a broker had applied when it answered the administrator
	admin    *administrator
	visitors []*visitor
	quotas   *checker.Quotas
	hasty    []*hasty
	begun    []begunAsk
}

// last is the last entry that changed users, rules or quotas.
func (s *security) last() uint64 { return max(s.rights.Last(), s.quotas.Last()) }

// rightsChange is when an entry that changes users or rules was applied for the first time.
type rightsChange struct {
	index uint64
	at    node.Time
}

// decided is what a broker knew when it got a request, and when it answered, and when that was.
type decided struct {
	checker.RightsSpan
	began        node.Time
	clock, ended node.Time // by the broker's clock, when it got the request and when it answered
	soon         uint64    // an entry that the broker must know by then, as nothing has been wrong for long enough; 0: none
	since        node.Time // when that was applied elsewhere, or later, when nothing was wrong any more

	// Of hasty clients: what was asked for, and what the broker had spent before.
	asked kmsg.Request
	bytes int
	cost  int64
}

func (w *world) newSecurity() {
	spec := w.plan.Security
	if spec == nil {
		return
	}
	supers := w.superUsers()
	w.secure = &security{
		spec: spec, rights: checker.NewRights(supers...), entries: make(map[entryAt][]byte), salts: make(map[string]string),
		passwords: make(map[string]string), made: make(map[string]int), saw: make(map[string][]byte),
		quotas: checker.NewQuotas(),
	}
	w.tools.Salt = salted
	w.secure.nextPassword(plan.Admin)
	w.secure.nextPassword(plan.Crew)
}

func (w *world) superUsers() []string {
	if w.plan.Security.Super {
		return []string{"User:" + plan.Admin, "User:" + plan.Crew}
	}
	return []string{"User:" + plan.Admin}
}

// secured sets what a broker is told of security.
func (w *world) secured(cfg *node.Config) {
	s := w.secure
	if s == nil {
		return
	}
	cfg.Listeners = []node.Listener{{Mechanisms: append(slices.Clone(sasl.Mechanisms()), sasl.Bearer)}}
	cfg.Tokens = tokens{w}
	cfg.Authorize, cfg.SuperUsers = true, w.superUsers()
	cfg.SessionLifetime = time.Duration(s.spec.Lifetime)
	salt, password := s.saltFor(plan.Admin, sasl.SHA512), s.passwords[plan.Admin]
	cfg.FirstUser = &node.FirstUser{Name: plan.Admin, Credential: sasl.FromSalted(sasl.SHA512, salted(sasl.SHA512, password, salt, sasl.MinIterations), salt, sasl.MinIterations)}
}

// nextPassword gives a user another password.
func (s *security) nextPassword(user string) string {
	s.made[user]++
	s.passwords[user] = fmt.Sprintf("%s-%d", user, s.made[user])
	return s.passwords[user]
}

// saltFor is a salt for the last password of a user.
func (s *security) saltFor(user string, h sasl.Hash) []byte {
	salt := fmt.Sprintf("salt of %s, %v", s.passwords[user], h.Mechanism())
	s.salts[salt] = s.passwords[user]
	return []byte(salt)
}

// salted stands for the costly step from a password to its keys.
func salted(h sasl.Hash, password string, salt []byte, _ int) []byte {
	return scramMAC(h, salt, []byte(password))
}

// applied is the last entry of the catalog that a broker has applied.
func (b *broker) applied() uint64 {
	v, _ := b.node.Inspect(0)
	return v.Applied
}

// keep keeps an entry of the catalog that changes users or rules, when it is written.
func (s *security) keep(e *wal.Entry) {
	k := entryAt{e.Index, e.Term}
	if e.Kind != 0 || s.entries[k] != nil || e.Index <= s.last() {
		return
	}
	if text := string(e.Data); strings.Contains(text, `"ChangeUser"`) || strings.Contains(text, `"CreateRules"`) || strings.Contains(text, `"DeleteRules"`) || strings.Contains(text, `"ChangeQuotas"`) {
		s.entries[k] = slices.Clone(e.Data)
	}
}

// commandOfRights is what of a command is about users and rules.
type commandOfRights struct {
	ChangeUser *struct {
		Name string
		Hash sasl.Hash
		Set  *struct{ Salt []byte }
	}
	CreateRules *struct{ Rules []checker.Rule }
	DeleteRules *struct {
		Filter struct {
			Type, Pattern, Operation, Permission int8
			Name, Principal, Host                *string
		}
	}
}

// changed takes a change of the catalog that a first broker has applied.
func (s *security) changed(w *world, e node.Event) {
	data := s.entries[entryAt{uint64(e.N), e.Term}]
	index := uint64(e.N)
	if data == nil || index <= s.last() {
		return
	}
	s.changes = append(s.changes, rightsChange{index, w.now})
	if s.quotasChanged(index, data) {
		return
	}
	var cmd commandOfRights
	if err := json.Unmarshal(data, &cmd); err != nil {
		panic(err)
	}
	switch {
	case cmd.CreateRules != nil:
		if rules := cmd.CreateRules.Rules; rules[0].Name == pressedFor {
			w.fail("logged-in-wrongly", "a rule is made for %s, who asked for that together with a login that failed", rules[0].Principal)
		}
		s.rights.Created(index, cmd.CreateRules.Rules)
	case cmd.DeleteRules != nil:
		f := &cmd.DeleteRules.Filter
		s.rights.Deleted(index, func(r *checker.Rule) bool {
			same := func(want *string, is string) bool { return want == nil || *want == is }
			any := func(want, is int8) bool { return want <= 1 || want == is }
			return any(f.Type, r.Type) && any(f.Pattern, r.Pattern) && any(f.Operation, r.Operation) && any(f.Permission, r.Permission) &&
				same(f.Name, r.Name) && same(f.Principal, r.Principal) && same(f.Host, r.Host)
		})
	case cmd.ChangeUser.Set == nil:
		s.rights.Removed(index, checker.Credential{User: cmd.ChangeUser.Name, Mechanism: cmd.ChangeUser.Hash.Mechanism()})
	default:
		s.rights.Changed(index, checker.Credential{User: cmd.ChangeUser.Name, Mechanism: cmd.ChangeUser.Hash.Mechanism()}, s.salts[string(cmd.ChangeUser.Set.Salt)])
	}
}

// arrives notes what a broker knows when it gets a request, and what it must know: what it has answered the administrator, and what
// the cluster had decided before this broker started.
func (s *security) arrives(w *world, b *broker) decided {
	d := decided{began: w.now, clock: b.local(w.now)}
	d.From, d.Must, d.Because = b.applied(), s.answered[b.number], "since it was asked for that and has answered"
	for _, c := range slices.Backward(s.changes) {
		if c.at < b.bootedAt {
			if c.index > d.Must {
				d.Must, d.Because = c.index, "which was applied before this broker started"
			}
			break
		}
	}
	if last := s.last(); last > d.From && last > d.Must {
		s.mustFollow(w, b, &d)
	}
	return d
}

// mustFollow notes what a broker must have heard of when it has answered, since it was decided long enough ago, and nothing was wrong since then.
func (s *security) mustFollow(w *world, b *broker, d *decided) {
	if !w.isQuiet() || !w.isSound() || w.paces() || w.needsCheckpoint(b) || b.removed == b.diskNumber {
		return // one that was removed hears no more of the catalog, until it hears that
	}
	for _, c := range slices.Backward(s.changes) {
		since := max(c.at, w.rest.quietAt, b.bootedAt)
		if w.now-since < w.soonEverywhere() || slices.ContainsFunc(w.held, func(h hold) bool { return h.to > since && h.from < w.now }) {
			continue
		}
		d.soon, d.since = c.index, since
		return
	}
}

// needsCheckpoint says that a broker lacks entries of the catalog that its leader hasn't any more. If an offered checkpoint doesn't arrive, it
// is offered again after some election timeouts (rest.go).
func (w *world) needsCheckpoint(b *broker) bool {
	leader := w.leader(0)
	if leader == nil {
		return true
	}
	v, _ := leader.node.Inspect(0)
	return v.Offers || b.applied()+1 < v.FirstIndex
}

// soonEverywhere is within what time each broker has applied a change that one has applied: a leader tells its followers by the next
// heartbeat what is committed, if nothing else goes to them before.
func (w *world) soonEverywhere() node.Time {
	k := &w.plan.Knobs
	return w.heartbeats() + 100*node.Time(k.LinkLatency+k.WriteLatency+k.StepCost)
}

// gotAnswer is called for each answer before its client has it, and reports whether the client doesn't get it.
func (s *security) gotAnswer(cn *conn, a *asked) bool {
	w, c, key := cn.client.world, cn.client, kmsg.Key(a.req.Key())
	d := cn.decided[0]
	cn.decided = cn.decided[1:]
	if cn.last = d; d.To < d.soon {
		w.fail("rights-late", "broker %d has applied the catalog's entries up to %d, and not %d, which changes users or rules: another broker had applied it, and nothing was wrong, for %v when a request came",
			cn.broker.number, d.To, d.soon, plan.Duration(d.began-d.since))
	}
	switch key {
	case kmsg.ApiVersions, kmsg.SASLHandshake, kmsg.SASLAuthenticate:
		return false
	}
	l := cn.login
	switch {
	case l == nil || l.user == "":
		w.fail("told", "broker %d answers %s to client %d, which hasn't logged in", cn.broker.number, key.Name(), c.spec.ID)
	case l.ends != 0 && d.clock >= l.ends:
		w.fail("logged-in-wrongly", "broker %d answers %s to client %d, which asked at %v, after the end of its session of %v", cn.broker.number, key.Name(), c.spec.ID, plan.Duration(d.began), s.spec.Lifetime)
	}
	if told := toldToWait(a.resp); told > 0 && c.hasty == nil {
		w.fail("throttled-wrongly", "broker %d tells client %d, which no quota holds back, to wait for %d ms after %s", cn.broker.number, c.spec.ID, told, key.Name())
	}
	if c.visitor != nil || c.hasty != nil || c.admin != nil || s.spec.Super || !refusal(w.cells.Codes(a.resp)) {
		return false
	}
	may := func(st *checker.RightsState) bool { return crewMay(st, strings.TrimPrefix(cn.from, "/")) }
	call := &checker.RightsCall{RightsSpan: d.RightsSpan, What: fmt.Sprintf("%s of the crew, client %d, at broker %d", key.Name(), c.spec.ID, cn.broker.number), Refused: true, Needs: may}
	v := s.rights.Check(call)
	if c.asks != nil && v != nil { // an ask may have asked for what nobody may
		return false
	}
	w.violated(v)
	cn.hangUp(w) // it tries again
	c.disconnected(cn)
	return true
}

// crewRights are the rules by which the crew may do everything.
func crewRights() (rules []plan.Rule) {
	for _, t := range []kmsg.ACLResourceType{kmsg.ACLResourceTypeTopic, kmsg.ACLResourceTypeGroup, kmsg.ACLResourceTypeCluster, kmsg.ACLResourceTypeTransactionalId} {
		r := plan.Rule{
			Permission: kmsg.ACLPermissionTypeAllow, Principal: "User:" + plan.Crew, Host: "*", Operation: kmsg.ACLOperationAll,
			Type: t, Pattern: kmsg.ACLResourcePatternTypeLiteral, Name: "*",
		}
		if t == kmsg.ACLResourceTypeCluster {
			r.Name = clusterName
		}
		rules = append(rules, r)
	}
	return rules
}

const clusterName = "kafka-cluster"

func crewMay(s *checker.RightsState, host string) bool {
	for _, r := range crewRights() {
		if !s.Allows(r.Principal, host, checker.OpWrite, int8(r.Type), cmp.Or(map[bool]string{true: clusterName}[r.Type == kmsg.ACLResourceTypeCluster], "any")) {
			return false
		}
	}
	return true
}

// refusal says that some code of an answer refuses for want of a right.
func refusal(codes []string) bool {
	return slices.ContainsFunc(codes, func(c string) bool { return strings.HasSuffix(c, "_AUTHORIZATION_FAILED") })
}

// checkTold demands that refusals say the same whether what was asked for exists or not. The names of a world that are asked for
// instead of each other have the same length.
func (s *security) checkTold(w *world, what, name string, resp kmsg.Response) {
	if m, ok := resp.(*kmsg.MetadataResponse); ok { // which tells of brokers as well
		resp = &kmsg.MetadataResponse{Version: m.Version, Topics: m.Topics}
	}
	frame := strings.ReplaceAll(string(kafka.AppendResponse(nil, 0, resp)), name, strings.Repeat("?", len(name)))
	key := fmt.Sprintf("%s %d %d", what, resp.GetVersion(), len(name))
	was, there := s.saw[key]
	if !there {
		s.saw[key] = []byte(frame)
	} else if string(was) != frame {
		w.fail("told", "%s of %s is refused with other bytes than for another name: %q and %q", what, name, frame, was)
	}
}
