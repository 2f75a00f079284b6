// SPDX-License-Identifier: Apache-2.0

package node

import (
	"chronik/kafka"
	"chronik/wal"
)

// packing is what the second pass of compaction has found of voids that follow each other, and is to be one record in
// the log.
type packing struct {
	voids   []wal.Entry
	records int  // that they are in now
	changed bool // some are stored in another form
}

// pack adds voids that are in one record now. A record that has many is packed again only with the one before or after
// it, and never in parts.
func (c *compactor) pack(changed bool, voids ...wal.Entry) {
	p := &c.packing
	if n := len(p.voids); n > 0 {
		if last := &p.voids[n-1]; last.Index+1 != voids[0].Index || last.Term != voids[0].Term || n+len(voids) > maxVoids {
			c.flushVoids()
		}
	}
	p.voids = append(p.voids, voids...)
	p.records++
	p.changed = p.changed || changed
}

// flushVoids puts the voids into the log in the place of what they were.
func (c *compactor) flushVoids() {
	p, g := c.packing, c.part.group
	c.packing = packing{}
	first, _ := g.view.FirstIndex()
	if len(p.voids) == 0 || p.records == 1 && !p.changed {
		return
	}
	if p.voids[0].Index < first { // the log's start has moved on, maybe into a record that is only packed again as a whole
		c.part.spans.lookAgain(p.voids)
		return
	}
	if n := len(p.voids); n > 1 {
		c.node.log.Pack(g.id, wal.Entry{Index: p.voids[0].Index, Last: p.voids[n-1].Index, Term: p.voids[0].Term, Data: encodeVoids(p.voids)})
	} else {
		c.node.log.Replace(g.id, p.voids[0])
	}
	c.wrote = c.node.log.End()
	for i := range p.voids {
		c.node.hotBytes += g.view.replace(toRaft(&p.voids[i]))
	}
}

// passPacked moves the cursor over packed entries.
func (c *compactor) passPacked(e *wal.Entry) error {
	voids, err := decodeVoids(e)
	if err != nil {
		return &wal.Damage{Group: c.part.group.id, Index: e.Index, Why: err}
	}
	for i := range voids {
		if voids[i].Index >= c.cur.index {
			c.part.take(&c.cur, toRaft(&voids[i]))
			c.note(0, false)
		}
	}
	if first, last, ok := c.node.log.Packed(c.part.group.id, e.Last); c.second && ok && first >= e.Index && last == e.Last {
		c.pack(false, voids[first-e.Index:]...)
	}
	return nil
}

// passVoid does the same for an entry in a record of its own without records, or with none that anybody is to read.
func (c *compactor) passVoid(e *wal.Entry) {
	c.note(0, false)
	if !c.second {
		return
	}
	refused, err := kafka.ParseBatch(e.Data)
	switch {
	case isVoid(e):
		c.pack(false, *e)
	case isBatch(toRaft(e)) && err == nil: // its header alone says why
		e.Data = emptied(refused, e.Data)
		c.pack(true, *e)
	default:
		c.flushVoids()
	}
}

// emptied returns a batch without its records, which means the same to apply.
func emptied(b kafka.Batch, raw []byte) []byte {
	if b.IsControl() {
		if spent, err := kafka.SpentMarker(raw); err == nil {
			return spent
		}
	}
	return kafka.EmptyBatch(b)
}

// passMarker does the same for a marker that stays.
func (c *compactor) passMarker(e *wal.Entry) {
	if c.second {
		c.flushVoids()
		c.note(len(e.Data), true)
	}
}

// readsFrom returns the entry to read from: that at the cursor, or the first of few packed ones right before it, to be
// packed together with those that follow.
func (c *compactor) readsFrom() uint64 {
	if c.second && len(c.packing.voids) == 0 && c.wrote <= c.node.log.Durable() {
		if first, last, ok := c.node.log.Packed(c.part.group.id, c.cur.index-1); ok && last < c.cur.index && last-first < maxVoids/2 {
			return first
		}
	}
	return c.cur.index
}
