// SPDX-License-Identifier: Apache-2.0

package node

import (
	"testing"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// quiet says that a topic's group is quiet on all brokers that live.
func (c *many) quiet(topic string) bool {
	for _, id := range c.ids {
		if c.nodes[id].node == nil {
			continue
		}
		if v, ok := c.view(id, topic); ok && !v.Quiet {
			return false
		}
	}
	return true
}

// What newMany's brokers have by default.
const (
	tickTime      = 50 * time.Millisecond
	electionTicks = 12
)

// ticksUntil returns how many ticks pass until something comes about.
func (c *many) ticksUntil(what string, ok func() bool) int {
	c.t.Helper()
	begun := c.now
	c.until(what, ok)
	return int(c.now.Sub(begun) / tickTime)
}

// TestQuietGroups lets a partition idle: nothing is ticked or sent because of it. It takes records at once, and goes quiet again.
func TestQuietGroups(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 1, 2, 3)
	c.until("the group is quiet", func() bool { return c.quiet("t") })
	ticked, ticks := 0, 0
	c.watch = func(_ *Input, out *Output) { ticked, ticks = ticked+out.Work.Ticked, ticks+btoi(out.Work.Ticked > 0) }
	c.rounds(400)
	c.watch = nil
	if !c.quiet("t") || ticked != ticks || ticks == 0 {
		t.Errorf("quiet: %v; in %d ticks, %d groups were ticked, and only the catalog has to be", c.quiet("t"), ticks, ticked)
	}
	c.produce("t", "a")
	if c.quiet("t") {
		t.Error("it is quiet just after a record came")
	}
	c.until("the group is quiet again", func() bool { return c.quiet("t") })
	c.waitInSync("t", 1, 2, 3)
	if got := c.read("t", 0); len(got) != 1 || got[0] != "0=a" {
		t.Errorf("read %q", got)
	}
}

// TestQuietLeaderDies ends the broker that leads a quiet group, and nobody is told that its connection broke. Another one leads as soon
// as if the group had been awake: one to two election timeouts after the last sign of life.
func TestQuietLeaderDies(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 1, 2, 3)
	fastest := 1000
	for range 4 {
		c.until("the group is quiet", func() bool { return c.quiet("t") })
		dead := c.leader("t")
		c.kill(dead)
		fastest = min(fastest, c.ticksUntil("another one leads", func() bool { return c.leader("t") > 0 && c.leader("t") != dead }))
		c.start(dead)
		c.waitInSync("t", 1, 2, 3)
	}
	if most := 2*electionTicks - 4; fastest > most {
		t.Errorf("the fastest of four took %d ticks, %d would do", fastest, most)
	}
}

// TestQuietLeaderIsCutOff lets nobody hear the leader of a quiet group any more, nor it anybody. It must not believe for ever that
// it leads.
func TestQuietLeaderIsCutOff(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 1, 2, 3)
	c.until("the group is quiet", func() bool { return c.quiet("t") })
	lone := c.leader("t")
	c.nodes[lone].cut = true
	took := c.ticksUntil("it steps down", func() bool { v, _ := c.view(lone, "t"); return v.Role != Leader })
	if most := 4 * electionTicks; took > most {
		t.Errorf("that took %d ticks, %d would do", took, most)
	}
	c.until("another one leads", func() bool { return c.leader("t") > 0 })
	c.nodes[lone].cut = false
	c.until("the group is quiet again", func() bool { return c.quiet("t") })
}

// TestQuietFollowerIsClosed closes a replica of a quiet group, because its disk gives back other bytes. The others must hear of it.
func TestQuietFollowerIsClosed(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 1, 2, 3)
	for _, at := range []BrokerID{2, 1} { // a follower, and the leader
		c.until("the group is quiet", func() bool { return c.quiet("t") })
		n := c.nodes[at].node
		p := n.catalog.partition("t", 0)
		was := n.group(p.Group)
		was.close()
		was.asked = true // and nobody asks for another one
		c.until("the others are awake", func() bool { v, _ := c.view(3, "t"); return !v.Quiet })
		was.asked = false
		c.until("it is replaced", func() bool { g := n.group(p.Group); return g != nil && g != was && !g.closed })
		c.waitInSync("t", 1, 2, 3)
	}
}

