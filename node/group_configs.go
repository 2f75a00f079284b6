// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// The configurations of consumer groups. They are about groups of the new protocol: members of classic ones bring their
// own time-outs.

const (
	groupSessionConfig   = "consumer.session.timeout.ms"
	groupHeartbeatConfig = "consumer.heartbeat.interval.ms"
)

// What a group can be given are Kafka's defaults for that, or the broker's own value where that lies outside.
func (c *Config) minGroupSession() time.Duration   { return min(45*time.Second, c.ConsumerSession) }
func (c *Config) maxGroupSession() time.Duration   { return max(60*time.Second, c.ConsumerSession) }
func (c *Config) minGroupHeartbeat() time.Duration { return min(5*time.Second, c.ConsumerHeartbeat) }

func (c *Config) maxGroupHeartbeat() time.Duration { return max(15*time.Second, c.ConsumerHeartbeat) }

// groupConfigDefs are the configurations of consumer groups, ascending by name.
var groupConfigDefs = []configDef{
	{
		"consumer.assignment.interval.ms", kmsg.ConfigTypeInt, always("0"), "group.consumer.assignment.interval.ms", oneOf("0"),
		"How long assignments are put off after the last one. They are made at once.",
	},
	{
		groupHeartbeatConfig, kmsg.ConfigTypeInt, ms(func(c *Config) time.Duration { return c.ConsumerHeartbeat }), "group.consumer.heartbeat.interval.ms", number(1, 32),
		"How often members shall speak.",
	},
	{
		groupSessionConfig, kmsg.ConfigTypeInt, ms(func(c *Config) time.Duration { return c.ConsumerSession }), "group.consumer.session.timeout.ms", number(1, 32),
		"How long a member may be silent.",
	},
}

// checkGroupConfigs says whether a group can have these configurations, each by itself and all of them together.
func (n *Node) checkGroupConfigs(configs []configValue) error {
	for _, v := range configs {
		d := findDef(groupConfigDefs, v.Name)
		if d == nil {
			return unknownGroupConfig(v.Name)
		}
		if wrong := d.check(v.Value, 0); wrong != "" {
			return kafka.Errorf(kerr.InvalidConfig, "%s %s, not %.60q", v.Name, wrong, v.Value)
		}
	}
	c := &configured{Configs: configs}
	session, beat := c.time(groupSessionConfig, n.cfg.ConsumerSession), c.time(groupHeartbeatConfig, n.cfg.ConsumerHeartbeat)
	for _, wrong := range []string{
		outside(groupSessionConfig, session, n.cfg.minGroupSession(), n.cfg.maxGroupSession()),
		outside(groupHeartbeatConfig, beat, n.cfg.minGroupHeartbeat(), n.cfg.maxGroupHeartbeat()),
	} {
		if wrong != "" {
			return kafka.Errorf(kerr.InvalidConfig, "%s", wrong)
		}
	}
	if session <= beat && len(configs) > 0 {
		return kafka.Errorf(kerr.InvalidConfig, "%s is %v and %s %v: members have to speak more often than that", groupSessionConfig, session, groupHeartbeatConfig, beat)
	}
	return nil
}

func outside(name string, d, least, most time.Duration) string {
	if d >= least && d <= most {
		return ""
	}
	return fmt.Sprintf("%s is %d; the brokers take %d to %d", name, d.Milliseconds(), least.Milliseconds(), most.Milliseconds())
}

func unknownGroupConfig(name string) error {
	for _, kind := range []string{"share", "streams"} {
		if strings.HasPrefix(name, kind+".") {
			return kafka.Errorf(kerr.InvalidConfig, "configuration %.60q can't be set: %s groups are not served", name, kind)
		}
	}
	return kafka.Errorf(kerr.InvalidConfig, "configuration %.60q of groups is unknown here", name)
}

// groupConfigValues lists all configurations of a group.
func (n *Node) groupConfigValues(id string) []configEntry {
	_, own := n.catalog.findConfigured(configGroup, id)
	builtin := n.cfg.builtin()
	out := make([]configEntry, len(groupConfigDefs))
	for i := range groupConfigDefs {
		e := configEntry{configDef: &groupConfigDefs[i]}
		if v, ok := own.value(e.name); ok {
			e.synonyms = append(e.synonyms, configSynonym{e.name, v, kmsg.ConfigSourceGroupConfig})
		}
		out[i] = n.withDefaults(e, builtin, 0)
	}
	return out
}

// time returns a configuration that is a number of milliseconds, or what it is otherwise: what another release set may
// be none.
func (c *configured) time(name string, otherwise time.Duration) time.Duration {
	v, _ := c.value(name)
	if t, err := strconv.ParseInt(v, 10, 32); err == nil && t > 0 {
		return time.Duration(t) * time.Millisecond
	}
	return otherwise
}

// session is how long a member of the group may be silent, and pulse how often it shall speak.
func (g *modernGroup) session() time.Duration {
	return g.configs().time(groupSessionConfig, g.node.cfg.ConsumerSession)
}

func (g *modernGroup) pulse() time.Duration {
	return g.configs().time(groupHeartbeatConfig, g.node.cfg.ConsumerHeartbeat)
}

func (g *modernGroup) configs() *configured {
	_, c := g.node.catalog.findConfigured(configGroup, g.of.id)
	return c
}
