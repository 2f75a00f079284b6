// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/step"
)

// configDef is a configuration that Kafka's tools know and that means something here.
type configDef struct {
	name string
	typ  kmsg.ConfigType
	// value is what holds without a value of the topic's own. The node's Config decides, and
	// for some the number of the topic's replicas.
	value func(c *Config, replicas int) string
	// broker is the name of the broker's configuration that value comes from, if there is one.
	broker string
	// check says what is wrong with a topic's own value, "" for nothing. What isn't done here can't be
	// asked for, so that nobody relies on it; but for tuning that promises nothing, see noEffect.
	check func(value string, replicas int) string
	doc   string
}

// static reports whether every operator says a configuration, so that there is no default.
func (d *configDef) static() bool {
	switch d.name {
	case "advertised.listeners", "broker.id", "log.dirs", "node.id":
		return true
	}
	return false
}

const (
	cleanupPolicyConfig     = "cleanup.policy"
	deleteRetentionConfig   = "delete.retention.ms"
	dirtyRatioConfig        = "min.cleanable.dirty.ratio"
	maxCompactionLagConfig  = "max.compaction.lag.ms"
	maxMessageBytesConfig   = "max.message.bytes"
	minCompactionLagConfig  = "min.compaction.lag.ms"
	minInsyncReplicasConfig = "min.insync.replicas"
	retentionBytesConfig    = "retention.bytes"
	retentionMsConfig       = "retention.ms"
	segmentMsConfig         = "segment.ms"
	timestampTypeConfig     = "message.timestamp.type"
	timestampAfterConfig    = "message.timestamp.after.max.ms"
	timestampBeforeConfig   = "message.timestamp.before.max.ms"

	cleanupCompact    = "compact"
	cleanupDelete     = "delete"
	defaultDirtyRatio = "0.5"

	createTime = "CreateTime"
	appendTime = "LogAppendTime"
)

// noEffect begins the description of configurations by which Kafka's storage is tuned. Tools and
// applications set them, and nothing that they could rely on hangs on them here.
const noEffect = "Taken and shown, but without effect: "

const (
	keptAsSent  = "batches are kept as producers compressed them."
	pacedAnyway = "copies to replicas that are behind are bounded by catch_up_bytes_per_second, all of them."
	allLocal    = "there is no remote storage, so all records are on the brokers."
)

// refusedConfigs are configurations of topics that Kafka has or had and that can't be taken, and why.
var refusedConfigs = map[string]string{
	"message.downconversion.enable":       "records are never converted, and only clients of Kafka 0.11 and later are served; Kafka 4 doesn't have it any more either",
	"message.format.version":              "there is one format of records, that of Kafka 0.11 and later; Kafka 4 doesn't have it any more either",
	"message.timestamp.difference.max.ms": "Kafka 4 doesn't have it any more; use message.timestamp.before.max.ms and message.timestamp.after.max.ms",
}

