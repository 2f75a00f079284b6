// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (d memDir) clone() memDir {
	c := memDir{}
	for name, f := range d {
		c[name] = &memFile{b: bytes.Clone(f.b)}
	}
	return c
}

// restart starts a broker with a folder, as a new process.
func (c *many) restart(id BrokerID, dir memDir, seed uint64) {
	m := c.nodes[id]
	m.dir, m.cfg.Seed, m.mayEnd, m.end = dir, seed, true, nil
	c.start(id)
}

func (c *many) endsOutdated(id BrokerID, text string) {
	c.t.Helper()
	m := c.nodes[id]
	c.until("the outdated broker ends", func() bool { return m.end != nil })
	if m.end.Kind != EndOutdated || !strings.Contains(m.end.Error(), text) {
		c.t.Errorf("broker %d: %v, want %q", id, m.end, text)
	}
}

func (c *many) createTopic(through BrokerID, name string) {
	c.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 5000
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 1, 3
	req.Topics = append(req.Topics, topic)
	if resp := c.ask(through, req).(*kmsg.CreateTopicsResponse); resp.Topics[0].ErrorCode != 0 {
		c.t.Fatalf("create %s: error %d", name, resp.Topics[0].ErrorCode)
	}
}

// TestOldCopy puts older copies of a folder back: taken while the broker ran, while it was stopped, and one whose
// number of starts has come to exceed the folder's own.
func TestOldCopy(t *testing.T) {
	c := newMany(t, 3, nil)
	c.createTopic(1, "first")
	running := c.nodes[2].dir.clone()
	c.createTopic(1, "second")
	c.kill(2)
	stopped := c.nodes[2].dir.clone()

	c.restart(2, running.clone(), 11)
	c.endsOutdated(2, "an older copy of itself")
	often := running.clone()
	for i := range 5 {
		c.restart(2, often, uint64(12+i))
		c.endsOutdated(2, "an older copy of itself")
	}

	for _, id := range []BrokerID{1, 3} { // one that knew too little believed the copy: that must not keep the newest out
		p := c.nodes[id].node.peer(2)
		p.start = start{1, 9, 99, p.start.began, p.start.began + 40}
	}
	c.restart(2, stopped.clone(), 20) // the newest folder is taken
	c.createTopic(2, "third")
	newest := c.nodes[2].dir
	c.kill(2)
	c.restart(2, stopped, 21) // opened as often, from the same place
	c.endsOutdated(2, "an older copy of itself")

	c.kill(1) // those who remember are gone: the catalog knows
	c.kill(3)
	c.restart(1, c.nodes[1].dir, 30)
	c.restart(3, c.nodes[3].dir, 31)
	c.restart(2, running, 32)
	c.endsOutdated(2, "an older copy of itself")
	c.restart(2, newest, 33)
	c.createTopic(2, "fourth")
}

// TestLateProcess lets a copy of an idle broker's folder go on in its place: the process that was first must end.
func TestLateProcess(t *testing.T) {
	c := newMany(t, 3, nil)
	c.createTopic(1, "first")
	old := *c.nodes[2]
	later := old.node.process
	later.epoch, later.nonce = later.epoch+1, 99
	later.began = old.node.log.Durable()
	later.durable = later.began + 40 // it has opened the log
	for _, id := range []BrokerID{1, 3} {
		c.nodes[id].node.peer(2).start = later
	}
	c.nodes[2].mayEnd = true
	c.endsOutdated(2, "another process has started with a copy")
}

// TestJoinBelow joins with a number that is lower than one that the broker has had, as one that was drawn, or came from
// a clock, may be. It must be told of the number, to take a higher one.
func TestJoinBelow(t *testing.T) {
	c := newMany(t, 3, nil)
	c.kill(2)
	c.add(2, 3, 1_800_000_000)
	c.until("it is back", func() bool { return c.nodes[2].events[EventReady] > 0 })
	c.kill(2)
	c.add(2, 3, 7)
	m := c.nodes[2]
	m.mayEnd = true
	c.until("it ends", func() bool { return m.end != nil })
	var low *IncarnationError
	if !errors.As(m.end, &low) || low.Known != 1_800_000_000 || m.end.OutOfCluster() {
		t.Fatalf("it ended with %v", m.end)
	}
	m.cfg.Incarnation = low.Known + 1
	c.restart(2, m.dir, 50)
	c.until("it is back again", func() bool { return m.events[EventReady] > 0 })
}
