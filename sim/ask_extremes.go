// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"math"
	"math/big"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// numericSetting is a number among the settings of topics: what it is at least, and how many bits it has, as Kafka documents it.
type numericSetting struct {
	name  string
	least int64
	bits  uint
}

// numericSettings are those that can be set whatever else a topic has.
var numericSettings = []numericSetting{
	{"compression.gzip.level", -1, 32},
	{"compression.lz4.level", 1, 32},
	{"compression.zstd.level", -131072, 32},
	{"delete.retention.ms", 0, 64},
	{"file.delete.delay.ms", 0, 64},
	{"flush.messages", 1, 64},
	{"flush.ms", 0, 64},
	{"index.interval.bytes", 0, 32},
	{"local.retention.bytes", -2, 64},
	{"local.retention.ms", -2, 64},
	{"max.message.bytes", 1, 32},
	{"message.timestamp.after.max.ms", 0, 64},
	{"message.timestamp.before.max.ms", 0, 64},
	{"retention.bytes", -1, 64},
	{"retention.ms", -1, 64},
	{"segment.bytes", 14, 32},
	{"segment.index.bytes", 4, 32},
	{"segment.jitter.ms", 0, 64},
	{"segment.ms", 1, 64},
}

// editExtreme asks whether a topic's number could be the least or the most that it can, or what comes next. Nothing is changed.
func (a *asking) editExtreme() kmsg.Request {
	if a.topic.Auto {
		return nil
	}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = true
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, a.spec.Topic
	s := numericSettings[a.pick(int64(len(numericSettings)))]
	most := new(big.Int).SetInt64(math.MaxInt64 >> (64 - s.bits))
	value := []*big.Int{big.NewInt(s.least), big.NewInt(s.least - 1), most, new(big.Int).Add(most, big.NewInt(1))}[a.pick(4)]
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Value = s.name, kmsg.StringPtr(value.String())
	r.Configs = append(r.Configs, c)
	req.Resources = append(req.Resources, r)
	return req
}

// extremeAnswered demands that a number is taken if it can be, and refused otherwise.
func (a *asking) extremeAnswered(req *kmsg.IncrementalAlterConfigsRequest, resp *kmsg.IncrementalAlterConfigsResponse) {
	c, got := &req.Resources[0].Configs[0], resp.Resources[0].ErrorCode
	for _, s := range numericSettings {
		value, _ := new(big.Int).SetString(*c.Value, 10)
		right := value.Cmp(big.NewInt(s.least)) >= 0 && value.BitLen() < int(s.bits)
		if c.Name == s.name && (right && got == kerr.InvalidConfig.Code || !right && got == 0) {
			a.world.fail("configuration", "ask %d: %s=%s, a number of %d bits from %d on, is answered %s", a.spec.ID, c.Name, *c.Value, s.bits, s.least, kafka.CodeName(got))
		}
	}
}

// refusedTopics demands that an answer tells nothing of a topic that isn't made.
func (a *asking) refusedTopics(resp *kmsg.CreateTopicsResponse) {
	for i := range resp.Topics {
		t := &resp.Topics[i]
		if resp.Version >= 5 && t.ErrorCode != 0 && (t.NumPartitions != -1 || t.ReplicationFactor != -1 || t.TopicID != noTopicID) {
			a.world.fail("metadata", "ask %d: topic %q, which is refused with %s, is said to have %d partitions, %d replicas and id %x", a.spec.ID, t.Topic, kafka.CodeName(t.ErrorCode), t.NumPartitions, t.ReplicationFactor, t.TopicID)
		}
	}
}

// sizes demands that replicas have sizes that can be: none is negative (a lag that nobody knows is -1), and no partition is named twice.
func (a *asking) sizes(resp *kmsg.DescribeLogDirsResponse) {
	seen := make(map[string]bool)
	for i := range resp.Dirs {
		for j := range resp.Dirs[i].Topics {
			t := &resp.Dirs[i].Topics[j]
			for k := range t.Partitions {
				p := &t.Partitions[k]
				name := partitionName(t.Topic, p.Partition)
				if p.Size < 0 || p.OffsetLag < -1 || seen[name] {
					a.world.fail("metadata", "ask %d: broker %d says that %s has %d bytes, and lacks %d records (named before: %v)", a.spec.ID, a.broker, name, p.Size, p.OffsetLag, seen[name])
				}
				seen[name] = true
			}
		}
	}
}
