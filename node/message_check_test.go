// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/json"
	"slices"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
)

// hostile is an envelope with one raft message from broker 3 to broker 1.
func hostile(g *group, change func(*pb.Message)) []byte {
	from := raftID(3, 1)
	for _, id := range g.conf.Voters {
		if brokerOf(id) == 3 {
			from = id
		}
	}
	term, self := g.term, g.self
	m := &pb.Message{Type: pb.MsgApp.Enum(), From: &from, To: &self, Term: &term}
	change(m)
	p := &peer{id: 1, envelope: []byte{envelopeVersion}} // of no process
	p.addRaft(g.id, m)
	return slices.Concat(append(p.pieces, p.envelope)...)
}

func entry(index, term uint64, kind pb.EntryType, data string) *pb.Entry {
	return &pb.Entry{Index: &index, Term: &term, Type: &kind, Data: []byte(data)}
}

// What no broker says is refused before raft sees it: the broker lives, the group keeps its term, and the cluster
// goes on.
func TestRaftMessagesAreChecked(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 1, 2, 3)
	c.produce("t", "a", "b", "c")
	for range 100 {
		c.round()
	}
	target := c.nodes[1]
	ids := append([]GroupID{0}, target.node.catalog.byName["t"].Partitions[0].Group)
	for _, id := range ids {
		g := target.node.group(id)
		last, _ := g.view.LastIndex()
		for name, change := range map[string]func(m *pb.Message){
			"vote of the last term there is": func(m *pb.Message) { m.Type, m.Term = pb.MsgVote.Enum(), new(^uint64(0)) },
			"epoch overflow":                 func(m *pb.Message) { m.Type, m.Term = pb.MsgHeartbeat.Enum(), new(uint64(maxTerm+1)) },
			"term that nobody came to":       func(m *pb.Message) { m.Type, m.Term = pb.MsgPreVote.Enum(), new(g.lastTerm()+2) },
			"commit beyond the end":          func(m *pb.Message) { m.Type, m.Term, m.Commit = pb.MsgHeartbeat.Enum(), new(g.term+1), new(last+1) },
			"committed entry replaced": func(m *pb.Message) {
				m.Term, m.Index, m.LogTerm = new(g.term+1), new(uint64(1)), new(uint64(1))
				m.Entries = []*pb.Entry{entry(2, g.term+1, pb.EntryNormal, "x")}
			},
			"hole": func(m *pb.Message) {
				m.Index, m.Entries = &last, []*pb.Entry{entry(last+2, g.term, pb.EntryNormal, "x")}
			},
			"entry of a later term": func(m *pb.Message) {
				m.Index, m.Entries = &last, []*pb.Entry{entry(last+1, g.term+1, pb.EntryNormal, "x")}
			},
			"configuration of garbage": func(m *pb.Message) {
				m.Index, m.Entries = &last, []*pb.Entry{entry(last+1, g.term, pb.EntryConfChangeV2, "\xff")}
			},
			"old kind of configuration": func(m *pb.Message) {
				m.Index, m.Entries = &last, []*pb.Entry{entry(last+1, g.term, pb.EntryConfChange, "")}
			},
			"entry of an unknown type": func(m *pb.Message) { m.Index, m.Entries = &last, []*pb.Entry{entry(last+1, g.term, 9, "")} },
			"local message":            func(m *pb.Message) { m.Type = pb.MsgHup.Enum() },
			"proposal": func(m *pb.Message) {
				m.Type, m.Entries = pb.MsgProp.Enum(), []*pb.Entry{entry(0, 0, pb.EntryNormal, "x")}
			},
			"acknowledged beyond end": func(m *pb.Message) { m.Type, m.Index = pb.MsgAppResp.Enum(), new(last+1) },
			"index that overflows":    func(m *pb.Message) { m.Index = new(^uint64(0)) },
		} {
			before, term := target.events[EventEnvelopeRefused], g.term
			target.in.Messages = append(target.in.Messages, Message{From: 3, Data: hostile(g, change)})
			c.round()
			if target.events[EventEnvelopeRefused] != before+1 || g.term != term {
				t.Errorf("group %d, %s: refused %d times, term %d after %d", id, name, target.events[EventEnvelopeRefused]-before, g.term, term)
			}
		}
	}
	c.produce("t", "d")
	if got := c.read("t", 0); len(got) != 4 {
		t.Errorf("read %q after all that", got)
	}
}

