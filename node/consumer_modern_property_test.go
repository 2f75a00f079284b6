// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"chronik/kafka"
	"chronik/node/consumers"
)

// modernActor is a client of the new protocol that may be slow, lose answers and crash, but doesn't
// use what it has no right to: partitions outside its assignment, or any after its session.
type modernActor struct {
	modern
	uses  map[consumers.Slot]bool // what it works on
	heard Time                    // when it sent the last heartbeat that was answered
}

type modernActors struct {
	t        *rapid.T
	o        *one
	all      []*modernActor
	conns    ConnID
	offset   int64
	accepted int64
}

const actorSession = time.Second

func (w *modernActors) pick() *modernActor { return rapid.SampledFrom(w.all).Draw(w.t, "actor") }

// connect gives an actor a new connection, so that answers to old requests reach nobody.
func (w *modernActors) connect(a *modernActor) {
	w.o.step(Input{Hangups: []ConnID{a.conn}})
	w.conns++
	a.conn = w.conns
}

// drop is what a client does that is no member any more.
func (a *modernActor) drop() { a.epoch, a.owned, a.uses = 0, nil, make(map[consumers.Slot]bool) }

func (w *modernActors) expire() {
	for _, a := range w.all {
		if a.epoch > 0 && w.o.now.Sub(a.heard) >= actorSession {
			a.drop()
		}
	}
}

// using is what an actor has to say it owns: its assignment and what it didn't give up yet.
func (a *modernActor) using() (all []consumers.Slot) {
	for topic := range GroupID(50) {
		for p := range int32(8) {
			if a.uses[consumers.Slot{Topic: topic, Partition: p}] {
				all = append(all, consumers.Slot{Topic: topic, Partition: p})
			}
		}
	}
	return all
}

func (w *modernActors) request(a *modernActor) *kmsg.ConsumerGroupHeartbeatRequest {
	kept := a.owned
	a.owned = consumers.AssignmentOf(a.using())
	req := a.request()
	a.owned = kept
	return req
}

// beat sends heartbeats of some actors in one step.
func (w *modernActors) beat(some ...*modernActor) {
	w.expire()
	in := Input{}
	sent := w.o.now
	for _, a := range some {
		w.connect(a)
		in.Requests = append(in.Requests, Request{Conn: a.conn, Frame: kafka.AppendRequest(nil, 7, "c", w.request(a))})
	}
	w.o.step(in)
	for _, a := range some {
		c := &call{w.o, a.conn, 7, kmsg.NewPtrConsumerGroupHeartbeatRequest()}
		c.req.SetVersion(1)
		w.answered(a, sent, c.wait(5*time.Second).(*kmsg.ConsumerGroupHeartbeatResponse))
	}
	w.check()
}

func (w *modernActors) answered(a *modernActor, sent Time, resp *kmsg.ConsumerGroupHeartbeatResponse) {
	switch got := a.take(resp); got {
	case "NONE":
		a.heard = sent
		for _, s := range a.owned.Slots() {
			a.uses[s] = true // what is not in it any more is given up later
		}
	case "UNKNOWN_MEMBER_ID", "FENCED_MEMBER_EPOCH", "GROUP_ID_NOT_FOUND", "UNRELEASED_INSTANCE_ID":
		a.drop()
	case "NOT_COORDINATOR", "COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE":
	default:
		w.t.Fatalf("heartbeat: %s", got)
	}
}

// giveUp is what a client does when it is done with partitions that it lost.
func (a *modernActor) giveUp() {
	for _, s := range a.using() {
		a.uses[s] = slices.Contains(a.owned.Slots(), s)
	}
}

// check: no partition is used by two, ever.
func (w *modernActors) check() {
	w.expire()
	user := make(map[consumers.Slot]string)
	for _, a := range w.all {
		for _, s := range a.using() {
			if other := user[s]; other != "" {
				w.t.Fatalf("%v is used by %s and %s", s, other, a.id)
			}
			user[s] = a.id
		}
	}
}

