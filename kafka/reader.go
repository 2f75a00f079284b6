// SPDX-License-Identifier: Apache-2.0

package kafka

import "encoding/binary"

// reader takes the protocol's primitive types from the front of b. The first read past the end sets
// bad, empties b, and makes every later read return zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() {
	r.b, r.bad = nil, true
}

// bytes takes n bytes; a negative n (the protocol's null) takes none.
func (r *reader) bytes(n int) []byte {
	if n <= 0 {
		return nil
	}
	if n > len(r.b) {
		r.fail()
		return nil
	}
	taken := r.b[:n:n]
	r.b = r.b[n:]
	return taken
}

func (r *reader) int8() int8 {
	if b := r.bytes(1); b != nil {
		return int8(b[0])
	}
	return 0
}

func (r *reader) int16() int16 {
	if b := r.bytes(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) int32() int32 {
	if b := r.bytes(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

// uvarint takes an unsigned varint (KIP-482) of at most 32 bits.
func (r *reader) uvarint() int {
	u, n := binary.Uvarint(r.b)
	if n <= 0 || n > 5 || u > 1<<32-1 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return int(u)
}

// varint takes a zigzag varint, as records use it, of at most 64 bits.
func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// tags skips a tag section: a count of at most maxTags, then for each tag its number, its length and its bytes.
func (r *reader) tags() {
	n := r.uvarint()
	if n > maxTags {
		r.fail()
	}
	for ; n > 0 && !r.bad; n-- {
		r.uvarint()
		r.bytes(r.uvarint())
	}
}
