// SPDX-License-Identifier: Apache-2.0

package node

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// While clients write and read records, what can wait takes breaks: the rest of other requests that take many steps, parsing requests
// with thousands of elements, and opening and closing groups. It gets one part in breakShare of the time, and breakCredit at
// once. So who asks for 100,000 names, or for thousands of partitions, keeps no CPU busy for long that others need, on
// a small machine other brokers as well. It is far more than clients need: one that asks for all about 10,000 partitions takes
// some milliseconds. While nobody writes or reads there are no breaks.
//
// What it costs is measured in time, since the same work takes more or less of it. How long a step was is known at the next one, which
// follows at once if the step left something to do.
type breaks struct {
	node        *Node
	at          Time          // of this step
	credit      time.Duration // that is left as of then; below 0 it is owed
	recordsTill Time          // clients have written or read records lately
	done        int           // Cost of what could have waited in this step
	paused      bool          // in this step nothing is done that can wait
	placing     bool          // groups are to be opened or closed after the break
	waiting     []func()      // tasks are to begin after it
}

const (
	breakShare  = 4
	breakCredit = 100 * time.Millisecond
	breakDebt   = 50 * time.Millisecond  // is the most that is owed, so a break lasts a fifth of a second at most
	breakLeast  = 500 * time.Microsecond // it goes on when it may for so long
	recordsTime = time.Second

	longestCharge = 20 * time.Millisecond // for a step; the machine may have stood still

	// What it costs to open and to close a group, most of which comes after it: an election, its first entries, checkpoints.
	openCharge, closeCharge = 500 * time.Microsecond, 100 * time.Microsecond
)

// canWait reports whether a request is one of those that take breaks.
func (r *request) canWait() bool {
	return r.header.Key != kmsg.Produce.Int16() && r.header.Key != kmsg.Fetch.Int16()
}

// begin takes the time.
func (b *breaks) begin() {
	now, since := b.node.now, b.node.now.Sub(b.at)
	if all := b.node.out.Work.Cost(); b.done > 0 && all > 0 { // as of the step before
		b.spend(min(since, longestCharge) * time.Duration(b.done) / time.Duration(all))
	}
	b.credit = min(breakCredit, b.credit+since/breakShare)
	b.at, b.done = now, 0
}

// resume ends a break if it is over, or begins one.
func (b *breaks) resume() {
	least := time.Duration(0)
	if b.paused {
		least = breakLeast
	}
	before := b.paused
	if b.paused = b.credit <= least && b.at < b.recordsTill; b.paused {
		b.node.out.Work.Breaks += btoi(!before)
		return
	}
	if b.placing {
		b.placing = false
		b.node.background = append(b.node.background, b.node.placeNext)
	}
	waiting := b.waiting
	b.waiting = nil
	for _, begin := range waiting {
		begin()
	}
}

// spend charges what was done.
func (b *breaks) spend(d time.Duration) { b.credit = max(-breakDebt, b.credit-d) }

// spendTask charges a task that parsed a request or encoded its answer.
func (b *breaks) spendTask(r *request, began Time) {
	if r.canWait() {
		b.spend(b.node.now.Sub(began))
	}
}

// after calls begin, when there is a break after it.
func (b *breaks) after(begin func()) {
	if b.paused {
		b.waiting = append(b.waiting, begin)
		return
	}
	begin()
}

// wanted notes that somebody writes or reads records.
func (b *breaks) wanted() { b.recordsTill = b.node.now.Add(recordsTime) }

// holds reports whether something waits for the end of a break.
func (b *breaks) holds() bool {
	return b.paused && (b.placing || len(b.waiting) > 0 || b.node.patient.len > 0)
}

// end is when the break under way ends at the latest.
func (b *breaks) end() Time {
	return min(b.recordsTill, b.at.Add(max(0, breakLeast-b.credit+time.Microsecond)*breakShare))
}

// TakesBreak reports whether the node has work that it puts off for others.
func (n *Node) TakesBreak() bool { return n.breaks.holds() }
