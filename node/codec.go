// SPDX-License-Identifier: Apache-2.0

package node

import "encoding/binary"

// scan takes bytes apart. After a failure everything it returns is zero.
type scan struct {
	b   []byte
	bad bool
}

func (r *scan) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *scan) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *scan) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

// bytes returns the next length-prefixed bytes, capped so that appending to them copies.
func (r *scan) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	if n == 0 {
		return nil
	}
	data := r.b[:n:n]
	r.b = r.b[n:]
	return data
}

func (r *scan) uint32() uint32 {
	if len(r.b) < 4 {
		r.fail()
		return 0
	}
	v := binary.LittleEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

// count returns a number of things of which each takes at least size bytes.
func (r *scan) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *scan) fail() { r.bad, r.b = true, nil }

// appendBytes appends bytes with their length.
func appendBytes(b, data []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(data))), data...)
}

// pieces appends the next piece of a state to b, and reports whether there are more.
type pieces func(b []byte) (_ []byte, more bool)

// whole returns all pieces at once.
func (next pieces) whole() (b []byte) {
	for more := true; more; {
		b, more = next(b)
	}
	return b
}