// TestQuietIsRefused shows a follower requests to go quiet that it must not consent to.
func TestQuietIsRefused(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 1, 2, 3)
	c.produce("t", "a", "b")
	c.rounds(20)
	lead := c.leader("t")
	at := lead%3 + 1
	n := c.nodes[at].node
	g := n.group(n.catalog.partition("t", 0).Group)
	last, _ := g.view.LastIndex()
	for _, tt := range []struct {
		what    string
		context []byte
		change  func(m *pb.Message)
		yes     bool
	}{
		{"all is well", quietContext(quietAsk, 7, last), nil, true},
		{"the leader has more", quietContext(quietAsk, 7, last+1), nil, false},
		{"the leader has less", quietContext(quietAsk, 7, last-1), nil, false},
		{"another term", quietContext(quietAsk, 7, last), func(m *pb.Message) { term := m.GetTerm() - 1; m.Term = &term }, false},
		{"another leader", quietContext(quietAsk, 7, last), func(m *pb.Message) { to := raftID(7, 1); m.To = &to }, false},
		{"no request", []byte("12345678"), nil, false},
		{"too short", quietContext(quietAsk, 7, last)[:16], nil, false},
		{"an answer", quietContext(quietYes, 7, last), nil, false},
	} {
		to, term := g.lead, g.term
		m := &pb.Message{Type: pb.MsgHeartbeatResp.Enum(), To: &to, From: &g.self, Term: &term, Context: tt.context}
		if tt.change != nil {
			tt.change(m)
		}
		g.quiet.going = false
		g.answerQuiet(m)
		if _, _, yes := readQuiet(m.GetContext(), quietYes); g.quiet.going != tt.yes || yes != (tt.yes || tt.what == "an answer") {
			t.Errorf("%s: it goes quiet: %v, says so: %v", tt.what, g.quiet.going, yes)
		}
	}
	g.quiet.going = false
	if g.role != raft.StateFollower {
		t.Fatal("it leads")
	}
}

// TestLateAnswersToAQuietLeader gives a quiet leader an answer to a heartbeat from before it was quiet, as happens where messages
// overtake each other. It has nothing to learn from it and stays quiet; only one that doesn't stop wakes it.
func TestLateAnswersToAQuietLeader(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 1, 2, 3)
	c.until("the group is quiet", func() bool { return c.quiet("t") })
	leads := c.leader("t")
	id := c.nodes[leads].node.catalog.partition("t", 0).Group
	lead, follower := c.nodes[leads].node.group(id), c.nodes[leads%3+1].node.group(id)
	woken := func() int { return c.nodes[leads].events[EventGroupWoken] }
	heartbeat := func(kind pb.MessageType, from, to *group) {
		term := lead.term
		m := &pb.Message{Type: kind.Enum(), From: &from.self, To: &to.self, Term: &term}
		to.step(m)
	}
	before := woken()
	heartbeat(pb.MsgHeartbeatResp, follower, lead)
	c.rounds(20)
	if woken() != before || !c.quiet("t") {
		t.Errorf("a late answer woke the leader %d times; all are quiet: %v", woken()-before, c.quiet("t"))
	}
	heartbeat(pb.MsgHeartbeatResp, follower, lead)
	if lead.quiet.is {
		t.Error("the leader asks again and again")
	}
	c.until("the group is quiet again", func() bool { return c.quiet("t") })
	before = woken()
	heartbeat(pb.MsgHeartbeat, lead, follower)
	if follower.quiet.is {
		t.Fatal("a heartbeat wakes nobody")
	}
	c.rounds(20)
	if woken() != before || !c.quiet("t") {
		t.Errorf("a late heartbeat woke the leader %d times; all are quiet: %v", woken()-before, c.quiet("t"))
	}
	c.until("the group is quiet again", func() bool { return c.quiet("t") })
	stranger := raftID(leads%3+1, 77)
	asked := lead.asksAgain(&pb.Message{Type: pb.MsgHeartbeatResp.Enum(), From: &stranger, To: &lead.self, Term: &lead.term})
	if asked {
		t.Error("a replica that isn't in the group is asked to go quiet")
	}
}
