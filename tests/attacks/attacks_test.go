// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestMain lets this program be the attacker's process, too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == strikeCommand {
		os.Exit(strike(context.Background(), os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

// The short form of `go run ./tests/attacks`: some of each kind, with fewer names. Other tests run beside it on the
// same CPUs, so the bounds of the polite producer and of the longest step are loose.
func TestNobodyStopsABroker(t *testing.T) {
	if testing.Short() {
		t.Skip("attacks real processes for about a minute")
	}
	var out strings.Builder
	err := runAll(t.Context(), options{
		run: regexp.MustCompile(""), quick: true, once: true, quiet: time.Second, windows: 1, each: 3 * time.Second,
		step: 100 * time.Millisecond, times: 3, floor: 2 * time.Second, memory: memorySetting, port: 23492, dir: t.TempDir(),
	}, &out)
	t.Log("\n" + out.String())
	if err != nil {
		t.Error(err)
	}
}
