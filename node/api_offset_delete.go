// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/acl"
	"chronik/node/consumers"
)

// OffsetDelete, version 0 (KIP-496): forgets offsets of topics that no member subscribes to.
func (n *Node) handleOffsetDelete(r *request, m kmsg.Request) {
	req := m.(*kmsg.OffsetDeleteRequest)
	d := &offsetDelete{node: n, request: r, req: req, resp: kmsg.NewPtrOffsetDeleteResponse()}
	g, err := n.groupOf(req.Group, kerr.GroupIDNotFound)
	if err != nil {
		d.fail(err)
		return
	}
	d.group, d.names, d.membership = g, make(map[string]bool), g.membership()
	members, look := g.subscriptions(d)
	n.each(r, members, func(i int) {
		if err == nil {
			err = look(i)
		}
	}, func() {
		if err != nil {
			d.fail(err)
			return
		}
		d.resp.Topics = make([]kmsg.OffsetDeleteResponseTopic, 0, len(req.Topics))
		n.eachPart(r, len(req.Topics), func(int) int { return len(d.patterns) }, d.match, func() {
			n.eachPart(r, len(req.Topics), d.begin, d.add, d.commit)
		})
	})
}

// offsetDelete is a deletion in the making.
type offsetDelete struct {
	node       *Node
	request    *request
	req        *kmsg.OffsetDeleteRequest
	resp       *kmsg.OffsetDeleteResponse
	group      *consumerGroup
	names      map[string]bool // of topics that members subscribe to
	patterns   []*consumers.Pattern
	subscribed bool // members subscribe to the topic under way
	denied     error
	membership membership
	records    []kafka.Record
}

func (d *offsetDelete) fail(err error) {
	d.resp.Topics, d.resp.ErrorCode = nil, code(err)
	d.request.reply(d.resp)
}

// match looks whether a topic matches a regular expression that members subscribe to.
func (d *offsetDelete) match(i, pattern int) {
	t, p := d.req.Topics[i].Topic, d.patterns[pattern]
	if len(t) > maxTopicName || d.names[t] {
		return
	}
	d.node.out.Work.Parts += p.Size * len(t) / 256
	d.names[t] = p.Matches(t)
}

// begin begins with a topic.
func (d *offsetDelete) begin(i int) int {
	out := kmsg.NewOffsetDeleteResponseTopic()
	out.Topic = d.req.Topics[i].Topic
	out.Partitions = make([]kmsg.OffsetDeleteResponseTopicPartition, 0, len(d.req.Topics[i].Partitions))
	d.resp.Topics = append(d.resp.Topics, out)
	d.subscribed, d.denied = d.names[out.Topic], d.request.topicRight(acl.Read, out.Topic)
	return len(d.req.Topics[i].Partitions)
}

// add marks a partition's offset for deletion. One that is named twice is marked twice, and deleted once.
func (d *offsetDelete) add(i, j int) {
	t, out := d.req.Topics[i].Topic, kmsg.NewOffsetDeleteResponseTopicPartition()
	out.Partition = d.req.Topics[i].Partitions[j].Partition
	switch {
	case d.denied != nil:
		out.ErrorCode = code(d.denied)
	case d.node.catalog.partition(t, out.Partition) == nil && d.group.stored.find(t, out.Partition) == nil:
		out.ErrorCode = kerr.UnknownTopicOrPartition.Code
	case d.subscribed:
		out.ErrorCode = kerr.GroupSubscribedToTopic.Code
	case d.group.stored.find(t, out.Partition) != nil:
		d.records = append(d.records, offsetTombstone(d.group.id, t, out.Partition))
	}
	d.resp.Topics[i].Partitions = append(d.resp.Topics[i].Partitions, out)
}

// commit writes the deletions, if the group is still there.
func (d *offsetDelete) commit() {
	live, r := d.group.classic, d.request
	switch {
	case live == nil: // another broker is the coordinator now
		d.fail(kerr.NotCoordinator)
		return
	case live.state == groupDead:
		d.fail(kerr.GroupIDNotFound)
		return
	case d.group.membership() != d.membership: // somebody may subscribe by now
		d.fail(kerr.NonEmptyGroup)
		return
	case len(d.records) == 0:
		r.reply(d.resp)
		return
	}
	answer := thenWith(r, func(err error) {
		d.resp.ErrorCode = code(err)
		r.reply(d.resp)
	})
	d.group.coordinator.propose(d.records, func(err error) {
		live.forgetIfUnused()
		answer(err)
	})
	r.expireAfter(coordinatorTimeout, func() { d.fail(kerr.CoordinatorNotAvailable) })
}

// membership tells whether members came or went between two looks.
type membership struct {
	modern  bool
	epoch   int32
	state   groupState
	members int
}

func (g *consumerGroup) membership() membership {
	switch {
	case g.classic == nil:
		return membership{}
	case g.isModern():
		return membership{true, g.stored.modern.Epoch, 0, len(g.stored.modern.members)}
	}
	return membership{false, g.classic.generation, g.classic.state, len(g.classic.members)}
}

// maxSubscription bounds what is parsed of a member's own words, in bytes: parsing takes some sixty
// times as much memory.
const maxSubscription = 1 << 20

// subscriptions returns the number of a group's members, and what notes the topics that one of them subscribes to.
// Members that don't speak the consumer protocol don't say, so none of their group's offsets can go while they are
// there.
func (g *consumerGroup) subscriptions(d *offsetDelete) (members int, look func(i int) error) {
	if g.isModern() {
		all, known := slices.Clone(g.stored.modern.members), make(map[string]bool)
		return len(all), func(i int) error { return d.lookModern(all[i], known) }
	}
	if g.classic.state == groupDead {
		return 1, func(int) error { return kerr.GroupIDNotFound }
	}
	all, protocolType := slices.Clone(g.classic.members), g.classic.protocolType
	return len(all), func(i int) error { return d.lookClassic(protocolType, all[i]) }
}

func (d *offsetDelete) lookModern(m *modernMember, known map[string]bool) error {
	d.node.out.Work.Parts += len(m.Topics)
	for _, t := range m.Topics {
		d.names[t] = true
	}
	if m.Regex == "" || known[m.Regex] {
		return nil
	}
	known[m.Regex] = true
	pattern, err := consumers.TopicPattern(m.Regex)
	if err == nil { // another release may know others
		d.node.out.Work.Parts += pattern.Size / 4
		d.patterns = append(d.patterns, pattern)
	}
	return nil
}

func (d *offsetDelete) lookClassic(protocolType string, m *groupMember) error {
	for _, p := range m.protocols {
		var said kmsg.ConsumerMemberMetadata
		if protocolType != "consumer" || len(p.Metadata) > maxSubscription || said.ReadFrom(p.Metadata) != nil {
			return kerr.NonEmptyGroup
		}
		d.node.out.Work.Parts += len(said.Topics)
		for _, t := range said.Topics {
			d.names[t] = true
		}
	}
	return nil
}
