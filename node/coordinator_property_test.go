// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"chronik/kafka"
)

// actor is a consumer that does anything at any time: a careless client, a crashing one, a slow one.
type actor struct {
	consumer
	joining, syncing *call
	has              string // its part, "" if it has none
}

// actors are some of them in one group, and what may never happen.
type actors struct {
	t        *rapid.T
	o        *one
	all      []*actor
	conns    ConnID
	nonce    int               // tells assignments apart
	parts    map[string]string // generation and part: who has it
	nonces   map[int32]string  // generation: the assignment that all its members got
	offset   int64             // last one that was sent
	accepted int64             // last one whose commit was answered without an error
}

func (w *actors) pick() *actor { return rapid.SampledFrom(w.all).Draw(w.t, "actor") }

func (w *actors) connect(a *actor) {
	w.o.step(Input{Hangups: []ConnID{a.conn}})
	w.conns++
	a.conn, a.joining, a.syncing = w.conns, nil, nil
}

func (a *actor) busy() bool { return a.joining != nil || a.syncing != nil }

// reset is what a client does that is no member any more.
func (a *actor) reset() { a.id, a.generation, a.has = "", -1, "" }

// listen takes an answer if one is there.
func (w *actors) listen(a *actor) {
	if a.joining != nil {
		if resp := a.joining.peek(); resp != nil {
			a.joining = nil
			w.joined(a, resp.(*kmsg.JoinGroupResponse))
		}
	}
	if a.syncing != nil {
		if resp := a.syncing.peek(); resp != nil {
			a.syncing = nil
			w.synced(a, resp.(*kmsg.SyncGroupResponse))
		}
	}
}

func (w *actors) joined(a *actor, resp *kmsg.JoinGroupResponse) {
	switch kafka.CodeName(resp.ErrorCode) {
	case "NONE":
		a.id, a.generation, a.leader, a.others, a.has = resp.MemberID, resp.Generation, resp.MemberID == resp.LeaderID, nil, ""
		for _, m := range resp.Members {
			a.others = append(a.others, m.MemberID)
		}
	case "MEMBER_ID_REQUIRED":
		a.id = resp.MemberID
	case "UNKNOWN_MEMBER_ID", "FENCED_INSTANCE_ID":
		a.reset()
	case "REBALANCE_IN_PROGRESS", "NOT_COORDINATOR", "COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE":
	default:
		w.t.Fatalf("join: %s", kafka.CodeName(resp.ErrorCode))
	}
}

func (w *actors) synced(a *actor, resp *kmsg.SyncGroupResponse) {
	switch kafka.CodeName(resp.ErrorCode) {
	case "NONE":
		a.has = string(resp.MemberAssignment)
		w.owns(a)
	case "UNKNOWN_MEMBER_ID", "FENCED_INSTANCE_ID":
		a.reset()
	case "ILLEGAL_GENERATION", "REBALANCE_IN_PROGRESS", "NOT_COORDINATOR", "COORDINATOR_LOAD_IN_PROGRESS":
		a.generation, a.has = -1, ""
	default:
		w.t.Fatalf("sync: %s", kafka.CodeName(resp.ErrorCode))
	}
}

// owns checks the promise of a generation: there is one assignment, and each part has one owner.
func (w *actors) owns(a *actor) {
	var nonce, index int
	if a.has == "" {
		return // the leader gave it nothing
	}
	if _, err := fmt.Sscanf(a.has, "%d/%d", &nonce, &index); err != nil {
		w.t.Fatalf("part %q", a.has)
	}
	if was, ok := w.nonces[a.generation]; ok && was != fmt.Sprint(nonce) {
		w.t.Fatalf("generation %d has two assignments, %s and %d", a.generation, was, nonce)
	}
	w.nonces[a.generation] = fmt.Sprint(nonce)
	owner := a.id
	if a.instance != nil {
		owner = *a.instance // keeps its part under a new id
	}
	key := fmt.Sprintf("%d %s", a.generation, a.has)
	if was, ok := w.parts[key]; ok && was != owner {
		w.t.Fatalf("part %s of generation %d has two owners, %s and %s", a.has, a.generation, was, owner)
	}
	w.parts[key] = owner
}

func (w *actors) join(a *actor) {
	if !a.busy() {
		a.joining = w.o.begin(a.conn, a.joinRequest(9))
		w.listen(a)
	}
}

func (w *actors) sync(a *actor) {
	if a.busy() || a.generation < 0 {
		return
	}
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.Group, req.Generation, req.MemberID, req.InstanceID = 5, a.group, a.generation, a.id, a.instance
	if a.leader {
		w.nonce++
		for i, id := range a.others {
			req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: id, MemberAssignment: fmt.Appendf(nil, "%d/%d", w.nonce, i)})
		}
	}
	a.syncing = w.o.begin(a.conn, req)
	w.listen(a)
}

// side sends a request on a connection of its own, so that nothing is in front of it.
func (w *actors) side(a *actor, ask func() string) string {
	conn := a.conn
	a.conn = conn + 100000
	answer := ask()
	a.conn = conn
	switch answer {
	case "UNKNOWN_MEMBER_ID", "FENCED_INSTANCE_ID":
		if !a.busy() {
			a.reset()
		}
	case "ILLEGAL_GENERATION":
		if !a.busy() {
			a.generation, a.has = -1, ""
		}
	}
	return answer
}

