// SPDX-License-Identifier: Apache-2.0

package node

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/consumers"
)

// A broker's configurations are its own settings, and most are read when it starts. Clients can change those that have a
// check, for one broker or for all (KIP-226): the defaults of topics that may differ between brokers, how fast replicas
// that are behind are brought forward, and what tunes things that only Kafka has.

const (
	defaultPolicyConfig         = "log.cleanup.policy"
	defaultRetentionMsConfig    = "log.retention.ms"
	defaultRetentionBytesConfig = "log.retention.bytes"
)

const (
	noThreads  = noEffect + "there are no such threads."
	noKerberos = noEffect + "SASL is not served."
)

// address is a listener as Kafka writes it.
func address(listener, host string, port int32) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]" // an IPv6 address
	}
	return listener + "://" + host + ":" + strconv.Itoa(int(port))
}

func always(v string) func(*Config, int) string { return func(*Config, int) string { return v } }

func decimal[T int16 | int32 | int64](of func(*Config) T) func(*Config, int) string {
	return func(c *Config, _ int) string { return strconv.FormatInt(int64(of(c)), 10) }
}

func ms(of func(*Config) time.Duration) func(*Config, int) string {
	return decimal(func(c *Config) int64 { return of(c).Milliseconds() })
}

// machineConfig tells clients that move partitions which brokers share a machine.
const machineConfig = "broker.machine"

