// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
)

// What clients can create is limited, because whatever exists costs every step something, idle or not.
//
// How many replicas a broker takes is decided when a command is applied: two brokers that are asked at once don't know
// of each other's commands, and only the order of the catalog says which of them is the last that fits. All brokers have
// to decide alike, and their settings may differ. So the limit stands in the command: it is that of the broker that was
// asked. That one has looked before, too, so that what can't be done is refused at once.
//
// A replica counts from the command that wants it there until its group has reported that it is gone. Those of the
// brokers' own topic count, but are never refused, or whoever creates many partitions would end all consumer groups.

// ofBrokers reports whether the brokers themselves want what a command makes.
func (c *command) ofBrokers() bool { return c.CreateTopic != nil && c.CreateTopic.Internal }

// host counts a partition's replicas in (by 1) or out (by -1).
func (c *catalog) host(p *partitionMeta, by int) {
	for i, list := range [][]replicaMeta{p.Replicas, p.Target, p.Leaving} {
		for _, r := range list {
			if i > 0 && hasReplica(p.Replicas, r.Broker) || i > 1 && hasReplica(p.Target, r.Broker) {
				continue
			}
			c.hosted[r.Broker] += by
		}
	}
}

func hasReplica(list []replicaMeta, b BrokerID) bool {
	for _, r := range list {
		if r.Broker == b {
			return true
		}
	}
	return false
}

// newOn returns those of some brokers that have no replica of a partition yet.
func newOn(p *partitionMeta, brokers []BrokerID) (list []BrokerID) {
	for _, b := range brokers {
		if _, there := p.replica(b); !there {
			list = append(list, b)
		}
	}
	return list
}

// checkHosted refuses new replicas of which a broker would have more than most. 0 is no limit.
func (c *catalog) checkHosted(placement [][]BrokerID, most int) error {
	if most == 0 {
		return nil
	}
	more := make(map[BrokerID]int)
	for _, brokers := range placement {
		for _, b := range brokers {
			if more[b]++; c.hosted[b]+more[b] > most {
				return c.tooMany(b, most)
			}
		}
	}
	return nil
}

// tooMany says that a broker takes no more replicas, or not as many as are wanted.
func (c *catalog) tooMany(b BrokerID, most int) error {
	return kafka.Errorf(kerr.PolicyViolation, "broker %d has %d replicas of partitions and takes at most %d (setting max_partitions_per_broker); delete topics that nobody needs, move partitions to other brokers, or add brokers",
		b, c.hosted[b], most)
}

// rateLimit is one by the node's time: so many in a second, and those of a burst at once after a quiet time.
type rateLimit struct{ used Time } // what was taken is used up to here

// autoCreateBurst is the time whose topics may be made automatically at once, so that an application with many topics
// can start.
const autoCreateBurst = 10 * time.Second

// take reports whether one more is within the rate. A rate below 0 has no bound.
func (p *rateLimit) take(now Time, perSecond int64, burst time.Duration) bool {
	if perSecond < 0 {
		return true
	}
	each := time.Second / time.Duration(perSecond)
	used := max(p.used, now.Add(-burst)).Add(each)
	if used > now {
		return false
	}
	p.used = used
	return true
}

// errAutoCreateRate says that topics are made too fast by asking for them. Clients ask again.
func (n *Node) errAutoCreateRate() error {
	return kafka.Errorf(kerr.ThrottlingQuotaExceeded, "this broker makes at most %d topics a second automatically (setting auto_create_topics_per_second); create them with CreateTopics, or raise it",
		n.cfg.AutoCreateTopicsPerSecond)
}

// storedOffsetBytes is about what a committed offset takes, beside its text.
const storedOffsetBytes = 256

func (o *committedOffset) bytes() int64 { return storedOffsetBytes + int64(len(o.metadata)) }

// wantedOffset is an offset that is about to be committed.
type wantedOffset struct {
	namedPartition
	bytes int64
}

// hasRoomFor reports whether a group may get offsets. At the bound only those count that it has none for, and longer texts, so
// that consumers can go on. Those on their way count as new.
func (g *consumerGroup) hasRoomFor(wanted []wantedOffset) bool {
	c := g.coordinator
	cfg := &c.node.cfg
	have, more := g.stored.offsets()+g.stored.waiting+g.classic.offsets, int64(0)
	for i := range wanted {
		more += wanted[i].bytes
	}
	if have+len(wanted) <= cfg.MaxGroupOffsets && c.offsetBytes+more <= cfg.GroupOffsetBytes {
		return true
	}
	fresh := make(map[namedPartition]bool)
	for i := range wanted {
		if old := g.stored.find(wanted[i].topic, wanted[i].index); old != nil {
			more -= old.bytes()
		} else {
			fresh[wanted[i].namedPartition] = true
		}
	}
	c.node.out.Work.Parts += len(wanted) / 8
	why := ""
	switch {
	case len(fresh) > 0 && have+len(fresh) > cfg.MaxGroupOffsets:
		why = fmt.Sprintf("it has %d, and a group has at most %d (setting max_offsets_per_group)", have, cfg.MaxGroupOffsets)
	case more > 0 && c.offsetBytes+more > cfg.GroupOffsetBytes:
		why = fmt.Sprintf("those of all groups of its coordinator take %d bytes, and at most %d (setting max_offset_bytes_per_coordinator)", c.offsetBytes, cfg.GroupOffsetBytes)
	default:
		return true
	}
	c.node.event(Event{Kind: EventCreationRefused, Text: fmt.Sprintf("group %.60q: %d more committed offsets: %s; delete groups that nobody needs, or raise it", g.id, len(fresh), why)})
	return false
}
