// SPDX-License-Identifier: Apache-2.0

package wal

import "slices"

// Room is what can still be written to files that are ready. Records are put there one after another, as the log itself
// would put them: what doesn't fit the end of a segment goes to the next one, and the rest of the first is lost. So it says
// more than a number of bytes does.
type Room struct {
	log     *Log
	files   [maxFree]int64 // the sizes of those that are left, ascending
	left    int            // so many
	missing int64          // bytes of segments for which there is no file
	end     int64          // of the segment that the next record goes to, with its seal
}

// Room returns what there is now. It becomes invalid when something is appended.
func (l *Log) Room() Room {
	r := Room{log: l, left: len(l.free), end: l.cur.end + l.sealRoom()}
	for i, f := range l.free {
		r.files[i] = f.size
	}
	slices.Sort(r.files[:r.left])
	first := len(l.segs)
	for first > 0 && l.segs[first-1].slot.name == "" {
		first--
	}
	for _, s := range l.segs[first:] {
		if !r.takeFile(l.need(s)) {
			r.missing += l.need(s)
		}
	}
	if l.cur.sealed() || l.cur.unowned {
		r.end = l.opt.SegmentBytes
	}
	return r
}

// takeFile does what Log.takeSlot does.
func (r *Room) takeFile(size int64) bool {
	for i := range r.left {
		if r.files[i] >= size {
			copy(r.files[i:], r.files[i+1:r.left])
			r.left--
			return true
		}
	}
	return false
}

// Left returns how many bytes are left in all. It is negative if segments wait for a file.
func (r *Room) Left() int64 {
	segment := r.log.opt.SegmentBytes
	return int64(r.left)*segment + max(segment-r.end, 0) - r.missing // one made for a large record ends beyond that
}

// Take puts an entry or a checkpoint of n bytes there, if so much is left after it. Otherwise it changes nothing.
func (r *Room) Take(n int, leave int64) bool { return r.take(EntryRoom(n), leave) }

func (r *Room) take(size, leave int64) bool {
	after := *r
	after.end += size
	if limit := r.log.opt.SegmentBytes; after.end > limit {
		after.end = r.log.beginRoom() + size
		if !after.takeFile(max(limit, after.end)) {
			return false
		}
	}
	if after.Left() < leave {
		return false
	}
	*r = after
	return true
}

// Reserve takes n bytes out of the room, as if they could be divided anyhow, and the largest files for so many large records.
func (r *Room) Reserve(n int64, large int) {
	r.left = max(r.left-large, 0)
	for segment := r.log.opt.SegmentBytes; n > 0; {
		fits := min(n, max(segment-r.end, 0))
		if r.end, n = r.end+fits, n-fits; n == 0 {
			return
		}
		if !r.takeFile(segment) {
			r.missing += n
			return
		}
		r.end = r.log.beginRoom()
	}
}

// TakeCheckpoint does the same for a checkpoint, which is put into the log in pieces if it is large.
func (r *Room) TakeCheckpoint(n int, leave int64) bool {
	if !r.log.Large(n) {
		return r.Take(n, leave)
	}
	after, size := *r, r.log.pieceBytes(n)
	for ; n > 0; n -= size {
		if !after.Take(min(n, size)+pieceHead-entryHead, leave) {
			return false
		}
	}
	*r = after
	return true
}

// EntryRoom is what an entry or a checkpoint of n bytes needs in a segment and in its table.
func EntryRoom(n int) int64 {
	return int64(recordBytes(entryHead+n)) + int64(recordBytes(recordCost))
}

// beginRoom is what a segment needs besides: its end, and its beginning. That is a bit larger than that of the current
// segment if groups have more checkpoints since, and much larger if there are more groups.
func (l *Log) beginRoom() int64 {
	states := int64(len(l.order) * recordBytes(stateBytes+16))
	return max(l.cur.preamble+l.cur.preamble/4, headerBytes+states) + int64(recordBytes(manifestRow*len(l.segs))) + int64(recordBytes(recordCost)) + l.openRoom()
}

// Ask has a file made for an entry of n bytes that is larger than a segment, before that is appended. What is appended
// without a file keeps all that comes after it waiting. If there is no space, Short says so.
func (l *Log) Ask(n int) {
	size := l.beginRoom() + EntryRoom(n)
	if size > l.opt.SegmentBytes && !slices.ContainsFunc(l.free, func(f slot) bool { return f.size >= size }) {
		l.asked = max(l.asked, size+l.opt.SegmentBytes/8) // the next beginning may be larger
	}
}
