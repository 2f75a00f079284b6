// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// Configurations of consumer groups, of brokers and of all brokers, which clients set, are state of the catalog, as those of
// topics are. A group need not exist to have one, and keeps it when it is deleted, as in Kafka.

// configGroup is the type of consumer groups as resources (KIP-848).
const configGroup = kmsg.ConfigResourceTypeGroupConfig

// maxConfigured bounds how many groups and brokers have configurations, because clients can name any group.
const maxConfigured = 10_000

// configured is what was set for a group, for a broker, or for all brokers, whose name is empty. It is never changed, only
// replaced.
type configured struct {
	Kind    kmsg.ConfigResourceType
	Name    string
	Changed uint64        // the entry of group 0 that did it
	Configs []configValue // ascending by name; never none
}

// configure sets all of these.
type configure struct {
	Kind    kmsg.ConfigResourceType
	Name    string
	Changed uint64 // configured.Changed from which the sender started; 0: nothing was set
	Configs []configValue
}

func (c *configure) check() string {
	switch {
	case c.Kind != configGroup && c.Kind != kmsg.ConfigResourceTypeBroker:
		return "configurations of what is neither a group nor a broker"
	case c.Kind == configGroup && checkGroupID(c.Name) != nil:
		return checkGroupID(c.Name).Error()
	case len(c.Configs) > maxNamedConfigs:
		return "too many configurations of one resource"
	}
	if _, err := strconv.ParseInt(c.Name, 10, 32); c.Kind == kmsg.ConfigResourceTypeBroker && c.Name != "" && err != nil {
		return "configurations of a broker whose id is no number"
	}
	return checkConfigText(c.Configs)
}

func (c *catalog) configure(cmd *configure, index uint64) error {
	i, was := c.findConfigured(cmd.Kind, cmd.Name)
	switch {
	case was.Changed != cmd.Changed:
		return errOutdated
	case was.Changed == 0 && len(cmd.Configs) == 0:
		return nil
	case was.Changed == 0 && len(c.configured) >= maxConfigured:
		return kafka.Errorf(kerr.PolicyViolation, "%d groups and brokers have configurations of their own, the most that the cluster keeps; delete some first", len(c.configured))
	case was.Changed != 0:
		c.configured = slices.Delete(c.configured, i, i+1)
	}
	if len(cmd.Configs) > 0 {
		c.configured = slices.Insert(c.configured, i, &configured{cmd.Kind, cmd.Name, index, cmd.Configs})
	}
	if cmd.Kind == kmsg.ConfigResourceTypeBroker {
		c.overrides = nil
	}
	return nil
}

// findConfigured returns what was set for a resource, and where it is or would be.
func (c *catalog) findConfigured(kind kmsg.ConfigResourceType, name string) (int, *configured) {
	i, there := slices.BinarySearchFunc(c.configured, configured{Kind: kind, Name: name}, func(a *configured, b configured) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	if !there {
		return i, &configured{}
	}
	return i, c.configured[i]
}

// value returns a configuration that was set.
func (c *configured) value(name string) (string, bool) { return findConfig(c.Configs, name) }

// overrides is what clients have set that holds for this broker. It is worked out when it is needed after a change.
type overrides struct {
	broker, all *configured
}

func (n *Node) overrides() *overrides {
	if c := n.catalog; c.overrides == nil {
		o := &overrides{}
		_, o.broker = c.findConfigured(kmsg.ConfigResourceTypeBroker, strconv.Itoa(int(n.self)))
		_, o.all = c.findConfigured(kmsg.ConfigResourceTypeBroker, "")
		c.overrides, n.defaults = o, nil
		n.throttleAt(o)
	}
	return n.catalog.overrides
}

// value returns what holds: what was set for this broker, or else for all.
func (o *overrides) value(name string) (string, bool) {
	if v, ok := o.broker.value(name); ok {
		return v, true
	}
	return o.all.value(name)
}
