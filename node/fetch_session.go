// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"container/list"
	"fmt"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Sessions of fetches (KIP-227). A client names its partitions once; from then on it says what has changed, and is told
// what is new. What a request does is the same with a session and without: it is completed from the session when it
// begins, rights are judged as it is answered, and its answer loses what the client knows already.
//
// A connection has at most one session, which ends with it. In Kafka sessions belong to the broker, and any connection
// may go on with one whose id it knows. Clients begin a new one after they have connected again, so they don't miss that; and
// nobody can disturb another's session, or leave one behind.
//
// Sessions are bounded in number and in memory, and an address gets no more than is left. Where there is no room, one that
// wasn't used for two minutes makes place. Else the client gets no session, and goes on with full requests.
const (
	maxFetchSessions  = 1000            // as Kafka's max.incremental.fetch.session.cache.slots
	sessionEvictable  = 2 * time.Minute // as its min.incremental.fetch.session.eviction.ms
	sessionPartBytes  = 128             // what a partition of a session takes
	sessionTopicBytes = 128             // and a topic, beside its name
)

// fetchSessions are those of all connections.
type fetchSessions struct {
	lastID int32
	memory pool
	used   list.List // of *fetchSession, the one that was used last at the end
}

// fetchSession is what a client asks for, and what it was told.
type fetchSession struct {
	conn   *conn
	id     int32
	epoch  int32 // of the next request
	byID   bool  // topics are named by id
	topics []kmsg.FetchRequestTopic
	told   [][]toldEnds // of each partition of topics
	bytes  int64        // of memory
	busy   bool         // a request is under way
	whole  bool         // the last answer was held back: the next one says everything
	usedAt Time
	place  *list.Element // nil: it has ended
}

// toldEnds is what a client was told of a partition last.
type toldEnds struct{ end, stable, start int64 }

var toldNothing = toldEnds{-1, -1, -1}

// sessionOf finds the session that a request goes on with, or what is wrong with it.
func (n *Node) sessionOf(r *request, req *kmsg.FetchRequest) (*fetchSession, *kerr.Error) {
	s := r.conn.session
	switch {
	case s == nil || s.id != req.SessionID:
		return nil, kerr.FetchSessionIDNotFound
	case s.epoch != req.SessionEpoch, s.busy:
		return nil, kerr.InvalidFetchSessionEpoch
	case s.byID != (req.Version >= 13):
		return nil, kerr.FetchSessionTopicIDError
	}
	s.busy = true
	r.onEnd(func() { s.busy = false })
	if s.epoch++; s.epoch < 0 {
		s.epoch = 1
	}
	n.touchSession(s)
	return s, nil
}

func (n *Node) touchSession(s *fetchSession) {
	s.usedAt = n.now
	n.sessions.used.MoveToBack(s.place)
}

// endSession ends a connection's session, if it has one.
func (n *Node) endSession(c *conn) {
	s := c.session
	if s == nil {
		return
	}
	n.sessions.memory.give(s.bytes)
	c.from.sessions -= s.bytes
	n.sessions.used.Remove(s.place)
	s.place, s.bytes, c.session = nil, 0, nil
}

// chargeSession gives a session memory or takes some back; false if there isn't enough.
func (n *Node) chargeSession(s *fetchSession, bytes int64) bool {
	if more := bytes - s.bytes; more > 0 {
		left := n.sessions.memory.limit - n.sessions.memory.used
		if more > left || s.conn.from.sessions+more > left && s.conn.from.sessions > 0 {
			return false
		}
	}
	n.sessions.memory.give(s.bytes - bytes)
	s.conn.from.sessions += bytes - s.bytes
	s.bytes = bytes
	return true
}

