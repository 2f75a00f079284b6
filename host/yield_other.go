// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package host

import "runtime"

// giveWay lets other goroutines that are ready run first.
func giveWay() { runtime.Gosched() }
