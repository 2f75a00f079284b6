// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// The table shows medians, and how this broker's rate compares with a peer's; what failed is told and not counted.
func TestComparisonTable(t *testing.T) {
	var out bytes.Buffer
	c := comparison{out: &out}
	add := func(peer string, perSecond float64) {
		c.results = append(c.results, compared{peer: peer, shape: "128 callers", perSecond: perSecond, latency: map[string]float64{"p50": 2, "p99": 12}, cpu: 20, rss: 100 << 20})
	}
	add("chronik", 300)
	add("chronik", 100)
	add("chronik", 200)
	add("kafka", 50)
	add("kafka", 150)
	c.results = append(c.results, compared{peer: "kafka", shape: "128 callers", round: 2, err: errors.New("it burns")})
	c.print([]peer{{name: "chronik"}, {name: "kafka"}, {name: "nats"}})
	for _, want := range []string{
		"**128 callers**",
		"| chronik | 3 | 200, 100, 300 | 2.00 | 12 | 0.00 | 0.00 | 20.00 | 100 | 1.00 |",
		"| kafka | 2 | 100, 50, 150 |", "| 2.00 |\n",
		"FAILED, kafka, round 3: it burns",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "nats") || strings.Contains(out.String(), "lone") {
		t.Errorf("rows or shapes that nobody measured:\n%s", &out)
	}
}
