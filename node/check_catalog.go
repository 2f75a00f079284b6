// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"fmt"
	"maps"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// check compares the catalog's indexes with its topics, and looks at its orders.
func (c *catalog) check() error {
	err := cmp.Or(
		ascending("brokers", c.brokers, func(a, b *brokerMeta) int { return cmp.Compare(a.ID, b.ID) }),
		ascending("topics", c.topics, func(a, b *topicMeta) int { return cmp.Compare(a.Name, b.Name) }),
		ascending("configurations", c.configured, func(a, b *configured) int {
			return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
		}),
		differ("topics by name", int64(len(c.byName)), int64(len(c.topics))),
		differ("topics by id", int64(len(c.byID)), int64(len(c.topics))),
		c.checkOverrides(),
		c.checkUsers(),
		c.checkSizes(),
		c.rules.Check(),
		c.quotas.Check(),
	)
	if err != nil {
		return err
	}
	counted, groups := newCatalog(c.node), 0
	for _, t := range c.topics {
		if err := c.checkTopic(t, counted); err != nil {
			return fmt.Errorf("topic %q: %w", t.Name, err)
		}
		groups += len(t.Partitions)
	}
	maps.DeleteFunc(counted.hosted, func(_ BrokerID, replicas int) bool { return replicas == 0 })
	hosted := maps.Clone(c.hosted)
	maps.DeleteFunc(hosted, func(_ BrokerID, replicas int) bool { return replicas == 0 })
	return cmp.Or(
		differ("partitions by group", int64(len(c.byGroup)), int64(groups)),
		broken(maps.Equal(c.unified, counted.unified), "topics are counted by the name that metrics have"),
		broken(maps.Equal(hosted, counted.hosted), fmt.Sprintf("brokers have %v replicas, as counted: %v", counted.hosted, hosted)),
	)
}

// checkTopic looks up a topic and its partitions wherever they are noted, and counts them.
func (c *catalog) checkTopic(t *topicMeta, counted *catalog) error {
	if c.byName[t.Name] != t || c.byID[t.uuid] != t || t.uuid != topicID(c.node.cfg.ClusterID, t.Name, t.id()) {
		return fmt.Errorf("it isn't found by its name or its id")
	}
	counted.unified[unifiedName(t.Name)]++
	for i, p := range t.Partitions {
		if p.Topic != t || int(p.Index) != i || c.byGroup[p.Group] != p || p.Group >= c.nextGroup {
			return fmt.Errorf("partition %d is noted as %d of %q, with group %d; the next group is %d", i, p.Index, p.Topic.Name, p.Group, c.nextGroup)
		}
		for _, list := range [][]replicaMeta{p.Replicas, p.Target, p.Leaving} {
			for _, r := range list {
				if again, _ := p.replica(r.Broker); again != r || r.Number == 0 || r.Number >= c.nextReplica {
					return fmt.Errorf("partition %d has replicas %v and %v on broker %d; the next number is %d", i, again, r, r.Broker, c.nextReplica)
				}
			}
		}
		counted.host(p, 1)
	}
	return ascending("configurations", t.Configs, func(a, b configValue) int { return cmp.Compare(a.Name, b.Name) })
}

// checkOverrides compares what is remembered of what clients have set for this broker with what they did.
func (c *catalog) checkOverrides() error {
	o := c.overrides
	if o == nil {
		return nil
	}
	_, broker := c.findConfigured(kmsg.ConfigResourceTypeBroker, strconv.Itoa(int(c.node.self)))
	_, all := c.findConfigured(kmsg.ConfigResourceTypeBroker, "")
	same := func(a, b *configured) bool { return a == b || a.Changed == 0 && b.Changed == 0 }
	return broken(same(o.broker, broker) && same(o.all, all), "what clients have set for this broker is remembered")
}

// checkSizes compares the list of topics that assignments are made from with the topics.
func (c *catalog) checkSizes() error {
	s := &c.sizes
	if s.listed != s.version || s.list == nil {
		return nil
	}
	parts, bytes := 0, 0
	for i, t := range c.topics {
		if i >= len(s.list) || s.list[i].Name != t.Name || s.list[i].ID != t.id() || int(s.list[i].Parts) != len(t.Partitions) {
			return fmt.Errorf("topic %q is not in the list for assignments as it is", t.Name)
		}
		parts, bytes = parts+len(t.Partitions), bytes+len(t.Name)
	}
	return cmp.Or(
		differ("topics in the list for assignments", int64(len(s.list)), int64(len(c.topics))),
		differ("partitions in the list for assignments", int64(s.parts), int64(parts)),
		differ("bytes of names in the list for assignments", int64(s.bytes), int64(bytes)),
	)
}

// ascending reports a list that isn't in its order, or has something twice.
func ascending[T any](what string, list []T, compare func(a, b T) int) error {
	for i := 1; i < len(list); i++ {
		if compare(list[i-1], list[i]) >= 0 {
			return fmt.Errorf("%s: the order is broken at position %d of %d", what, i, len(list))
		}
	}
	return nil
}
