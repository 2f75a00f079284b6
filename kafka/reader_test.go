// SPDX-License-Identifier: Apache-2.0

package kafka

import "testing"

// TestUvarint takes what has 32 bits in at most five bytes, and nothing else.
func TestUvarint(t *testing.T) {
	for _, c := range []struct {
		bytes string
		want  int
		bad   bool
	}{
		{"00", 0, false},
		{"7f", 127, false},
		{"8001", 128, false},
		{"ffffffff0f", 1<<32 - 1, false},
		{"8080808010", 0, true},   // 33 bits
		{"808080808000", 0, true}, // 0 in six bytes
		{"80", 0, true},
		{"", 0, true},
	} {
		r := &reader{b: unhex(c.bytes)}
		if got := r.uvarint(); got != c.want || r.bad != c.bad {
			t.Errorf("%s is %d, bad %v; want %d, %v", c.bytes, got, r.bad, c.want, c.bad)
		}
	}
}
