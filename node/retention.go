// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// The first offset of a partition moves through its log like everything else: the leader proposes
// the command, and every replica applies it at the same entry. What lies below is no longer
// readable at once; the log lets go of it when a checkpoint lies between (group.release).

// Commands in a partition's log. An entry begins with its kind; 0 is a record batch.
const commandLogStart = 1 // offset varint: nothing below it is to be read any more

func logStartCommand(offset int64) []byte {
	return binary.AppendVarint([]byte{commandLogStart}, offset)
}

// applyCommand applies an entry that isn't a batch, and returns the log start offset.
func (p *partition) applyCommand(index uint64, data []byte) any {
	r := &reader{b: data}
	kind := r.byte()
	if kind == commandForget && p.applyForget(r) {
		return p.start
	}
	offset := r.varint()
	if kind != commandLogStart || r.bad {
		p.refuse(index, fmt.Errorf("a command of kind %d and %d bytes, which this version doesn't know", kind, len(data)))
		return p.start
	}
	if offset = min(offset, p.highWatermark); offset > p.start {
		p.start = offset
		p.spans.trim(offset)
		if p.group != nil { // not while the log is read
			p.group.release()
		}
		p.node.event(Event{Kind: EventLogStartMoved, Group: p.meta.Group, N: offset})
		p.wake()
	}
	return p.start
}

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

// expired returns the offset below which a partition's records are too old or too many. It goes by
// whole spans.
func (p *partition) expired() int64 {
	start := p.start
	if !p.deletes() {
		return start
	}
	if ms := p.node.topicNumber(p.meta.Topic, retentionMsConfig); ms >= 0 {
		for i := range p.spans {
			if !p.node.isDue(&p.spans[i], ms) {
				break
			}
			start = max(start, p.spanEnd(i))
		}
	}
	if limit := p.node.topicNumber(p.meta.Topic, retentionBytesConfig); limit >= 0 {
		total := int64(0)
		for i := range p.spans {
			total += p.spans[i].bytes
		}
		for i := 0; i < len(p.spans) && total-p.spans[i].bytes >= limit; i++ {
			total -= p.spans[i].bytes
			start = max(start, p.spanEnd(i))
		}
	}
	return start
}

// isDue reports whether all records of a span were appended more than ms ago. The timestamps that
// producers gave them have no say: they may be of any time. Where the time of appending is unknown, or lies
// ahead because a leader's clock did, the span has the age for which this process knows it.
func (n *Node) isDue(s *span, ms int64) bool {
	return n.isOld(s.appended, s.seen, ms)
}

func (n *Node) isOld(appended int64, seen Time, ms int64) bool {
	if n.now.Sub(seen).Milliseconds() > ms {
		return true
	}
	return n.clock.earliest.known && appended > 0 && appended <= n.unixMs && n.unixMs-appended > ms
}

// spanEnd returns the offset after a span.
func (p *partition) spanEnd(i int) int64 {
	if i+1 < len(p.spans) {
		return p.spans[i+1].base
	}
	return p.highWatermark
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
