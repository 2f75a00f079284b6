// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// The checks of a partition's history, as they stand in Violation.Check.
const (
	BadHistory        = "bad-history"          // the history itself is impossible: the recorder is broken
	OffsetsDense      = "offsets-dense"        // the log has a hole or an offset twice
	EpochForward      = "epoch-forward"        // leader epochs go back along the log
	OneRecordAtOffset = "one-record-at-offset" // two observers saw different records at one offset
	AckedLost         = "acked-record-lost"    // an acknowledged record is not where it was acknowledged
	NeverSent         = "never-sent"           // a record that no client sent
	RefusedAppended   = "refused-appended"     // a record that was refused for sure is in the log
	Duplicate         = "duplicate"            // a record is there twice
	TornBatch         = "torn-batch"           // a batch is not there as a whole, in one piece
	ProducerOrder     = "producer-order"       // batches of a producer are in another order than it sent them
	FetchUncommitted  = "fetch-uncommitted"    // a fetch returned what is not below its high watermark, or is not committed
	FetchOrder        = "fetch-order"          // a fetch skipped an offset or went back
	WatermarkBack     = "high-watermark-back"  // within one leader epoch
	NotLinearizable   = "not-linearizable"     // the order of the log contradicts the order in time
)

// LogOptions say what may be demanded of a partition beyond what always holds.
type LogOptions struct {
	// MaxStaleness bounds how old a fetch's high watermark may be, in nanoseconds before the call:
	// a deposed leader may answer with what it knew. 0 or less: any age is legal.
	MaxStaleness int64
}

// CheckPartition judges one partition. With a truth it demands that what was acknowledged or seen
// is in it; without one (nil) it checks only what the observations say of each other. It takes time
// linear in the history.
func CheckPartition(h *History, truth *Truth, opt LogOptions) *Violation {
	l, bad := newLog(h, truth)
	if bad == nil {
		bad = l.check(truth, opt)
	}
	if bad != nil {
		bad.Partition = h.Partition
	}
	return bad
}

func (l *log) check(truth *Truth, opt LogOptions) *Violation {
	if bad := l.putTruth(truth); bad != nil {
		return bad
	}
	if bad := l.putAcks(); bad != nil {
		return bad
	}
	if bad := l.putFetches(); bad != nil {
		return bad
	}
	if bad := l.findOwners(); bad != nil {
		return bad
	}
	if bad := l.checkBatches(); bad != nil {
		return bad
	}
	if bad := l.checkReads(); bad != nil {
		return bad
	}
	if bad := l.checkProducerOrder(); bad != nil {
		return bad
	}
	if bad := l.checkWatermarks(); bad != nil {
		return bad
	}
	return l.checkTime(opt)
}

// log is the partition's log as all observations together show it.
type log struct {
	h     *History
	start int64 // offset of slots[0]
	slots []slot
	// [known, end) is what the truth covers: there, a slot that is empty is empty indeed.
	known, end int64
	complete   bool // there is a truth

	base   []int64 // of each produce, or unplaced
	copies []copied
}

// slot is one offset.
type slot struct {
	value RecordID
	owner int32 // which produce, or noOwner
	pos   int32 // place in its batch
	epoch int32 // unknownEpoch if only an acknowledgement says that it is there
	set   bool
}

// copied is a further appearance of a batch in the log.
type copied struct {
	produce int32
	base    int64
}

const (
	noOwner      = -1
	nobody       = -2 // of a marker
	unknownEpoch = math.MinInt32
	unplaced     = -1
)

