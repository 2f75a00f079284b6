// SPDX-License-Identifier: Apache-2.0

package node

import (
	"math"
	"slices"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// Raft takes a message of term 0 for one of its own process, and believes it. A second leader of a term would have
// entries committed that contradict those of the first.
func TestLeadersAreChecked(t *testing.T) {
	c := newMany(t, 3, nil)
	target := c.nodes[1]
	g := target.node.catalog.group
	c.until("broker 2 leads the catalog", func() bool {
		if g.serving {
			c.nodes[1].node.catalog.group.balance(2, "")
		}
		if l := c.nodes[3].node.catalog.group; l.serving {
			l.balance(2, "")
		}
		return g.lead == raftID(2, 1)
	})
	for name, change := range map[string]func(*pb.Message){
		"no term":                     func(m *pb.Message) { m.Type, m.Term = pb.MsgHeartbeat.Enum(), new(uint64(0)) },
		"a second leader of the term": func(m *pb.Message) { m.Type = pb.MsgHeartbeat.Enum() },
	} {
		before := target.events[EventEnvelopeRefused]
		target.in.Messages = append(target.in.Messages, Message{From: 3, Data: hostile(g, change)})
		c.round()
		if got := target.events[EventEnvelopeRefused] - before; got != 1 {
			t.Errorf("%s: refused %d times", name, got)
		}
		if g.lead != raftID(2, 1) {
			t.Errorf("%s: broker %d leads now", name, brokerOf(g.lead))
		}
	}
	before := target.events[EventEnvelopeRefused]
	target.in.Messages = append(target.in.Messages, Message{From: 2, Data: hostile(g, func(m *pb.Message) { m.Type = pb.MsgVote.Enum() })})
	c.round()
	if target.events[EventEnvelopeRefused] != before+1 {
		t.Error("a broker speaks as a replica of another one")
	}
}

// What a broker says of leaders elsewhere isn't believed for ever either.
func TestHintsOfLeadersAreChecked(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 2)
	n := c.nodes[1].node
	p := n.catalog.byName["t"].Partitions[0]
	c.until("the leader is known", func() bool { return p.hint.term > 0 && p.heard.term > 0 })
	term := p.hint.term
	n.receiveLeads(2, []lead{{p.Group, term + freeTerms + 1}, {p.Group, math.MaxUint64}})
	n.receiveLeads(3, []lead{{p.Group, term + 1}}) // it has no replica
	n.receiveInSync(2, []syncReport{{group: p.Group, term: math.MaxUint64}, {group: p.Group, term: term + freeTerms + 1}, {group: p.Group, term: 1<<32 + term}})
	n.receiveInSync(3, []syncReport{{group: p.Group, term: term + 1}})
	if p.hint.term != term || p.hint.leader != 2 || p.heard.term > term {
		t.Errorf("term %d becomes %d, leader %d, in sync %+v", term, p.hint.term, p.hint.leader, p.heard)
	}
}

// A term that a group may have come to is believed, and what the true leader says goes unheard. But what isn't repeated is given
// up for what is, here and by a broker that has a replica and knows its leader.
func TestPlausibleHintsAreForgotten(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 2, 3)
	n := c.nodes[1].node
	p := n.catalog.byName["t"].Partitions[0]
	known := func() bool {
		leader, epoch := n.leaderOf(p)
		return leader > 0 && epoch < 100 && n.believes(&p.heard, epoch) && slices.Equal(n.inSyncOf(p, leader, epoch), []BrokerID{2, 3})
	}
	c.until("the leader and who is in sync are known", known)
	for _, from := range []BrokerID{2, 3} {
		lie := []syncReport{{group: p.Group, term: 100 + uint64(from), brokers: []BrokerID{from}}}
		n.receiveLeads(from, []lead{{p.Group, lie[0].term}})
		n.receiveInSync(from, lie)
		if leader, epoch := n.leaderOf(p); leader != from || epoch != 100+int32(from) {
			t.Errorf("broker %d leads in epoch %d: the lie isn't even believed", leader, epoch)
		}
	}
	leader := c.leader("t")
	follower := c.nodes[5-leader].node
	q := follower.catalog.byName["t"].Partitions[0]
	follower.receiveInSync(leader, []syncReport{{group: q.Group, term: 100, brokers: []BrokerID{leader}}})
	c.until("the truth is known again", known)
	c.until("a broker with a replica believes the report of its leader", func() bool { return q.heard.term < 100 })
}

// Entries that mean nothing to this version change nothing, on all brokers alike, and stop none.
func TestBadEntriesAreRefusedByAllAlike(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 1, 2, 3)
	c.produce("t", "a")
	leader := c.nodes[c.leader("t")].node
	g := leader.group(leader.catalog.partition("t", 0).Group)
	for _, data := range [][]byte{{9}, {commandLogStart}, {0, 1, 2}, make([]byte, 100)} {
		done := false
		g.propose(data, func(any, error) { done = true })
		c.until("it is applied", func() bool { return done })
	}
	var all pb.ConfChangeV2
	for _, id := range g.conf.Voters {
		all.Changes = append(all.Changes, &pb.ConfChangeSingle{Type: pb.ConfChangeRemoveNode.Enum(), NodeId: &id})
	}
	data, err := proto.Marshal(&all)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.rn.Step(&pb.Message{Type: pb.MsgProp.Enum(), From: &g.self, Entries: []*pb.Entry{{Type: pb.EntryConfChangeV2.Enum(), Data: data}}}); err != nil {
		t.Fatal(err)
	}
	g.touch()
	c.until("all have refused all", func() bool {
		return !slices.ContainsFunc(c.ids, func(id BrokerID) bool { return c.nodes[id].events[EventEntryRefused] < 5 })
	})
	c.produce("t", "b")
	for _, id := range c.ids {
		c.kill(id)
		c.start(id)
	}
	c.produce("t", "c")
	if got := c.read("t", 0); !slices.Equal(got, []string{"0=a", "1=b", "2=c"}) {
		t.Errorf("read %q", got)
	}
}

// Brokers that somebody invents don't fill the metadata, and what is told of them ends nobody.
func TestInventedBrokers(t *testing.T) {
	c := newMany(t, 3, nil)
	n := c.nodes[1].node
	var invented []Member
	for i := range 900 {
		invented = append(invented, Member{ID: BrokerID(50 + i), Host: "h", Port: 9})
	}
	c.nodes[1].in.Messages = []Message{{From: 2, Data: appendMembers([]byte{envelopeVersion}, invented)}}
	c.round()
	if got := len(n.members()); got > 3+maxUnregistered {
		t.Errorf("%d brokers", got)
	}
	c.create("t", 1, 2, 3)
	c.produce("t", "a")
}

// A command of a session that the broker never began can't take away its right to give commands.
func TestForgedSession(t *testing.T) {
	c := newMany(t, 3, nil)
	leader := c.nodes[1].node
	c.until("the catalog has a leader", func() bool {
		for _, id := range c.ids {
			if n := c.nodes[id].node; n.catalog.group.serving {
				leader = n
				return true
			}
		}
		return false
	})
	done := false
	leader.catalog.group.propose([]byte(`{"Origin":1,"Session":1152921504606846976,"Seq":1,"DeleteTopic":{"Name":"t"}}`), func(any, error) { done = true })
	c.until("it is applied", func() bool { return done })
	c.create("t", 1, 2, 3) // through broker 1
}
