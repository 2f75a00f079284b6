// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/acl"
)

// CreateTopics, versions 0 to 7, on any broker.
//
//	v1  validate_only
//	v4  -1 partitions or replicas mean the defaults (KIP-464)
//	v5  flexible; the answer echoes counts and configuration (KIP-525)
//	v7  topic ids
//
// A topic is created by a command in group 0. The answer comes when this broker has applied it and
// knows the partitions' leaders; the other brokers follow within a replication round.
func (n *Node) handleCreateTopics(r *request, m kmsg.Request) {
	req := m.(*kmsg.CreateTopicsRequest)
	onceEach(r, req.Topics, func(t *kmsg.CreateTopicsRequestTopic) string { return t.Topic }, func(once []kmsg.CreateTopicsRequestTopic, twice map[string]bool) {
		req.Topics = once
		if n.partitionsIn(req, twice) > maxPartitions {
			n.refuseCreation(r, req)
		} else {
			n.createTopics(r, req, twice)
		}
	})
}

// partitionsIn counts the partitions that a request asks for, without those of topics that it names twice.
func (n *Node) partitionsIn(req *kmsg.CreateTopicsRequest, twice map[string]bool) (total int) {
	n.out.Work.Elements += len(req.Topics) / 16
	for i := range req.Topics {
		switch t := &req.Topics[i]; {
		case twice[t.Topic]:
		case len(t.ReplicaAssignment) > 0:
			total += len(t.ReplicaAssignment)
		case t.NumPartitions == -1:
			total += int(n.cfg.DefaultPartitions)
		default:
			total += max(0, int(t.NumPartitions))
		}
	}
	return total
}

// refuseCreation refuses a request that asks for too many partitions, all of it and whatever else is wrong, as
// Kafka does (ReplicationControlManager.validateTotalNumberOfPartitions).
func (n *Node) refuseCreation(r *request, req *kmsg.CreateTopicsRequest) {
	err := kafka.Errorf(kerr.PolicyViolation, "more than %d partitions in one request; create them with several", maxPartitions)
	resp := kmsg.NewPtrCreateTopicsResponse()
	resp.Topics = make([]kmsg.CreateTopicsResponseTopic, len(req.Topics))
	n.each(r, len(req.Topics), func(i int) {
		out := &resp.Topics[i]
		*out = kmsg.NewCreateTopicsResponseTopic()
		out.Topic, out.ErrorCode, out.ErrorMessage = req.Topics[i].Topic, code(err), errorText(err)
		out.NumPartitions, out.ReplicationFactor = -1, -1
	}, func() { r.reply(resp) })
}

func (n *Node) createTopics(r *request, req *kmsg.CreateTopicsRequest, twice map[string]bool) {
	resp := kmsg.NewPtrCreateTopicsResponse()
	resp.Topics = make([]kmsg.CreateTopicsResponseTopic, len(req.Topics))
	w := waitFor(r, resp, len(req.Topics))
	n.each(r, len(req.Topics), func(i int) {
		in, out := &req.Topics[i], &resp.Topics[i]
		*out = kmsg.NewCreateTopicsResponseTopic()
		out.Topic = in.Topic
		out.NumPartitions, out.ReplicationFactor = -1, -1
		n.out.Work.Names += 5 // its configuration is laid out in the answer
		cmd, err := n.plannedTopic(r, req, in, twice[in.Topic])
		if err != errTopicRight && len(n.candidates().able) == 0 && !n.catalog.group.hasRoom() { // not the fault of what is asked for
			err = errNoRoomToGrow
		}
		if err == nil && n.catalog.byName[in.Topic] == nil {
			err = r.takeMutations(len(cmd.Replicas), 6)
		}
		answer := func(err error) { n.plannedAnswer(r, out, cmd, err, i < mostDescribed) }
		if err != nil || req.ValidateOnly {
			answer(err)
			w.done()
			return
		}
		out.ErrorCode = kerr.RequestTimedOut.Code // until it is applied
		n.commands.submitFor(r, command{CreateTopic: cmd}, func(res commandResult) {
			answer(res.err)
			var created []*partitionMeta
			if t := n.catalog.byName[cmd.Name]; res.err == nil && t != nil {
				out.TopicID, created = t.uuid, t.Partitions
			}
			if res.err == nil && len(cmd.Replicas[0]) == 2 {
				n.event(Event{Kind: EventTwoReplicas, Text: cmd.Name})
			}
			n.whenLed(r, created, w.done)
		})
	}, func() { w.begin(req.TimeoutMillis) })
}

