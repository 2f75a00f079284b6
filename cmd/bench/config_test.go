// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestFlagsBecomeTheConfig(t *testing.T) {
	got, err := parseFlags(strings.Split("produce-consume --brokers a:1,b:2 --topic t --partitions 6 --replication-factor 3"+
		" --clients own --async 5 --message-size 100 --duration 1m --warmup-duration 0s --acks 1 --compression zstd --linger-ms 5"+
		" --rate-limit 1000 --timeout 4s --validate --progressive 1,8 --json-output j --csv-output c", " "))
	if err != nil {
		t.Fatal(err)
	}
	want := config{
		Mode: modeProduceConsume, Brokers: []string{"a:1", "b:2"}, Topic: "t", Partitions: 6, Replicas: 3,
		Concurrency: 16, Clients: "own", Async: 5, MessageSize: 100, Duration: time.Minute, Acks: "1", Compression: "zstd",
		LingerMs: 5, Rate: 1000, Timeout: 4 * time.Second, Validate: true, TransactionRecords: 10, Progressive: []int{1, 8}, jsonFile: "j", csvFile: "c",
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(config{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// `--server-pids "$(cat dir/*/pid)"` is a list with line ends.
func TestServerPIDsMayBeLines(t *testing.T) {
	got, err := parseFlags([]string{"produce", "--server-pids", "12\n13\n 14,15"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{12, 13, 14, 15}, got.ServerPIDs, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWrongUseIsExplained(t *testing.T) {
	for args, want := range map[string]string{
		"--duration 1s":                             "the mode is missing; begin with one of produce, consume",
		"write":                                     `there is no mode "write"; use one of produce,`,
		"produce extra":                             `unexpected argument "extra"`,
		"produce --sise 3":                          "-sise",
		"produce --duration ten":                    `"ten"`,
		"produce --duration 0s":                     "--duration and --timeout must be above 0",
		"produce --acks 2":                          "--acks 2: use all, 1 or 0",
		"produce --compression lzma":                "--compression lzma: use none, gzip",
		"produce --clients many":                    "--clients many: use shared or own",
		"produce --concurrency 0":                   "must be at least 1",
		"produce --progressive 1,0":                 "must be at least 1",
		"produce --progressive 1,x":                 `"x" is not a whole number`,
		"produce --progressive ,":                   "the list is empty",
		"produce --progressive 1,2 --concurrency 3": "leave --concurrency out",
		"produce --message-size 31":                 "--message-size 31: use 32",
		"produce --rate-limit -1":                   "must not be negative",
		"produce --brokers ,":                       "--brokers is empty",
		"consume --acks 1":                          "--acks has no effect in mode consume",
		"metadata --validate":                       "--validate has no effect in mode metadata",

		"produce --transaction-records 5":                      "--transaction-records needs --transactional-id",
		"produce --transactional-id a --async 2":               "a producer has one transaction at a time",
		"produce-consume --transactional-id a":                 "use mode produce",
		"produce --transactional-id a --transaction-records 0": "--transaction-records must be at least 1",
	} {
		_, err := parseFlags(strings.Fields(args))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", args, err, want)
		}
	}
}

// A flag that a mode refuses must exist, or a renamed flag would be accepted in silence.
func TestModesRefuseFlagsThatExist(t *testing.T) {
	fs := newFlags(new(config))
	for _, m := range modes {
		for _, name := range m.without {
			if fs.Lookup(name) == nil {
				t.Errorf("mode %s refuses --%s, which does not exist", m.name, name)
			}
		}
	}
}

func TestHelpListsModesAndFlags(t *testing.T) {
	for _, args := range []string{"", "help", "--help", "produce -h"} {
		if _, err := parseFlags(strings.Fields(args)); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("%q: %v, want help", args, err)
		}
	}
	var out, errs strings.Builder
	if code := run(t.Context(), []string{"help"}, &out, &errs, nil); code != exitClean || errs.Len() > 0 {
		t.Errorf("exit code %d, %q", code, errs.String())
	}
	for _, want := range []string{"round-trip", "-rate-limit", "-validate", "Exit codes"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("help does not mention %s:\n%s", want, out.String())
		}
	}
	if code := run(t.Context(), []string{"write"}, &out, &errs, nil); code != exitUsage || !strings.Contains(errs.String(), "bench help") {
		t.Errorf("wrong use: exit code %d, %q", code, errs.String())
	}
}
