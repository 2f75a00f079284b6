// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/step"
)

// modernGroup is a group of the new protocol (KIP-848) as its coordinator runs it. The coordinator
// assigns partitions to members; each comes to its target by itself, in its heartbeats, and nobody
// waits for the others: a partition moves when its old owner has confirmed that it gave it up.
//
// All state is committed, and changes are made one at a time: while one is on its way into the log,
// other heartbeats of the group wait. What is known to the leader alone are the members' sessions.
type modernGroup struct {
	of       *consumerGroup
	node     *Node
	busy     bool            // a change is on its way into the log
	resumes  bool            // goOn comes again
	waiting  waiters[func()] // to go on after it
	sessions map[string]*modernSession
	checked  uint64 // version of the catalog's topics up to which the subscribed ones are known
	rules    uint64 // and that of its rules
}

// modernSession is how long a member may stay silent, and how long it may keep what it has to give up.
type modernSession struct {
	expires *step.Deadline
	revoke  *step.Deadline
	epoch   int32 // of the member when revoke began
}

// restoreModernGroup begins where the log left the group, with a fresh session for everybody.
func restoreModernGroup(of *consumerGroup) *modernGroup {
	g := &modernGroup{of: of, node: of.coordinator.node, sessions: make(map[string]*modernSession)}
	for _, m := range g.state().members {
		g.heard(m)
	}
	return g
}

// state is what is committed.
func (g *modernGroup) state() *modernState {
	if s := g.of.stored.modern; s != nil {
		return s
	}
	return &modernState{}
}

// whenIdle runs work when no change is on its way; not at all if the request that wants it is over before.
func (g *modernGroup) whenIdle(r *request, work func()) {
	if g.busy {
		g.waiting.add(r, work)
		return
	}
	work()
}

// commit makes a draft count, and calls done.
func (g *modernGroup) commit(d *draft, done func(error)) {
	records := d.records(modernEntryBytes)
	if len(records) == 0 {
		done(nil)
		return
	}
	g.busy = true
	g.node.out.Work.Parts += batchBytes(records) / 512 // they are JSON
	for len(records) > 1 && batchBytes(records) > modernEntryBytes {
		first := fitting(records, modernEntryBytes)
		g.of.coordinator.propose(records[:first], func(error) {})
		records = records[first:]
	}
	g.of.coordinator.propose(records, func(err error) {
		g.busy = false
		if err != nil {
			g.checked, g.rules = 0, 0 // what was seen in the catalog doesn't count either
			g.renewLost()
		}
		if err == nil && d.epoch != d.state.Epoch {
			g.node.event(Event{Kind: EventGroupGeneration, Group: g.of.coordinator.group.id, N: int64(d.state.Epoch), Text: g.of.id})
		}
		for i := 0; err == nil && i < len(d.removed); i++ {
			g.forget(d.removed[i])
		}
		done(err)
		g.goOn()
	})
}

// modernEntryBytes bounds the records of one entry, which are parsed in one step.
const modernEntryBytes = 128 << 10

// fitting returns how many of the records fit so many bytes, at least one.
func fitting(records []kafka.Record, bytes int) int {
	sum := 0
	for i := range records {
		if sum += recordBytes(&records[i]); sum > bytes && i > 0 {
			return i
		}
	}
	return len(records)
}

// goOn does what waited for the last change, as much of it as the step's budget allows, and the rest in the next steps.
func (g *modernGroup) goOn() {
	for first := true; !g.busy && !g.resumes; first = false {
		if !first && g.node.spent(1) {
			g.resumes = true
			g.node.later(func() {
				g.resumes = false
				g.goOn()
			})
			return
		}
		next, ok := g.waiting.pop()
		if !ok {
			return
		}
		g.node.out.Work.Names++
		next()
	}
}

// dead reports whether the group is being deleted, or this broker no longer is its coordinator.
func (g *modernGroup) dead() bool {
	return g.of.classic == nil || g.of.modern != g || g.of.classic.state == groupDead
}

// abandon ends the group on this broker, in this step or the next ones. Those that wait find it dead.
func (g *modernGroup) abandon() {
	g.node.later(func() {
		g.node.out.Work.Parts += len(g.sessions) / 4
		//det:ok they don't fire, in whatever order they are taken out
		for _, s := range g.sessions {
			g.node.deadlines.Cancel(s.expires)
			g.node.deadlines.Cancel(s.revoke)
		}
		clear(g.sessions)
		g.busy = false
		g.goOn()
	})
}

