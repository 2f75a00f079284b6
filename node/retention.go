// SPDX-License-Identifier: Apache-2.0

package node

import (
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// The first offset of a partition moves through its log like everything else: the leader proposes
// the command, and every replica applies it at the same entry. What lies below is no longer
// readable at once; the log lets go of it when a checkpoint lies between (group.release).

// retentionCheck is how often a leader looks for records that are to be deleted.
const retentionCheck = time.Second

// expire lets the leader propose to delete what retention.ms and retention.bytes say.
func (p *partition) expire() {
	p.forgetProducers()
	if p.expiring {
		return
	}
	if to := p.expired(); to > p.start {
		p.expiring = true
		p.group.propose(logStartCommand(to), func(any, error) { p.expiring = false })
	}
}

// expired returns the offset below which a partition's records are too old or too many.
func (p *partition) expired() int64 {
	if !p.deletes() {
		return p.start
	}
	n, t := p.node, p.meta.Topic
	return p.records.expired(n.age(), n.topicNumber(t, retentionMsConfig), n.topicNumber(t, retentionBytesConfig))
}

// age is by what records are judged now.
func (n *Node) age() age { return age{now: n.now, unixMs: n.unixMs, known: n.clock.earliest.known} }

// forgetProducers lets the leader of a partition propose to forget those that were silent for too long.
func (p *partition) forgetProducers() {
	if p.forgetting || p.node.log.Full() {
		return
	}
	if cmd := p.silent(p.node.age(), p.node.cfg.ProducerExpiration.Milliseconds()); cmd != nil {
		p.forgetting = true
		p.group.propose(cmd, func(any, error) { p.forgetting = false })
	}
}

// topicNumber returns a configuration of a topic that is a number: its own or the broker's.
func (n *Node) topicNumber(t *topicMeta, name string) int64 {
	v, ok := t.config(name)
	if !ok {
		v = topicConfigDef(name).value(&n.cfg, len(t.Partitions[0].Replicas))
	}
	number, err := strconv.ParseInt(v, 10, 64)
	if err != nil { // set by another release, which knows more than numbers
		number, _ = strconv.ParseInt(topicConfigDef(name).value(&n.cfg, len(t.Partitions[0].Replicas)), 10, 64)
	}
	return number
}

// DeleteRecords, versions 0 to 2 (KIP-107). The answer comes when the new log start is committed. For a partition that
// is named twice the last offset counts, as in Kafka.
func (n *Node) handleDeleteRecords(r *request, m kmsg.Request) {
	req := m.(*kmsg.DeleteRecordsRequest)
	resp := kmsg.NewPtrDeleteRecordsResponse()
	offsets := make(map[namedPartition]int64)
	n.eachPart(r, len(req.Topics), func(i int) int {
		t := kmsg.NewDeleteRecordsResponseTopic()
		t.Topic = req.Topics[i].Topic
		resp.Topics = append(resp.Topics, t)
		return len(req.Topics[i].Partitions)
	}, func(i, j int) {
		t, in := &resp.Topics[i], &req.Topics[i].Partitions[j]
		key := namedPartition{t.Topic, in.Partition}
		if _, again := offsets[key]; !again {
			out := kmsg.NewDeleteRecordsResponseTopicPartition()
			out.Partition, out.LowWatermark = in.Partition, -1
			t.Partitions = append(t.Partitions, out)
		}
		offsets[key] = in.Offset
	}, func() {
		w := waitFor(r, resp, 0)
		n.eachPart(r, len(resp.Topics), func(i int) int {
			w.left += len(resp.Topics[i].Partitions)
			return len(resp.Topics[i].Partitions)
		}, func(i, j int) {
			t, out := resp.Topics[i].Topic, &resp.Topics[i].Partitions[j]
			n.deleteRecords(w, t, offsets[namedPartition{t, out.Partition}], out)
		}, func() { w.begin(req.TimeoutMillis) })
	})
}

func (n *Node) deleteRecords(w *wait, topic string, below int64, out *kmsg.DeleteRecordsResponseTopicPartition) {
	p, offset, err := n.deletable(topic, out.Partition, below)
	if err != nil {
		out.ErrorCode = code(err)
		w.done()
		return
	}
	if below >= 0 && offset <= p.start { // there already: asked for twice, or retention was faster
		out.LowWatermark = p.start
		w.done()
		return
	}
	out.ErrorCode = kerr.RequestTimedOut.Code // until it is committed
	p.group.propose(logStartCommand(offset), func(result any, err error) {
		if w.request.done {
			return
		}
		if err != nil {
			out.ErrorCode = kerr.NotLeaderForPartition.Code
		} else {
			out.ErrorCode, out.LowWatermark = 0, result.(int64)
		}
		w.done()
	})
}

// deletable finds the partition and the offset below which records are to be deleted.
func (n *Node) deletable(topic string, index int32, offset int64) (*partition, int64, error) {
	if t := n.catalog.byName[topic]; t != nil && t.Internal {
		return nil, 0, errBrokersOwn(topic)
	}
	p, err := n.readable(topic, index, -1)
	if err != nil {
		return nil, 0, err
	}
	if offset == -1 {
		offset = p.highWatermark
	}
	switch {
	case !p.deletes():
		return nil, 0, kafka.Errorf(kerr.PolicyViolation, "topic %q is compacted, and keeps the newest record of each key; set %s to %s or to both", topic, cleanupPolicyConfig, cleanupDelete)
	case offset < 0 || offset > p.highWatermark:
		return nil, 0, kafka.Errorf(kerr.OffsetOutOfRange, "offset %d; the partition has %d to %d", offset, p.start, p.highWatermark)
	}
	return p, offset, nil
}