// topicConfigDefs are the configurations of topics, ascending by name.
var topicConfigDefs = []configDef{
	{
		cleanupPolicyConfig, kmsg.ConfigTypeList, always(cleanupDelete), defaultPolicyConfig, listOf(cleanupDelete, cleanupCompact),
		"What happens to old records: they are deleted by age and size, or dropped when there is a newer one with the same key, or both.",
	},
	{
		"compression.gzip.level", kmsg.ConfigTypeInt, always("-1"), "", number(-1, 32),
		noEffect + keptAsSent,
	},
	{
		"compression.lz4.level", kmsg.ConfigTypeInt, always("9"), "", number(1, 32),
		noEffect + keptAsSent,
	},
	{
		"compression.type", kmsg.ConfigTypeString, always("producer"), "compression.type", oneOf("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"),
		"Only producer has an effect, and the others are taken and shown: " + keptAsSent,
	},
	{
		"compression.zstd.level", kmsg.ConfigTypeInt, always("3"), "", number(-131072, 32),
		noEffect + keptAsSent,
	},
	{
		deleteRetentionConfig, kmsg.ConfigTypeLong, always("86400000"), "", number(0, 64),
		"How old a record without a value is, in milliseconds, when compaction drops it too.",
	},
	{
		"file.delete.delay.ms", kmsg.ConfigTypeLong, always("60000"), "", number(0, 64),
		noEffect + "segments are reused when nothing needs them.",
	},
	{
		"flush.messages", kmsg.ConfigTypeLong, always("1"), "", number(1, 64),
		noEffect + "every record is on the disks of a majority before it is acknowledged.",
	},
	{
		"flush.ms", kmsg.ConfigTypeLong, always("0"), "", number(0, 64),
		noEffect + "every record is on the disks of a majority before it is acknowledged.",
	},
	{
		"follower.replication.throttled.replicas", kmsg.ConfigTypeList, always(""), "", throttled,
		noEffect + pacedAnyway,
	},
	{
		"index.interval.bytes", kmsg.ConfigTypeInt, always(strconv.Itoa(spanBytes)), "", number(0, 32),
		noEffect + "the index has a place for every 64 KiB or 64 batches.",
	},
	{
		"leader.replication.throttled.replicas", kmsg.ConfigTypeList, always(""), "", throttled,
		noEffect + pacedAnyway,
	},
	{
		"local.retention.bytes", kmsg.ConfigTypeLong, always("-2"), "", number(-2, 64),
		noEffect + allLocal,
	},
	{
		"local.retention.ms", kmsg.ConfigTypeLong, always("-2"), "", number(-2, 64),
		noEffect + allLocal,
	},
	{
		maxCompactionLagConfig, kmsg.ConfigTypeLong, always("9223372036854775807"), "", number(1, 64),
		"How old a record gets, in milliseconds, before it is compacted although little is new.",
	},
	{
		maxMessageBytesConfig, kmsg.ConfigTypeInt, decimal(func(c *Config) int32 { return c.MaxMessageBytes }), "message.max.bytes", number(1, 32),
		"The largest record batch, in bytes, compressed.",
	},
	{
		timestampAfterConfig, kmsg.ConfigTypeLong, decimal(func(c *Config) int64 { return c.TimestampAfterMaxMs }), "log.message.timestamp.after.max.ms", number(0, 64),
		"How far ahead of the broker's time the timestamps of producers may lie, in milliseconds.",
	},
	{
		timestampBeforeConfig, kmsg.ConfigTypeLong, decimal(func(c *Config) int64 { return c.TimestampBeforeMaxMs }), "log.message.timestamp.before.max.ms", number(0, 64),
		"How far behind the broker's time the timestamps of producers may lie, in milliseconds.",
	},
	{
		timestampTypeConfig, kmsg.ConfigTypeString, always(createTime), "log.message.timestamp.type", oneOf(createTime, appendTime),
		"Whether records keep the timestamp that producers gave them, or get the leader's time.",
	},
	{
		dirtyRatioConfig, kmsg.ConfigTypeDouble, always(defaultDirtyRatio), "", ratio,
		"Which share of a partition has to be new before it is compacted again.",
	},
	{
		minCompactionLagConfig, kmsg.ConfigTypeLong, always("0"), "", number(0, 64),
		"How old a record is, in milliseconds, before compaction may drop it.",
	},
	{
		minInsyncReplicasConfig, kmsg.ConfigTypeInt, func(_ *Config, replicas int) string { return strconv.Itoa(majority(replicas)) }, "", checkMinInsync,
		"How many replicas have a record on their disks before it is acknowledged: a majority, always. A smaller number is taken, as it is surpassed.",
	},
	{
		"preallocate", kmsg.ConfigTypeBoolean, always("true"), "", oneOf("true", "false"),
		noEffect + "segments are written ahead or reused.",
	},
	{
		"remote.log.copy.disable", kmsg.ConfigTypeBoolean, always("false"), "", oneOf("true", "false"),
		noEffect + allLocal,
	},
	{
		"remote.log.delete.on.disable", kmsg.ConfigTypeBoolean, always("false"), "", oneOf("true", "false"),
		noEffect + allLocal,
	},
	{
		"remote.storage.enable", kmsg.ConfigTypeBoolean, always("false"), "", oneOf("false"),
		"Whether old records move to remote storage. There is none: all records are on the brokers.",
	},
	{
		retentionBytesConfig, kmsg.ConfigTypeLong, decimal(func(c *Config) int64 { return c.RetentionBytes }), defaultRetentionBytesConfig, number(-1, 64),
		"Records are deleted from the start while a partition holds more bytes than this; -1: never.",
	},
	{
		retentionMsConfig, kmsg.ConfigTypeLong, decimal(func(c *Config) int64 { return c.RetentionMs }), defaultRetentionMsConfig, number(-1, 64),
		"Records older than this, in milliseconds, are deleted; -1: never.",
	},
	{
		"segment.bytes", kmsg.ConfigTypeInt, segmentBytes, "", number(14, 32),
		noEffect + "all partitions of a broker share one log, and its segments.",
	},
	{
		"segment.index.bytes", kmsg.ConfigTypeInt, always("10485760"), "", number(4, 32),
		noEffect + "the index grows as it has to.",
	},
	{
		"segment.jitter.ms", kmsg.ConfigTypeLong, always("0"), "", number(0, 64),
		noEffect + "all partitions of a broker share one log, and its segments.",
	},
	{
		segmentMsConfig, kmsg.ConfigTypeLong, always("604800000"), "", number(1, 64),
		"How old the newest records of a compacted partition get, in milliseconds, before they are compacted too. Elsewhere it has no effect: records expire one by one, not with their segment.",
	},
	{
		"unclean.leader.election.enable", kmsg.ConfigTypeBoolean, always("false"), "unclean.leader.election.enable", oneOf("false"),
		"Only replicas that have every committed record can lead.",
	},
}

func topicConfigDef(name string) *configDef { return findDef(topicConfigDefs, name) }

func findDef(defs []configDef, name string) *configDef {
	i := slices.IndexFunc(defs, func(d configDef) bool { return d.name == name })
	if i < 0 {
		return nil
	}
	return &defs[i]
}

