// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// Quotas is what a cluster's quotas were, change by change, as its catalog has them, and what clients did at each broker. It says between
// which bounds the time must be that a client is told to wait. These follow from Kafka's rules: which quota counts for a client, with
// whom it is shared, that the last ten seconds and the current one are measured, and that partitions are made out of a bucket. How
// brokers cut time into samples, and what they remember, is left open. So are a second and what was under way, and nothing
// here owes anything to the code of brokers.
type Quotas struct {
	states []quotaState          // ascending; the first is that before any change
	done   map[quotaMeter][]used // in the order of the answers; look-up only
}

// QuotaEntity is whom a quota is for: each part is none (""), the default ("*"), or a name after '='.
type QuotaEntity struct{ User, Client string }

// QuotaChange is what a command of the catalog changes of one entity's quotas.
type QuotaChange struct {
	QuotaEntity
	Ops []struct {
		Key    string
		Value  float64
		Remove bool
	}
}

type quotaState struct {
	index  uint64
	limits map[quotaOf]float64 // look-up only
}

type quotaOf struct {
	QuotaEntity
	key string
}

// Kafka's names of what quotas limit.
const (
	QuotaProduce   = "producer_byte_rate"
	QuotaFetch     = "consumer_byte_rate"
	QuotaTime      = "request_percentage"
	QuotaMutations = "controller_mutation_rate"
)

// quotaMeter is what is measured together: at one process of a broker, of all clients that share a quota.
type quotaMeter struct {
	broker       int
	process      uint64
	key          string
	user, client string // "": any
}

// used is what one request did.
type used struct {
	began, ended int64 // ms; it was measured between
	least, most  float64
	limit        float64 // 0: another one counted at the end than in the beginning
}

// NewQuotas begins with a cluster without quotas.
func NewQuotas() *Quotas {
	return &Quotas{states: []quotaState{{}}, done: make(map[quotaMeter][]used)}
}

// Changed notes that an entry sets a limit, or removes it (0). Entries come in order, and may change several.
func (q *Quotas) Changed(index uint64, e QuotaEntity, key string, limit float64) {
	last := &q.states[len(q.states)-1]
	if index < last.index {
		panic("changes of the catalog come in order")
	}
	if index > last.index {
		limits := make(map[quotaOf]float64)
		maps.Copy(limits, last.limits)
		q.states = append(q.states, quotaState{index, limits})
		last = &q.states[len(q.states)-1]
	}
	last.limits[quotaOf{e, key}] = limit
}

// ChangedBy notes what an entry does.
func (q *Quotas) ChangedBy(index uint64, changes []QuotaChange) {
	for _, c := range changes {
		for _, op := range c.Ops {
			limit := op.Value
			if op.Remove {
				limit = 0
			}
			q.Changed(index, c.QuotaEntity, op.Key, limit)
		}
	}
}

// QuotaLimit is a limit of one entity.
type QuotaLimit struct {
	QuotaEntity
	Key   string
	Limit float64
}

// Limits are those that there are after all changes, in no particular order.
func (q *Quotas) Limits() (list []QuotaLimit) {
	last := &q.states[len(q.states)-1]
	//det:ok the caller sorts
	for of, limit := range last.limits {
		if limit > 0 {
			list = append(list, QuotaLimit{of.QuotaEntity, of.key, limit})
		}
	}
	return list
}

// Last is the last entry that changed something.
func (q *Quotas) Last() uint64 { return q.states[len(q.states)-1].index }

// during are the states that a broker may have decided by.
func (q *Quotas) during(s *RightsSpan) []quotaState {
	from, to := s.From, max(s.From, s.To)
	if s.Must > to {
		from, to = s.Must, s.Must
	}
	first := 0
	for i := range q.states {
		if q.states[i].index <= from {
			first = i
		}
	}
	end := first + 1
	for end < len(q.states) && q.states[end].index <= to {
		end++
	}
	return q.states[first:end]
}

