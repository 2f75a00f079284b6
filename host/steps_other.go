// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package host

import "time"

// threadTime isn't known here; a step's CPU time is then 0.
func threadTime() time.Duration { return 0 }

// processTime isn't known either; the clock stands for it.
func processTime() time.Duration { return time.Since(loaded) }

var loaded = time.Now()
