// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node"
	"chronik/sim/plan"
)

// watcher is one under way.
type watcher struct {
	name   string
	fresh  bool // has read all of it when all was healed
	client *client
	topic  *topicView
	asking [plan.MaxBrokers + 1]bool
	parts  []watched
}

// watched is what a watcher knows of a partition.
type watched struct {
	position int64
	caughtUp node.Time // when a fetch was sent that brought nothing but the end; -1: never
	retryAt  node.Time
	newest   map[string][]byte       // values by key; tombstones are nil
	places   map[string]watchedPlace // where those are
}

const (
	watchedTopic      = "__consumer_offsets"
	defaultPartitions = 8 // of it
	watcherClients    = 1 << 21
)

// watch starts a watcher.
func (w *world) watch(name string, spec *plan.Watcher) *watcher {
	n := w.plan.Knobs.GroupPartitions
	if n == 0 {
		n = defaultPartitions
	}
	c := newClient(w, &plan.Client{ID: watcherClients + len(w.watchers), InFlight: 1, Timeout: spec.Timeout, GiveUp: spec.Timeout, Home: spec.Home})
	v := &watcher{name: name, client: c, topic: &topicView{plan: &plan.Topic{Name: watchedTopic, Partitions: n}, stale: true}}
	for range n {
		v.topic.partitions = append(v.topic.partitions, partitionView{epoch: -1})
		v.parts = append(v.parts, watched{caughtUp: -1, newest: make(map[string][]byte), places: make(map[string]watchedPlace)})
	}
	c.watcher = v
	w.watchers = append(w.watchers, v)
	c.advance()
	return v
}

// due is when something has to be done next, if nothing happens before.
func (v *watcher) due() node.Time {
	next := node.Never
	for i := range v.parts {
		next = v.client.sooner(next, v.parts[i].retryAt)
	}
	return next
}

// fetch asks each leader for what comes next, one request at a time.
func (v *watcher) fetch() {
	for b := 1; b <= len(v.client.world.brokers); b++ {
		if !v.asking[b] {
			v.fetchFrom(b)
		}
	}
}

func (v *watcher) fetchFrom(broker int) {
	c := v.client
	w := c.world
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic = watchedTopic
	for i := range v.parts {
		p, at := &v.topic.partitions[i], &v.parts[i]
		if p.leader == 0 {
			v.topic.stale = true
		}
		if p.leader != broker || at.retryAt > w.now || v.topic.stale {
			continue
		}
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.CurrentLeaderEpoch, rp.FetchOffset = int32(i), p.epoch, at.position
		rp.LastFetchedEpoch, rp.LogStartOffset = -1, -1
		rp.PartitionMaxBytes = int32(c.draw().LogUniform(1, 1<<20))
		rt.Partitions = append(rt.Partitions, rp)
	}
	if len(rt.Partitions) == 0 {
		return
	}
	cn := c.conn(broker)
	if cn == nil {
		return
	}
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.ReplicaID, req.MinBytes, req.MaxBytes = [...]int16{12, 11, 9}[c.draw().Below(3)], -1, 1, 1<<20
	req.MaxWaitMillis = c.mostWait()
	req.Topics = append(req.Topics, rt)
	v.asking[broker] = true
	began := w.now
	cn.ask(w, req, func(resp kmsg.Response) {
		v.asking[broker] = false
		v.fetched(began, rt.Partitions, resp.(*kmsg.FetchResponse))
	})
}

func (v *watcher) fetched(began node.Time, asked []kmsg.FetchRequestTopicPartition, resp *kmsg.FetchResponse) {
	w := v.client.world
	if resp.ErrorCode != 0 || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != len(asked) {
		w.fail("protocol", "%s: a fetch of %d partitions is answered %s and for %d topics", v.name, len(asked), kafka.CodeName(resp.ErrorCode), len(resp.Topics))
	}
	for i := range asked {
		p := &resp.Topics[0].Partitions[i]
		at := &v.parts[p.Partition]
		switch {
		case retriable(p.ErrorCode):
			v.topic.stale = true
			at.retryAt = w.now + v.client.retryDelay()
			v.client.wakeAt(at.retryAt)
		case p.ErrorCode == kerr.OffsetOutOfRange.Code:
			w.fail("watched-offsets", "%s has come to offset %d of %s/%d by reading, and is told that it is out of range (log start %d, high watermark %d)",
				v.name, at.position, watchedTopic, p.Partition, p.LogStartOffset, p.HighWatermark)
		case p.ErrorCode != 0:
			w.fail("unexpected-error", "%s: a fetch of %s/%d is answered %s", v.name, watchedTopic, p.Partition, kafka.CodeName(p.ErrorCode))
		default:
			v.take(p)
			if at.position == p.HighWatermark {
				at.caughtUp = began
			}
		}
	}
}