// newSession gives a connection a session, in place of the one that it had; nil if there is no room.
func (n *Node) newSession(f *fetch, bytes int64) *fetchSession {
	c, all := f.request.conn, &n.sessions
	n.endSession(c)
	s := &fetchSession{conn: c, epoch: 1, byID: f.req.Version >= 13, topics: f.req.Topics, told: make([][]toldEnds, len(f.req.Topics)), usedAt: n.now}
	for all.used.Len() >= maxFetchSessions || !n.chargeSession(s, bytes) {
		oldest := all.used.Front()
		if oldest == nil {
			return nil
		}
		o := oldest.Value.(*fetchSession)
		if o.busy || n.now.Sub(o.usedAt) <= sessionEvictable {
			return nil
		}
		n.endSession(o.conn)
	}
	if all.lastID == math.MaxInt32 {
		all.lastID = 0
	}
	all.lastID++
	s.id, c.session = all.lastID, s
	s.place = all.used.PushBack(s)
	return s
}

// partKey names a partition in a request.
type partKey struct {
	topic string
	id    [16]byte
	part  int32
}

// sessionChange is what a request changes of its session.
type sessionChange struct {
	fetch   *fetch
	session *fetchSession
	changed map[partKey]*kmsg.FetchRequestTopicPartition // that are named
	forgot  map[partKey]bool
	touched map[partKey]bool // topics with any of them, as partition 0
	bytes   int64            // that the session takes then
}

// resume completes a request from its session, and calls then; the request is answered at once if there is no room for what
// it adds.
func (f *fetch) resume(s *fetchSession, then func()) {
	u := &sessionChange{
		fetch: f, session: s, changed: make(map[partKey]*kmsg.FetchRequestTopicPartition), forgot: make(map[partKey]bool), touched: make(map[partKey]bool),
	}
	n, r := f.node, f.request
	named, forgotten := f.req.Topics, f.req.ForgottenTopics
	n.eachPart(r, len(named), func(i int) int {
		u.touched[partKey{named[i].Topic, named[i].TopicID, 0}] = true
		return len(named[i].Partitions)
	}, func(i, j int) {
		p := &named[i].Partitions[j]
		u.changed[partKey{named[i].Topic, named[i].TopicID, p.Partition}] = p
	}, func() {
		n.eachPart(r, len(forgotten), func(i int) int {
			u.touched[partKey{forgotten[i].Topic, forgotten[i].TopicID, 0}] = true
			return len(forgotten[i].Partitions)
		}, func(i, j int) {
			u.forgot[partKey{forgotten[i].Topic, forgotten[i].TopicID, forgotten[i].Partitions[j]}] = true
		}, func() { u.replace(func() { u.add(named, func() { u.conclude(then) }) }) })
	})
}

// replace changes what the session has already, and takes out what is forgotten.
func (u *sessionChange) replace(then func()) {
	s, kept := u.session, 0
	var parts []kmsg.FetchRequestTopicPartition // of the topic under way
	u.fetch.node.eachPart(u.fetch.request, len(s.topics), func(i int) int {
		t := &s.topics[i]
		u.bytes += sessionTopicBytes + int64(len(t.Topic)+len(t.Partitions)*sessionPartBytes)
		if kept = 0; !u.touched[partKey{t.Topic, t.TopicID, 0}] {
			return 0
		}
		parts = t.Partitions
		return len(parts)
	}, func(i, j int) {
		t := &s.topics[i]
		p, known := parts[j], s.told[i][j]
		k := partKey{t.Topic, t.TopicID, p.Partition}
		if c := u.changed[k]; c != nil {
			p = *c
			p.UnknownTags = kmsg.Tags{}
			delete(u.changed, k)
		}
		if u.forgot[k] {
			u.bytes -= sessionPartBytes
		} else {
			parts[kept], s.told[i][kept] = p, known
			kept++
		}
		if j == len(parts)-1 {
			t.Partitions, s.told[i] = parts[:kept], s.told[i][:kept]
		}
	}, then)
}

