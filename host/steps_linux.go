// SPDX-License-Identifier: Apache-2.0

package host

import (
	"syscall"
	"time"
	"unsafe"
)

// clockThreadCPU is Linux's CLOCK_THREAD_CPUTIME_ID (clock_gettime(2)).
const clockThreadCPU = 3

// threadTime is the CPU time that the calling thread has used.
func threadTime() time.Duration {
	var t syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockThreadCPU, uintptr(unsafe.Pointer(&t)), 0)
	return time.Duration(t.Nano())
}
