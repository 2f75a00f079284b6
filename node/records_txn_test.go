// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"

	"chronik/kafka"
)

// txnBatch is a batch of a transaction, of some records.
func txnBatch(producer int64, epoch int16, sequence int32, values ...string) []byte {
	var records []kafka.Record
	for _, v := range values {
		records = append(records, kafka.Record{Value: []byte(v)})
	}
	spec := kafka.NewBatchSpec(records...)
	spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence, spec.Attributes = producer, epoch, sequence, kafka.TransactionalFlag
	return kafka.AppendBatch(nil, spec)
}

// ledger is a partition's state to which entries are given by hand.
type ledger struct {
	t testing.TB
	records
	index uint64
}

func newLedger(t testing.TB) *ledger { return &ledger{t: t, records: newRecords()} }

// add applies an entry, and returns its offset, or its error's name, or what else became of it.
func (l *ledger) add(raw []byte) string {
	l.t.Helper()
	kafka.SetBaseOffset(raw, 1000+int64(l.index))
	l.index++
	o := l.apply(l.index, 1, raw, Time(l.index))
	if err := l.check(l.index); err != nil {
		l.t.Fatal(err)
	}
	switch v := o.verdict; {
	case v.err != nil:
		return kafka.CodeName(kafka.Code(v.err))
	case v.duplicate && o.marker:
		return "again"
	case v.duplicate:
		return fmt.Sprintf("again %d", v.offset)
	case o.marker && !o.ended:
		return "none open"
	default:
		return fmt.Sprint(v.offset)
	}
}

func (l *ledger) want(want string, raw []byte) {
	l.t.Helper()
	if got := l.add(raw); got != want {
		l.t.Errorf("entry %d: %q, want %q", l.index, got, want)
	}
}

func (l *ledger) wantStable(want int64) {
	l.t.Helper()
	if got := l.lastStable(); got != want {
		l.t.Errorf("after entry %d the last stable offset is %d, want %d", l.index, got, want)
	}
}

func mark(producer int64, epoch int16, commit bool, number uint64) []byte {
	m := txnMarker{producerID: producer, epoch: epoch, commit: commit, number: number}
	return m.entry(5)
}

// A transaction holds back the last stable offset until its marker comes, and only its own marker ends it.
func TestTransactionsOfAPartition(t *testing.T) {
	l := newLedger(t)
	l.want("0", plain("a"))
	l.wantStable(1)
	l.want("1", txnBatch(7, 0, 0, "b", "c"))
	l.want("3", plain("d"))
	l.wantStable(1)
	l.want("4", txnBatch(8, 3, 0, "e"))
	l.want("5", txnBatch(7, 0, 2, "f"))
	if !l.transactionOpen(7, 0) || l.transactionOpen(7, 1) || !l.transactionOpen(8, 3) || l.transactionOpen(9, 0) {
		t.Error("which transactions are open isn't known")
	}
	l.want("6", mark(7, 0, true, 10))
	l.wantStable(4)
	l.want("7", mark(8, 3, false, 11))
	l.wantStable(8)
	if fmt.Sprint(l.aborted) != "[{8 4 7}]" {
		t.Errorf("aborted: %+v", l.aborted)
	}
	l.want("again 5", txnBatch(7, 0, 2, "f")) // a retry is known for one after its transaction has ended
	l.want("8", txnBatch(7, 0, 3, "g"))       // the next transaction of the same epoch
	l.want("again", mark(7, 0, true, 10))     // and a late copy of the marker doesn't end it
	l.wantStable(8)
	l.want("9", mark(7, 0, true, 12))
	l.wantStable(10)
}

// A marker that begins a new epoch (KIP-890) refuses what is late of the old one, also where the producer wrote nothing.
func TestMarkersBeginEpochs(t *testing.T) {
	l := newLedger(t)
	l.want("0", txnBatch(7, 0, 0, "a"))
	l.want("1", mark(7, 1, true, 10))
	l.want("INVALID_PRODUCER_EPOCH", txnBatch(7, 0, 1, "late"))
	l.want("INVALID_PRODUCER_EPOCH", mark(7, 0, false, 20))
	l.want("OUT_OF_ORDER_SEQUENCE_NUMBER", txnBatch(7, 1, 1, "b"))
	l.want("2", txnBatch(7, 1, 0, "b"))
	l.want("3", mark(7, 2, false, 30))
	l.want("none open", mark(9, 4, true, 31))
	l.want("INVALID_PRODUCER_EPOCH", txnBatch(9, 3, 0, "late"))
	l.want("4", txnBatch(9, 4, 0, "c"))
	if w := l.producers.byID[9]; w.number != 31 || w.epoch != 4 {
		t.Errorf("the window has %+v", w)
	}
}

