// SPDX-License-Identifier: Apache-2.0

package checker

// openTxn is a transaction of a producer that is open at a place in a log.
type openTxn struct {
	places []int32 // its records
	txn    int32   // of the history; -1: of none
	first  int64   // offset of the first
}

// logPass goes over one log, once.
type logPass struct {
	t      *txns
	l      *txnLog
	open   map[int64]*openTxn // by producer
	epochs map[int64]int16    // the newest seen
	ended  map[int64]bool     // a marker of the producer was seen
}

// readLogs works out the fate of each record.
func (t *txns) readLogs() *Violation {
	for i := range t.h.Logs {
		in := &t.h.Logs[i]
		l := &txnLog{TxnLog: in, fates: make([]fate, len(in.Records)), ends: make([]int32, len(in.Records)), lastEnd: make([]int32, len(in.Records)+1), decided: make([]decision, len(in.Records)+1)}
		t.logs[in.Partition] = l
		p := &logPass{t: t, l: l, open: map[int64]*openTxn{}, epochs: map[int64]int16{}, ended: map[int64]bool{}}
		if v := p.run(); v != nil {
			v.Partition = in.Partition
			return v
		}
		t.decisions(l)
		if in.Keys != nil {
			l.findNewer()
		}
	}
	return nil
}

// findNewer finds what takes the place of each record when the log is compacted.
func (l *txnLog) findNewer() {
	l.newer = make([]int32, len(l.Records))
	next := map[int]int32{}
	for at := len(l.Records) - 1; at >= 0; at-- {
		l.newer[at] = -1
		if l.Records[at].Marker {
			continue
		}
		if newer, ok := next[l.Keys[at]]; ok {
			l.newer[at] = newer
		}
		if l.fates[at] == fateCommitted {
			next[l.Keys[at]] = int32(at)
		}
	}
}

// superseded says that compaction may have dropped a committed record by some time: another one of its key was committed by then.
func (t *txns) superseded(l *txnLog, at, by int64) bool {
	if l.newer == nil {
		return false
	}
	for q := l.newer[at]; q >= 0; q = l.newer[q] {
		s, ok := t.sends[l.Records[q].Value]
		if !ok || t.h.Txns[s.txn].Asked <= by {
			return true
		}
	}
	return false
}

// AbortedRecords lists the records of aborted transactions, as the final logs say.
func AbortedRecords(h *Transactions) (map[RecordID]bool, *Violation) {
	t := newTxns(h)
	for _, step := range []func() *Violation{t.index, t.readLogs} {
		if v := step(); v != nil {
			return nil, v
		}
	}
	aborted := map[RecordID]bool{}
	for i := range h.Logs {
		l := t.logs[h.Logs[i].Partition]
		for at, f := range l.fates {
			if r := &l.Records[at]; f == fateAborted && !r.Marker {
				aborted[r.Value] = true
			}
		}
	}
	return aborted, nil
}

func (p *logPass) run() *Violation {
	for at := range p.l.Records {
		p.l.ends[at] = -1
		r := &p.l.Records[at]
		var bad *Violation
		switch {
		case r.Producer < 0:
			p.l.fates[at] = fateCommitted
		case r.Epoch < p.epochs[r.Producer]:
			return violation(FencedSeen, nil, "offset %d holds something of producer %d in epoch %d, after epoch %d", p.offset(at), r.Producer, r.Epoch, p.epochs[r.Producer])
		default:
			p.epochs[r.Producer] = r.Epoch
			if r.Marker {
				bad = p.marker(at, r)
			} else {
				bad = p.record(at, r)
			}
		}
		if bad != nil {
			return bad
		}
	}
	hanging := never
	//det:ok the smallest
	for _, o := range p.open {
		hanging = min(hanging, o.first)
	}
	if hanging != never {
		r := &p.l.Records[hanging-p.l.Start]
		return violation(Hanging, nil, "the transaction of producer %d.%d that begins at offset %d never ends", r.Producer, r.Epoch, hanging)
	}
	return nil
}

func (p *logPass) offset(at int) int64 { return p.l.Start + int64(at) }

// record takes a record of a producer.
func (p *logPass) record(at int, r *TxnRecord) *Violation {
	o := p.open[r.Producer]
	if !r.Transactional {
		p.l.fates[at] = fateCommitted
		if o != nil {
			return violation(TransactionsMixed, nil, "offset %d holds a record outside of transactions of producer %d, whose transaction from offset %d on is open", p.offset(at), r.Producer, o.first)
		}
		return nil
	}
	txn := int32(-1)
	if s, ok := p.t.sends[r.Value]; ok {
		txn = s.txn
	}
	switch {
	case o == nil:
		p.open[r.Producer] = &openTxn{places: []int32{int32(at)}, txn: txn, first: p.offset(at)}
	case o.txn != txn:
		return violation(TransactionsMixed, nil, "offset %d holds record %d of %s, but the transaction of its producer from offset %d on, which is open, is %s",
			p.offset(at), r.Value, p.name(txn), o.first, p.name(o.txn))
	default:
		o.places = append(o.places, int32(at))
	}
	return nil
}

func (p *logPass) name(txn int32) string {
	if txn < 0 {
		return "a transaction that nobody made"
	}
	return p.t.name(int(txn))
}

// marker takes the end of a transaction.
func (p *logPass) marker(at int, r *TxnRecord) *Violation {
	o := p.open[r.Producer]
	if o == nil {
		if p.l.Start == 0 || p.ended[r.Producer] {
			return violation(MarkerAlone, nil, "offset %d holds a marker of producer %d.%d, which has no transaction there", p.offset(at), r.Producer, r.Epoch)
		}
		p.ended[r.Producer] = true // it may end what is gone
		return nil
	}
	f := fateAborted
	if r.Commit {
		f = fateCommitted
	}
	p.l.ends[o.places[0]] = int32(at)
	for _, place := range o.places {
		p.l.fates[place] = f
		if s, ok := p.t.sends[p.l.Records[place].Value]; ok {
			p.t.sendFates[s.txn][s.send] = f
		}
	}
	delete(p.open, r.Producer)
	p.ended[r.Producer] = true
	return nil
}

// decisions notes for each offset what was decided last of the transactions below.
func (t *txns) decisions(l *txnLog) {
	last := decision{txn: -1}
	l.lastEnd[0] = -1
	for at := range l.Records {
		if s, ok := t.sends[l.Records[at].Value]; ok && l.fates[at] == fateCommitted && !l.Records[at].Marker {
			if x := &t.h.Txns[s.txn]; x.Asked > last.at {
				last = decision{x.Asked, s.txn}
			}
		}
		l.decided[at+1], l.lastEnd[at+1] = last, max(l.lastEnd[at], l.ends[at])
	}
}
