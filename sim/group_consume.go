// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/checker"
	"chronik/node"
	"chronik/sim/plan"
)

// What a member does with what it owns: it learns the committed offsets, fetches from there on, and
// commits how far it came.

// readOffsets asks for the committed offsets of all partitions of the member's topics: when it doesn't
// know where to begin, and now and then, so that more is known of what was committed.
func (m *member) readOffsets() {
	w := m.world
	needs := slices.ContainsFunc(m.owned, func(o *owned) bool { return o.position < 0 && o.retryAt <= w.now })
	cn := m.conn
	if m.reading || cn == nil || !cn.ready || m.leaving || !needs && w.now < m.readAt || m.spec.Modern && !m.knowsTopics() {
		return
	}
	m.readAt = w.now + 4*at(m.spec.Commit)
	m.reading = true
	began, serial := w.now, m.serial
	cn.ask(w, m.offsetFetch(), func(resp kmsg.Response) {
		m.reading = false
		m.gotOffsets(began, serial, resp.(*kmsg.OffsetFetchResponse))
	})
}

// readElsewhere asks any broker for the committed offsets, as somebody does who doesn't know that the
// coordinator is another one now. A broker that was deposed and doesn't know it must not answer.
func (m *member) readElsewhere() {
	w := m.world
	if w.now < m.strayAt || w.healing || m.leaving || m.spec.Modern && !m.knowsTopics() {
		return
	}
	if m.stray == 0 {
		m.stray = 1 + int(m.draw().Below(int64(len(w.brokers))))
	}
	cn := m.client.conn(m.stray)
	if cn == nil {
		return
	}
	m.stray, m.strayAt = 0, w.now+at(m.spec.Commit)
	began := w.now
	cn.ask(w, m.offsetFetch(), func(resp kmsg.Response) {
		if r := resp.(*kmsg.OffsetFetchResponse); offsetsCode(r) == 0 {
			m.gotOffsets(began, -1, r)
		}
	})
}

