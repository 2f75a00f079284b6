// SPDX-License-Identifier: Apache-2.0

package rig

import "syscall"

// Aside is the command of a process that runs as if it had a machine of its own: it gets a CPU only while
// nobody else wants it (SCHED_IDLE, see sched(7)).
func Aside(command ...string) []string {
	return append([]string{"chrt", "--idle", "0"}, command...)
}

// childAttr has a broker killed when the process dies that started it, so that a test which is
// interrupted leaves none behind.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
