// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

const (
	magic         = "CHRONWAL"
	formatVersion = 5
	seedVersion   = 5 // the first with seeded checksums
	pieceVersion  = 4 // the first with checkpoints in pieces
	packedVersion = 3 // the first with packed entries
	oldestVersion = 2
	headerBytes   = 64
)

// segment is a stretch of the log that lives in one file.
type segment struct {
	slot     slot   // empty until the first flush
	version  uint32 // of its format
	seed     uint32 // of the checksums of its records
	seq      uint64 // order of segments; grows by one
	base     LSN    // position of the file's first byte
	end      int64  // file offset after the last record, buffered ones included
	preamble int64  // file offset after the manifest and states that it begins with; 0 if that wasn't read
	sealAt   int64  // file offset of its seal; 0 if it takes more records
	live     int64  // bytes of entries and checkpoints in it that some group still has
	readers  int    // Reads of it under way
	freeAt   LSN    // once this is durable, the file is no longer part of the log; 0: it is

	spoiled bool  // its header or seal is damaged
	unowned bool  // its header doesn't say whose it is, or has an older version: the next record begins another
	stuck   int64 // of so many live bytes some can't be moved: they are damaged

	groups []*group // that have had an entry or checkpoint in it
	table  int      // bytes that the table in its seal takes at most
}

// lsn is the position of a record.
func (s *segment) lsn(at place) LSN { return s.base + LSN(at.off) }

func (s *segment) sealed() bool { return s.sealAt > 0 }

// enlist notes that the segment takes an entry or checkpoint of a group.
func (s *segment) enlist(g *group) {
	if g.in != s {
		g.in = s
		s.groups = append(s.groups, g)
		s.table += groupCost
	}
}

// slot is a file: the place for a segment. Its name says nothing about the order of segments.
type slot struct {
	name string
	size int64
}

func slotName(n int) string { return fmt.Sprintf("%04d.wal", n) }

// slotNumber is the inverse of slotName; false if name is not a slot's.
func slotNumber(name string) (int, bool) {
	var n int
	if _, err := fmt.Sscanf(name, "%d.wal", &n); err != nil || n < 1 || slotName(n) != name {
		return 0, false
	}
	return n, true
}

// header is what a segment file begins with.
type header struct {
	version uint32
	seq     uint64
	base    LSN
	epoch   uint32 // of the records that follow, up to the next open record
	groups  uint32 // number of state records that follow the manifest
	sealAt  uint64 // file offset of the seal of the segment before; 0 if there is none
	owner   Owner  // all zeros in segments of earlier releases
}

func appendHeader(b []byte, h header) []byte {
	le := binary.LittleEndian
	start := len(b)
	b = append(b, magic...)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint32(b, h.version)
	b = le.AppendUint64(b, h.seq)
	b = le.AppendUint64(b, uint64(h.base))
	b = le.AppendUint32(b, h.epoch)
	b = le.AppendUint32(b, h.groups)
	b = le.AppendUint64(b, h.sealAt)
	b = append(b, h.owner[:]...)
	le.PutUint32(b[start+8:], crc32.Checksum(b[start+12:], castagnoli))
	return b
}

// parseHeader reads the header at the start of b; false if there is no valid one, of whatever
// version.
func parseHeader(b []byte) (header, bool) {
	le := binary.LittleEndian
	if len(b) < headerBytes || string(b[:8]) != magic ||
		crc32.Checksum(b[12:headerBytes], castagnoli) != le.Uint32(b[8:]) {
		return header{}, false
	}
	return header{
		version: le.Uint32(b[12:]),
		seq:     le.Uint64(b[16:]),
		base:    LSN(le.Uint64(b[24:])),
		epoch:   le.Uint32(b[32:]),
		groups:  le.Uint32(b[36:]),
		sealAt:  le.Uint64(b[40:]),
		owner:   Owner(b[48:headerBytes]),
	}, true
}
