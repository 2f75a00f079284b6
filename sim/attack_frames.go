// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/sim/keyed"
	"chronik/sim/plan"
)

// What hostile clients send. Each frame follows from the attack's numbers and draws of its own.

// Names of the attackers' own.
const (
	preyTopic = "prey" // what is produced to it unfolds to very much
	preyGroup = "prey"

	refusedTopic = "refused" // doesn't fit on all brokers together
)

// frame makes the next frame of an attack.
func (a *attacker) frame(w *world) []byte {
	d := a.draw(w)
	switch a.spec.Kind {
	case plan.AttackGarbage:
		return noise(d, a.spec.Size)
	case plan.AttackMangled, plan.AttackConnect:
		return mangle(d, a.request(w, sampleKinds[d.Next().Below(int64(len(sampleKinds)))], 3, 100, d))
	}
	return a.request(w, a.spec.Kind, a.spec.Names, a.spec.Size, d)
}

// sampleKinds are those whose requests are mangled.
var sampleKinds = []plan.AttackKind{plan.AttackNames, plan.AttackRepeat, plan.AttackTopics, plan.AttackJoin, plan.AttackOffsets, plan.AttackBomb, plan.AttackFlood, plan.AttackPoll, plan.AttackWait, plan.AttackCrowd}

func noise(d keyed.Draw, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		d = d.Next()
		b[i] = byte(d)
	}
	return b
}

// mangle spoils a frame in one of the ways in which broken clients and attackers do.
func mangle(d keyed.Draw, frame []byte) []byte {
	at := d.Next().Below(int64(len(frame)))
	switch d.Below(5) {
	case 0: // cut
		return frame[:at]
	case 1: // an absurd length, or one
		for i := at; i < min(at+4, int64(len(frame))); i++ {
			frame[i] = 0x7f
		}
	case 2: // a length of -1 or 2^32-1, or a varint without an end
		for i := at; i < min(at+8, int64(len(frame))); i++ {
			frame[i] = 0xff
		}
	case 3: // another version than the body's
		binary.BigEndian.PutUint16(frame[2:], uint16(d.Next().Next().Between(-2, 20)))
	case 4: // another request's key
		binary.BigEndian.PutUint16(frame, uint16(d.Next().Next().Between(-1, 100)))
	}
	return frame
}

func (a *attacker) request(w *world, kind plan.AttackKind, names, size int, d keyed.Draw) []byte {
	req := a.message(w, kind, names, size, d)
	if f, ok := req.(*kmsg.FetchRequest); ok {
		strangeSession(d.Next().Next().Next().Next(), f)
	}
	if req.GetVersion() < 0 || req.GetVersion() > req.MaxVersion() {
		panic("an attacker's request has a version that there is")
	}
	return kafka.AppendRequest(nil, int32(a.sent), "hostile", req)
}

func (a *attacker) message(w *world, kind plan.AttackKind, names, size int, d keyed.Draw) kmsg.Request {
	topic := a.spec.Topic
	if topic == "" {
		topic = preyTopic
	}
	switch kind {
	case plan.AttackNames:
		return manyNames(d, names)
	case plan.AttackRepeat:
		return repeated(d, topic, names)
	case plan.AttackCrowd:
		return crowded(d, topic, max(1, names))
	case plan.AttackTopics:
		return newTopics(d, a.spec.ID, names)
	case plan.AttackJoin:
		return newMember(d, size)
	case plan.AttackOffsets:
		return manyOffsets(w, topic, names, size)
	case plan.AttackBomb:
		return bomb(size)
	case plan.AttackForge:
		return forged(a.sent, size)
	case plan.AttackProducers:
		return anotherProducer(d, a.sent == 1)
	case plan.AttackGroups:
		return anotherGroup(d, a.sent == 1)
	case plan.AttackPoll:
		return longPoll(topic, names)
	case plan.AttackHerd:
		return herd(d, a.sent)
	case plan.AttackLimits:
		return beyondLimits(w, d, a.spec.ID, topic, names)
	case plan.AttackWait:
		return waiting(d, topic, names)
	}
	return floodFetch(w, topic)
}

// manyNames asks about topics that aren't there: what they are, or whether they could be made.
func manyNames(d keyed.Draw, n int) kmsg.Request {
	name := func(i int) string { return fmt.Sprintf("nobody%d", i) }
	if d.Next().Ratio(1, 3) {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Version, req.ValidateOnly, req.TimeoutMillis = 5, true, 1000
		for i := range n {
			t := kmsg.NewCreateTopicsRequestTopic()
			t.Topic, t.NumPartitions, t.ReplicationFactor = name(i), 1, -1
			req.Topics = append(req.Topics, t)
		}
		return req
	}
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 9
	for i := range n {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name(i))
		req.Topics = append(req.Topics, t)
	}
	return req
}

