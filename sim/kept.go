// SPDX-License-Identifier: Apache-2.0

package sim

import "chronik/checker"

// A client that keeps offsets says of each batch at which offset it is to be, as who restores a backup does. It sends a
// batch again, for the same offset, until that is answered, and the batch must be there at most once. It writes where the
// partition ends, and learns that from refusals, since others write as well.

// sendsAgain reports whether the client sends a batch again whose fate it doesn't know.
func (c *client) sendsAgain() bool { return c.spec.Idempotent || c.spec.Keeps }

// place says where a batch is to be; once it was sent, that stays.
func (c *client) place(l *lane, b *batch) {
	if c.spec.Keeps && !b.maybe {
		b.base, b.tries = l.end, 0
	}
	b.tries++
}

// placed holds the answer to a batch against what was asked for.
func (c *client) placed(l *lane, b *batch, base int64) {
	if !c.spec.Keeps {
		return
	}
	if base != b.base {
		c.world.fail("kept-offset", "client %d, call %d: a batch for offset %d of %s is at %d", c.spec.ID, b.call.ID, b.base, partitionName(b.call.Topic, b.call.Partition), base)
	}
	c.world.result.Kept++
	l.end = base + int64(len(b.values))
}

// displaced takes the refusal of a batch for an offset where the partition doesn't end. If that is the answer to the first
// attempt, the batch is not there, and goes to where the end is.
func (c *client) displaced(l *lane, b *batch, place int, end int64) {
	l.end = end
	if end == b.base {
		c.world.fail("kept-offset", "client %d, call %d: a batch for offset %d of %s is refused, though that is where it is said to end", c.spec.ID, b.call.ID, b.base, partitionName(b.call.Topic, b.call.Partition))
	}
	if b.tries > 1 {
		c.endBatch(l, b, checker.Unknown, -1)
		return
	}
	b.maybe = false
	c.rewind(l, place)
}
