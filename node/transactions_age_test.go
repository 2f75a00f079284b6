// SPDX-License-Identifier: Apache-2.0

package node

import (
	"testing"
	"time"
)

// ages are those of the oldest transactions of a transactional id's coordinator.
func (c *many) ages(id string) (ongoing, deciding time.Duration) {
	s := c.nodes[c.coordinatorOf(id)].node.Stats().Partitions
	return s.OldestOngoing, s.OldestDeciding
}

// An operator sees for how long the oldest transaction has been open, also after its coordinator has changed, and for how long a decision
// waits for a partition without a majority.
func TestAgeOfTheOldestTransaction(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { small(cfg); cfg.TransactionPartitions = 1 })
	c.create("a", 1, 2, 3)
	expect := expecting(t)
	within := func(what string, age, least, most time.Duration) {
		t.Helper()
		if age < least || age > most {
			t.Fatalf("%s for %v, not %v to %v", what, age, least, most)
		}
	}
	p := c.transactional("tx", true)
	p.limit = 60_000
	expect(p.initialize(false), "NONE")
	c.pass(5 * time.Second) // a time is believed after a while
	if ongoing, deciding := c.ages("tx"); ongoing != 0 || deciding != 0 {
		t.Fatal(ongoing, deciding)
	}
	expect(p.send("a", "one"), "NONE")
	began := c.now
	c.pass(3 * time.Second)
	ongoing, _ := c.ages("tx")
	within("ongoing", ongoing, 3*time.Second, 4*time.Second)
	old := c.coordinatorOf("tx")
	c.kill(old)
	c.until("another coordinator serves", func() bool { id := c.coordinatorOf("tx"); return id > 0 && id != old })
	c.start(old)
	c.pass(2 * time.Second)
	ongoing, _ = c.ages("tx")
	within("ongoing at another coordinator", ongoing, c.now.Sub(began)-time.Second, c.now.Sub(began)+time.Second)
	expect(p.end(true), "NONE")
	p.untilStatus("CompleteCommit")
	if ongoing, deciding := c.ages("tx"); ongoing != 0 || deciding != 0 {
		t.Fatal(ongoing, deciding)
	}

	c.create("b", 1, 2)
	expect(p.send("b", "two"), "NONE")
	away := BrokerID(1)
	if c.coordinatorOf("tx") == away {
		away = 2
	}
	c.kill(away) // b has lost its majority, and the coordinator's group hasn't
	c.until("the coordinator serves", func() bool { return c.coordinatorOf("tx") > 0 })
	p.end(true) // the client may be told to wait
	p.untilStatus("PrepareCommit b[0]")
	c.pass(3 * time.Second)
	ongoing, deciding := c.ages("tx")
	within("decided", deciding, 3*time.Second, 15*time.Second)
	within("ongoing", ongoing, 0, 0)
}