// offsetFetch makes a request for all partitions of the member's topics.
func (m *member) offsetFetch() *kmsg.OffsetFetchRequest {
	in := kmsg.NewOffsetFetchRequestGroup()
	in.Group = m.spec.Group
	if m.spec.Modern && m.phase == phaseMember && m.draw().Ratio(1, 2) {
		in.MemberID, in.MemberEpoch = &m.id, m.epoch
	}
	for _, name := range m.topics {
		t := m.client.topic(name)
		rt := kmsg.NewOffsetFetchRequestGroupTopic()
		rt.Topic, rt.TopicID = name, t.id
		for p := range t.partitions {
			rt.Partitions = append(rt.Partitions, int32(p))
		}
		in.Topics = append(in.Topics, rt)
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version = min(m.version(kmsg.OffsetFetch, [...]int16{8, 1, 5, 7}[m.spec.ID%4], 1), 9) // version 10 names topics by their ids
	if m.spec.Modern {
		req.Version = [...]int16{9, 10}[m.spec.ID%2]
	}
	req.Group, req.Groups = in.Group, []kmsg.OffsetFetchRequestGroup{in}
	for _, t := range in.Topics {
		req.Topics = append(req.Topics, kmsg.OffsetFetchRequestTopic{Topic: t.Topic, Partitions: t.Partitions})
	}
	return req
}

func (m *member) knowsTopics() bool {
	for _, name := range m.topics {
		if t := m.client.topic(name); t.id == [16]byte{} {
			t.stale = true
			return false
		}
	}
	return true
}

// gotOffsets takes an answer; serial says which of the member's assignments it was asked for.
func (m *member) gotOffsets(began node.Time, serial int, resp *kmsg.OffsetFetchResponse) {
	topics := newForm(resp)
	switch code := offsetsCode(resp); code {
	case 0:
	case kerr.StaleMemberEpoch.Code, kerr.UnknownMemberID.Code:
		m.putOff()
		return
	default:
		m.putOff()
		m.trouble(code, "OffsetFetch")
		return
	}
	if len(topics) != len(m.topics) {
		m.world.fail("protocol", "%v asks for the offsets of %d topics and gets those of %d", m, len(m.topics), len(topics))
	}
	for i, name := range m.topics {
		t := m.client.topic(name)
		if len(topics[i].Partitions) != len(t.partitions) {
			m.world.fail("protocol", "%v asks for the offsets of %d partitions of %s and gets %d", m, len(t.partitions), name, len(topics[i].Partitions))
		}
		for _, p := range topics[i].Partitions {
			if p.ErrorCode != 0 {
				m.putOff()
				continue
			}
			m.gotOffset(began, serial == m.serial, partitionName(name, p.Partition), &p)
		}
	}
}

// offsetsCode is the error of an answer as a whole.
func offsetsCode(resp *kmsg.OffsetFetchResponse) int16 {
	switch topics := resp.Topics; {
	case resp.Version >= 8:
		return resp.Groups[0].ErrorCode
	case resp.Version < 2 && len(topics) > 0 && len(topics[0].Partitions) > 0:
		return topics[0].Partitions[0].ErrorCode
	}
	return resp.ErrorCode
}

// newForm brings an answer into the form of version 8 and later.
func newForm(resp *kmsg.OffsetFetchResponse) (topics []kmsg.OffsetFetchResponseGroupTopic) {
	if resp.Version >= 8 {
		return resp.Groups[0].Topics
	}
	for _, t := range resp.Topics {
		out := kmsg.OffsetFetchResponseGroupTopic{Topic: t.Topic}
		for _, p := range t.Partitions {
			out.Partitions = append(out.Partitions, kmsg.OffsetFetchResponseGroupTopicPartition(p))
		}
		topics = append(topics, out)
	}
	return topics
}

// putOff lets the question for offsets wait a moment.
func (m *member) putOff() {
	until := m.world.now + m.client.retryDelay()
	for _, o := range m.owned {
		o.retryAt = max(o.retryAt, until)
	}
	m.client.wakeAt(until)
}

func (m *member) gotOffset(began node.Time, current bool, name string, p *kmsg.OffsetFetchResponseGroupTopicPartition) {
	commit := int64(0)
	if p.Metadata != nil && *p.Metadata != "" {
		commit, _ = strconv.ParseInt(*p.Metadata, 10, 64)
	}
	m.world.judge.readOffset(m, began, name, p.Offset, commit)
	i := slices.IndexFunc(m.owned, func(o *owned) bool { return o.name == name })
	if i < 0 || !current || m.owned[i].position >= 0 {
		return
	}
	m.owned[i].position, m.owned[i].acked = max(p.Offset, 0), p.Offset
	m.tracef("begins at offset %d of %s", m.owned[i].position, name)
}

// staleCommit is a commit that a member makes once more when it has come to another generation, as
// real ones do whose commit was waiting for an answer. It must be refused.
type staleCommit struct {
	id         string
	generation int32
	offsets    []commitOffset
}

type commitOffset struct {
	topic     *topicView
	partition int32
	name      string
	offset    int64
}

// commit commits how far the member came, if it is time.
func (m *member) commit() {
	w := m.world
	if m.committing || w.now < m.commitAt || m.phase != phaseMember || m.leaving || m.conn == nil || !m.conn.ready {
		return
	}
	m.commitAt = w.now + at(m.spec.Commit)
	c := &staleCommit{id: m.id, generation: m.epoch}
	for _, o := range m.owned {
		if o.position > max(o.acked, 0) {
			c.offsets = append(c.offsets, commitOffset{o.topic, o.partition, o.name, o.position})
		}
	}
	if len(c.offsets) == 0 {
		return
	}
	m.committing = true
	m.stale = c
	m.sendCommit(c, func() { m.committing = false })
}

// sendStale makes a commit of an earlier generation once more, now and then.
func (m *member) sendStale() {
	if c := m.stale; c != nil && c.generation < m.epoch && m.conn != nil && m.draw().Ratio(1, 2) {
		m.stale = nil
		m.sendCommit(c, func() {})
	}
}

func (m *member) sendCommit(c *staleCommit, done func()) {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version = m.commitVersion()
	req.Group, req.MemberID, req.Generation, req.InstanceID = m.spec.Group, c.id, c.generation, m.instance()
	places := make([]int, len(c.offsets))
	for i, o := range c.offsets {
		if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != o.topic.plan.Name {
			req.Topics = append(req.Topics, kmsg.OffsetCommitRequestTopic{Topic: o.topic.plan.Name, TopicID: o.topic.id})
		}
		var id int64
		places[i], id = m.world.judge.commits(m, c, o)
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset, rp.Metadata = o.partition, o.offset, kmsg.StringPtr(strconv.FormatInt(id, 10))
		last := &req.Topics[len(req.Topics)-1]
		last.Partitions = append(last.Partitions, rp)
	}
	m.conn.ask(m.world, req, func(resp kmsg.Response) {
		done()
		m.committed(c, places, resp.(*kmsg.OffsetCommitResponse))
	})
}

func (m *member) commitVersion() int16 {
	switch {
	case m.spec.Modern:
		return [...]int16{9, 10}[m.spec.ID%2]
	case m.spec.Instance != "":
		return min(m.version(kmsg.OffsetCommit, [...]int16{8, 7, 9, 8}[m.spec.ID%4], 7), 9)
	}
	return min(m.version(kmsg.OffsetCommit, [...]int16{8, 2, 6, 9}[m.spec.ID%4], 7), 9) // later ones name topics by their ids
}

func (m *member) committed(c *staleCommit, places []int, resp *kmsg.OffsetCommitResponse) {
	var codes []int16
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			codes = append(codes, p.ErrorCode)
		}
	}
	if len(codes) != len(places) {
		m.world.fail("protocol", "%v commits %d offsets and %d are answered", m, len(places), len(codes))
	}
	worst := int16(0)
	for i, code := range codes {
		m.world.judge.committed(m, places[i], fateOf(code))
		if code != 0 {
			worst = code
			continue
		}
		for _, o := range m.owned {
			if o.name == c.offsets[i].name && c.generation == m.epoch {
				o.acked = max(o.acked, c.offsets[i].offset)
			}
		}
	}
	m.tracef("commit of %d offsets in %d is answered %d", len(codes), c.generation, worst)
	switch {
	case worst == 0 || c.generation != m.epoch || fateOf(worst) == checker.Failed:
		// What is wrong with the member it is told in its heartbeat.
	default:
		m.trouble(worst, "OffsetCommit")
	}
}