// limit returns the limit of a key that counts for a client, 0 if there is none, and who is measured together. The first of
// these entities counts that has one.
func (s *quotaState) limit(key, user, client string) (limit float64, m quotaMeter) {
	u, c := "="+user, "="+client
	for _, e := range []QuotaEntity{{u, c}, {u, "*"}, {u, ""}, {"*", c}, {"*", "*"}, {"*", ""}, {"", c}, {"", "*"}} {
		if limit := s.limits[quotaOf{e, key}]; limit > 0 {
			m := quotaMeter{key: key}
			if e.User != "" {
				m.user = user
			}
			if e.Client != "" {
				m.client = client
			}
			return limit, m
		}
	}
	return 0, quotaMeter{}
}

// QuotaUse is a request of a client, and what its answer told.
type QuotaUse struct {
	RightsSpan
	What         string // for people
	Broker       int
	Process      uint64 // of the broker
	User, Client string
	Began, Ended int64 // ms by the broker's clock: when it had the request, and when it had answered
	Told         int64 // for so many ms the client shall wait
	Did          []QuotaAmount
	Refused      bool // since too many partitions were made before
	Lenient      bool // of a version before KIP-599

	Beside []QuotaUse // others that the broker has begun with, and may have measured
}

// QuotaAmount is what a request did of what a key limits.
type QuotaAmount struct {
	Key         string
	Least, Most int64 // what is measured of it: bytes, partitions, or a millionth of a second
	Tried       int64 // what it was measured by when the wait was told, at most, if that wasn't done after all
}

// in is a quantity in the unit that limits have.
func (a *QuotaAmount) in(quantity int64) float64 {
	if a.Key == QuotaTime { // percent of a second
		return float64(quantity) / 10_000
	}
	return float64(quantity)
}

// windows are the ms of what surely counts, and of what may: ten whole seconds and the current one, cut somehow.
const (
	surely, perhaps = 10_990, 12_010
	wholeWindows    = 10_000
	mostTimeWait    = 1000 // ms that a client waits for the time that its requests took
	burstSeconds    = 11   // of partitions, after a quiet time
)

// Check demands that a client is told to wait as long as its quotas want, and no longer, and takes note of what it did.
func (q *Quotas) Check(u *QuotaUse) *Violation {
	least, most := int64(math.MaxInt64), int64(-1)
	states := q.during(&u.RightsSpan)
	for i := range states {
		lo, hi := q.bounds(u, &states[i])
		least, most = min(least, lo), max(most, hi)
	}
	q.note(u, states)
	span := fmt.Sprintf("(entries %d to %d of the catalog, of which it must know %d)", u.From, u.To, u.Must)
	switch {
	case most < 0:
		return &Violation{Check: "throttled-wrongly", Text: fmt.Sprintf("%s is refused, and not more than it may was made before %s", u.What, span)}
	case u.Told < least:
		return &Violation{Check: "let-through", Text: fmt.Sprintf("%s is told to wait for %d ms, and what it did takes %d ms at least to be within its quotas %s", u.What, u.Told, least, span)}
	case u.Told > most:
		return &Violation{Check: "throttled-wrongly", Text: fmt.Sprintf("%s is told to wait for %d ms, and what it did takes %d ms at most to be within its quotas %s", u.What, u.Told, most, span)}
	}
	return nil
}

// bounds are those of the wait, by the quotas of one state. most is below zero if that doesn't justify a refusal.
func (q *Quotas) bounds(u *QuotaUse, s *quotaState) (least, most int64) {
	justified := !u.Refused
	for i := range u.Did {
		a := &u.Did[i]
		limit, m := s.limit(a.Key, u.User, u.Client)
		if limit == 0 {
			continue
		}
		beside := u.beside(a.Key, s, m)
		m.broker, m.process = u.Broker, u.Process
		var lo, hi float64
		if a.Key == QuotaMutations {
			lo, hi = ofBucket(u, a, limit, q.done[m], beside)
			justified = justified || hi > 0
		} else {
			lo, hi = ofRate(u, a, limit, q.done[m], beside)
		}
		least, most = max(least, int64(lo)), max(most, int64(math.Ceil(hi)))
	}
	if !justified {
		most = -1
	}
	return least, most
}

