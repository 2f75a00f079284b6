// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// AlterPartitionReassignments, versions 0 to 1 (KIP-455), on any broker. The answer says that the
// catalog has taken the new placement; the move itself goes on (see replicas.go). A null list ends a
// move that is under way: the partition goes back to where it was.
func (n *Node) handleAlterReassignments(r *request, m kmsg.Request) {
	req := m.(*kmsg.AlterPartitionAssignmentsRequest)
	resp := kmsg.NewPtrAlterPartitionAssignmentsResponse()
	resp.AllowReplicationFactorChange = req.AllowReplicationFactorChange
	w := waitFor(r, resp, 0)
	for i := range req.Topics {
		t := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		t.Topic = req.Topics[i].Topic
		t.Partitions = make([]kmsg.AlterPartitionAssignmentsResponseTopicPartition, len(req.Topics[i].Partitions))
		w.left += len(t.Partitions)
		resp.Topics = append(resp.Topics, t)
		for j := range t.Partitions {
			n.alterReassignment(w, req, i, j, &t.Partitions[j])
		}
	}
	w.begin(req.TimeoutMillis)
}

func (n *Node) alterReassignment(w *wait, req *kmsg.AlterPartitionAssignmentsRequest, i, j int, out *kmsg.AlterPartitionAssignmentsResponseTopicPartition) {
	topic, in := req.Topics[i].Topic, &req.Topics[i].Partitions[j]
	*out = kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
	out.Partition = in.Partition
	finish := func(err error) {
		if w.request.done {
			return
		}
		if out.ErrorCode = code(err); err != nil {
			out.ErrorMessage = errorText(err)
		}
		w.done()
	}
	cmd := &reassign{Topic: topic, Partition: in.Partition}
	for _, b := range in.Replicas {
		cmd.Replicas = append(cmd.Replicas, BrokerID(b))
	}
	var try func()
	try = func() {
		if err := n.checkReassignment(req, cmd); err != nil {
			finish(err)
			return
		}
		cmd.From = &moveFrom{}
		if p := n.catalog.partition(topic, in.Partition); p != nil {
			*cmd.From = moveFrom{p.Group, p.Moves}
		}
		out.ErrorCode = kerr.RequestTimedOut.Code // until it is applied
		n.commands.submitFor(w.request, command{Reassign: cmd}, func(res commandResult) {
			if res.err == errOutdated && !w.request.done {
				try()
				return
			}
			finish(res.err)
		})
	}
	try()
}

func (n *Node) checkReassignment(req *kmsg.AlterPartitionAssignmentsRequest, cmd *reassign) error {
	p := n.catalog.partition(cmd.Topic, cmd.Partition)
	if p == nil || cmd.Replicas == nil {
		return nil // the command decides: this broker's catalog may lag
	}
	if req.Version >= 1 && !req.AllowReplicationFactorChange && len(cmd.Replicas) != len(p.Replicas) {
		return kafka.Errorf(kerr.InvalidReplicationFactor, "the partition has %d replicas; changing that isn't allowed by the request", len(p.Replicas))
	}
	return n.checkPlacement([][]BrokerID{cmd.Replicas})
}

// ListPartitionReassignments, version 0, on any broker: the moves under way.
func (n *Node) handleListReassignments(r *request, m kmsg.Request) {
	req := m.(*kmsg.ListPartitionReassignmentsRequest)
	resp := kmsg.NewPtrListPartitionReassignmentsResponse()
	for _, t := range n.catalog.topics {
		out := kmsg.NewListPartitionReassignmentsResponseTopic()
		out.Topic = t.Name
		for _, p := range t.Partitions {
			if p.moving() && asksFor(req, t.Name, p.Index) {
				out.Partitions = append(out.Partitions, describeMove(p))
			}
		}
		if len(out.Partitions) > 0 {
			resp.Topics = append(resp.Topics, out)
		}
	}
	r.reply(resp)
}

func asksFor(req *kmsg.ListPartitionReassignmentsRequest, topic string, partition int32) bool {
	if req.Topics == nil {
		return true
	}
	return slices.ContainsFunc(req.Topics, func(t kmsg.ListPartitionReassignmentsRequestTopic) bool {
		return t.Topic == topic && slices.Contains(t.Partitions, partition)
	})
}

func describeMove(p *partitionMeta) kmsg.ListPartitionReassignmentsResponseTopicPartition {
	out := kmsg.NewListPartitionReassignmentsResponseTopicPartition()
	out.Partition = p.Index
	for _, r := range p.goal() {
		out.Replicas = append(out.Replicas, int32(r.Broker))
		if !slices.Contains(p.Replicas, r) {
			out.AddingReplicas = append(out.AddingReplicas, int32(r.Broker))
		}
	}
	for _, r := range append(slices.Clone(p.Replicas), p.Leaving...) {
		if !slices.Contains(p.goal(), r) {
			out.Replicas = append(out.Replicas, int32(r.Broker))
			out.RemovingReplicas = append(out.RemovingReplicas, int32(r.Broker))
		}
	}
	return out
}

// UnregisterBroker, version 0 (KIP-631), on any broker: the broker leaves the cluster. It must not have
// a replica of any partition, and comes back only as a new replica. The answer comes when the others no
// longer count on its vote in group 0 either: only then it may be switched off.
func (n *Node) handleUnregisterBroker(r *request, m kmsg.Request) {
	resp := kmsg.NewPtrUnregisterBrokerResponse()
	resp.ErrorCode = kerr.RequestTimedOut.Code // until it is done
	id := BrokerID(m.(*kmsg.UnregisterBrokerRequest).BrokerID)
	n.commands.submitFor(r, command{Remove: &removeBroker{id}}, func(res commandResult) {
		if r.done {
			return
		}
		n.catalog.whenLeft(id, func() {
			if r.done {
				return
			}
			if resp.ErrorCode = code(res.err); res.err != nil {
				resp.ErrorMessage = errorText(res.err)
			}
			r.reply(resp)
		})
	})
	r.expireAfter(unregisterTimeout, func() { r.reply(resp) })
}

