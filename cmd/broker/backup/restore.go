// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// acksKept asks a broker to append batches at the offsets that they had, or not at all (ADR 26).
const acksKept = -100

// usualBatch is the default of max.message.bytes.
const usualBatch = 1<<20 + 12

// produceTimeout is how long a broker may take for a batch, in ms.
const produceTimeout = 30_000

// Restore brings a backup into a cluster that has none of its topics: topics with their settings, records at their offsets, then the
// offsets of groups, rules and quotas. What was stopped halfway can be continued.
func Restore(ctx context.Context, client *kgo.Client, s Store, o Options) (*Manifest, error) {
	m, err := load(ctx, s, o.Name)
	if err != nil {
		return nil, err
	}
	if err := m.choose(o.Topics); err != nil {
		return nil, err
	}
	j := &job{client: client, kadm: kadm.NewClient(client), store: s, o: o}
	if err := j.create(ctx, m); err != nil {
		return nil, err
	}
	if err := j.writeAll(ctx, m); err != nil {
		return nil, err
	}
	if err := j.settle(ctx, m); err != nil {
		return nil, err
	}
	if err := j.commit(ctx, m); err != nil {
		return nil, err
	}
	return m, j.grant(ctx, m)
}

// choose keeps some topics, and what is about them.
func (m *Manifest) choose(names []string) error {
	if len(names) == 0 {
		return nil
	}
	for _, n := range names {
		if m.topic(n) == nil {
			return fmt.Errorf("backup %s has no topic %s", m.Name, n)
		}
	}
	m.Topics = slices.DeleteFunc(m.Topics, func(t Topic) bool { return !slices.Contains(names, t.Name) })
	for i := range m.Groups {
		m.Groups[i].Offsets = slices.DeleteFunc(m.Groups[i].Offsets, func(o Offset) bool { return !slices.Contains(names, o.Topic) })
	}
	m.Rules, m.Quotas, m.Users = nil, nil, nil
	return nil
}

// meanwhile is the settings of a topic while it is being restored: nothing is deleted or compacted, and
// batches may be of the usual size at least.
func (t *Topic) meanwhile() map[string]*string {
	set := make(map[string]*string)
	put := func(name, value string) { set[name] = &value }
	for name, value := range t.Settings {
		put(name, value)
	}
	put("cleanup.policy", "delete")
	put("retention.ms", "-1")
	put("retention.bytes", "-1")
	if n, err := strconv.Atoi(t.Settings["max.message.bytes"]); err != nil || n < usualBatch {
		put("max.message.bytes", strconv.Itoa(usualBatch))
	}
	return set
}

// create makes the topics. None may be there, unless a restore is continued.
func (j *job) create(ctx context.Context, m *Manifest) error {
	have, err := j.kadm.ListTopics(ctx)
	if err != nil {
		return err
	}
	brokers, err := j.kadm.ListBrokers(ctx)
	if err != nil {
		return err
	}
	var there []string
	for _, t := range m.Topics {
		if d, ok := have[t.Name]; ok && d.Err == nil {
			if there = append(there, t.Name); len(d.Partitions) != len(t.Partitions) {
				return fmt.Errorf("topic %s is there with %d partitions, and the backup has %d", t.Name, len(d.Partitions), len(t.Partitions))
			}
		}
	}
	if len(there) > 0 && !j.o.Continue {
		return fmt.Errorf("the cluster has topics of the backup already: %s; delete them, or add -continue if they are of a restore that was stopped", strings.Join(there, ", "))
	}
	for _, t := range m.Topics {
		if slices.Contains(there, t.Name) {
			continue
		}
		replicas := j.o.Replicas
		if replicas == 0 {
			replicas = min(t.Replicas, len(brokers))
		}
		r, err := j.kadm.CreateTopic(ctx, int32(len(t.Partitions)), int16(replicas), t.meanwhile(), t.Name)
		if err != nil {
			return fmt.Errorf("creating topic %s: %w %s", t.Name, err, r.ErrMessage)
		}
	}
	return nil
}

func (j *job) writeAll(ctx context.Context, m *Manifest) error {
	j.all = m.size()
	j.begin("bytes")
	err := each(ctx, m.targets(), func(ctx context.Context, t target) error {
		w := &writer{job: j, topic: t.topic, part: t.part, leader: -1, merger: merger{limit: mergedBytes}}
		if err := w.write(ctx); err != nil {
			return fmt.Errorf("%s/%d: %w", t.topic.Name, t.part.Partition, err)
		}
		return nil
	})
	j.end()
	return err
}

// targets are all partitions.
func (m *Manifest) targets() (all []target) {
	for i := range m.Topics {
		for k := range m.Topics[i].Partitions {
			all = append(all, target{topic: &m.Topics[i], part: &m.Topics[i].Partitions[k]})
		}
	}
	return all
}

