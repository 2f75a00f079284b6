// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"
)

// The short form of `go run ./tests/killround`: real processes, real SIGKILLs, a real client.
func TestNothingAcknowledgedIsLostWhenBrokersAreKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills real processes for about 15 s")
	}
	var out strings.Builder
	err := run(t.Context(), options{
		rounds: 2, brokers: 3, partitions: 3, producers: 3, rate: 3000, size: 100,
		down: 1500 * time.Millisecond, settle: time.Second, maxGap: 5 * time.Second, metadataAge: 100 * time.Millisecond,
		port: 23092, dir: t.TempDir(),
	}, &out)
	t.Log("\n" + out.String())
	if err != nil {
		t.Error(err)
	}
}