// add puts in what the session hasn't.
func (u *sessionChange) add(named []kmsg.FetchRequestTopic, then func()) {
	if len(u.changed) == 0 {
		then()
		return
	}
	s, at := u.session, make(map[partKey]int)
	u.fetch.node.each(u.fetch.request, len(s.topics), func(i int) {
		at[partKey{s.topics[i].Topic, s.topics[i].TopicID, 0}] = i
	}, func() {
		u.fetch.node.eachPart(u.fetch.request, len(named), func(i int) int { return len(named[i].Partitions) }, func(i, j int) {
			in, p := &named[i], &named[i].Partitions[j]
			k := partKey{in.Topic, in.TopicID, p.Partition}
			if u.changed[k] == nil || u.forgot[k] {
				return
			}
			topic := partKey{in.Topic, in.TopicID, 0}
			to, ok := at[topic]
			if !ok {
				to = len(s.topics)
				at[topic] = to
				t := kmsg.NewFetchRequestTopic()
				t.Topic, t.TopicID = in.Topic, in.TopicID
				s.topics, s.told = append(s.topics, t), append(s.told, nil)
				u.bytes += sessionTopicBytes + int64(len(in.Topic))
			}
			p.UnknownTags = kmsg.Tags{}
			s.topics[to].Partitions, s.told[to] = append(s.topics[to].Partitions, *p), append(s.told[to], toldNothing)
			u.bytes += sessionPartBytes
		}, then)
	})
}

// conclude lets the request go on with all that the session has now. One that has nothing left has ended.
func (u *sessionChange) conclude(then func()) {
	s, f := u.session, u.fetch
	n, left := f.node, 0
	n.each(f.request, len(s.topics), func(i int) {
		if len(s.topics[i].Partitions) > 0 {
			s.topics[left], s.told[left] = s.topics[i], s.told[i]
			left++
		} else {
			u.bytes -= sessionTopicBytes + int64(len(s.topics[i].Topic))
		}
	}, func() {
		clear(s.topics[left:])
		clear(s.told[left:])
		s.topics, s.told = s.topics[:left], s.told[:left]
		if s.place == nil { // a later request has begun another one
			f.request.refuseSession(kerr.FetchSessionIDNotFound)
			return
		}
		if !n.chargeSession(s, u.bytes) {
			n.endSession(s.conn)
			f.request.refuseSession(kerr.FetchSessionIDNotFound)
			return
		}
		f.session, f.req.Topics, f.req.ForgottenTopics = s, s.topics, nil
		if left == 0 {
			n.endSession(s.conn)
			f.session = nil
		}
		f.request.size += s.bytes
		then()
	})
}

// refuseSession answers a fetch with an error of its session.
func (r *request) refuseSession(err *kerr.Error) {
	resp := kmsg.NewPtrFetchResponse()
	resp.ErrorCode = err.Code
	r.reply(resp)
}

// sessionAnswer is an answer on its way out of a session.
type sessionAnswer struct {
	answer  *fetchAnswer
	session *fetchSession
	first   bool // all is new
	in      int  // partitions of the answer that were looked at
	out     int  // and those that stay
	topics  int  // that stay
	kept    int  // partitions that stay of the topic under way
	parts   []kmsg.FetchResponseTopicPartition
	moved   []int // partitions of the topic under way that got records
	later   []int // topics with such
}

// settleSession opens a session where one is asked for, notes what the client is told, takes out of the answer what it was
// told before, and calls then.
func (f *fetch) settleSession(a *fetchAnswer, then func()) {
	s := f.session
	if a.held || s == nil && !f.opens {
		if s != nil {
			s.whole, a.resp.SessionID = true, s.id
		}
		then()
		return
	}
	f.filling = true
	if s != nil {
		f.settle(a, &sessionAnswer{answer: a, session: s}, then)
		return
	}
	bytes := int64(0)
	f.node.each(f.request, len(f.req.Topics), func(i int) {
		bytes += sessionTopicBytes + int64(len(f.req.Topics[i].Topic)+len(f.req.Topics[i].Partitions)*sessionPartBytes)
	}, func() {
		if s = f.node.newSession(f, bytes); s == nil {
			f.filling = false
			then()
			return
		}
		s.busy = true
		f.request.onEnd(func() { s.busy = false })
		f.settle(a, &sessionAnswer{answer: a, session: s, first: true}, then)
	})
}

