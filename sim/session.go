// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// Sessions of fetches (KIP-227). Half of the clients that ask for several partitions at once use them: they name what has
// changed since their last request, and take what an answer leaves out for what they were told last. So a broker that
// leaves out something new shows them an end that is too old, which the checker sees.

// fetchSession is a client's side of a session on one connection.
type fetchSession struct {
	id, epoch int32
	byID      bool // topics are named by id
	bytes     int32
	parts     []inSession
}

// inSession is a partition of a session.
type inSession struct {
	fetching
	told *kmsg.FetchResponseTopicPartition // last; nil: nothing, or an error
}

// sessionUse is what one request does with a session.
type sessionUse struct {
	session *fetchSession // as it is after the answer
	begins  bool
	wrong   bool // its epoch is one that the session isn't at
	other   bool // it names topics in another way than the session
	before  *fetchSession
}

// usesSessions says that a client fetches in sessions.
func (c *client) usesSessions() bool { return c.spec.Joint && c.spec.ID%2 == 0 }

// nameInSession puts into a request what a broker has to hear to know the list. Without a session it is all of it, and
// nil is returned if the client wants none.
func (c *client) nameInSession(cn *conn, req *kmsg.FetchRequest, list []fetching, bytes int32) *sessionUse {
	if !c.usesSessions() || req.Version < 7 {
		for i := range list {
			c.addFetch(req, &list[i], bytes)
		}
		return nil
	}
	byID := req.Version >= fetchByID
	u := &sessionUse{before: cn.session}
	cn.session = nil // until the answer is there
	u.begins = u.before == nil
	u.other = !u.begins && u.before.byID != byID
	next := &fetchSession{byID: byID, bytes: bytes}
	if !u.begins {
		next.id, next.bytes = u.before.id, u.before.bytes
		req.SessionID, req.SessionEpoch = u.before.id, u.before.epoch
		if u.wrong = !u.other && c.draw().Ratio(1, 16); u.wrong {
			req.SessionEpoch++
		}
	} else {
		req.SessionID, req.SessionEpoch = 0, 0
	}
	for i := range list {
		f := &list[i]
		if byID {
			f.id = f.topic.id
		}
		part := inSession{fetching: *f}
		if !u.begins {
			if old := u.before.find(f); old != nil {
				part.told = old.told
				if old.epoch == f.epoch && old.position == f.position {
					next.parts = append(next.parts, part)
					continue
				}
			}
		}
		next.parts = append(next.parts, part)
		c.addFetch(req, f, next.bytes)
	}
	if !u.begins {
		u.before.forget(req, next)
	}
	u.session = next
	return u
}

// find returns a partition of the session, nil if it isn't in it.
func (s *fetchSession) find(f *fetching) *inSession {
	for i := range s.parts {
		if p := &s.parts[i]; p.topic == f.topic && p.id == f.id && p.partition == f.partition {
			return p
		}
	}
	return nil
}

// forget names what isn't in the next session any more.
func (s *fetchSession) forget(req *kmsg.FetchRequest, next *fetchSession) {
	for i := range s.parts {
		p := &s.parts[i]
		if next.find(&p.fetching) != nil {
			continue
		}
		t := kmsg.NewFetchRequestForgottenTopic()
		t.Topic, t.TopicID, t.Partitions = p.topic.plan.Name, p.id, []int32{p.partition}
		req.ForgottenTopics = append(req.ForgottenTopics, t)
	}
}

// inSession takes the answer to a request: it adds to it what the session knows. It returns false if the client has to ask again.
func (c *client) inSession(cn *conn, p *pendingCall, u *sessionUse, resp *kmsg.FetchResponse) bool {
	w := c.world
	switch code := resp.ErrorCode; {
	case u.wrong && code == kerr.InvalidFetchSessionEpoch.Code:
		cn.session = u.before
		return false
	case u.other && code == kerr.FetchSessionTopicIDError.Code, !u.begins && code == kerr.FetchSessionIDNotFound.Code:
		return false // brokers may end sessions
	case code != 0:
		c.unexpected(p.call, code, "the fetch in a session")
	case u.wrong || u.other:
		w.fail("session", "client %d fetches with an epoch that its session isn't at, or names topics in another way, and is answered", c.spec.ID)
	case !u.begins && resp.SessionID != u.session.id:
		w.fail("session", "client %d fetches in session %d and is answered in session %d", c.spec.ID, u.session.id, resp.SessionID)
	}
	s := u.session
	for i := range s.parts {
		part := &s.parts[i]
		r := part.find(resp)
		switch {
		case r == nil && (u.begins || part.told == nil):
			w.fail("session", "client %d hears nothing of %s in its session (%s), and never has", c.spec.ID, partitionName(part.topic.plan.Name, part.partition), kafka.CodeName(resp.ErrorCode))
		case r == nil:
			part.addTo(resp)
		case r.ErrorCode != 0:
			part.told = nil
		default:
			told := *r
			told.RecordBatches, told.PreferredReadReplica, told.AbortedTransactions = nil, -1, nil
			part.told = &told
		}
	}
	if s.id = resp.SessionID; s.id != 0 {
		cn.session, s.epoch = s, 1
		if !u.begins {
			s.epoch = u.before.epoch + 1
		}
	}
	return true
}

// addTo puts into an answer what was told before.
func (p *inSession) addTo(resp *kmsg.FetchResponse) {
	t := kmsg.NewFetchResponseTopic()
	t.Topic, t.TopicID = p.topic.plan.Name, p.id
	t.Partitions = append(t.Partitions, *p.told)
	resp.Topics = append(resp.Topics, t)
}