// heard gives a member a new session, and time to give up what it has to.
func (g *modernGroup) heard(m *modernMember) {
	s := g.sessions[m.ID]
	if s == nil {
		s = &modernSession{}
		g.sessions[m.ID] = s
	}
	g.node.deadlines.Cancel(s.expires)
	s.expires = g.node.deadlines.Add(g.node.now.Add(g.session()), func() { g.fence(m.ID) })
	switch revokes := len(m.Revoking) > 0; {
	case !revokes:
		g.node.deadlines.Cancel(s.revoke)
		s.revoke = nil
	case s.revoke == nil || s.epoch != m.Epoch:
		g.node.deadlines.Cancel(s.revoke)
		s.epoch = m.Epoch
		s.revoke = g.node.deadlines.Add(g.node.now.Add(millis(m.RebalanceMs)), func() { g.fence(m.ID) })
	}
}

func (g *modernGroup) forget(id string) {
	if s := g.sessions[id]; s != nil {
		g.node.deadlines.Cancel(s.expires)
		g.node.deadlines.Cancel(s.revoke)
		delete(g.sessions, id)
	}
}

// renewLost gives those a session that were to go in a change that came to nothing, because the disk is full, say. Without
// one they would never be missed again.
func (g *modernGroup) renewLost() {
	if g.dead() {
		return
	}
	for _, m := range g.state().members {
		if g.sessions[m.ID] == nil {
			g.heard(m)
		}
	}
}

// fence removes a member that was silent for too long, or keeps what it should give up. Where many are to
// go at once they go in one change.
func (g *modernGroup) fence(id string) {
	session := g.sessions[id]
	g.whenIdle(nil, func() {
		if g.dead() || g.sessions[id] != session || !g.isOver(id) {
			return // or it was heard while this waited
		}
		d := newDraft(g.of.id, g.state())
		g.node.out.Work.Parts += len(g.state().members) / 16
		for _, m := range g.state().members {
			if m.ID == id || len(d.removed) < maxFenced && g.isOver(m.ID) {
				g.node.event(Event{Kind: EventGroupMemberLost, Group: g.of.coordinator.group.id, Text: g.of.id})
				g.leave(d, m.ID)
				g.forget(m.ID)
			}
		}
		g.commit(d, func(error) {})
	})
}

// maxFenced bounds the members that go in one change.
const maxFenced = 256

// isOver reports whether a member's time is up.
func (g *modernGroup) isOver(id string) bool {
	s, now := g.sessions[id], g.node.now
	return s != nil && g.state().member(id) != nil && (s.expires.At <= now || s.revoke != nil && s.revoke.At <= now)
}

// leave takes a member out. Who gets its partitions is decided in the next heartbeat of another.
func (g *modernGroup) leave(d *draft, id string) {
	d.remove(id)
	d.state.Epoch++
	d.header = true
	if len(d.state.members) == 0 {
		d.state.Since = g.node.stampMs()
	}
}

// heartbeat is everything that a member does: it joins, leaves, says what it subscribes to and what it
// owns, and learns what it may own now.
func (g *modernGroup) heartbeat(r *request, req *kmsg.ConsumerGroupHeartbeatRequest) {
	if g.dead() {
		r.reply(failedBeat(kerr.NotCoordinator))
		return
	}
	d := newDraft(g.of.id, g.state())
	g.node.out.Work.Parts += len(d.state.members) / 64
	switch req.MemberEpoch {
	case leaveEpoch, awayEpoch:
		resp, err := g.goAway(d, req)
		g.finishBeat(d, r, nil, resp, err)
	default:
		g.progress(d, r, req, func(m *modernMember, err error) {
			var resp *kmsg.ConsumerGroupHeartbeatResponse
			if err == nil {
				resp = g.answer(m, req)
			}
			g.finishBeat(d, r, m, resp, err)
		})
	}
}

// finishBeat answers a heartbeat when what it changes is committed.
func (g *modernGroup) finishBeat(d *draft, r *request, m *modernMember, resp *kmsg.ConsumerGroupHeartbeatResponse, err error) {
	if err != nil {
		r.reply(failedBeat(err))
		return
	}
	g.commit(d, func(err error) {
		switch {
		case err != nil:
			r.reply(failedBeat(err))
			return
		case m != nil:
			g.heard(m)
		}
		r.reply(resp)
	})
}

// goAway lets a member leave, or a static one be away for a while.
func (g *modernGroup) goAway(d *draft, req *kmsg.ConsumerGroupHeartbeatRequest) (*kmsg.ConsumerGroupHeartbeatResponse, error) {
	m, err := d.state.identify(req)
	if err != nil {
		return nil, err
	}
	if req.MemberEpoch == awayEpoch {
		away := *m
		away.Epoch, away.Revoking = awayEpoch, nil
		d.put(&away)
	} else {
		g.leave(d, m.ID)
		g.forget(m.ID)
	}
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	resp.MemberID, resp.MemberEpoch = &req.MemberID, req.MemberEpoch
	return resp, nil
}

