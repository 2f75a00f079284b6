// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
)

// columns of the table; the package comment says what they are.
const (
	records     = "records"
	resume      = "resume"
	exactlyOnce = "exactly once"
	admin       = "admin"
	figures     = "figures"
)

var columns = []string{records, resume, exactlyOnce, admin, figures}

// table is what came out.
type table struct {
	names    []string
	versions map[string]string
	missing  map[string]error            // systems that can't be had here
	results  map[string]map[string]error // by system and column
}

func newTable() *table {
	return &table{versions: make(map[string]string), missing: make(map[string]error), results: make(map[string]map[string]error)}
}

func (t *table) version(system, version string) {
	t.names = append(t.names, system)
	t.versions[system], t.results[system] = version, make(map[string]error)
}

func (t *table) unreachable(system string, why error) {
	t.names = append(t.names, system)
	t.missing[system] = why
}

func (t *table) set(system, column string, err error) { t.results[system][column] = err }

// print writes the table as Markdown, and below it why something failed or is missing. It reports whether something failed.
func (t *table) print(w io.Writer) (failed bool) {
	fmt.Fprintf(w, "| system | version | %s |\n|---|---|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	var reasons []string
	for _, name := range t.names {
		fmt.Fprintf(w, "| %s | %s |", name, t.versions[name])
		if why := t.missing[name]; why != nil {
			reasons = append(reasons, fmt.Sprintf("%s: not reachable here: %v", name, why))
		}
		for _, c := range columns {
			err, ran := t.results[name][c]
			switch {
			case t.missing[name] != nil:
				fmt.Fprint(w, " not reachable here |")
			case !ran:
				fmt.Fprint(w, " |")
			case err == nil:
				fmt.Fprint(w, " ok |")
			default:
				fmt.Fprint(w, " **failed** |")
				reasons, failed = append(reasons, fmt.Sprintf("%s, %s: %v", name, c, err)), true
			}
		}
		fmt.Fprintln(w)
	}
	for _, r := range reasons {
		fmt.Fprintln(w, "\n"+r)
	}
	return failed
}
