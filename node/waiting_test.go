// SPDX-License-Identifier: Apache-2.0

package node

import (
	"strings"
	"testing"
	"time"

	"chronik/wal"
)

// waiting starts brokers that never become ready and returns what one of them says of it in two minutes.
func waiting(t *testing.T, incarnation uint32, running int) []string {
	c := &many{t: t, nodes: make(map[BrokerID]*member), unixMs: 1e12}
	for id := range BrokerID(running) {
		c.add(id+1, 3, incarnation)
	}
	var said []string
	for c.now < Time(2*time.Minute) {
		c.round()
		for _, e := range c.nodes[1].said {
			if e.Kind == EventNotReady {
				said = append(said, e.Text)
			}
		}
	}
	return said
}

// TestWaitingIsExplained starts brokers that wait for ever. They say for whom, and what to do, once a minute.
func TestWaitingIsExplained(t *testing.T) {
	for _, row := range []struct {
		name        string
		incarnation uint32
		running     int
		want        []string
	}{
		{"all join", 77, 3, []string{"waits for a cluster to take it in", "broker 2 waits itself to join", "broker 3 waits itself to join", "broker format -config FILE"}},
		{"one joins, alone", 77, 1, []string{"broker 2 at ", "is silent", "Start those that are silent"}},
		{"a founder, alone", founder, 1, []string{"have told each other the same list: 1, 2, 3", "broker 3 at ", "is silent", "mend their peer addresses"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			said := waiting(t, row.incarnation, row.running)
			if len(said) != 2 {
				t.Fatalf("it said %d times in two minutes what it waits for: %q", len(said), said)
			}
			for _, want := range row.want {
				if !strings.Contains(said[0], want) {
					t.Errorf("it doesn't say %q: %s", want, said[0])
				}
			}
		})
	}
}

// A founder that lost its disk before the cluster began, and was started to join, is told to format it: nobody can take
// it in, and the others wait for it.
func TestFounderThatJoins(t *testing.T) {
	c := &many{t: t, nodes: make(map[BrokerID]*member), unixMs: 1e12}
	c.add(1, 3, founder)
	c.add(2, 3, 77)
	c.add(3, 3, founder)
	c.rounds(600)
	said := ""
	c.until("it says what it waits for", func() bool {
		for _, e := range c.nodes[1].said {
			if e.Kind == EventNotReady {
				said = e.Text
			}
		}
		return said != ""
	})
	if want := "Broker 2 is a founder of this cluster, but was started to join it"; !strings.Contains(said, want) || !strings.Contains(said, "broker format -config FILE") {
		t.Errorf("it doesn't say %q: %s", want, said)
	}
}

// TestReadyBrokersDontWait is the other side: in a cluster that is well nobody says that it waits.
func TestReadyBrokersDontWait(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { cfg.Log = wal.Options{SegmentBytes: 64 << 10} })
	for c.now < Time(30*time.Second) {
		c.round()
	}
	for id, m := range c.nodes {
		if n := m.events[EventNotReady]; n > 0 {
			t.Errorf("broker %d said %d times that it waits", id, n)
		}
	}
}
