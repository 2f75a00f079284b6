// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os/exec"
	"path/filepath"
	"testing"
)

// The short form of `go run ./tests/scenarios`: real processes, a real network, a real client. What is
// left out are variants of others and what takes long.
func TestScenarios(t *testing.T) {
	if testing.Short() {
		t.Skip("starts clusters of real processes for about a minute")
	}
	o := short
	o.program = filepath.Join(t.TempDir(), "broker")
	if out, err := exec.Command("go", "build", "-o", o.program, "chronik/cmd/broker").CombinedOutput(); err != nil {
		t.Fatalf("building the broker: %v\n%s", err, out)
	}
	for _, s := range scenarios {
		if s.longOnly {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			o := o
			o.dir = t.TempDir()
			text, err := s.play(t.Context(), o)
			t.Log("\n" + text)
			if errors.Is(err, errCantMount) {
				t.Skip(err)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}
