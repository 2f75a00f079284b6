// SPDX-License-Identifier: Apache-2.0

package node

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// A request for more partitions than one may ask for is refused as a whole. Topics that are named twice don't count.
func TestTooManyPartitionsInARequest(t *testing.T) {
	c := newMany(t, 1, func(cfg *Config) { cfg.MaxPartitionsPerBroker = 100_000 })
	c.until("there is a leader", func() bool { return c.nodes[1].node.catalog.group.serving })
	topic := func(name string, partitions int32) kmsg.CreateTopicsRequestTopic {
		in := kmsg.NewCreateTopicsRequestTopic()
		in.Topic, in.NumPartitions, in.ReplicationFactor = name, partitions, 1
		return in
	}
	placed := topic("c", -1)
	placed.ReplicationFactor = -1
	for i := range int32(2) {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = i, []int32{1}
		placed.ReplicaAssignment = append(placed.ReplicaAssignment, a)
	}
	for _, row := range []struct {
		topics []kmsg.CreateTopicsRequestTopic
		want   []string
	}{
		{[]kmsg.CreateTopicsRequestTopic{topic("a", 6000), topic("b", 4000)}, []string{"NONE", "NONE"}},
		{[]kmsg.CreateTopicsRequestTopic{topic("a", 6000), topic("b", 4001)}, []string{"POLICY_VIOLATION", "POLICY_VIOLATION"}},
		{[]kmsg.CreateTopicsRequestTopic{topic("a", 9999), topic("a/b", 0), placed}, []string{"POLICY_VIOLATION", "POLICY_VIOLATION", "POLICY_VIOLATION"}},
		{[]kmsg.CreateTopicsRequestTopic{topic("a", 6000), topic("a", 6000), topic("b", 6000)}, []string{"INVALID_REQUEST", "NONE"}},
	} {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Version, req.TimeoutMillis, req.ValidateOnly, req.Topics = 7, 10000, true, row.topics
		var got []string
		for _, out := range c.ask(1, req).(*kmsg.CreateTopicsResponse).Topics {
			got = append(got, kafka.CodeName(out.ErrorCode))
		}
		if len(got) != len(row.want) {
			t.Fatalf("%v, want %v", got, row.want)
		}
		for i := range got {
			if got[i] != row.want[i] {
				t.Errorf("topic %d of %d: %v, want %v", i, len(row.topics), got, row.want)
				break
			}
		}
	}
}
