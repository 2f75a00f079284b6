// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
)

// sums verifies the checksum of any stretch of a file in about a microsecond, however long it is. A client may write what
// looks like the beginning of a long record at every 32nd byte, and the time to compute a checksum for each of them
// grows with the square of the file.
//
// A CRC is linear (Mark Adler's crc32_combine in zlib explains it): the register after a stretch is that after everything up to
// its end, less what the register before it has become on the way.
type sums struct {
	data   []byte
	blocks []uint32 // the register after so many blocks, from zero
}

const sumBlock = 4 << 10

// reversed is the CRC-32C polynomial, the lowest power in the highest bit.
const reversed = crc32.Castagnoli

// check reports whether the record of a size at an offset has the right checksum.
func (s *sums) check(off int64, size int, seed uint32) bool {
	from, to := off+4, off+int64(size)
	want := binary.LittleEndian.Uint32(s.data[off:])
	if size <= 2*sumBlock {
		return crc32.Update(seed, castagnoli, s.data[from:to]) == want
	}
	return ^(s.register(to) ^ shifted(s.register(from)^^seed, uint64(to-from))) == want
}

// register is the CRC register after the data up to an offset.
func (s *sums) register(to int64) uint32 {
	if s.blocks == nil {
		s.blocks = make([]uint32, 1, len(s.data)/sumBlock+1)
	}
	n := int(to / sumBlock)
	for k := len(s.blocks); k <= n; k++ {
		s.blocks = append(s.blocks, advance(s.blocks[k-1], s.data[(k-1)*sumBlock:k*sumBlock]))
	}
	return advance(s.blocks[n], s.data[n*sumBlock:to])
}

// advance feeds bytes to a register. crc32 keeps it inverted.
func advance(register uint32, b []byte) uint32 { return ^crc32.Update(^register, castagnoli, b) }

// shifted is what zeros make of a register, that is, its product with x^(8n).
func shifted(register uint32, n uint64) uint32 {
	for ; n > 0; n &= n - 1 {
		register = product(register, zeroPowers[bits.TrailingZeros64(n)])
	}
	return register
}

// zeroPowers holds x^(8·2^k) modulo the polynomial, for files of less than 4 GiB.
var zeroPowers = func() (p [32]uint32) {
	p[0] = 1 << (31 - 8)
	for k := 1; k < len(p); k++ {
		p[k] = product(p[k-1], p[k-1])
	}
	return p
}()

// product multiplies two polynomials modulo that of the CRC.
func product(a, b uint32) (p uint32) {
	for ; a != 0; a <<= 1 {
		p ^= b & -(a >> 31)
		b = b>>1 ^ reversed&-(b&1)
	}
	return p
}
