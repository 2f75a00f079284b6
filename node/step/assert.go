// SPDX-License-Identifier: Apache-2.0

package step

import "fmt"

// Assert panics if an invariant of the node is broken. The text states the invariant, not the
// symptom. Brokers in production run with it: a broker that is wrong must stop.
func Assert(ok bool, invariant string, args ...any) {
	if !ok {
		panic("broken invariant: " + fmt.Sprintf(invariant, args...))
	}
}
