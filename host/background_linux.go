// SPDX-License-Identifier: Apache-2.0

package host

import (
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// A thread in the background has a niceness of aside above that of the others, and a slice of asideSlice. Since Linux 6.12 a
// thread that wakes up takes the CPU at once from one with a longer slice; with equal ones it waits until that has used up
// its own, however nice it is. Both are moderate: on a busy machine such a thread still gets a share, and soon comes to
// where the collector may stop it, for which all others wait.
const (
	aside      = 10
	asideSlice = 10 * time.Millisecond // the kernel's own are 0.7 to 3 ms
)

// schedAttr is Linux's struct sched_attr (sched_setattr(2)).
type schedAttr struct {
	size, policy              uint32
	flags                     uint64
	nice                      int32
	priority                  uint32
	runtime, deadline, period uint64
}

// stepAside lowers the calling thread. Where that can't be done all threads are equal, as before.
func stepAside() {
	const schedOther = 0
	policy, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETSCHEDULER, 0, 0, 0)
	if errno != 0 || policy != schedOther {
		return // an operator chose something else
	}
	prio, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		return
	}
	nice := min(20-prio+aside, 19) // the system call tells 20 less the niceness
	attr := schedAttr{policy: schedOther, nice: int32(nice), runtime: uint64(asideSlice)}
	attr.size = uint32(unsafe.Sizeof(attr))
	if call := setAttrCall(); call != 0 {
		if _, _, errno := syscall.RawSyscall(call, 0, uintptr(unsafe.Pointer(&attr)), 0); errno == 0 {
			return
		}
	}
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, nice)
}

// setAttrCall is the number of sched_setattr(2), which package syscall doesn't know.
func setAttrCall() uintptr {
	switch runtime.GOARCH {
	case "amd64":
		return 314
	case "arm64", "riscv64", "loong64":
		return 274
	}
	return 0
}
