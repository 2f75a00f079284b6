// SPDX-License-Identifier: Apache-2.0

// Package keyed is the randomness of simulated worlds. It is keyed, not a stream: every decision is a hash of (seed, domain, who, counter), such
// as the latency of the 12th message on link 1-2. Taking one fault out of a plan therefore leaves
// every other decision in place, which is what makes shrinking work. Everything is integer
// arithmetic, so that a seed means the same on every machine and under every Go release.
package keyed

import "math/bits"

// Domain separates the decisions of different parts of the world. The numbers are part of what a
// seed means.
type Domain uint64

// Seed is the root of a world's decisions.
type Seed uint64

// Draw is one decision's uniform 64 bits, from which a distribution is made.
type Draw uint64

// Draw decides: in a domain, about somebody or something, for the counter-th time.
func (s Seed) Draw(d Domain, who, counter uint64) Draw {
	h := Mix(uint64(s) ^ uint64(d)*0x9e3779b97f4a7c15)
	h = Mix(h ^ who*0xbf58476d1ce4e5b9)
	return Draw(Mix(h ^ counter*0x94d049bb133111eb))
}

// Mix is a bijection of 64 bits in which every input bit moves every output bit (a xor-shift and
// multiply finaliser).
func Mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>32) * 0xd6e8feb86659fd93
	x = (x ^ x>>32) * 0xd6e8feb86659fd93
	return x ^ x>>32
}

// Next is another decision under the same key.
func (d Draw) Next() Draw { return Draw(Mix(uint64(d))) }

// Below is uniform in [0, n); n must be positive.
func (d Draw) Below(n int64) int64 {
	hi, _ := bits.Mul64(uint64(d), uint64(n))
	return int64(hi)
}

// Between is uniform in [lo, hi].
func (d Draw) Between(lo, hi int64) int64 { return lo + d.Below(hi-lo+1) }

// Ratio is true num times in den.
func (d Draw) Ratio(num, den int64) bool { return d.Below(den) < num }

// LogUniform is in [lo, hi], each doubling about as likely as the next; lo must be positive.
func (d Draw) LogUniform(lo, hi int64) int64 {
	x := Exp2(d.Between(Log2(lo), Log2(hi)))
	return min(max(x, lo), hi)
}

// Exponential has the given mean and about an exponential's tail, cut at 44 times the mean.
func (d Draw) Exponential(mean int64) int64 {
	u := uint64(d) | 1
	minusLog2 := 64<<16 - log2fixed(u) // of u/2^64
	hi, lo := bits.Mul64(uint64(minusLog2), uint64(mean))
	// ln 2 = 45426/65536
	q, _ := bits.Div64(hi, lo, 1<<16)
	hi, lo = bits.Mul64(q, 45426)
	q, _ = bits.Div64(hi, lo, 1<<16)
	return int64(q)
}

// Log2 is the binary logarithm of x > 0 with 16 bits after the point, linear between powers of 2.
func Log2(x int64) int64 { return log2fixed(uint64(x)) }

func log2fixed(x uint64) int64 {
	n := bits.Len64(x) - 1
	mantissa := x << (63 - n) << 1 // without the leading one
	return int64(n)<<16 | int64(mantissa>>48)
}

// Exp2 inverts log2.
func Exp2(l int64) int64 {
	n := l >> 16
	mantissa := uint64(1)<<16 | uint64(l&0xffff)
	if n >= 16 {
		return int64(mantissa << (n - 16))
	}
	return int64(mantissa >> (16 - n))
}

// Pair packs two small numbers into one key.
func Pair(a, b int) uint64 { return uint64(uint32(a))<<32 | uint64(uint32(b)) }
