// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package host

import (
	"net"
	"syscall"
)

// writeNow writes as much of the first piece as the socket takes now.
func writeNow(fd int, pieces net.Buffers) (int, error) {
	for {
		if n, err := syscall.Write(fd, pieces[0]); err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}
