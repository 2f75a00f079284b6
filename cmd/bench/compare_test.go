// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestMain lets this program be bench itself, which a comparison runs for each load.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		main()
	}
	os.Exit(m.Run())
}

// The table shows medians, and how this broker's rate compares with a peer's; what failed is told and not counted.
func TestComparisonTable(t *testing.T) {
	var out bytes.Buffer
	c := comparison{out: &out}
	add := func(peer string, perSecond float64) {
		c.results = append(c.results, compared{peer: peer, shape: "128 callers", perSecond: perSecond, latency: percentiles{P50: 2000, P99: 12_000}, cpu: 20, rss: 100 << 20})
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
		"| chronik | 3 | 200, 100, 300 | 2.00 | 12.0 | 0.00 | 0.00 | 20.00 | 100 | 1.00 |",
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

func TestCompareUsage(t *testing.T) {
	for args, want := range map[string]string{
		"compare -rounds 0":  "-rounds must be at least 1",
		"compare -peers (":   "missing closing",
		"compare everything": `unexpected argument "everything"`,
	} {
		var out, said bytes.Buffer
		if code := run(context.Background(), strings.Fields(args), &out, &said, nil); code != exitUsage || !strings.Contains(said.String(), want) {
			t.Errorf("%s: code %d, %s", args, code, &said)
		}
	}
}

// A shape that others read from is measured with them.
func TestCompareOurselves(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds and starts brokers")
	}
	var out, said bytes.Buffer
	args := []string{"compare", "-peers", "^chronik$", "-shapes", "one consumer", "-rounds", "1", "-duration", "300ms", "-warmup-duration", "200ms", "-port", strconv.Itoa(21000 + os.Getpid()%8000)}
	if code := run(t.Context(), args, &out, &said, nil); code != exitClean {
		t.Fatalf("code %d\n%s%s", code, &out, &said)
	}
	for _, want := range []string{"**8 asynchronous**", "**one consumer**", "| chronik | 1 |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s%s", want, &out, &said)
		}
	}
}
