// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/checker"
	"chronik/node"
)

// A chain reads what is committed of its inputs from the committed offset on. Of each record it makes one in its own topics, and commits
// the offset after it in the same transaction. After a transaction that wasn't committed, and in each new process, it asks for
// the committed offset again, and waits until no transaction can change it.

// txnInput is a partition whose records a chain processes.
type txnInput struct {
	txnPart
	position int64            // next offset to fetch; -1: where the committed offset says
	records  []checker.Record // fetched and not processed
	atEnd    bool             // the last fetch brought nothing, and nothing is to come
}

func (in *txnInput) inputOf(i int64, group string) *checker.Input {
	return &checker.Input{Group: group, Partition: in.name(), Offset: in.records[i].Offset}
}

// drop drops records that are processed.
func (in *txnInput) drop(below int64) {
	for len(in.records) > 0 && in.records[0].Offset < below {
		in.records = in.records[1:]
	}
}

// consume takes the next step towards a transaction of a chain; false: it waits.
func (p *txnProcess) consume() bool {
	if p.isMember() && p.belong() {
		return true
	}
	atEnd := true
	for _, in := range p.inputs {
		if in.position < 0 {
			p.callCommitted(true, func() {})
			return true
		}
		atEnd = atEnd && in.atEnd
	}
	if p.final && atEnd {
		if p.machine.done || p.isMember() && !p.groupDone() {
			return false
		}
		p.callCommitted(true, func() { p.machine.done = true })
		return true
	}
	if len(p.inputs) == 0 {
		return false
	}
	p.input = (p.input + 1) % len(p.inputs)
	in := p.inputs[p.input]
	if len(in.records) > 0 {
		p.begin(in)
		return true
	}
	if !p.final && p.machine.draw().Ratio(1, 16) {
		p.callCommitted(false, func() {})
		return true
	}
	p.callFetch(in)
	return true
}

// upstreamDone says that all that comes into a chain's inputs has come, but for what usual clients send.
func (w *world) upstreamDone(m *transactor) bool {
	for _, o := range w.transactors {
		for _, t := range o.spec.Topics {
			if t == m.spec.From && !o.done {
				return false
			}
		}
	}
	return true
}

// callCommitted asks for the committed offsets of the inputs. stable: those that no transaction can change any more.
func (p *txnProcess) callCommitted(stable bool, then func()) {
	began := p.world.now
	p.ask("OffsetFetch", toGroup, nil, func() kmsg.Request {
		began = p.world.now
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version = [...]int16{8, 7, 9}[p.machine.spec.ID%3]
		if !stable {
			req.Version = [...]int16{8, 5, 1}[p.machine.spec.ID%3]
		}
		in := kmsg.NewOffsetFetchRequestGroup()
		in.Group, req.RequireStable = p.machine.spec.Group, stable
		rt := kmsg.NewOffsetFetchRequestGroupTopic()
		rt.Topic = p.machine.spec.From
		for _, in := range p.inputs {
			rt.Partitions = append(rt.Partitions, in.partition)
		}
		in.Topics = append(in.Topics, rt)
		req.Group, req.Groups = in.Group, []kmsg.OffsetFetchRequestGroup{in}
		req.Topics = append(req.Topics, kmsg.OffsetFetchRequestTopic{Topic: rt.Topic, Partitions: rt.Partitions})
		return req
	}, func(resp kmsg.Response) {
		r := resp.(*kmsg.OffsetFetchResponse)
		if code := offsetsCode(r); code != 0 {
			if !p.trouble(code) {
				p.unexpected("OffsetFetch", code)
			}
			return
		}
		topics := newForm(r)
		if len(topics) != 1 || len(topics[0].Partitions) != len(p.inputs) {
			p.world.fail("protocol", "%v: a question for %d offsets is answered with %d topics", p, len(p.inputs), len(topics))
		}
		for i := range topics[0].Partitions {
			if code := topics[0].Partitions[i].ErrorCode; code != 0 {
				if !p.trouble(code) {
					p.unexpected("OffsetFetch", code)
				}
				return
			}
		}
		for i := range topics[0].Partitions {
			p.gotCommitted(began, stable, &topics[0].Partitions[i])
		}
		p.finish()
		then()
	})
}

