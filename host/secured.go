// SPDX-License-Identifier: Apache-2.0

package host

import (
	"crypto/tls"
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// secured is a connection with TLS. It does what crypto/tls leaves open: a connection that waits has no buffers, answers go out with
// few system calls, and to close it waits for nobody.
type secured struct {
	*tls.Conn
	records *records
	more    bool // the last Read may have left something of its record

	turn sync.Mutex // of writeAll
}

// secure makes a connection of sock, of which make makes the TLS. Whoever begins shakes hands.
func secure(sock net.Conn, config *tls.Config, end func(net.Conn, *tls.Config) *tls.Conn) *secured {
	r := &records{Conn: sock, in: newReader(sock)}
	return &secured{Conn: end(r, config), records: r}
}

// records is what lies under TLS: the encrypted bytes. It gives them out one record at a time, so that what hasn't been given
// out is known to be here, and not in a buffer of crypto/tls.
type records struct {
	net.Conn
	in     *reader
	header [recordHead]byte // of the present record
	have   int              // bytes of it
	left   int              // of the present record, after the header
	empty  bool             // Read gives nothing
	turn   *turn            // of the handshake that is under way with a client; nil: none is

	mu      sync.Mutex
	holding bool
	held    []byte          // that was written and not sent
	pooled  *[heldRoom]byte // held begins in it; nil: in a buffer of its own

	closing atomic.Bool
}

const (
	recordHead = 5
	// heldBytes is how much is encrypted before it is sent.
	heldBytes = stint / 2
	heldRoom  = heldBytes + heldBytes/16
)

// errNothingYet says that no byte is here. crypto/tls goes on after it.
type errNothingYet struct{}

func (errNothingYet) Error() string   { return "nothing has come yet" }
func (errNothingYet) Timeout() bool   { return true }
func (errNothingYet) Temporary() bool { return true }

// Read implements net.Conn.
func (s *secured) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	s.more = n == len(p)
	return n, err
}

// readNow reads what is left of the last record.
func (s *secured) readNow(p []byte) (int, error) {
	if !s.more {
		return 0, nil
	}
	s.records.empty = true
	n, err := s.Read(p)
	s.records.empty = false
	if _, nothing := err.(errNothingYet); nothing {
		return n, nil
	}
	return n, err
}

// waitForBytes waits for the first byte of a record, without a buffer meanwhile.
func (s *secured) waitForBytes() error {
	if s.bytesHere() {
		return nil
	}
	return s.records.in.fill()
}

// bytesHere says whether a record has begun to come.
func (s *secured) bytesHere() bool { return s.records.have > 0 || s.records.in.Buffered() > 0 }

// Read implements net.Conn.
func (r *records) Read(p []byte) (int, error) {
	if r.empty {
		return 0, errNothingYet{}
	}
	limit := r.left
	if r.have < recordHead {
		limit = recordHead - r.have
	}
	if err := r.waitTurn(); err != nil {
		return 0, err
	}
	n, err := r.in.Read(p[:min(len(p), limit)])
	if r.have < recordHead {
		if r.have += copy(r.header[r.have:], p[:n]); r.have == recordHead {
			r.left = int(binary.BigEndian.Uint16(r.header[3:]))
		}
	} else {
		r.left -= n
	}
	if r.have == recordHead && r.left == 0 {
		r.have = 0
	}
	return n, err
}

// waitTurn waits for bytes of a handshake, if none are here, and then for a turn to go on with it.
func (r *records) waitTurn() error {
	if r.turn == nil || r.in.Buffered() > 0 {
		return nil
	}
	r.turn.give()
	if err := r.in.fill(); err != nil {
		return err
	}
	if !r.turn.take(true) {
		return net.ErrClosed
	}
	return nil
}

