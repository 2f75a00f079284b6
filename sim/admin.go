// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/checker"
	"chronik/node"
	"chronik/sim/plan"
)

// What administrators ask for. They have scripts: what is refused because something else is not done
// yet is tried again.

func (c *client) sendTrim(cn *conn, p *pendingCall) {
	name := partitionName(p.call.Topic, p.call.Partition)
	c.world.judge.trimmed[name] = true
	p.start = c.world.judge.starts[name]
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Version = c.version(kmsg.DeleteRecords, 2, 0)
	req.TimeoutMillis = int32(c.timeout() / millisecond)
	rt := kmsg.NewDeleteRecordsRequestTopic()
	rt.Topic = p.call.Topic
	rp := kmsg.NewDeleteRecordsRequestTopicPartition()
	rp.Partition, rp.Offset = p.call.Partition, p.call.Offset
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	cn.ask(c.world, req, c.answered(p, func(resp kmsg.Response) { c.hasTrimmed(p, resp.(*kmsg.DeleteRecordsResponse)) }))
}

func (c *client) hasTrimmed(p *pendingCall, resp *kmsg.DeleteRecordsResponse) {
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		c.world.fail("protocol", "records of one partition to be deleted are answered with %d topics", len(resp.Topics))
	}
	r := &resp.Topics[0].Partitions[0]
	switch {
	case retriable(r.ErrorCode):
		c.retrySerial(p)
		return
	case c.topic(p.call.Topic).plan.Keys > 0:
		if r.ErrorCode != kerr.PolicyViolation.Code {
			c.unexpected(p.call, r.ErrorCode, "DeleteRecords of a compacted topic")
		}
	case r.ErrorCode == kerr.OffsetOutOfRange.Code: // there aren't so many records
		c.trimRefused(p)
	case r.ErrorCode != 0:
		c.unexpected(p.call, r.ErrorCode, "DeleteRecords")
	case r.LowWatermark < p.call.Offset:
		c.world.fail("trim", "client %d, call %d deletes the records of %s below offset %d, and the log is said to start at %d",
			c.spec.ID, p.call.ID, partitionName(p.call.Topic, p.call.Partition), p.call.Offset, r.LowWatermark)
	}
	c.world.judge.hasTrimmed(c.world, c, p, r.LowWatermark)
	c.endSerial(p)
}

// trimRefused checks that the records of a refused call weren't gone already when it was sent: then there is
// nothing to do.
func (c *client) trimRefused(p *pendingCall) {
	if p.call.Offset >= 0 && p.call.Offset <= p.start {
		c.world.fail("trim", "client %d, call %d: the records of %s below offset %d can't be deleted, it is said, though the log was known to start at %d",
			c.spec.ID, p.call.ID, partitionName(p.call.Topic, p.call.Partition), p.call.Offset, p.start)
	}
}

func (c *client) sendCreate(cn *conn, p *pendingCall, t *topicView) {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = c.version(kmsg.CreateTopics, 5, 0)
	req.TimeoutMillis = int32(c.timeout() / millisecond)
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic = t.plan.Name
	rt.NumPartitions, rt.ReplicationFactor = t.plan.Partitions, t.plan.Replicas
	rt.Configs = configsOf(t.plan)
	req.Topics = append(req.Topics, rt)
	cn.ask(c.world, req, c.answered(p, func(resp kmsg.Response) {
		topics := resp.(*kmsg.CreateTopicsResponse).Topics
		if len(topics) != 1 {
			c.world.fail("protocol", "one topic to be created is answered with %d", len(topics))
		}
		c.administered(p, topics[0].ErrorCode, kerr.TopicAlreadyExists.Code)
	}))
}

const tenYearsMs = 315_360_000_000

// configsOf lists what a topic is configured with.
func configsOf(t *plan.Topic) (list []kmsg.CreateTopicsRequestTopicConfig) {
	set := func(name, value string) {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = name, &value
		list = append(list, c)
	}
	if t.RetentionBytes > 0 {
		set("retention.bytes", strconv.FormatInt(t.RetentionBytes, 10))
	}
	if t.RetentionMs > 0 {
		set("retention.ms", strconv.FormatInt(t.RetentionMs, 10))
	}
	if t.Recent {
		set("message.timestamp.before.max.ms", strconv.Itoa(tenYearsMs))
	}
	if t.Keys > 0 {
		set("cleanup.policy", "compact")
		set("min.cleanable.dirty.ratio", "0.01")
		if t.TombstonesMs > 0 {
			set("delete.retention.ms", strconv.FormatInt(t.TombstonesMs, 10))
		}
	}
	return list
}