// fateOf says what is known of a commit that was answered.
func fateOf(code int16) checker.Outcome {
	switch code {
	case 0:
		return checker.OK
	case kerr.IllegalGeneration.Code, kerr.UnknownMemberID.Code, kerr.FencedInstanceID.Code, kerr.RebalanceInProgress.Code,
		kerr.StaleMemberEpoch.Code, kerr.FencedMemberEpoch.Code, kerr.GroupIDNotFound.Code, kerr.UnknownTopicOrPartition.Code,
		kerr.UnknownTopicID.Code: // of a broker whose catalog is behind
		return checker.Failed
	}
	return checker.Unknown
}

// fetch asks each leader for what the member owns there, one request at a time.
func (m *member) fetch() {
	if m.leaving {
		return
	}
	for b := 1; b <= len(m.world.brokers); b++ {
		if !m.fetching[b] {
			m.fetchFrom(b)
		}
	}
}

func (m *member) fetchFrom(broker int) {
	w := m.world
	req := kmsg.NewPtrFetchRequest()
	var asked []*owned
	for _, o := range m.owned {
		v := &o.topic.partitions[o.partition]
		if o.position < 0 || o.retryAt > w.now || o.topic.stale || v.leader != broker {
			o.topic.stale = o.topic.stale || v.leader == 0
			continue
		}
		if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != o.topic.plan.Name {
			req.Topics = append(req.Topics, kmsg.FetchRequestTopic{Topic: o.topic.plan.Name})
		}
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.CurrentLeaderEpoch, rp.FetchOffset = o.partition, v.epoch, o.position
		rp.LastFetchedEpoch, rp.LogStartOffset, rp.PartitionMaxBytes = -1, -1, 1<<20
		last := &req.Topics[len(req.Topics)-1]
		last.Partitions = append(last.Partitions, rp)
		asked = append(asked, o)
	}
	if len(asked) == 0 {
		return
	}
	cn := m.client.conn(broker)
	if cn == nil {
		return
	}
	req.Version, req.ReplicaID, req.MinBytes, req.MaxBytes = m.client.fetchVersion(), -1, 1, 1<<20
	req.MaxWaitMillis = m.client.mostWait()
	m.fetching[broker] = true
	f := &memberFetch{began: w.now, asked: asked}
	for _, o := range asked {
		f.from = append(f.from, o.position)
		f.epochs = append(f.epochs, o.topic.partitions[o.partition].epoch)
	}
	cn.ask(w, req, func(resp kmsg.Response) {
		m.fetching[broker] = false
		m.fetched(f, resp.(*kmsg.FetchResponse))
	})
}

