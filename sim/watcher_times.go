// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node"
	"chronik/sim/keyed"
)

// Who has read all of the offsets topic knows which record is the first one from a time on. Old records of a key vanish as soon as there is
// a newer one, so only the newest ones can be told of.

// mostTimed bounds the partitions that are asked about, one request each.
const mostTimed = 3

// timed is a question for an offset by time, and its answer.
type timed struct {
	partition int32
	place     watchedPlace // a record that was the newest of its key, whose time is asked for
	key       string
	got       watchedPlace
	at        node.Time // when it was answered; 0: it isn't
}

// watchedPlace is where a record is, and when it was written.
type watchedPlace struct{ offset, ms int64 }

// askTimes asks for offsets by time, and compares the answers with what was read up to then and after it.
func (w *world) askTimes(v *watcher) {
	asked := 0
	for i := range v.parts {
		if asked == mostTimed {
			return
		}
		if key, ok := v.someKey(i); ok {
			asked++
			v.askTime(&timed{partition: int32(i), key: key, place: v.parts[i].places[key]})
		}
	}
}

// someKey draws a key whose newest record is no tombstone: those vanish by themselves.
func (v *watcher) someKey(partition int) (string, bool) {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(v.parts[partition].newest)) {
		if v.parts[partition].newest[key] != nil {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return "", false
	}
	w := v.client.world
	return keys[w.seed.Draw(domainQuiz, keyed.Pair(1<<20, partition), 0).Below(int64(len(keys)))], true
}

func (v *watcher) askTime(q *timed) {
	w := v.client.world
	done := func() bool {
		at := v.parts[q.partition].caughtUp
		return q.at > 0 && at >= q.at
	}
	for limit := w.now + 2*w.patience(); !done(); {
		if w.now > limit {
			w.fail("liveness", "%s isn't told an offset of %s/%d by time though all faults have ended", v.name, watchedTopic, q.partition)
		}
		if q.at == 0 {
			v.sendTime(q)
		}
		w.runUntil(w.now+node.Time(second), w.afterAnswers(done))
	}
	v.compare(q)
}

func (v *watcher) sendTime(q *timed) {
	leader := v.topic.partitions[q.partition].leader
	if leader == 0 {
		v.topic.stale = true
		return
	}
	cn := v.client.conn(leader)
	if cn == nil {
		return
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version, req.ReplicaID = 7, -1
	t, p := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
	t.Topic, p.Partition, p.CurrentLeaderEpoch, p.Timestamp = watchedTopic, q.partition, -1, q.place.ms
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	cn.ask(v.client.world, req, func(resp kmsg.Response) {
		r := &resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
		switch {
		case retriable(r.ErrorCode):
			v.topic.stale = true
		case r.ErrorCode != 0:
			v.client.world.fail("unexpected-error", "%s: ListOffsets of %s/%d is answered %s", v.name, watchedTopic, q.partition, kafka.CodeName(r.ErrorCode))
		default:
			q.got, q.at = watchedPlace{r.Offset, r.Timestamp}, v.client.world.now
		}
	})
}

// compare demands that the answer is no later than any record that was there before and after it, from that time on.
func (v *watcher) compare(q *timed) {
	w, at := v.client.world, &v.parts[q.partition]
	if at.places[q.key] != q.place {
		return // there is a newer one now
	}
	why := ""
	switch {
	case q.got.offset < 0 || q.got.offset > q.place.offset:
		why = fmt.Sprintf("there is one at offset %d", q.place.offset)
	case q.got.ms < q.place.ms:
		why = fmt.Sprintf("that one is of time %d", q.got.ms)
	}
	for _, key := range slices.Sorted(maps.Keys(at.newest)) {
		if p := at.places[key]; why == "" && at.newest[key] != nil && p.ms >= q.place.ms && p.offset < q.got.offset {
			why = fmt.Sprintf("there is one at offset %d, of time %d", p.offset, p.ms)
		}
	}
	if why != "" {
		w.fail("offset-by-time", "%s: the first record of %s/%d from time %d on is said to be at offset %d, and %s", v.name, watchedTopic, q.partition, q.place.ms, q.got.offset, why)
	}
}