// newLog makes a log with room for every offset that was observed.
func newLog(h *History, truth *Truth) (*log, *Violation) {
	low, high, sent := int64(math.MaxInt64), int64(math.MinInt64), 0
	see := func(first, end int64) { low, high = min(low, first), max(high, end) }
	for i := range h.Produces {
		p := &h.Produces[i]
		sent += len(p.Values)
		if p.Outcome == OK && p.BaseOffset >= 0 {
			see(p.BaseOffset, p.BaseOffset+int64(len(p.Values)))
		}
	}
	for i := range h.Fetches {
		for _, r := range h.Fetches[i].Records {
			see(r.Offset, r.Offset+1)
		}
	}
	l := &log{h: h, base: make([]int64, len(h.Produces))}
	if truth != nil {
		see(truth.Start, truth.Start+int64(len(truth.Records)))
		l.complete, l.known, l.end = true, truth.Start, truth.Start+int64(len(truth.Records))
	}
	for i := range l.base {
		l.base[i] = unplaced
	}
	if high <= low {
		return l, nil
	}
	if room := 100*int64(sent) + 1<<20; high-low > room {
		return nil, &Violation{Check: OffsetsDense, Text: fmt.Sprintf("offsets from %d to %d were seen, but clients sent only %d records", low, high-1, sent)}
	}
	l.start, l.slots = low, make([]slot, high-low)
	for i := range l.slots {
		l.slots[i].owner, l.slots[i].epoch = noOwner, unknownEpoch
	}
	return l, nil
}

func (l *log) at(offset int64) *slot { return &l.slots[offset-l.start] }

// has reports whether a record is seen at the offset.
func (l *log) has(offset int64) bool {
	return offset >= l.start && offset < l.start+int64(len(l.slots)) && l.at(offset).set
}

// covers reports whether the truth says what is at the offset, or that nothing is.
func (l *log) covers(offset int64) bool { return l.complete && offset >= l.known }

// putTruth fills in the truth, whose offsets must be dense.
func (l *log) putTruth(truth *Truth) *Violation {
	if truth == nil {
		return nil
	}
	epoch := int32(math.MinInt32)
	for i, r := range truth.Records {
		if want := truth.Start + int64(i); r.Offset != want {
			return violation(OffsetsDense, nil, "the log has offset %d where %d should be", r.Offset, want)
		}
		if r.LeaderEpoch < epoch {
			return violation(EpochForward, nil, "the record at offset %d has leader epoch %d after leader epoch %d", r.Offset, r.LeaderEpoch, epoch)
		}
		epoch = r.LeaderEpoch
		*l.at(r.Offset) = slotOf(r)
	}
	return nil
}

// slotOf is a slot with a record of which isn't known yet who sent it.
func slotOf(r Record) slot {
	s := slot{value: r.Value, owner: noOwner, epoch: r.LeaderEpoch, set: true}
	if r.Marker {
		s.owner = nobody
	}
	return s
}

// putAcks places the acknowledged batches.
func (l *log) putAcks() *Violation {
	for i := range l.h.Produces {
		p := &l.h.Produces[i]
		if p.Outcome != OK || p.BaseOffset < 0 {
			continue
		}
		l.base[i] = p.BaseOffset
		for j, value := range p.Values {
			offset := p.BaseOffset + int64(j)
			s := l.at(offset)
			switch {
			case !s.set && l.covers(offset):
				return violation(AckedLost, produces(i), "%s was acknowledged, but the log ends at offset %d", l.produce(i), l.end)
			case !s.set:
				*s = slot{value: value, epoch: unknownEpoch, set: true}
			case s.owner == nobody:
				return violation(AckedLost, produces(i), "%s was acknowledged, but offset %d holds the end of a transaction", l.produce(i), offset)
			case s.owner != noOwner:
				return violation(OneRecordAtOffset, produces(i, int(s.owner)), "offset %d was acknowledged twice: %s, and %s", offset, l.produce(int(s.owner)), l.produce(i))
			case s.value != value:
				return violation(AckedLost, produces(i), "%s was acknowledged, but offset %d holds record %d", l.produce(i), offset, s.value)
			}
			s.owner, s.pos = int32(i), int32(j)
		}
	}
	return nil
}

