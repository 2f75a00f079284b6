// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ledger is what the producers of a run were told about each record, a byte per record.
type ledger struct {
	run      uint64
	accounts []account // by producer
}

type account struct {
	mu    sync.Mutex
	fates []fate // by sequence number
}

// fate is what a producer was told about a record; 0: nothing yet.
type fate uint8

const (
	acked    fate = 1 << iota
	measured      // acknowledged in the measured time
	failed        // answered with an error: it may be in the log or not
)

func newLedger(run uint64, producers int) *ledger {
	return &ledger{run: run, accounts: make([]account, producers)}
}

// next returns the sequence number of a producer's next record.
func (l *ledger) next(producer int) uint64 {
	a := &l.accounts[producer]
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fates = append(a.fates, 0)
	return uint64(len(a.fates) - 1)
}

// answered notes what a producer was told.
func (l *ledger) answered(producer int, seq uint64, f fate) {
	a := &l.accounts[producer]
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fates[seq] |= f
}

// wasSent says whether there is such a record.
func (l *ledger) wasSent(s stamp) bool {
	if s.producer >= uint32(len(l.accounts)) {
		return false
	}
	a := &l.accounts[s.producer]
	a.mu.Lock()
	defer a.mu.Unlock()
	return s.seq < uint64(len(a.fates))
}

// reading is what one reader saw of a ledger's run. One goroutine may use it.
type reading struct {
	ledger *ledger
	copies [][]uint8          // by producer and sequence number; 255 and more are 255
	last   []map[uint32]int64 // by partition and producer: the highest sequence number so far
	// foreign counts records of other runs and programs: somebody else writes to the topic.
	foreign int64
	findings
}

// findings are what is wrong with the records read.
type findings struct {
	Missing    int64    `json:"missing"`      // acknowledged and not there
	Duplicates int64    `json:"duplicates"`   // copies beyond the first
	OutOfOrder int64    `json:"out_of_order"` // behind a later record of its producer in its partition
	Damaged    int64    `json:"damaged"`      // other bytes than were written
	Unknown    int64    `json:"unknown"`      // of this run, and nobody sent it
	Examples   []string `json:"examples,omitempty"`
}

func (f *findings) any() bool {
	return f.Missing+f.Duplicates+f.OutOfOrder+f.Damaged+f.Unknown > 0
}

// note adds one to a counter of f, and an example of the first few.
func (f *findings) note(counter *int64, format string, args ...any) {
	*counter++
	if *counter <= 3 {
		f.Examples = append(f.Examples, fmt.Sprintf(format, args...))
	}
}

func newReading(l *ledger, partitions int) *reading {
	r := &reading{ledger: l, copies: make([][]uint8, len(l.accounts)), last: make([]map[uint32]int64, partitions)}
	for p := range r.last {
		r.last[p] = make(map[uint32]int64)
	}
	return r
}

// add takes the next record of a partition. It returns true if the record is one of the run, whole,
// and there for the first time.
func (r *reading) add(kr *kgo.Record) (stamp, bool) {
	s, err := parseStamp(kr.Value)
	switch {
	case errors.Is(err, errForeign) || s.run != r.ledger.run:
		r.foreign++
		return s, false
	case err != nil:
		r.note(&r.Damaged, "partition %d, offset %d, producer %d's record %d: %v", kr.Partition, kr.Offset, s.producer, s.seq, err)
		return s, false
	case !r.ledger.wasSent(s):
		r.note(&r.Unknown, "partition %d, offset %d: producer %d's record %d, which it never sent", kr.Partition, kr.Offset, s.producer, s.seq)
		return s, false
	case r.addCopy(s) > 1:
		r.note(&r.Duplicates, "partition %d, offset %d: producer %d's record %d once more", kr.Partition, kr.Offset, s.producer, s.seq)
		return s, false
	}
	last, before := r.last[kr.Partition][s.producer]
	if before && int64(s.seq) < last {
		r.note(&r.OutOfOrder, "partition %d, offset %d: producer %d's record %d behind its record %d",
			kr.Partition, kr.Offset, s.producer, s.seq, last)
		return s, true
	}
	r.last[kr.Partition][s.producer] = int64(s.seq)
	return s, true
}

