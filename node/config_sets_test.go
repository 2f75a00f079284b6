// SPDX-License-Identifier: Apache-2.0

package node

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Sets of configurations that applications and tools make topics with, each with the number of replicas and what is
// refused of it, if anything: only what would promise something that isn't done here, or what Kafka 4 refuses itself.
var configSets = []struct {
	who      string
	replicas int
	configs  string
	refused  string
}{
	{"Streams: store", 3, "cleanup.policy=compact message.timestamp.type=CreateTime", ""},
	{"Streams: versioned store", 3, "cleanup.policy=compact min.compaction.lag.ms=172800000 message.timestamp.type=CreateTime", ""},
	{"Streams: window store", 3, "cleanup.policy=compact,delete retention.ms=172800000 message.timestamp.type=CreateTime", ""},
	{"Streams: repartition", 3, "cleanup.policy=delete segment.bytes=52428800 retention.ms=-1 message.timestamp.type=CreateTime", ""},
	{"Connect: offsets, status, configs", 3, "cleanup.policy=compact min.insync.replicas=1 unclean.leader.election.enable=false", ""},
	{"Connect: topic.creation", 3, "cleanup.policy=compact compression.type=producer delete.retention.ms=86400000", ""},
	{"Connect: topic.creation, with a bound on age", 3, "cleanup.policy=compact,delete max.compaction.lag.ms=604800000 min.cleanable.dirty.ratio=0.2 segment.ms=3600000", ""},
	{"Debezium", 3, "compression.type=lz4 retention.ms=604800000 cleanup.policy=delete", ""},
	{"Debezium: topic.creation.inventory", 3, "cleanup.policy=compact delete.retention.ms=9000 compression.type=snappy", ""},
	{"Debezium: schema history", 3, "retention.ms=9223372036854775807 retention.bytes=-1 cleanup.policy=delete", ""},
	{"MirrorMaker 2: heartbeats, checkpoints", 3, "cleanup.policy=compact", ""},
	{"MirrorMaker 2: a synchronised topic", 3, "cleanup.policy=delete max.message.bytes=2097164 min.insync.replicas=2 retention.ms=86400000 unclean.leader.election.enable=false preallocate=false", ""},
	{"Schema Registry", 3, "cleanup.policy=compact", ""},
	{"ksqlDB: commands", 3, "retention.ms=-1 cleanup.policy=delete min.insync.replicas=1 unclean.leader.election.enable=false", ""},
	{"Cruise Control", 3, "retention.ms=3600000 cleanup.policy=delete segment.ms=3600000 min.insync.replicas=1", ""},
	{"Strimzi: an example", 3, "retention.ms=7200000 segment.bytes=1073741824", ""},
	{"an internal topic of Kafka's, copied", 3, "cleanup.policy=compact compression.type=uncompressed segment.bytes=104857600 min.insync.replicas=2", ""},
	{"Kafka UI", 3, "cleanup.policy=delete retention.ms=43200000 max.message.bytes=1000012 min.insync.replicas=1 retention.bytes=-1", ""},
	{"Spring: TopicBuilder", 3, "cleanup.policy=compact compression.type=zstd", ""},
	{"Terraform: Mongey", 3, "segment.ms=20000 cleanup.policy=compact compression.type=zstd compression.zstd.level=6 flush.messages=9223372036854775807", ""},
	{"Terraform: Aiven, all defaults", 3, "cleanup.policy=delete compression.type=snappy delete.retention.ms=86400000 file.delete.delay.ms=60000 flush.messages=9223372036854775807 " +
		"flush.ms=9223372036854775807 index.interval.bytes=4096 max.compaction.lag.ms=9223372036854775807 max.message.bytes=1048588 message.timestamp.type=CreateTime " +
		"min.cleanable.dirty.ratio=0.5 min.compaction.lag.ms=0 min.insync.replicas=1 preallocate=false retention.bytes=-1 retention.ms=604800000 " +
		"segment.bytes=209715200 segment.index.bytes=10485760 segment.jitter.ms=0 segment.ms=604800000 unclean.leader.election.enable=false", ""},
	{"Terraform: Confluent", 3, "cleanup.policy=compact max.message.bytes=12345 message.timestamp.after.max.ms=9223372036854775807 message.timestamp.before.max.ms=9223372036854775807 retention.ms=67890", ""},
	{"librdkafka's test of compaction", 1, "cleanup.policy=compact segment.ms=500 segment.bytes=1048576 min.cleanable.dirty.ratio=0.01 delete.retention.ms=86400 file.delete.delay.ms=10000 max.compaction.lag.ms=100", ""},
	{"kafka-reassign-partitions --throttle", 3, "leader.replication.throttled.replicas=0:1,0:2 follower.replication.throttled.replicas=*", ""},
	{"tiered storage, off", 3, "remote.storage.enable=false local.retention.ms=-2 local.retention.bytes=-2 remote.log.copy.disable=false", ""},
	{"a log of audits", 3, "retention.ms=-1 retention.bytes=-1 message.timestamp.type=LogAppendTime min.insync.replicas=2", ""},

	{"tiered storage", 3, "retention.ms=1000 remote.storage.enable=true", "remote.storage.enable"},
	{"more than a majority", 3, "min.insync.replicas=3", "min.insync.replicas"},
	{"more than a majority of one", 1, "min.insync.replicas=2", "min.insync.replicas"},
	{"a replica that may lack records", 3, "unclean.leader.election.enable=true", "unclean.leader.election.enable"},
	{"of Kafka 2", 3, "message.format.version=2.8-IV1", "message.format.version"},
	{"of Kafka 2", 3, "message.downconversion.enable=true", "message.downconversion.enable"},
	{"of Kafka 3", 3, "message.timestamp.difference.max.ms=9223372036854775807", "message.timestamp.difference.max.ms"},
	{"rpk: tiered storage", 3, "redpanda.remote.write=true", "redpanda.remote.write"},
	{"Confluent: schema validation", 3, "confluent.value.schema.validation=true", "confluent.value.schema.validation"},
	{"no codec", 3, "compression.type=brotli", "compression.type"},
	{"no replicas", 3, "leader.replication.throttled.replicas=1", "leader.replication.throttled.replicas"},
	{"no ratio", 3, "min.cleanable.dirty.ratio=1.5", "min.cleanable.dirty.ratio"},
	{"no policy", 3, "cleanup.policy=keep", "cleanup.policy"},
}

