// SPDX-License-Identifier: Apache-2.0

package rig

import "syscall"

// childAttr has a broker killed when the process dies that started it, so that a test which is
// interrupted leaves none behind.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
