// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/sim/plan"
)

// Asks that change nothing.

// describeRequest makes the request of an ask that only asks; nil if it is about something else.
func (a *asking) describeRequest() kmsg.Request {
	switch a.spec.Kind.API() {
	case "ApiVersions":
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = []string{"sim", "no name"}[a.pick(3)/2], "1"
		if a.what() == "newer" { // than any that there is
			req.ClientSoftwareName, req.Version = "sim", 9
		}
		return req
	case "DescribeConfigs":
		return a.describeConfigs()
	case "DescribeLogDirs":
		req := kmsg.NewPtrDescribeLogDirsRequest()
		if a.pick(2) == 1 {
			req.Topics = []kmsg.DescribeLogDirsRequestTopic{{Topic: a.spec.Topic, Partitions: []int32{a.spec.Partition}}, {Topic: noSuchTopic, Partitions: []int32{0}}}
		}
		return req
	case "ListPartitionReassignments":
		req := kmsg.NewPtrListPartitionReassignmentsRequest()
		if a.pick(2) == 1 {
			req.Topics = []kmsg.ListPartitionReassignmentsRequestTopic{{Topic: a.spec.Topic, Partitions: []int32{a.spec.Partition, 1 << 20}}}
		}
		return req
	case "DescribeQuorum":
		req := kmsg.NewPtrDescribeQuorumRequest()
		for _, name := range [][]string{{"__cluster_metadata"}, {noSuchTopic}, {"__cluster_metadata", noSuchTopic}}[a.pick(3)] {
			t := kmsg.NewDescribeQuorumRequestTopic()
			t.Topic, t.Partitions = name, []kmsg.DescribeQuorumRequestTopicPartition{kmsg.NewDescribeQuorumRequestTopicPartition()}
			req.Topics = append(req.Topics, t)
		}
		return req
	case "DescribeCluster":
		req := kmsg.NewPtrDescribeClusterRequest()
		req.EndpointType, req.IncludeFencedBrokers = int8(1+a.pick(3)/2), a.pick(2) == 1
		return req
	case "DescribeProducers":
		req := kmsg.NewPtrDescribeProducersRequest()
		t := kmsg.NewDescribeProducersRequestTopic()
		t.Topic, t.Partitions = []string{a.spec.Topic, a.spec.Topic, a.spec.Topic, noSuchTopic, ownTopic}[a.pick(5)], []int32{a.spec.Partition}
		if a.pick(2) == 1 {
			t.Partitions = append(t.Partitions, 0)
		}
		req.Topics = append(req.Topics, t)
		return req
	case "ListConfigResources":
		req := kmsg.NewPtrListConfigResourcesRequest()
		req.ResourceTypes = [][]int8{nil, {2, 4}, {99}, {32}}[a.pick(4)]
		return req
	case "DescribeTopicPartitions":
		return a.describePartitions()
	case "DescribeACLs":
		return kmsg.NewPtrDescribeACLsRequest()
	}
	return nil
}

func (a *asking) metadata() kmsg.Request {
	req := kmsg.NewPtrMetadataRequest()
	add := func(name *string, id [16]byte) {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic, t.TopicID = name, id
		req.Topics = append(req.Topics, t)
	}
	topic := &a.topic.Name
	switch a.what() {
	case "all":
		return req
	case "old-ids":
		for _, id := range a.world.seenIDs {
			add(nil, id)
		}
		for i := range a.world.plan.Topics {
			add(&a.world.plan.Topics[i].Name, noTopicID)
		}
		req.Version = 12
	case "none":
		req.Version, req.Topics = max(a.spec.Version, 1), []kmsg.MetadataRequestTopic{}
		return req
	case "twice":
		add(topic, noTopicID)
		add(topic, noTopicID)
	case "no-such-id":
		add(nil, [16]byte{15: 0xfc})
		if id := a.world.topicIDs[a.spec.Topic]; id != noTopicID {
			add(nil, id)
		}
		req.Version = max(a.spec.Version, 12)
	case "nameless":
		add(nil, [16]byte{15: 0xfc})
		req.Version = 10 + int16(a.pick(2))
	case "odd":
		add(kmsg.StringPtr("a/b"), noTopicID)
		add(topic, noTopicID)
		req.IncludeClusterAuthorizedOperations, req.IncludeTopicAuthorizedOperations = true, true
	}
	if a.topic.Auto { // it may be created
		req.AllowAutoTopicCreation = a.pick(2) == 1
		if a.what() == "odd" || a.what() == "twice" {
			return req
		}
	}
	if req.Version == 0 {
		req.Version = max(a.spec.Version, 4) // before that, topics are created
	}
	return req
}

