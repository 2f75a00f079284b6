// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"
	"sort"

	"chronik/kafka"
)

// keyedLog is a coordinator's partition of __consumer_offsets as clients read it: the newest record of each key, in
// the order of offsets, like a log that was compacted a moment ago. Tombstones stay for a day, whatever comes after
// them. It holds places and not records. A record's content is part of the coordinator's state, and is put into
// Kafka's format when somebody reads it.
//
// So the keyed log is part of the state that apply builds, the same on all replicas and in their checkpoints. The raft
// log doesn't have to be kept for it.
type keyedLog struct {
	end    int64    // the offset that the next record gets, the high watermark
	chunks []*chunk // ascending, never empty
	graves []*place // tombstones in order, some of them dropped already
	count  int      // places

	// A checkpoint is being written of what stood at these offsets when it began: from the first to one before the
	// second, as far as it isn't written. A place that is dropped meanwhile keeps what it was.
	writeFrom, writeUntil int64
}

// chunk is a part of the log. Dropped places are cleared away when they are half of it.
type chunk struct {
	places  []*place
	dropped int
	newest  int64 // not below the times of its places
}

// place is where the newest records of something stand.
type place struct {
	offset    int64 // of its first record
	ms        int64 // when they were written
	kind      placeKind
	in        *chunk         // nil: dropped
	was       *kafka.Record  // it is dropped and still to be written: what its entry is
	group     *consumerGroup // but for tombstones
	name      string         // a topic's, a member's id, or a tombstone's key
	partition int32
}

// placeKind is what is in a place.
type placeKind uint8

const (
	placeOffset  placeKind = iota // a committed offset
	placeClassic                  // a group of the classic protocol
	placeModern                   // a group of the new protocol: its epoch, and that of its target
	placeMember                   // a member of one: what it is, what it shall own, what it owns
	placeGrave                    // a tombstone
)

// width is how many records, and offsets, a place takes.
func (p *place) width() int64 {
	switch p.kind {
	case placeModern:
		return 2
	case placeMember:
		return 3
	}
	return 1
}

const (
	chunkPlaces = 256
	maxGraves   = 1 << 16    // of one coordinator; the oldest go early
	graveMs     = 86_400_000 // how long a tombstone stays, Kafka's delete.retention.ms
)

// add puts a place at the end.
func (l *keyedLog) add(p *place) *place {
	p.offset = l.end
	l.end += p.width()
	l.count++
	n := len(l.chunks)
	if n == 0 || len(l.chunks[n-1].places) >= chunkPlaces {
		l.chunks = append(l.chunks, &chunk{})
		n++
	}
	c := l.chunks[n-1]
	c.places, c.newest, p.in = append(c.places, p), max(c.newest, p.ms), c
	if p.kind == placeGrave {
		l.graves = append(l.graves, p)
	}
	return p
}

// bury puts a tombstone for a key at the end.
func (l *keyedLog) bury(ms int64, keys ...[]byte) {
	for _, key := range keys {
		l.add(&place{kind: placeGrave, ms: ms, name: string(key)})
	}
}

// drop takes a place out: something newer has come for its keys.
func (l *keyedLog) drop(p *place) {
	if p == nil || p.in == nil {
		return
	}
	if p.offset >= l.writeFrom && p.offset < l.writeUntil {
		was := p.entry()
		p.was = &was
	}
	c := p.in
	p.in = nil
	l.count--
	c.dropped++
	l.tidy(c)
}

// tidy clears a chunk if it is worth it.
func (l *keyedLog) tidy(c *chunk) {
	if 2*c.dropped >= len(c.places) {
		l.clear(c)
	}
}

