// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net"
	"runtime"
	"syscall"
)

// gate bounds how many goroutines copy bytes to clients at the same time. Go's scheduler has no priorities. Without the
// gate, each goroutine that handles a small request would wait until all those that copy have had their turn, one for
// each client that fetches much. So those wait here, and leave threads to the others.
type gate chan struct{}

func newGate() gate { return make(gate, max(1, runtime.GOMAXPROCS(0)-2)) }

// write writes pieces of a stint. It keeps nobody waiting for a client that takes nothing.
func (g gate) write(c net.Conn, pieces net.Buffers) error {
	tcp, ok := c.(*net.TCPConn)
	if g == nil || !ok {
		_, err := pieces.WriteTo(c)
		return err
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	for len(pieces) > 0 {
		var n int
		var failed error
		err := raw.Write(func(fd uintptr) (done bool) {
			g <- struct{}{}
			n, failed = writeNow(int(fd), pieces)
			<-g
			return failed != syscall.EAGAIN
		})
		if err != nil {
			return err
		}
		if failed != nil {
			return &net.OpError{Op: "write", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: failed}
		}
		pieces = after(pieces, n)
	}
	return nil
}

// after returns what is left of pieces after n bytes.
func after(pieces net.Buffers, n int) net.Buffers {
	for len(pieces) > 0 && n >= len(pieces[0]) {
		n -= len(pieces[0])
		pieces = pieces[1:]
	}
	if n > 0 {
		pieces[0] = pieces[0][n:]
	}
	return pieces
}
