// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/checker"
	"chronik/kafka"
	"chronik/node"
	"chronik/sim/keyed"
	"chronik/sim/plan"
)

// When all is over and nothing changes any more, it is known what there is: which brokers, replicas, groups and members, users
// and quotas, and what must be refused. An examiner asks for that as administrators' tools do, and compares the answers with it (check
// description). An answer that is wrong is asked for again as long as the world's patience lasts, since something may still be on its way.

// examinerID is the client that asks.
const examinerID = 1 << 25

// exam is an examination under way.
type exam struct {
	world  *world
	client *client
	draw   keyed.Draw
}

// inquiry is a question to brokers, and what is right.
type inquiry struct {
	what    string
	request func(b *broker) kmsg.Request // made anew for each attempt; nil: this broker isn't asked
	wrong   func(answers []told) string  // what is wrong with the answers, one for each broker that was asked; "": nothing
}

// told is an answer.
type told struct {
	by   *broker
	resp kmsg.Response
}

// examine asks everything in worlds that are about asks, and elsewhere some of it.
func (w *world) examine() {
	if w.epoch > 0 || !w.crewMayAll() {
		return // a soak looks at other things
	}
	e := &exam{world: w, draw: w.seed.Draw(domainExam, 0, 0)}
	e.client = newClient(w, &plan.Client{ID: examinerID, InFlight: 1, Timeout: 2 * plan.Duration(w.patience()), GiveUp: 2 * plan.Duration(w.patience()), Home: 1})
	w.clients = append(w.clients, e.client)
	for _, q := range slices.Concat(e.ofCluster(), e.ofGroups(), e.ofRefusals(), e.ofSecurity()) {
		if w.plan.Profile == "asks" || e.pick(4) == 0 {
			e.put(q)
		}
	}
	if len(w.askers) > 0 && !w.plan.FewGroups() && (w.plan.Profile == "asks" || e.pick(4) == 0) {
		e.actAsConsumers()
		e.actInTransaction()
	}
}

// pick draws one of n.
func (e *exam) pick(n int64) int64 {
	e.draw = e.draw.Next()
	return e.draw.Below(n)
}

// version draws one that is served.
func (e *exam) version(key kmsg.Key) int16 {
	r := served[key]
	return r.First + int16(e.pick(int64(r.Last-r.First)+1))
}

// brokers are those that are up.
func (e *exam) brokers() (up []*broker) {
	for _, b := range e.world.brokers {
		if b.node != nil && !b.away {
			up = append(up, b)
		}
	}
	return up
}

// topics are those of the plan that nobody deletes.
func (e *exam) topics() (list []*plan.Topic) {
	for i := range e.world.plan.Topics {
		if t := &e.world.plan.Topics[i]; !e.world.doomed[t.Name] {
			list = append(list, t)
		}
	}
	return list
}

// put asks until the answers are right.
func (e *exam) put(q *inquiry) {
	w := e.world
	for limit := w.now + w.patience(); ; {
		if answers, all := e.ask(q, limit); all {
			why := q.wrong(answers)
			if why == "" {
				return
			}
			if w.now >= limit {
				w.fail("description", "when all is over, asked %s: %s", q.what, why)
			}
		} else if w.now >= limit+w.patience() {
			w.fail("liveness", "when all is over, asked %s: connections are lost again and again", q.what)
		}
		e.pause(100 * millisecond)
	}
}

// pause lets the world go on.
func (e *exam) pause(d plan.Duration) {
	e.world.runUntil(e.world.now+at(d), func() bool { return false })
}

// ask asks all brokers at once; false if a connection was lost meanwhile.
func (e *exam) ask(q *inquiry, limit node.Time) (answers []told, all bool) {
	w, left := e.world, 0
	var conns []*conn
	for _, b := range e.brokers() {
		req := q.request(b)
		if req == nil {
			continue
		}
		cn := e.connTo(b, limit)
		left++
		conns = append(conns, cn)
		cn.ask(w, req, func(resp kmsg.Response) {
			answers = append(answers, told{b, resp})
			left--
		})
	}
	lost := func() bool { return slices.ContainsFunc(conns, func(cn *conn) bool { return !cn.open }) }
	if !w.runUntil(max(limit, w.now+w.patience()), func() bool { return left == 0 || lost() }) {
		w.fail("liveness", "when all is over, asked %s: %d brokers don't answer", q.what, left)
	}
	slices.SortFunc(answers, func(a, b told) int { return a.by.number - b.by.number })
	return answers, left == 0
}

// connTo waits for a connection over which a broker can be asked.
func (e *exam) connTo(b *broker, limit node.Time) *conn {
	w := e.world
	var cn *conn
	if !w.runUntil(max(limit, w.now+w.patience()), func() bool { cn = e.client.conn(b.number); return cn != nil }) {
		w.fail("liveness", "when all is over, broker %d takes no connection", b.number)
	}
	return cn
}

// call asks one broker for something that changes what it knows of the examiner.
func (e *exam) call(b *broker, what string, req kmsg.Request) (resp kmsg.Response) {
	e.put(&inquiry{
		what: what, request: func(o *broker) kmsg.Request {
			if o != b {
				return nil
			}
			return req
		},
		wrong: func(answers []told) string {
			resp = answers[0].resp
			return ""
		},
	})
	return resp
}

// crewMayAll says that no rule refuses the crew, as which the examiner logs in, anything.
func (w *world) crewMayAll() bool {
	if w.secure == nil || w.secure.spec.Super {
		return true
	}
	last := w.secure.rights.Last()
	_, not := w.secure.rights.During(last, last, func(s *checker.RightsState) bool { return crewMay(s, "10.0.0.0") })
	return !not
}

// code says that an answer has an error that it shouldn't have; "" if it has none.
func (e *exam) code(t told, code int16) string {
	if code == 0 {
		return ""
	}
	return fmt.Sprintf("broker %d answers %s", t.by.number, kafka.CodeName(code))
}

// eachOf makes a check of all answers from one of a single answer.
func eachOf[R kmsg.Response](wrong func(t told, r R) string) func([]told) string {
	return func(answers []told) string {
		for _, t := range answers {
			if why := wrong(t, t.resp.(R)); why != "" {
				return why
			}
		}
		return ""
	}
}
