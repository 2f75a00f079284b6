// SPDX-License-Identifier: Apache-2.0

package main

import "syscall"

// childAttr puts a broker of a local cluster into a process group of its own, so that Ctrl-C
// reaches only the parent, which then stops all in order; and has it stopped if the parent dies.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
