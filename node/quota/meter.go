// SPDX-License-Identifier: Apache-2.0

package quota

import "container/list"

// Share is who has a limit of a key together: all clients of a user, of a client id, or of a user with that client id.
type Share struct {
	Key          Key
	User, Client string // "": any
}

// For returns the limit of a key that counts for a client, and with whom it is shared; 0: there is none. It is that of the most
// specific entity, in Kafka's order (ClientQuotaManager):
//
//	the user with the client id      the default user with the client id      the client id
//	the user with the default one    the default user with the default one    the default client id
//	the user                         the default user
//
// A client without a client id is held to no quota of client ids, also where one of these comes first.
func (s *Set) For(k Key, user, client string) (Share, float64) {
	limit := func(u, c Name) float64 {
		if q := s.of[Entity{User: u, Client: c}]; q != nil {
			return q.value(k)
		}
		return 0
	}
	for _, u := range []Name{Named(user), Default} {
		for _, c := range []Name{Named(client), Default} {
			if l := limit(u, c); l > 0 {
				if client == "" {
					return s.ofUser(k, user)
				}
				return Share{k, user, client}, l
			}
		}
		if limit(u, "") > 0 {
			return s.ofUser(k, user)
		}
	}
	for _, c := range []Name{Named(client), Default} {
		if l := limit("", c); l > 0 && client != "" {
			return Share{k, "", client}, l
		}
	}
	return Share{}, 0
}

// ofUser returns the limit of a user with all of its clients.
func (s *Set) ofUser(k Key, user string) (Share, float64) {
	for _, u := range []Name{Named(user), Default} {
		if q := s.of[Entity{User: u}]; q != nil && q.value(k) > 0 {
			return Share{k, user, ""}, q.value(k)
		}
	}
	return Share{}, 0
}

// Meter is what those of a share did lately.
type Meter struct {
	key    Key
	rate   rate    // of all keys but
	tokens tokens  // Mutations
	used   int64   // ms
	limit  float64 // that counted last
	gone   bool    // forgotten: whoever still has it looks for another
	place  *list.Element
	share  Share
}

// Record notes that something was done, or takes it back if it is negative.
func (m *Meter) Record(now int64, limit, value float64) {
	if m.used, m.limit = now, limit; m.key == Mutations {
		m.tokens.take(now, limit, value)
	} else {
		m.rate.record(now, value)
	}
}

// Wait is for how many ms the client shall do nothing.
func (m *Meter) Wait(now int64, limit float64) int64 {
	if m.key == Mutations {
		return m.tokens.wait(now, limit)
	}
	return m.rate.wait(now, limit)
}

// Quiet reports whether nothing is remembered of what was done.
func (m *Meter) Quiet(now int64) bool {
	perSecond, _ := m.rate.measure(now)
	return perSecond == 0
}

// blank reports whether it says no more than a new one.
func (m *Meter) blank(now int64) bool {
	if m.key == Mutations {
		m.tokens.refill(now, m.limit)
		return m.tokens.left >= windows*m.limit
	}
	return now-m.used >= memoryMs
}

// Gone reports whether it was forgotten.
func (m *Meter) Gone() bool { return m.gone }

// Meters are those of all shares that did something lately. One that is quiet for so long that it says nothing is forgotten.
type Meters struct {
	of    map[Share]*Meter
	order list.List // the one that was looked at the longest ago first
}

// mostMeters bounds how many there are: clients can name any client id. If there are as many, those that come share one.
const mostMeters = 10_000

// Of returns the meter of a share.
func (m *Meters) Of(s Share, now int64) *Meter {
	if m.of == nil {
		m.of = make(map[Share]*Meter)
	}
	if have := m.of[s]; have != nil {
		return have
	}
	if len(m.of) >= mostMeters && s != (Share{Key: s.Key}) {
		return m.Of(Share{Key: s.Key}, now)
	}
	fresh := &Meter{key: s.Key, used: now, share: s}
	fresh.place = m.order.PushBack(fresh)
	m.of[s] = fresh
	return fresh
}

// Len is how many there are.
func (m *Meters) Len() int { return len(m.of) }

// Forget forgets meters that say nothing any more, of some that were looked at the longest ago.
func (m *Meters) Forget(now int64) {
	for range 64 {
		front := m.order.Front()
		if front == nil {
			return
		}
		meter := front.Value.(*Meter)
		if !meter.blank(now) {
			m.order.MoveToBack(front)
			continue
		}
		meter.gone = true
		m.order.Remove(front)
		delete(m.of, meter.share)
	}
}
