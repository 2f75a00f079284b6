// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"cmp"
	"fmt"
	"slices"
)

// Check compares what the log has noted of its segments, files and buffers with its index, and the index with the states of
// the groups. The error says what differs. It takes a walk over all entries.
func (l *Log) Check() error {
	if l.err != nil {
		return nil // it is dead
	}
	known := make(map[enlisted]bool)
	for _, s := range l.segs {
		for _, g := range s.groups {
			known[enlisted{s, g}] = true
		}
	}
	for i, g := range l.order {
		if g.position != i || l.groups[g.id] != g {
			return fmt.Errorf("wal: group %d is at position %d, it says %d", g.id, i, g.position)
		}
		if err := cmp.Or(g.check(), g.checkPlaces(known)); err != nil {
			return fmt.Errorf("wal: group %d: %w", g.id, err)
		}
	}
	if len(l.order) != len(l.groups) {
		return fmt.Errorf("wal: %d groups, %d by id", len(l.order), len(l.groups))
	}
	if err := cmp.Or(l.checkSegments(), l.checkBuffers(), l.checkFiles(), l.checkCopies(), l.checkStages()); err != nil {
		return fmt.Errorf("wal: %w", err)
	}
	return nil
}

// enlisted is a segment of the log and a group that is in its list.
type enlisted struct {
	seg   *segment
	group *group
}

// checkPlaces looks whether the places in the index lie in segments of the log, in order, and whether those know of the group.
func (g *group) checkPlaces(known map[enlisted]bool) error {
	for i := range g.runs {
		r := &g.runs[i]
		if !known[enlisted{r.seg, g}] {
			return fmt.Errorf("entries %d to %d are in segment %d, which is not in the log or doesn't know", r.first, r.end()-1, r.seg.seq)
		}
		if len(r.at) == 0 || r.packed > 0 && len(r.at) != 1 {
			return fmt.Errorf("entries %d to %d are in %d places", r.first, r.end()-1, len(r.at))
		}
		end := int64(headerBytes)
		for _, p := range r.at {
			if int64(p.off) < end || p.end() > r.seg.end {
				return fmt.Errorf("an entry of %d to %d is at offset %d to %d of segment %d, which ends at %d", r.first, r.end()-1, p.off, p.end(), r.seg.seq, r.seg.end)
			}
			end = p.end()
		}
	}
	err := error(nil)
	g.eachCheckpoint(func(c *checkpoint) {
		size := 0
		for _, p := range c.pieces {
			if p.seg != nil && !known[enlisted{p.seg, g}] {
				err = fmt.Errorf("checkpoint at entry %d is in segment %d, which is not in the log or doesn't know", c.index, p.seg.seq)
			}
			size += p.bytes
		}
		if size != c.size {
			err = fmt.Errorf("checkpoint at entry %d has %d bytes, its pieces have %d", c.index, c.size, size)
		}
	})
	return cmp.Or(err, checkOrder(g.checkpoints))
}

func checkOrder(checkpoints []checkpoint) error {
	for i := 1; i < len(checkpoints); i++ {
		if checkpoints[i-1].index >= checkpoints[i].index {
			return fmt.Errorf("checkpoint at entry %d comes after %d", checkpoints[i].index, checkpoints[i-1].index)
		}
	}
	return nil
}

