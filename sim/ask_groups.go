// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node"
)

// Asks about consumer groups. The groups are the askers' own: nobody of the plan's members is disturbed. That of the simple asks
// never has a member, so it is known what its offsets may be.

const simpleGroup = "asks-simple"

// groupRequest makes the request of an ask about groups; nil if it is about something else.
func (a *asking) groupRequest() kmsg.Request {
	simple := a.what() == "simple"
	switch a.spec.Kind.API() {
	case "FindCoordinator":
		return a.findOdd()
	case "JoinGroup":
		return a.joinOdd()
	case "SyncGroup":
		req := kmsg.NewPtrSyncGroupRequest()
		req.Group, req.MemberID, req.Generation = a.oddGroup(), "nobody", int32(a.pick(3))
		return req
	case "Heartbeat":
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.MemberID, req.Generation = a.oddGroup(), "nobody", int32(a.pick(3))
		return req
	case "LeaveGroup":
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group, req.MemberID = a.oddGroup(), "nobody"
		for i := range 1 + a.pick(2) {
			m := kmsg.NewLeaveGroupRequestMember()
			m.MemberID = fmt.Sprint("nobody", i)
			req.Members = append(req.Members, m)
		}
		return req
	case "OffsetCommit":
		if simple {
			return a.commitSimple()
		}
		return a.commitOdd()
	case "OffsetFetch":
		return a.offsetFetch(simple)
	case "DeleteGroups":
		return a.deleteGroups(simple)
	case "OffsetDelete":
		return a.offsetDelete(simple)
	case "ConsumerGroupHeartbeat":
		return a.beatOdd()
	case "DescribeGroups":
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups = a.groupNames()
		return req
	case "ConsumerGroupDescribe":
		req := kmsg.NewPtrConsumerGroupDescribeRequest()
		req.Groups = a.groupNames()
		return req
	case "ListGroups":
		req := kmsg.NewPtrListGroupsRequest()
		if a.pick(2) == 1 {
			req.StatesFilter, req.TypesFilter = []string{"Stable", "Empty"}, []string{"classic"}
		}
		return req
	}
	return nil
}

// oddGroup is a group, or none.
func (a *asking) oddGroup() string {
	if a.pick(6) == 0 {
		return ""
	}
	return a.group
}

// groupNames are the askers' group, maybe twice, and one of the plan's.
func (a *asking) groupNames() []string {
	names := []string{a.oddGroup()}
	if a.pick(3) == 0 {
		return names
	}
	if a.pick(2) == 1 {
		names = append(names, names[0], "nobody's")
	}
	if m := a.world.plan.Members; len(m) > 0 {
		names = append(names, m[0].Group)
	}
	return names
}

func (a *asking) findOdd() kmsg.Request {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKey = []string{"asks-a", ""}[a.pick(4)/3]
	req.CoordinatorKeys = []string{req.CoordinatorKey, "asks-b"}
	req.CoordinatorType = int8([]int64{0, 0, 0, 1, 2}[a.pick(5)])
	return req
}

func (a *asking) joinOdd() kmsg.Request {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.ProtocolType = a.oddGroup(), "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 1000, 1000
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name = "range"
	if a.pick(2) == 1 {
		said := kmsg.NewConsumerMemberMetadata()
		said.Topics = []string{a.spec.Topic}
		p.Metadata = said.AppendTo(nil)
	}
	req.Protocols = append(req.Protocols, p)
	switch a.pick(6) {
	case 0:
		req.SessionTimeoutMillis = 1
	case 1:
		req.MemberID = "nobody"
	case 2:
		req.Protocols = nil
	case 3:
		req.ProtocolType = "another"
	case 4:
		req.InstanceID = kmsg.StringPtr("asker")
	}
	return req
}

func (a *asking) beatOdd() kmsg.Request {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.RebalanceTimeoutMillis = a.oddGroup(), fmt.Sprint("m", a.pick(3)), 1000
	req.SubscribedTopicNames, req.Topics = []string{a.spec.Topic}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	switch a.pick(7) {
	case 0:
		req.ServerAssignor = kmsg.StringPtr("nothing")
	case 1:
		req.MemberEpoch = 5
	case 2:
		req.MemberEpoch = -1
	case 3:
		req.MemberEpoch = -7
	case 4:
		req.InstanceID = kmsg.StringPtr("asker")
	case 5:
		req.Version = 1
		req.SubscribedTopicNames, req.SubscribedTopicRegex = nil, kmsg.StringPtr("nothing.*")
	}
	return req
}

