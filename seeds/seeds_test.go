// SPDX-License-Identifier: Apache-2.0

// Package seeds keeps plans of simulated runs, one a file: those that once found a bug, and those
// that find a bug which was planted for the purpose. docs/SIMULATOR.md says how to add one.
package seeds

import (
	"os"
	"path/filepath"
	"testing"

	"chronik/sim"
	"chronik/sim/plan"
)

// TestKeptPlans replays the folder.
func TestKeptPlans(t *testing.T) {
	files, err := filepath.Glob("*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no kept plans: %v", err)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p, err := plan.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			if p.Why == "" || p.Commit == "" {
				t.Error("say in the plan why it is kept and at which commit it was found")
			}
			if r := sim.Run(p, sim.Options{}); r.Failure != nil {
				t.Errorf("%v\n%s\nsee it with: go run ./cmd/simrun replay seeds/%s -trace trace.txt", r.Failure, r.Failure.Stack, file)
			}
		})
	}
}