// memberFetch is a fetch under way.
type memberFetch struct {
	began  node.Time
	asked  []*owned
	from   []int64
	epochs []int32
}

func (m *member) fetched(f *memberFetch, resp *kmsg.FetchResponse) {
	if resp.ErrorCode != 0 {
		m.unexpected("Fetch", resp.ErrorCode)
	}
	var parts []*kmsg.FetchResponseTopicPartition
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			parts = append(parts, &resp.Topics[i].Partitions[j])
		}
	}
	if len(parts) != len(f.asked) {
		m.world.fail("protocol", "%v fetches %d partitions and is answered %d", m, len(f.asked), len(parts))
	}
	for i, p := range parts {
		m.fetchedOne(f, i, p)
	}
}

func (m *member) fetchedOne(f *memberFetch, i int, p *kmsg.FetchResponseTopicPartition) {
	w, o, from := m.world, f.asked[i], f.from[i]
	switch code := p.ErrorCode; {
	case code == kerr.OffsetOutOfRange.Code && w.judge.trimmed[o.name] && p.LogStartOffset > from:
		o.position = max(o.position, p.LogStartOffset)
		w.judge.delivered(m, o.name, from, p.LogStartOffset) // nobody can get what is gone
		return
	case code == kerr.OffsetOutOfRange.Code:
		w.fail("offset-out-of-range", "%v fetches %s at offset %d, which was committed or reached by reading, and is told that it is out of range (high watermark %d, log start %d)",
			m, o.name, from, p.HighWatermark, p.LogStartOffset)
	case retriable(code):
		o.topic.stale = true
		o.retryAt = w.now + m.client.retryDelay()
		m.client.wakeAt(o.retryAt)
		return
	case code != 0:
		m.unexpected("Fetch", code)
	}
	call := &pendingCall{call: &plan.Call{Topic: o.topic.plan.Name, Partition: o.partition}}
	records, next := m.client.records(call, noTopicID, p.RecordBatches)
	w.judge.memberFetched(m, o.name, checker.Fetch{
		Span:   checker.Span{Client: int64(m.client.spec.ID), Call: int64(f.began), Return: int64(w.now)},
		Offset: from, LeaderEpoch: f.epochs[i], Records: records, HighWatermark: p.HighWatermark, LogStart: p.LogStartOffset,
	})
	if next <= from || !slices.Contains(m.owned, o) {
		return // or it isn't the member's any more
	}
	o.position = next
	w.judge.delivered(m, o.name, from, o.position)
}

// unexpected ends the run: no broker should answer that.
func (m *member) unexpected(what string, code int16) {
	m.world.fail("unexpected-error", "%v: %s is answered with error %d", m, what, code)
}