func (c *client) sendDelete(cn *conn, p *pendingCall, t *topicView) {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version = c.version(kmsg.DeleteTopics, 5, 0)
	req.TimeoutMillis = int32(c.timeout() / millisecond)
	req.TopicNames = []string{t.plan.Name}
	req.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: &t.plan.Name}} // since version 6
	cn.ask(c.world, req, c.answered(p, func(resp kmsg.Response) {
		topics := resp.(*kmsg.DeleteTopicsResponse).Topics
		if len(topics) != 1 {
			c.world.fail("protocol", "one topic to be deleted is answered with %d", len(topics))
		}
		c.administered(p, topics[0].ErrorCode, kerr.UnknownTopicOrPartition.Code)
	}))
}

// administered takes the answer to CreateTopics or DeleteTopics; refusal is the code that says that
// there is nothing to do.
func (c *client) administered(p *pendingCall, code, refusal int16) {
	switch {
	case code == 0 || code == refusal:
		c.world.judge.catalog(c.world, c, p, checker.OK, code == refusal)
		c.topic(p.call.Topic).stale = true
		c.endSerial(p)
	case retriable(code), code == kerr.InvalidReplicaAssignment.Code, // a broker left while it was placed
		code == kerr.InvalidReplicationFactor.Code: // too few are there now
		c.world.judge.catalog(c.world, c, p, checker.Unknown, false)
		c.retryElsewhere(p)
	default:
		c.unexpected(p.call, code, p.call.Kind)
	}
}

// sendMove asks for other replicas of a partition.
func (c *client) sendMove(cn *conn, p *pendingCall) {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.Version = c.version(kmsg.AlterPartitionAssignments, int16(c.spec.ID%2), 0)
	req.AllowReplicationFactorChange = true
	req.TimeoutMillis = int32(c.timeout() / millisecond)
	rt := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	rt.Topic = p.call.Topic
	rp := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	rp.Partition = p.call.Partition
	for _, b := range p.call.Brokers {
		rp.Replicas = append(rp.Replicas, int32(b))
	}
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	cn.ask(c.world, req, c.answered(p, func(resp kmsg.Response) {
		r := resp.(*kmsg.AlterPartitionAssignmentsResponse)
		if r.ErrorCode == 0 && (len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1) {
			c.world.fail("protocol", "one partition to be moved is answered with %d topics", len(r.Topics))
		}
		code := r.ErrorCode
		if code == 0 {
			code = r.Topics[0].Partitions[0].ErrorCode
		}
		c.hasMoved(p, code)
	}))
}

func (c *client) hasMoved(p *pendingCall, code int16) {
	switch {
	case code == 0, code == kerr.NoReassignmentInProgress.Code && len(p.call.Brokers) == 0:
		c.world.judge.moved(c.world, c, p, checker.OK)
		c.endSerial(p)
	case code == kerr.InvalidReplicaAssignment.Code: // a broker isn't in the cluster, or no longer
		c.refused(p)
	case retriable(code):
		c.unanswered(p)
		c.retryElsewhere(p)
	default:
		c.unexpected(p.call, code, "AlterPartitionReassignments")
	}
}

// refused tries an administrator's call again later.
func (c *client) refused(p *pendingCall) {
	p.refused = true
	c.retryElsewhere(p)
	c.serial.retryAt += node.Time(200 * millisecond)
	c.again = true
}

// retryElsewhere tries an administrator's call again, perhaps at another broker.
func (c *client) retryElsewhere(p *pendingCall) {
	c.controller = 0
	c.retrySerial(p)
}