// A command that isn't one never reaches the log, and doesn't hold up those after it.
func TestCommandsAreChecked(t *testing.T) {
	c := newMany(t, 3, nil)
	leader := c.nodes[brokerOf(c.nodes[1].node.catalog.group.lead)]
	for range 100 {
		c.round()
	}
	bad := []string{
		"", "{", "null", "[]", `{"Origin":3}`, `{"Origin":-4,"Session":1,"Seq":1,"Remove":{"Broker":1}}`,
		`{"Origin":3,"Session":99,"Seq":1,"FutureThing":{"X":1}}`,
		`{"Origin":3,"Session":99,"Seq":1,"DeleteTopic":{"ID":"AAAA"}}`,
		`{"Origin":3,"Session":99,"Seq":1,"CreateTopic":{"Name":"x"}}`,
		`{"Origin":3,"Session":99,"Seq":1,"CreateTopic":{"Name":"x","Replicas":[[]]}}`,
		`{"Origin":3,"Session":99,"Seq":1,"CreateTopic":{"Name":"x","Replicas":[[1,1]]}}`,
		`{"Origin":3,"Session":99,"Seq":1,"CreateTopic":{"Name":"../x","Replicas":[[1]]}}`,
		`{"Origin":3,"Session":99,"Seq":1,"ProducerIDs":{"Count":-1}}`,
		`{"Origin":3,"Session":99,"Seq":1,"Register":{"ID":4,"Host":"h","Port":1,"Incarnation":1}}`,
		`{"Origin":3,"Session":99,"Seq":1,"Register":{"ID":3,"Host":"h","Port":1,"Incarnation":1},"Remove":{"Broker":1}}`,
	}
	for _, text := range bad {
		before, applied := leader.events[EventCommandRefused], leader.node.catalog.group.applied
		leader.in.Messages = append(leader.in.Messages, Message{From: 3, Data: appendCommand([]byte{envelopeVersion}, []byte(text))})
		for range 20 {
			c.round()
		}
		if leader.events[EventCommandRefused] != before+1 || leader.node.catalog.group.applied != applied {
			t.Errorf("%s: refused %d times, %d entries applied", text, leader.events[EventCommandRefused]-before, leader.node.catalog.group.applied-applied)
		}
	}
	c.create("t", 1, 2, 3)
}

// What got into the catalog's log all the same, by a broker of another release, changes nothing on any broker, and
// ends none: not now, and not when the logs are read again.
func TestUnknownCommandsInTheLog(t *testing.T) {
	c := newMany(t, 3, nil)
	leader := c.nodes[brokerOf(c.nodes[1].node.catalog.group.lead)]
	for _, text := range []string{"{", `{"Origin":3,"Session":99,"Seq":1,"FutureThing":{"X":1}}`, `{"Origin":3,"Session":99,"Seq":2,"DeleteTopic":{"ID":"AAAA"}}`} {
		leader.node.catalog.group.propose([]byte(text), func(any, error) {})
	}
	c.until("all brokers refuse them", func() bool {
		for _, m := range c.nodes {
			if m.events[EventCommandRefused] < 3 {
				return false
			}
		}
		return true
	})
	for _, id := range c.ids {
		c.kill(id)
	}
	for _, id := range c.ids {
		c.start(id)
	}
	c.until("the cluster takes a topic", func() bool {
		return c.nodes[1].node.catalog.group.serving || c.nodes[2].node.catalog.group.serving || c.nodes[3].node.catalog.group.serving
	})
	c.create("t", 1, 2, 3)
}

// The number of brokers that a cluster ever had is bounded, and an id never goes back to an earlier incarnation.
func TestRegistrationIsBounded(t *testing.T) {
	c := newMany(t, 3, nil)
	leader := c.nodes[brokerOf(c.nodes[1].node.catalog.group.lead)]
	for id := 10; id < 10+maxBrokers; id++ {
		cmd := command{Origin: BrokerID(id), Session: 1, Seq: 1, Register: &register{Member: Member{ID: BrokerID(id), Host: "h", Port: 1}, Incarnation: 7}}
		text, _ := json.Marshal(cmd)
		leader.node.catalog.group.propose(text, func(any, error) {})
	}
	c.until("they are applied", func() bool { return len(leader.node.catalog.brokers) == maxBrokers })
	for range 50 {
		c.round()
	}
	if n := len(leader.node.catalog.brokers); n != maxBrokers {
		t.Errorf("%d brokers", n)
	}
	older, _ := json.Marshal(command{Origin: 10, Session: 2, Seq: 1, Register: &register{Member: Member{ID: 10, Host: "other", Port: 1}, Incarnation: 6}})
	leader.node.catalog.group.propose(older, func(any, error) {})
	for range 50 {
		c.round()
	}
	if b := leader.node.catalog.broker(10); b.Host != "h" || b.Incarnation != 7 {
		t.Errorf("broker 10 became %+v", b)
	}
}

// FuzzPeerMessages steps a broker of a living cluster with whatever bytes another may send.
func FuzzPeerMessages(f *testing.F) {
	build := func(t testing.TB) (*many, *group) {
		c := newMany(t, 3, nil)
		c.create("t", 1, 2, 3)
		return c, c.nodes[1].node.group(c.nodes[1].node.catalog.byName["t"].Partitions[0].Group)
	}
	c, g := build(f)
	c.nodes[2].node.Step(&Input{Now: c.now.Add(1e9)})
	f.Add([]byte{envelopeVersion})
	f.Add(hostile(g, func(m *pb.Message) {
		m.Index, m.Entries = new(uint64(1)), []*pb.Entry{entry(2, 1, pb.EntryNormal, string(plain("x")))}
	}))
	f.Add(hostile(g, func(m *pb.Message) { m.Type = pb.MsgVote.Enum() }))
	f.Add(appendLeads([]byte{envelopeVersion}, []lead{{1, 5}}))
	f.Add(appendCommand([]byte{envelopeVersion}, []byte(`{"Origin":3,"Session":9,"Seq":1,"Remove":{"Broker":1}}`)))
	f.Add(appendMembers([]byte{envelopeVersion}, []Member{{ID: 9, Host: "h", Port: 3}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, _ := build(t)
		c.nodes[1].in.Messages = []Message{{From: 3, Data: data}}
		for range 30 {
			c.round()
		}
	})
}
