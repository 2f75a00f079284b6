// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
)

// A command comes from another broker, or from a log that another release may have written, so it is checked twice.
// Before it is proposed: what this release can't parse or doesn't know never reaches the log. And when it is applied,
// by the same pure function of its bytes, so that every broker refuses alike what got there all the same: it changes
// nothing, and its origin is told. A later release may therefore count on it that a command is either applied by
// everybody or by nobody, as long as it proposes a new kind only when all brokers know it.

const (
	maxBrokers       = 1000 // that the catalog ever knew; each costs every broker a connection
	maxUnregistered  = 16   // brokers that others tell of and the catalog doesn't know
	maxMemberText    = 255  // bytes of a host, rack, machine, address or folder
	maxProducerBlock = 1 << 20
	maxCommandText   = 64 << 10 // bytes of one configuration
)

// errCommand says that a command is not proposed, or changes nothing.
var errCommand = errors.New("not a command of this release")

// parseCommand is the inverse of command's JSON. The error wraps errCommand.
func parseCommand(data []byte) (command, error) {
	var cmd command
	if err := json.Unmarshal(data, &cmd); err != nil {
		return command{}, fmt.Errorf("%w: %v", errCommand, err)
	}
	return cmd, cmd.check()
}

// check reports what is wrong with a command that could be parsed, nil if nothing is.
func (c *command) check() error {
	if c.Origin < 0 || c.Origin > maxBrokerID {
		return fmt.Errorf("%w: its origin is broker %d", errCommand, c.Origin)
	}
	var checks []func() string
	add := func(there bool, check func() string) {
		if there {
			checks = append(checks, check)
		}
	}
	fine := func() string { return "" }
	add(c.Register != nil, func() string { return c.Register.check(c.Origin) })
	add(c.CreateTopic != nil, func() string { return c.CreateTopic.check() })
	add(c.DeleteTopic != nil, func() string { return c.DeleteTopic.check() })
	add(c.AddPartitions != nil, func() string { return checkReplicaLists(c.AddPartitions.Replicas) })
	add(c.AlterConfigs != nil, func() string { return checkConfigText(c.AlterConfigs.Configs) })
	add(c.Configure != nil, func() string { return c.Configure.check() })
	add(c.ChangeUser != nil, func() string { return c.ChangeUser.check() })
	add(c.ProducerIDs != nil, func() string { return c.ProducerIDs.check() })
	add(c.Reassign != nil, fine) // the catalog knows which brokers there are
	add(c.Reassigned != nil, fine)
	add(c.Remove != nil, fine)
	add(c.Replace != nil, fine)
	add(c.CreateRules != nil, func() string { return c.CreateRules.check() })
	add(c.DeleteRules != nil, func() string { return c.DeleteRules.check() })
	add(c.ChangeQuotas != nil, func() string { return c.ChangeQuotas.check() })
	add(c.SetLevel != nil, func() string { return c.SetLevel.check() })
	if len(checks) != 1 {
		return fmt.Errorf("%w: it asks for %d things, not one", errCommand, len(checks))
	}
	if wrong := checks[0](); wrong != "" {
		return fmt.Errorf("%w: %s", errCommand, wrong)
	}
	return nil
}

func (r *register) check(origin BrokerID) string {
	switch {
	case r.ID != origin:
		return fmt.Sprintf("broker %d registers as broker %d", origin, r.ID)
	case r.Incarnation == 0:
		return "a broker registers without an incarnation"
	case r.Levels.check() != "":
		return r.Levels.check()
	}
	return r.Member.check()
}

// check reports what no broker's address can be.
func (m *Member) check() string {
	switch {
	case m.ID < 0 || m.ID > maxBrokerID:
		return fmt.Sprintf("broker id %d; ids are 0 to %d", m.ID, maxBrokerID)
	case m.Host == "" || m.Port < 1 || m.Port > 1<<16-1:
		return fmt.Sprintf("broker %d has no address for clients", m.ID)
	case max(len(m.Host), len(m.Rack), len(m.Machine), len(m.Peer), len(m.Folder)) > maxMemberText:
		return fmt.Sprintf("broker %d has a name or address of more than %d bytes", m.ID, maxMemberText)
	}
	return m.checkListeners()
}

func (t *createTopic) check() string {
	if err := checkTopicName(t.Name); err != nil {
		return err.Error()
	}
	if wrong := checkConfigText(t.Configs); wrong != "" {
		return wrong
	}
	if len(t.Replicas) == 0 {
		return "a topic without partitions"
	}
	return checkReplicaLists(t.Replicas)
}

