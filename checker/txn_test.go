// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func txnRec(value RecordID, producer int64, epoch int16) TxnRecord {
	return TxnRecord{Value: value, Producer: producer, Epoch: epoch, Transactional: true}
}

func txnMark(producer int64, epoch int16, commit bool) TxnRecord {
	return TxnRecord{Producer: producer, Epoch: epoch, Marker: true, Transactional: true, Commit: commit}
}

func txnBy(client, from, to int64) Span {
	return Span{Client: client, Call: from * ms, Return: to * ms}
}

func txnSend(partition string, value RecordID, call int64) Send {
	return Send{Partition: partition, Value: value, Call: call * ms, Outcome: OK}
}

func txnOutput(value RecordID, call, input int64) Send {
	s := txnSend("b/0", value, call)
	s.Input = &Input{"g", "a/0", input}
	return s
}

// rightTxns is a right history, by hand. Producer 1 commits transaction 0 (records 1, 2 and 4) and transaction 2 (record 6), producer 2
// aborts transaction 1 (record 3). Process 3 is a chain that makes records 7 and 8 in b/0 of the first two records of a/0, and record 9 of the
// rest; then process 4 takes its place, while it is about to make record 10.
func rightTxns() *Transactions {
	return &Transactions{
		Grants: []Grant{
			{txnBy(1, 0, 1), "one", 1, 0, true},
			{txnBy(2, 0, 2), "two", 2, 0, true},
			{txnBy(3, 0, 3), "three", 3, 0, true},
			{txnBy(1, 30, 35), "one", 1, 1, false},
			{txnBy(4, 250, 260), "three", 3, 3, true},
		},
		Txns: []Txn{
			{Span: txnBy(1, 10, 35), TxnID: "one", Producer: 1, Epoch: 0, Asked: 30 * ms, Commit: true, Outcome: OK, Sends: []Send{txnSend("a/0", 1, 10), txnSend("a/0", 2, 12), txnSend("b/0", 4, 14)}},
			{Span: txnBy(2, 40, 55), TxnID: "two", Producer: 2, Epoch: 0, Asked: 50 * ms, Outcome: OK, Sends: []Send{txnSend("a/0", 3, 40)}},
			{Span: txnBy(1, 60, 75), TxnID: "one", Producer: 1, Epoch: 1, Asked: 70 * ms, Commit: true, Outcome: OK, Sends: []Send{txnSend("a/0", 6, 60)}},
			{
				Span: txnBy(3, 100, 125), TxnID: "three", Producer: 3, Epoch: 0, Asked: 120 * ms, Commit: true, Outcome: OK, Sends: []Send{txnOutput(7, 100, 0), txnOutput(8, 101, 1)},
				Offsets: []TxnOffset{{"g", "a/0", 3, 1}},
			},
			{
				Span: txnBy(3, 150, 185), TxnID: "three", Producer: 3, Epoch: 1, Asked: 180 * ms, Commit: true, Outcome: Unknown, Sends: []Send{txnOutput(9, 150, 5), txnOutput(11, 151, 6)},
				Offsets: []TxnOffset{{"g", "a/0", 8, 2}},
			},
			{
				Span: txnBy(3, 240, 300), TxnID: "three", Producer: 3, Epoch: 2, Asked: 280 * ms, Commit: true, Outcome: Failed, Sends: []Send{txnOutput(10, 240, 8)},
				Offsets: []TxnOffset{{"g", "a/0", 9, 3}},
			},
		},
		Reads: []CommittedRead{
			{Span: txnBy(9, 20, 22), Partition: "a/0", LeaderEpoch: 1, HighWatermark: 2},
			{Span: txnBy(9, 37, 38), Partition: "a/0", Next: 3, Records: []Record{{Offset: 0, Value: 1}, {Offset: 1, Value: 2}}, LeaderEpoch: 1, Stable: 3, HighWatermark: 3},
			{Span: txnBy(9, 42, 43), Partition: "a/0", Offset: 3, Next: 3, LeaderEpoch: 1, Stable: 3, HighWatermark: 4},
			{Span: txnBy(9, 80, 81), Partition: "a/0", Offset: 3, Next: 8, Records: []Record{{Offset: 5, Value: 5}, {Offset: 6, Value: 6}}, LeaderEpoch: 2, Stable: 8, HighWatermark: 8},
			{Span: txnBy(9, 320, 321), Partition: "b/0", Offset: 0, Next: 10, Records: []Record{{Offset: 0, Value: 4}, {Offset: 2, Value: 7}, {Offset: 3, Value: 8}, {Offset: 5, Value: 9}, {Offset: 6, Value: 11}}, LeaderEpoch: 1, Stable: 10, HighWatermark: 10},
		},
		Ends: []StableEnd{{txnBy(8, 5, 25), "a/0", 0}, {txnBy(8, 26, 41), "a/0", 3}, {txnBy(8, 76, 77), "a/0", 8}},
		OffsetReads: []TxnOffsetRead{
			{txnBy(7, 110, 111), "g", "a/0", -1, 0, false},
			{txnBy(3, 140, 141), "g", "a/0", 3, 1, true},
			{txnBy(4, 265, 270), "g", "a/0", 8, 2, true},
			{txnBy(7, 400, 401), "g", "a/0", 8, 2, true},
		},
		Logs: []TxnLog{
			{Partition: "a/0", Records: []TxnRecord{txnRec(1, 1, 0), txnRec(2, 1, 0), txnMark(1, 1, true), txnRec(3, 2, 0), txnMark(2, 1, false), {Value: 5, Producer: -1}, txnRec(6, 1, 1), txnMark(1, 2, true)}},
			{Partition: "b/0", Records: []TxnRecord{txnRec(4, 1, 0), txnMark(1, 1, true), txnRec(7, 3, 0), txnRec(8, 3, 0), txnMark(3, 1, true), txnRec(9, 3, 1), txnRec(11, 3, 1), txnMark(3, 2, true), txnRec(10, 3, 2), txnMark(3, 3, false)}},
		},
	}
}