// plannedTopic checks what a client wants and decides the placement.
func (n *Node) plannedTopic(r *request, req *kmsg.CreateTopicsRequest, in *kmsg.CreateTopicsRequestTopic, twice bool) (*createTopic, error) {
	if twice {
		return nil, kafka.Errorf(kerr.InvalidRequest, "topic %q is named twice in the request", in.Topic)
	}
	if !r.mayCreate(in.Topic) {
		return nil, errTopicRight
	}
	if err := checkTopicName(in.Topic); err != nil {
		return nil, err
	}
	if isBrokersOwn(in.Topic) {
		return nil, kafka.Errorf(kerr.InvalidTopicException, "%s is made by the brokers when the first client needs it", in.Topic)
	}
	if req.ValidateOnly && n.catalog.byName[in.Topic] != nil { // otherwise the command decides: we may lag
		return nil, kafka.Errorf(kerr.TopicAlreadyExists, "topic %q exists", in.Topic)
	}
	if err := n.catalog.checkCollision(in.Topic); req.ValidateOnly && err != nil {
		return nil, err
	}
	placement, err := n.plannedPlacement(in)
	if err != nil {
		return nil, err
	}
	configs, err := topicConfigs(in.Configs, len(placement[0]))
	if err != nil {
		return nil, err
	}
	return &createTopic{Name: in.Topic, Replicas: placement, Configs: configs, Distinct: true}, nil
}

// maxPartitions bounds one topic, and all that one request creates, so that a typing error can't take the cluster down.
const maxPartitions = 10000

func (n *Node) plannedPlacement(in *kmsg.CreateTopicsRequestTopic) ([][]BrokerID, error) {
	if len(in.ReplicaAssignment) > 0 {
		return n.chosenPlacement(in)
	}
	partitions, replicas := in.NumPartitions, in.ReplicationFactor
	if partitions == -1 {
		partitions = n.cfg.DefaultPartitions
	}
	if replicas == -1 {
		replicas = n.defaultReplicas()
	}
	if partitions < 1 || partitions > maxPartitions {
		return nil, kafka.Errorf(kerr.InvalidPartitions, "%d partitions; use 1 to %d, or -1 for the default", partitions, maxPartitions)
	}
	return n.place(partitions, replicas)
}

func (n *Node) chosenPlacement(in *kmsg.CreateTopicsRequestTopic) ([][]BrokerID, error) {
	if in.NumPartitions != -1 || in.ReplicationFactor != -1 {
		return nil, kafka.Errorf(kerr.InvalidRequest, "with a replica assignment, partitions and replication factor must be -1")
	}
	if len(in.ReplicaAssignment) > maxPartitions {
		return nil, kafka.Errorf(kerr.InvalidPartitions, "%d partitions; a topic has at most %d", len(in.ReplicaAssignment), maxPartitions)
	}
	placement := make([][]BrokerID, len(in.ReplicaAssignment))
	n.out.Work.Parts += len(placement) / 8
	for _, a := range in.ReplicaAssignment {
		if a.Partition < 0 || int(a.Partition) >= len(placement) || placement[a.Partition] != nil {
			return nil, kafka.Errorf(kerr.InvalidReplicaAssignment, "partitions must be numbered from 0 without gaps; %d is not", a.Partition)
		}
		placement[a.Partition] = []BrokerID{}
		for _, b := range a.Replicas {
			placement[a.Partition] = append(placement[a.Partition], BrokerID(b))
		}
	}
	return placement, n.checkNewPlacement(placement)
}

// mostDescribed is of how many topics CreateTopics answers the configuration, which takes two kilobytes each; of 100,000 it
// took hundreds of megabytes. For the others the answer says that it isn't there, as Kafka does without the right to see it.
const mostDescribed = 1000

// plannedAnswer says what became of a topic that was wanted, but for its id.
func (n *Node) plannedAnswer(r *request, out *kmsg.CreateTopicsResponseTopic, cmd *createTopic, err error, described bool) {
	out.ErrorCode = code(err)
	if err != nil {
		out.ErrorMessage = errorText(err)
		return
	}
	if !r.permitted(acl.DescribeConfigs, acl.Topic, out.Topic) {
		out.ConfigErrorCode = kerr.TopicAuthorizationFailed.Code
		return
	}
	out.NumPartitions, out.ReplicationFactor = int32(len(cmd.Replicas)), int16(len(cmd.Replicas[0]))
	if !described {
		out.ConfigErrorCode = kerr.PolicyViolation.Code
		return
	}
	for _, c := range n.topicConfigValues(cmd.Configs, len(cmd.Replicas[0])) {
		k := kmsg.NewCreateTopicsResponseTopicConfig()
		k.Name, k.Value, k.Source = c.name, &c.synonyms[0].value, int8(c.synonyms[0].source)
		out.Configs = append(out.Configs, k)
	}
}
