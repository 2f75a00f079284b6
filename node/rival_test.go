// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"chronik/wal"
)

// twin is a second process with a broker's id. Others look for the broker at the first one's address, unless that is cut
// off; the twin hears what is sent back the way by which its own messages came.
type twin struct {
	c    *many
	id   BrokerID
	node *Node
	dir  memDir
	in   Input
	end  *End
}

const twinsWay = 77

func (c *many) twin(id BrokerID, dir memDir, change func(*Config)) *twin {
	cfg := c.nodes[id].cfg
	cfg.Seed = 4711
	if change != nil {
		change(&cfg)
	}
	n, err := Open(cfg, dir, c.now)
	if err != nil {
		c.t.Fatal(err)
	}
	tw := &twin{c: c, id: id, node: n, dir: dir}
	c.watch = func(_ *Input, out *Output) {
		for _, m := range out.Messages {
			if m.Back == twinsWay || m.Back == 0 && m.To == id && c.nodes[id].cut {
				tw.in.Messages = append(tw.in.Messages, Message{From: writerOf(c, out), Data: slices.Concat(m.Pieces...)})
			}
		}
	}
	return tw
}

// writerOf says whose output that is.
func writerOf(c *many, out *Output) BrokerID {
	for id, m := range c.nodes {
		if m.node != nil && out == &m.node.out {
			return id
		}
	}
	return 0
}

// until lets the twin live beside the others.
func (tw *twin) until(what string, ok func() bool) {
	tw.c.t.Helper()
	tw.c.until(what, func() bool {
		if !ok() {
			tw.step()
		}
		return ok()
	})
}

func (tw *twin) step() {
	if tw.end != nil {
		return
	}
	in := tw.in
	tw.in = Input{}
	in.Now, in.UnixMs = tw.c.now, tw.c.unixMs
	out := tw.node.Step(&in)
	tw.end = out.End
	for _, op := range out.Ops {
		tw.in.Results = append(tw.in.Results, wal.Do(tw.dir, op))
	}
	for i := range out.Tasks {
		tw.in.Done = append(tw.in.Done, out.Tasks[i].Do())
	}
	for _, m := range out.Messages {
		if to := tw.c.nodes[m.To]; to != nil && to.node != nil && m.To != tw.id {
			to.in.Messages = append(to.in.Messages, Message{From: tw.id, Via: twinsWay, Data: slices.Concat(m.Pieces...)})
		}
	}
}

// joins makes the twin one that comes with an empty folder.
func joins(cfg *Config) { cfg.Incarnation = 50 }

// A second process with the id of a broker that lives must end, in words, and change nothing.
func TestSecondProcess(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Config)
		dir    func(old, present memDir) memDir
		kind   EndKind
		text   string
	}{
		"an empty folder": {joins, func(memDir, memDir) memDir { return memDir{} }, EndTaken, "broker 2 runs with another data folder: broker"},
		"a copy":          {nil, func(_, present memDir) memDir { return present }, EndOutdated, "its data folder is a copy of that of broker 2, which runs"},
		"an older copy":   {nil, func(old, _ memDir) memDir { return old }, EndOutdated, "an older copy of itself"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newMany(t, 3, nil)
			c.create("first", 1, 2, 3)
			old := c.nodes[2].dir.clone()
			c.createTopic(1, "second")
			c.rounds(200) // at rest, so that the copy has all that the first one has
			before := c.nodes[2].node.catalog.group.term
			tw := c.twin(2, test.dir(old, c.nodes[2].dir.clone()), test.change)
			tw.until("the second process ends", func() bool { return tw.end != nil })
			if tw.end.Kind != test.kind || !strings.Contains(tw.end.Error(), test.text) || !tw.end.OutOfCluster() {
				t.Errorf("it ended with %v", tw.end)
			}
			if tw.node.Ready() {
				t.Error("it served")
			}
			if term := c.nodes[2].node.catalog.group.term; term != before {
				t.Errorf("it caused an election: term %d, before %d", term, before)
			}
			if told := c.nodes[1].events[EventSecondProcess] + c.nodes[3].events[EventSecondProcess]; test.kind == EndTaken && told == 0 {
				t.Error("nobody told the operator")
			}
			c.createTopic(2, "third")
		})
	}
}

