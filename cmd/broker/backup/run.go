// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Options of a backup or a restore.
type Options struct {
	Topics   []string      // none: all
	Name     string        // of the backup to restore or verify; "": the newest
	Patience time.Duration // how long to wait for transactions that are open
	Replicas int           // of restored topics; 0: as many as they had, if there are so many brokers
	Continue bool          // a restore that was stopped
	Say      func(format string, args ...any)
}

// nameFormat is of the names of backups: when they began.
const nameFormat = "20060102T150405.000Z"

const (
	atOnce     = 4        // partitions
	chunkBytes = 16 << 20 // of a chunk, about
	fetchBytes = 4 << 20
)

// job is a backup or a restore under way.
type job struct {
	client *kgo.Client
	kadm   *kadm.Client
	store  Store
	o      Options
	progress
}

// Run makes a backup, and returns what it holds.
//
// The offsets of groups are read first. Then each partition is copied up to an end that is at or after where it ended then, so
// no group is beyond what was copied. If transactions are open there, it waits for them, so that what they wrote together
// with offsets isn't missing.
func Run(ctx context.Context, client *kgo.Client, s Store, o Options) (*Manifest, error) {
	j := &job{client: client, kadm: kadm.NewClient(client), store: s, o: o}
	m := &Manifest{Format: format, Began: time.Now().UTC()}
	m.Name = m.Began.Format(nameFormat)
	if err := j.describe(ctx, m); err != nil {
		return nil, err
	}
	if err := j.ends(ctx, m); err != nil {
		return nil, err
	}
	if err := j.inherit(ctx, m); err != nil {
		return nil, err
	}
	if err := j.copyAll(ctx, m); err != nil {
		return nil, err
	}
	m.clamp()
	m.Ended = time.Now().UTC()
	return m, m.save(ctx, s)
}

// mostBefore is how many backups are looked at for what they have.
const mostBefore = 100

// inherit takes over what earlier backups have, of each topic the newest that has it.
func (j *job) inherit(ctx context.Context, m *Manifest) error {
	names, err := Names(ctx, j.store)
	if err != nil {
		return err
	}
	missing := make(map[string]bool)
	for _, t := range m.Topics {
		missing[t.Name] = true
	}
	for i, name := range slices.Backward(names) {
		if len(missing) == 0 || len(names)-i > mostBefore {
			break
		}
		before, err := load(ctx, j.store, name)
		if err != nil {
			j.o.Say("%v; nothing is taken over from it", err)
			continue
		}
		m.inherit(before, missing)
	}
	return nil
}

// inherit takes over the chunks of a backup before that are still of use.
func (m *Manifest) inherit(before *Manifest, missing map[string]bool) {
	for i := range m.Topics {
		t := &m.Topics[i]
		old := before.topic(t.Name)
		if old == nil || old.ID != t.ID || !missing[t.Name] {
			continue
		}
		delete(missing, t.Name)
		for k := range t.Partitions {
			p := &t.Partitions[k]
			was := slices.IndexFunc(old.Partitions, func(o Partition) bool { return o.Partition == p.Partition })
			if was >= 0 && !t.forgets(m.Began.Sub(old.Partitions[was].Copied)) {
				p.inherit(&old.Partitions[was])
			}
		}
	}
}

func (p *Partition) inherit(old *Partition) {
	if old.End < p.Start {
		return // what is between is gone, and the rest is below the start
	}
	for _, c := range old.Chunks {
		if c.Next > p.Start {
			p.Chunks = append(p.Chunks, c)
		}
	}
	if len(p.Chunks) > 0 {
		p.Copied = old.Copied
	}
	p.End = old.End // and what was copied goes on from there
}

// forgets reports whether compaction may have removed tombstones that came after a copy of some age. Without
// them, what they deleted would come back, so such a topic is copied as a whole.
func (t *Topic) forgets(age time.Duration) bool {
	if !t.compacts() {
		return false
	}
	limit := 24 * time.Hour
	if ms, err := strconv.ParseInt(t.Settings["delete.retention.ms"], 10, 64); err == nil {
		limit = time.Duration(ms) * time.Millisecond
	}
	return age >= limit
}

// target is a partition to be copied.
type target struct {
	topic *Topic
	part  *Partition
	end   int64
}

// copyAll copies some partitions at a time.
func (j *job) copyAll(ctx context.Context, m *Manifest) error {
	var all []target
	for i := range m.Topics {
		for k := range m.Topics[i].Partitions {
			p := &m.Topics[i].Partitions[k]
			end := j.until[partitionKey{m.Topics[i].Name, p.Partition}]
			all = append(all, target{&m.Topics[i], p, end})
			j.all += max(0, end-max(p.Start, p.End))
		}
	}
	j.begin("records")
	err := each(ctx, all, func(ctx context.Context, t target) error {
		if err := j.copy(ctx, m.Name, t); err != nil {
			return fmt.Errorf("%s/%d: %w", t.topic.Name, t.part.Partition, err)
		}
		return nil
	})
	j.end()
	return err
}

