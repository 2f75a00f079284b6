// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"strconv"
	"strings"

	"chronik/checker"
	"chronik/sim/keyed"
	"chronik/sim/plan"
)

// What records hold, so that whoever reads one knows which call wrote it, and that no byte has changed.

// recordID is the unique content of the i-th record of a call.
func recordID(call, i int) checker.RecordID { return checker.RecordID(call)<<20 | checker.RecordID(i) }

// keyOf is the key of a record in a topic with so many.
func keyOf(id checker.RecordID, keys int) int { return int(keyed.Mix(uint64(id)) % uint64(keys)) }

// value spells a record: its id in 16 hexadecimal digits, over and over.
func value(id checker.RecordID, size int) []byte {
	text := fmt.Sprintf("%016x", uint64(id))
	return []byte(strings.Repeat(text, size/len(text)+1)[:size])
}

// parseValue is the inverse of value; false if any byte is not what was sent.
func parseValue(v []byte) (checker.RecordID, bool) {
	if len(v) < plan.MinValue {
		return 0, false
	}
	id, err := strconv.ParseUint(string(v[:plan.MinValue]), 16, 64)
	for i := plan.MinValue; i < len(v) && err == nil; i++ {
		if v[i] != v[i-plan.MinValue] {
			return 0, false
		}
	}
	return checker.RecordID(id), err == nil
}
