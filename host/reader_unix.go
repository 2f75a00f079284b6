// SPDX-License-Identifier: Apache-2.0

//go:build unix

package host

import "syscall"

// readNow reads what a socket has now.
func readNow(fd uintptr, p []byte) (int, error) {
	for {
		if n, err := syscall.Read(int(fd), p); err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}
