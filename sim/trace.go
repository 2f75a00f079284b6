// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"encoding/binary"
	"fmt"
	"strings"

	"chronik/kafka"
	"chronik/node"
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

func (w *world) noteFault(f *Fault, b *broker, what string) {
	if !w.tracing() {
		return
	}
	where := strings.Repeat("* ", len(w.brokers))
	if b != nil {
		where = w.column(b)
	}
	w.tracef("%s  fault %d %s %s", where, f.ID, f.Kind, what)
}

// traceStep prints what a step took and gave.
func (w *world) traceStep(b *broker, in *node.Input, out *node.Output) {
	col := w.column(b)
	for _, r := range in.Results {
		w.tracef("%s  done %v %d %s+%d err=%v", col, r.Op.Kind, r.Op.ID, r.Op.File, r.Op.Off, r.Err)
	}
	for _, r := range in.Done {
		w.tracef("%s  task %d is done err=%v", col, r.ID, r.Err)
	}
	for _, m := range in.Messages {
		w.tracef("%s  from %d: %d bytes %016x", col, m.From, len(m.Data), hashOf(m.Data))
	}
	for _, l := range in.Lost {
		w.tracef("%s  lost connection from %d", col, l)
	}
	for _, r := range in.Requests {
		h, _, _ := kafka.ParseHeader(r.Frame)
		w.tracef("%s  request conn %d %v", col, r.Conn, h)
	}
	for _, e := range out.Events {
		w.tracef("%s  event %v group=%d term=%d n=%d %s", col, e.Kind, e.Group, e.Term, e.N, e.Text)
	}
	for _, m := range out.Messages {
		frame := kafka.Frame(m.Pieces)
		w.tracef("%s  to %d: %d bytes %016x", col, m.To, frame.Len(), hashOf(frame.Bytes()))
	}
	for _, op := range out.Ops {
		w.tracef("%s  op %v %d %s+%d %d bytes", col, op.Kind, op.ID, op.File, op.Off, max(int64(len(op.Data)), op.N))
	}
	for _, t := range out.Tasks {
		w.tracef("%s  task %d of kind %d on %d bytes", col, t.ID, t.Kind, len(t.Batch))
	}
	for _, r := range out.Replies {
		w.tracef("%s  reply conn %d %d bytes close=%v", col, r.Conn, kafka.Frame(r.Frame).Len(), r.Close)
	}
	if out.End != nil {
		w.tracef("%s  ENDS %v", col, out.End)
	}
}
