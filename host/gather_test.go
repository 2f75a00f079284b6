// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"io"
	"net"
	"testing"

	"pgregory.net/rapid"
)

// Whatever is laid out arrives as it is, and in order: small frames and large ones, in one system call or in
// stints.
func TestGatherWritesWhatWasLaidOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var g gather
		for range 2 { // it is empty again after a write
			var want []byte
			for i, size := range rapid.SliceOfN(rapid.SampledFrom([]int{0, 1, copyBelow - 1, copyBelow, stint - 1, stint, stint + 1, 3*stint + 7}), 1, 6).Draw(t, "sizes") {
				frame := bytes.Repeat([]byte{byte(i + 1)}, size)
				g.bytes(frame)
				want = append(want, frame...)
			}
			near, far := net.Pipe()
			go func() {
				_ = g.writeTo(near)
				near.Close()
			}()
			if got, err := io.ReadAll(far); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes arrived, %v, want %d", len(got), err, len(want))
			}
		}
	})
}
