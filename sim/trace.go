// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"encoding/binary"
	"fmt"
	"strings"

	"chronik/node"
	"chronik/sim/plan"
)

// hasher is the trace hash: 64 bits over everything that happens in a run, in order. It is not
// cryptographic; it has to be fast and the same on every machine.
type hasher uint64

const hashPrime = 0x9fb21c651e98df25

// word adds 64 bits. For a given word it is a bijection of the state, so that nothing once
// different becomes equal again by itself.
func (h *hasher) word(x uint64) {
	v := (uint64(*h) ^ x) * hashPrime
	*h = hasher(v ^ v>>29)
}

// bytes adds a byte string with its length.
func (h *hasher) bytes(b []byte) {
	h.word(uint64(len(b)))
	for len(b) >= 8 {
		h.word(binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	if len(b) > 0 {
		var tail [8]byte
		copy(tail[:], b)
		h.word(binary.LittleEndian.Uint64(tail[:]))
	}
}

func hashOf(b []byte) uint64 {
	h := hasher(1)
	h.bytes(b)
	return uint64(h)
}

// hashOfPieces is that of all the bytes in one piece.
func hashOfPieces(pieces [][]byte) uint64 {
	if len(pieces) == 1 {
		return hashOf(pieces[0])
	}
	n := 0
	for _, p := range pieces {
		n += len(p)
	}
	h := hasher(1)
	h.word(uint64(n))
	var word [8]byte // the bytes that don't fill 8 yet
	filled := 0
	for _, p := range pieces {
		if filled > 0 {
			k := copy(word[filled:], p)
			filled, p = filled+k, p[k:]
			if filled < len(word) {
				continue
			}
			h.word(binary.LittleEndian.Uint64(word[:]))
		}
		for len(p) >= 8 {
			h.word(binary.LittleEndian.Uint64(p))
			p = p[8:]
		}
		filled = copy(word[:], p)
	}
	if filled > 0 {
		clear(word[filled:])
		h.word(binary.LittleEndian.Uint64(word[:]))
	}
	return uint64(h)
}

// tracing says that somebody wants lines; nothing is formatted otherwise.
func (w *world) tracing() bool { return w.options.Trace != nil }

// tracef writes one line: the virtual time, then the text.
func (w *world) tracef(format string, args ...any) {
	w.options.Trace(fmt.Sprintf("%14.6f  ", seconds(w.now)) + fmt.Sprintf(format, args...))
}

func seconds(t node.Time) fixed { return fixed(t / 1000) }

// fixed prints a number of millionths with a point.
type fixed int64

// Format implements fmt.Formatter, for %14.6f.
func (f fixed) Format(s fmt.State, _ rune) {
	width, _ := s.Width()
	fmt.Fprintf(s, "%*s", width, fmt.Sprintf("%d.%06d", int64(f)/1_000_000, int64(f)%1_000_000))
}

// column indents by broker, so that the eye can follow one.
func (w *world) column(b *broker) string {
	return strings.Repeat(". ", b.number-1) + fmt.Sprint(b.number) + strings.Repeat(" .", len(w.brokers)-b.number)
}

func (w *world) noteFault(f *plan.Fault, b *broker, what string) {
	if !w.tracing() {
		return
	}
	where := strings.Repeat("* ", len(w.brokers))
	if b != nil {
		where = w.column(b)
	}
	w.tracef("%s  fault %d %s %s", where, f.ID, f.Kind, what)
}

// linesTraced bounds the lines that a step gets for each kind of thing.
const linesTraced = 200

// traceStep prints what a step took and gave.
func (w *world) traceStep(b *broker, in *node.Input, out *node.Output) {
	col := w.column(b)
	for _, lines := range [...][]string{node.DescribeInput(in, linesTraced), node.DescribeOutput(out, linesTraced)} {
		for _, line := range lines {
			w.tracef("%s  %s", col, line)
		}
	}
}