// writer restores one partition, batch by batch.
type writer struct {
	*job
	topic  *Topic
	part   *Partition
	leader int32
	id     [16]byte // of the topic in this cluster
	end    int64    // of the partition in the cluster
	merger merger
}

func (w *writer) write(ctx context.Context) error {
	v := newVerdicts(w.part.Chunks)
	if err := w.findEnd(ctx); err != nil {
		return err
	}
	for i := range w.part.Chunks {
		c := &w.part.Chunks[i]
		data, err := c.read(ctx, w.store)
		if err != nil {
			return err
		}
		if err := split(data, func(b batch) error {
			if !v.keep(b) || b.next() <= w.end { // or there already, by a restore that was stopped
				return nil
			}
			return w.put(ctx, b)
		}); err != nil {
			return err
		}
		if err := w.flush(ctx); err != nil {
			return err
		}
		w.done(c.Bytes, c.Bytes)
	}
	return w.fill(ctx, w.part.End)
}

// put writes a batch, now or with those that come after it.
func (w *writer) put(ctx context.Context, b batch) error {
	if !w.merger.takes(b) {
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	if w.merger.takes(b) {
		return w.merger.add(b)
	}
	if err := w.fill(ctx, b.base()); err != nil {
		return err
	}
	return w.append(ctx, b.base(), b.next(), b.plain())
}

func (w *writer) flush(ctx context.Context) error {
	if w.merger.count == 0 {
		return nil
	}
	base, next := w.merger.base(), w.merger.next
	if err := w.fill(ctx, base); err != nil {
		return err
	}
	return w.append(ctx, base, next, w.merger.take())
}

// findEnd asks where the partition ends now.
func (w *writer) findEnd(ctx context.Context) error {
	ends, err := w.kadm.ListEndOffsets(ctx, w.topic.Name)
	if err != nil {
		return err
	}
	e, ok := ends.Lookup(w.topic.Name, w.part.Partition)
	if !ok || e.Err != nil {
		return fmt.Errorf("nobody tells where it ends: %v", e.Err)
	}
	w.end = e.Offset
	return nil
}

// fill brings the end of the partition to an offset, by offsets without records.
func (w *writer) fill(ctx context.Context, to int64) error {
	for w.end < to {
		n := min(to-w.end, maxGap)
		if err := w.append(ctx, w.end, w.end+n, gap(w.end, n)); err != nil {
			return err
		}
	}
	return nil
}

// append writes one batch, unless it is there. Where an answer was lost, the next one tells whether it is.
func (w *writer) append(ctx context.Context, base, next int64, raw []byte) error {
	var last error
	for range retries {
		if w.leader < 0 {
			if w.leader, w.id, last = w.job.leader(ctx, w.topic.Name, w.part.Partition); last != nil {
				if pause(ctx) != nil {
					return ctx.Err()
				}
				continue
			}
		}
		p, err := w.produce(ctx, raw)
		switch {
		case err == nil && p.BaseOffset != base:
			return fmt.Errorf("a batch for offset %d is at %d", base, p.BaseOffset)
		case err == nil, errors.Is(err, kerr.OffsetOutOfRange) && p.BaseOffset == next:
			w.end = next
			return nil
		case errors.Is(err, kerr.OffsetOutOfRange):
			return fmt.Errorf("it ends at offset %d, and the next batch is for %d: somebody else writes to it", p.BaseOffset, base)
		case isAnswer(err) && !kerr.IsRetriable(err):
			return err
		}
		last, w.leader = err, -1
		if pause(ctx) != nil {
			return ctx.Err()
		}
	}
	return last
}

// keptRequest is a request whose acks the client library leaves alone: it gives its own to what it knows as a ProduceRequest.
type keptRequest struct{ *kmsg.ProduceRequest }

func (w *writer) produce(ctx context.Context, raw []byte) (p kmsg.ProduceResponseTopicPartition, err error) {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = acksKept, produceTimeout
	t, in := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	in.Partition, in.Records = w.part.Partition, raw
	t.Topic, t.TopicID, t.Partitions = w.topic.Name, w.id, append(t.Partitions, in)
	req.Topics = append(req.Topics, t)
	resp, err := w.client.Broker(int(w.leader)).Request(ctx, keptRequest{req})
	if err != nil {
		return p, err
	}
	r := resp.(*kmsg.ProduceResponse)
	if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
		return p, errors.New("an answer about something else")
	}
	p = r.Topics[0].Partitions[0]
	err = kerr.ErrorForCode(p.ErrorCode)
	if err != nil && p.ErrorMessage != nil {
		err = fmt.Errorf("%w (%s)", err, *p.ErrorMessage)
	}
	return p, err
}

