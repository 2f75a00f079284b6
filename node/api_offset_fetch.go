// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node/acl"
)

// OffsetFetch, versions 1 to 10.
//
//	v2  null topics mean all
//	v3  flexible from v6; v5 leader epoch
//	v7  require stable: an offset that a transaction is about to change is UNSTABLE_OFFSET_COMMIT
//	v8  many groups (KIP-709)
//	v9  member id and epoch, of groups of the new protocol
//	v10 topic ids
//
// An offset that was never committed is -1, without an error. The answer is linearizable: a majority
// confirms first that this broker still is the coordinator, or a member whose group moved could go
// back to what its predecessor committed. Kafka answers a group twice that is named twice; here the second is an
// INVALID_REQUEST, since all the offsets of a group can be asked for by its name.
func (n *Node) handleOffsetFetch(r *request, m kmsg.Request) {
	req := m.(*kmsg.OffsetFetchRequest)
	f := &offsetFetch{node: n, request: r, version: req.Version, stable: req.RequireStable, groups: req.Groups, resp: kmsg.NewPtrOffsetFetchResponse(), left: 1}
	if req.Version < 8 {
		f.groups = []kmsg.OffsetFetchRequestGroup{oneGroup(req)}
	}
	f.resp.Groups = make([]kmsg.OffsetFetchResponseGroup, 0, len(f.groups))
	f.reads = make(map[*coordinator]*offsetRead)
	f.named = make(map[string]bool)
	r.expireAfter(coordinatorTimeout, f.walk)
	n.each(r, len(f.groups), f.begin, f.done)
}

// offsetFetch is an answer in the making, in the form of version 8 and later. First a majority is asked whether this
// broker still is the coordinator, then one offset after the other is looked up.
type offsetFetch struct {
	node    *Node
	request *request
	version int16
	stable  bool // is demanded of offsets
	groups  []kmsg.OffsetFetchRequestGroup
	resp    *kmsg.OffsetFetchResponse
	reads   map[*coordinator]*offsetRead
	named   map[string]bool
	left    int           // of reads, and one for the request itself
	from    []*offsetRead // for each group, what it waits for; nil: it has an error
	walking bool

	group, topic, part int   // where the walk is: the next of each
	code, topicCode    int16 // of the group and the topic under way
	stored             *storedGroup
	parts              []int32 // of the topic under way
	after              string  // all are asked for: the last topic that was begun
}

// offsetRead is the question to a majority on behalf of all groups of one coordinator.
type offsetRead struct {
	coordinator *coordinator
	err         error // until it is answered: errNotLeader
}

// begin looks who is the coordinator of a group.
func (f *offsetFetch) begin(i int) {
	in, out := &f.groups[i], kmsg.NewOffsetFetchResponseGroup()
	out.Group = in.Group
	c, err := f.node.coordinatorOf(in.Group)
	if f.named[in.Group] {
		err = kerr.InvalidRequest
	}
	if !f.request.may(acl.Describe, acl.Group, in.Group) {
		err = errGroupRight
	}
	f.named[in.Group] = true
	out.ErrorCode = f.request.code(err)
	f.resp.Groups = append(f.resp.Groups, out)
	f.from = append(f.from, nil)
	if err != nil {
		return
	}
	read := f.reads[c]
	if read == nil {
		read = &offsetRead{coordinator: c, err: errNotLeader}
		f.reads[c] = read
		f.left++
		c.group.readIndex(f.request, func(err error) {
			read.err = err
			f.done()
		})
	}
	f.from[i] = read
}

func (f *offsetFetch) done() {
	if f.left--; f.left == 0 {
		f.walk()
	}
}

// walk looks up what is asked for. It begins when all majorities have answered, or had the time for it.
func (f *offsetFetch) walk() {
	if !f.walking {
		f.walking = true
		f.node.inPieces(f.request, f.more, f.reply)
	}
}

// more takes the next partition, topic or group.
func (f *offsetFetch) more() bool {
	switch {
	case f.part < len(f.parts):
		f.node.out.Work.Parts++
		f.addPart(f.parts[f.part])
		f.part++
	case f.beginTopic():
		f.node.out.Work.Names++
	case f.group < len(f.resp.Groups):
		f.node.out.Work.Names++
		f.beginGroup()
	}
	return f.part < len(f.parts) || f.group < len(f.resp.Groups) || f.topicsLeft()
}

func (f *offsetFetch) beginGroup() {
	in, out, read := &f.groups[f.group], &f.resp.Groups[f.group], f.from[f.group]
	f.group++
	f.topic, f.after, f.stored = 0, "", &storedGroup{}
	switch {
	case read == nil:
	case errors.Is(read.err, errTooManyWaits):
		out.ErrorCode = kerr.CoordinatorLoadInProgress.Code // retriable for every client
	case read.err != nil:
		out.ErrorCode = kerr.NotCoordinator.Code
	default:
		out.ErrorCode = f.request.code(read.coordinator.admitFetch(in))
		if g := read.coordinator.find(in.Group); g != nil {
			f.stored = &g.stored
		}
	}
	f.code = out.ErrorCode
}

// asked returns the group under way, nil before the first.
func (f *offsetFetch) asked() *kmsg.OffsetFetchRequestGroup {
	if f.group == 0 {
		return nil
	}
	return &f.groups[f.group-1]
}