func (a *asking) describeConfigs() kmsg.Request {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms, req.IncludeDocumentation = a.pick(2) == 1, a.pick(2) == 1
	add := func(kind kmsg.ConfigResourceType, name string) {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName = kind, name
		if a.pick(3) == 0 {
			r.ConfigNames = []string{"retention.ms", "retention.bytes", "no.such.thing"}
		}
		req.Resources = append(req.Resources, r)
	}
	add(kmsg.ConfigResourceTypeTopic, a.spec.Topic)
	if a.what() == "settings" {
		req.Resources[0].ConfigNames = nil
		return req
	}
	switch a.pick(8) {
	case 0:
		add(kmsg.ConfigResourceTypeBroker, strconv.Itoa(a.broker))
	case 1:
		add(kmsg.ConfigResourceTypeBroker, "")
	case 2:
		add(kmsg.ConfigResourceTypeGroupConfig, "asks-a")
	case 3:
		add(kmsg.ConfigResourceTypeTopic, noSuchTopic)
	case 4:
		add(kmsg.ConfigResourceTypeTopic, "a/b")
	case 5:
		add(kmsg.ConfigResourceTypeTopic, a.spec.Topic)
	case 6:
		add(kmsg.ConfigResourceTypeBrokerLogger, "1")
	}
	return req
}

// configured demands that a topic's configuration is that of the plan.
func (a *asking) configured(resp *kmsg.DescribeConfigsResponse) {
	for i := range resp.Resources {
		r := &resp.Resources[i]
		t := a.planned(&r.ResourceName, r.ErrorCode)
		if t == nil || r.ResourceType != kmsg.ConfigResourceTypeTopic {
			continue
		}
		for j := range r.Configs {
			c, want := &r.Configs[j], ""
			switch c.Name {
			case "retention.ms":
				want = limitOf(t, t.RetentionMs)
			case "retention.bytes":
				want = limitOf(t, t.RetentionBytes)
			}
			if want != "" && (c.Value == nil || *c.Value != want) {
				a.world.fail("configuration", "ask %d: %s of topic %s is said to be %s, and was set to %s", a.spec.ID, c.Name, t.Name, textOf(c.Value), want)
			}
		}
	}
}

// limitOf is how a limit of the plan's is spelled.
func limitOf(t *plan.Topic, limit int64) string {
	if limit == 0 {
		return "-1"
	}
	return strconv.FormatInt(limit, 10)
}

func (a *asking) describePartitions() kmsg.Request {
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = int32(1 + a.pick(3)*1000)
	add := func(name string) {
		t := kmsg.NewDescribeTopicPartitionsRequestTopic()
		t.Topic = name
		req.Topics = append(req.Topics, t)
	}
	switch a.pick(5) {
	case 0: // all
	case 1:
		add(a.spec.Topic)
		add(noSuchTopic)
		add("a/b")
	case 2, 3, 4:
		add(a.spec.Topic)
	}
	if a.pick(2) == 0 {
		req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: a.spec.Topic, Partition: int32(a.pick(int64(a.topic.Partitions)+1)) - 1}
	}
	return req
}

// described demands that a topic has the partitions of the plan from the cursor on: all of them, or those before the place
// where the next page begins.
func (a *asking) described(req *kmsg.DescribeTopicPartitionsRequest, resp *kmsg.DescribeTopicPartitionsResponse) {
	for i := range resp.Topics {
		t := &resp.Topics[i]
		spec, first := a.planned(t.Topic, t.ErrorCode), int32(0)
		if spec == nil {
			continue
		}
		if c := req.Cursor; c != nil && c.Topic == spec.Name {
			first = max(0, c.Partition)
		}
		for j := range t.Partitions {
			if t.Partitions[j].Partition != first+int32(j) {
				a.world.fail("metadata", "ask %d: from partition %d on, broker %d shows partition %d of topic %s at place %d", a.spec.ID, first, a.broker, t.Partitions[j].Partition, spec.Name, j)
			}
		}
		if end := int(first) + len(t.Partitions); resp.NextCursor == nil || resp.NextCursor.Topic != spec.Name {
			a.checkCount(spec, end)
		} else if int(resp.NextCursor.Partition) != end {
			a.world.fail("metadata", "ask %d: broker %d shows partitions %d to %d of topic %s, and goes on with %d", a.spec.ID, a.broker, first, end-1, spec.Name, resp.NextCursor.Partition)
		}
	}
}