// settle moves the start of each partition to where it was, and gives topics their own settings.
func (j *job) settle(ctx context.Context, m *Manifest) error {
	starts := make(kadm.Offsets)
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			if p.Start > 0 {
				starts.AddOffset(t.Name, p.Partition, p.Start, -1)
			}
		}
	}
	if len(starts) > 0 {
		r, err := j.kadm.DeleteRecords(ctx, starts)
		if err == nil {
			err = r.Error()
		}
		if err != nil {
			return fmt.Errorf("moving the starts of partitions: %w", err)
		}
	}
	for _, t := range m.Topics {
		var set []kadm.AlterConfig
		for _, name := range slices.Sorted(maps.Keys(t.meanwhile())) {
			if _, own := t.Settings[name]; !own {
				set = append(set, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: name})
			}
		}
		for _, name := range slices.Sorted(maps.Keys(t.Settings)) {
			value := t.Settings[name]
			set = append(set, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &value})
		}
		r, err := j.kadm.AlterTopicConfigs(ctx, set, t.Name)
		if err == nil && len(r) == 1 {
			err = r[0].Err
		}
		if err != nil {
			return fmt.Errorf("settings of topic %s: %w", t.Name, err)
		}
	}
	return nil
}

// commit sets the offsets of groups. Leader epochs are of another cluster, so they are left out.
func (j *job) commit(ctx context.Context, m *Manifest) error {
	for _, g := range m.Groups {
		set := make(kadm.Offsets)
		for _, o := range g.Offsets {
			set.Add(kadm.Offset{Topic: o.Topic, Partition: o.Partition, At: o.Offset, LeaderEpoch: -1, Metadata: o.Metadata})
		}
		if len(set) == 0 {
			continue
		}
		if err := j.kadm.CommitAllOffsets(ctx, g.Name, set); err != nil {
			return fmt.Errorf("offsets of group %s: %w", g.Name, err)
		}
	}
	return nil
}

// grant makes rules and quotas.
func (j *job) grant(ctx context.Context, m *Manifest) error {
	if len(m.Rules) > 0 {
		req := kmsg.NewPtrCreateACLsRequest()
		for _, r := range m.Rules {
			c := kmsg.NewCreateACLsRequestCreation()
			c.ResourceType, c.ResourcePatternType, c.ResourceName = kmsg.ACLResourceType(r.Resource), kmsg.ACLResourcePatternType(r.Pattern), r.Name
			c.Principal, c.Host, c.Operation, c.PermissionType = r.Principal, r.Host, kmsg.ACLOperation(r.Operation), kmsg.ACLPermissionType(r.Permission)
			req.Creations = append(req.Creations, c)
		}
		resp, err := req.RequestWith(ctx, j.client)
		if err != nil {
			return fmt.Errorf("rules: %w", err)
		}
		for i, r := range resp.Results {
			if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
				return fmt.Errorf("rule %+v: %w", m.Rules[i], err)
			}
		}
	}
	var entries []kadm.AlterClientQuotaEntry
	for _, q := range m.Quotas {
		var e kadm.AlterClientQuotaEntry
		for _, kind := range slices.Sorted(maps.Keys(q.Of)) {
			e.Entity = append(e.Entity, kadm.ClientQuotaEntityComponent{Type: kind, Name: q.Of[kind]})
		}
		for _, name := range slices.Sorted(maps.Keys(q.Values)) {
			e.Ops = append(e.Ops, kadm.AlterClientQuotaOp{Key: name, Value: q.Values[name]})
		}
		entries = append(entries, e)
	}
	if len(entries) == 0 {
		return nil
	}
	done, err := j.kadm.AlterClientQuotas(ctx, entries)
	if err != nil {
		return fmt.Errorf("quotas: %w", err)
	}
	for _, r := range done {
		if r.Err != nil {
			return fmt.Errorf("quotas of %v: %w", r.Entity, r.Err)
		}
	}
	return nil
}

// Verify reads all that a backup names and holds it against its checksums.
func Verify(ctx context.Context, s Store, o Options) (*Manifest, error) {
	m, err := load(ctx, s, o.Name)
	if err != nil {
		return nil, err
	}
	j := &job{store: s, o: o}
	j.all = m.size()
	j.begin("bytes")
	err = each(ctx, m.targets(), func(ctx context.Context, t target) error {
		at := t.part.Start
		for i := range t.part.Chunks {
			c := &t.part.Chunks[i]
			if i > 0 && c.First != at || c.First > max(at, t.part.Start) {
				return fmt.Errorf("%s/%d: nothing is there between offsets %d and %d", t.topic.Name, t.part.Partition, at, c.First)
			}
			data, err := c.read(ctx, s)
			if err == nil {
				err = split(data, func(batch) error { return nil })
			}
			if err != nil {
				return err
			}
			at = c.Next
			j.done(c.Bytes, c.Bytes)
		}
		if at != t.part.End {
			return fmt.Errorf("%s/%d: the chunks end at offset %d, and the backup says %d", t.topic.Name, t.part.Partition, at, t.part.End)
		}
		return nil
	})
	j.end()
	return m, err
}