func TestRightTransactions(t *testing.T) {
	if v := CheckTransactions(rightTxns()); v != nil {
		t.Error(v)
	}
}

var txnCorruptions = map[string]struct {
	corrupt func(*Transactions)
	want    string
}{
	"one partition aborts":                {func(h *Transactions) { h.Logs[1].Records[1].Commit = false }, TornTransaction},
	"all partitions abort":                {func(h *Transactions) { h.Logs[0].Records[7].Commit = false }, AbortedByItself},
	"an aborted one commits":              {func(h *Transactions) { h.Logs[0].Records[4].Commit = true }, CommittedUnasked},
	"what was refused commits":            {func(h *Transactions) { h.Logs[1].Records[9].Commit = true }, CommittedUnasked},
	"one whose end nobody asked for":      {func(h *Transactions) { h.Txns[2].Asked = 0 }, CommittedUnasked},
	"an acknowledged record is missing":   {func(h *Transactions) { h.Txns[0].Sends = append(h.Txns[0].Sends, Send{"b/0", 77, 1, OK, nil}) }, CommittedLost},
	"a marker is missing":                 {func(h *Transactions) { h.Logs[1].Records = h.Logs[1].Records[:9] }, Hanging},
	"a marker is there twice":             {func(h *Transactions) { h.Logs[0].Records = append(h.Logs[0].Records, h.Logs[0].Records[7]) }, MarkerAlone},
	"a marker is missing between two":     {func(h *Transactions) { h.Logs[1].Records = slices.Delete(h.Logs[1].Records, 7, 8) }, TransactionsMixed},
	"a record outside of its transaction": {func(h *Transactions) { h.Logs[0].Records[1].Transactional = false }, TransactionsMixed},
	"a record comes after its marker":     {func(h *Transactions) { r := h.Logs[0].Records; r[1], r[2] = r[2], r[1] }, FencedSeen},
	"an aborted record is read": {func(h *Transactions) {
		h.Reads[3].Records = slices.Insert(h.Reads[3].Records, 0, Record{Offset: 3, Value: 3})
	}, AbortedRead},
	"a committed record is left out":        {func(h *Transactions) { h.Reads[3].Records = h.Reads[3].Records[:1] }, CommittedSkipped},
	"another record is read":                {func(h *Transactions) { h.Reads[3].Records[0].Value = 6 }, OneRecordAtOffset},
	"read before the commit":                {func(h *Transactions) { h.Reads[1].Call, h.Reads[1].Return = 24*ms, 29*ms }, PrecommittedRead},
	"an end is told before the commit":      {func(h *Transactions) { h.Ends[0].Offset = 3 }, PrecommittedRead},
	"an end inside of a transaction":        {func(h *Transactions) { h.Ends[1].Offset = 4 }, StableInside},
	"a fetch sees a part":                   {func(h *Transactions) { h.Reads[3].Stable = 7 }, StableInside},
	"a fetch goes beyond the stable offset": {func(h *Transactions) { h.Reads[2].Next = 4 }, StableInside},
	"stable beyond the high watermark":      {func(h *Transactions) { h.Reads[1].HighWatermark = 2 }, StableInside},
	"the stable offset falls": {func(h *Transactions) {
		h.Ends[2].Offset = 3
		h.Ends[1].Offset = 8
		h.Txns[2].Asked = 1
		h.Txns[0].Asked = 1
	}, StableBack},
	"it falls within one epoch": {func(h *Transactions) { h.Reads[2].Stable, h.Reads[2].Offset = 0, 0; h.Reads[2].Next = 0 }, StableBack},
	"an epoch is given twice":   {func(h *Transactions) { h.Grants[4].Epoch = 0 }, EpochBack},
	"an epoch goes back":        {func(h *Transactions) { h.Grants[2].Epoch = 9 }, EpochBack},
	"a fenced transaction commits": {func(h *Transactions) {
		h.Txns[4].Asked = 270 * ms
		h.Txns[4].Return = 300 * ms
		h.Grants[4].Call, h.OffsetReads[2].Return = 160*ms, 280*ms
	}, FencedSeen},
	"a fenced producer's record":       {func(h *Transactions) { h.Txns[5].Sends[0].Call = 270 * ms }, FencedSeen},
	"an older epoch after a newer one": {func(h *Transactions) { h.Logs[1].Records[8].Epoch = 1 }, FencedSeen},
	"an aborted offset is read": {func(h *Transactions) {
		h.OffsetReads[3].Offset, h.OffsetReads[3].ID = 9, 3
	}, OffsetsTorn},
	"an offset of nobody":         {func(h *Transactions) { h.OffsetReads[3].ID = 5 }, OffsetsTorn},
	"an offset is read too early": {func(h *Transactions) { h.OffsetReads[0].Offset, h.OffsetReads[0].ID = 3, 1 }, PrecommittedRead},
	"an offset isn't there":       {func(h *Transactions) { h.OffsetReads[1].Offset, h.OffsetReads[1].ID = -1, 0 }, OffsetsTorn},
	"an offset falls":             {func(h *Transactions) { h.OffsetReads[3].Offset, h.OffsetReads[3].ID = 3, 1 }, TxnOffsetBack},
	"a chain commits an older offset": {func(h *Transactions) {
		h.Txns[4].Outcome, h.Txns[4].Offsets[0].Offset = OK, 2
		h.OffsetReads = h.OffsetReads[:2]
	}, TxnOffsetBack},
	"the offset of an output is lost": {func(h *Transactions) {
		h.OffsetReads = h.OffsetReads[:2]
		h.OffsetReads[1].Call, h.OffsetReads[1].Return = 400*ms, 401*ms
	}, OffsetsTorn},
	"an input is processed twice":   {func(h *Transactions) { h.Txns[4].Sends[0].Input.Offset = 1 }, InputTwice},
	"an input has no output":        {func(h *Transactions) { h.Txns[4].Sends[1].Input = nil }, InputLost},
	"an aborted input is processed": {func(h *Transactions) { h.Txns[4].Sends[0].Input.Offset = 3 }, AbortedRead},
	"a record is sent twice":        {func(h *Transactions) { h.Txns[5].Sends[0].Value = 9 }, BadHistory},
	"a marker takes a record's place": {func(h *Transactions) {
		h.Reads[3].Records = slices.Insert(h.Reads[3].Records, 0, Record{Offset: 4, Value: 4})
	}, BadHistory},
	"a transaction ends in two places": {func(h *Transactions) {
		h.Logs[1].Records[4].Commit = false
		h.Logs[1].Records[3] = TxnRecord{Value: 8, Producer: -1}
	}, AbortedByItself},
}

