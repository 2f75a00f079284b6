// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"
	"time"
)

// clock is the wall clock that this broker goes by (ADR 10). No single clock is believed, and none for a
// moment only: the brokers tell each other what theirs show, and a majority of them must vouch for a time before it
// is taken; in between the monotonic clock goes on. A jump must last besides.
//
// As long as brokers are away, a majority may vouch for more than one time. Ages are counted from the latest to the
// earliest, so that a doubt keeps records rather than deletes them.
type clock struct {
	earliest bound // a majority of the clocks shows it, or a later time: by it records are old
	latest   bound // a majority of the clocks shows it, or an earlier time: with it records are stamped
	isVouch  bool  // a majority was heard of, now
	heard    bool  // or at some time since the start
}

// bound is a time that is believed, as an offset: what a wall clock shows less what this broker's monotonic clock
// shows, in ms. Of clocks that run properly it stays the same.
type bound struct {
	offset  int64 // of the time that is believed
	known   bool  // it has lasted since the start; nothing is deleted by age before
	vouched int64 // the offset that a majority vouches for now; may be a jump
	suspect int64 // the offset that a jump led to,
	since   Time  // and when it was first seen; 0: there was none
	slewed  Time  // when offset last followed vouched
}

const (
	clockFresh = 10 * time.Second // how long what a broker said of its clock counts
	clockJump  = 10 * time.Second // a difference above it is a jump; others are followed slowly
	clockSlew  = 100              // by a hundredth of the time that passes
)

// offsetOf returns the offset of a wall clock. One at the end of all times must not overflow.
func (n *Node) offsetOf(unixMs int64) int64 {
	return min(max(unixMs, 0), maxStamp) - int64(n.now)/int64(time.Millisecond)
}

// tellTime looks at the clocks and sets the time of this step.
func (n *Node) tellTime(wallMs int64) {
	n.wallMs = wallMs
	c := &n.clock
	if !c.earliest.known || n.now >= n.nextTick {
		earliest, latest, ok := n.vouchedOffsets()
		c.isVouch = ok
		if ok || !c.heard {
			c.earliest.vouched, c.latest.vouched, c.heard = earliest, latest, ok
		}
		c.earliest.follow(n)
		c.latest.follow(n)
	}
	n.unixMs = c.earliest.offset + int64(n.now)/int64(time.Millisecond)
}

// vouchedOffsets returns the largest offset such that a majority of all brokers shows it or a later time, and the
// smallest such that a majority shows it or an earlier time; ok is false if a majority wasn't heard of. While
// most clocks are right, some right clock shows the first or a later time, and some the second or an earlier one.
// Brokers that aren't registered don't count, neither as some of all nor as heard.
func (n *Node) vouchedOffsets() (earliest, latest int64, ok bool) {
	offsets := append(make([]int64, 0, 8), n.offsetOf(n.wallMs))
	for _, p := range n.peers {
		if p.clockAt != 0 && n.now.Sub(p.clockAt) < clockFresh && (len(n.catalog.brokers) == 0 || n.catalog.broker(p.id) != nil) {
			offsets = append(offsets, p.clockOffset)
		}
	}
	slices.Sort(offsets)
	need := majority(n.brokerCount())
	ok = len(offsets) >= need
	need = min(need, len(offsets))
	return offsets[len(offsets)-need], offsets[need-1], ok
}

// brokerCount is how many brokers the cluster has, as far as this one knows.
func (n *Node) brokerCount() int {
	if known := len(n.catalog.brokers); known > 0 {
		return known
	}
	return len(n.peers) + 1 // it joins
}

// follow brings the time that is believed closer to the one that is vouched for.
func (b *bound) follow(n *Node) {
	passed := n.now.Sub(b.slewed)
	b.slewed = n.now
	if !b.known { // after a start: it may be the moment in which most clocks are wrong
		b.offset = b.vouched // the best there is
		b.known = n.clock.isVouch && b.lasted(n)
		return
	}
	diff := b.vouched - b.offset
	switch {
	case !n.clock.isVouch:
		b.since = 0
	case abs(diff) <= clockJump.Milliseconds():
		b.since = 0
		step := passed.Milliseconds()/clockSlew + 1
		b.offset += min(max(diff, -step), step)
	case b.lasted(n):
		b.offset, b.since = b.vouched, 0
	}
}

// lasted reports whether clocks have shown the same jump for long enough. A clock that runs too fast or too
// slowly jumps somewhere else each time.
func (b *bound) lasted(n *Node) bool {
	if b.since == 0 || abs(b.vouched-b.suspect) > clockJump.Milliseconds() {
		b.suspect, b.since = b.vouched, n.now
	}
	return n.now.Sub(b.since) >= n.cfg.ClockPatience
}

// stampMs is the time that new records get, if any is known (clock.heard). While a jump ahead is not believed yet it is the later one: a
// record may stay longer than it should, but never goes early.
func (n *Node) stampMs() int64 {
	offset := max(n.clock.latest.offset, n.clock.earliest.offset)
	if n.clock.isVouch {
		offset = max(offset, n.clock.earliest.vouched)
	}
	return min(max(offset+int64(n.now)/int64(time.Millisecond), 0), maxStamp-1)
}

// earliestMs is the earliest time that it may be, as stampMs is the latest. Until a jump back is believed it is the time
// that the jump led to.
func (n *Node) earliestMs() int64 {
	offset := min(n.clock.earliest.offset, n.clock.latest.offset)
	if n.clock.isVouch {
		offset = min(offset, n.clock.latest.vouched)
	}
	return max(offset+int64(n.now)/int64(time.Millisecond), 0)
}

// receiveClock notes what another broker's wall clock shows. The message was under way for a while, so it
// shows a little more by now.
func (n *Node) receiveClock(from BrokerID, wallMs int64) {
	if p := n.peer(from); p != nil {
		p.clockOffset, p.clockAt = n.offsetOf(wallMs), n.now
	}
	if !n.clock.isVouch { // this step may stamp records
		n.tellTime(n.wallMs)
	}
}

func abs(n int64) int64 { return max(n, -n) }
