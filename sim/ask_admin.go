// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/sim/plan"
)

// Asks of administrators. They are refused, or only ask what would be.

// adminRequest makes the request of an ask for a change; nil if it is about something else.
func (a *asking) adminRequest() kmsg.Request {
	switch a.spec.Kind.API() {
	case "CreateTopics":
		return a.createOdd()
	case "CreatePartitions":
		return a.growOdd()
	case "DeleteTopics":
		return a.deleteOdd()
	case "AlterConfigs":
		if a.what() == "harmless" {
			return a.replaceHarmless()
		}
		return a.alterOdd()
	case "IncrementalAlterConfigs":
		switch a.what() {
		case "harmless":
			return a.editHarmless()
		case "extreme":
			return a.editExtreme()
		}
		return a.editOdd()
	case "ElectLeaders":
		return a.electOdd()
	case "AlterPartitionAssignments":
		return a.moveOdd()
	case "UnregisterBroker":
		req := kmsg.NewPtrUnregisterBrokerRequest()
		req.BrokerID = 99
		return req
	case "CreateACLs":
		req := kmsg.NewPtrCreateACLsRequest()
		req.Creations = append(req.Creations, kmsg.NewCreateACLsRequestCreation())[a.pick(2):]
		return req
	case "DeleteACLs":
		req := kmsg.NewPtrDeleteACLsRequest()
		req.Filters = append(req.Filters, kmsg.NewDeleteACLsRequestFilter())[a.pick(2):]
		return req
	case "AlterReplicaLogDirs":
		req := kmsg.NewPtrAlterReplicaLogDirsRequest()
		d := kmsg.NewAlterReplicaLogDirsRequestDir()
		d.Dir = []string{"data", "data", "nowhere"}[a.pick(3)]
		t := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
		t.Topic, t.Partitions = []string{a.spec.Topic, noSuchTopic}[a.pick(4)/3], []int32{a.spec.Partition}
		d.Topics = append(d.Topics, t)
		req.Dirs = append(req.Dirs, d)
		return req
	}
	return nil
}

// createOdd asks for topics that can't be made, or whether some could be.
func (a *asking) createOdd() kmsg.Request {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 3000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = fmt.Sprint("asked", a.spec.ID), 1, 1
	config := func(name string, value *string) {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = name, value
		t.Configs = append(t.Configs, c)
	}
	assign := func(partition int32, brokers ...int32) {
		r := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		r.Partition, r.Replicas = partition, brokers
		t.ReplicaAssignment = append(t.ReplicaAssignment, r)
	}
	switch a.pick(13) {
	case 12: // more than fit into a request
		t.NumPartitions = 1 << 20
	case 0:
		t.Topic = "a/b"
	case 1:
		t.NumPartitions = 0
	case 2:
		t.ReplicationFactor = 99
	case 3:
		config("retention.ms", kmsg.StringPtr("often"))
	case 4:
		config("no.such.thing", kmsg.StringPtr("1"))
	case 5:
		config("retention.ms", nil)
	case 6:
		assign(0, 1) // with a number of partitions
	case 7:
		t.NumPartitions, t.ReplicationFactor = -1, -1
		assign(1, 1)
	case 8:
		t.NumPartitions, t.ReplicationFactor = -1, -1
		assign(0, 99)
	case 9:
		req.Topics = append(req.Topics, t) // named twice
	case 10:
		t.Topic = ownTopic
	case 11: // could be made, or exists
		req.Version, req.ValidateOnly = max(a.spec.Version, 1), true
		config("retention.ms", kmsg.StringPtr("1000"))
		if a.pick(2) == 1 {
			t.Topic = a.spec.Topic
		} else if a.pick(2) == 1 {
			t.NumPartitions, t.ReplicationFactor = -1, -1
		}
	}
	req.Topics = append(req.Topics, t)
	return req
}

func (a *asking) growOdd() kmsg.Request {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis = 3000
	t := kmsg.NewCreatePartitionsRequestTopic()
	t.Topic, t.Count = a.spec.Topic, a.topic.Partitions
	assign := func(brokers ...int32) {
		r := kmsg.NewCreatePartitionsRequestTopicAssignment()
		r.Replicas = brokers
		t.Assignment = append(t.Assignment, r)
	}
	switch a.pick(7) {
	case 0:
		t.Count = 1
	case 1:
		t.Topic = noSuchTopic
	case 2:
		req.Topics = append(req.Topics, t) // named twice
	case 3:
		t.Count = 1 << 20
	case 4:
		t.Count += 100
		req.ValidateOnly = true
	case 5:
		t.Count += 100
		assign(1)
	case 6:
		t.Topic, t.Count = ownTopic, 1000
	}
	req.Topics = append(req.Topics, t)
	return req
}

func (a *asking) deleteOdd() kmsg.Request {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = 3000
	req.TopicNames = []string{noSuchTopic}
	name, id := kmsg.StringPtr(noSuchTopic), [16]byte{15: 0xfd}
	req.Topics = [][]kmsg.DeleteTopicsRequestTopic{
		{{Topic: name}}, {{TopicID: id}}, {{}}, {{Topic: name, TopicID: id}}, {{Topic: name}, {Topic: name}},
	}[a.pick(5)]
	if len(req.Topics) > 1 {
		req.TopicNames = append(req.TopicNames, noSuchTopic)
	}
	return req
}