// Write implements net.Conn.
func (r *records) Write(p []byte) (int, error) {
	if r.closing.Load() {
		return r.tryWrite(p)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.holding {
		return r.Conn.Write(p)
	}
	r.held = append(r.held, p...)
	return len(p), nil
}

// tryWrite sends as much as the other end takes now, if all that was written before is sent.
func (r *records) tryWrite(p []byte) (n int, err error) {
	if r.in.raw == nil || !r.mu.TryLock() {
		return 0, net.ErrClosed
	}
	defer r.mu.Unlock()
	if r.holding {
		return 0, net.ErrClosed
	}
	failed := r.in.raw.Write(func(fd uintptr) bool {
		n, err = syscall.Write(int(fd), p)
		return true
	})
	if failed != nil {
		return 0, failed
	}
	return max(n, 0), err
}

// hold keeps what is written until it is sent by send; size is how many bytes that will be, about.
func (r *records) hold(size int) {
	r.mu.Lock()
	r.holding = true
	if size >= heldBytes {
		r.pooled = heldBuffers.Get().(*[heldRoom]byte)
		r.held = r.pooled[:0]
	} else {
		r.held = make([]byte, 0, size+size/16+512)
	}
	r.mu.Unlock()
}

var heldBuffers = sync.Pool{New: func() any { return new([heldRoom]byte) }}

// send sends what is held. What is written meanwhile, which is an alert or the like, follows it.
func (r *records) send() error {
	r.mu.Lock()
	out := r.held
	r.held = nil
	r.mu.Unlock()
	_, err := r.Conn.Write(out)
	r.mu.Lock()
	r.held = append(out[:0], r.held...)
	r.mu.Unlock()
	return err
}

// release sends what is still held, and holds nothing more.
func (r *records) release() error {
	for {
		r.mu.Lock()
		if len(r.held) == 0 {
			if r.pooled != nil {
				heldBuffers.Put(r.pooled)
			}
			r.held, r.pooled, r.holding = nil, nil, false
			r.mu.Unlock()
			return nil
		}
		r.mu.Unlock()
		if err := r.send(); err != nil {
			return err
		}
	}
}

// writeAll encrypts pieces and sends them, a stint or less at a time. The gate is for the work that it is, and nobody
// waits in it for a client that takes nothing.
func (s *secured) writeAll(pieces net.Buffers, size int, gate gate) error {
	if len(pieces) == 1 && size <= copyBelow {
		_, err := s.Write(pieces[0])
		return err
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	s.records.hold(size)
	for len(pieces) > 0 {
		var err error
		if pieces, err = s.encrypt(pieces, gate); err != nil {
			return err
		}
		if err := s.records.send(); err != nil {
			return err
		}
		if len(pieces) > 0 {
			giveWay()
		}
	}
	return s.records.release()
}

// encrypt takes the next of pieces, and returns the others. Pieces are often small, such as the offset of each batch in an answer to Fetch, and
// each Write makes records of its own, which the other end takes one by one. So they are put side by side first.
func (s *secured) encrypt(pieces net.Buffers, gate gate) (net.Buffers, error) {
	if gate != nil {
		gate <- struct{}{}
		defer func() { <-gate }()
	}
	if first := pieces[0]; len(first) >= heldBytes || len(pieces) == 1 {
		n := min(len(first), heldBytes)
		_, err := s.Write(first[:n])
		return after(pieces, n), err
	}
	room := plainBuffers.Get().(*[heldBytes]byte)
	defer plainBuffers.Put(room)
	n := 0
	for len(pieces) > 0 && n < heldBytes {
		part := copy(room[n:], pieces[0])
		n += part
		pieces = after(pieces, part)
	}
	_, err := s.Write(room[:n])
	return pieces, err
}

var plainBuffers = sync.Pool{New: func() any { return new([heldBytes]byte) }}

// Close implements net.Conn. It says goodbye if that takes no time.
func (s *secured) Close() error {
	s.records.closing.Store(true)
	s.records.Conn.SetWriteDeadline(time.Now()) // ends what waits there with a lock that is needed now
	return s.Conn.Close()
}
