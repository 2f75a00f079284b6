// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// createOn asks a broker for a topic and returns the error's name.
func (c *many) createOn(id BrokerID, topic string, partitions int32, replicas int16) string {
	c.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, 5000
	in := kmsg.NewCreateTopicsRequestTopic()
	in.Topic, in.NumPartitions, in.ReplicationFactor = topic, partitions, replicas
	req.Topics = append(req.Topics, in)
	return kafka.CodeName(c.ask(id, req).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode)
}

// grow asks a broker for more partitions of a topic.
func (c *many) grow(id BrokerID, topic string, count int32) string {
	c.t.Helper()
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Version, req.TimeoutMillis = 3, 5000
	in := kmsg.NewCreatePartitionsRequestTopic()
	in.Topic, in.Count = topic, count
	req.Topics = append(req.Topics, in)
	return kafka.CodeName(c.ask(id, req).(*kmsg.CreatePartitionsResponse).Topics[0].ErrorCode)
}

// on lists the partitions of a topic that have a replica on a broker.
func (c *many) on(id, broker BrokerID, topic string) (partitions []int32) {
	for _, p := range c.nodes[id].node.catalog.byName[topic].Partitions {
		if slices.Contains(brokersOf(p.Replicas), broker) {
			partitions = append(partitions, p.Index)
		}
	}
	return partitions
}

// While a broker is dead, new partitions are put on the others as far as they suffice, and never so that they
// couldn't elect a leader. (Kafka puts them on the dead one as well, if there is a living one for each partition.)
func TestNewPartitionsAvoidTheDead(t *testing.T) {
	c := newMany(t, 4, nil)
	c.createOn(1, "old", 1, 1)
	c.kill(4)
	c.until("broker 4 is missed", func() bool { return !c.nodes[1].node.alive(4) })
	for _, row := range []struct {
		topic    string
		replicas int16
		dead     int // partitions with a replica on the dead broker
	}{{"one", 1, 0}, {"two", 2, 0}, {"three", 3, 0}, {"four", 4, 8}} {
		if e := c.createOn(1, row.topic, 8, row.replicas); e != "NONE" {
			t.Fatalf("%s: %s", row.topic, e)
		}
		if on := c.on(1, 4, row.topic); len(on) != row.dead {
			t.Errorf("%s: partitions %v have a replica on the dead broker", row.topic, on)
		}
	}
	if e := c.grow(1, "old", 9); e != "NONE" || len(c.on(1, 4, "old")) > 0 {
		t.Errorf("%s, more partitions %v are on the dead broker", e, c.on(1, 4, "old"))
	}
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorKey = 3, "g"
	c.until("there is a coordinator", func() bool { return c.ask(1, find).(*kmsg.FindCoordinatorResponse).ErrorCode == 0 })
	if on := c.on(1, 4, groupsTopic); len(on) > 0 {
		t.Errorf("coordinators %v are on the dead broker", on)
	}
	name := "automatic"
	ask := kmsg.NewPtrMetadataRequest()
	ask.Version, ask.AllowAutoTopicCreation = 9, true
	ask.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
	if r := c.ask(1, ask).(*kmsg.MetadataResponse).Topics[0]; r.ErrorCode != 0 || len(c.on(1, 4, name)) > 0 {
		t.Errorf("%s; automatic partitions %v are on the dead broker", kafka.CodeName(r.ErrorCode), c.on(1, 4, name))
	}
	c.checkRefusedPlacements()
}

// checkRefusedPlacements asks, while broker 4 is dead, for what could not elect a leader.
func (c *many) checkRefusedPlacements() {
	c.t.Helper()
	for _, m := range c.nodes { // as if two more had no room
		if m.node != nil {
			m.node.receiveFull(2, true)
			m.node.receiveFull(3, true)
		}
	}
	if e := c.createOn(1, "refused", 1, 3); e != "INVALID_REPLICATION_FACTOR" {
		c.t.Errorf("three replicas of which two can't serve: %s", e)
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, 5000
	in := kmsg.NewCreateTopicsRequestTopic()
	in.Topic, in.NumPartitions, in.ReplicationFactor = "chosen", -1, -1
	in.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Replicas: []int32{4}}}
	req.Topics = append(req.Topics, in)
	if r := c.ask(1, req).(*kmsg.CreateTopicsResponse).Topics[0]; r.ErrorCode != kerr.InvalidReplicaAssignment.Code {
		c.t.Errorf("on the dead broker alone: %s", kafka.CodeName(r.ErrorCode))
	}
}