// departure is a removed broker that group 0 still counts on, and who waits for the end of that.
type departure struct {
	broker BrokerID
	done   func()
}

// whenLeft calls done when a removed broker has no replica of group 0 any more, and at once for any
// other broker.
func (c *catalog) whenLeft(id BrokerID, done func()) {
	if b := c.broker(id); b == nil || !b.Removed || !c.group.hasReplica(id) {
		done()
		return
	}
	c.leaving = append(c.leaving, departure{id, done})
}

// replicasChanged is called when the replicas of group 0 did.
func (c *catalog) replicasChanged() {
	waiting := c.leaving
	c.leaving = nil
	for _, d := range waiting {
		c.whenLeft(d.broker, d.done)
	}
}

// unregisterTimeout bounds what has no time-out in the request.
const unregisterTimeout = 10 * time.Second

// ElectLeaders, versions 0 to 2 (KIP-183, KIP-460), on any broker: the preferred replica, the first
// of the placement, takes over. Unclean elections are not served: a replica that lacks committed
// records never leads. No topics means all that aren't led by their preferred replica.
func (n *Node) handleElectLeaders(r *request, m kmsg.Request) {
	req := m.(*kmsg.ElectLeadersRequest)
	resp := kmsg.NewPtrElectLeadersResponse()
	if req.ElectionType != 0 {
		resp.ErrorCode = kerr.InvalidRequest.Code
		r.reply(resp)
		return
	}
	if req.Topics == nil {
		req.Topics = n.unpreferred()
	}
	e := &election{node: n, wait: waitFor(r, resp, 0)}
	for i := range req.Topics {
		t := kmsg.NewElectLeadersResponseTopic()
		t.Topic = req.Topics[i].Topic
		t.Partitions = make([]kmsg.ElectLeadersResponseTopicPartition, len(req.Topics[i].Partitions))
		e.wait.left += len(t.Partitions)
		resp.Topics = append(resp.Topics, t)
		for j := range t.Partitions {
			t.Partitions[j] = kmsg.NewElectLeadersResponseTopicPartition()
			t.Partitions[j].Partition = req.Topics[i].Partitions[j]
			e.begin(n.catalog.partition(t.Topic, t.Partitions[j].Partition), &t.Partitions[j])
		}
	}
	e.wait.begin(req.TimeoutMillis)
	e.check()
}

// unpreferred lists the partitions that are led by another than their preferred replica.
func (n *Node) unpreferred() []kmsg.ElectLeadersRequestTopic {
	var topics []kmsg.ElectLeadersRequestTopic
	for _, t := range n.catalog.topics {
		in := kmsg.NewElectLeadersRequestTopic()
		in.Topic = t.Name
		for _, p := range t.Partitions {
			if leader, _ := n.leaderOf(p); leader != p.Replicas[0].Broker {
				in.Partitions = append(in.Partitions, p.Index)
			}
		}
		if len(in.Partitions) > 0 {
			topics = append(topics, in)
		}
	}
	return topics
}

// election waits for preferred replicas to lead.
type election struct {
	node *Node
	wait *wait
	open []electing
}

type electing struct {
	meta *partitionMeta
	out  *kmsg.ElectLeadersResponseTopicPartition
}

func (e *election) begin(p *partitionMeta, out *kmsg.ElectLeadersResponseTopicPartition) {
	n := e.node
	switch {
	case p == nil:
		out.ErrorCode = kerr.UnknownTopicOrPartition.Code
		e.wait.done()
		return
	case !n.alive(p.Replicas[0].Broker):
		out.ErrorCode = kerr.PreferredLeaderNotAvailable.Code
		e.wait.done()
		return
	}
	leader, _ := n.leaderOf(p)
	if leader == p.Replicas[0].Broker {
		out.ErrorCode = kerr.ElectionNotNeeded.Code
		e.wait.done()
		return
	}
	out.ErrorCode = kerr.RequestTimedOut.Code // until it leads
	e.open = append(e.open, electing{p, out})
}

// electionCheck is how often a waiting election looks whether the leader has changed, and says again
// who should lead.
const electionCheck = 50 // ms

func (e *election) check() {
	rest := e.open[:0]
	for _, el := range e.open {
		leader, _ := e.node.leaderOf(el.meta)
		if leader == el.meta.Replicas[0].Broker {
			el.out.ErrorCode = 0
			if !e.wait.request.done {
				e.wait.done()
			}
			continue
		}
		rest = append(rest, el)
		if leader == e.node.self {
			e.node.receivePreferred(el.meta.Group)
		} else if peer := e.node.peer(leader); peer != nil {
			peer.envelope = binary.AppendUvarint(append(peer.begin(), itemPreferred), uint64(el.meta.Group))
		}
	}
	if e.open = rest; len(e.open) > 0 && !e.wait.request.done {
		e.node.deadlines.add(e.node.now.Add(millis(electionCheck)), e.check)
	}
}

// receivePreferred takes another broker's wish that a group's preferred replica takes over.
func (n *Node) receivePreferred(id GroupID) {
	g, p := n.group(id), n.catalog.byGroup[id]
	if g != nil && p != nil && g.serving {
		g.balance(p.Replicas[0].Broker)
	}
}