// checkTopicConfig says whether a topic with that many replicas can have a configuration.
func checkTopicConfig(v configValue, replicas int) error {
	d := topicConfigDef(v.Name)
	if d == nil {
		return unknownConfig(v.Name)
	}
	if wrong := d.check(v.Value, replicas); wrong != "" {
		return kafka.Errorf(kerr.InvalidConfig, "%s %s, not %.60q", v.Name, wrong, v.Value)
	}
	return nil
}

// checkTopicConfigs says whether a topic with that many replicas can have these configurations, each by itself and
// all of them together.
func checkTopicConfigs(configs []configValue, replicas int) error {
	for _, v := range configs {
		if err := checkTopicConfig(v, replicas); err != nil {
			return err
		}
	}
	return checkRelations(configs)
}

// checkRelations refuses what can't be kept together. Kafka has more such rules only where there is remote storage.
func checkRelations(configs []configValue) error {
	number := func(name string, otherwise int64) int64 {
		if i := slices.IndexFunc(configs, func(v configValue) bool { return v.Name == name }); i >= 0 {
			otherwise, _ = strconv.ParseInt(configs[i].Value, 10, 64) // it was checked
		}
		return otherwise
	}
	least, most := number(minCompactionLagConfig, 0), number(maxCompactionLagConfig, math.MaxInt64)
	if least > most {
		return kafka.Errorf(kerr.InvalidConfig, "%s is %d, more than %s, which is %d: records must not be compacted before the one age, and must be by the other; lower the first or raise the second",
			minCompactionLagConfig, least, maxCompactionLagConfig, most)
	}
	return nil
}

func unknownConfig(name string) error {
	if why, ok := refusedConfigs[name]; ok {
		return kafka.Errorf(kerr.InvalidConfig, "configuration %s can't be set: %s", name, why)
	}
	return kafka.Errorf(kerr.InvalidConfig, "configuration %.60q is unknown here", name)
}

// throttled takes what names replicas: none, all of them by "*", or a list of PARTITION:BROKER.
func throttled(value string, _ int) string {
	if value == "" || value == "*" {
		return ""
	}
	for _, v := range strings.Split(value, ",") {
		partition, broker, ok := strings.Cut(strings.TrimSpace(v), ":")
		_, err := strconv.ParseInt(partition, 10, 32)
		_, err2 := strconv.ParseInt(broker, 10, 32)
		if !ok || err != nil || err2 != nil {
			return `must be "*", or a list of PARTITION:BROKER`
		}
	}
	return ""
}

// oneOf takes one of some values.
func oneOf(allowed ...string) func(string, int) string {
	return func(value string, _ int) string {
		if !slices.Contains(allowed, value) {
			return "can only be " + strings.Join(allowed, " or ") + " here"
		}
		return ""
	}
}

// listOf takes lists of some words.
func listOf(allowed ...string) func(string, int) string {
	return func(value string, _ int) string {
		for _, v := range strings.Split(value, ",") {
			if !slices.Contains(allowed, strings.TrimSpace(v)) {
				return "can only be a list of " + strings.Join(allowed, " and ") + " here"
			}
		}
		return ""
	}
}

// number takes decimal numbers that a signed integer of so many bits can hold.
func number(least int64, bits int) func(string, int) string {
	return func(value string, _ int) string {
		if n, err := strconv.ParseInt(value, 10, bits); err != nil || n < least {
			return fmt.Sprintf("must be a number from %d to %d", least, int64(1)<<(bits-1)-1)
		}
		return ""
	}
}

// ratio takes numbers from 0 to 1.
func ratio(value string, _ int) string {
	if r, err := strconv.ParseFloat(value, 64); err != nil || !(r >= 0 && r <= 1) {
		return "must be a number from 0 to 1"
	}
	return ""
}

func segmentBytes(c *Config, _ int) string {
	if c.Log.SegmentBytes == 0 {
		return "67108864" // the log's own default
	}
	return strconv.FormatInt(c.Log.SegmentBytes, 10)
}

// majority is how many replicas have a record before it is acknowledged.
func majority(replicas int) int { return replicas/2 + 1 }

// checkMinInsync takes what a majority fulfils.
func checkMinInsync(value string, replicas int) string {
	if wrong := number(1, 32)(value, replicas); wrong != "" {
		return wrong
	}
	if n, _ := strconv.Atoi(value); n > majority(replicas) {
		return fmt.Sprintf("can be at most %d with %d replicas: records are acknowledged when a majority has them", majority(replicas), replicas)
	}
	return ""
}

// selfMember is this broker as the operator listed it.
func (c *Config) selfMember() Member {
	i := slices.IndexFunc(c.Members, func(m Member) bool { return m.ID == c.BrokerID })
	if i < 0 {
		return Member{ID: c.BrokerID} // the defaults' Config has no members
	}
	return c.Members[i]
}

// builtin is a Config of nothing but defaults, by which configurations that somebody has set are told
// from others.
func (c *Config) builtin() *Config {
	d := &Config{BrokerID: c.BrokerID, Members: []Member{c.selfMember()}} // of others, brokers may have told anything
	err := d.validate()
	step.Assert(err == nil, "the broker's own members were checked when it opened: %v", err)
	return d
}