// take keeps the newest record of each key.
func (v *watcher) take(p *kmsg.FetchResponseTopicPartition) {
	w, at := v.client.world, &v.parts[p.Partition]
	last := at.position - 1
	err := kafka.SplitBatches(p.RecordBatches, func(one []byte) {
		b, err := kafka.ParseBatch(one)
		if err == nil {
			err = kafka.Unpack(one, 1<<20, func(delta, ms int64, key, value []byte) error {
				if offset := b.BaseOffset + delta; offset <= last || offset >= p.HighWatermark {
					return fmt.Errorf("offset %d comes after %d, with the high watermark at %d", offset, last, p.HighWatermark)
				}
				last = b.BaseOffset + delta
				at.newest[string(key)], at.places[string(key)] = slices.Clone(value), watchedPlace{last, ms}
				return nil
			})
		}
		if err != nil {
			w.fail("watched-offsets", "%s reads %s/%d: %v", v.name, watchedTopic, p.Partition, err)
		}
		at.position = b.BaseOffset + int64(b.LastOffsetDelta) + 1
	})
	if err != nil {
		w.fail("watched-offsets", "%s reads %s/%d: %v", v.name, watchedTopic, p.Partition, err)
	}
	w.hash.word(uint64(p.Partition)<<48 ^ uint64(at.position))
}

// settleWatchers demands that soon watchers know what OffsetFetch answers.
func (w *world) settleWatchers() {
	if len(w.consumers) == 0 && len(w.chainOffsets()) == 0 {
		return
	}
	began := w.now
	fresh := w.watch("one who reads it from the start", &plan.Watcher{Timeout: second, Home: 1})
	fresh.fresh = true
	why := ""
	if !w.runUntil(w.now+2*w.patience(), w.afterAnswers(func() bool {
		why = w.unwatched(began)
		return why == ""
	})) {
		w.fail("watched-offsets", "%s, %v after all faults ended", why, plan.Duration(w.now-w.healedAt))
	}
	w.askTimes(fresh)
	w.watchers = w.watchers[:len(w.watchers)-1]
	fresh.stop()
}

func (v *watcher) stop() {
	v.client.watcher = nil
	for _, cn := range v.client.conns {
		if cn != nil {
			cn.hangUp(v.client.world)
		}
	}
}

// unwatched says what a watcher sees otherwise than OffsetFetch says; "" if nothing.
func (w *world) unwatched(began node.Time) string {
	for _, v := range w.watchers {
		for i := range v.parts {
			if v.parts[i].caughtUp < began {
				return fmt.Sprintf("%s has come to offset %d of %s/%d and not to its end", v.name, v.parts[i].position, watchedTopic, i)
			}
		}
	}
	want := w.committedOffsets()
	for _, v := range w.watchers {
		seen := make(map[string]string)
		for i := range v.parts {
			if err := seeOffsets(seen, v.parts[i].newest); err != nil {
				return fmt.Sprintf("%s: %v", v.name, err)
			}
		}
		for _, c := range want {
			if c.text == "" && !v.fresh && !w.clocksRight {
				continue // the tombstone may have gone before it was read
			}
			if got := seen[c.key]; got != c.text {
				return fmt.Sprintf("%s sees that %s has %q, and OffsetFetch says %q", v.name, c.key, got, c.text)
			}
		}
	}
	return ""
}

// committedOffset is what OffsetFetch said of a group and partition: the offset and the commit that set it, or nothing.
type committedOffset struct{ key, text string }

// committedOffsets are the last answers about the groups that have members, and about those of chains.
func (w *world) committedOffsets() (all []committedOffset) {
	for i := range w.judge.histories.Groups {
		g := &w.judge.histories.Groups[i]
		for _, p := range w.subscribed(g.Group) {
			for j := len(g.Reads) - 1; j >= 0; j-- {
				r := &g.Reads[j]
				if r.Partition != p {
					continue
				}
				c := committedOffset{key: g.Group + " " + p}
				if r.Offset >= 0 {
					c.text = offsetText(r.Offset, strconv.FormatInt(r.Commit, 10))
				}
				all = append(all, c)
				break
			}
		}
	}
	return append(all, w.chainOffsets()...)
}

func offsetText(offset int64, metadata string) string { return fmt.Sprintf("%d %s", offset, metadata) }

// seeOffsets adds the committed offsets among records, by group and partition, in their own text. Every record must be one that
// readers can read.
func seeOffsets(seen map[string]string, newest map[string][]byte) error {
	for _, key := range slices.Sorted(maps.Keys(newest)) {
		value := newest[key]
		if len(key) < 2 {
			return fmt.Errorf("a key of %d bytes", len(key))
		}
		switch kind := binary.BigEndian.Uint16([]byte(key)); {
		case value == nil:
		case kind <= 1:
			k, v := kmsg.NewOffsetCommitKey(), kmsg.NewOffsetCommitValue()
			if err := errors.Join(k.ReadFrom([]byte(key)), v.ReadFrom(value)); err != nil {
				return fmt.Errorf("a committed offset, %x with %x: %w", key, value, err)
			}
			seen[k.Group+" "+partitionName(k.Topic, k.Partition)] = offsetText(v.Offset, v.Metadata)
		case kind == 2:
			k, v := kmsg.NewGroupMetadataKey(), kmsg.NewGroupMetadataValue()
			if err := errors.Join(k.ReadFrom([]byte(key)), v.ReadFrom(value)); err != nil {
				return fmt.Errorf("a group, %x with %x: %w", key, value, err)
			}
		}
	}
	return nil
}
