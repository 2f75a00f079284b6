// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// OffsetCommit, versions 2 to 10.
//
//	v2  retention time, until v4: ignored, as in Kafka since 2.1
//	v6  leader epoch
//	v7  static members
//	v8  flexible
//	v9  of members of the new protocol: the generation is the member's epoch
//	v10 topic ids
//
// All offsets of a request become one entry, and are answered when it is committed. A commit without
// generation and member is an administrator's, or of a consumer that assigns partitions by itself,
// and is taken while the group has no members.
func (n *Node) handleOffsetCommit(r *request, m kmsg.Request) {
	req := m.(*kmsg.OffsetCommitRequest)
	g, err := n.groupToCommit(req)
	if err == nil {
		err = g.admitCommit(req)
	}
	if err != nil {
		r.reply(committed(req, code(err)))
		return
	}
	resp := committed(req, 0)
	records := g.classic.offsetRecords(req, resp)
	switch {
	case len(records) == 0:
		g.classic.forgetIfUnused()
		r.reply(resp)
	case batchBytes(records) > int(n.cfg.MaxMessageBytes):
		g.classic.forgetIfUnused()
		r.reply(committed(req, kerr.InvalidCommitOffsetSize.Code))
	default:
		g.classic.commit(r, records, resp)
	}
}

// groupToCommit finds the group, or makes one that has no members.
func (n *Node) groupToCommit(req *kmsg.OffsetCommitRequest) (*consumerGroup, error) {
	c, err := n.coordinatorOf(req.Group)
	if err != nil {
		return nil, err
	}
	if req.Generation >= 0 && c.find(req.Group) == nil {
		if req.Version >= 9 {
			return nil, kerr.GroupIDNotFound
		}
		return nil, kerr.IllegalGeneration
	}
	return c.open(req.Group)
}

