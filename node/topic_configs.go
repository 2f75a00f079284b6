// SPDX-License-Identifier: Apache-2.0

package node

import (
	"sort"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// topicNumber returns a configuration of a topic that is a number: its own or the broker's.
func (n *Node) topicNumber(t *topicMeta, name string) int64 {
	if v, ok := t.config(name); ok {
		if number, err := strconv.ParseInt(v, 10, 64); err == nil {
			return number
		} // otherwise it was set by another release, which knows more than numbers
	}
	return n.defaultNumber(configDefault{name, len(t.Partitions[0].Replicas)})
}

// configDefault names what a configuration of a topic is without a value of the topic's own.
type configDefault struct {
	name     string
	replicas int
}

// defaultNumber returns a default that is a number. Some are asked for with every batch, so they are parsed once.
func (n *Node) defaultNumber(d configDefault) int64 {
	n.overrides() // if they changed, what was parsed is forgotten
	number, ok := n.defaults[d]
	if !ok {
		number, _ = strconv.ParseInt(n.defaultValue(topicConfigDef(d.name), d.replicas), 10, 64)
		if n.defaults == nil {
			n.defaults = make(map[configDefault]int64)
		}
		n.defaults[d] = number
	}
	return number
}

// defaultValue is what a configuration of a topic is without a value of the topic's own.
func (n *Node) defaultValue(d *configDef, replicas int) string {
	if d.broker != "" {
		if v, ok := n.overrides().value(d.broker); ok {
			return v
		}
	}
	return d.value(&n.cfg, replicas)
}

// cleanupPolicy is what happens to a topic's old records.
func (n *Node) cleanupPolicy(t *topicMeta) string {
	if v, ok := t.config(cleanupPolicyConfig); ok {
		return v
	}
	if v, ok := n.overrides().value(defaultPolicyConfig); ok {
		return v
	}
	return cleanupDelete
}

// maxMessageBytes is the largest batch that a topic takes.
func (n *Node) maxMessageBytes(t *topicMeta) int32 {
	if len(t.Configs) == 0 {
		return n.cfg.MaxMessageBytes
	}
	return int32(n.topicNumber(t, maxMessageBytesConfig))
}

// usesAppendTime reports whether a topic's records get the leader's time.
func (n *Node) usesAppendTime(t *topicMeta) bool {
	v, _ := t.config(timestampTypeConfig)
	return v == appendTime
}

// configEntry is a configuration with its value and where the value is from: the first of the
// synonyms, which are all values that it could have, the strongest first (KIP-226).
type configEntry struct {
	*configDef
	synonyms []configSynonym
}

type configSynonym struct {
	name, value string
	source      kmsg.ConfigSource
}

// topicConfigValues lists all configurations of a topic of which some were set.
func (n *Node) topicConfigValues(own []configValue, replicas int) []configEntry {
	t := topicMeta{Configs: own}
	builtin := n.cfg.builtin()
	var out []configEntry
	for i := range topicConfigDefs {
		d := &topicConfigDefs[i]
		e := configEntry{configDef: d}
		if v, ok := t.config(d.name); ok {
			e.synonyms = append(e.synonyms, configSynonym{d.name, v, kmsg.ConfigSourceDynamicTopicConfig})
		}
		out = append(out, n.withDefaults(e, builtin, replicas))
	}
	return out
}

// withDefaults adds what a configuration is without a value of the topic's own.
func (n *Node) withDefaults(e configEntry, builtin *Config, replicas int) configEntry {
	name := e.name
	if e.broker != "" {
		name = e.broker
	}
	o := n.overrides()
	if v, ok := o.broker.value(name); ok {
		e.synonyms = append(e.synonyms, configSynonym{name, v, kmsg.ConfigSourceDynamicBrokerConfig})
	}
	if v, ok := o.all.value(name); ok {
		e.synonyms = append(e.synonyms, configSynonym{name, v, kmsg.ConfigSourceDynamicDefaultBrokerConfig})
	}
	value, original := e.value(&n.cfg, replicas), e.value(builtin, replicas)
	if value != original || e.static() {
		e.synonyms = append(e.synonyms, configSynonym{name, value, kmsg.ConfigSourceStaticBrokerConfig})
	}
	if !e.static() {
		e.synonyms = append(e.synonyms, configSynonym{name, original, kmsg.ConfigSourceDefaultConfig})
	}
	return e
}

// topicConfigs checks the configuration of a new topic.
func topicConfigs(in []kmsg.CreateTopicsRequestTopicConfig, replicas int) ([]configValue, error) {
	var out []configValue
	if len(in) > maxNamedConfigs {
		return nil, errTooManyConfigs
	}
	for i := range in {
		if in[i].Value == nil {
			return nil, kafka.Errorf(kerr.InvalidConfig, "configuration %.60q has no value; leave it out to get its default", in[i].Name)
		}
		out = append(out, configValue{in[i].Name, *in[i].Value})
	}
	if err := checkTopicConfigs(out, replicas); err != nil {
		return nil, err
	}
	return sortConfigs(out)
}

// sortConfigs orders the configuration of a topic and refuses what is named twice.
func sortConfigs(configs []configValue) ([]configValue, error) {
	sort.Slice(configs, func(i, j int) bool { return configs[i].Name < configs[j].Name })
	for i := 1; i < len(configs); i++ {
		if configs[i].Name == configs[i-1].Name {
			return nil, kafka.Errorf(kerr.InvalidRequest, "configuration %.60q is named twice", configs[i].Name)
		}
	}
	return configs, nil
}
