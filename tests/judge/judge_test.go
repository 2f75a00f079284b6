// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"chronik/tests/rig"
)

// What Kafka 4.3.1 answered, and this broker.
func TestKafkasRulesAtTheEdges(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real process and asks it for some seconds")
	}
	ours, err := askOurs(t.Context(), rig.Options{Dir: t.TempDir(), Port: 23892})
	if err != nil {
		t.Fatal(err)
	}
	asked := make(map[string]bool)
	for _, a := range ours {
		asked[a.name] = true
	}
	for _, line := range compare(parse(recorded), ours) {
		t.Error(line)
	}
	for name, d := range deliberate {
		if !asked[name] || d.why == "" {
			t.Errorf("%s: a difference of a row that is none, or without a reason", name)
		}
	}
}
