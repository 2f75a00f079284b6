// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"bytes"
	"strconv"

	"chronik/checker"
	"chronik/sim/keyed"
	"chronik/sim/plan"
)

// What records hold, so that whoever reads one knows which call wrote it, and that no byte has changed.

// recordID is the unique content of the i-th record of a call.
func recordID(call, i int) checker.RecordID { return checker.RecordID(call)<<20 | checker.RecordID(i) }

// keyOf is the key of a record in a topic with so many.
func keyOf(id checker.RecordID, keys int) int { return int(keyed.Mix(uint64(id)) % uint64(keys)) }

// keyBytes spells it.
func keyBytes(id checker.RecordID, keys int) []byte {
	return strconv.AppendInt(nil, int64(keyOf(id, keys)), 10)
}

// value spells a record: its id in 16 hexadecimal digits, over and over.
func value(id checker.RecordID, size int) []byte {
	const digits = "0123456789abcdef"
	v := make([]byte, size)
	for i := range min(size, plan.MinValue) {
		v[i] = digits[uint64(id)>>(60-4*i)&15]
	}
	for n := plan.MinValue; n < size; n *= 2 { // doubles what is there
		copy(v[n:], v[:n])
	}
	return v
}

// parseValue is the inverse of value; false if any byte is not what was sent.
func parseValue(v []byte) (checker.RecordID, bool) {
	if len(v) < plan.MinValue {
		return 0, false
	}
	id, err := strconv.ParseUint(string(v[:plan.MinValue]), 16, 64)
	return checker.RecordID(id), err == nil && bytes.Equal(v[plan.MinValue:], v[:len(v)-plan.MinValue])
}
