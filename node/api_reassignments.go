// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// AlterPartitionReassignments, versions 0 to 1 (KIP-455), on any broker. The answer says that the
// catalog has taken the new placement; the move itself goes on (see replicas.go). A null list ends a
// move that is under way: the partition goes back to where it was. A partition that is named twice is an
// INVALID_REQUEST the second time; Kafka does the one and then the other.
func (n *Node) handleAlterReassignments(r *request, m kmsg.Request) {
	req := m.(*kmsg.AlterPartitionAssignmentsRequest)
	resp := kmsg.NewPtrAlterPartitionAssignmentsResponse()
	resp.AllowReplicationFactorChange = req.AllowReplicationFactorChange
	resp.Topics = make([]kmsg.AlterPartitionAssignmentsResponseTopic, len(req.Topics))
	w := waitFor(r, resp, 0)
	named := make(map[namedPartition]bool)
	n.eachPart(r, len(req.Topics), func(i int) int {
		t := &resp.Topics[i]
		*t = kmsg.NewAlterPartitionAssignmentsResponseTopic()
		t.Topic = req.Topics[i].Topic
		t.Partitions = make([]kmsg.AlterPartitionAssignmentsResponseTopicPartition, len(req.Topics[i].Partitions))
		w.left += len(t.Partitions)
		return len(t.Partitions)
	}, func(i, j int) {
		key := namedPartition{req.Topics[i].Topic, req.Topics[i].Partitions[j].Partition}
		n.alterReassignment(w, req, i, j, &resp.Topics[i].Partitions[j], named[key])
		named[key] = true
	}, func() { w.begin(req.TimeoutMillis) })
}

func (n *Node) alterReassignment(w *wait, req *kmsg.AlterPartitionAssignmentsRequest, i, j int, out *kmsg.AlterPartitionAssignmentsResponseTopicPartition, twice bool) {
	topic, in := req.Topics[i].Topic, &req.Topics[i].Partitions[j]
	*out = kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
	out.Partition = in.Partition
	finish := func(err error) {
		if out.ErrorCode = code(err); err != nil {
			out.ErrorMessage = errorText(err)
		}
		w.done()
	}
	switch {
	case twice:
		finish(kafka.Errorf(kerr.InvalidRequest, "partition %d of topic %.60q is named twice in the request", in.Partition, topic))
		return
	case in.Replicas != nil && len(in.Replicas) == 0: // null gives a move up
		finish(kafka.Errorf(kerr.InvalidReplicaAssignment, "no replicas; null, and not an empty list, gives a move up"))
		return
	case len(in.Replicas) > maxBrokers:
		finish(kafka.Errorf(kerr.InvalidReplicaAssignment, "%d replicas; a cluster has at most %d brokers", len(in.Replicas), maxBrokers))
		return
	}
	n.out.Work.Parts += len(in.Replicas)
	cmd := &reassign{Topic: topic, Partition: in.Partition}
	for _, b := range in.Replicas {
		cmd.Replicas = append(cmd.Replicas, BrokerID(b))
	}
	plan := func() (command, bool) {
		if err := n.checkReassignment(req, cmd); err != nil {
			finish(err)
			return command{}, false
		}
		cmd.From = &moveFrom{}
		if p := n.catalog.partition(topic, in.Partition); p != nil {
			*cmd.From = moveFrom{p.Group, p.Moves}
		}
		out.ErrorCode = kerr.RequestTimedOut.Code // until it is applied
		return command{Reassign: cmd}, true
	}
	var try func()
	try = func() {
		n.commands.submitPlan(w.request, plan, func(res commandResult) {
			if res.err == errOutdated {
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
	if err := n.checkPlacement([][]BrokerID{cmd.Replicas}); err != nil {
		return err
	}
	return n.catalog.checkHosted([][]BrokerID{newOn(p, cmd.Replicas)}, n.cfg.MaxPartitionsPerBroker)
}

// ListPartitionReassignments, version 0, on any broker: the moves under way.
func (n *Node) handleListReassignments(r *request, m kmsg.Request) {
	req := m.(*kmsg.ListPartitionReassignmentsRequest)
	resp := kmsg.NewPtrListPartitionReassignmentsResponse()
	n.eachAsked(r, req.Topics == nil, len(req.Topics), func(i int) (string, []int32) {
		return req.Topics[i].Topic, req.Topics[i].Partitions
	}, func(_ namedPartition, p *partitionMeta) {
		if p == nil || !p.moving() {
			return
		}
		if last := len(resp.Topics) - 1; last < 0 || resp.Topics[last].Topic != p.Topic.Name {
			out := kmsg.NewListPartitionReassignmentsResponseTopic()
			out.Topic = p.Topic.Name
			resp.Topics = append(resp.Topics, out)
		}
		out := &resp.Topics[len(resp.Topics)-1]
		out.Partitions = append(out.Partitions, describeMove(p))
	}, func() { r.reply(resp) })
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