// topicsLeft reports whether the group under way has more topics. Before version 2 there is no place for an error but
// in partitions.
func (f *offsetFetch) topicsLeft() bool {
	in := f.asked()
	switch {
	case in == nil || f.code != 0 && f.version >= 2:
		return false
	case in.Topics == nil:
		return f.nextStored() != nil
	}
	return f.topic < len(in.Topics)
}

// nextStored returns the next topic of which the group has offsets, when all are asked for.
func (f *offsetFetch) nextStored() *topicOffsets {
	i, ok := f.stored.topic(f.after)
	if ok {
		i++
	}
	if i >= len(f.stored.topics) {
		return nil
	}
	return &f.stored.topics[i]
}

// beginTopic begins with the next topic of the group under way, if there is one.
func (f *offsetFetch) beginTopic() bool {
	if !f.topicsLeft() {
		return false
	}
	in, out := f.asked(), kmsg.NewOffsetFetchResponseGroupTopic()
	f.part, f.parts, f.topicCode = 0, nil, f.code
	if in.Topics == nil {
		t := f.nextStored()
		f.after, out.Topic = t.name, t.name
		if f.request.permitted(acl.Describe, acl.Topic, t.name) {
			f.parts = f.node.committedParts(t)
		}
		if meta := f.node.catalog.byName[t.name]; meta != nil {
			out.TopicID = meta.uuid
		}
		if len(f.parts) == 0 {
			return true
		}
	} else {
		t := &in.Topics[f.topic]
		f.topic++
		name, err := f.node.topicName(f.version >= 10, t.Topic, t.TopicID)
		if err == nil {
			err = f.request.topicRight(acl.Describe, name)
		}
		if f.parts, out.Topic, out.TopicID = t.Partitions, name, t.TopicID; f.code == 0 {
			f.topicCode = f.request.code(err)
		}
	}
	out.Partitions = make([]kmsg.OffsetFetchResponseGroupTopicPartition, 0, len(f.parts))
	g := &f.resp.Groups[f.group-1]
	g.Topics = append(g.Topics, out)
	return true
}

// oneGroup brings a request from before version 8 into the form of later ones.
func oneGroup(req *kmsg.OffsetFetchRequest) kmsg.OffsetFetchRequestGroup {
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = req.Group
	if req.Topics != nil || req.Version < 2 {
		g.Topics = []kmsg.OffsetFetchRequestGroupTopic{}
	}
	for _, t := range req.Topics {
		g.Topics = append(g.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: t.Topic, Partitions: t.Partitions})
	}
	return g
}

// reply answers in the form of the version that was asked.
func (f *offsetFetch) reply() {
	if f.version >= 8 {
		f.request.reply(f.resp)
		return
	}
	g := f.resp.Groups[0]
	f.resp.Groups, f.resp.ErrorCode = nil, g.ErrorCode
	f.node.eachPart(f.request, len(g.Topics), func(i int) int {
		old := kmsg.NewOffsetFetchResponseTopic()
		old.Topic, old.Partitions = g.Topics[i].Topic, make([]kmsg.OffsetFetchResponseTopicPartition, 0, len(g.Topics[i].Partitions))
		f.resp.Topics = append(f.resp.Topics, old)
		return len(g.Topics[i].Partitions)
	}, func(i, j int) {
		old := &f.resp.Topics[i]
		old.Partitions = append(old.Partitions, kmsg.OffsetFetchResponseTopicPartition(g.Topics[i].Partitions[j]))
	}, func() { f.request.reply(f.resp) })
}

// admitFetch reports why a member may not fetch offsets now; who isn't a member always may.
func (c *coordinator) admitFetch(in *kmsg.OffsetFetchRequestGroup) error {
	if g := c.find(in.Group); g != nil && g.isModern() && in.MemberID != nil && in.MemberEpoch >= 0 {
		return g.stored.modern.admit(*in.MemberID, in.MemberEpoch)
	}
	return nil
}

// addPart looks up a partition of the topic under way.
func (f *offsetFetch) addPart(partition int32) {
	g := &f.resp.Groups[f.group-1]
	t := &g.Topics[len(g.Topics)-1]
	out := noOffset(partition)
	if out.ErrorCode = f.topicCode; out.ErrorCode == 0 && f.stable && f.stored.unstable(t.Topic, partition) {
		out.ErrorCode = kerr.UnstableOffsetCommit.Code
	}
	if out.ErrorCode == 0 {
		if o := f.stored.find(t.Topic, partition); o != nil && !f.node.orphaned(t.Topic, o) {
			text := o.metadata
			out.Offset, out.LeaderEpoch, out.Metadata = o.offset, o.leaderEpoch, &text
		}
	}
	t.Partitions = append(t.Partitions, out)
}

// committedParts lists the partitions of a topic for which offsets are committed.
func (n *Node) committedParts(t *topicOffsets) (parts []int32) {
	n.out.Work.Parts += len(t.partitions) / 8
	for i := range t.partitions {
		if !n.orphaned(t.name, t.partitions[i]) {
			parts = append(parts, t.partitions[i].partition)
		}
	}
	return parts
}

func noOffset(partition int32) kmsg.OffsetFetchResponseGroupTopicPartition {
	out := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	out.Partition, out.Offset, out.LeaderEpoch, out.Metadata = partition, -1, -1, new(string)
	return out
}