func TestConfigurationsOfApplications(t *testing.T) {
	for _, set := range configSets {
		var refused []string
		for _, c := range strings.Fields(set.configs) {
			name, value, _ := strings.Cut(c, "=")
			if err := checkTopicConfig(configValue{name, value}, set.replicas); err != nil {
				refused = append(refused, name)
				if !strings.Contains(err.Error(), name) {
					t.Errorf("%s: the refusal of %s doesn't name it: %v", set.who, name, err)
				}
			}
		}
		if got := strings.Join(refused, " "); got != set.refused {
			t.Errorf("%s: %q is refused, want %q", set.who, got, set.refused)
		}
	}
}

// What is taken is shown as it was set, and a topic with it can be made.
func TestConfigurationsOfApplicationsAreShown(t *testing.T) {
	o := newOne(t, nil)
	for i, set := range configSets {
		configs := strings.Fields(set.configs)
		if set.refused != "" || strings.Contains(set.configs, "min.insync.replicas=2") { // there is one broker
			continue
		}
		name := strings.Repeat("t", i+1)
		if e := o.createWith(name, configs...); e != "NONE" {
			t.Errorf("%s: %s", set.who, e)
		} else if got := o.described(kmsg.ConfigResourceTypeTopic, name); len(got) != len(configs) {
			t.Errorf("%s: described as %q", set.who, got)
		}
		o.now = o.now.Add(time.Second)
	}
}