// sendElect asks that the preferred replica leads.
func (c *client) sendElect(cn *conn, p *pendingCall) {
	req := kmsg.NewPtrElectLeadersRequest()
	req.Version = c.version(kmsg.ElectLeaders, 2, 0)
	req.TimeoutMillis = int32(c.timeout() / millisecond)
	rt := kmsg.NewElectLeadersRequestTopic()
	rt.Topic, rt.Partitions = p.call.Topic, []int32{p.call.Partition}
	req.Topics = append(req.Topics, rt)
	cn.ask(c.world, req, c.answered(p, func(resp kmsg.Response) {
		r := resp.(*kmsg.ElectLeadersResponse)
		if r.ErrorCode != 0 || len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
			c.world.fail("protocol", "one partition to be led by another is answered with error %d and %d topics", r.ErrorCode, len(r.Topics))
		}
		switch code := r.Topics[0].Partitions[0].ErrorCode; {
		case code == 0, code == kerr.ElectionNotNeeded.Code, code == kerr.PreferredLeaderNotAvailable.Code, retriable(code):
			c.world.judge.answered(c.world, c, p, int64(code))
			c.endSerial(p)
		default:
			c.unexpected(p.call, code, "ElectLeaders")
		}
	}))
}

// sendRemove asks that a broker leaves the cluster.
func (c *client) sendRemove(cn *conn, p *pendingCall) {
	req := kmsg.NewPtrUnregisterBrokerRequest()
	req.BrokerID = int32(p.call.Brokers[0])
	cn.ask(c.world, req, c.answered(p, func(resp kmsg.Response) {
		b := c.world.brokers[p.call.Brokers[0]-1]
		code := resp.(*kmsg.UnregisterBrokerResponse).ErrorCode
		switch done := b.removed == b.diskNumber && b.removed > p.before; {
		case (code == 0 || code == kerr.BrokerIDNotRegistered.Code) && !done, code == kerr.DuplicateBrokerRegistration.Code:
			p.maybe = false // not yet, or no longer, or it has come back with another disk
			c.refused(p)
		case code == 0, code == kerr.BrokerIDNotRegistered.Code:
			c.world.judge.answered(c.world, c, p, int64(code))
			if code == 0 {
				c.world.judge.checkLeft(c.world, b)
			}
			c.world.left(b)
			c.endSerial(p)
		case code == kerr.InvalidRequest.Code: // it still has replicas
			p.maybe = false
			c.refused(p)
		case retriable(code):
			p.maybe = true
			c.retryElsewhere(p)
		default:
			c.unexpected(p.call, code, "UnregisterBroker")
		}
	}))
}

// sendMoving asks which partitions are on the move.
func (c *client) sendMoving(cn *conn, p *pendingCall) {
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	req.TimeoutMillis = int32(c.timeout() / millisecond)
	cn.ask(c.world, req, c.answered(p, func(resp kmsg.Response) {
		r := resp.(*kmsg.ListPartitionReassignmentsResponse)
		if r.ErrorCode != 0 {
			c.unexpected(p.call, r.ErrorCode, "ListPartitionReassignments")
		}
		c.moving = ""
		for _, t := range r.Topics {
			for i := range t.Partitions {
				if m := &t.Partitions[i]; !c.world.doomed[t.Topic] {
					c.moving = fmt.Sprintf("%s to %v (joining %v, leaving %v)", partitionName(t.Topic, m.Partition), m.Replicas, m.AddingReplicas, m.RemovingReplicas)
				}
			}
		}
		c.world.judge.answered(c.world, c, p, int64(len(r.Topics)))
		c.endSerial(p)
	}))
}

// sendPlaced asks on which brokers the partitions of a topic are.
func (c *client) sendPlaced(cn *conn, p *pendingCall) {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 9
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = &p.call.Topic
	req.Topics = append(req.Topics, rt)
	cn.ask(c.world, req, c.answered(p, func(resp kmsg.Response) {
		r := resp.(*kmsg.MetadataResponse)
		if len(r.Topics) != 1 || r.Topics[0].ErrorCode != 0 {
			c.retryElsewhere(p)
			return
		}
		for _, part := range r.Topics[0].Partitions {
			c.world.judge.checkPlacement(c.world, partitionName(p.call.Topic, part.Partition), part.Replicas)
		}
		c.world.judge.answered(c.world, c, p, int64(len(r.Topics)))
		c.endSerial(p)
	}))
}
