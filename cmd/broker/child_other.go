// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

import "syscall"

// childAttr puts a broker of a local cluster into a process group of its own, so that Ctrl-C
// reaches only the parent, which then stops all in order.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
