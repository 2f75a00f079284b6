// SPDX-License-Identifier: Apache-2.0

package host

import "runtime"

// inBackground runs f on a thread of its own that steps aside for all others: it computes for long, and what waits for
// a CPU meanwhile is woken for microseconds, but many times on the way of one record.
func inBackground(f func()) {
	runtime.LockOSThread() // and never unlocked, so the thread ends with the goroutine
	stepAside()
	f()
}
