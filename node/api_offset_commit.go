// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/acl"
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
	o := &offsetCommit{node: n, request: r, req: req, resp: kmsg.NewPtrOffsetCommitResponse(), size: batchBytes(nil)}
	o.resp.Topics = make([]kmsg.OffsetCommitResponseTopic, 0, len(req.Topics))
	n.eachPart(r, len(req.Topics), o.begin, o.add, func() { o.commit(r) })
}

// offsetCommit is what a request wants to commit, in the making.
type offsetCommit struct {
	node    *Node
	request *request
	req     *kmsg.OffsetCommitRequest
	resp    *kmsg.OffsetCommitResponse
	topic   string // the name of the topic under way, or why it is unknown
	err     error
	records []kafka.Record
	wanted  []wantedOffset // of records
	size    int            // of their batch
}

// commit is called when all offsets have been looked at.
func (o *offsetCommit) commit(r *request) {
	g, err := o.node.groupToCommit(o.req)
	if err == nil {
		err = g.admitCommit(o.req)
	}
	switch {
	case err != nil:
		o.failAll(r.code(err))
		r.reply(o.resp)
	case len(o.records) == 0:
		g.classic.forgetIfUnused()
		r.reply(o.resp)
	case o.tooLarge() || !g.hasRoomFor(o.wanted):
		g.classic.forgetIfUnused()
		o.failAll(kerr.InvalidCommitOffsetSize.Code)
		r.reply(o.resp)
	default:
		g.classic.commit(r, o.records, o.resp)
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

// failAll answers every partition of the request alike.
func (o *offsetCommit) failAll(code int16) {
	for i := range o.resp.Topics {
		for j := range o.resp.Topics[i].Partitions {
			if p := &o.resp.Topics[i].Partitions[j]; p.ErrorCode != kerr.TopicAuthorizationFailed.Code {
				p.ErrorCode = code
			}
		}
	}
}

// tooLarge reports whether the offsets don't fit into one entry.
func (o *offsetCommit) tooLarge() bool { return o.size > int(o.node.cfg.MaxMessageBytes) }

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

// begin begins with a topic.
func (o *offsetCommit) begin(i int) int {
	in, out := &o.req.Topics[i], kmsg.NewOffsetCommitResponseTopic()
	out.Topic, out.TopicID = in.Topic, in.TopicID
	out.Partitions = make([]kmsg.OffsetCommitResponseTopicPartition, 0, len(in.Partitions))
	o.resp.Topics = append(o.resp.Topics, out)
	if o.topic, o.err = o.node.topicName(o.req.Version >= 10, in.Topic, in.TopicID); o.err == nil {
		o.err = o.request.topicRight(acl.Read, o.topic)
	}
	return len(in.Partitions)
}

// add makes a record of an offset that can be committed, or says why it can't be. A partition that is named twice gets
// the last of its offsets, as in Kafka.
func (o *offsetCommit) add(i, j int) {
	in, out := &o.req.Topics[i].Partitions[j], kmsg.NewOffsetCommitResponseTopicPartition()
	out.Partition = in.Partition
	meta := o.node.catalog.partition(o.topic, in.Partition)
	switch {
	case o.err != nil:
		out.ErrorCode = code(o.err)
	case meta == nil:
		out.ErrorCode = kerr.UnknownTopicOrPartition.Code
	case in.Metadata != nil && len(*in.Metadata) > o.node.cfg.OffsetMetadataBytes:
		out.ErrorCode = kerr.OffsetMetadataTooLarge.Code
	case !o.tooLarge():
		offset := committedOffset{
			partition: in.Partition, offset: in.Offset, leaderEpoch: in.LeaderEpoch,
			committed: o.node.stampMs(), topicID: meta.Topic.id(),
		}
		if in.Metadata != nil {
			offset.metadata = *in.Metadata
		}
		o.records = append(o.records, offsetRecord(o.req.Group, o.topic, &offset))
		o.wanted = append(o.wanted, wantedOffset{namedPartition{o.topic, in.Partition}, offset.bytes()})
		o.size += recordBytes(&o.records[len(o.records)-1])
	}
	t := &o.resp.Topics[i]
	t.Partitions = append(t.Partitions, out)
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
	answer := thenWith(r, func(err error) {
		if err != nil {
			fail(kerr.NotCoordinator)
		} else {
			r.reply(resp)
		}
	})
	g.commits++
	g.offsets += len(records)
	g.node.event(Event{Kind: EventOffsetCommit, Group: g.group(), N: int64(len(records)), Text: g.of.id})
	g.of.coordinator.propose(records, func(err error) {
		g.commits--
		g.offsets -= len(records)
		g.forgetIfUnused()
		answer(err)
	})
	r.expireAfter(coordinatorTimeout, func() { fail(kerr.CoordinatorNotAvailable) })
}