// brokerConfigDefs are the configurations of brokers, ascending by name. Those without a check can't be changed by a client.
var brokerConfigDefs = []configDef{
	{name: "advertised.listeners", typ: kmsg.ConfigTypeString, value: func(c *Config, _ int) string {
		self := c.selfMember()
		all := address("PLAINTEXT", self.Host, self.Port)
		for _, a := range self.Listeners {
			all += "," + address(a.Listener, a.Host, a.Port)
		}
		return all
	}, doc: "Where clients reach this broker."},
	{name: "auto.create.topics.enable", typ: kmsg.ConfigTypeBoolean, value: func(c *Config, _ int) string { return strconv.FormatBool(c.AutoCreateTopics) }, doc: "Asking for an unknown topic creates it."},
	{name: "background.threads", typ: kmsg.ConfigTypeInt, value: always("10"), check: number(1, 32), doc: noThreads},
	{name: "broker.id", typ: kmsg.ConfigTypeInt, value: decimal(func(c *Config) int32 { return int32(c.BrokerID) }), doc: "This broker's id."},
	{name: machineConfig, typ: kmsg.ConfigTypeString, value: func(c *Config, _ int) string { return c.selfMember().Machine }, doc: "The machine that this broker runs on: no partition has two replicas on one. Kafka has no such thing, and a broker that names none doesn't list it."},
	{name: "broker.rack", typ: kmsg.ConfigTypeString, value: func(c *Config, _ int) string { return c.selfMember().Rack }, doc: "Where this broker is; consumers of the same rack may read from it (KIP-392)."},
	{name: "compression.type", typ: kmsg.ConfigTypeString, value: always("producer"), doc: "Batches are kept as producers compressed them."},
	{name: "default.replication.factor", typ: kmsg.ConfigTypeInt, value: decimal(func(c *Config) int16 { return c.DefaultReplicas }), doc: "Replicas of topics that are created without a number."},
	{name: "fetch.max.bytes", typ: kmsg.ConfigTypeInt, value: decimal(func(c *Config) int64 { return c.FetchMaxBytes }), doc: "The most bytes of record batches in one answer to a consumer; one batch goes out whole all the same."},
	{name: "follower.replication.throttled.rate", typ: kmsg.ConfigTypeLong, value: always("9223372036854775807"), check: number(0, 64), doc: noEffect + "who sends to replicas that are behind is bounded, see leader.replication.throttled.rate."},
	{name: "group.consumer.assignment.interval.ms", typ: kmsg.ConfigTypeInt, value: always("0"), doc: "How long assignments of groups of the new protocol are put off: they never are."},
	{name: "group.consumer.assignors", typ: kmsg.ConfigTypeList, value: always(consumers.AssignorUniform + "," + consumers.AssignorRange), doc: "How the partitions can be assigned in groups of the new protocol."},
	{name: "group.consumer.heartbeat.interval.ms", typ: kmsg.ConfigTypeInt, value: ms(func(c *Config) time.Duration { return c.ConsumerHeartbeat }), doc: "How often the members of groups of the new protocol shall speak."},
	{name: "group.consumer.max.heartbeat.interval.ms", typ: kmsg.ConfigTypeInt, value: ms((*Config).maxGroupHeartbeat), doc: "The most that a group can be given for it."},
	{name: "group.consumer.max.session.timeout.ms", typ: kmsg.ConfigTypeInt, value: ms((*Config).maxGroupSession), doc: "The most that a group can be given for it."},
	{name: "group.consumer.max.size", typ: kmsg.ConfigTypeInt, value: decimal(func(c *Config) int64 { return int64(c.GroupMaxSize) }), doc: "The most members of a group of the new protocol."},
	{name: "group.consumer.min.heartbeat.interval.ms", typ: kmsg.ConfigTypeInt, value: ms((*Config).minGroupHeartbeat), doc: "The least that a group can be given for it."},
	{name: "group.consumer.min.session.timeout.ms", typ: kmsg.ConfigTypeInt, value: ms((*Config).minGroupSession), doc: "The least that a group can be given for it."},
	{name: "group.consumer.session.timeout.ms", typ: kmsg.ConfigTypeInt, value: ms(func(c *Config) time.Duration { return c.ConsumerSession }), doc: "How long a member of a group of the new protocol may be silent."},
	{name: "group.initial.rebalance.delay.ms", typ: kmsg.ConfigTypeInt, value: decimal(func(c *Config) int64 { return c.GroupInitialDelay.Milliseconds() }), doc: "How long a new consumer group waits for more members than the first."},
	{name: "group.max.session.timeout.ms", typ: kmsg.ConfigTypeInt, value: decimal(func(c *Config) int64 { return c.GroupMaxSession.Milliseconds() }), doc: "The longest session timeout that members of consumer groups may ask for."},
	{name: "group.max.size", typ: kmsg.ConfigTypeInt, value: decimal(func(c *Config) int64 { return int64(c.GroupMaxSize) }), doc: "The most members of a consumer group."},
	{name: "group.min.session.timeout.ms", typ: kmsg.ConfigTypeInt, value: decimal(func(c *Config) int64 { return c.GroupMinSession.Milliseconds() }), doc: "The shortest session timeout that members of consumer groups may ask for."},
	{name: leaderThrottleConfig, typ: kmsg.ConfigTypeLong, value: always("9223372036854775807"), check: number(minThrottle, 64), doc: "The most bytes in a second that this broker sends to replicas that are behind; for all partitions, and below catch_up_bytes_per_second. Twice what is written meanwhile comes on top."},
	{name: "log.cleaner.threads", typ: kmsg.ConfigTypeInt, value: always("1"), check: number(0, 32), doc: noThreads},
	{name: defaultPolicyConfig, typ: kmsg.ConfigTypeList, value: always(cleanupDelete), check: listOf(cleanupDelete, cleanupCompact), doc: "The default of topics for cleanup.policy, for the replicas on this broker."},
	{name: "log.dirs", typ: kmsg.ConfigTypeString, value: func(c *Config, _ int) string { return c.LogDir }, doc: "The folder of this broker's data."},
	{name: "log.message.timestamp.after.max.ms", typ: kmsg.ConfigTypeLong, value: decimal(func(c *Config) int64 { return c.TimestampAfterMaxMs }), doc: "The default of topics for message.timestamp.after.max.ms."},
	{name: "log.message.timestamp.before.max.ms", typ: kmsg.ConfigTypeLong, value: decimal(func(c *Config) int64 { return c.TimestampBeforeMaxMs }), doc: "The default of topics for message.timestamp.before.max.ms."},
	{name: "log.message.timestamp.type", typ: kmsg.ConfigTypeString, value: always(createTime), doc: "The default of topics for message.timestamp.type."},
	{name: defaultRetentionBytesConfig, typ: kmsg.ConfigTypeLong, value: decimal(func(c *Config) int64 { return c.RetentionBytes }), check: number(-1, 64), doc: "The default of topics for retention.bytes, where this broker leads."},
	{name: defaultRetentionMsConfig, typ: kmsg.ConfigTypeLong, value: decimal(func(c *Config) int64 { return c.RetentionMs }), check: number(-1, 64), doc: "The default of topics for retention.ms, where this broker leads."},
	{name: "message.max.bytes", typ: kmsg.ConfigTypeInt, value: decimal(func(c *Config) int32 { return c.MaxMessageBytes }), doc: "The largest record batch, in bytes, compressed; the default of topics for max.message.bytes."},
	{name: "node.id", typ: kmsg.ConfigTypeInt, value: decimal(func(c *Config) int32 { return int32(c.BrokerID) }), doc: "This broker's id."},
	{name: "num.io.threads", typ: kmsg.ConfigTypeInt, value: always("8"), check: number(1, 32), doc: noThreads},
	{name: "num.network.threads", typ: kmsg.ConfigTypeInt, value: always("3"), check: number(1, 32), doc: noThreads},
	{name: "num.partitions", typ: kmsg.ConfigTypeInt, value: decimal(func(c *Config) int32 { return c.DefaultPartitions }), doc: "Partitions of topics that are created without a number."},
	{name: "num.recovery.threads.per.data.dir", typ: kmsg.ConfigTypeInt, value: always("2"), check: number(1, 32), doc: noThreads},
	{name: "num.replica.fetchers", typ: kmsg.ConfigTypeInt, value: always("1"), check: number(1, 32), doc: noThreads},
	{name: "offset.metadata.max.bytes", typ: kmsg.ConfigTypeInt, value: decimal(func(c *Config) int64 { return int64(c.OffsetMetadataBytes) }), doc: "What a client may say beside an offset that it commits."},
	{name: "offsets.retention.minutes", typ: kmsg.ConfigTypeInt, value: decimal(func(c *Config) int64 { return int64(c.OffsetsRetention.Minutes()) }), doc: "How long the offsets of a consumer group without members are kept."},
	{name: "offsets.topic.num.partitions", typ: kmsg.ConfigTypeInt, value: decimal(func(c *Config) int32 { return c.GroupPartitions }), doc: "Among how many coordinators consumer groups are spread."},
	{name: "producer.id.expiration.ms", typ: kmsg.ConfigTypeInt, value: decimal(func(c *Config) int64 { return c.ProducerExpiration.Milliseconds() }), doc: "How long a partition remembers an idempotent producer that writes nothing."},
	{name: "replica.alter.log.dirs.io.max.bytes.per.second", typ: kmsg.ConfigTypeLong, value: always("9223372036854775807"), check: number(0, 64), doc: noEffect + "a broker has one folder."},
	{name: "sasl.kerberos.min.time.before.relogin", typ: kmsg.ConfigTypeLong, value: always("60000"), check: number(math.MinInt64, 64), doc: noKerberos},
	{name: "transaction.max.timeout.ms", typ: kmsg.ConfigTypeInt, value: decimal(func(c *Config) int64 { return c.TransactionMaxTimeout.Milliseconds() }), doc: "How long a transaction may ask to take."},
	{name: "transaction.state.log.num.partitions", typ: kmsg.ConfigTypeInt, value: decimal(func(c *Config) int32 { return c.TransactionPartitions }), doc: "Among how many coordinators transactional ids are spread."},
	{name: "transactional.id.expiration.ms", typ: kmsg.ConfigTypeInt, value: decimal(func(c *Config) int64 { return min(c.TransactionalIDExpiration.Milliseconds(), math.MaxInt32) }), doc: "How long a transactional id that nobody uses is known."},
	{name: "unclean.leader.election.enable", typ: kmsg.ConfigTypeBoolean, value: always("false"), doc: "Only replicas that have every committed record can lead."},
}

