// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"fmt"
	"math"
	"slices"
)

// Linearizability of a log in linear time. An append of the record at offset o has position 2o+1; a
// read that reports the end L has position 2L. A linearization has to order the operations by
// position; reads at one position may be in any order. So there is one if and only if no operation
// returned before one at a lower position was called.

// timed is an operation with its place in the log.
type timed struct {
	position       int64
	call, returned int64
	id             CallID
}

// checkTime checks that appends and reads are linearizable. A fetch may be stale: it counts as if
// it had been called earlier.
func (l *log) checkTime(opt LogOptions) *Violation {
	ops := make([]timed, 0, len(l.base)+len(l.copies)+len(l.h.Ends)+len(l.h.Fetches))
	for i, base := range l.base {
		if base == unplaced {
			continue
		}
		p := &l.h.Produces[i]
		op := timed{2*base + 1, p.Call, p.Return, CallID{KindProduce, i}}
		if p.Outcome != OK {
			op.returned = math.MaxInt64
		}
		ops = append(ops, op)
	}
	for _, c := range l.copies { // an attempt that was sent before the call returned may arrive at any time
		ops = append(ops, timed{2*c.base + 1, l.h.Produces[c.produce].Call, math.MaxInt64, CallID{KindProduce, int(c.produce)}})
	}
	for i := range l.h.Ends {
		e := &l.h.Ends[i]
		ops = append(ops, timed{2 * e.Offset, e.Call, e.Return, CallID{KindEnd, i}})
	}
	for i := range l.h.Fetches {
		f := &l.h.Fetches[i]
		op := timed{2 * f.HighWatermark, math.MinInt64, f.Return, CallID{KindFetch, i}}
		if opt.MaxStaleness > 0 {
			op.call = f.Call - opt.MaxStaleness
		}
		ops = append(ops, op)
	}
	first, then, ok := sweep(ops)
	if ok {
		return nil
	}
	return violation(NotLinearizable, []CallID{first.id, then.id}, "%s comes before %s in the log, but was called only after that had returned", l.call(first.id), l.call(then.id))
}

// sweep looks for an operation that was called after one at a higher position had returned, and
// returns the two.
func sweep(ops []timed) (lower, higher timed, ok bool) {
	sortByPosition(ops)
	earliest := timed{returned: math.MaxInt64} // the first to return of those at higher positions
	for end := len(ops); end > 0; {
		begin := end - 1
		for begin > 0 && ops[begin-1].position == ops[begin].position {
			begin--
		}
		for _, op := range ops[begin:end] {
			if earliest.returned < op.call {
				return op, earliest, false
			}
		}
		for _, op := range ops[begin:end] {
			if op.returned < earliest.returned {
				earliest = op
			}
		}
		end = begin
	}
	return timed{}, timed{}, true
}

// sortByPosition is a counting sort: positions are about as many as operations.
func sortByPosition(ops []timed) {
	if len(ops) == 0 {
		return
	}
	low, high := ops[0].position, ops[0].position
	for _, op := range ops {
		low, high = min(low, op.position), max(high, op.position)
	}
	if high-low > 64*int64(len(ops))+1024 { // large batches
		slices.SortStableFunc(ops, func(a, b timed) int { return int(max(-1, min(1, a.position-b.position))) })
		return
	}
	next := make([]int32, high-low+2)
	for _, op := range ops {
		next[op.position-low+1]++
	}
	for i := 1; i < len(next); i++ {
		next[i] += next[i-1]
	}
	sorted := make([]timed, len(ops))
	for _, op := range ops {
		at := &next[op.position-low]
		sorted[*at] = op
		*at++
	}
	copy(ops, sorted)
}

// checkWatermarks checks that within one leader epoch no fetch saw a lower high watermark than one
// that returned before it was called.
func (l *log) checkWatermarks() *Violation {
	at := map[int32]int{} // place of an epoch in the next slice
	var byEpoch [][]timed
	for i := range l.h.Fetches {
		f := &l.h.Fetches[i]
		if f.LeaderEpoch < 0 {
			continue
		}
		n, ok := at[f.LeaderEpoch]
		if !ok {
			n = len(byEpoch)
			at[f.LeaderEpoch] = n
			byEpoch = append(byEpoch, nil)
		}
		byEpoch[n] = append(byEpoch[n], timed{f.HighWatermark, f.Call, f.Return, CallID{KindFetch, i}})
	}
	for _, ops := range byEpoch {
		lower, higher, ok := sweep(ops)
		if !ok {
			return violation(WatermarkBack, []CallID{higher.id, lower.id}, "%s saw high watermark %d, then %s saw %d, both in leader epoch %d",
				l.call(higher.id), higher.position, l.call(lower.id), lower.position, l.h.Fetches[lower.id.Index].LeaderEpoch)
		}
	}
	return nil
}

func violation(check string, witnesses []CallID, format string, args ...any) *Violation {
	return &Violation{Check: check, Text: fmt.Sprintf(format, args...), Witnesses: witnesses}
}

func produces(index ...int) []CallID { return ids(KindProduce, index) }

func fetches(index ...int) []CallID { return ids(KindFetch, index) }

func ids(kind CallKind, index []int) []CallID {
	list := make([]CallID, len(index))
	for i, n := range index {
		list[i] = CallID{kind, n}
	}
	return list
}

// call describes a call for people.
func (l *log) call(id CallID) string {
	switch id.Kind {
	case KindProduce:
		return l.produce(id.Index)
	case KindFetch:
		return l.fetch(id.Index)
	default:
		return l.endCall(id.Index)
	}
}

func (l *log) produce(i int) string {
	p := &l.h.Produces[i]
	text := fmt.Sprintf("produce of %d records", len(p.Values))
	if len(p.Values) > 0 {
		text = fmt.Sprintf("produce of record %d", p.Values[0])
		if n := len(p.Values); n > 1 {
			text = fmt.Sprintf("produce of records %d to %d", p.Values[0], p.Values[n-1])
		}
	}
	if p.Outcome == OK && p.BaseOffset >= 0 {
		text += fmt.Sprintf(" at offset %d", p.BaseOffset)
	}
	return text + p.span()
}

func (l *log) fetch(i int) string {
	f := &l.h.Fetches[i]
	return fmt.Sprintf("fetch from offset %d%s", f.Offset, f.span())
}

func (l *log) endCall(i int) string {
	e := &l.h.Ends[i]
	return fmt.Sprintf("a list of the latest offset, %d%s", e.Offset, e.span())
}

// span says who called when.
func (s Span) span() string {
	if s.Return == math.MaxInt64 {
		return fmt.Sprintf(" (client %d, from %s on, without an answer)", s.Client, seconds(s.Call))
	}
	return fmt.Sprintf(" (client %d, %s to %s)", s.Client, seconds(s.Call), seconds(s.Return))
}

// seconds prints nanoseconds as seconds.
func seconds(ns int64) string {
	sign := ""
	if ns < 0 {
		sign, ns = "-", -ns
	}
	return fmt.Sprintf("%s%d.%09ds", sign, ns/1e9, ns%1e9)
}
