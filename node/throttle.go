// SPDX-License-Identifier: Apache-2.0

package node

import (
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/quota"
)

// Clients are held to their quotas as in Kafka (KIP-13, KIP-124, KIP-599): each broker measures what a client does here. What is
// too much is done all the same, but for a fetch, which gets nothing, and for changes of topics, which are refused. The answer
// goes out at once and says for how long the client shall ask for nothing; for so long its connection is muted (KIP-219): its
// next requests aren't begun, and the world reads no more of them. Where nobody has a quota, an answer costs one look at a number.
//
// The time that requests take (request_percentage) is what they cost the loop, by Work.Cost, whose unit is about a microsecond:
// 100 percent is all of one core. The same requests always cost the same, and what tasks do beside the loop isn't counted.

const (
	costPercent  = 10_000 // of Cost are one percent of a second
	mostTimeWait = 1000   // ms that a client waits for the time that its requests take, as in Kafka
	partBytes    = 64     // about what a partition takes in an answer to a fetch, beside its records
)

// nowMs is the time of meters.
func (n *Node) nowMs() int64 { return int64(n.now) / int64(time.Millisecond) }

// meter returns what counts a request's client under a key, and its limit; nil if it has none. Who hasn't logged in is nobody yet. To
// log in again counts as little as it does in Kafka: the answers couldn't tell a client to wait, and its session may be about to end.
func (r *request) meter(k quota.Key) (*quota.Meter, float64) {
	n := r.node
	if r.principal == "" || !n.catalog.quotas.Has(k) || r.logsIn() {
		return nil, 0
	}
	_, user, _ := strings.Cut(r.principal, ":")
	return r.conn.allowance.Of(k, n.catalog.quotas, &n.meters, user, r.header.ClientID, n.nowMs())
}

// logsIn says that a request belongs to a login that is under way or has just succeeded.
func (r *request) logsIn() bool {
	l, key := r.conn.login, r.header.Key
	return (key == kmsg.SASLHandshake.Int16() || key == kmsg.SASLAuthenticate.Int16()) && (r.login || l != nil && l.stage != loginDone)
}

// throttle is called with an answer that is about to go out, nil if there is none. It says how long the client shall wait.
func (r *request) throttle(resp kmsg.Response) {
	if r.header.Key == kmsg.WriteTxnMarkers.Int16() { // between brokers
		return
	}
	now := r.node.nowMs()
	wait := max(0, r.throttledTill-now)
	if resp != nil {
		wait = max(wait, r.timeWait())
	}
	if r.header.Key == kmsg.Produce.Int16() {
		if m, limit := r.meter(quota.Produce); m != nil {
			m.Record(now, limit, float64(r.frameBytes))
			wait = max(wait, m.Wait(now, limit))
		}
	}
	r.tellWait(resp, wait)
}

// tellWait puts a wait into an answer, and mutes the connection for so long.
func (r *request) tellWait(resp kmsg.Response, ms int64) {
	if ms == 0 {
		return
	}
	if t, ok := resp.(kmsg.SetThrottleResponse); ok {
		t.SetThrottle(int32(ms))
	}
	r.muted = millis(int32(ms))
	r.node.mute(r.conn, r.muted)
}

// throttleFetch does the same for the answer to a fetch. If the client must wait it gets no records, and they don't count.
// A batch of more than ten seconds' worth, which would never be within the quota, is given to a client that
// had nothing lately; in Kafka it is never given.
func (r *request) throttleFetch(a *fetchAnswer) {
	if !r.node.catalog.quotas.HasClients() {
		return
	}
	now, wait := r.node.nowMs(), r.timeWait()
	m, limit := r.meter(quota.Fetch)
	if m != nil {
		quiet, size := m.Quiet(now), float64(a.bytes+a.parts()*partBytes)
		m.Record(now, limit, size)
		over := m.Wait(now, limit)
		if quiet && wait == 0 {
			r.tellWait(a.resp, over)
			return
		}
		if wait = max(wait, over); wait > 0 {
			m.Record(now, limit, -size)
		}
	}
	if wait > 0 {
		a.resp, a.batches, a.bytes, a.held = kmsg.NewPtrFetchResponse(), nil, 0, true
		r.tellWait(a.resp, wait)
	}
}

// fetchLimit is how many bytes a fetch may get at most: those that could be had within a quota at all.
func (r *request) fetchLimit() int64 {
	if m, limit := r.meter(quota.Fetch); m != nil {
		return int64(max(1, min(1<<62, limit*quota.WholeWindows)))
	}
	return 1 << 62
}

// timeWait counts the time that a request has taken until now.
func (r *request) timeWait() int64 {
	m, limit := r.meter(quota.Request)
	if m == nil {
		return 0
	}
	now := r.node.nowMs()
	m.Record(now, limit, float64(r.takeCost())/costPercent)
	return min(mostTimeWait, m.Wait(now, limit))
}

// takeCost returns what the request has cost since it was last asked.
func (r *request) takeCost() int {
	if n := r.node; n.clocked == r {
		cost := n.out.Work.Cost()
		r.cost += cost - n.clockedFrom
		n.clockedFrom = cost
	}
	cost := r.cost
	r.cost = 0
	return cost
}

// startClock begins to count what a request costs, if somebody's time is limited and nothing is being counted. If it returns true,
// stopClock has to be called.
func (n *Node) startClock(r *request) bool {
	if n.clocked != nil || !n.catalog.quotas.Has(quota.Request) {
		return false
	}
	n.clocked, n.clockedFrom = r, n.out.Work.Cost()
	return true
}

// stopClock ends that. What an answer costs after it was counted comes to its client's next one.
func (n *Node) stopClock() {
	r := n.clocked
	cost := r.takeCost()
	n.clocked = nil
	if r.cost = cost; r.settled {
		if m, limit := r.meter(quota.Request); m != nil {
			m.Record(n.nowMs(), limit, float64(r.takeCost())/costPercent)
		}
	}
}

// mute lets none of a connection's requests begin for some time.
func (n *Node) mute(c *conn, d time.Duration) {
	until := n.now.Add(d)
	if c.unmute.Waits() && c.unmute.At >= until {
		return
	}
	n.deadlines.Cancel(c.unmute)
	c.unmute = n.deadlines.Add(until, func() {
		c.unmute = nil
		n.queue(c)
	})
}

// takeMutations takes the right to create or delete so many partitions (KIP-599). Clients that know the error are refused when
// they have done too much; others, by the version of their request, are served, and wait.
func (r *request) takeMutations(partitions int, strictSince int16) error {
	m, limit := r.meter(quota.Mutations)
	if m == nil || partitions == 0 {
		return nil
	}
	now, strict := r.node.nowMs(), r.header.Version >= strictSince
	wait := m.Wait(now, limit)
	if wait > 0 && strict {
		r.throttledTill = max(r.throttledTill, now+wait)
		return errMutations
	}
	m.Record(now, limit, float64(partitions))
	if !strict {
		r.throttledTill = max(r.throttledTill, now+m.Wait(now, limit))
	}
	return nil
}

var errMutations = kafka.Errorf(kerr.ThrottlingQuotaExceeded, "The throttling quota has been exceeded.")