// repeated names one partition, topic or group many times.
func repeated(d keyed.Draw, topic string, n int) kmsg.Request {
	switch d.Next().Below(7) {
	case 0, 1:
		req := kmsg.NewPtrListOffsetsRequest()
		req.Version = 7
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = topic
		for range n {
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Timestamp = d.Next().Next().Between(-3, 2)
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
		return req
	case 2:
		return repeatedFetch(topic, n)
	case 3:
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Version, req.TimeoutMillis = 5, 1000
		for range n {
			t := kmsg.NewCreateTopicsRequestTopic()
			t.Topic, t.NumPartitions, t.ReplicationFactor = preyTopic, 1, -1
			req.Topics = append(req.Topics, t)
		}
		return req
	case 4:
		return repeatedOffsetFetch(n)
	case 5:
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.Version = 1
		for range n {
			r := kmsg.NewDescribeConfigsRequestResource()
			r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
			req.Resources = append(req.Resources, r)
		}
		return req
	}
	return repeatedMetadata(topic, n)
}

func repeatedFetch(topic string, n int) kmsg.Request { return fetchNaming(topic, n, 500, 1<<20) }

// fetchNaming names partition 0 n times.
func fetchNaming(topic string, n int, maxWaitMillis, minBytes int32) kmsg.Request {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 11, maxWaitMillis, minBytes, 1<<30
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	for range n {
		p := kmsg.NewFetchRequestTopicPartition()
		p.PartitionMaxBytes, p.CurrentLeaderEpoch = 1<<30, -1
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

func repeatedOffsetFetch(n int) kmsg.Request {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version = 8
	for range n {
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group = preyGroup
		req.Groups = append(req.Groups, g)
	}
	return req
}

func repeatedMetadata(topic string, n int) kmsg.Request {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 9
	for range n {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &topic
		req.Topics = append(req.Topics, t)
	}
	return req
}

// newTopics makes topics, or lets them be made.
func newTopics(d keyed.Draw, id, n int) kmsg.Request {
	name := func(i int) string { return fmt.Sprintf("made%dx%d", id, i) }
	if d.Next().Ratio(1, 2) {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Version, req.TimeoutMillis = 5, 1000
		for i := range n {
			t := kmsg.NewCreateTopicsRequestTopic()
			t.Topic, t.NumPartitions, t.ReplicationFactor = name(i), 1, -1
			req.Topics = append(req.Topics, t)
		}
		return req
	}
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.AllowAutoTopicCreation = 9, true
	for i := range n {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name(i))
		req.Topics = append(req.Topics, t)
	}
	return req
}

// newMember joins a group with much to say, and is never heard again.
func newMember(d keyed.Draw, size int) kmsg.Request {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version = 3 // no id is promised first: each is a member at once
	req.Group, req.ProtocolType = preyGroup, "consumer"
	req.SessionTimeoutMillis = int32(plan.ShortestSession / millisecond)
	req.RebalanceTimeoutMillis = req.SessionTimeoutMillis
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = "range", noise(d, size)
	req.Protocols = append(req.Protocols, p)
	return req
}

// manyOffsets commits offsets of partitions that may not even exist.
func manyOffsets(w *world, topic string, n, size int) kmsg.Request {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation = 7, preyGroup, -1
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = topic
	text := string(make([]byte, size))
	for i := range n {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.Metadata = int32(i%(2+len(w.brokers))), int64(i), &text
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

// herd makes a member of one of two large groups, or asks for all that the group is.
func herd(d keyed.Draw, number int) kmsg.Request {
	const classic, modern = preyGroup + "-herd", preyGroup + "-flock"
	switch d.Next().Below(12) {
	case 0:
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Version, req.Groups = 5, []string{classic}
		return req
	case 1:
		req := kmsg.NewPtrConsumerGroupDescribeRequest()
		req.Groups = []string{modern}
		return req
	case 2, 3, 4:
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Version, req.Group, req.MemberID, req.RebalanceTimeoutMillis = 1, modern, fmt.Sprint("m", number), 1000
		req.SubscribedTopicNames, req.Topics = []string{preyTopic}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		return req
	}
	req := newMember(d.Next(), 8).(*kmsg.JoinGroupRequest)
	req.Group = classic
	return req
}

// beyondLimits asks for something that no broker may make in worlds with hostile clients (see mostReplicas): what comes of it
// is seen at once (judge.discover). Groups without members are made only where no member of a polite one could be refused for it.
func beyondLimits(w *world, d keyed.Draw, id int, topic string, n int) kmsg.Request {
	switch x := d.Next().Below(6); {
	case x == 0: // or there are no coordinators
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.Version, req.CoordinatorKey = 3, preyGroup
		return req
	case x <= 3 && w.plan.FewGroups():
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Version, req.Group, req.Generation = 7, fmt.Sprintf("beyond%d.%d", id, d.Next().Next().Below(int64(n))), -1
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic, t.Partitions = topic, []kmsg.OffsetCommitRequestTopicPartition{kmsg.NewOffsetCommitRequestTopicPartition()}
		req.Topics = append(req.Topics, t)
		return req
	case x == 4:
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.Version, req.TimeoutMillis = 1, 1000
		t := kmsg.NewCreatePartitionsRequestTopic()
		t.Topic, t.Count = topic, mostReplicas*plan.MaxBrokers+1
		req.Topics = append(req.Topics, t)
		return req
	case x == 5:
		return configureGroup(fmt.Sprintf("beyond%d.%d", id, d.Next().Next().Below(int64(n))), d.Next().Next().Next().Below(4))
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 5, 1000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = refusedTopic, mostReplicas*plan.MaxBrokers+1, 1
	req.Topics = append(req.Topics, t)
	return req
}

// configureGroup sets a configuration of a group, or deletes it. No group of that name is needed, and none has members.
func configureGroup(name string, x int64) *kmsg.IncrementalAlterConfigsRequest {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeGroupConfig, name
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Op = "consumer.session.timeout.ms", kmsg.IncrementalAlterConfigOpDelete
	if x > 0 {
		c.Op, c.Value = kmsg.IncrementalAlterConfigOpSet, kmsg.StringPtr(strconv.FormatInt(45000+x, 10))
	}
	r.Configs = append(r.Configs, c)
	req.Resources = append(req.Resources, r)
	return req
}