func (w *modernActors) commit(a *modernActor) {
	if w.expire(); a.epoch == 0 {
		return
	}
	w.offset++
	c := w.o.consumer(99999)
	c.id, c.generation = a.id, a.epoch
	req := c.commitRequest("t", w.offset)
	req.Version = 9
	switch got := kafka.CodeName(w.o.begin(c.conn, req).wait(time.Second).(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode); got {
	case "NONE":
		if m := w.o.modernState().member(a.id); m == nil || m.Epoch != a.epoch {
			w.t.Fatalf("a commit in epoch %d was taken of %+v", a.epoch, m)
		}
		w.accepted = w.offset
	case "UNKNOWN_MEMBER_ID", "STALE_MEMBER_EPOCH", "GROUP_ID_NOT_FOUND":
	default:
		w.t.Fatalf("commit: %s", got)
	}
	if at := w.o.committedAt("g", "t"); at != w.accepted {
		w.t.Fatalf("the committed offset is %d, want %d", at, w.accepted)
	}
}

func (o *one) modernState() *modernState {
	if g := o.node.coordinators[o.node.coordinatorPartition("g").Group].find("g"); g != nil && g.stored.modern != nil {
		return g.stored.modern
	}
	return &modernState{}
}

// settle lets everybody behave: then everything is assigned, and evenly.
func (w *modernActors) settle() {
	for range 100 {
		for _, a := range w.all {
			w.beat(a)
			a.giveUp()
		}
		w.o.pass(50 * time.Millisecond)
		if w.o.modernState().state() == "Stable" && len(w.o.modernState().members) == len(w.all) {
			break
		}
	}
	n := 0
	for _, a := range w.all {
		if uses := len(a.using()); uses != 2 {
			w.t.Errorf("%s uses %d partitions, want 2", a.id, uses)
		}
		n += len(a.using())
	}
	if n != 8 {
		w.t.Fatalf("%d of 8 partitions are used; the group is %s: %+v", n, w.o.modernState().state(), w.o.modernState())
	}
}

// TestModernGroupProperties is a coordinator among such clients: no partition is ever used by two of
// them, no commit of a former owner counts, and in the end all partitions are used.
func TestModernGroupProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &modernActors{t: rt, conns: 100, accepted: -1, o: newGroups(t, func(c *Config) { c.ConsumerSession = actorSession })}
		w.o.createPartitions("p", 8)
		for i := range 4 {
			a := &modernActor{modern: *w.o.modern(ConnID(i))}
			if i >= 2 {
				name := fmt.Sprintf("static %d", i)
				a.instance = &name
			}
			a.drop()
			w.all = append(w.all, a)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"heartbeat":  func(*rapid.T) { w.beat(w.pick()) },
			"heartbeats": func(*rapid.T) { w.beat(w.all...) },
			"give up":    func(*rapid.T) { w.pick().giveUp() },
			"commit":     func(*rapid.T) { w.commit(w.pick()) },
			"lost answer": func(*rapid.T) {
				a := w.pick()
				w.expire()
				w.connect(a)
				w.o.begin(a.conn, w.request(a))
				w.connect(a)
				w.o.replies = nil
			},
			"leave": func(*rapid.T) {
				a := w.pick()
				a.drop()
				a.say(leaveEpoch)
			},
			"go away": func(*rapid.T) {
				if a := w.pick(); a.instance != nil {
					a.drop()
					a.say(awayEpoch)
					a.id += "'" // and comes back under another id
				}
			},
			"crash": func(*rapid.T) { w.pick().drop() },
			"wait":  func(rt *rapid.T) { w.o.pass(time.Duration(rapid.IntRange(0, 1200).Draw(rt, "ms")) * time.Millisecond) },
			"restart": func(rt *rapid.T) {
				if rapid.IntRange(0, 3).Draw(rt, "really") == 0 {
					w.o.replies = nil
					w.o.restart()
					w.o.pass(200 * time.Millisecond)
				}
			},
			"": func(*rapid.T) { w.check() },
		})
		w.o.pass(1100 * time.Millisecond) // sessions of those that crashed end
		w.settle()
	})
}
