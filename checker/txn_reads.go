// SPDX-License-Identifier: Apache-2.0

package checker

// checkStable looks at the last stable offsets that were told.
func (t *txns) checkStable() *Violation {
	for i := range t.h.Ends {
		e := &t.h.Ends[i]
		if v := t.stableAt(e.Partition, e.Offset, e.Span, "is told the last stable offset"); v != nil {
			return v
		}
	}
	for i := range t.h.Reads {
		r := &t.h.Reads[i]
		if v := t.stableAt(r.Partition, r.Stable, r.Span, "fetches and is told the last stable offset"); v != nil {
			return v
		}
		if r.Stable > r.HighWatermark || r.Next > max(r.Stable, r.Offset) {
			return inPartition(r.Partition, StableInside, "a fetch%s brought records up to offset %d, last stable offset %d, high watermark %d", r.span(), r.Next, r.Stable, r.HighWatermark)
		}
	}
	return t.checkStableForward()
}

// end is the offset after the last record.
func (l *TxnLog) end() int64 { return l.Start + int64(len(l.Records)) }

// isStable says that the last stable offset was once at a place of the log.
func (l *txnLog) isStable(at int64) bool {
	last := l.lastEnd[at]
	return int64(last) < at || at < int64(len(l.ends)) && l.ends[at] > last
}

// stableAt demands that an offset was the last stable one at some time, and that commits below it were asked for before it was told.
func (t *txns) stableAt(partition string, offset int64, s Span, what string) *Violation {
	l := t.logs[partition]
	if l == nil || offset < l.Start || offset > l.end() {
		return nil
	}
	at := offset - l.Start
	if !l.isStable(at) {
		return inPartition(partition, StableInside, "client %d %s %d%s, but a transaction that begins below it ends at offset %d, and none begins there that was open then",
			s.Client, what, offset, s.span(), l.Start+int64(l.lastEnd[at]))
	}
	if d := l.decided[at]; d.at > s.Return {
		return inPartition(partition, PrecommittedRead, "client %d %s %d%s, beyond records of %s", s.Client, what, offset, s.span(), t.name(int(d.txn)))
	}
	return nil
}

// checkStableForward demands that what ListOffsets says is never below what it said before, and what fetches say within one leader
// epoch.
func (t *txns) checkStableForward() *Violation {
	type key struct {
		partition string
		epoch     int32
	}
	lists := map[key][]timed{}
	var keys []key
	add := func(k key, op timed) {
		if lists[k] == nil {
			keys = append(keys, k)
		}
		lists[k] = append(lists[k], op)
	}
	for i := range t.h.Ends {
		e := &t.h.Ends[i]
		add(key{e.Partition, -1}, timed{e.Offset, e.Call, e.Return, CallID{KindEnd, i}})
	}
	for i := range t.h.Reads {
		if r := &t.h.Reads[i]; r.LeaderEpoch >= 0 {
			add(key{r.Partition, r.LeaderEpoch}, timed{r.Stable, r.Call, r.Return, CallID{KindFetch, i}})
		}
	}
	for _, k := range keys {
		if lower, higher, ok := sweep(lists[k]); !ok {
			v := inPartition(k.partition, StableBack, "the last stable offset was %d at %s and %d in an answer to what was asked at %s", higher.position, seconds(higher.returned), lower.position, seconds(lower.call))
			v.Witnesses = []CallID{higher.id, lower.id}
			return v
		}
	}
	return nil
}

// checkReads demands that a reader got exactly what is committed where it read.
func (t *txns) checkReads() *Violation {
	for i := range t.h.Reads {
		r := &t.h.Reads[i]
		if l := t.logs[r.Partition]; l != nil {
			if v := t.checkRead(l, r); v != nil {
				v.Partition = r.Partition
				return v
			}
		}
	}
	return nil
}

func (t *txns) checkRead(l *txnLog, r *CommittedRead) *Violation {
	got := r.Records
	for offset := max(r.Offset, l.Start); offset < min(r.Next, l.end()); offset++ {
		for len(got) > 0 && got[0].Offset < offset {
			got = got[1:]
		}
		have := len(got) > 0 && got[0].Offset == offset
		log, f := &l.Records[offset-l.Start], l.fates[offset-l.Start]
		switch {
		case log.Marker && have:
			return violation(BadHistory, nil, "a marker, at offset %d, counts as a record", offset)
		case log.Marker:
		case have && got[0].Value != log.Value:
			return violation(OneRecordAtOffset, nil, "a fetch from offset %d%s brought record %d at offset %d, which holds record %d", r.Offset, r.span(), got[0].Value, offset, log.Value)
		case have && f == fateAborted:
			return violation(AbortedRead, nil, "a fetch from offset %d%s brought record %d at offset %d, which is of %s, aborted", r.Offset, r.span(), log.Value, offset, t.owner(log.Value))
		case !have && f == fateCommitted && !t.superseded(l, offset-l.Start, r.Return):
			return violation(CommittedSkipped, nil, "a fetch from offset %d to %d%s didn't bring record %d at offset %d, which is of %s, committed", r.Offset, r.Next, r.span(), log.Value, offset, t.owner(log.Value))
		}
	}
	return nil
}

// owner describes who sent a record.
func (t *txns) owner(value RecordID) string {
	if s, ok := t.sends[value]; ok {
		return t.name(int(s.txn))
	}
	return "no transaction"
}

func inPartition(partition, check, format string, args ...any) *Violation {
	v := violation(check, nil, format, args...)
	v.Partition = partition
	return v
}
