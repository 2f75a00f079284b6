// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net"
	"syscall"
	"unsafe"
)

// maxPieces is Linux's IOV_MAX.
const maxPieces = 1024

// writeNow writes as much of pieces as the socket takes now (writev(2)).
func writeNow(fd int, pieces net.Buffers) (int, error) {
	list := make([]syscall.Iovec, 0, 16)
	for _, p := range pieces[:min(len(pieces), maxPieces)] {
		if len(p) > 0 {
			v := syscall.Iovec{Base: &p[0]}
			v.SetLen(len(p))
			list = append(list, v)
		}
	}
	if len(list) == 0 {
		return 0, nil
	}
	for {
		n, _, errno := syscall.Syscall(syscall.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&list[0])), uintptr(len(list)))
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
