// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"testing"
	"time"
)

// TestStraysOfAnyContent looks for records in what a file of the log may hold that is free, such as compressed records. That a
// third of all places could be a record must not cost a checksum over megabytes for each of them.
func TestStraysOfAnyContent(t *testing.T) {
	const size, end = 64 << 20, 300 << 20
	data := make([]byte, size)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(data)
	begin := time.Now()
	if at := findRecord(data, 0, end, 0, false, 0); at >= 0 {
		t.Errorf("there is a record at %d", at)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestStraysOfHostileContent looks into a file that a client has filled with what may begin a long record, at every 32nd byte.
func TestStraysOfHostileContent(t *testing.T) {
	const size, end = 8 << 20, 300 << 20
	data := make([]byte, size)
	for off := 0; off < size; off += 32 {
		le := binary.LittleEndian
		le.PutUint32(data[off+4:], uint32(size-off-recordHead-8)/2)
		le.PutUint64(data[off+8:], end+1<<20)
		le.PutUint64(data[off+16:], end+1)
		data[off+28] = byte(RecordEntry)
	}
	begin := time.Now()
	if at := findRecord(data, 0, end, 0, false, 1, 0); at >= 0 {
		t.Errorf("there is a record at %d", at)
	}
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestSums compares the checksums of stretches with crc32's.
func TestSums(t *testing.T) {
	data := make([]byte, 300<<10+8)
	random := rand.New(rand.NewChaCha8([32]byte{2}))
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	s := sums{data: data}
	for i := range 2000 {
		off := int64(random.IntN(len(data)-recordHead)) &^ 7
		size := min(recordHead+1<<random.IntN(20), len(data)-int(off))
		seed := random.Uint32()
		sum := crc32.Update(seed, castagnoli, data[off+4:off+int64(size)])
		binary.LittleEndian.PutUint32(data[off:], sum)
		s.blocks = nil // data has changed
		if !s.check(off, size, seed) {
			t.Fatalf("%d: the checksum of %d bytes at %d is said to be wrong", i, size, off)
		}
		if s.check(off, size, seed+1) {
			t.Fatalf("%d: the checksum of %d bytes at %d is right with another seed", i, size, off)
		}
	}
}

// TestRecordsInEntries writes entries that hold what looks like records of the log's future, valid ones with a checksum. A client
// may do so, and a backup of a broker's files in a topic does. When the files are free, the log has to open all the same.
func TestRecordsInEntries(t *testing.T) {
	opt := Options{SegmentBytes: 16 << 10, Owner: Owner{1, 2, 3}}
	var fake []byte
	for n := range 100 {
		rec := make([]byte, recordBytes(entryHead))
		putRecord(rec, RecordEntry, 0, 1, entryHead, LSN(1<<20+n*8), 1)
		sealRecord(rec, 1<<20, 0)
		fake = append(fake, rec...)
	}
	disk := newDisk()
	for i := range uint64(30) {
		l, _ := mustOpen(t, disk, opt)
		l.Append(1, []Entry{{Index: i + 1, Term: 1, Data: fake}})
		l.Release(1, i+1)
		mustFlush(t, l, disk)
	}
}