// clear lets go of what was dropped from a chunk, and joins what is left to the chunk before if both are small.
func (l *keyedLog) clear(c *chunk) {
	i := l.find(c.places[0].offset)
	c.places = slices.DeleteFunc(c.places, func(p *place) bool { return p.in == nil && p.was == nil })
	c.dropped = 0
	for _, p := range c.places {
		c.dropped += btoi(p.in == nil)
	}
	if i > 0 && len(l.chunks[i-1].places)+len(c.places) <= chunkPlaces/2 {
		before := l.chunks[i-1]
		for _, p := range c.places {
			if p.in != nil {
				p.in = before
			}
		}
		before.places, before.newest = append(before.places, c.places...), max(before.newest, c.newest)
		before.dropped += c.dropped
		c.places = nil
	}
	if len(c.places) == 0 {
		l.chunks = slices.Delete(l.chunks, i, i+1)
	}
}

// find returns the position of the chunk in which an offset is, or would be.
func (l *keyedLog) find(offset int64) int {
	i := sort.Search(len(l.chunks), func(i int) bool { return l.chunks[i].places[0].offset > offset })
	return max(i-1, 0)
}

// from calls fn for each place that holds the offset or a later one, until it returns false.
func (l *keyedLog) from(offset int64, fn func(*place) bool) {
	for i := l.find(offset); i < len(l.chunks); i++ {
		for _, p := range l.chunks[i].places {
			if p.in != nil && p.offset+p.width() > offset && !fn(p) {
				return
			}
		}
	}
}

// beginWriting lets a checkpoint begin.
func (l *keyedLog) beginWriting() { l.writeFrom, l.writeUntil = 0, l.end }

// nextToWrite returns the next place that belongs to it, nil if there is none.
func (l *keyedLog) nextToWrite() *place {
	for i := l.find(l.writeFrom); i < len(l.chunks) && l.writeFrom < l.writeUntil; i++ {
		places := l.chunks[i].places
		j := sort.Search(len(places), func(j int) bool { return places[j].offset >= l.writeFrom })
		for ; j < len(places); j++ {
			if p := places[j]; p.offset >= l.writeUntil {
				return nil
			} else if p.in != nil || p.was != nil {
				l.writeFrom = p.offset
				return p
			}
		}
	}
	return nil
}

// wrote goes on after a place.
func (l *keyedLog) wrote(p *place) {
	l.writeFrom = p.offset + 1
	if p.was != nil {
		p.was = nil
		l.tidy(l.chunks[l.find(p.offset)])
	}
}

// start is the first offset that there is.
func (l *keyedLog) start() int64 {
	start := l.end
	l.from(0, func(p *place) bool {
		start = p.offset
		return false
	})
	return start
}

// newest returns the time of the newest place. Times rise with offsets but for clocks that were wrong, so what is newest is
// mostly in the last chunk, and the others only have to be looked at as a whole.
func (l *keyedLog) newest() int64 {
	newest := int64(-1)
	for i := len(l.chunks) - 1; i >= 0; i-- {
		if l.chunks[i].newest <= newest {
			continue
		}
		for _, p := range l.chunks[i].places {
			if p.in != nil {
				newest = max(newest, p.ms)
			}
		}
	}
	return newest
}

// since returns the first place that is not older than a time, nil if there is none.
func (l *keyedLog) since(ms int64) *place {
	for _, c := range l.chunks {
		if c.newest < ms {
			continue
		}
		for _, p := range c.places {
			if p.in != nil && p.ms >= ms {
				return p
			}
		}
	}
	return nil
}

// expire drops tombstones that everybody had time to see, at most so many. The newest record stays: readers
// wait for it.
func (l *keyedLog) expire(ms int64, most int) {
	for ; most > 0 && len(l.graves) > 0; most-- {
		p := l.graves[0]
		if p.in != nil && (p.offset == l.end-1 || p.ms > ms-graveMs && len(l.graves) <= maxGraves) {
			return
		}
		l.drop(p)
		l.graves[0] = nil
		l.graves = l.graves[1:]
	}
}

// raise makes offsets begin at one that is ahead.
func (l *keyedLog) raise(end int64) { l.end = max(l.end, end) }

// shift moves the whole log up by some offsets.
func (l *keyedLog) shift(by int64) {
	for _, c := range l.chunks {
		for _, p := range c.places {
			p.offset += by
		}
	}
	l.end += by
}