func (p *txnProcess) gotCommitted(began node.Time, stable bool, r *kmsg.OffsetFetchResponseGroupTopicPartition) {
	id := int64(0)
	if r.Metadata != nil && *r.Metadata != "" {
		id, _ = strconv.ParseInt(*r.Metadata, 10, 64)
	}
	for _, in := range p.inputs {
		if in.partition != r.Partition {
			continue
		}
		p.world.judge.readTxnOffset(p, began, in.name(), r.Offset, id, stable)
		if in.position < 0 && stable {
			in.position, in.records, in.atEnd = max(r.Offset, 0), nil, false
		}
	}
}

// commitText is the metadata of a committed offset.
func commitText(id int64) *string { return kmsg.StringPtr(strconv.FormatInt(id, 10)) }

// callFetch fetches what is committed of an input.
func (p *txnProcess) callFetch(in *txnInput) {
	w := p.world
	began, epoch, complete := w.now, int32(-1), false
	p.ask("Fetch", toLeader, &in.txnPart, func() kmsg.Request {
		complete = w.upstreamDone(p.machine)
		began, epoch = w.now, in.topic.partitions[in.partition].epoch
		req := kmsg.NewPtrFetchRequest()
		req.Version = [...]int16{12, 11, 9, 10}[p.machine.spec.ID%4]
		req.ReplicaID, req.MinBytes, req.MaxBytes, req.MaxWaitMillis, req.IsolationLevel = -1, 1, 1<<20, 50, 1
		most := int32(1 << 20)
		if !p.final {
			most = int32(p.client.draw().LogUniform(1, 1<<16))
		}
		p.client.addFetch(req, &fetching{topic: in.topic, partition: in.partition, epoch: epoch, position: in.position}, most)
		return req
	}, func(resp kmsg.Response) {
		r := onlyPartition(w, resp.(*kmsg.FetchResponse))
		if r.ErrorCode != 0 {
			switch {
			case r.ErrorCode == kerr.OffsetOutOfRange.Code && w.judge.trimmed[in.name()] && r.LogStartOffset > in.position:
				in.position = r.LogStartOffset
				p.finish()
			case !p.trouble(r.ErrorCode):
				p.unexpected("Fetch of "+in.name(), r.ErrorCode)
			}
			return
		}
		if p.client.wrongSum(in.topic.partitions[in.partition].leader, r.RecordBatches) {
			p.retry()
			return
		}
		read := p.client.committedRead(in.topic, in.partition, in.position, r)
		read.Span, read.LeaderEpoch = p.span(began), epoch
		w.judge.readCommitted(read)
		in.atEnd = complete && read.Next == in.position && read.Stable == read.HighWatermark
		in.records, in.position = read.Records, read.Next
		p.finish()
		if len(in.records) == 0 {
			p.nextAt = w.now + p.client.retryDelay()
			p.client.wakeAt(p.nextAt)
		}
	})
}

// onlyPartition is the only one of an answer.
func onlyPartition(w *world, resp *kmsg.FetchResponse) *kmsg.FetchResponseTopicPartition {
	if resp.ErrorCode != 0 || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		w.fail("protocol", "a fetch of one partition is answered %d and for %d topics", resp.ErrorCode, len(resp.Topics))
	}
	return &resp.Topics[0].Partitions[0]
}

// span is that of a request that is answered now.
func (p *txnProcess) span(began node.Time) checker.Span {
	return checker.Span{Client: int64(p.client.spec.ID), Call: int64(began), Return: int64(p.world.now)}
}