// putFetches compares what was fetched to what is known, and fills in what wasn't.
func (l *log) putFetches() *Violation {
	for i := range l.h.Fetches {
		f := &l.h.Fetches[i]
		if len(f.Records) > 0 && f.Records[0].Offset > f.Offset {
			return violation(FetchOrder, fetches(i), "%s skipped to offset %d", l.fetch(i), f.Records[0].Offset)
		}
		for j, r := range f.Records {
			if j > 0 && r.Offset != f.Records[j-1].Offset+1 {
				return violation(FetchOrder, fetches(i), "%s returned offset %d after offset %d", l.fetch(i), r.Offset, f.Records[j-1].Offset)
			}
			if r.Offset >= f.HighWatermark {
				return violation(FetchUncommitted, fetches(i), "%s returned offset %d, but its high watermark is %d", l.fetch(i), r.Offset, f.HighWatermark)
			}
			s := l.at(r.Offset)
			switch {
			case !s.set && l.covers(r.Offset):
				return violation(FetchUncommitted, fetches(i), "%s returned record %d at offset %d, but the log ends at offset %d", l.fetch(i), r.Value, r.Offset, l.end)
			case !s.set:
				*s = slotOf(r)
			case s.value != r.Value || r.Marker != (s.owner == nobody):
				return violation(OneRecordAtOffset, fetches(i), "%s returned record %d at offset %d, which holds record %d", l.fetch(i), r.Value, r.Offset, s.value)
			case s.epoch == unknownEpoch:
				s.epoch = r.LeaderEpoch
			case s.epoch != r.LeaderEpoch:
				return violation(OneRecordAtOffset, fetches(i), "%s returned leader epoch %d at offset %d, which has leader epoch %d", l.fetch(i), r.LeaderEpoch, r.Offset, s.epoch)
			}
		}
	}
	return nil
}

// sent is where a record comes from.
type sent struct{ produce, pos int32 }

// findOwners says for each record which call sent it, where no acknowledgement did: that places the
// calls of unknown outcome.
func (l *log) findOwners() *Violation {
	if !slices.ContainsFunc(l.slots, slot.orphan) {
		return nil
	}
	// Nearly always such a record is of a call that wasn't acknowledged with an offset. To look at
	// the others too is what makes a large history slow.
	from, bad := l.senders(func(i int) bool { return l.base[i] == unplaced })
	if bad != nil {
		return bad
	}
	all := false
	for n := range l.slots {
		s, offset := &l.slots[n], l.start+int64(n)
		if !s.orphan() {
			continue
		}
		source, ok := from[s.value]
		if !ok && !all {
			all = true
			if from, bad = l.senders(func(int) bool { return true }); bad != nil {
				return bad
			}
			source, ok = from[s.value]
		}
		if !ok {
			return violation(NeverSent, nil, "offset %d holds record %d, which no client sent", offset, s.value)
		}
		s.owner, s.pos = source.produce, source.pos
		if bad := l.place(offset, source); bad != nil {
			return bad
		}
	}
	return nil
}

// orphan reports whether a record is there and it isn't known who sent it.
func (s slot) orphan() bool { return s.set && s.owner == noOwner }

// senders returns where the records of some calls come from.
func (l *log) senders(of func(produce int) bool) (map[RecordID]sent, *Violation) {
	from := make(map[RecordID]sent)
	for i := range l.h.Produces {
		if !of(i) {
			continue
		}
		for j, v := range l.h.Produces[i].Values {
			if other, ok := from[v]; ok {
				return nil, violation(BadHistory, produces(i, int(other.produce)), "record %d was sent by two calls", v)
			}
			from[v] = sent{int32(i), int32(j)}
		}
	}
	return from, nil
}

// place notes that the record of a call that was not acknowledged there is at an offset.
func (l *log) place(offset int64, source sent) *Violation {
	i := int(source.produce)
	p := &l.h.Produces[i]
	base := offset - int64(source.pos)
	switch {
	case p.Outcome == Failed:
		return violation(RefusedAppended, produces(i), "%s was refused, but its record %d is at offset %d", l.produce(i), p.Values[source.pos], offset)
	case l.base[i] == unplaced:
		l.base[i] = base
	case l.base[i] == base:
	case p.Idempotent:
		return violation(Duplicate, produces(i), "record %d of %s is at offset %d and at offset %d", p.Values[source.pos], l.produce(i), l.base[i]+int64(source.pos), offset)
	case len(l.copies) == 0 || l.copies[len(l.copies)-1] != copied{source.produce, base}:
		l.copies = append(l.copies, copied{source.produce, base})
	}
	return nil
}

// checkBatches checks that every batch is there in one piece, and every acknowledged one is there.
func (l *log) checkBatches() *Violation {
	for i, base := range l.base {
		p := &l.h.Produces[i]
		if base == unplaced && p.Outcome == OK && l.complete && l.known == 0 && len(p.Values) > 0 {
			return violation(AckedLost, produces(i), "%s was acknowledged, but is not in the log", l.produce(i))
		}
		if base != unplaced {
			if bad := l.whole(i, base); bad != nil {
				return bad
			}
		}
	}
	for _, c := range l.copies {
		if bad := l.whole(int(c.produce), c.base); bad != nil {
			return bad
		}
	}
	return nil
}