// While a transaction is open its producer writes nothing else, and begins no epoch.
func TestOpenTransactionExcludes(t *testing.T) {
	l := newLedger(t)
	l.want("0", txnBatch(7, 0, 0, "a"))
	l.want("INVALID_TXN_STATE", batch(7, 0, 1, "plain"))
	l.want("INVALID_TXN_STATE", txnBatch(7, 1, 0, "next epoch"))
	l.want("INVALID_TXN_STATE", batch(7, 1, 0, "next epoch"))
	l.want("again 0", txnBatch(7, 0, 0, "a"))
	l.want("1", batch(8, 0, 0, "another producer"))
	l.want("2", mark(7, 1, false, 5))
	l.want("3", batch(7, 1, 0, "plain"))
}

// What a client says for a coordinator is judged by the coordinator's epoch, as it has no number.
func TestMarkersOfClients(t *testing.T) {
	l := newLedger(t)
	of := func(coordinator int32) []byte {
		m := txnMarker{producerID: 7, coordinatorEpoch: coordinator}
		return m.entry(5)
	}
	l.want("0", txnBatch(7, 0, 0, "a"))
	l.want("1", of(3))
	l.want("TRANSACTION_COORDINATOR_FENCED", of(2))
	l.want("2", txnBatch(7, 0, 1, "b"))
	l.want("3", of(3))
	l.want("none open", of(3))
}

// What is silent is forgotten, but nobody whose transaction is open.
func TestOpenTransactionsAreNotForgotten(t *testing.T) {
	l := newLedger(t)
	l.want("0", txnBatch(7, 0, 0, "a"))
	l.want("1", batch(8, 0, 0, "b"))
	l.want("none open", mark(9, 0, true, 3))
	old := age{now: 1 << 60}
	cmd := l.silent(old, 1)
	if o := l.apply(99, 1, cmd, 0); o.named != 2 || o.forgotten != 2 || !slices.Equal(l.producers.ids(), []int64{7}) {
		t.Errorf("%+v, left are %v", o, l.producers.ids())
	}
	w := l.producers.byID[7]
	forge := binary.AppendVarint(binary.AppendVarint([]byte{commandForget, 1}, 7), w.at)
	if o := l.apply(100, 1, forge, 0); o.forgotten != 0 {
		t.Error("a producer with an open transaction is forgotten")
	}
	l.index = 100
	l.want("2", mark(7, 0, true, 4))
	if l.silent(old, 1) == nil {
		t.Error("it stays for ever")
	}
}

// A producer whose window a marker has changed isn't forgotten by a command that was made before.
func TestAMarkerCountsAsASignOfLife(t *testing.T) {
	l := newLedger(t)
	l.want("0", batch(7, 0, 0, "a"))
	cmd := l.silent(age{now: 1 << 60}, 1)
	l.want("none open", mark(7, 0, true, 3))
	if o := l.apply(2, 1, cmd, 0); o.forgotten != 0 {
		t.Error("it is forgotten")
	}
}

// The log's start takes with it what nobody can read, and holds the last stable offset up.
func TestLogStartPassesTransactions(t *testing.T) {
	l := newLedger(t)
	l.want("0", txnBatch(7, 0, 0, "a"))
	l.want("1", mark(7, 0, false, 1))
	l.want("2", txnBatch(8, 0, 0, "b"))
	l.want("3", txnBatch(7, 0, 1, "c"))
	l.want("4", mark(7, 0, false, 2))
	l.want("5", plain("d"))
	l.index++
	l.apply(l.index, 1, logStartCommand(4), 0)
	if fmt.Sprint(l.aborted) != "[{7 3 4}]" {
		t.Errorf("aborted: %+v", l.aborted)
	}
	l.wantStable(4)
	l.want("6", mark(8, 0, false, 3))
	l.wantStable(7)
	if a, ok := l.abortedAt(8, 2); !ok || a.first != 2 || a.last != 6 {
		t.Errorf("%+v", l.aborted)
	}
}

