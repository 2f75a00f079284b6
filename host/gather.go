// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/binary"
	"net"
)

// gather lays many frames out for as few system calls as possible: headers and small frames are
// copied side by side, large ones are passed to writev where they lie.
type gather struct {
	bufs net.Buffers
	buf  []byte // headers and small frames; the part from start on is not in bufs yet
	from int
	size int
	gate gate // for what is written in stints; nil: nobody else matters
}

const (
	copyBelow   = 2 << 10   // copying this much costs less than one more piece of a writev
	keepScratch = 128 << 10 // larger scratch space is not kept
)

// uint32 appends a big-endian number.
func (g *gather) uint32(n uint32) {
	g.buf = binary.BigEndian.AppendUint32(g.buf, n)
	g.size += 4
}

// bytes appends a frame, which must not change until it is written.
func (g *gather) bytes(b []byte) {
	g.size += len(b)
	if len(b) < copyBelow {
		g.buf = append(g.buf, b...)
		return
	}
	g.cut()
	g.bufs = append(g.bufs, b)
}

// cut ends the current run of copied bytes.
func (g *gather) cut() {
	if len(g.buf) > g.from {
		g.bufs = append(g.bufs, g.buf[g.from:])
		g.from = len(g.buf)
	}
}

// writeTo writes everything and empties g.
func (g *gather) writeTo(c net.Conn) error {
	g.cut()
	var err error
	s, isSecured := c.(*secured)
	switch {
	case isSecured:
		err = s.writeAll(g.bufs[:len(g.bufs):len(g.bufs)], g.size, g.gate)
	case g.size > stint:
		err = g.writeInStints(c)
	case len(g.bufs) == 1:
		_, err = c.Write(g.bufs[0])
	default:
		bufs := g.bufs // WriteTo eats its receiver
		_, err = bufs.WriteTo(c)
	}
	clear(g.bufs)
	g.bufs, g.from, g.size = g.bufs[:0], 0, 0
	if g.buf = g.buf[:0]; cap(g.buf) > keepScratch {
		g.buf = nil
	}
	return err
}

// writeInStints writes everything, a stint at a time.
func (g *gather) writeInStints(c net.Conn) error {
	var part net.Buffers
	left := stint
	for i := 0; i < len(g.bufs); {
		n := min(left, len(g.bufs[i]))
		part = append(part, g.bufs[i][:n])
		if g.bufs[i] = g.bufs[i][n:]; len(g.bufs[i]) == 0 {
			i++
		}
		if left -= n; left > 0 && i < len(g.bufs) {
			continue
		}
		whole := part // it is eaten
		if err := g.gate.write(c, whole); err != nil {
			return err
		}
		giveWay()
		part, left = part[:0], stint
	}
	return nil
}
