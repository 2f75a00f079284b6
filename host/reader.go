// SPDX-License-Identifier: Apache-2.0

package host

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// reader is what a client sends, buffered like a bufio.Reader with room for smallFrame bytes. It has a buffer only while there are
// bytes in it or about to come: thousands of clients may be connected of which few send anything just now.
type reader struct {
	sock net.Conn
	raw  syscall.RawConn // nil: the buffer is kept while it waits
	tls  *secured        // or nil: likewise
	try  func(fd uintptr) bool

	buf        *[smallFrame]byte // nil: there is none
	start, end int               // of the bytes in it
	got        int               // by try
	err        error             // the same
}

var readBuffers = sync.Pool{New: func() any { return new([smallFrame]byte) }}

func newReader(sock net.Conn) *reader {
	r := &reader{sock: sock}
	r.tls, _ = sock.(*secured)
	if tcp, ok := sock.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			r.raw, r.try = raw, r.readReady
		}
	}
	return r
}

// Buffered is how many bytes are in the buffer.
func (r *reader) Buffered() int { return r.end - r.start }

// Peek returns the next n bytes, at most smallFrame, and leaves them in the buffer.
func (r *reader) Peek(n int) ([]byte, error) {
	for r.Buffered() < n {
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
	return r.buf[r.start : r.start+n], nil
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if r.Buffered() == 0 {
		if len(p) >= smallFrame {
			r.free()
			return r.sock.Read(p)
		}
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.buf[r.start:r.end])
	r.start += n
	return n, nil
}

// fill adds what is there to the buffer, and waits if that is nothing.
func (r *reader) fill() error {
	if r.Buffered() == 0 && r.raw != nil {
		return r.fillEmpty()
	}
	if r.Buffered() == 0 && r.tls != nil && !r.tls.bytesHere() {
		if done, err := r.fillSecured(); done {
			return err
		}
	}
	r.take()
	if r.start > 0 {
		r.end = copy(r.buf[:], r.buf[r.start:r.end])
		r.start = 0
	}
	n, err := r.sock.Read(r.buf[r.end:])
	r.end += n
	if n > 0 {
		return nil
	}
	return err
}

// fillEmpty does so without a buffer while it waits.
func (r *reader) fillEmpty() error {
	r.got, r.err = 0, nil
	if err := r.raw.Read(r.try); err != nil {
		return err
	}
	switch {
	case r.err != nil:
		r.free()
		return &net.OpError{Op: "read", Net: "tcp", Source: r.sock.LocalAddr(), Addr: r.sock.RemoteAddr(), Err: os.NewSyscallError("read", r.err)}
	case r.got == 0:
		r.free()
		return io.EOF
	}
	r.start, r.end = 0, r.got
	return nil
}

// fillSecured does the same as fillEmpty for TLS, as far as there is nothing to be decrypted. If it isn't done, a record has begun
// to come.
func (r *reader) fillSecured() (done bool, err error) {
	r.take()
	n, err := r.tls.readNow(r.buf[:])
	if r.start, r.end = 0, n; n > 0 {
		return true, nil
	}
	r.free()
	if err == nil {
		err = r.tls.waitForBytes()
	}
	return err != nil, err
}

// readReady reads into the buffer; false if nothing is there, and then there is no buffer.
func (r *reader) readReady(fd uintptr) bool {
	r.take()
	r.start, r.end = 0, 0
	r.got, r.err = readNow(fd, r.buf[:])
	if r.err == syscall.EAGAIN {
		r.free()
		return false
	}
	return true
}

// take takes a buffer, if there is none.
func (r *reader) take() {
	if r.buf == nil {
		r.buf = readBuffers.Get().(*[smallFrame]byte)
	}
}

// free gives the buffer to others, and forgets what is in it.
func (r *reader) free() {
	if r.buf != nil {
		readBuffers.Put(r.buf)
		r.buf, r.start, r.end = nil, 0, 0
	}
}