// TestCorruptedTransactions corrupts a right history, and demands the right complaint.
func TestCorruptedTransactions(t *testing.T) {
	for name, c := range txnCorruptions {
		h := rightTxns()
		c.corrupt(h)
		expect(t, name, CheckTransactions(h), c.want)
	}
}

// What was deleted from the start of a log is missed by nobody.
func TestTrimmedTransactions(t *testing.T) {
	h := rightTxns()
	h.Logs[0].Start, h.Logs[0].Records = 2, h.Logs[0].Records[2:]
	h.Logs[1].Start, h.Logs[1].Records = 4, h.Logs[1].Records[4:]
	if v := CheckTransactions(h); v != nil {
		t.Error(v)
	}
}

// txnModel makes up what clients of a right cluster see: transactions of several producers over two partitions, markers that come
// late and in any order, processes that die, and a chain.
type txnModel struct {
	rng   *rand.Rand
	now   int64
	h     Transactions
	logs  [2]*TxnLog
	open  [2]map[int64]int64 // by producer: where its transaction begins
	procs []*txnProcess
	next  RecordID

	offset, pending TxnOffset // of the chain, in the middle of a/0
}

type txnProcess struct {
	id      int
	client  int64
	epoch   int16
	txn     int // -1: none
	markers []int
	commit  bool
	ended   bool // decided; markers are to come
	used    [2]bool
	offset  bool
}