// committing begins a commit of an offset.
func (a *asking) committing() *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = a.group, -1
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic, t.TopicID = a.spec.Topic, a.id()
	req.Topics = append(req.Topics, t)
	return req
}

func (a *asking) commitOdd() kmsg.Request {
	req := a.committing()
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset = a.spec.Partition, a.pick(1000)
	switch a.pick(8) {
	case 0:
		p.Metadata = kmsg.StringPtr(strings.Repeat("m", 5000))
	case 1:
		req.Generation = 5
	case 2:
		req.Generation, req.MemberID = 1, "nobody"
	case 3:
		req.Topics[0].Topic, req.Topics[0].TopicID = noSuchTopic, [16]byte{15: 0xfe}
	case 4:
		req.Group = ""
	case 5:
		req.Topics = nil
		return req
	case 6:
		req.InstanceID, req.Generation = kmsg.StringPtr("asker"), 1
		req.Version = max(a.spec.Version, 7)
	}
	req.Topics[0].Partitions = append(req.Topics[0].Partitions, p)
	if a.pick(2) == 1 {
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic, t.TopicID, t.Partitions = noSuchTopic, [16]byte{15: 0xfe}, req.Topics[0].Partitions
		req.Topics = append(req.Topics, t)
	}
	return req
}

// simpleWrite is a change of an offset of the simple group.
type simpleWrite struct {
	partition   string
	offset      int64 // -1: it is deleted
	text        string
	from, ended node.Time // ended: node.Never if it isn't acknowledged
}

// writes notes a change under way, and returns its place.
func (a *asking) writes(partition string, offset int64, text string) int {
	w := a.world
	w.simple = append(w.simple, simpleWrite{partition, offset, text, w.now, node.Never})
	return len(w.simple) - 1
}

// commitSimple commits offsets as a consumer does that assigns partitions by itself.
func (a *asking) commitSimple() kmsg.Request {
	if a.world.doomed[a.spec.Topic] {
		return nil
	}
	req := a.committing()
	if req.SetVersion(a.spec.Version); req.Version >= 10 && a.world.topicIDs[a.spec.Topic] == noTopicID {
		req.Version = 9
	}
	t := &req.Topics[0]
	for i := range a.topic.Partitions {
		if i != a.spec.Partition && a.pick(2) == 0 {
			continue
		}
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset = i, int64(a.spec.ID)*1000
		if a.pick(3) > 0 {
			p.Metadata = kmsg.StringPtr(fmt.Sprint("ask ", a.spec.ID))
		}
		t.Partitions = append(t.Partitions, p)
		if a.pick(4) == 0 { // named twice: the last counts
			p.Offset++
			t.Partitions = append(t.Partitions, p)
		}
	}
	for i := range t.Partitions {
		p, text := &t.Partitions[i], ""
		if p.Metadata != nil {
			text = *p.Metadata
		}
		if i+1 == len(t.Partitions) || t.Partitions[i+1].Partition != p.Partition {
			a.wrote = append(a.wrote, a.writes(partitionName(a.spec.Topic, p.Partition), p.Offset, text))
		}
	}
	return req
}

func (a *asking) offsetFetch(simple bool) kmsg.Request {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = a.group
	if !simple {
		req.Group = a.oddGroup()
	}
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = req.Group
	if a.what() == "no-such-id" {
		req.Version, g.Group = 10, a.group
		g.Topics = []kmsg.OffsetFetchRequestGroupTopic{{TopicID: a.id(), Partitions: []int32{a.spec.Partition}}}
		req.Groups = append(req.Groups, g)
		return req
	}
	all := a.pick(3) == 0
	if !all || a.spec.Version < 2 {
		var parts []int32
		for i := range a.topic.Partitions {
			parts = append(parts, i)
		}
		req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: a.spec.Topic, Partitions: parts}}
		g.Topics = []kmsg.OffsetFetchRequestGroupTopic{{Topic: a.spec.Topic, TopicID: a.id(), Partitions: parts}}
	}
	req.Groups = append(req.Groups, g)
	if !simple {
		switch a.pick(4) {
		case 0:
			req.Groups = append(req.Groups, g)
		case 1:
			g.Group = "nobody's"
			req.Groups = append(req.Groups, g)
		case 2:
			req.Groups[0].MemberID, req.Groups[0].MemberEpoch = kmsg.StringPtr("nobody"), 3
		}
	}
	return req
}