// settle does that with an answer in a session.
func (f *fetch) settle(a *fetchAnswer, w *sessionAnswer, then func()) {
	s := w.session
	a.resp.SessionID = s.id
	f.node.eachPart(f.request, len(a.resp.Topics), w.begin, w.part, func() {
		f.filling = false
		a.resp.Topics, a.batches = a.resp.Topics[:w.topics], a.batches[:w.out]
		s.whole = false
		s.rotateTopics(w.later)
		then()
	})
}

// begin begins with a topic.
func (w *sessionAnswer) begin(i int) int {
	w.parts, w.kept, w.moved = w.answer.resp.Topics[i].Partitions, 0, w.moved[:0]
	if w.first {
		t := &w.session.topics[i]
		t.UnknownTags = kmsg.Tags{}
		w.session.told[i] = make([]toldEnds, len(t.Partitions))
		if len(w.parts) == 0 {
			w.end(i)
		}
	}
	return len(w.parts)
}

// part looks at one partition.
func (w *sessionAnswer) part(i, j int) {
	s, p, batches := w.session, w.parts[j], w.answer.batches[w.in]
	w.in++
	now := toldEnds{p.HighWatermark, p.LastStableOffset, p.LogStartOffset}
	if p.ErrorCode != 0 {
		now = toldNothing
	}
	if w.first {
		s.topics[i].Partitions[j].UnknownTags = kmsg.Tags{}
	}
	if len(batches) > 0 {
		w.moved = append(w.moved, j)
	}
	if w.first || s.whole || len(batches) > 0 || p.ErrorCode != 0 || now != s.told[i][j] || p.PreferredReadReplica >= 0 || p.DivergingEpoch.Epoch >= 0 {
		w.parts[w.kept], w.answer.batches[w.out] = p, batches
		w.kept++
		w.out++
	}
	s.told[i][j] = now
	if j == len(w.parts)-1 {
		w.end(i)
	}
}

// end ends with a topic. Partitions that got records go behind the others, so that those have their turn when answers are
// full.
func (w *sessionAnswer) end(i int) {
	s, resp := w.session, w.answer.resp
	if w.kept > 0 || w.first {
		resp.Topics[w.topics] = resp.Topics[i]
		resp.Topics[w.topics].Partitions = w.parts[:w.kept]
		w.topics++
	}
	if len(w.moved) > 0 {
		w.later = append(w.later, i)
		rotate(s.topics[i].Partitions, w.moved)
		rotate(s.told[i], w.moved)
	}
}

// rotateTopics does the same with topics.
func (s *fetchSession) rotateTopics(later []int) {
	rotate(s.topics, later)
	rotate(s.told, later)
}

// rotate moves elements, by rising index, to the end.
func rotate[T any](all []T, moved []int) {
	if len(moved) == 0 || len(moved) == len(all) {
		return
	}
	last := make([]T, 0, len(moved))
	to := moved[0]
	for i := to; i < len(all); i++ {
		if len(moved) > 0 && moved[0] == i {
			last, moved = append(last, all[i]), moved[1:]
			continue
		}
		all[to] = all[i]
		to++
	}
	copy(all[to:], last)
}

// parts is about how many partitions an answer has: within a session those with records.
func (a *fetchAnswer) parts() (n int64) {
	if a.fetch.session == nil {
		return int64(len(a.batches))
	}
	for _, b := range a.batches {
		n += int64(btoi(len(b) > 0))
	}
	return n
}

// checkSessions compares what sessions hold with what is counted for them.
func (n *Node) checkSessions() error {
	bytes, count := int64(0), 0
	//det:ok a sum has no order
	for _, c := range n.conns {
		if s := c.session; s != nil {
			count++
			bytes += s.bytes
			if s.conn != c || s.place == nil || s.bytes == 0 && len(s.topics) > 0 {
				return fmt.Errorf("connection %d has a session that isn't its own, or isn't counted", c.id)
			}
		}
	}
	return cmp.Or(
		differ("sessions of fetches", int64(n.sessions.used.Len()), int64(count)),
		differ("bytes of sessions of fetches", n.sessions.memory.used, bytes),
		bounded("sessions of fetches", int64(count), maxFetchSessions),
	)
}
