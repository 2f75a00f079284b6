// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"
)

// partTime is how long the next stint of a frame that has begun may take. Such a frame holds bytes of a
// budget that all connections share.
const partTime = 30 * time.Second

// readFull fills p, of a frame whose header was read. It leaves no deadline behind.
func readFull(sock net.Conn, in *bufio.Reader, p []byte) error {
	if in.Buffered() >= len(p) {
		_, err := io.ReadFull(in, p)
		return err
	}
	for len(p) > 0 {
		part := p[:min(len(p), stint)]
		p = p[len(part):]
		sock.SetReadDeadline(time.Now().Add(partTime))
		if _, err := io.ReadFull(in, part); err != nil {
			return err
		}
		if len(p) > 0 {
			giveWay()
		}
	}
	return sock.SetReadDeadline(time.Time{})
}

// listen binds a TCP address; the error says what an operator can do.
func listen(addr, what, key string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		advice := fmt.Sprintf("set %s to another address", key)
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			advice = fmt.Sprintf("free that port or set %s to another address", key)
		case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EINVAL):
			advice = fmt.Sprintf("this machine has no such address: set %s to one of its own, or to 0.0.0.0 for all", key)
		case errors.Is(err, syscall.EACCES):
			advice = fmt.Sprintf("ports below 1024 take privileges: set %s to another port", key)
		}
		return nil, fmt.Errorf("can't listen for %s: %w; %s", what, err, advice)
	}
	return l, nil
}

// acceptRate is how many connections a listener takes in a second once it has taken acceptBurst more than that. A
// connection costs tens of microseconds, refused or not, so clients that come again and again as fast as they can would use
// up the CPU. They wait in the kernel's queue instead, and so does who comes after them: 1 s behind 1,000.
const (
	acceptRate  = 1000
	acceptBurst = 1000
)

// acceptPace is when the next connection is due at acceptRate. It falls behind by at most acceptBurst connections.
type acceptPace struct{ due time.Time }

// rest is how long to wait before the next connection after one at now.
func (p *acceptPace) rest(now time.Time) time.Duration {
	const each = time.Second / acceptRate
	if earliest := now.Add(-acceptBurst * each); p.due.Before(earliest) {
		p.due = earliest
	}
	p.due = p.due.Add(each)
	return max(0, p.due.Sub(now))
}

// acceptAll calls use for each new connection until the listener is closed. Trouble such as too
// many open files is waited out.
func acceptAll(l net.Listener, lines *teller, quit <-chan struct{}, use func(net.Conn)) {
	var pace acceptPace
	for {
		sock, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			lines.tell(slog.LevelWarn, "can't accept a connection; trying again", err.Error())
			select {
			case <-quit:
				return
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		use(sock)
		time.Sleep(pace.rest(time.Now()))
	}
}

// closedBy says what the end of a connection means in a state of it, because "EOF" alone says nothing. Errors of the
// system lose the addresses in them: with a port that changes, each would be news.
func closedBy(err error, state, likely string) error {
	op, ok := errors.AsType[*net.OpError](err)
	if ok {
		err = op.Err
	}
	switch {
	case err == nil || errors.Is(err, net.ErrClosed):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("the other end said nothing for too long %s: %s", state, likely)
	case isHangup(err), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the other end closed the connection %s: %s", state, likely)
	case ok:
		return fmt.Errorf("%w, %s", err, state)
	}
	return err
}

// isHangup tells an orderly end of a connection from trouble that is worth a line.
func isHangup(err error) bool {
	for _, is := range []error{io.EOF, net.ErrClosed, io.ErrClosedPipe, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}