// committed answers every partition of a request alike.
func committed(req *kmsg.OffsetCommitRequest, code int16) *kmsg.OffsetCommitResponse {
	resp := kmsg.NewPtrOffsetCommitResponse()
	for i := range req.Topics {
		t := kmsg.NewOffsetCommitResponseTopic()
		t.Topic, t.TopicID = req.Topics[i].Topic, req.Topics[i].TopicID
		for j := range req.Topics[i].Partitions {
			p := kmsg.NewOffsetCommitResponseTopicPartition()
			p.Partition, p.ErrorCode = req.Topics[i].Partitions[j].Partition, code
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

// admitCommit reports why a client may not commit now.
func (g *consumerGroup) admitCommit(req *kmsg.OffsetCommitRequest) error {
	if !g.isModern() {
		return g.classic.admitCommit(req)
	}
	s := g.stored.modern
	if req.Generation < 0 && len(s.members) == 0 {
		return nil
	}
	if err := s.admit(req.MemberID, req.Generation); err != nil && req.Version < 9 {
		return kafka.Errorf(kerr.UnsupportedVersion, "members of the new protocol commit by version 9 or later")
	} else if err != nil {
		return err
	}
	return nil
}

// admit reports why somebody isn't a member in its current epoch.
func (s *modernState) admit(id string, epoch int32) error {
	m := s.member(id)
	switch {
	case m == nil:
		return kerr.UnknownMemberID
	case m.Epoch != epoch:
		return kerr.StaleMemberEpoch
	}
	return nil
}

// admitCommit is the classic protocol's part. While members join the old generation may
// still commit; once its successor has begun it may not.
func (g *classicGroup) admitCommit(req *kmsg.OffsetCommitRequest) error {
	switch {
	case g.state == groupDead:
		return kerr.CoordinatorNotAvailable
	case req.Generation < 0 && g.state == groupEmpty:
		return nil
	}
	m, err := g.current(req.MemberID, req.InstanceID, req.Generation)
	switch {
	case err != nil:
		return err
	case g.state == groupCompleting:
		return kerr.RebalanceInProgress
	}
	g.heard(m)
	return nil
}

// offsetRecords makes records of the offsets that can be committed and notes in resp why others can't.
func (g *classicGroup) offsetRecords(req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse) (records []kafka.Record) {
	for i := range req.Topics {
		t := &req.Topics[i]
		topic, err := g.node.topicName(req.Version >= 10, t.Topic, t.TopicID)
		for j := range t.Partitions {
			in := &t.Partitions[j]
			meta := g.node.catalog.partition(topic, in.Partition)
			switch {
			case err != nil:
				resp.Topics[i].Partitions[j].ErrorCode = code(err)
				continue
			case meta == nil:
				resp.Topics[i].Partitions[j].ErrorCode = kerr.UnknownTopicOrPartition.Code
				continue
			case in.Metadata != nil && len(*in.Metadata) > maxOffsetMetadata:
				resp.Topics[i].Partitions[j].ErrorCode = kerr.OffsetMetadataTooLarge.Code
				continue
			}
			o := committedOffset{
				partition: in.Partition, offset: in.Offset, leaderEpoch: in.LeaderEpoch,
				committed: g.node.stampMs(), topicID: meta.Topic.id(),
			}
			if in.Metadata != nil {
				o.metadata = *in.Metadata
			}
			records = append(records, offsetRecord(g.of.id, topic, &o))
		}
	}
	return records
}

// commit answers when the records are committed. An answer that the time-out gave says nothing about
// whether they will be.
func (g *classicGroup) commit(r *request, records []kafka.Record, resp *kmsg.OffsetCommitResponse) {
	fail := func(e *kerr.Error) {
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				if p := &resp.Topics[i].Partitions[j]; p.ErrorCode == 0 {
					p.ErrorCode = e.Code
				}
			}
		}
		r.reply(resp)
	}
	g.commits++
	g.node.event(Event{Kind: EventOffsetCommit, Group: g.group(), N: int64(len(records)), Text: g.of.id})
	g.of.coordinator.propose(records, func(err error) {
		g.commits--
		g.forgetIfUnused()
		switch {
		case r.done:
		case err != nil:
			fail(kerr.NotCoordinator)
		default:
			r.reply(resp)
		}
	})
	r.expireAfter(coordinatorTimeout, func() { fail(kerr.CoordinatorNotAvailable) })
}

// OffsetFetch, versions 1 to 10.
//
//	v2  null topics mean all
//	v3  flexible from v6; v5 leader epoch
//	v7  require stable: there are no transactions, so every offset is
//	v8  many groups (KIP-709)
//	v9  member id and epoch, of groups of the new protocol
//	v10 topic ids
//
// An offset that was never committed is -1, without an error. The answer is linearizable: a majority
// confirms first that this broker still is the coordinator, or a member whose group moved could go
// back to what its predecessor committed.
func (n *Node) handleOffsetFetch(r *request, m kmsg.Request) {
	req := m.(*kmsg.OffsetFetchRequest)
	groups := req.Groups
	if req.Version < 8 {
		groups = []kmsg.OffsetFetchRequestGroup{oneGroup(req)}
	}
	f := &offsetFetch{request: r, version: req.Version, resp: kmsg.NewPtrOffsetFetchResponse(), left: 1}
	f.resp.Groups = make([]kmsg.OffsetFetchResponseGroup, len(groups))
	for i := range groups {
		f.left++
		f.resp.Groups[i] = kmsg.NewOffsetFetchResponseGroup()
		f.resp.Groups[i].Group = groups[i].Group
		f.fail(&groups[i], &f.resp.Groups[i], kerr.NotCoordinator) // until there is an answer
		n.fetchOffsets(f, &groups[i], &f.resp.Groups[i])
	}
	f.done()
	r.expireAfter(coordinatorTimeout, f.reply)
}

// offsetFetch is an answer in the making, in the form of version 8 and later.
type offsetFetch struct {
	request *request
	version int16
	resp    *kmsg.OffsetFetchResponse
	left    int
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

func (f *offsetFetch) done() {
	if f.left--; f.left == 0 && !f.request.done {
		f.reply()
	}
}

// reply answers in the form of the version that was asked.
func (f *offsetFetch) reply() {
	if f.version >= 8 {
		f.request.reply(f.resp)
		return
	}
	g := f.resp.Groups[0]
	f.resp.Groups, f.resp.ErrorCode = nil, g.ErrorCode
	for _, t := range g.Topics {
		old := kmsg.NewOffsetFetchResponseTopic()
		old.Topic = t.Topic
		for _, p := range t.Partitions {
			old.Partitions = append(old.Partitions, kmsg.OffsetFetchResponseTopicPartition(p))
		}
		f.resp.Topics = append(f.resp.Topics, old)
	}
	f.request.reply(f.resp)
}

func (n *Node) fetchOffsets(f *offsetFetch, in *kmsg.OffsetFetchRequestGroup, out *kmsg.OffsetFetchResponseGroup) {
	finish := func(err error) {
		if out.ErrorCode = 0; err != nil {
			f.fail(in, out, err)
		}
		f.done()
	}
	c, err := n.coordinatorOf(in.Group)
	if err != nil {
		finish(err)
		return
	}
	c.group.readIndex(func(ok bool) {
		switch {
		case f.request.done:
		case !ok:
			finish(kerr.NotCoordinator)
		default:
			err := c.admitFetch(in)
			if err == nil {
				out.Topics = c.offsets(in, f.version >= 10)
			}
			finish(err)
		}
	})
}

// fail answers one group with an error. Before version 2 there is no place for it but in partitions.
func (f *offsetFetch) fail(in *kmsg.OffsetFetchRequestGroup, out *kmsg.OffsetFetchResponseGroup, err error) {
	if out.ErrorCode = code(err); f.version < 2 {
		out.Topics = failedOffsets(in.Topics, out.ErrorCode)
	}
}

func failedOffsets(topics []kmsg.OffsetFetchRequestGroupTopic, code int16) (out []kmsg.OffsetFetchResponseGroupTopic) {
	for _, t := range topics {
		o := kmsg.NewOffsetFetchResponseGroupTopic()
		o.Topic = t.Topic
		for _, p := range t.Partitions {
			none := noOffset(p)
			none.ErrorCode = code
			o.Partitions = append(o.Partitions, none)
		}
		out = append(out, o)
	}
	return out
}

// admitFetch reports why a member may not fetch offsets now; who isn't a member always may.
func (c *coordinator) admitFetch(in *kmsg.OffsetFetchRequestGroup) error {
	if g := c.find(in.Group); g != nil && g.isModern() && in.MemberID != nil && in.MemberEpoch >= 0 {
		return g.stored.modern.admit(*in.MemberID, in.MemberEpoch)
	}
	return nil
}

// offsets answers what is asked of one group, or all that is committed if nothing in particular is.
func (c *coordinator) offsets(in *kmsg.OffsetFetchRequestGroup, byID bool) (out []kmsg.OffsetFetchResponseGroupTopic) {
	stored := &storedGroup{}
	if g := c.find(in.Group); g != nil {
		stored = &g.stored
	}
	topics := in.Topics
	if topics == nil {
		topics = stored.all(c.node)
	}
	for _, t := range topics {
		topic, err := c.node.topicName(byID, t.Topic, t.TopicID)
		o := kmsg.NewOffsetFetchResponseGroupTopic()
		o.Topic, o.TopicID = topic, t.TopicID
		for _, p := range t.Partitions {
			one := c.offset(stored, topic, p)
			one.ErrorCode = code(err)
			o.Partitions = append(o.Partitions, one)
		}
		out = append(out, o)
	}
	return out
}

// all names every partition with a committed offset.
func (s *storedGroup) all(n *Node) (topics []kmsg.OffsetFetchRequestGroupTopic) {
	for _, t := range s.topics {
		in := kmsg.OffsetFetchRequestGroupTopic{Topic: t.name}
		if meta := n.catalog.byName[t.name]; meta != nil {
			in.TopicID = meta.uuid
		}
		for i := range t.partitions {
			if !n.orphaned(t.name, &t.partitions[i]) {
				in.Partitions = append(in.Partitions, t.partitions[i].partition)
			}
		}
		if len(in.Partitions) > 0 {
			topics = append(topics, in)
		}
	}
	return topics
}

func (c *coordinator) offset(s *storedGroup, topic string, partition int32) kmsg.OffsetFetchResponseGroupTopicPartition {
	out := noOffset(partition)
	if o := s.find(topic, partition); o != nil && !c.node.orphaned(topic, o) {
		out.Offset, out.LeaderEpoch, out.Metadata = o.offset, o.leaderEpoch, &o.metadata
	}
	return out
}

func noOffset(partition int32) kmsg.OffsetFetchResponseGroupTopicPartition {
	out := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	out.Partition, out.Offset, out.LeaderEpoch, out.Metadata = partition, -1, -1, new(string)
	return out
}

// OffsetDelete, version 0 (KIP-496): forgets offsets of topics that no member subscribes to.
func (n *Node) handleOffsetDelete(r *request, m kmsg.Request) {
	req := m.(*kmsg.OffsetDeleteRequest)
	resp := kmsg.NewPtrOffsetDeleteResponse()
	g, err := n.groupOf(req.Group, kerr.GroupIDNotFound)
	subscribed := []string(nil)
	if err == nil {
		subscribed, err = g.subscribed()
	}
	if err != nil {
		resp.ErrorCode = code(err)
		r.reply(resp)
		return
	}
	records := g.deletions(req, resp, subscribed)
	if len(records) == 0 {
		r.reply(resp)
		return
	}
	live := g.classic
	g.coordinator.propose(records, func(err error) {
		live.forgetIfUnused()
		if !r.done {
			resp.ErrorCode = code(err)
			r.reply(resp)
		}
	})
	r.expireAfter(coordinatorTimeout, func() {
		resp.ErrorCode = kerr.CoordinatorNotAvailable.Code
		r.reply(resp)
	})
}

func (g *consumerGroup) deletions(req *kmsg.OffsetDeleteRequest, resp *kmsg.OffsetDeleteResponse, subscribed []string) (records []kafka.Record) {
	for _, t := range req.Topics {
		out := kmsg.NewOffsetDeleteResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			o := kmsg.NewOffsetDeleteResponseTopicPartition()
			o.Partition = p.Partition
			switch {
			case slices.Contains(subscribed, t.Topic):
				o.ErrorCode = kerr.GroupSubscribedToTopic.Code
			case g.stored.find(t.Topic, p.Partition) != nil:
				records = append(records, offsetTombstone(g.id, t.Topic, p.Partition))
			}
			out.Partitions = append(out.Partitions, o)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return records
}

// maxSubscription bounds what is parsed of a member's own words, in bytes: parsing takes some sixty
// times as much memory.
const maxSubscription = 1 << 20

// subscribed lists the topics that members subscribe to. Members that don't speak the consumer
// protocol don't say, so none of their group's offsets can go while they are there.
func (g *consumerGroup) subscribed() (topics []string, err error) {
	if !g.isModern() {
		return g.classic.subscribed()
	}
	for _, m := range g.stored.modern.members {
		topics = append(topics, m.Topics...)
		for _, t := range g.coordinator.node.subscription(m) {
			topics = append(topics, g.coordinator.node.catalog.byGroup[t.Topic].Topic.Name)
		}
	}
	return topics, nil
}

func (g *classicGroup) subscribed() (topics []string, err error) {
	if g.state == groupDead {
		return nil, kerr.GroupIDNotFound
	}
	for _, m := range g.members {
		for _, p := range m.protocols {
			var said kmsg.ConsumerMemberMetadata
			if g.protocolType != "consumer" || len(p.Metadata) > maxSubscription || said.ReadFrom(p.Metadata) != nil {
				return nil, kerr.NonEmptyGroup
			}
			topics = append(topics, said.Topics...)
		}
	}
	return topics, nil
}
