// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// configDef is one configuration that Kafka's tools know. fixed ones have one value here: a topic
// may be created with that value and no other, so that nobody relies on what isn't done.
type configDef struct {
	name  string
	typ   kmsg.ConfigType
	fixed bool
	value func(n *Node) string // the broker's value, the default of topics
	doc   string
}

func always(v string) func(*Node) string { return func(*Node) string { return v } }

var topicConfigDefs = []configDef{
	{"cleanup.policy", kmsg.ConfigTypeList, true, always("delete"), "What happens to old records. Compaction is not served."},
	{"compression.type", kmsg.ConfigTypeString, true, always("producer"), "Batches are kept as producers sent them."},
	{maxMessageBytesConfig, kmsg.ConfigTypeInt, false, func(n *Node) string { return strconv.Itoa(int(n.cfg.MaxMessageBytes)) }, "The largest record batch, in bytes, compressed."},
	{"message.timestamp.type", kmsg.ConfigTypeString, true, always("CreateTime"), "Records keep the timestamp that producers gave them."},
	{"min.insync.replicas", kmsg.ConfigTypeInt, true, always("1"), "Records are always acknowledged by a majority of the replicas, after fsync."},
	{retentionBytesConfig, kmsg.ConfigTypeLong, false, func(n *Node) string { return strconv.FormatInt(n.cfg.RetentionBytes, 10) }, "Records are deleted from the start while a partition holds more bytes than this; -1: never."},
	{retentionMsConfig, kmsg.ConfigTypeLong, false, func(n *Node) string { return strconv.FormatInt(n.cfg.RetentionMs, 10) }, "Records older than this, in milliseconds, are deleted; -1: never."},
	{"unclean.leader.election.enable", kmsg.ConfigTypeBoolean, true, always("false"), "Only replicas that have every committed record can lead."},
}

var brokerConfigDefs = []configDef{
	{"auto.create.topics.enable", kmsg.ConfigTypeBoolean, true, func(n *Node) string { return strconv.FormatBool(n.cfg.AutoCreateTopics) }, "Asking for an unknown topic creates it."},
	{"broker.id", kmsg.ConfigTypeInt, true, func(n *Node) string { return strconv.Itoa(int(n.self)) }, "This broker's id."},
	{"default.replication.factor", kmsg.ConfigTypeInt, true, func(n *Node) string { return strconv.Itoa(int(n.cfg.DefaultReplicas)) }, "Replicas of topics that are created without a number."},
	{"message.max.bytes", kmsg.ConfigTypeInt, true, func(n *Node) string { return strconv.Itoa(int(n.cfg.MaxMessageBytes)) }, "The largest record batch, in bytes, compressed."},
	{"num.partitions", kmsg.ConfigTypeInt, true, func(n *Node) string { return strconv.Itoa(int(n.cfg.DefaultPartitions)) }, "Partitions of topics that are created without a number."},
}

const (
	maxMessageBytesConfig = "max.message.bytes"
	retentionBytesConfig  = "retention.bytes"
	retentionMsConfig     = "retention.ms"
)

// checkTopicConfig says whether a topic can be created with a configuration.
func checkTopicConfig(v configValue) error {
	i := slices.IndexFunc(topicConfigDefs, func(d configDef) bool { return d.name == v.Name })
	if i < 0 {
		return kafka.Errorf(kerr.InvalidConfig, "configuration %q is unknown here", v.Name)
	}
	if d := &topicConfigDefs[i]; d.fixed {
		if only := d.value(nil); v.Value != only {
			return kafka.Errorf(kerr.InvalidConfig, "%s can only be %s here, not %q", v.Name, only, v.Value)
		}
		return nil
	}
	least, bits := int64(-1), 64
	if v.Name == maxMessageBytesConfig {
		least, bits = 1, 32
	}
	if number, err := strconv.ParseInt(v.Value, 10, bits); err != nil || number < least {
		return kafka.Errorf(kerr.InvalidConfig, "%s must be a number from %d to %d, not %q", v.Name, least, int64(1)<<(bits-1)-1, v.Value)
	}
	return nil
}

