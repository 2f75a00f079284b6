// SPDX-License-Identifier: Apache-2.0

package node

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// founders makes brokers that found a cluster, each with a list of its own.
func founders(t *testing.T, lists map[BrokerID][]BrokerID) *many {
	c := &many{t: t, nodes: make(map[BrokerID]*member), unixMs: 1e12}
	for id := BrokerID(1); int(id) <= len(lists); id++ {
		var others []BrokerID
		for _, o := range lists[id] {
			if o != id {
				others = append(others, o)
			}
		}
		c.addKnowing(id, founder, others...)
	}
	return c
}

// Of founders whose lists differ at most one side founds a cluster, and both lists are told.
func TestFoundersWithDifferentLists(t *testing.T) {
	for _, c := range []struct {
		what  string
		lists map[BrokerID][]BrokerID
		ready []BrokerID
	}{
		{"all alike", map[BrokerID][]BrokerID{1: {1, 2, 3}, 2: {1, 2, 3}, 3: {1, 2, 3}}, []BrokerID{1, 2, 3}},
		{"one lists only itself", map[BrokerID][]BrokerID{1: {1, 2, 3}, 2: {1, 2, 3}, 3: {3}}, nil},
		{"one leaves one out", map[BrokerID][]BrokerID{1: {1, 2, 3}, 2: {1, 2, 3}, 3: {2, 3}}, nil},
		{"one has one more", map[BrokerID][]BrokerID{1: {1, 2, 3}, 2: {1, 2, 3}, 3: {1, 2, 3, 4}}, nil},
		{"two pairs", map[BrokerID][]BrokerID{1: {1, 2}, 2: {2, 3}, 3: {2, 3}}, []BrokerID{2, 3}},
	} {
		m := founders(t, c.lists)
		m.nodes[3].mayEnd = true // see TestSoleFounder
		told := 0
		for range 2000 {
			m.round()
		}
		for _, id := range m.ids {
			want := false
			for _, r := range c.ready {
				want = want || r == id
			}
			if ready := m.nodes[id].events[EventReady] > 0; ready != want {
				t.Errorf("%s: broker %d is ready: %v", c.what, id, ready)
			}
			told += m.nodes[id].events[EventFoundersDiffer]
		}
		if differ := len(c.ready) < 3; differ != (told > 0) {
			t.Errorf("%s: a contradiction was told %d times", c.what, told)
		}
	}
}

// A founder that lists only itself ends when others wait for it, unless a client may have got something from it. In the
// first case it founds their cluster with an emptied folder, while they go on; in the second they join its one.
func TestSoleFounder(t *testing.T) {
	all := []BrokerID{1, 2, 3}
	c := founders(t, map[BrokerID][]BrokerID{1: all, 2: all, 3: {3}})
	c.nodes[3].mayEnd = true
	c.until("it ends", func() bool { return c.nodes[3].end != nil })
	if end := c.nodes[3].end; end.Kind != EndFounders || end.OutOfCluster() || !strings.Contains(end.Error(), "the cluster of the brokers 1, 2, 3") {
		t.Errorf("it ended with %v", end)
	}
	c.kill(3)
	c.rounds(20)
	c.addKnowing(3, founder, 1, 2)
	c.until("all are ready", func() bool {
		return c.nodes[1].events[EventReady] > 0 && c.nodes[2].events[EventReady] > 0 && c.nodes[3].events[EventReady] > 0
	})
	c.createTopic(1, "t")

	c = founders(t, map[BrokerID][]BrokerID{1: {1}, 2: {1, 2}})
	c.kill(2)
	c.create("kept", 1)
	c.produce("kept", "a")
	c.start(2)
	c.until("both lists are told", func() bool {
		return c.nodes[1].events[EventFoundersDiffer] > 0 && c.nodes[2].events[EventFoundersDiffer] > 0
	})
	if len(c.nodes[1].node.catalog.brokers) != 1 {
		t.Error("a founder of another cluster is registered")
	}
	c.add(2, 2, 2)
	c.until("the other one joins", func() bool { return c.nodes[2].events[EventReady] > 0 })
	if got := c.read("kept", 0); len(got) != 1 || got[0] != "0=a" {
		t.Errorf("its records: %q", got)
	}
}

