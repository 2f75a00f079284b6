// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

const (
	// smallFrame is the largest request that is read at once, from the reader's own buffer. Such requests have a
	// part of the admission of their own, and so don't queue behind large ones.
	smallFrame = 16 << 10

	// A larger request is read into a buffer that grows with what has arrived: sixteen times that until firstPieces,
	// so that ordinary requests are copied at most once, then twice that.
	growEarly   = 16
	firstPieces = 1 << 20

	// A request that has begun must arrive at minRate bytes per second, beside a time to begin with. A client that
	// is slower would hold memory that others wait for.
	minRate   = 64 << 10
	beginTime = 10 * time.Second
)

// pace bounds the time of one frame.
type pace struct {
	sock    net.Conn
	begun   time.Time
	arrived int
}

// deadline is until when n more bytes must have arrived.
func (p *pace) deadline(n int) time.Time {
	return p.begun.Add(beginTime + time.Duration(p.arrived+n)*time.Second/minRate)
}

// read fills b; the frame's first bytes may be in the buffer.
func (p *pace) read(in *reader, b []byte) error {
	for len(b) > 0 {
		part := b[:min(len(b), stint)]
		b = b[len(part):]
		p.sock.SetReadDeadline(p.deadline(len(part)))
		if _, err := io.ReadFull(in, part); err != nil {
			return p.explain(err)
		}
		if p.arrived += len(part); len(b) > 0 {
			giveWay()
		}
	}
	return p.sock.SetReadDeadline(time.Time{})
}

func (p *pace) explain(err error) error {
	if e, ok := err.(net.Error); ok && e.Timeout() {
		return fmt.Errorf("a request arrived too slowly: after %v and %d bytes the rest is missing; the least rate is %d KiB/s",
			time.Since(p.begun).Round(time.Second), p.arrived, minRate>>10)
	}
	return err
}

// readSmall returns a frame that fits into the reader's buffer. Its memory is taken when it is all there.
func (c *conn) readSmall(in *reader, n int) ([]byte, claim, error) {
	var held claim
	if in.Buffered() < n {
		p := pace{sock: c.sock, begun: time.Now()}
		c.sock.SetReadDeadline(p.deadline(n))
		if _, err := in.Peek(n); err != nil {
			return nil, held, p.explain(err)
		}
		c.sock.SetReadDeadline(time.Time{})
	}
	if n > 0 && !c.srv.small.grow(&c.from.small, &held, int64(n), c.quit) {
		return nil, held, net.ErrClosed
	}
	frame := make([]byte, n) // never reused: the node keeps it as a log entry
	_, err := io.ReadFull(in, frame)
	return frame, held, err
}

// readLarge returns a frame whose buffer grew with what arrived. The claim is to be given back in any case.
func (c *conn) readLarge(in *reader, n int) (frame []byte, held claim, err error) {
	p := pace{sock: c.sock, begun: time.Now()}
	c.sock.SetReadDeadline(p.deadline(smallFrame))
	if _, err := in.Peek(min(n, smallFrame)); err != nil {
		return nil, held, p.explain(err)
	}
	for size := min(n, growEarly*smallFrame); ; size = nextSize(n, size) {
		waits := time.Now()
		if !c.srv.large.grow(&c.from.large, &held, int64(size), c.quit) {
			return nil, held, net.ErrClosed
		}
		p.begun = p.begun.Add(time.Since(waits)) // that it waited for us isn't held against it
		grown := grow(frame, size)
		if err := p.read(in, grown[len(frame):]); err != nil {
			return nil, held, err
		}
		c.moved(time.Now())
		if frame = grown; size == n {
			return frame, held, nil
		}
	}
}

// grow returns a larger buffer that begins with the bytes of a frame. It copies in stints: Go can't stop a thread that copies,
// and as soon as its collector wants to, everybody who allocates waits for the end of tens of megabytes.
func grow(frame []byte, size int) []byte {
	grown := make([]byte, size)
	for at := 0; at < len(frame); at += stint {
		copy(grown[at:], frame[at:min(at+stint, len(frame))])
	}
	return grown
}

// nextSize is how large the buffer of a frame of n bytes becomes when it is full with so many.
func nextSize(n, full int) int {
	if full < firstPieces {
		return min(n, growEarly*full)
	}
	return min(n, 2*full)
}

// foreign tells what the other end speaks, if its first four bytes are none of Kafka's, and what to say to it.
func foreign(head [4]byte) (what string, say []byte) {
	const text = "This port speaks the Kafka protocol, not HTTP. Metrics are on the port of the setting metrics.\n"
	switch string(head[:]) {
	case "GET ", "HEAD", "POST", "PUT ", "DELE", "OPTI", "PATC", "CONN", "TRAC", "PRI ":
		return "HTTP; give that client another port", fmt.Appendf(nil,
			"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(text), text)
	}
	if head[0] == 0x16 && head[1] == 0x03 { // record type handshake, major version 3 (RFC 8446 5.1)
		return "TLS; set security.protocol=PLAINTEXT in that client", []byte{0x15, 0x03, 0x01, 0, 2, 2, 70} // fatal alert: protocol_version
	}
	if string(head[:]) == "SSH-" {
		return "SSH; give that client another port", nil
	}
	return "", nil
}

// refuse tells a client whose frame has such a first four bytes what is wrong, in its own language if it has another.
func (c *conn) refuse(head [4]byte) error {
	what, say := foreign(head)
	if what == "" {
		return errFrame(binary.BigEndian.Uint32(head[:]), c.frameLimit())
	}
	if say != nil {
		c.sock.SetWriteDeadline(time.Now().Add(time.Second))
		c.sock.Write(say) // what it can't be told is in the log
		c.sock.(interface{ CloseWrite() error }).CloseWrite()
		c.sock.SetReadDeadline(time.Now().Add(time.Second))
		io.Copy(io.Discard, io.LimitReader(c.sock, smallFrame)) // closing with bytes unread would take back what was said
	}
	return fmt.Errorf("the first bytes %q are no Kafka request but look like %s", head[:], what)
}