func (w *actors) heartbeat(a *actor) string { return w.side(a, a.heartbeatNow) }

func (a *actor) heartbeatNow() string { return a.heartbeat() }

func (w *actors) commit(a *actor) {
	w.offset++
	generation := a.generation
	switch got := w.side(a, func() string { return a.commit("t", w.offset) }); got {
	case "NONE":
		if live := w.group(); live.generation != generation && generation >= 0 {
			w.t.Fatalf("a commit of generation %d was accepted in generation %d", generation, live.generation)
		}
		w.accepted = w.offset
	case "UNKNOWN_MEMBER_ID", "FENCED_INSTANCE_ID", "ILLEGAL_GENERATION", "REBALANCE_IN_PROGRESS":
	default:
		w.t.Fatalf("commit: %s", got)
	}
	if at := w.o.committedAt("g", "t"); at != w.accepted {
		w.t.Fatalf("the committed offset is %d, want %d", at, w.accepted)
	}
}

func (w *actors) group() *classicGroup {
	if g := w.o.node.coordinators[w.o.node.coordinatorPartition("g").Group].find("g"); g != nil {
		return g.classic
	}
	return &classicGroup{}
}

func (w *actors) restart() {
	w.o.replies = nil
	w.o.restart()
	w.o.pass(200 * time.Millisecond)
	for _, a := range w.all {
		w.conns++
		a.conn, a.joining, a.syncing = w.conns, nil, nil
	}
}

// check looks at the coordinator itself.
func (w *actors) check() {
	g := w.group()
	for i, m := range g.members {
		for _, o := range g.members[:i] {
			if m.id == o.id || m.instance != nil && o.instance != nil && *m.instance == *o.instance {
				w.t.Fatalf("two members are %s", m.id)
			}
		}
		if m.sync != nil && g.state != groupCompleting || m.join != nil && g.state != groupPreparing {
			w.t.Fatalf("a member waits in state %v", g.state)
		}
		if !m.timer.Waits() {
			w.t.Fatal("a member has no session")
		}
	}
	if g.state == groupEmpty != (len(g.members) == 0) && g.state != groupPreparing && g.state != groupDead {
		w.t.Fatalf("%d members in state %v", len(g.members), g.state)
	}
}

// settle lets everybody behave for a while: then all have a part of one generation.
func (w *actors) settle() {
	for range 400 {
		done := true
		for _, a := range w.all {
			w.listen(a)
			switch {
			case a.busy():
				done = false
			case a.has == "" && a.generation >= 0:
				w.sync(a)
				done = false
			case a.has == "" || w.heartbeat(a) != "NONE":
				a.has = ""
				w.join(a)
				done = false
			case a.generation != w.all[0].generation:
				done = false
			}
		}
		if done {
			return
		}
		w.o.pass(50 * time.Millisecond)
	}
	w.t.Fatalf("the group doesn't settle: %v, %d members, %d promised", w.group().state, len(w.group().members), len(w.group().promised))
}

func newActors(t *testing.T, rt *rapid.T, delay time.Duration) *actors {
	w := &actors{
		t: rt, o: newGroups(t, func(c *Config) { c.GroupInitialDelay = delay }), conns: 100, accepted: -1,
		parts: make(map[string]string), nonces: make(map[int32]string),
	}
	for i := range 4 {
		a := &actor{consumer: *w.o.consumer(0)}
		if i >= 2 {
			a.consumer = *w.o.static(0, fmt.Sprintf("static %d", i))
		}
		a.session, a.rebalance = 1000, 2000
		w.connect(a)
		w.all = append(w.all, a)
	}
	return w
}

// TestGroupProperties is a coordinator among clients that do anything in any order.
func TestGroupProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		delay := time.Duration(rapid.SampledFrom([]int{0, 0, 300}).Draw(rt, "initial delay")) * time.Millisecond
		w := newActors(t, rt, delay)
		rt.Repeat(map[string]func(*rapid.T){
			"join":       func(*rapid.T) { w.join(w.pick()) },
			"sync":       func(*rapid.T) { w.sync(w.pick()) },
			"listen":     func(*rapid.T) { w.listen(w.pick()) },
			"heartbeat":  func(*rapid.T) { w.heartbeat(w.pick()) },
			"commit":     func(*rapid.T) { w.commit(w.pick()) },
			"leave":      func(*rapid.T) { a := w.pick(); w.side(a, a.leave) },
			"disconnect": func(*rapid.T) { w.connect(w.pick()) },
			"crash":      func(*rapid.T) { a := w.pick(); w.connect(a); a.reset() },
			"wait":       func(rt *rapid.T) { w.o.pass(time.Duration(rapid.IntRange(0, 1500).Draw(rt, "ms")) * time.Millisecond) },
			"restart": func(rt *rapid.T) {
				if rapid.IntRange(0, 3).Draw(rt, "really") == 0 {
					w.restart()
				}
			},
			"": func(*rapid.T) { w.check() },
		})
		w.settle()
		w.commit(w.all[0])
		for _, a := range w.all {
			w.o.expect("NONE", a.leave())
		}
		w.o.pass(2 * time.Second)
		if g := w.group(); g.state != groupEmpty || len(g.promised) != 0 {
			rt.Fatalf("at the end: %v with %d promised ids", g.state, len(g.promised))
		}
		if n := w.o.node.deadlines.Len(); n != 2 { // of the two coordinators
			rt.Fatalf("%d timers are left", n)
		}
	})
}