// checkBrokerConfigs says whether clients can set these.
func (n *Node) checkBrokerConfigs(configs []configValue) error {
	for _, v := range configs {
		d := findDef(brokerConfigDefs, v.Name)
		switch {
		case d == nil:
			return unknownBrokerConfig(v.Name)
		case d.check == nil:
			return kafka.Errorf(kerr.InvalidRequest, "%s can't be changed while the broker runs; change its settings, then restart it", v.Name)
		}
		if wrong := d.check(v.Value, 0); wrong != "" {
			return kafka.Errorf(kerr.InvalidRequest, "%s %s, not %.60q", v.Name, wrong, v.Value)
		}
	}
	return nil
}

func unknownBrokerConfig(name string) error {
	return kafka.Errorf(kerr.InvalidConfig, "configuration %.60q of brokers is unknown here", name)
}

// brokerConfigValues lists the configurations of this broker.
func (n *Node) brokerConfigValues() []configEntry {
	builtin := n.cfg.builtin()
	out := make([]configEntry, 0, len(brokerConfigDefs))
	for i := range brokerConfigDefs {
		if d := &brokerConfigDefs[i]; d.name != machineConfig || n.cfg.selfMember().Machine != "" {
			out = append(out, n.withDefaults(configEntry{configDef: d}, builtin, 0))
		}
	}
	return out
}

// allBrokersConfigValues lists what was set for all brokers.
func (n *Node) allBrokersConfigValues() (out []configEntry) {
	for _, v := range n.overrides().all.Configs {
		if d := findDef(brokerConfigDefs, v.Name); d != nil {
			out = append(out, configEntry{d, []configSynonym{{v.Name, v.Value, kmsg.ConfigSourceDynamicDefaultBrokerConfig}}})
		}
	}
	return out
}