// The states of the release before, which knows no transactions, can be read.
func TestStateWithoutTransactions(t *testing.T) {
	old := []byte{
		4, 40, 0, 20, 0, // version 4, high watermark 20, log start, last append at 10, no leader epochs
		0,                         // no spans
		2,                         // producers
		10, 0, 14, 1, 0, 0, 20, 6, // producer 5, of 7 ms: one batch, sequence 0, at offset 10
		14, 2, 6, 2, 0, 0, 2, 0, 2, 2, 12, 0, // producer 7, epoch 1, of 10 ms: two batches
	}
	p := new(records)
	if err := p.restore([][]byte{old}, 0); err != nil {
		t.Fatal(err)
	}
	if err := p.check(0); err != nil {
		t.Fatal(err)
	}
	w := p.producers.byID[7]
	if w.at != 17 || w.began != -1 || w.coordinatorEpoch != -1 || p.lastStable() != 20 || p.unplaced != 0 {
		t.Errorf("%+v, last stable offset %d", w, p.lastStable())
	}
}

// model is what a partition should say, worked out from all entries that took effect.
type model struct {
	records []modelRecord
	epochs  map[int64]int16
	numbers map[int64]uint64
	next    map[int64]int32 // sequence
	open    map[int64]int64
	start   int64
}

type modelRecord struct {
	producer int64
	state    int // 0: open, 1: committed, 2: aborted, 3: a marker
	first    int64
}

func (m *model) stable() int64 {
	stable := int64(len(m.records))
	for _, first := range m.open {
		stable = min(stable, first)
	}
	return max(stable, m.start)
}

func (m *model) end(producer int64, commit bool) {
	first := m.open[producer]
	delete(m.open, producer)
	for i := range m.records {
		if r := &m.records[i]; r.producer == producer && r.state == 0 {
			r.state, r.first = 2-btoi(commit), first
		}
	}
	m.records = append(m.records, modelRecord{producer: producer, state: 3})
}

// The state agrees with a model that knows the whole history, whatever comes in whatever order, and also after it was
// written into checkpoints, in pieces between which more entries come, and read back.
func TestTransactionsAgainstAModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := newLedger(t)
		m := &model{epochs: make(map[int64]int16), numbers: make(map[int64]uint64), next: make(map[int64]int32), open: make(map[int64]int64)}
		var states [][]byte
		taken, number := uint64(0), uint64(0)
		for range rapid.IntRange(1, 120).Draw(rt, "steps") {
			switch rapid.IntRange(0, 10).Draw(rt, "what") {
			case 10: // the log's start moves
				m.start = rapid.Int64Range(m.start, int64(len(m.records))).Draw(rt, "start")
				l.index++
				l.apply(l.index, 1, logStartCommand(m.start), 0)
			case 0, 1, 2, 3:
				m.batch(rt, l)
			case 4, 5, 6:
				number++
				m.marker(rt, l, number)
			case 7:
				l.want(fmt.Sprint(len(m.records)), plain("x"))
				m.records = append(m.records, modelRecord{state: 1})
			case 8: // a checkpoint in pieces
				next, b := l.snapshot(taken), []byte(nil)
				at := l.index
				want := l.producers.appendTo(nil)
				pieces := 0
				for more := true; more; pieces++ {
					if b, more = next(b); more && rapid.Bool().Draw(rt, "between") {
						m.batch(rt, l)
						number++
						m.marker(rt, l, number)
					}
				}
				if !bytes.HasSuffix(b, want) {
					rt.Fatal("the checkpoint isn't the state as of one entry")
				}
				states, taken = append(states, b), at
				m.restored(rt, states)
			case 9:
				states, taken = append(states, l.state(taken)), l.index
				back := newLedger(t)
				if err := back.restore(states, Time(l.index)); err != nil {
					rt.Fatal(err)
				}
				back.index = l.index
				*l = *back
			}
			m.agrees(rt, l)
		}
	})
}

// restored looks whether a state can be read; more may have been applied since.
func (m *model) restored(t *rapid.T, states [][]byte) {
	p := newRecords()
	if err := p.restore(states, 1<<40); err != nil {
		t.Fatal(err)
	}
	if err := p.check(1 << 40); err != nil {
		t.Fatal(err)
	}
}