// Where the first process isn't heard of, the second is taken in, and the order of the catalog ends the first.
func TestSecondProcessTakesOver(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Config)
		kind   EndKind
	}{
		"an empty folder": {joins, EndSuperseded},
		"a copy":          {nil, EndOutdated},
	} {
		t.Run(name, func(t *testing.T) {
			c := newMany(t, 3, nil)
			c.create("first", 1, 2, 3)
			c.rounds(200)
			dir := memDir{}
			if test.change == nil {
				dir = c.nodes[2].dir.clone()
			}
			first := c.nodes[2]
			first.cut, first.mayEnd = true, true
			tw := c.twin(2, dir, test.change)
			tw.until("it is taken in", tw.node.Ready)
			first.cut = false
			tw.until("the first one ends", func() bool { return first.end != nil || tw.end != nil })
			if tw.end != nil || first.end.Kind != test.kind {
				t.Errorf("the first one ended with %v, the second with %v", first.end, tw.end)
			}
		})
	}
}

// A second process may reach the leader of the catalog through a broker that doesn't hear the first one.
func TestSecondProcessThroughAnother(t *testing.T) {
	c := newMany(t, 3, nil)
	c.rounds(200)
	leader := c.nodes[BrokerID(c.nodes[1].node.controller())].node
	taken := leader.self%3 + 1
	c.rounds(200)
	refused := func(cmd command) bool {
		bytes, err := json.Marshal(&cmd)
		if err != nil {
			t.Fatal(err)
		}
		before, _ := leader.catalog.group.view.LastIndex()
		leader.receiveCommand(bytes)
		c.rounds(20)
		after, _ := leader.catalog.group.view.LastIndex()
		return before == after
	}
	cmd := func(id BrokerID, incarnation uint32) command {
		return command{Origin: id, Session: 1, Seq: 1, Register: &register{Member: Member{ID: id, Host: "b", Port: 1}, Incarnation: incarnation, Start: 99}}
	}
	if !refused(cmd(taken, 50)) {
		t.Error("an empty folder registers as a broker that lives")
	}
	if !refused(cmd(taken, 1)) {
		t.Error("a copy registers as a broker that lives")
	}
	if !refused(cmd(leader.self, 1)) {
		t.Error("a copy registers as the leader of the catalog")
	}
	c.kill(taken)
	c.rounds(600)
	if refused(cmd(taken, 50)) {
		t.Error("a broker that is silent can't come back with an empty folder")
	}
}

// TestLateMessagesBesideTheNextStart lets messages of a broker's process go on to arrive for long after it died, beside those of its
// next start. That waits, and doesn't end: nobody has shown that the process lives.
func TestLateMessagesBesideTheNextStart(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("first", 1, 2, 3)
	c.rounds(200)
	known := c.nodes[1].node.peer(2).start
	c.kill(2)
	c.restart(2, c.nodes[2].dir, 4711)
	c.nodes[2].mayEnd = false
	for range 2000 {
		for _, id := range []BrokerID{1, 3} {
			in := &c.nodes[id].in
			in.Messages = append(in.Messages, Message{From: 2, Data: known.append([]byte{envelopeVersion}, known.durable)})
		}
		c.round()
	}
	if c.nodes[1].events[EventSecondProcess]+c.nodes[3].events[EventSecondProcess] > 0 {
		t.Error("the next start of a broker that died is taken for a second process")
	}
	c.until("it is taken in", c.nodes[2].node.Ready)
}

// TestLateMessageOfACopy lets a copy speak for a while beside the broker that it was made of. Then the broker's connection breaks, and a
// late message of the copy comes. It isn't the broker's next start, which is taken in at once.
func TestLateMessageOfACopy(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("first", 1, 2, 3)
	c.rounds(200)
	n := c.nodes[1].node
	p := n.peer(2)
	known := p.start
	later := func(nonce uint64) start {
		return start{known.incarnation, known.epoch + 1, nonce, p.start.durable + 1000, p.start.durable + 1000}
	}
	hears := func(s start) {
		in := &c.nodes[1].in
		in.Messages = append(in.Messages, Message{From: 2, Data: s.append([]byte{envelopeVersion}, s.durable)})
		c.round()
	}
	copied := later(4711)
	for range 200 { // longer than an election timeout
		hears(copied)
	}
	c.kill(2)
	c.rounds(2)
	c.nodes[1].in.Lost = append(c.nodes[1].in.Lost, 2)
	c.round()
	hears(copied)
	if !p.start.sameProcess(known) {
		t.Error("a late message of a copy takes the broker's place")
	}
	next := later(4712)
	hears(next)
	if !p.start.sameProcess(next) {
		t.Error("the next start isn't taken in though the connection broke")
	}
}