// progress brings a member forward by one step, and calls done, perhaps later.
func (g *modernGroup) progress(d *draft, r *request, req *kmsg.ConsumerGroupHeartbeatRequest, done func(*modernMember, error)) {
	was, err := g.sender(d, req)
	if err != nil {
		done(nil, err)
		return
	}
	m, err := g.updated(was, r, req)
	if err != nil {
		done(nil, err)
		return
	}
	if !was.subscribesAs(m) || !sameText(was.Instance, m.Instance) || !sameText(was.Rack, m.Rack) || was.ClientID != m.ClientID {
		if g.bytesWith(m) > maxGroupBytes {
			done(nil, errGroupBytes)
			return
		}
	}
	known := d.state.member(m.ID)
	if known == nil || !known.same(m) {
		d.put(m)
	}
	g.renew(d, r, known == nil || !was.subscribesAs(m), func(err error) {
		if err != nil {
			done(nil, err)
			return
		}
		owned, all := g.node.ownedBy(req)
		m := d.state.member(m.ID)
		if next := d.state.reconcile(m, owned, all); !next.same(m) {
			d.put(next)
			m = next
		}
		done(m, nil)
	})
}

var errGroupBytes = kafka.Errorf(kerr.GroupMaxSizeReached, "the members of the group would say more than %d MiB about themselves; subscribe by a regular expression, or make several groups", maxGroupBytes>>20)

// bytesWith estimates what the members of the group say about themselves, with what one of them would say.
func (g *modernGroup) bytesWith(m *modernMember) int {
	sum := m.bytes()
	for _, o := range g.state().members {
		if o.ID != m.ID {
			sum += o.bytes()
		}
	}
	g.node.out.Work.Bytes += int64(sum) / 4
	return sum
}

// sender finds the member in the draft, or makes a new one.
func (g *modernGroup) sender(d *draft, req *kmsg.ConsumerGroupHeartbeatRequest) (*modernMember, error) {
	if req.MemberEpoch != joinEpoch {
		m, err := d.state.identify(req)
		if err != nil {
			return nil, err
		}
		owned, _ := g.node.ownedBy(req)
		lost := req.MemberEpoch == m.Previous && req.Topics != nil && len(owned.Minus(m.Owned)) == 0 // our answer
		if req.MemberEpoch != m.Epoch && !(lost && req.MemberEpoch < m.Epoch) {
			return nil, kerr.FencedMemberEpoch
		}
		return m, nil
	}
	if req.InstanceID != nil {
		if old := d.state.byInstance(*req.InstanceID); old != nil && old.ID != req.MemberID {
			if old.Epoch != awayEpoch {
				return nil, kerr.UnreleasedInstanceID
			}
			back := *old
			back.ID, back.Epoch, back.Previous = req.MemberID, joinEpoch, joinEpoch
			d.remove(old.ID) // its session goes on until that is committed: this heartbeat may yet be refused
			d.put(&back)
			return &back, nil
		}
	}
	if m := d.state.member(req.MemberID); m != nil { // it begins anew, and owns nothing
		fresh := *m
		fresh.Epoch, fresh.Previous, fresh.Owned, fresh.Revoking = joinEpoch, joinEpoch, nil, nil
		return &fresh, nil
	}
	if len(d.state.members) >= g.node.cfg.GroupMaxSize {
		return nil, kerr.GroupMaxSizeReached
	}
	return &modernMember{ID: req.MemberID}, nil
}

// updated takes what a member says about itself; what it leaves out is as before.
func (g *modernGroup) updated(was *modernMember, r *request, req *kmsg.ConsumerGroupHeartbeatRequest) (*modernMember, error) {
	m := *was
	m.ClientID, m.Host = r.header.ClientID, r.conn.host
	if req.InstanceID != nil {
		m.Instance = req.InstanceID
	}
	if req.RackID != nil {
		m.Rack = req.RackID
	}
	if req.RebalanceTimeoutMillis >= 0 {
		m.RebalanceMs = req.RebalanceTimeoutMillis
	}
	if req.SubscribedTopicNames != nil {
		m.Topics = slices.Compact(slices.Sorted(slices.Values(req.SubscribedTopicNames)))
	}
	if req.SubscribedTopicRegex != nil && m.Regex != *req.SubscribedTopicRegex {
		m.Regex = *req.SubscribedTopicRegex
		if err := g.node.checkPattern(m.Regex); err != nil {
			return nil, err
		}
	}
	if m.Principal = ""; m.Regex != "" && g.node.cfg.Authorize {
		m.Principal = r.principal
	}
	if req.ServerAssignor != nil {
		m.Assignor = *req.ServerAssignor
	}
	return &m, nil
}
