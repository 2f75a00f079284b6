// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"
)

// The short form of `go run ./tests/partitions`.
func TestPartitionsAreMeasured(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real processes for about 20 s")
	}
	var out strings.Builder
	if err := run(t.Context(), options{numbers: []int{0, 50}, idle: time.Second, port: 23492}, &out); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + out.String())
	if rows := strings.Count(out.String(), "\n"); rows != 3 {
		t.Errorf("%d lines", rows)
	}
}
