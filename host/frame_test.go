// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"testing"
)

// A buffer that grows keeps what has arrived, wherever the last stint ends.
func TestGrow(t *testing.T) {
	for _, n := range []int{0, 1, stint - 1, stint, stint + 1, 3*stint + 5} {
		frame := make([]byte, n)
		for i := range frame {
			frame[i] = byte(i*7 + i>>10)
		}
		grown := grow(frame, 2*n+1)
		if len(grown) != 2*n+1 || !bytes.Equal(grown[:n], frame) || !bytes.Equal(grown[n:], make([]byte, n+1)) {
			t.Errorf("%d bytes did not stay as they were", n)
		}
	}
}
