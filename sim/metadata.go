// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// refresh asks again for the metadata of the topics that a broker leads, after a pause, and for who is the
// controller.
func (c *client) refresh(broker int) {
	if c.controller == broker {
		c.controller = 0
	}
	for _, t := range c.topics {
		for i := range t.partitions {
			t.stale = t.stale || t.partitions[i].leader == broker
		}
	}
	c.askAgain = max(c.askAgain, c.world.now+c.retryDelay())
	c.wakeAt(c.askAgain)
}

func (c *client) wantsMetadata() bool {
	return (len(c.lanes) > 0 || len(c.serial.queue) > 0 || c.member != nil || c.watcher != nil || c.txn != nil || c.reader != nil) && c.staleTopic() != nil
}

// staleTopic returns a topic that something waits for and that has to be asked for.
func (c *client) staleTopic() *topicView {
	for _, l := range c.lanes {
		if l.topic.stale && len(l.batches) > 0 {
			return l.topic
		}
	}
	if len(c.serial.queue) > 0 {
		if t := c.topic(c.serial.queue[0].call.Topic); t.stale {
			return t
		}
	}
	if c.member != nil {
		return c.member.staleTopic()
	}
	if c.watcher != nil && c.watcher.topic.stale {
		return c.watcher.topic
	}
	if c.txn != nil {
		return c.txn.staleTopic()
	}
	if c.reader != nil {
		for _, p := range c.reader.parts {
			if p.topic.stale {
				return p.topic
			}
		}
	}
	return nil
}

// askMetadata asks one broker after the other about one stale topic.
func (c *client) askMetadata() {
	if c.asked != 0 || !c.wantsMetadata() {
		return
	}
	if c.world.now < c.askAgain {
		c.wakeAt(c.askAgain)
		return
	}
	cn := c.conn(c.nextBroker)
	if cn == nil {
		return
	}
	t := c.staleTopic()
	req := kmsg.NewPtrMetadataRequest()
	usual, least := int16(9), int16(4) // before that, topics are always created
	if c.member != nil || c.txn != nil || c.reader != nil {
		usual = 12 // has topic ids
	}
	if t.plan.Auto {
		least = 1 // names the controller
	}
	req.Version = c.version(kmsg.Metadata, usual, least)
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = kmsg.StringPtr(t.plan.Name)
	req.Topics = append(req.Topics, rt)
	req.AllowAutoTopicCreation = t.plan.Auto
	c.asked = cn.broker.number
	c.nextBroker = c.nextBroker%len(c.world.brokers) + 1
	cn.ask(c.world, req, func(resp kmsg.Response) {
		c.asked = 0
		c.learn(t, resp.(*kmsg.MetadataResponse))
	})
}

// learn takes metadata of one topic. What is older than what is known already is ignored.
func (c *client) learn(t *topicView, m *kmsg.MetadataResponse) {
	if m.ControllerID > 0 {
		c.controller = int(m.ControllerID)
	}
	c.checkBrokers(m)
	complete := len(m.Topics) == 1 && m.Topics[0].ErrorCode == 0 && len(m.Topics[0].Partitions) > 0
	if complete {
		c.learnID(t, m.Topics[0].TopicID)
		for _, p := range m.Topics[0].Partitions {
			known := c.learnPartition(t, m.Version, &p)
			complete = complete && (known || !c.waitsFor(t, p.Partition))
		}
	}
	if c.serialNeedsNoTopic(t) || complete {
		t.stale = false
		return
	}
	c.askAgain = c.world.now + c.retryDelay()
	c.wakeAt(c.askAgain)
}

// waitsFor says that some call waits for a partition.
func (c *client) waitsFor(t *topicView, partition int32) bool {
	for _, l := range c.lanes {
		if l.topic == t && l.partition == partition && len(l.batches) > 0 {
			return true
		}
	}
	if c.watcher != nil || c.txn != nil || c.reader != nil || c.member != nil && c.member.waitsFor(t, partition) {
		return true
	}
	return len(c.serial.queue) > 0 && c.serial.queue[0].call.Topic == t.plan.Name && c.serial.queue[0].call.Partition == partition
}

// learnPartition says whether it learned a leader.
func (c *client) learnPartition(t *topicView, version int16, p *kmsg.MetadataResponseTopicPartition) bool {
	if t.plan.Grows && int(p.Partition) >= len(t.partitions) {
		return true
	}
	if p.Partition < 0 || int(p.Partition) >= len(t.partitions) {
		c.world.fail("metadata", "topic %s has %d partitions, metadata shows number %d", t.plan.Name, len(t.partitions), p.Partition)
	}
	v := &t.partitions[p.Partition]
	switch {
	case p.ErrorCode != 0 || p.Leader < 1:
		return false
	case p.LeaderEpoch < v.epoch && version >= 7 && !c.world.plan.Misleads(): // before that there are no epochs
		return false // from a broker that is behind; where epochs may be invented a client would have to be started again
	}
	if c.brokerNumber(p.Leader) == 0 {
		c.world.fail("metadata", "leader %d of %s/%d is no broker", p.Leader, t.plan.Name, p.Partition)
	}
	if v.leader != int(p.Leader) {
		v.nearest = 0
	}
	v.leader, v.epoch = int(p.Leader), p.LeaderEpoch
	return true
}

func (c *client) brokerNumber(id int32) int {
	if id < 1 || int(id) > len(c.world.brokers) {
		return 0
	}
	return int(id)
}

// checkBrokers demands that every broker has its own address.
func (c *client) checkBrokers(m *kmsg.MetadataResponse) {
	for _, b := range m.Brokers {
		invented := c.world.plan.Listed(int(b.NodeID)) // a founder is said to be where its members say
		if n := int(b.NodeID); c.brokerNumber(b.NodeID) == 0 && !invented || b.Host != host(n) {
			c.world.fail("metadata", "broker %d is said to be at %q", b.NodeID, b.Host)
		}
	}
}
