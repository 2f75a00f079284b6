// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

const kip848 = "KIP-848"

// features are the table's columns; the package comment says what they are.
var features = append(codecs[:len(codecs):len(codecs)], "admin", "txn", "group", "SIGKILL", "resume", kip848, "secure", "certificates")

// table is what came out.
type table struct {
	names    []string
	versions map[string]string
	notes    map[string]map[string]string // by row and feature
	results  map[string]map[string]error  // by row and feature
}

// unreachable says that a client can't be had on this machine.
type unreachable struct{ why error }

func (u unreachable) Error() string { return u.why.Error() }

// lacking says that a feature isn't in the client itself.
type lacking string

func (l lacking) Error() string { return string(l) }

func newTable() *table {
	return &table{versions: make(map[string]string), notes: make(map[string]map[string]string), results: make(map[string]map[string]error)}
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

// print writes the table as Markdown, below it the footnotes, and then why something failed. It
// reports whether something did.
func (t *table) print(w io.Writer) (failed bool) {
	fmt.Fprintf(w, "| client | version | %s |\n|---|---|%s\n", strings.Join(features, " | "), strings.Repeat("---|", len(features)))
	var footnotes, reasons []string
	note := func(text string) string {
		at := slices.Index(footnotes, text)
		if at < 0 {
			at, footnotes = len(footnotes), append(footnotes, text)
		}
		return fmt.Sprintf(" (%d)", at+1)
	}
	for _, name := range t.names {
		fmt.Fprintf(w, "| %s | %s |", name, t.versions[name])
		for _, f := range features {
			err, ran := t.results[name][f]
			if all, ok := t.results[name][""]; ok {
				err, ran = all, true
			}
			text := cell(err, ran)
			switch {
			case text == "-":
				text += note(err.Error())
			case text == "ok" && t.notes[name][f] != "":
				text += note(t.notes[name][f])
			case err != nil:
				reasons = append(reasons, fmt.Sprintf("%s, %s: %v", name, f, err))
				failed = failed || !errors.As(err, new(unreachable))
			}
			fmt.Fprintf(w, " %s |", text)
		}
		fmt.Fprintln(w)
	}
	for i, text := range footnotes {
		fmt.Fprintf(w, "\n(%d) %s\n", i+1, text)
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
	case errors.As(err, new(unreachable)):
		return "not reachable here"
	case errors.As(err, new(lacking)):
		return "-"
	case err != nil:
		return "**failed**"
	}
	return "ok"
}
