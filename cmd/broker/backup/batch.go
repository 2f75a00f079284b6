// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"slices"
)

// What this package has to know of record batches (format 2) beside their records. It works on bytes, as it changes a few fields
// of headers and no record.
const (
	headerBytes    = 61
	maxGap         = math.MaxInt32 // offsets of one batch
	attrAppendTime = 0x08
	attrTxn        = 0x10
	attrControl    = 0x20
	crcFrom        = 21
	attrAt         = 22 // its low byte
	deltaAt        = 23
	firstTimeAt    = 27
	maxTimeAt      = 35
	producerAt     = 43
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batch is the bytes of one.
type batch []byte

func (b batch) base() int64     { return int64(binary.BigEndian.Uint64(b)) }
func (b batch) next() int64     { return b.base() + int64(int32(binary.BigEndian.Uint32(b[deltaAt:]))) + 1 }
func (b batch) producer() int64 { return int64(binary.BigEndian.Uint64(b[producerAt:])) }
func (b batch) has(attr byte) bool {
	return b[attrAt]&attr != 0
}

// split calls fn for each whole batch; what an answer has cut at its end is left out.
func split(raw []byte, fn func(batch) error) error {
	for len(raw) >= headerBytes {
		size := int64(binary.BigEndian.Uint32(raw[8:])) + 12
		if size < headerBytes || raw[16] != 2 {
			return fmt.Errorf("no record batch of format 2 begins with %x", raw[:17])
		}
		if size > int64(len(raw)) {
			return nil
		}
		b := batch(raw[:size:size])
		if got, want := crc32.Checksum(b[crcFrom:], castagnoli), binary.BigEndian.Uint32(b[17:]); got != want {
			return fmt.Errorf("the record batch at offset %d has checksum %08x, and says %08x", b.base(), got, want)
		}
		if err := fn(b); err != nil {
			return err
		}
		raw = raw[size:]
	}
	return nil
}

// plain is the batch without its producer, as restore writes it; its records are what they were.
func (b batch) plain() []byte {
	p := slices.Clone(b)
	binary.BigEndian.PutUint32(p[12:], math.MaxUint32) // leader epoch
	p[attrAt] &^= attrTxn
	for i := producerAt; i < producerAt+8+2+4; i++ { // producer id, epoch and base sequence -1
		p[i] = 0xff
	}
	return seal(p)
}

func seal(p []byte) []byte {
	binary.BigEndian.PutUint32(p[17:], crc32.Checksum(p[crcFrom:], castagnoli))
	return p
}

// gap is a batch that stands for offsets without records.
func gap(base, offsets int64) []byte {
	p := make([]byte, headerBytes)
	binary.BigEndian.PutUint64(p, uint64(base))
	binary.BigEndian.PutUint32(p[8:], headerBytes-12)
	binary.BigEndian.PutUint32(p[12:], math.MaxUint32)
	p[16] = 2
	binary.BigEndian.PutUint32(p[deltaAt:], uint32(offsets-1))
	for i := firstTimeAt; i < producerAt+8+2+4; i++ { // both timestamps too
		p[i] = 0xff
	}
	return seal(p)
}

// verdicts tells which batches of a partition are of aborted transactions, as a consumer does that reads only what is
// committed (KIP-98). It must be asked about all of them, in order.
type verdicts struct {
	begin   []Aborted // not begun, by offset
	aborted map[int64]bool
}

func newVerdicts(chunks []Chunk) *verdicts {
	all := make(map[Aborted]bool)
	for _, c := range chunks {
		for _, a := range c.Aborted {
			all[a] = true
		}
	}
	begin := slices.SortedFunc(maps.Keys(all), func(a, b Aborted) int {
		return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Producer, b.Producer))
	})
	return &verdicts{begin, make(map[int64]bool)}
}

// keep reports whether the records of a batch are to be restored.
func (v *verdicts) keep(b batch) bool {
	for len(v.begin) > 0 && v.begin[0].First < b.next() {
		v.aborted[v.begin[0].Producer] = true
		v.begin = v.begin[1:]
	}
	switch {
	case b.has(attrControl):
		delete(v.aborted, b.producer()) // a commit deletes nothing
		return false
	case b.has(attrTxn):
		return !v.aborted[b.producer()]
	}
	return true
}
