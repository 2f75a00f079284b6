// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package rig

import "syscall"

// Aside is the command of a process that runs as if it had a machine of its own: with the lowest priority.
func Aside(command ...string) []string {
	return append([]string{"nice", "-n", "19"}, command...)
}

// childAttr puts a broker into a process group of its own, so that Ctrl-C reaches only the test.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
