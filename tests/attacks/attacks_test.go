// SPDX-License-Identifier: Apache-2.0

package main

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// The short form of `go run ./tests/attacks`. Other tests run beside it on the same CPUs, so the bounds of the polite
// producer and of the longest step are loose.
func TestNobodyStopsABroker(t *testing.T) {
	if testing.Short() {
		t.Skip("attacks real processes for about half a minute")
	}
	var out strings.Builder
	err := runAll(t.Context(), options{
		run: regexp.MustCompile(""), quick: true, quiet: time.Second, each: 4 * time.Second,
		step: 50 * time.Millisecond, times: 3, floor: 2 * time.Second, memory: memoryBudget, port: 23492, dir: t.TempDir(),
	}, &out)
	t.Log("\n" + out.String())
	if err != nil {
		t.Error(err)
	}
}