func (a *asking) deleteGroups(simple bool) kmsg.Request {
	req := kmsg.NewPtrDeleteGroupsRequest()
	if !simple {
		req.Groups = []string{a.oddGroup(), "nobody's"}[:1+a.pick(2)]
		return req
	}
	req.Groups = []string{a.group}
	for i := range a.world.plan.Topics {
		t := &a.world.plan.Topics[i]
		for p := range t.Partitions {
			a.wrote = append(a.wrote, a.writes(partitionName(t.Name, p), -1, ""))
		}
	}
	return req
}

func (a *asking) offsetDelete(simple bool) kmsg.Request {
	req := kmsg.NewPtrOffsetDeleteRequest()
	req.Group = a.group
	t := kmsg.NewOffsetDeleteRequestTopic()
	t.Topic = a.spec.Topic
	for i := range a.topic.Partitions {
		if simple && i != a.spec.Partition {
			continue
		}
		p := kmsg.NewOffsetDeleteRequestTopicPartition()
		p.Partition = i
		t.Partitions = append(t.Partitions, p)
	}
	if simple {
		a.wrote = append(a.wrote, a.writes(partitionName(a.spec.Topic, a.spec.Partition), -1, ""))
	} else {
		req.Group = []string{a.group, "", "nobody's"}[a.pick(3)]
	}
	req.Topics = append(req.Topics, t)
	return req
}

// wroteAll notes that what the ask wrote is acknowledged.
func (a *asking) wroteAll() {
	for _, i := range a.wrote {
		a.world.simple[i].ended = a.world.now
	}
}

// simpleAnswered takes the answer to an ask about the simple group.
func (a *asking) simpleAnswered(codes []string, resp kmsg.Response) {
	if !slices.Equal(codes, []string{"OK"}) {
		return // nobody knows what came of it
	}
	switch resp := resp.(type) {
	case *kmsg.OffsetFetchResponse:
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				a.readSimple(t.Topic, p.Partition, p.Offset, p.Metadata)
			}
		}
		for _, g := range resp.Groups {
			for _, t := range g.Topics {
				for _, p := range t.Partitions {
					a.readSimple(a.nameOf(t.Topic, t.TopicID), p.Partition, p.Offset, p.Metadata)
				}
			}
		}
	default:
		a.wroteAll()
	}
}

// nameOf is the name of a topic that is answered by its id.
func (a *asking) nameOf(name string, id [16]byte) string {
	for i := range a.world.plan.Topics {
		if t := a.world.plan.Topics[i].Name; name == "" && id != noTopicID && a.world.topicIDs[t] == id {
			return t
		}
	}
	return name
}

// readSimple demands that an offset is one that was written, and not overwritten before it was asked for. A write that nobody
// answered for may come any time.
func (a *asking) readSimple(topic string, partition int32, offset int64, text *string) {
	w, name := a.world, partitionName(topic, partition)
	if w.plan.Topic(topic) == nil || w.doomed[topic] || offset < 0 && !w.clocksRight {
		return
	}
	possible := []simpleWrite{{partition: name, offset: -1}}
	for i := range w.simple {
		if w.simple[i].partition == name {
			possible = append(possible, w.simple[i])
		}
	}
	for _, x := range possible {
		overwritten := slices.ContainsFunc(possible, func(y simpleWrite) bool {
			return x.ended != node.Never && y.from >= x.ended && y.ended <= a.sentAt && y != x && y.ended > 0
		})
		if x.offset == offset && !overwritten && (offset < 0 || text != nil && *text == x.text) {
			return
		}
	}
	w.fail("committed-offset", "ask %d: group %s is said to have committed offset %d of %s (%q); what it may have is one of %v", a.spec.ID, simpleGroup, offset, name, textOf(text), possible)
}

func textOf(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}