// addCopy returns how many copies there are now.
func (r *reading) addCopy(s stamp) uint8 {
	c := &r.copies[s.producer]
	if missing := int(s.seq) + 1 - len(*c); missing > 0 {
		*c = append(*c, slices.Repeat([]uint8{0}, missing)...)
	}
	if (*c)[s.seq] < 255 {
		(*c)[s.seq]++
	}
	return (*c)[s.seq]
}

// verdict is the comparison of what the producers were told with what a reader saw.
type verdict struct {
	Reader       string `json:"reader"`
	Sent         int64  `json:"sent"`
	Acknowledged int64  `json:"acknowledged"`
	ExactlyOnce  int64  `json:"exactly_once"` // acknowledged and there once
	Measured     int64  `json:"measured"`     // of these, acknowledged in the measured time
	Unconfirmed  int64  `json:"unconfirmed"`  // answered with an error, and there all the same
	Foreign      int64  `json:"foreign"`      // records between them that are of no concern here
	findings
	Unread  int64  `json:"unread,omitempty"`  // acknowledged and not found, where not everything could be read
	Problem string `json:"problem,omitempty"` // why not everything could be read
}

func (v *verdict) failed() bool { return v.any() || v.Problem != "" }

// judge compares, when all producers and the reader have ended. The error is the reader's.
func (r *reading) judge(reader string, err error) verdict {
	v := verdict{Reader: reader, Foreign: r.foreign, findings: r.findings}
	if err != nil {
		v.Problem = err.Error()
	}
	for producer := range r.ledger.accounts {
		copies := r.copies[producer]
		for seq, f := range r.ledger.accounts[producer].fates {
			there := uint8(0)
			if seq < len(copies) {
				there = copies[seq]
			}
			v.judge(producer, seq, f, there)
		}
	}
	return v
}

func (v *verdict) judge(producer, seq int, f fate, copies uint8) {
	v.Sent++
	switch {
	case f&acked == 0:
		v.Unconfirmed += int64(min(copies, 1))
		return
	case copies == 0 && v.Problem != "":
		v.Unread++ // whether it is there, nobody knows
	case copies == 0:
		v.note(&v.Missing, "producer %d's record %d was acknowledged and is not there", producer, seq)
	case copies == 1:
		v.ExactlyOnce++
		if f&measured != 0 {
			v.Measured++
		}
	}
	v.Acknowledged++
}

// passes checks consumers that read a topic over and over and have no ledger: offsets without
// gaps, records whole and in the order of their producer. One goroutine may use it.
type passes struct {
	next map[int32]int64 // by partition: the offset that has to come
	last map[passKey]int64
	findings
}

type passKey struct {
	partition int32
	run       uint64
	producer  uint32
}

func newPasses() *passes {
	return &passes{next: make(map[int32]int64), last: make(map[passKey]int64)}
}

// begin says that a partition is read from an offset on.
func (p *passes) begin(partition int32, offset int64) {
	p.next[partition] = offset
	for key := range p.last {
		if key.partition == partition {
			delete(p.last, key)
		}
	}
}

func (p *passes) add(kr *kgo.Record) {
	switch want := p.next[kr.Partition]; {
	case kr.Offset > want:
		p.note(&p.Missing, "partition %d: offset %d comes after %d", kr.Partition, kr.Offset, want-1)
		p.Missing += kr.Offset - want - 1
	case kr.Offset < want:
		p.note(&p.Duplicates, "partition %d: offset %d comes after %d", kr.Partition, kr.Offset, want-1)
	}
	p.next[kr.Partition] = max(p.next[kr.Partition], kr.Offset+1)
	s, err := parseStamp(kr.Value)
	if errors.Is(err, errForeign) {
		return
	}
	if err != nil {
		p.note(&p.Damaged, "partition %d, offset %d: %v", kr.Partition, kr.Offset, err)
		return
	}
	key := passKey{kr.Partition, s.run, s.producer}
	if last, ok := p.last[key]; ok && int64(s.seq) <= last {
		p.note(&p.OutOfOrder, "partition %d, offset %d: producer %d's record %d comes after its record %d",
			kr.Partition, kr.Offset, s.producer, s.seq, last)
	}
	p.last[key] = max(p.last[key], int64(s.seq))
}
