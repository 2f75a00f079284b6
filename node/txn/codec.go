// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"encoding/binary"
	"math"
)

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendProducer(b []byte, p Producer) []byte {
	return binary.AppendVarint(binary.AppendVarint(b, p.ID), int64(p.Epoch))
}

func appendGroups(b []byte, groups []uint64) []byte {
	b = binary.AppendUvarint(b, uint64(len(groups)))
	for _, g := range groups {
		b = binary.AppendUvarint(b, g)
	}
	return b
}

// reader takes bytes apart. After a failure everything that it returns is zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() { r.bad, r.b = true, nil }

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// upTo returns a number that can't be larger than most.
func (r *reader) upTo(most uint64) uint64 {
	v := r.uvarint()
	if v > most {
		r.fail()
		return 0
	}
	return v
}

func (r *reader) string() string {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail()
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) producer() Producer {
	p, epoch := Producer{ID: r.varint()}, r.varint()
	if epoch < -1 || epoch > math.MaxInt16 || p.ID < -1 {
		r.fail()
		return Producer{}
	}
	p.Epoch = int16(epoch)
	return p
}

func (r *reader) groups() []uint64 {
	n := r.upTo(uint64(len(r.b)))
	if n == 0 {
		return nil
	}
	groups := make([]uint64, n)
	for i := range groups {
		groups[i] = r.uvarint()
	}
	return groups
}
