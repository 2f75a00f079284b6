// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"chronik/tests/rig"
)

// What Kafka 4.3.1 answered, and these brokers.
func TestKafkasRulesAtTheEdges(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real processes and asks them for some seconds")
	}
	asked := make(map[string]bool)
	for i, r := range rounds {
		if r.name == "tools" { // they want Java
			for _, a := range parse(r.recorded) {
				asked[a.name] = true
			}
			continue
		}
		ours, err := r.askNew(t.Context(), t.TempDir(), func(dir string) (cluster, error) {
			return startOurs(t.Context(), rig.Options{Dir: dir, Port: 23892 + 200*i}, r.brokers, r.secured)
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range ours {
			asked[a.name] = true
		}
		for _, line := range compare(parse(r.recorded), ours) {
			t.Error(line)
		}
	}
	for name, d := range deliberate {
		if !asked[name] || d.why == "" {
			t.Errorf("%s: a difference of a row that is none, or without a reason", name)
		}
	}
}
