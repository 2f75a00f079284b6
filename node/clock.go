// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"
	"time"
)

// clock is the wall clock that this broker goes by (ADR 10). No single clock is believed, and none for a
// moment only: the brokers tell each other what theirs show, and a majority of them must show a time, or one
// after it, before it is taken; in between the monotonic clock goes on. A jump must last besides.
//
// An offset is what a wall clock shows less what this broker's monotonic clock shows, in ms: of clocks that
// run properly it stays the same.
type clock struct {
	offset  int64 // of the time that is believed
	known   bool  // nothing is deleted by age before
	vouched int64 // the offset that a majority vouches for now; may be a jump
	isVouch bool  // there is one
	suspect int64 // the offset that a jump led to,
	since   Time  // and when it was first seen; 0: there was none
	slewed  Time  // when offset last followed vouched
}

const (
	clockFresh = 10 * time.Second // how long what a broker said of its clock counts
	clockJump  = 10 * time.Second // a difference above it is a jump; others are followed slowly
	clockSlew  = 100              // by a hundredth of the time that passes
)

// offsetOf returns the offset of a wall clock.
func (n *Node) offsetOf(unixMs int64) int64 { return unixMs - int64(n.now)/int64(time.Millisecond) }

// tellTime looks at the clocks and sets the time of this step.
func (n *Node) tellTime(wallMs int64) {
	n.wallMs = wallMs
	c := &n.clock
	if !c.known || n.now >= n.nextTick {
		c.vouched, c.isVouch = n.vouchedOffset()
		c.follow(n)
	}
	n.unixMs = c.offset + int64(n.now)/int64(time.Millisecond)
}

// vouchedOffset returns the largest offset such that at least half of the clocks heard of show it or a
// later time; ok is false if a majority of the brokers wasn't heard of. Two clocks of three that are
// right keep it right; of two it is the earlier, so that a doubt keeps records rather than deletes them.
func (n *Node) vouchedOffset() (offset int64, ok bool) {
	offsets := append(make([]int64, 0, 8), n.offsetOf(n.wallMs))
	for _, p := range n.peers {
		if p.clockAt != 0 && n.now.Sub(p.clockAt) < clockFresh {
			offsets = append(offsets, p.clockOffset)
		}
	}
	slices.Sort(offsets)
	return offsets[(len(offsets)-1)/2], len(offsets) >= majority(n.brokerCount())
}

// brokerCount is how many brokers the cluster has, as far as this one knows.
func (n *Node) brokerCount() int {
	if known := len(n.catalog.brokers); known > 0 {
		return known
	}
	return len(n.peers) + 1 // it joins
}

// follow brings the time that is believed closer to the one that is vouched for.
func (c *clock) follow(n *Node) {
	passed := n.now.Sub(c.slewed)
	c.slewed = n.now
	if !c.known { // after a start: it may be the moment in which most clocks are wrong
		c.offset = c.vouched // the best there is
		c.known = c.isVouch && c.lasted(n)
		return
	}
	diff := c.vouched - c.offset
	switch {
	case !c.isVouch:
		c.since = 0
	case abs(diff) <= clockJump.Milliseconds():
		c.since = 0
		step := passed.Milliseconds()/clockSlew + 1
		c.offset += min(max(diff, -step), step)
	case c.lasted(n):
		c.offset, c.since = c.vouched, 0
	}
}

// lasted reports whether clocks have shown the same jump for long enough. A clock that runs too fast or too
// slowly jumps somewhere else each time.
func (c *clock) lasted(n *Node) bool {
	if c.since == 0 || abs(c.vouched-c.suspect) > clockJump.Milliseconds() {
		c.suspect, c.since = c.vouched, n.now
	}
	return n.now.Sub(c.since) >= n.cfg.ClockPatience
}

// stampMs is the time that new records get. While a jump ahead is not believed yet it is the later one: a
// record may stay longer than it should, but never goes early.
func (n *Node) stampMs() int64 {
	ms := n.unixMs
	if n.clock.isVouch {
		ms = max(ms, n.unixMs-n.clock.offset+n.clock.vouched)
	}
	return min(max(ms, 0), maxStamp)
}

// receiveClock notes what another broker's wall clock shows. The message was under way for a while, so it
// shows a little more by now.
func (n *Node) receiveClock(from BrokerID, wallMs int64) {
	if p := n.peer(from); p != nil {
		p.clockOffset, p.clockAt = n.offsetOf(wallMs), n.now
	}
}

func abs(n int64) int64 { return max(n, -n) }