// beside is how much others may have done that are measured with a request.
func (u *QuotaUse) beside(key string, s *quotaState, m quotaMeter) (most float64) {
	for i := range u.Beside {
		o := &u.Beside[i]
		if _, n := s.limit(key, o.User, o.Client); n != m {
			continue
		}
		for k := range o.Did {
			if o.Did[k].Key == key {
				most += o.Did[k].in(max(o.Did[k].Most, o.Did[k].Tried))
			}
		}
	}
	return most
}

// ofRate: a rate is what was done in the last ten to twelve seconds, by that time. Without a wait it is within the limit.
func ofRate(u *QuotaUse, a *QuotaAmount, limit float64, done []used, beside float64) (least, most float64) {
	sure, some := a.in(a.Least), a.in(max(a.Most, a.Tried))+beside
	for _, d := range done {
		if d.ended <= u.Began && d.began > u.Ended-surely && d.limit > 0 {
			sure += d.least
		}
		if d.began <= u.Ended && d.ended > u.Began-perhaps {
			some += d.most
		}
	}
	least = max(0, sure/limit*1000-perhaps-2)
	most = max(0, some/limit*1000-wholeWindows+2)
	if a.Key == QuotaTime {
		least, most = min(least, mostTimeWait), min(most, mostTimeWait)
	}
	return least, most
}

// ofBucket: what was made in any time is what that time brings, and a burst.
func ofBucket(u *QuotaUse, a *QuotaAmount, limit float64, done []used, beside float64) (least, most float64) {
	low, high, known := backlog(u, limit, done)
	high += beside
	wait := func(level float64) float64 { return max(0, level/limit-burstSeconds) * 1000 }
	took := float64(u.Ended - u.Began)
	switch {
	case u.Refused:
		if least, most = wait(low)-took-2, wait(high); most > 0 {
			most += 2
		}
	case u.Lenient:
		least, most = wait(low+a.in(a.Least))-took-2, wait(high+a.in(a.Most))+2
	case a.Least > 0: // otherwise it had to be refused
		least = wait(low) - 2
	}
	if !known {
		most = math.MaxInt32
	}
	return max(0, least), most
}

// backlog is how much was made lately that the limit hasn't brought yet, at least and at most. What is left of another limit's bucket isn't known.
func backlog(u *QuotaUse, limit float64, done []used) (low, high float64, known bool) {
	same := 0 // from there on
	for i, d := range done {
		if d.limit != limit {
			same = i + 1
		}
	}
	for i := range done {
		sure, some := 0.0, 0.0
		for k, d := range done {
			if k >= same && d.began >= done[i].began && d.ended <= u.Began {
				sure += d.least
			}
			if d.ended >= done[i].began && d.began <= u.Ended {
				some += d.most
			}
		}
		if i >= same {
			low = max(low, sure-limit*float64(u.Ended-done[i].began+2)/1000)
		}
		high = max(high, some-limit*float64(u.Began-done[i].ended-2)/1000)
	}
	return low, high, same == 0
}

// note keeps what a request did, at all meters that may have measured it.
func (q *Quotas) note(u *QuotaUse, states []quotaState) {
	for _, a := range u.Did {
		var noted []quotaMeter
		for i := range states {
			limit, m := states[i].limit(a.Key, u.User, u.Client)
			if m.broker, m.process = u.Broker, u.Process; limit == 0 || slices.Contains(noted, m) {
				continue
			}
			noted = append(noted, m)
			d := used{u.Began, u.Ended, a.in(a.Least), a.in(a.Most), limit}
			for k := range states {
				if other, n := states[k].limit(a.Key, u.User, u.Client); other != limit || n.user != m.user || n.client != m.client {
					d.limit, d.least = 0, 0
				}
			}
			list := q.done[m]
			if a.Key != QuotaMutations {
				list = slices.DeleteFunc(list, func(old used) bool { return old.ended < u.Began-2*perhaps })
			}
			q.done[m] = append(list, d)
		}
	}
}
