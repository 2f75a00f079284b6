// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Each batch waits for a majority, so many small ones take long. Those that aren't compressed are written as one: their records are
// the same bytes but for two numbers, by how much their offset and timestamp differ from the batch's.

const mergedBytes = 256 << 10 // of a batch, about

// merger puts batches together.
type merger struct {
	limit int // bytes of what it makes
	batch     // the header of the first
	next  int64
	first int64 // timestamp
	last  int64
	count int
	data  []byte // records
}

// plainTimes reports whether a batch can be put together with others: its records aren't compressed, and each has a timestamp of its own.
func (b batch) plainTimes() bool { return b[attrAt]&(0x07|attrAppendTime) == 0 }

func (b batch) time(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }

// takes reports whether a batch can be added to what is there.
func (m *merger) takes(b batch) bool {
	if !b.plainTimes() || headerBytes+len(b) > m.limit {
		return false
	}
	return m.count == 0 || headerBytes+len(m.data)+len(b)+64 <= m.limit && b.next()-m.base() < math.MaxInt32
}

// add adds the records of a batch.
func (m *merger) add(b batch) error {
	if m.count == 0 {
		m.batch, m.first, m.last, m.data = b, b.time(firstTimeAt), b.time(maxTimeAt), nil
	}
	m.last, m.next = max(m.last, b.time(maxTimeAt)), b.next()
	offset, ms, rest := b.base()-m.base(), b.time(firstTimeAt)-m.first, []byte(b[headerBytes:])
	for range binary.BigEndian.Uint32(b[headerBytes-4:]) {
		size, n := binary.Varint(rest)
		if n <= 0 || size < 0 || size > int64(len(rest)-n) {
			return fmt.Errorf("a record of the batch at offset %d does not parse", b.base())
		}
		record := rest[n : n+int(size)]
		rest = rest[n+int(size):]
		if err := m.record(record, offset, ms); err != nil {
			return fmt.Errorf("the batch at offset %d: %w", b.base(), err)
		}
	}
	return nil
}

func (m *merger) record(r []byte, offset, ms int64) error {
	if len(r) == 0 {
		return errRecord
	}
	time, n := binary.Varint(r[1:])
	if n <= 0 {
		return errRecord
	}
	delta, k := binary.Varint(r[1+n:])
	if k <= 0 {
		return errRecord
	}
	head := binary.AppendVarint([]byte{r[0]}, ms+time)
	head = binary.AppendVarint(head, offset+delta)
	rest := r[1+n+k:]
	m.data = append(append(binary.AppendVarint(m.data, int64(len(head)+len(rest))), head...), rest...)
	m.count++
	return nil
}

var errRecord = errors.New("a record does not parse")

// take returns the batch, and begins anew.
func (m *merger) take() []byte {
	p := append(append([]byte{}, m.plain()[:headerBytes]...), m.data...)
	be := binary.BigEndian
	be.PutUint32(p[8:], uint32(len(p)-12))
	be.PutUint32(p[deltaAt:], uint32(m.next-m.base()-1))
	be.PutUint64(p[maxTimeAt:], uint64(m.last))
	be.PutUint32(p[headerBytes-4:], uint32(m.count))
	m.count = 0
	return seal(p)
}
