// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/acl"
)

// DeleteRecords, versions 0 to 2 (KIP-107). The answer comes when the new log start is committed. For a partition that
// is named twice the last offset counts, as in Kafka.
func (n *Node) handleDeleteRecords(r *request, m kmsg.Request) {
	req := m.(*kmsg.DeleteRecordsRequest)
	resp := kmsg.NewPtrDeleteRecordsResponse()
	resp.Topics = make([]kmsg.DeleteRecordsResponseTopic, 0, len(req.Topics))
	offsets := make(map[namedPartition]int64)
	n.eachPart(r, len(req.Topics), func(i int) int {
		t := kmsg.NewDeleteRecordsResponseTopic()
		t.Topic = req.Topics[i].Topic
		t.Partitions = make([]kmsg.DeleteRecordsResponseTopicPartition, 0, len(req.Topics[i].Partitions)) // growing it would copy megabytes in a step
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
		w, others := waitFor(r, resp, 0), false
		n.eachPart(r, len(resp.Topics), func(i int) int {
			w.left += len(resp.Topics[i].Partitions)
			return len(resp.Topics[i].Partitions)
		}, func(i, j int) {
			t, out := resp.Topics[i].Topic, &resp.Topics[i].Partitions[j]
			others = n.deleteRecords(w, t, offsets[namedPartition{t, out.Partition}], out) || others
		}, func() { w.begin(int32(patience(others, req.TimeoutMillis).Milliseconds())) })
	})
}

// deleteRecords reports whether Kafka would wait for other replicas.
func (n *Node) deleteRecords(w *wait, topic string, below int64, out *kmsg.DeleteRecordsResponseTopicPartition) bool {
	var p *partition
	offset, err := int64(0), w.request.topicRight(acl.Delete, topic)
	if err == nil {
		p, offset, err = n.deletable(topic, out.Partition, below)
	}
	if err != nil {
		out.ErrorCode = w.request.code(err)
		w.done()
		return false
	}
	if below >= 0 && offset <= p.start { // there already: asked for twice, or retention was faster
		out.LowWatermark = p.start
		w.done()
		return false
	}
	out.ErrorCode = kerr.RequestTimedOut.Code // until it is committed
	p.group.proposeFor(w.request, logStartCommand(offset), func(result any, err error) {
		if err != nil {
			out.ErrorCode = kerr.NotLeaderForPartition.Code
		} else {
			out.ErrorCode, out.LowWatermark = 0, result.(int64)
		}
		w.done()
	})
	return !p.group.alone()
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
