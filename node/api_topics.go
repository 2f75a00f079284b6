// SPDX-License-Identifier: Apache-2.0

package node

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
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
		n.createTopics(r, req, twice)
	})
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
		cmd, err := n.plannedTopic(req, in, twice[in.Topic])
		if len(n.candidates().able) == 0 && !n.catalog.group.hasRoom() { // not the fault of what is asked for
			err = errNoRoomToGrow
		}
		answer := func(err error) { n.plannedAnswer(out, cmd, err, i < mostDescribed) }
		if err != nil || req.ValidateOnly {
			answer(err)
			w.done()
			return
		}
		out.ErrorCode = kerr.RequestTimedOut.Code // until it is applied
		n.commands.submitFor(r, command{CreateTopic: cmd}, func(res commandResult) {
			if r.done {
				return
			}
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
func (n *Node) plannedTopic(req *kmsg.CreateTopicsRequest, in *kmsg.CreateTopicsRequestTopic, twice bool) (*createTopic, error) {
	if twice {
		return nil, kafka.Errorf(kerr.InvalidRequest, "topic %q is named twice in the request", in.Topic)
	}
	if err := checkTopicName(in.Topic); err != nil {
		return nil, err
	}
	if in.Topic == groupsTopic {
		return nil, kafka.Errorf(kerr.InvalidTopicException, "%s is made by the brokers when the first consumer group needs it", groupsTopic)
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

// maxPartitions bounds one topic, so that a typing error can't take the cluster down.
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
func (n *Node) plannedAnswer(out *kmsg.CreateTopicsResponseTopic, cmd *createTopic, err error, described bool) {
	out.ErrorCode = code(err)
	if err != nil {
		out.ErrorMessage = errorText(err)
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

func errorText(err error) *string {
	text := err.Error()
	return &text
}

// DeleteTopics, versions 0 to 6, on any broker. v6 can name topics by id.
func (n *Node) handleDeleteTopics(r *request, m kmsg.Request) {
	req := m.(*kmsg.DeleteTopicsRequest)
	if req.Version >= 6 {
		n.deleteTopics(r, req)
		return
	}
	n.each(r, len(req.TopicNames), func(i int) {
		req.Topics = append(req.Topics, kmsg.DeleteTopicsRequestTopic{Topic: &req.TopicNames[i]})
	}, func() { n.deleteTopics(r, req) })
}

func (n *Node) deleteTopics(r *request, req *kmsg.DeleteTopicsRequest) {
	onceEach(r, req.Topics, deletedTopic, func(once []kmsg.DeleteTopicsRequestTopic, twice map[string]bool) {
		req.Topics = once
		n.deleteEach(r, req, twice)
	})
}

func (n *Node) deleteEach(r *request, req *kmsg.DeleteTopicsRequest, twice map[string]bool) {
	resp := kmsg.NewPtrDeleteTopicsResponse()
	resp.Topics = make([]kmsg.DeleteTopicsResponseTopic, len(req.Topics))
	w := waitFor(r, resp, len(req.Topics))
	n.each(r, len(req.Topics), func(i int) {
		in, out := &req.Topics[i], &resp.Topics[i]
		*out = kmsg.NewDeleteTopicsResponseTopic()
		out.Topic, out.TopicID = in.Topic, in.TopicID
		if t := n.catalog.byID[in.TopicID]; t != nil {
			out.Topic = &t.Name
		}
		cmd := &deleteTopic{}
		finish := func(err error) {
			if r.done {
				return
			}
			if out.ErrorCode = code(err); err != nil {
				out.ErrorMessage = errorText(err)
			} else {
				copy(out.TopicID[:], cmd.ID)
			}
			w.done()
		}
		switch {
		case twice[deletedTopic(in)]:
			finish(kafka.Errorf(kerr.InvalidRequest, "the topic is named twice in the request"))
			return
		case in.Topic == nil && in.TopicID == noTopicID:
			finish(kafka.Errorf(kerr.InvalidRequest, "name the topic or give its id"))
			return
		case in.Topic == nil:
			cmd.ID = in.TopicID[:]
		case in.TopicID == noTopicID:
			cmd.Name = *in.Topic
		default:
			finish(kafka.Errorf(kerr.InvalidRequest, "name the topic or give its id, not both"))
			return
		}
		out.ErrorCode = kerr.RequestTimedOut.Code // until it is applied
		n.deleteTopic(r, cmd, finish)
	}, func() { w.begin(req.TimeoutMillis) })
}

// deletedTopic is what is deleted, as a key.
func deletedTopic(t *kmsg.DeleteTopicsRequestTopic) string {
	if t.Topic == nil {
		return "id " + string(t.TopicID[:])
	}
	return *t.Topic
}

// onceEach calls then with the elements without those that name what was named before, and with what is named more than
// once: Kafka answers that once, with INVALID_REQUEST, and does nothing about it. It reuses the array of in.
func onceEach[T any](r *request, in []T, name func(*T) string, then func(once []T, twice map[string]bool)) {
	once, seen, twice := in[:0], make(map[string]bool), make(map[string]bool)
	r.node.each(r, len(in), func(i int) {
		switch k := name(&in[i]); {
		case seen[k]:
			twice[k] = true
		default:
			seen[k] = true
			once = append(once, in[i])
		}
	}, func() { then(once, twice) })
}

// deleteTopic sends the command with the topic's id, so that a copy of it that comes late can't delete another
// topic that got the name meanwhile. A topic that isn't known here may exist all the same: the command, with no
// id, says so without deleting it, and by then it is known.
func (n *Node) deleteTopic(r *request, cmd *deleteTopic, finish func(error)) {
	if cmd.Name != "" {
		cmd.ID = noTopicID[:]
		if t := n.catalog.byName[cmd.Name]; t != nil {
			cmd.ID = t.uuid[:]
		}
	}
	n.commands.submitFor(r, command{DeleteTopic: cmd}, func(res commandResult) {
		if res.err == errOutdated && !r.over() {
			n.deleteTopic(r, cmd, finish)
			return
		}
		finish(res.err)
	})
}

// wait collects the parts of an answer that come from the catalog.
type wait struct {
	request *request
	resp    kmsg.Response
	left    int
}

func waitFor(r *request, resp kmsg.Response, parts int) *wait {
	return &wait{request: r, resp: resp, left: parts + 1}
}

// done is called once per part, and once by begin.
func (w *wait) done() {
	if w.left--; w.left == 0 {
		w.request.reply(w.resp)
	}
}

// begin is called when all parts are on their way. After the time-out the answer goes out as it is.
func (w *wait) begin(timeoutMs int32) {
	w.done()
	w.request.expireAfter(millis(timeoutMs), func() { w.request.reply(w.resp) })
}

// InitProducerId, versions 0 to 4, without transactions. A producer gets a new id, or with v3 its
// own id with the next epoch (KIP-360).
func (n *Node) handleInitProducerID(r *request, m kmsg.Request) {
	req := m.(*kmsg.InitProducerIDRequest)
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	switch {
	case req.TransactionalID != nil && *req.TransactionalID == "", (req.ProducerID < 0) != (req.ProducerEpoch < 0):
		resp.ErrorCode = kerr.InvalidRequest.Code
		r.reply(resp)
		return
	case req.TransactionalID != nil:
		resp.ErrorCode = kerr.TransactionalIDAuthorizationFailed.Code
		r.reply(resp)
		return
	case req.ProducerID >= 0 && req.ProducerEpoch >= 0 && req.ProducerEpoch < maxProducerEpoch:
		resp.ProducerID, resp.ProducerEpoch = req.ProducerID, req.ProducerEpoch+1
		r.reply(resp)
		return
	}
	n.producerIDs.take(r, func(id int64) {
		if !r.done {
			resp.ProducerID, resp.ProducerEpoch = id, 0
			r.reply(resp)
		}
	})
	r.expireAfter(producerIDTimeout, func() {
		resp.ErrorCode = kerr.CoordinatorLoadInProgress.Code // retriable everywhere
		r.reply(resp)
	})
}

const (
	producerIDTimeout = 2 * time.Second // a broker that is cut off can't give any; others can
	maxProducerEpoch  = 1<<15 - 2       // the last one is kept for fencing
	producerIDBlock   = 1000
)

// producerIDs hands out producer ids from blocks that the catalog reserves for this broker, one block
// ahead, so that a producer needn't wait, and gets one even from a broker that is cut off. Ids of a
// block that wasn't used up are lost at a restart; there are 2^63.
type producerIDs struct {
	node    *Node
	next    int64
	end     int64
	spare   []int64 // first id of the next block, if it is reserved
	asked   bool
	given   bool // one was given out by this process
	waiting waiters[func(id int64)]
}

// take calls done with an id, perhaps later.
func (p *producerIDs) take(r *request, done func(id int64)) {
	if id, ok := p.draw(); ok {
		done(id)
	} else {
		p.waiting.add(r, done)
	}
}

// draw returns the next id; false if none is left for now.
func (p *producerIDs) draw() (int64, bool) {
	if p.next == p.end && len(p.spare) > 0 {
		p.next, p.end, p.spare = p.spare[0], p.spare[0]+producerIDBlock, nil
	}
	p.reserve()
	if p.next == p.end {
		return 0, false
	}
	p.next++
	p.given = true
	return p.next - 1, true
}

// reserve asks for the next block if there is none.
func (p *producerIDs) reserve() {
	if !p.asked && len(p.spare) == 0 {
		p.asked = true
		p.node.commands.submit(command{ProducerIDs: &allocateProducers{producerIDBlock}}, p.reserved)
	}
}

func (p *producerIDs) reserved(res commandResult) {
	p.asked = false
	if res.err != nil { // a block is lost; there are enough
		p.reserve()
		return
	}
	p.spare = []int64{res.first}
	for p.waiting.len() > 0 {
		id, ok := p.draw()
		if !ok {
			return
		}
		done, _ := p.waiting.pop()
		done(id)
	}
}

// topicConfigs checks the configuration of a new topic.
func topicConfigs(in []kmsg.CreateTopicsRequestTopicConfig, replicas int) ([]configValue, error) {
	var out []configValue
	if len(in) > maxNamedConfigs {
		return nil, errTooManyConfigs
	}
	for i := range in {
		if in[i].Value == nil {
			return nil, kafka.Errorf(kerr.InvalidConfig, "configuration %.60q has no value; leave it out to get its default", in[i].Name)
		}
		out = append(out, configValue{in[i].Name, *in[i].Value})
	}
	if err := checkTopicConfigs(out, replicas); err != nil {
		return nil, err
	}
	return sortConfigs(out)
}
