// SPDX-License-Identifier: Apache-2.0

package sasl

import (
	"fmt"
	"testing"
)

// BenchmarkMatches is what a login by PLAIN costs.
func BenchmarkMatches(b *testing.B) {
	for _, h := range []Hash{SHA256, SHA512} {
		for _, iterations := range []int{MinIterations, MaxIterations} {
			b.Run(fmt.Sprintf("%s/%d", h.Mechanism(), iterations), func(b *testing.B) {
				c := Unknown([]byte("key"), "user", h, iterations)
				for b.Loop() {
					if c.Matches("password") {
						b.Fatal("a password was guessed")
					}
				}
			})
		}
	}
}
