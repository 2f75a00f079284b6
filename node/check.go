// SPDX-License-Identifier: Apache-2.0

package node

import "fmt"

// A broker keeps much beside the truth, so that it needn't look: sums, lists of what is to be done, flags, indexes. One that
// drifts from what it summarises is a bug that nobody may notice for days. So each type that has some has a method check,
// which works it out again from the truth and says how the two differ. It states the invariant of each such field.
//
// What costs nothing (checkCounts) is checked after every step, in production too. The simulator also checks the groups that
// a step changed, and after some of the steps everything. An operator can have everything checked once (GET /check).

// differ reports a number that is not what it counts.
func differ(what string, counted, there int64) error {
	if counted == there {
		return nil
	}
	return fmt.Errorf("%s: counted %d, there are %d", what, counted, there)
}

// bounded reports a number that is below 0 or above what it can be.
func bounded(what string, counted, most int64) error {
	if counted >= 0 && counted <= most {
		return nil
	}
	return fmt.Errorf("%s: counted %d, there can be 0 to %d", what, counted, most)
}

// broken reports an invariant that doesn't hold.
func broken(holds bool, what string) error {
	if holds {
		return nil
	}
	return fmt.Errorf("it doesn't hold that %s", what)
}