// whole checks that the batch of a call is at base, as far as that is known.
func (l *log) whole(i int, base int64) *Violation {
	for j, v := range l.h.Produces[i].Values {
		offset := base + int64(j)
		switch {
		case l.has(offset) && l.at(offset).value != v:
			return violation(TornBatch, produces(i), "%s is at offset %d only in part: offset %d holds record %d", l.produce(i), base, offset, l.at(offset).value)
		case !l.has(offset) && l.covers(offset):
			return violation(TornBatch, produces(i), "%s is at offset %d only in part: the log ends at offset %d", l.produce(i), base, l.end)
		}
	}
	return nil
}

// checkReads checks the ends that reads reported: inside the log, and between two batches.
func (l *log) checkReads() *Violation {
	for i := range l.h.Ends {
		e := &l.h.Ends[i]
		if l.complete && e.Offset > l.end {
			return violation(FetchUncommitted, []CallID{{KindEnd, i}}, "%s, but the log ends at offset %d", l.endCall(i), l.end)
		}
		if bad := l.between(e.Offset, CallID{KindEnd, i}); bad != nil {
			return bad
		}
	}
	for i := range l.h.Fetches {
		f := &l.h.Fetches[i]
		if l.complete && f.HighWatermark > l.end {
			return violation(FetchUncommitted, fetches(i), "%s has high watermark %d, but the log ends at offset %d", l.fetch(i), f.HighWatermark, l.end)
		}
		if f.LogStart > f.HighWatermark {
			return violation(FetchUncommitted, fetches(i), "%s has log start offset %d above its high watermark %d", l.fetch(i), f.LogStart, f.HighWatermark)
		}
		if bad := l.between(f.HighWatermark, CallID{KindFetch, i}); bad != nil {
			return bad
		}
	}
	return nil
}

// between checks that a reported end does not lie inside a batch.
func (l *log) between(offset int64, by CallID) *Violation {
	if !l.has(offset) || !l.has(offset-1) || l.at(offset).owner < 0 || l.at(offset).pos == 0 {
		return nil
	}
	owner := int(l.at(offset).owner)
	return violation(TornBatch, []CallID{by, {KindProduce, owner}}, "%s reported the end at offset %d, in the middle of %s", l.call(by), offset, l.produce(owner))
}

// checkProducerOrder checks that what an idempotent producer sent after an acknowledged batch comes
// after it in the log. A batch whose fate it doesn't know it gave up, and may come at any time.
func (l *log) checkProducerOrder() *Violation {
	var order []int
	for i, base := range l.base {
		if base != unplaced && l.h.Produces[i].Idempotent {
			order = append(order, i)
		}
	}
	bad, sorted := l.producerOrder(order)
	if !sorted {
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(l.h.Produces[a].Call, l.h.Produces[b].Call) })
		bad, _ = l.producerOrder(order)
	}
	return bad
}

// highest is the highest acknowledged batch of a client, or noOwner.
type highest struct {
	call   int64 // when the last batch was sent
	before int   // among those sent before it
	now    int   // among those sent until then
}

// producerOrder goes through the batches in an order; false if that isn't the order of each client.
func (l *log) producerOrder(order []int) (bad *Violation, sorted bool) {
	clients := map[int64]highest{}
	for _, i := range order {
		p := &l.h.Produces[i]
		c, ok := clients[p.Client]
		if !ok {
			c = highest{p.Call, noOwner, noOwner}
		}
		switch {
		case p.Call < c.call:
			return nil, false
		case p.Call > c.call:
			c.before = c.now
		}
		if c.before != noOwner && l.base[c.before] > l.base[i] {
			return violation(ProducerOrder, produces(c.before, i), "%s is at offset %d, but %s, sent after it, is at offset %d", l.produce(c.before), l.base[c.before], l.produce(i), l.base[i]), true
		}
		c.call = p.Call
		if p.Outcome == OK && (c.now == noOwner || l.base[c.now] < l.base[i]) {
			c.now = i
		}
		clients[p.Client] = c
	}
	return nil, true
}
