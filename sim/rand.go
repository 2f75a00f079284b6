// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"math/bits"

	"chronik/node"
)

// Randomness is keyed, not a stream: every decision is a hash of (seed, domain, who, counter), such
// as the latency of the 12th message on link 1-2. Taking one fault out of a plan therefore leaves
// every other decision in place, which is what makes shrinking work. Everything is integer
// arithmetic, so that a seed means the same on every machine and under every Go release.

// domain separates the decisions of different parts of the world. The numbers are part of what a
// seed means: add at the end, never renumber.
type domain uint64

const (
	domainPlan domain = iota + 1
	domainLink
	domainDuplicate
	domainOp
	domainDiskCrash
	domainDiskDir
	domainRaft
	domainStep
	domainCut
	domainConn
	domainClient
	domainRestart
	domainClock
	domainTarget
	domainFailedSync
	domainHeal
	domainLost
	domainMembers
	domainLeave
	domainMember
	domainRot
	domainAttack
	domainTask
	domainLie
)

// seed is the root of a world's decisions.
type seed uint64

// draw is one decision's uniform 64 bits, from which a distribution is made.
type draw uint64

func (s seed) draw(d domain, who, counter uint64) draw {
	h := mix(uint64(s) ^ uint64(d)*0x9e3779b97f4a7c15)
	h = mix(h ^ who*0xbf58476d1ce4e5b9)
	return draw(mix(h ^ counter*0x94d049bb133111eb))
}

// mix is a bijection of 64 bits in which every input bit moves every output bit (a xor-shift and
// multiply finaliser).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>32) * 0xd6e8feb86659fd93
	x = (x ^ x>>32) * 0xd6e8feb86659fd93
	return x ^ x>>32
}

// next is another decision under the same key.
func (d draw) next() draw { return draw(mix(uint64(d))) }

// below is uniform in [0, n); n must be positive.
func (d draw) below(n int64) int64 {
	hi, _ := bits.Mul64(uint64(d), uint64(n))
	return int64(hi)
}

// between is uniform in [lo, hi].
func (d draw) between(lo, hi int64) int64 { return lo + d.below(hi-lo+1) }

// ratio is true num times in den.
func (d draw) ratio(num, den int64) bool { return d.below(den) < num }

// logUniform is in [lo, hi], each doubling about as likely as the next; lo must be positive.
func (d draw) logUniform(lo, hi int64) int64 {
	x := exp2(d.between(log2(lo), log2(hi)))
	return min(max(x, lo), hi)
}

// exponential has the given mean and about an exponential's tail, cut at 44 times the mean.
func (d draw) exponential(mean int64) int64 {
	u := uint64(d) | 1
	minusLog2 := 64<<16 - log2fixed(u) // of u/2^64
	hi, lo := bits.Mul64(uint64(minusLog2), uint64(mean))
	// ln 2 = 45426/65536
	q, _ := bits.Div64(hi, lo, 1<<16)
	hi, lo = bits.Mul64(q, 45426)
	q, _ = bits.Div64(hi, lo, 1<<16)
	return int64(q)
}

// log2 is the binary logarithm of x > 0 with 16 bits behind the point, linear between powers of 2.
func log2(x int64) int64 { return log2fixed(uint64(x)) }

func log2fixed(x uint64) int64 {
	n := bits.Len64(x) - 1
	mantissa := x << (63 - n) << 1 // without the leading one
	return int64(n)<<16 | int64(mantissa>>48)
}

// exp2 inverts log2.
func exp2(l int64) int64 {
	n := l >> 16
	mantissa := uint64(1)<<16 | uint64(l&0xffff)
	if n >= 16 {
		return int64(mantissa << (n - 16))
	}
	return int64(mantissa >> (16 - n))
}

// span is exponential with a given mean, as a virtual duration.
func (d draw) span(mean Duration) node.Time { return node.Time(d.exponential(int64(mean))) }

// pair packs two small numbers into one key.
func pair(a, b int) uint64 { return uint64(uint32(a))<<32 | uint64(uint32(b)) }