// maxMessageBytes is the largest batch that a topic takes.
func (n *Node) maxMessageBytes(t *topicMeta) int32 {
	if len(t.Configs) == 0 {
		return n.cfg.MaxMessageBytes
	}
	return int32(n.topicNumber(t, maxMessageBytesConfig))
}

// configEntry is a configuration with its value and where the value is from.
type configEntry struct {
	*configDef
	name, value, inherited string
	source                 kmsg.ConfigSource
}

// topicConfigValues lists all configurations of a topic that was created with the given ones.
func (n *Node) topicConfigValues(own []configValue) []configEntry {
	t := topicMeta{Configs: own}
	var out []configEntry
	for i := range topicConfigDefs {
		d := &topicConfigDefs[i]
		e := configEntry{d, d.name, d.value(n), d.value(n), kmsg.ConfigSourceDefaultConfig}
		if v, ok := t.config(d.name); ok {
			e.value, e.source = v, kmsg.ConfigSourceDynamicTopicConfig
		}
		out = append(out, e)
	}
	return out
}

func (n *Node) brokerConfigValues() []configEntry {
	var out []configEntry
	for i := range brokerConfigDefs {
		d := &brokerConfigDefs[i]
		out = append(out, configEntry{d, d.name, d.value(n), d.value(n), kmsg.ConfigSourceStaticBrokerConfig})
	}
	return out
}

// DescribeConfigs, versions 0 to 4, of topics and of this broker.
//
//	v1  source and synonyms
//	v3  types and documentation
//	v4  flexible
func (n *Node) handleDescribeConfigs(r *request, m kmsg.Request) {
	req := m.(*kmsg.DescribeConfigsRequest)
	resp := kmsg.NewPtrDescribeConfigsResponse()
	for i := range req.Resources {
		in := &req.Resources[i]
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName = in.ResourceType, in.ResourceName
		entries, err := n.configsOf(in)
		if err != nil {
			out.ErrorCode, out.ErrorMessage = code(err), errorText(err)
		}
		for _, e := range entries {
			if in.ConfigNames == nil || slices.Contains(in.ConfigNames, e.name) {
				out.Configs = append(out.Configs, describeConfig(req, e))
			}
		}
		resp.Resources = append(resp.Resources, out)
	}
	r.reply(resp)
}

func (n *Node) configsOf(in *kmsg.DescribeConfigsRequestResource) ([]configEntry, error) {
	switch in.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		t := n.catalog.byName[in.ResourceName]
		if t == nil {
			return nil, kafka.Errorf(kerr.UnknownTopicOrPartition, "topic %.60q does not exist", in.ResourceName)
		}
		return n.topicConfigValues(t.Configs), nil
	case kmsg.ConfigResourceTypeBroker:
		if in.ResourceName != "" && in.ResourceName != strconv.Itoa(int(n.self)) {
			return nil, kafka.Errorf(kerr.InvalidRequest, "this is broker %d; ask broker %.60q itself", n.self, in.ResourceName)
		}
		return n.brokerConfigValues(), nil
	}
	return nil, kafka.Errorf(kerr.InvalidRequest, "configurations of type %v are not served", in.ResourceType)
}

func describeConfig(req *kmsg.DescribeConfigsRequest, e configEntry) kmsg.DescribeConfigsResponseResourceConfig {
	out := kmsg.NewDescribeConfigsResponseResourceConfig()
	out.Name, out.Value, out.Source, out.ConfigType = e.name, &e.value, e.source, e.typ
	out.ReadOnly = e.fixed
	out.IsDefault = e.source == kmsg.ConfigSourceDefaultConfig
	if req.IncludeDocumentation {
		out.Documentation = &e.doc
	}
	if req.IncludeSynonyms {
		s := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
		s.Name, s.Value, s.Source = e.name, &e.value, e.source
		out.ConfigSynonyms = append(out.ConfigSynonyms, s)
	}
	return out
}
