// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// showConfig prints every setting as a broker would run with it, and where its value came from. What it prints is a
// configuration file; what nobody has set is a comment there.
func showConfig(args []string, stdout, stderr io.Writer) error {
	s, err := loadSettings(args, os.Environ(), stderr)
	if err != nil {
		return wrongUse{err}
	}
	if _, err := s.hostConfigs(); err != nil {
		return wrongUse{err}
	}
	s.flags.VisitAll(func(f *flag.Flag) {
		switch key := keyOf(f.Name); {
		case f.Name == "config":
		case s.given[key] != "":
			fmt.Fprintf(stdout, "%s = %s  # %s\n", key, tomlValue(f), strings.TrimSuffix(s.given[key], ": "+key))
		case f.Value.String() != f.DefValue:
			fmt.Fprintf(stdout, "# %s = %s  follows from other settings\n", key, tomlValue(f))
		default:
			fmt.Fprintf(stdout, "# %s = %s  default\n", key, tomlValue(f))
		}
	})
	for _, m := range s.Members {
		fmt.Fprintf(stdout, "\n[[members]]  # %s\nid = %d\nkafka = %q\npeer = %q\n", cmp.Or(strings.TrimSuffix(m.at, ": [[members]]"), "this broker"), m.ID, m.Kafka, m.Peer)
		if m.Rack != "" {
			fmt.Fprintf(stdout, "rack = %q\n", m.Rack)
		}
		if m.Machine != "" {
			fmt.Fprintf(stdout, "machine = %q\n", m.Machine)
		}
	}
	for _, l := range s.Listeners {
		fmt.Fprintf(stdout, "\n[[listeners]]  # %s\n", strings.TrimSuffix(l.at, ": [[listeners]]"))
		fields, numbers := l.fields(), l.numbers()
		for _, key := range slices.Sorted(maps.Keys(l.given)) {
			if n := numbers[key]; n != nil {
				fmt.Fprintf(stdout, "%s = %d\n", key, *n)
			} else {
				fmt.Fprintf(stdout, "%s = %q\n", key, *fields[key])
			}
		}
	}
	return nil
}

// tomlValue writes a setting's value as in a configuration file.
func tomlValue(f *flag.Flag) string {
	value := f.Value.String()
	if _, err := strconv.ParseInt(value, 10, 64); err == nil || value == "true" || value == "false" {
		return value
	}
	return strconv.Quote(value)
}
