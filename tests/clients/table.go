// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// features are the table's columns.
var features = append(codecs[:len(codecs):len(codecs)], "admin", "group")

// table is what came out.
type table struct {
	names    []string
	versions map[string]string
	results  map[string]map[string]error // by row and feature
}

// unavailable says that a client can't be run on this machine.
type unavailable struct{ why error }

func (u unavailable) Error() string { return u.why.Error() }

func notAvailable(err error) error { return unavailable{err} }

func newTable() *table {
	return &table{versions: make(map[string]string), results: make(map[string]map[string]error)}
}

func (t *table) version(row, version string) { t.versions[row] = version }

// set notes a result; feature "" stands for all.
func (t *table) set(row, feature string, err error) {
	if t.results[row] == nil {
		t.results[row] = make(map[string]error)
		t.names = append(t.names, row)
	}
	t.results[row][feature] = err
}

// print writes the table as Markdown, and below it why something failed. It reports whether
// something did.
func (t *table) print(w io.Writer) (failed bool) {
	fmt.Fprintf(w, "| client | version | %s |\n|---|---|%s\n", strings.Join(features, " | "), strings.Repeat("---|", len(features)))
	var reasons []string
	for _, name := range t.names {
		fmt.Fprintf(w, "| %s | %s |", name, t.versions[name])
		for _, f := range features {
			err, ran := t.results[name][f]
			if all, ok := t.results[name][""]; ok {
				err, ran = all, true
			}
			fmt.Fprintf(w, " %s |", cell(err, ran))
			if err != nil {
				reasons = append(reasons, fmt.Sprintf("%s, %s: %v", name, f, err))
				failed = failed || !errors.As(err, new(unavailable))
			}
		}
		fmt.Fprintln(w)
	}
	for _, r := range reasons {
		fmt.Fprintln(w, "\n"+r)
	}
	return failed
}

func cell(err error, ran bool) string {
	switch {
	case !ran:
		return ""
	case errors.As(err, new(unavailable)):
		return "not available"
	case err != nil:
		return "**failed**"
	}
	return "ok"
}