// checkReplicaLists checks the placement of partitions. Each needs a replica, and no broker two of one.
func checkReplicaLists(lists [][]BrokerID) string {
	if len(lists) > maxPartitions {
		return fmt.Sprintf("%d partitions", len(lists))
	}
	for _, list := range lists {
		if len(list) == 0 {
			return "a partition without a replica"
		}
		if wrong := checkReplicaList(list); wrong != "" {
			return wrong
		}
	}
	return ""
}

func checkReplicaList(list []BrokerID) string {
	if len(list) > maxBrokers {
		return fmt.Sprintf("%d replicas", len(list))
	}
	sorted := slices.Sorted(slices.Values(list))
	for i, b := range sorted {
		if b < 0 || b > maxBrokerID || i > 0 && sorted[i-1] == b {
			return fmt.Sprintf("replicas on brokers %v", list)
		}
	}
	return ""
}

func checkConfigText(configs []configValue) string {
	for i, c := range configs {
		if len(c.Name)+len(c.Value) > maxCommandText || i > 0 && configs[i-1].Name >= c.Name {
			return fmt.Sprintf("configuration %.60q is too long or out of order", c.Name)
		}
	}
	return ""
}

func (t *deleteTopic) check() string {
	if t.ID != nil && len(t.ID) != 16 {
		return fmt.Sprintf("a topic id of %d bytes", len(t.ID))
	}
	return ""
}

func (a *allocateProducers) check() string {
	if a.Count < 1 || a.Count > maxProducerBlock {
		return fmt.Sprintf("%d producer ids", a.Count)
	}
	return ""
}

// admissible reports whether a broker may register.
func (c *catalog) admissible(r *register) error {
	switch b := c.broker(r.ID); {
	case b == nil && len(c.brokers) >= maxBrokers:
		return kafka.Errorf(kerr.PolicyViolation, "the cluster has had %d brokers, the most that it takes", maxBrokers)
	case r.Incarnation == founder && len(c.founders) > 0 && !slices.Contains(c.founders, r.ID):
		return kafka.Errorf(kerr.PolicyViolation, "broker %d founds a cluster of its own, and this one was founded without it; its data folder must be empty to join", r.ID)
	case b != nil && r.Incarnation < b.Incarnation:
		return kafka.Errorf(kerr.StaleBrokerEpoch, "broker %d came back as incarnation %d, but was here as %d", r.ID, r.Incarnation, b.Incarnation)
	}
	return misfit(r.ID, c.currentLevel(), r.Levels.said())
}

// what says what a client's command changes, for the operator; "" for those of the brokers themselves.
func (c *command) what() string {
	switch {
	case c.CreateTopic != nil:
		return "create " + c.CreateTopic.Name
	case c.DeleteTopic != nil && c.DeleteTopic.Name == "":
		return fmt.Sprintf("delete the topic with the id %x", c.DeleteTopic.ID)
	case c.DeleteTopic != nil:
		return "delete " + c.DeleteTopic.Name
	case c.AddPartitions != nil:
		return "grow " + c.AddPartitions.Topic
	case c.AlterConfigs != nil:
		return "configure " + c.AlterConfigs.Topic
	case c.Configure != nil && c.Configure.Kind == configGroup:
		return fmt.Sprintf("configure group %.60q", c.Configure.Name)
	case c.Configure != nil && c.Configure.Name == "":
		return "configure all brokers"
	case c.Configure != nil:
		return "configure broker " + c.Configure.Name
	case c.ChangeUser != nil && c.ChangeUser.Set == nil:
		return fmt.Sprintf("delete the %s credential of user %.80q", c.ChangeUser.Hash.Mechanism(), c.ChangeUser.Name)
	case c.ChangeUser != nil:
		return fmt.Sprintf("set the %s credential of user %.80q", c.ChangeUser.Hash.Mechanism(), c.ChangeUser.Name)
	case c.Reassign != nil:
		return fmt.Sprintf("move %s/%d to %v", c.Reassign.Topic, c.Reassign.Partition, c.Reassign.Replicas)
	case c.Remove != nil:
		return fmt.Sprintf("remove broker %d", c.Remove.Broker)
	case c.CreateRules != nil:
		return c.CreateRules.what()
	case c.DeleteRules != nil:
		return "delete rules: " + c.DeleteRules.Filter.String()
	case c.ChangeQuotas != nil:
		return c.ChangeQuotas.what()
	case c.SetLevel != nil:
		return fmt.Sprintf("raise %s to %d", levelFeature, c.SetLevel.Level)
	}
	return ""
}
