// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"encoding/binary"
	"hash/crc32"
)

// Each record of a log says up to where everything was durable when it was written. A device that loses pages, or brings others, may
// take records away, and some of that nobody can know. But who starts with a log that ends before a place that one of
// the records on its disk calls durable has lost what it had told others, and must refuse.

// checkTail demands that of a broker that has started and was told the right sizes of its files: what lies behind the end of a file
// isn't there to a start, and nothing else says how long it was. It reads all files byte by byte, by itself.
func (w *world) checkTail(b *broker) {
	end := uint64(b.node.StatsOfBroker().LogEnd)
	var seeds []uint32
	files := make([][]byte, len(b.disk.cached))
	for i, e := range b.disk.cached {
		files[i] = e.file.cachedBytes()
		if data := files[i]; len(data) > 64 && string(data[:8]) == "CHRONWAL" {
			seeds = append(seeds, crc32.Checksum(data[48:64], ownerSums))
		}
	}
	for i, data := range files {
		for off := 0; off+40 <= len(data); off += 8 {
			if durable := binary.LittleEndian.Uint64(data[off+16:]); durable > end && wholeRecord(data[off:], seeds) {
				w.fail("tail-forgotten", "broker %d starts with a log that ends at position %d, but a record of it at offset %d of %s says that all before position %d was durable",
					b.number, end, off, b.disk.cached[i].name, durable)
			}
		}
	}
}

var ownerSums = crc32.MakeTable(crc32.Castagnoli)

// wholeRecord says that data begins with a record of one of these owners, and with its right sum.
func wholeRecord(data []byte, seeds []uint32) bool {
	size := 40 + (uint64(binary.LittleEndian.Uint32(data[4:]))+7)&^7
	if size > uint64(len(data)) || binary.LittleEndian.Uint64(data[16:]) > binary.LittleEndian.Uint64(data[8:]) {
		return false
	}
	for _, seed := range seeds {
		if crc32.Update(seed, ownerSums, data[4:size]) == binary.LittleEndian.Uint32(data) {
			return true
		}
	}
	return false
}

// cachedBytes is the file as a process would read it.
func (f *file) cachedBytes() []byte {
	data := make([]byte, f.size)
	for i, p := range f.pages {
		if p != nil && int64(i)*pageBytes < f.size {
			copy(data[i*pageBytes:], p[:])
		}
	}
	return data
}
