// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package rig

import "syscall"

// childAttr puts a broker into a process group of its own, so that Ctrl-C reaches only the test.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
