// SPDX-License-Identifier: Apache-2.0

package node

// age is by what the ages of records are judged (ADR 10).
type age struct {
	now    Time
	unixMs int64
	known  bool // unixMs is
}

// over reports whether something that was appended at a time in ms, and that this process knows since another, is older
// than ms. Where the time of appending is unknown, or lies ahead because a leader's clock did, it has the age for which
// this process knows it.
func (a age) over(appended int64, seen Time, ms int64) bool {
	if a.now.Sub(seen).Milliseconds() > ms {
		return true
	}
	return a.known && appended > 0 && appended <= a.unixMs && a.unixMs-appended > ms
}

// due reports whether all records of a span were appended more than ms ago. The timestamps that
// producers gave them have no say: they may be of any time.
func (a age) due(s *span, ms int64) bool { return a.over(s.appended, s.seen, ms) }

// expired returns the offset below which the records are older than ms or lie before the newest bytes; below 0, neither
// is a limit. It goes by whole spans.
func (p *records) expired(a age, ms, bytes int64) int64 {
	start := p.start
	if ms >= 0 {
		for i := range p.spans {
			if !a.due(&p.spans[i], ms) {
				break
			}
			start = max(start, p.spanEnd(i))
		}
	}
	if bytes >= 0 {
		total := p.bytes()
		for i := 0; i < len(p.spans) && total-p.spans[i].bytes >= bytes; i++ {
			total -= p.spans[i].bytes
			start = max(start, p.spanEnd(i))
		}
	}
	return start
}

// bytes returns the size of all batches.
func (p *records) bytes() (total int64) {
	for i := range p.spans {
		total += p.spans[i].bytes
	}
	return total
}

// spanEnd returns the offset after a span.
func (p *records) spanEnd(i int) int64 {
	if i+1 < len(p.spans) {
		return p.spans[i+1].base
	}
	return p.highWatermark
}

// spanEndIndex returns the entry after a span.
func (p *records) spanEndIndex(i int, applied uint64) uint64 {
	if i+1 < len(p.spans) {
		return p.spans[i+1].index
	}
	return applied + 1
}

// dirty returns how much of a thousand of the bytes lies between two entries, so that it can be compacted and wasn't yet;
// all if some of it is older than lag.
func (p *records) dirty(a age, from, end, applied uint64, lag int64) int64 {
	var all, dirty int64
	for i := range p.spans {
		sp := &p.spans[i]
		if sp.empty {
			continue // in Kafka it would be gone
		}
		all += sp.bytes
		if sp.index >= end || min(p.spanEndIndex(i, applied), end) <= from {
			continue
		}
		if dirty += sp.bytes; a.due(sp, lag) {
			return 1000
		}
	}
	if all == 0 {
		return 0
	}
	return dirty * 1000 / all
}

// compactable returns the entry up to which records may be compacted: at least up to end, and beyond it what lies before
// the newest bytes or is older than rolls; in any case nothing that is younger than lag.
func (p *records) compactable(a age, end, applied uint64, bytes, rolls, lag int64) uint64 {
	sum := int64(0)
	for i := len(p.spans) - 1; i >= 0 && p.spanEndIndex(i, applied) > end; i-- {
		if sum >= bytes || a.due(&p.spans[i], rolls) {
			end = p.spanEndIndex(i, applied)
		}
		sum += p.spans[i].bytes
	}
	if lag > 0 {
		for i := len(p.spans) - 1; i >= 0 && !a.due(&p.spans[i], lag); i-- {
			end = min(end, p.spans[i].index)
		}
	}
	return end
}