func newTxnModel(seed uint64, steps int) *txnModel {
	m := &txnModel{rng: rand.New(rand.NewPCG(seed, 7)), offset: TxnOffset{Offset: -1}}
	for i := range m.logs {
		m.logs[i], m.open[i] = &TxnLog{Partition: fmt.Sprintf("p/%d", i)}, map[int64]int64{}
	}
	for i := range 3 {
		m.procs = append(m.procs, &txnProcess{id: i, txn: -1, epoch: -1})
		m.begin(m.procs[i])
	}
	for range steps {
		m.step()
	}
	for _, p := range m.procs {
		m.finish(p)
	}
	for i, l := range m.logs {
		m.read(i, 0)
		m.h.Logs = append(m.h.Logs, *l)
	}
	m.readOffset()
	return m
}

func (m *txnModel) span(client int64) Span {
	m.now += 10
	return Span{Client: client, Call: m.now - 1 - m.rng.Int64N(3), Return: m.now + 1 + m.rng.Int64N(3)}
}

// begin starts a process, which ends what the one before it left.
func (m *txnModel) begin(p *txnProcess) {
	m.finish(p)
	p.client = int64(len(m.h.Grants)) + 100
	p.epoch++
	m.h.Grants = append(m.h.Grants, Grant{m.span(p.client), fmt.Sprint(p.id), int64(p.id), p.epoch, true})
}