// checkSegments works out what is live in each segment, and how many have nothing.
func (l *Log) checkSegments() error {
	live := make(map[*segment]int64, len(l.segs))
	for _, g := range l.order {
		for i := range g.runs {
			live[g.runs[i].seg] += g.runs[i].bytes()
		}
		g.eachCheckpoint(func(c *checkpoint) {
			for _, p := range c.pieces {
				if p.seg != nil {
					live[p.seg] += int64(p.at.size)
				}
			}
		})
	}
	dead := 0
	for i, s := range l.segs {
		switch {
		case s.live != live[s]:
			return fmt.Errorf("segment %d: %d live bytes are counted, there are %d", s.seq, s.live, live[s])
		case i > 0 && (s.seq <= l.segs[i-1].seq || s.base < l.segs[i-1].base+LSN(l.segs[i-1].end)):
			return fmt.Errorf("segment %d begins at %d, before segment %d ends", s.seq, s.base, l.segs[i-1].seq)
		case s != l.cur && !s.sealed() || slices.Contains(l.retired, s):
			return fmt.Errorf("segment %d has not ended, or is not in the log any more", s.seq)
		}
		if s != l.cur && s.live == 0 {
			dead++
		}
	}
	if len(l.segs) == 0 || l.segs[len(l.segs)-1] != l.cur {
		return fmt.Errorf("segment %d takes records, and isn't the last", l.cur.seq)
	}
	const count = 10 // what says how many groups there are, see recordCost
	if room := len(appendTable(nil, l.cur)) - count; !l.cur.sealed() && room > l.cur.table {
		return fmt.Errorf("segment %d: its table takes %d bytes more than the %d that are counted", l.cur.seq, room-l.cur.table, l.cur.table)
	}
	if dead != l.dead {
		return fmt.Errorf("%d segments without anything live are counted, there are %d", l.dead, dead)
	}
	return nil
}

// checkBuffers looks whether what isn't durable is buffered or being written, without gaps.
func (l *Log) checkBuffers() error {
	at := l.durable
	if w := l.writing; w != nil {
		if w.start() < at {
			return fmt.Errorf("what is being written begins at %d, and %d is durable", w.start(), at)
		}
		at = w.end()
	}
	for i := range l.chunks {
		c := &l.chunks[i]
		if c.start() != at || len(c.buf) == 0 {
			return fmt.Errorf("%d bytes are buffered from %d on, after %d", len(c.buf), c.start(), at)
		}
		at = c.end()
	}
	if at != l.End() || l.want > at {
		return fmt.Errorf("the log ends at %d, what is buffered at %d, and a sync is wanted up to %d", l.End(), at, l.want)
	}
	return nil
}

// checkFiles looks whether each file is for one thing, and whether reads are counted.
func (l *Log) checkFiles() error {
	names := make(map[string]bool)
	once := func(s slot) error {
		if s.name != "" && names[s.name] {
			return fmt.Errorf("file %s is used twice", s.name)
		}
		names[s.name] = true
		return nil
	}
	readers := make(map[*segment]int)
	//det:ok a sum has no order
	for _, r := range l.reads {
		readers[r.seg]++
	}
	for _, s := range slices.Concat(l.segs, l.retired) {
		if err := once(s.slot); err != nil {
			return err
		}
		if s.readers != readers[s] {
			return fmt.Errorf("segment %d: %d reads are counted, there are %d", s.seq, s.readers, readers[s])
		}
	}
	for _, s := range slices.Concat(l.free, l.surplus) {
		if err := once(s); err != nil {
			return err
		}
	}
	if len(l.free) > maxFree {
		return fmt.Errorf("%d files are kept ready", len(l.free))
	}
	return nil
}

// checkCopies looks whether the origins of copies are known until the copies are durable, and no longer.
func (l *Log) checkCopies() error {
	c := &l.copies
	for i, e := range c.order {
		if _, known := c.from[e.at]; !known || e.end <= l.durable || i > 0 && e.at <= c.order[i-1].at {
			return fmt.Errorf("the copy at %d is durable, out of order, or its origin isn't known", e.at)
		}
	}
	if len(c.order) != len(c.from) {
		return fmt.Errorf("%d copies have origins, %d are known", len(c.order), len(c.from))
	}
	return nil
}

// checkStages looks whether checkpoints that are being staged have pieces to come.
func (l *Log) checkStages() error {
	for i, s := range l.stages {
		if len(s.left) == 0 || s.is.Part >= s.is.Parts || slices.ContainsFunc(l.stages[:i], func(o *stage) bool { return o.group == s.group }) {
			return fmt.Errorf("group %d: a checkpoint at entry %d is staged twice, or has no piece to come", s.group, s.index)
		}
	}
	return nil
}