// A founder whose list was wrong founds the cluster with an emptied folder and the right one, while the others go on.
func TestListMended(t *testing.T) {
	all := []BrokerID{1, 2, 3}
	c := founders(t, map[BrokerID][]BrokerID{1: all, 2: all, 3: {2, 3}})
	c.until("both lists are told", func() bool {
		return c.nodes[2].events[EventFoundersDiffer] > 0 && c.nodes[3].events[EventFoundersDiffer] > 0
	})
	c.kill(3)
	c.rounds(20)
	c.change = func(cfg *Config) { cfg.Seed = 7 } // another process
	c.addKnowing(3, founder, 1, 2)
	c.until("all are ready", func() bool {
		return c.nodes[1].events[EventReady] > 0 && c.nodes[2].events[EventReady] > 0 && c.nodes[3].events[EventReady] > 0
	})
	c.createTopic(1, "t")
}

// What doesn't change is told once a minute.
func TestContradictionsAreToldAgain(t *testing.T) {
	c := founders(t, map[BrokerID][]BrokerID{1: {1, 2, 3}, 2: {1, 2, 3}, 3: {2, 3}})
	c.pass(150 * time.Second)
	if told := c.nodes[3].events[EventFoundersDiffer]; told < 4 || told > 6 {
		t.Errorf("two contradictions were told %d times in 150 s", told)
	}
}

// A founder that is away keeps the others from founding; once founded, a majority is enough, and whoever was away
// before it had heard of that goes on.
func TestFoundersAllTellTheSame(t *testing.T) {
	all := []BrokerID{1, 2, 3}
	c := founders(t, map[BrokerID][]BrokerID{1: all, 2: all})
	c.pass(10 * time.Second)
	for _, id := range c.ids {
		if !c.nodes[id].node.Founding() || c.nodes[id].events[EventBecameLeader] > 0 {
			t.Errorf("broker %d founds a cluster without broker 3", id)
		}
	}
	c.addKnowing(3, founder, 1, 2)
	c.until("all found the cluster", func() bool {
		return !c.nodes[1].node.Founding() && !c.nodes[2].node.Founding() && !c.nodes[3].node.Founding()
	})
	c.until("all are ready", func() bool {
		return c.nodes[1].events[EventReady] > 0 && c.nodes[2].events[EventReady] > 0 && c.nodes[3].events[EventReady] > 0
	})
	c.kill(1)
	c.kill(2)
	c.kill(3)
	c.start(1)
	c.start(2)
	c.until("two of three are enough now", func() bool { return c.nodes[1].events[EventReady] > 1 && c.nodes[2].events[EventReady] > 1 })
}

// What is told has both lists.
func TestContradictionNamesBothLists(t *testing.T) {
	c := founders(t, map[BrokerID][]BrokerID{1: {1, 2, 3}, 2: {1, 2, 3}, 3: {2, 3}})
	text := ""
	for range 500 {
		c.round()
		for _, id := range c.ids {
			for _, said := range c.nodes[id].node.founding.said {
				text += said.text
			}
		}
	}
	if !strings.Contains(text, "of the brokers 2, 3, this broker one of 1, 2, 3") || !strings.Contains(text, "of the brokers 1, 2, 3, this broker one of 2, 3") {
		t.Errorf("told: %s", text)
	}
}

// A founder that lists only itself, and that others wait for, ends only if it has answered nothing that a client may rely
// on, in whatever step it hears of them: the one that answers, too.
func TestSoleFounderWithAnAnswerStays(t *testing.T) {
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Version, create.TimeoutMillis = 7, 10000
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "t", 1, 1
	create.Topics = append(create.Topics, topic)
	id := kmsg.NewPtrInitProducerIDRequest()
	id.Version = 4
	for _, req := range []kmsg.Request{create, id, editRequest(configGroup, "g", "consumer.session.timeout.ms=50000")} {
		ended, stayed := 0, 0
		for rounds := range 60 {
			c := founders(t, map[BrokerID][]BrokerID{1: {1}})
			m := c.nodes[1]
			m.mayEnd = true
			m.in.Requests = []Request{{Conn: 1, Frame: kafka.AppendRequest(nil, 1, "test", req)}}
			c.rounds(rounds)
			m.in.Messages = []Message{{From: 2, Data: []byte{envelopeVersion, itemFounders, 0, 2, 1, 2}}}
			c.round()
			answered := len(m.replies) > 0
			switch {
			case m.end != nil && answered:
				t.Fatalf("%T is answered within %d rounds, and then the broker ends: %v", req, rounds, m.end)
			case m.end != nil:
				ended++
			case answered:
				stayed++
			}
		}
		if ended == 0 || stayed == 0 {
			t.Errorf("%T: the broker ended %d times and stayed %d times", req, ended, stayed)
		}
	}
}