// finish ends a process's transaction wherever it is.
func (m *txnModel) finish(p *txnProcess) {
	if p.txn >= 0 && !p.ended {
		m.end(p, false)
	}
	for p.txn >= 0 {
		m.mark(p)
	}
}

func (m *txnModel) end(p *txnProcess, commit bool) {
	p.ended, p.commit = true, commit
	p.epoch++
	for i, used := range p.used {
		if used {
			p.markers = append(p.markers, i)
		}
	}
	if p.offset {
		p.markers = append(p.markers, 2)
	}
	m.rng.Shuffle(len(p.markers), func(i, j int) { p.markers[i], p.markers[j] = p.markers[j], p.markers[i] })
	p.used, p.offset = [2]bool{}, false
}

// mark brings the end of a transaction to one place.
func (m *txnModel) mark(p *txnProcess) {
	if len(p.markers) == 0 {
		p.txn, p.ended = -1, false
		return
	}
	at := p.markers[0]
	p.markers = p.markers[1:]
	if at == 2 {
		if p.commit {
			m.offset = m.pending
		}
		return
	}
	delete(m.open[at], int64(p.id))
	m.logs[at].Records = append(m.logs[at].Records, TxnRecord{Producer: int64(p.id), Epoch: p.epoch, Marker: true, Transactional: true, Commit: p.commit})
}

func (m *txnModel) stable(at int) int64 {
	end := m.logs[at].end()
	for _, first := range m.open[at] {
		end = min(end, first)
	}
	return end
}

func (m *txnModel) step() {
	p := m.procs[m.rng.IntN(len(m.procs))]
	switch n := m.rng.IntN(20); {
	case n < 2:
		m.begin(p)
	case n < 4:
		m.read(m.rng.IntN(2), m.rng.Int64N(m.logs[0].end()+1))
	case n < 5:
		at := m.rng.IntN(2)
		m.h.Ends = append(m.h.Ends, StableEnd{m.span(50), m.logs[at].Partition, m.stable(at)})
	case n < 6:
		m.readOffset()
	case p.ended:
		m.mark(p)
	case n < 9 && p.txn >= 0:
		x := &m.h.Txns[p.txn]
		s := m.span(p.client)
		x.Asked, x.Return, x.Commit, x.Outcome = s.Call, s.Return, m.rng.IntN(3) > 0, OK
		m.end(p, x.Commit)
	default:
		m.send(p)
	}
}

// send sends a record; process 0 is the chain.
func (m *txnModel) send(p *txnProcess) {
	at := m.rng.IntN(2)
	var input *Input
	if p.id == 0 {
		at = 1
		i := max(m.offset.Offset, 0)
		if p.txn >= 0 {
			i = m.pending.Offset
		}
		committed := m.committed(0, m.stable(0))
		for i < m.stable(0) && !committed[i] {
			i++
		}
		if i == m.stable(0) {
			return
		}
		input = &Input{"g", m.logs[0].Partition, i}
	}
	if p.txn < 0 {
		p.txn = len(m.h.Txns)
		m.h.Txns = append(m.h.Txns, Txn{Span: m.span(p.client), TxnID: fmt.Sprint(p.id), Producer: int64(p.id), Epoch: p.epoch, Outcome: Unknown})
	}
	x := &m.h.Txns[p.txn]
	m.next++
	x.Sends = append(x.Sends, Send{m.logs[at].Partition, m.next, m.now + 1, OK, input})
	if _, ok := m.open[at][int64(p.id)]; !ok {
		m.open[at][int64(p.id)] = m.logs[at].end()
	}
	p.used[at] = true
	m.logs[at].Records = append(m.logs[at].Records, TxnRecord{Value: m.next, Producer: int64(p.id), Epoch: p.epoch, Transactional: true})
	m.now += 3
	if input != nil {
		m.pending = TxnOffset{"g", input.Partition, input.Offset + 1, int64(m.next)}
		x.Offsets, p.offset = []TxnOffset{m.pending}, true
	}
}