// oddResource is what configurations are changed of, which nobody has, or what is changed at once.
func (a *asking) oddResource() (kind kmsg.ConfigResourceType, name string) {
	switch a.pick(7) {
	case 0:
		return kmsg.ConfigResourceTypeBroker, "99"
	case 1:
		return kmsg.ConfigResourceTypeGroupConfig, ""
	case 2:
		return kmsg.ConfigResourceTypeBrokerLogger, strconv.Itoa(a.broker)
	case 3:
		return kmsg.ConfigResourceTypeTopic, ""
	case 4:
		return kmsg.ConfigResourceTypeTopic, "a/b"
	case 5:
		return kmsg.ConfigResourceTypeTopic, ownTopic
	}
	return kmsg.ConfigResourceTypeTopic, noSuchTopic
}

// otherResource has configurations, and is no topic.
func (a *asking) otherResource() (kind kmsg.ConfigResourceType, name string) {
	switch a.pick(4) {
	case 0:
		return kmsg.ConfigResourceTypeBroker, ""
	case 1:
		return kmsg.ConfigResourceTypeBroker, strconv.Itoa(a.broker)
	case 2:
		return kmsg.ConfigResourceTypeGroupConfig, strings.Repeat("g", 1<<15-1)
	}
	return kmsg.ConfigResourceTypeGroupConfig, "asks-a"
}

func (a *asking) alterOdd() kmsg.Request {
	req := kmsg.NewPtrAlterConfigsRequest()
	r := kmsg.NewAlterConfigsRequestResource()
	c := kmsg.NewAlterConfigsRequestResourceConfig()
	c.Name, c.Value = "retention.ms", kmsg.StringPtr("1000")
	switch a.pick(5) {
	case 0:
		r.ResourceType, r.ResourceName = a.oddResource()
	case 4:
		req.ValidateOnly = true
		r.ResourceType, r.ResourceName = a.otherResource()
	case 1: // only whether it could be
		req.ValidateOnly = true
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, a.spec.Topic
		if a.pick(2) == 1 {
			req.Resources = append(req.Resources, r) // named twice
		}
	case 2:
		r.ResourceType, r.ResourceName, c.Value = kmsg.ConfigResourceTypeTopic, a.spec.Topic, kmsg.StringPtr("often")
	case 3:
		r.ResourceType, r.ResourceName, c.Value = kmsg.ConfigResourceTypeTopic, a.spec.Topic, nil
	}
	if a.pick(4) > 0 || !req.ValidateOnly {
		r.Configs = append(r.Configs, c)
	}
	req.Resources = append(req.Resources, r)
	return req
}

func (a *asking) editOdd() kmsg.Request {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Value = "retention.ms", kmsg.StringPtr("1000")
	switch a.pick(7) {
	case 0:
		if r.ResourceType, r.ResourceName = a.oddResource(); r.ResourceType == kmsg.ConfigResourceTypeBrokerLogger {
			c.Name, c.Value = "root", kmsg.StringPtr([]string{"DEBUG", "INFO"}[a.pick(2)])
		}
	case 6:
		req.ValidateOnly = true
		r.ResourceType, r.ResourceName = a.otherResource()
	case 1: // only whether it could be
		req.ValidateOnly = true
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, a.spec.Topic
		c.Name, c.Value, c.Op = "cleanup.policy", kmsg.StringPtr("compact"), kmsg.IncrementalAlterConfigOp(a.pick(4))
	case 2:
		r.ResourceType, r.ResourceName, c.Value = kmsg.ConfigResourceTypeTopic, a.spec.Topic, kmsg.StringPtr("often")
	case 3:
		r.ResourceType, r.ResourceName, c.Value = kmsg.ConfigResourceTypeTopic, a.spec.Topic, nil
	case 4: // not a list
		r.ResourceType, r.ResourceName, c.Op = kmsg.ConfigResourceTypeTopic, a.spec.Topic, kmsg.IncrementalAlterConfigOp(2+a.pick(3))
	case 5:
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, a.spec.Topic
		r.Configs = append(r.Configs, c) // named twice
	}
	r.Configs = append(r.Configs, c)
	req.Resources = append(req.Resources, r)
	return req
}

// electOdd asks for elections that lead to nothing.
func (a *asking) electOdd() kmsg.Request {
	req := kmsg.NewPtrElectLeadersRequest()
	req.TimeoutMillis = 1000
	t := kmsg.NewElectLeadersRequestTopic()
	t.Topic, t.Partitions = noSuchTopic, []int32{0, 1}
	if a.what() == "any" { // it may lead to something, perhaps later than anybody waits for it
		req.TimeoutMillis = []int32{1, 50, 1000}[a.pick(3)]
		t.Topic, t.Partitions = a.spec.Topic, []int32{a.spec.Partition}
		a.world.judge.wished(a.world, &plan.Call{Kind: plan.CallElect, Topic: a.spec.Topic, Partition: a.spec.Partition}, a.broker)
		req.Topics = append(req.Topics, t)
		return req
	}
	switch a.pick(4) {
	case 2: // nobody is elected without an election
		req.Version, req.ElectionType = max(a.spec.Version, 1), 1
		return req
	case 0:
		req.Version, req.ElectionType = max(a.spec.Version, 1), 1
		t.Topic = a.spec.Topic
	case 1:
		req.Version, req.ElectionType = max(a.spec.Version, 1), 7
	}
	req.Topics = append(req.Topics, t)
	return req
}

func (a *asking) moveOdd() kmsg.Request {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.TimeoutMillis = 3000
	t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	t.Topic, p.Partition, p.Replicas = noSuchTopic, 0, []int32{1}
	switch a.pick(4) {
	case 0:
		t.Topic, p.Partition, p.Replicas = a.spec.Topic, a.spec.Partition, []int32{99}
	case 1:
		t.Topic, p.Partition, p.Replicas = a.spec.Topic, a.spec.Partition, []int32{}
	case 2:
		t.Partitions = append(t.Partitions, p) // named twice
	}
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}
