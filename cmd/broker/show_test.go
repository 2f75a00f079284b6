// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What config prints names the place of each value, and is a configuration that means the same.
func TestShowConfig(t *testing.T) {
	t.Setenv("CHRONIK_DEFAULT_REPLICAS", "2")
	file := writeFile(t, "broker.toml", `dir = "/data"
cluster_id = "c"
broker_id = 2
memory = "512MiB"
members = [ { id = 1, kafka = "127.0.0.1:1", peer = "127.0.0.1:2" }, { id = 2, kafka = "127.0.0.1:3", peer = "127.0.0.1:4", rack = "r" } ]
[[listeners]]
name = "outside"
listen = "127.0.0.1:9099"
advertise = "outside:9099"
max_connections = 100`)
	code, said, errs := ran("config", "-config", file, "-default-partitions", "3")
	if code != exitClean {
		t.Fatalf("%d %s", code, errs)
	}
	for _, line := range []string{
		"memory = \"512MiB\"  # " + file + ":4\n",
		"default_replicas = 2  # CHRONIK_DEFAULT_REPLICAS\n",
		"default_partitions = 3  # -default-partitions\n",
		"# hot_bytes = \"64MiB\"  follows from other settings\n",
		"# segment_bytes = \"64MiB\"  default\n",
		"[[members]]  # " + file + ":5\nid = 2\nkafka = \"127.0.0.1:3\"\npeer = \"127.0.0.1:4\"\nrack = \"r\"\n",
		"[[listeners]]  # " + file + ":6\nadvertise = \"outside:9099\"\nlisten = \"127.0.0.1:9099\"\nmax_connections = 100\nname = \"outside\"\n",
	} {
		if !strings.Contains(said, line) {
			t.Errorf("no %q in\n%s", line, said)
		}
	}
	code, again, errs := ran("config", "-config", writeFile(t, "printed.toml", said))
	if code != exitClean {
		t.Fatalf("%d %s", code, errs)
	}
	if diff := cmp.Diff(withoutPlaces(said), withoutPlaces(again)); diff != "" {
		t.Errorf("what is printed means something else (-first +again):\n%s", diff)
	}
	if code, _, errs := ran("config", "-broker-id", "-1"); code != exitUsage || !strings.Contains(errs, "broker") {
		t.Errorf("%d %s", code, errs)
	}
}

// withoutPlaces drops where values came from.
func withoutPlaces(said string) (lines []string) {
	for line := range strings.Lines(said) {
		value, _, _ := strings.Cut(strings.TrimSpace(line), "  ")
		lines = append(lines, value)
	}
	return lines
}
