// SPDX-License-Identifier: Apache-2.0

package wal

import "slices"

const (
	minFree = 2 // files that the log wants ready for new segments
	maxFree = 4 // files that it keeps ready
)

// openRoom is how many bytes stay free in a segment for the records of Open, which doesn't ask
// whether there is room: of some 60 starts without any other write in between.
func (l *Log) openRoom() int64 { return min(64*recordHead, l.opt.SegmentBytes/16) }

// sealRoom is how many bytes the current segment needs to end.
func (l *Log) sealRoom() int64 { return int64(recordBytes(l.cur.table)) + l.openRoom() }

// fits says that a record of size bytes goes to the current segment. A segment never grows beyond its
// file, so that writing to it needs no space. If a record is larger than a segment, the segment is made
// for it: one that has no file yet, whose file will be large enough.
func (l *Log) fits(size int) bool {
	c := l.cur
	if c.sealed() || c.unowned {
		return false
	}
	end := c.end + int64(size) + int64(recordBytes(recordCost)) + l.sealRoom()
	if c.slot.name == "" {
		return end <= l.opt.SegmentBytes || c.end == c.preamble
	}
	return end <= min(l.opt.SegmentBytes, c.slot.size)
}

// need is how large the file of a segment has to be.
func (l *Log) need(s *segment) int64 {
	if s == l.cur {
		return max(l.opt.SegmentBytes, s.end+l.sealRoom())
	}
	return max(l.opt.SegmentBytes, s.end+l.openRoom())
}

// takeSlot gives a segment a file, if one is ready: the smallest that is large enough.
func (l *Log) takeSlot(s *segment) bool {
	i, need := -1, l.need(s)
	for k, f := range l.free {
		if f.size >= need && (i < 0 || f.size < l.free[i].size) {
			i = k
		}
	}
	if i < 0 {
		return false
	}
	s.slot = l.free[i]
	l.free = slices.Delete(l.free, i, i+1)
	return true
}

// nextPrepare hands out the preparation of a file if too few are ready, or if the first chunk waits
// for one that is larger than usual.
func (l *Log) nextPrepare() (Op, bool) {
	if l.preparing || l.full && !l.retry {
		return Op{}, false
	}
	size, wanted := l.wanted()
	if !wanted {
		return Op{}, false
	}
	l.preparing = true
	op := l.op(OpPrepare, slotName(l.nextSlot))
	op.N = size
	l.nextSlot++
	return op, true
}

// wanted reports whether another file is wanted, and of what size. After one for which there was no space, one is wanted
// to find out whether there is again.
func (l *Log) wanted() (size int64, yes bool) {
	size = max(l.opt.SegmentBytes, l.asked)
	if len(l.chunks) > 0 && l.chunks[0].seg.slot.name == "" {
		size = max(size, l.need(l.chunks[0].seg))
	}
	return size, len(l.free) < minFree || size > l.opt.SegmentBytes || l.short && l.retry
}

// noSpace is called when a preparation found no space. If it isn't wanted any more, because a segment
// became free meanwhile, that is nobody's concern: no later one would end it.
func (l *Log) noSpace() {
	l.preparing, l.retry, l.short, l.asked = false, false, true, 0
	if _, l.full = l.wanted(); l.full {
		l.move.look = true
	}
}

// prepared takes a file that is ready. A large one is for the segment that waits for it.
func (l *Log) prepared(s slot) {
	l.preparing = false
	l.full, l.short = false, false
	l.stats.Prepared++
	if s.size > l.opt.SegmentBytes && len(l.chunks) > 0 {
		if seg := l.chunks[0].seg; seg.slot.name == "" && s.size >= l.need(seg) {
			seg.slot = s
			return
		}
	}
	if l.asked == 0 || s.size < l.asked {
		l.addSlot(s)
		return
	}
	l.asked = 0
	if len(l.free) == maxFree {
		l.surplus = append(l.surplus, l.free[0])
		l.free = slices.Delete(l.free, 0, 1)
	}
	l.free = append(l.free, s)
}

// Full says that there was no space on the disk for the next file. The log goes on as long as it has
// files that are ready, at least one more segment; the caller should append nothing but what frees space
// or must be written, such as Release and votes. Then what is appended waits in memory. Reads go on.
// Full ends when a preparation succeeds, see Retry, or when segments become free.
func (l *Log) Full() bool { return l.full }

// Short says the same, and goes on where Full ends because segments became free: no more files can be made than there are.
func (l *Log) Short() bool { return l.short }

// SegmentBytes returns the size of a segment.
func (l *Log) SegmentBytes() int64 { return l.opt.SegmentBytes }

// Retry makes Next hand out the preparation that found no space once more. It also ends the current segment if there is
// something to gain: only the file of a segment that has ended can become free. refusing says that the caller takes no
// records for want of room, so that room is worth more.
func (l *Log) Retry(refusing bool) {
	l.retry, l.refusing = true, refusing
	if !l.full || l.durable != l.End() || l.cur.end <= l.opt.SegmentBytes/2 || !l.sparse(l.cur) {
		return
	}
	r := l.Room()
	gone := l.cur.end - l.cur.preamble - l.cur.live
	if r.end = l.opt.SegmentBytes; gone > l.opt.SegmentBytes/rollGain && l.roomToMove(l.cur, &r) { // it will be moved to the next
		l.roll()
	}
}

// reclaim frees the files of retired segments, once it is durable that they are retired and
// nobody reads them.
func (l *Log) reclaim() {
	l.retired = slices.DeleteFunc(l.retired, func(s *segment) bool {
		if s.freeAt > l.durable || s.readers > 0 {
			return false
		}
		l.stats.Recycled++
		l.addSlot(s.slot)
		return true
	})
}

// addSlot keeps a file for a later segment, or has it removed if there are enough or it has the
// wrong size.
func (l *Log) addSlot(s slot) {
	if len(l.free) < maxFree && s.size >= l.opt.SegmentBytes && s.size <= 2*l.opt.SegmentBytes {
		l.free = append(l.free, s)
	} else {
		l.surplus = append(l.surplus, s)
	}
	if len(l.free) >= minFree {
		l.full = false
	}
}
