// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net"
	"syscall"
	"time"
)

// tcpUserTimeout is Linux's TCP_USER_TIMEOUT (tcp(7)), in milliseconds.
const tcpUserTimeout = 18

// giveUpAfter ends a connection whose other end does not confirm what was sent for that long.
// Otherwise TCP would try for a quarter of an hour, and ever more rarely: after a network trouble of a
// minute it might take another until the next try.
func giveUpAfter(sock net.Conn, d time.Duration) {
	raw, err := sock.(*net.TCPConn).SyscallConn()
	if err != nil {
		return // closed already
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(d.Milliseconds())) // a hint
	})
}