// committed says which records below an end are committed.
func (m *txnModel) committed(at int, end int64) []bool {
	list := make([]bool, m.logs[at].end())
	of := map[int64][]int64{}
	for i, r := range m.logs[at].Records {
		if !r.Marker {
			of[r.Producer] = append(of[r.Producer], int64(i))
			continue
		}
		for _, o := range of[r.Producer] {
			list[o] = r.Commit
		}
		of[r.Producer] = nil
	}
	return list[:end]
}

func (m *txnModel) read(at int, from int64) {
	l := m.logs[at]
	r := CommittedRead{Span: m.span(51), Partition: l.Partition, Offset: from, Next: from, LeaderEpoch: 1, Stable: m.stable(at), HighWatermark: l.end()}
	committed := m.committed(at, r.Stable)
	for ; r.Next < r.Stable; r.Next++ {
		if rec := l.Records[r.Next]; committed[r.Next] {
			r.Records = append(r.Records, Record{Offset: r.Next, Value: rec.Value})
		}
	}
	m.h.Reads = append(m.h.Reads, r)
}

func (m *txnModel) readOffset() {
	stable := !m.procs[0].offset && !slices.Contains(m.procs[0].markers, 2)
	m.h.OffsetReads = append(m.h.OffsetReads, TxnOffsetRead{m.span(52), "g", m.logs[0].Partition, m.offset.Offset, m.offset.ID, stable})
}

func TestRightTransactionsAtRandom(t *testing.T) {
	committed := 0
	for seed := range uint64(300) {
		m := newTxnModel(seed, 200)
		if v := CheckTransactions(&m.h); v != nil {
			t.Fatalf("seed %d: %v", seed, v)
		}
		for _, x := range m.h.Txns {
			if x.Commit && len(x.Offsets) > 0 {
				committed++
			}
		}
	}
	if committed < 300 {
		t.Errorf("only %d transactions of chains were committed", committed)
	}
}

// TestDamagedTransactionsAtRandom damages a marker, a read or an offset of a right history. Nearly all of that must be seen.
func TestDamagedTransactionsAtRandom(t *testing.T) {
	damaged, seen := 0, 0
	for seed := range uint64(300) {
		m := newTxnModel(seed, 200)
		h, rng := &m.h, m.rng
		switch rng.IntN(4) {
		case 0:
			l := &h.Logs[rng.IntN(2)]
			i := slices.IndexFunc(l.Records, func(r TxnRecord) bool { return r.Marker && r.Commit })
			if i < 0 {
				continue
			}
			l.Records[i].Commit = false
		case 1:
			r := pick(rng, h.Reads)
			if len(r.Records) == 0 {
				continue
			}
			r.Records = slices.Delete(r.Records, 0, 1)
		case 2:
			r := pick(rng, h.Reads)
			r.Stable--
			if r.Next <= r.Stable || r.Stable < 0 {
				continue
			}
		case 3:
			r := pick(rng, h.OffsetReads)
			if r.Offset < 0 {
				continue
			}
			r.Offset++
		}
		damaged++
		if CheckTransactions(h) != nil {
			seen++
		}
	}
	if damaged < 150 || seen < damaged*9/10 {
		t.Errorf("%d of %d damaged histories were seen to be", seen, damaged)
	}
}