// each does something with all of a list, some at a time, until one fails.
func each[T any](ctx context.Context, list []T, do func(context.Context, T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	todo := make(chan T)
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for t := range todo {
				if err := do(ctx, t); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, t := range list {
		select {
		case todo <- t:
		case <-ctx.Done():
		}
	}
	close(todo)
	wg.Wait()
	return context.Cause(ctx)
}

// copy copies a partition, from where the backup before ended.
func (j *job) copy(ctx context.Context, name string, t target) error {
	p, leader := t.part, int32(-1)
	if p.End = max(p.End, p.Start); p.Copied.IsZero() {
		p.Copied = time.Now().UTC()
	}
	for p.End < t.end {
		chunk := Chunk{First: p.End, Next: p.End}
		var data []byte
		for chunk.Next < t.end && len(data) < chunkBytes {
			got, err := j.fetch(ctx, t.topic, p.Partition, &leader, chunk.Next)
			if errors.Is(err, kerr.OffsetOutOfRange) { // retention was faster
				start := min(got.LogStartOffset, t.end)
				if start <= p.End {
					return fmt.Errorf("offset %d is out of range, and the partition begins at %d", chunk.Next, got.LogStartOffset)
				}
				p.Start, p.End, p.Chunks = start, start, nil
				chunk, data = Chunk{First: start, Next: start}, nil
				continue
			}
			if err != nil {
				return err
			}
			if data, err = chunk.add(data, got, t.end); err != nil {
				return err
			}
		}
		if len(data) > 0 {
			chunk.Object = fmt.Sprintf("data/%s/%d/%020d-%020d-%s", t.topic.ID, p.Partition, chunk.First, chunk.Next, name)
			chunk.Bytes, chunk.SHA256 = int64(len(data)), sum(data)
			if err := j.store.Put(ctx, chunk.Object, data); err != nil {
				return err
			}
			p.Chunks = append(p.Chunks, chunk)
		}
		j.done(chunk.Next-p.End, int64(len(data)))
		p.End = chunk.Next
	}
	return nil
}

// add adds the batches of an answer up to an end.
func (c *Chunk) add(data []byte, got *kmsg.FetchResponseTopicPartition, end int64) ([]byte, error) {
	from := c.Next
	err := split(got.RecordBatches, func(b batch) error {
		if b.next() > c.Next && b.base() < end {
			data, c.Next = append(data, b...), b.next()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if c.Next == from {
		return nil, fmt.Errorf("the broker gives nothing at offset %d, though there is something up to %d", from, end)
	}
	for _, a := range got.AbortedTransactions {
		if in := (Aborted{a.ProducerID, a.FirstOffset}); in.First < c.Next && !slices.Contains(c.Aborted, in) {
			c.Aborted = append(c.Aborted, in)
		}
	}
	return data, nil
}

const retries = 60 // of a fetch, a second apart: as long as a cluster may take to elect leaders

// fetch reads what is committed from an offset on. leader is who was asked last.
func (j *job) fetch(ctx context.Context, t *Topic, partition int32, leader *int32, offset int64) (*kmsg.FetchResponseTopicPartition, error) {
	id, err := idOf(t.ID)
	if err != nil {
		return nil, err
	}
	var last error
	for range retries {
		if *leader < 0 {
			if *leader, _, last = j.leader(ctx, t.Name, partition); last != nil {
				if pause(ctx) != nil {
					return nil, ctx.Err()
				}
				continue
			}
		}
		resp, err := j.client.Broker(int(*leader)).RetriableRequest(ctx, fetchRequest(t.Name, id, partition, offset))
		if err == nil {
			r := resp.(*kmsg.FetchResponse)
			if err = kerr.ErrorForCode(r.ErrorCode); err == nil && (len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1) {
				err = errors.New("an answer about something else")
			}
			if err == nil {
				p := &r.Topics[0].Partitions[0]
				if err = kerr.ErrorForCode(p.ErrorCode); err == nil || errors.Is(err, kerr.OffsetOutOfRange) {
					return j.withStart(ctx, t.Name, p, err)
				}
			}
		}
		if last = err; !kerr.IsRetriable(err) && ctx.Err() == nil && isAnswer(err) {
			return nil, err
		}
		*leader = -1
		if pause(ctx) != nil {
			return nil, ctx.Err()
		}
	}
	return nil, last
}

func isAnswer(err error) bool {
	_, ok := errors.AsType[*kerr.Error](err)
	return ok
}

// withStart adds to an answer that has no records where the partition begins.
func (j *job) withStart(ctx context.Context, topic string, p *kmsg.FetchResponseTopicPartition, err error) (*kmsg.FetchResponseTopicPartition, error) {
	if err == nil {
		return p, nil
	}
	starts, failed := j.kadm.ListStartOffsets(ctx, topic)
	if failed != nil {
		return nil, failed
	}
	o, ok := starts.Lookup(topic, p.Partition)
	if !ok || o.Err != nil {
		return nil, err
	}
	p.LogStartOffset = o.Offset
	return p, err
}

func fetchRequest(topic string, id [16]byte, partition int32, offset int64) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.IsolationLevel, req.SessionEpoch = 500, 1, fetchBytes, 1, -1
	t, p := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, offset, fetchBytes
	t.Topic, t.TopicID, t.Partitions = topic, id, append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// leader asks who leads a partition, and for the id of its topic.
func (j *job) leader(ctx context.Context, topic string, partition int32) (int32, [16]byte, error) {
	details, err := j.kadm.ListTopicsWithInternal(ctx, topic)
	if err != nil {
		return -1, [16]byte{}, err
	}
	p, ok := details[topic].Partitions[partition]
	if !ok || p.Leader < 0 {
		return -1, [16]byte{}, kerr.LeaderNotAvailable
	}
	return p.Leader, details[topic].ID, nil
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Second):
		return nil
	}
}
