// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// isr returns which replicas of a topic's first partition are in sync, as a broker says.
func (c *many) isr(id BrokerID, topic string) []int32 {
	c.t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 9
	req.Topics = []kmsg.MetadataRequestTopic{{Topic: &topic}}
	return c.ask(id, req).(*kmsg.MetadataResponse).Topics[0].Partitions[0].ISR
}

// lag returns how far behind a broker says that its replica is.
func (c *many) lag(id BrokerID, topic string) int64 {
	c.t.Helper()
	req := kmsg.NewPtrDescribeLogDirsRequest()
	req.Version = 2
	for _, t := range c.ask(id, req).(*kmsg.DescribeLogDirsResponse).Dirs[0].Topics {
		if t.Topic == topic {
			return t.Partitions[0].OffsetLag
		}
	}
	return -2
}

// behind is in how many groups a broker isn't known to be in sync.
func (c *many) behind(id BrokerID) int {
	s := c.nodes[id].node.Stats().Partitions
	return s.Behind + s.Unheard
}

func (c *many) waitInSync(topic string, want ...int32) {
	c.t.Helper()
	c.until("the replicas in sync are known", func() bool {
		for _, id := range c.ids {
			if c.nodes[id].node != nil && !slices.Equal(c.isr(id, topic), want) {
				return false
			}
		}
		return true
	})
}

// A follower that was away is not in sync before it has what was committed, whichever broker is asked, and
// its own answer says what it lacks. Broker 4 has no replica.
func TestInSyncIsWhatTheLeaderKnows(t *testing.T) {
	c := newMany(t, 4, func(cfg *Config) { cfg.HotEntries, cfg.CatchUpBytesPerSecond, cfg.CacheBytes = 8, 100<<10, 1 })
	c.create("t", 1, 2, 3)
	c.waitInSync("t", 1, 2, 3)
	c.kill(3)
	c.waitInSync("t", 1, 2)
	large := strings.Repeat("x", 4<<10)
	for range 100 {
		c.produce("t", large)
	}
	c.start(3)
	seen, lagged := false, false
	c.until("broker 3 is in sync", func() bool {
		lead, _ := c.view(c.leader("t"), "t")
		said := false
		for _, id := range []BrokerID{1, 2, 4} {
			said = said || slices.Contains(c.isr(id, "t"), 3)
		}
		has, _ := c.view(3, "t")
		if mine := slices.Contains(c.isr(3, "t"), 3); mine != (c.behind(3) == 0) {
			t.Fatalf("broker 3 says that it is in sync: %v, and counts %d groups in which it isn't", mine, c.behind(3))
		}
		seen = seen || has.HighWatermark > 0 && !said
		lagged = lagged || c.lag(3, "t") > 10
		if said && has.LastIndex < lead.Commit {
			t.Fatalf("broker 3 is said to be in sync with %d of %d entries", has.LastIndex, lead.Commit)
		}
		return said
	})
	if !seen || !lagged {
		t.Errorf("broker 3 was seen on the way: %v; it said that it lacks records: %v", seen, lagged)
	}
	c.waitInSync("t", 1, 2, 3)
	for _, id := range c.ids {
		if n := c.behind(id); n > 0 {
			t.Errorf("broker %d says that it isn't in sync in %d groups", id, n)
		}
	}
	c.until("nobody lags", func() bool { return c.lag(1, "t") == 0 && c.lag(2, "t") == 0 && c.lag(3, "t") == 0 })
}

// The list doesn't come and go under load, though followers are always a little behind.
func TestInSyncIsStable(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 1, 2, 3)
	c.waitInSync("t", 1, 2, 3)
	before := c.nodes[1].events[EventInSyncChanged]
	for range 400 {
		c.produce("t", "x")
	}
	if now := c.nodes[1].events[EventInSyncChanged]; now != before {
		t.Errorf("it changed %d times under load", now-before)
	}
}