func TestTransactionsText(t *testing.T) {
	h := &Histories{Txns: *rightTxns()}
	var text strings.Builder
	if err := h.Write(&text); err != nil {
		t.Fatal(err)
	}
	back, err := Read(strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	if v := CheckTransactions(&back.Txns); v != nil {
		t.Error(v)
	}
	var again strings.Builder
	if back.Write(&again); again.String() != text.String() || len(back.Txns.Txns) != 6 {
		t.Errorf("%s\nis read as\n%s", text.String(), again.String())
	}
}

func TestMarkersInPartition(t *testing.T) {
	marked := func() (*History, *Truth) {
		s := &script{}
		s.fetch(10, 20, 0, 3, 1, 9, 2)
		s.h.Fetches[0].Records[1].Marker = true
		s.is(1, 9, 2)
		s.truth.Records[1].Marker = true
		h := s.h
		h.Produces = []Produce{
			{Span: Span{1, 1, 2}, Outcome: OK, Values: []RecordID{1}, BaseOffset: 0},
			{Span: Span{1, 3, 4}, Outcome: OK, Values: []RecordID{2}, BaseOffset: 2},
		}
		return &h, s.truth
	}
	h, truth := marked()
	if v := CheckPartition(h, truth, LogOptions{}); v != nil {
		t.Error(v)
	}
	h.Produces[1].BaseOffset = 1
	expect(t, "a marker where a record was acknowledged", CheckPartition(h, truth, LogOptions{}), AckedLost)
	h, truth = marked()
	h.Fetches[0].Records[1].Marker = false
	expect(t, "a marker is read as a record", CheckPartition(h, truth, LogOptions{}), OneRecordAtOffset)
}

// TestCompactedTransactions reads a log of one key in which record 3 was aborted, and 1 and 5 are committed.
func TestCompactedTransactions(t *testing.T) {
	history := func(from, to int64, records ...Record) *Transactions {
		return &Transactions{
			Txns: []Txn{
				{Span: txnBy(1, 10, 35), TxnID: "one", Producer: 1, Asked: 30 * ms, Commit: true, Outcome: OK, Sends: []Send{txnSend("a/0", 1, 10)}},
				{Span: txnBy(2, 40, 55), TxnID: "two", Producer: 2, Asked: 50 * ms, Outcome: OK, Sends: []Send{txnSend("a/0", 3, 40)}},
				{Span: txnBy(1, 60, 75), TxnID: "one", Producer: 1, Epoch: 1, Asked: 70 * ms, Commit: true, Outcome: OK, Sends: []Send{txnSend("a/0", 5, 60)}},
			},
			Reads: []CommittedRead{{Span: txnBy(9, from, to), Partition: "a/0", Next: 6, Records: records, LeaderEpoch: 1, Stable: 6, HighWatermark: 6}},
			Logs: []TxnLog{{
				Partition: "a/0", Keys: []int{7, -1, 7, -1, 7, -1},
				Records: []TxnRecord{txnRec(1, 1, 0), txnMark(1, 0, true), txnRec(3, 2, 0), txnMark(2, 0, false), txnRec(5, 1, 1), txnMark(1, 1, true)},
			}},
		}
	}
	for _, c := range []struct {
		name string
		h    *Transactions
		want string
	}{
		{"all is there", history(80, 81, Record{Offset: 0, Value: 1}, Record{Offset: 4, Value: 5}), ""},
		{"the newest is there", history(80, 81, Record{Offset: 4, Value: 5}), ""},
		{"the newest is gone", history(80, 81, Record{Offset: 0, Value: 1}), CommittedSkipped},
		{"the older one is gone before a newer one is committed", history(60, 65), CommittedSkipped},
	} {
		if c.want == CommittedSkipped && len(c.h.Reads[0].Records) == 0 {
			c.h.Reads[0].Next, c.h.Reads[0].Stable = 4, 4
		}
		got := ""
		if bad := CheckTransactions(c.h); bad != nil {
			got = bad.Check
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	aborted, bad := AbortedRecords(history(80, 81))
	if bad != nil || len(aborted) != 1 || !aborted[3] {
		t.Errorf("aborted records %v, %v, want only 3", aborted, bad)
	}
	if _, bad := AbortedRecords(&Transactions{Logs: []TxnLog{{Partition: "a/0", Records: []TxnRecord{txnRec(1, 1, 0)}}}}); bad == nil || bad.Check != Hanging {
		t.Errorf("a transaction that never ends: %v", bad)
	}
}