func (m *model) batch(t *rapid.T, l *ledger) {
	id := rapid.Int64Range(1, 4).Draw(t, "producer")
	epoch := max(m.epochs[id]+int16(rapid.IntRange(-1, 1).Draw(t, "epoch")), 0)
	values := make([]string, rapid.IntRange(1, 3).Draw(t, "records"))
	sequence := m.next[id]
	if epoch != m.epochs[id] {
		sequence = 0
	}
	_, known := m.epochs[id]
	_, open := m.open[id]
	transactional := rapid.IntRange(0, 3).Draw(t, "transactional") > 0
	want := fmt.Sprint(len(m.records))
	switch {
	case known && epoch < m.epochs[id]:
		want = kerr.InvalidProducerEpoch.Message
	case open && (epoch != m.epochs[id] || !transactional):
		want = kerr.InvalidTxnState.Message
	}
	raw := batch(id, epoch, sequence, values...)
	if transactional {
		raw = txnBatch(id, epoch, sequence, values...)
	}
	got := l.add(raw)
	if got != want {
		t.Fatalf("a batch of producer %d, epoch %d, transactional %v: %q, want %q", id, epoch, transactional, got, want)
	}
	if want != fmt.Sprint(len(m.records)) {
		return
	}
	m.epochs[id], m.next[id] = epoch, sequence+int32(len(values))
	if transactional && !open {
		m.open[id] = int64(len(m.records))
	}
	for range values {
		m.records = append(m.records, modelRecord{producer: id, state: btoi(!transactional)})
	}
}

func (m *model) marker(t *rapid.T, l *ledger, number uint64) {
	id := rapid.Int64Range(1, 4).Draw(t, "producer")
	epoch := max(m.epochs[id]+int16(rapid.IntRange(-1, 1).Draw(t, "epoch")), 0)
	commit := rapid.Bool().Draw(t, "commit")
	if rapid.IntRange(0, 4).Draw(t, "late") == 0 {
		number = uint64(rapid.IntRange(1, int(number)).Draw(t, "number"))
	}
	_, open := m.open[id]
	current, known := m.epochs[id]
	want := "none open"
	switch {
	case number <= m.numbers[id]:
		want = "again"
	case known && epoch < current:
		want = kerr.InvalidProducerEpoch.Message
	case open:
		want = fmt.Sprint(len(m.records))
	}
	if got := l.add(mark(id, epoch, commit, number)); got != want {
		t.Fatalf("marker %d of producer %d, epoch %d: %q, want %q", number, id, epoch, got, want)
	}
	if want == "again" || want == kerr.InvalidProducerEpoch.Message {
		return
	}
	if epoch != current {
		m.next[id] = 0
	}
	m.epochs[id], m.numbers[id] = epoch, number
	if open {
		m.end(id, commit)
	}
}

func (m *model) agrees(t *rapid.T, l *ledger) {
	if got, want := l.highWatermark, int64(len(m.records)); got != want {
		t.Fatalf("high watermark %d, want %d", got, want)
	}
	if got, want := l.lastStable(), m.stable(); got != want {
		t.Fatalf("last stable offset %d, want %d", got, want)
	}
	for offset, r := range m.records {
		a, ok := l.abortedAt(r.producer, int64(offset))
		switch {
		case r.state == 3 || int64(offset) < m.start:
		case ok != (r.state == 2):
			t.Fatalf("the record at offset %d is aborted: %v, want %v", offset, ok, r.state == 2)
		case ok && a.first != r.first:
			t.Fatalf("its transaction began at %d, want %d", a.first, r.first)
		}
	}
}

// A replica that gets a checkpoint from another one, and no entry before it, knows what is open and what comes too late.
func TestTransactionsOfAReceivedCheckpoint(t *testing.T) {
	l := newLedger(t)
	l.want("0", txnBatch(7, 0, 0, "a"))
	l.want("1", txnBatch(8, 0, 0, "b"))
	l.want("2", mark(7, 0, false, 3))
	l.want("none open", mark(9, 4, false, 5))
	received, fresh := newRecords(), newLedger(t)
	if err := received.restore([][]byte{l.state(0)}, 0); err != nil {
		t.Fatal(err)
	}
	fresh.adopt(&received)
	fresh.index = l.index
	if err := fresh.check(l.index); err != nil {
		t.Fatal(err)
	}
	if !fresh.transactionOpen(8, 0) || fresh.transactionOpen(7, 0) || len(fresh.aborted) != 0 {
		t.Errorf("open %v, aborted %v", fresh.open, fresh.aborted)
	}
	fresh.want("again", mark(7, 0, true, 3))
	fresh.want("INVALID_PRODUCER_EPOCH", txnBatch(9, 3, 0, "late"))
	fresh.want("3", plain("c"))
	fresh.wantStable(3) // the log begins here, after the open one's first record
	fresh.want("4", mark(8, 0, false, 6))
	fresh.wantStable(5)
	if a, ok := fresh.abortedAt(8, 3); !ok || a.first != 1 || a.last != 4 {
		t.Errorf("%+v", fresh.aborted)
	}
}
