// SPDX-License-Identifier: Apache-2.0

package host

import (
	"syscall"
	"time"
	"unsafe"
)

// Linux's CLOCK_PROCESS_CPUTIME_ID and CLOCK_THREAD_CPUTIME_ID (clock_gettime(2)).
const (
	clockProcessCPU = 2
	clockThreadCPU  = 3
)

// processTime is the CPU time that all threads of the process have used.
func processTime() time.Duration { return cpuTime(clockProcessCPU) }

// threadTime is the CPU time that the calling thread has used.
func threadTime() time.Duration { return cpuTime(clockThreadCPU) }

func cpuTime(clock uintptr) time.Duration {
	var t syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&t)), 0)
	return time.Duration(t.Nano())
}
