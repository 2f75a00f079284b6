// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"chronik/sim/matrix"
)

// The matrix of requests, versions and outcomes (package matrix), summed over a campaign.

// cellsShown is how many unreached cells a summary for people lists.
const cellsShown = 10

// readCells reads a file with a cell on each line; text after # is for people. No file has none.
func readCells(file string) (cells []string, err error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	reachable, _ := matrix.Cells()
	for _, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if !slices.Contains(reachable, line) {
			return nil, fmt.Errorf("%s: no client can reach a cell %q", file, line)
		}
		cells = append(cells, line)
	}
	return cells, nil
}

// lost lists those of some cells that weren't reached.
func (s *summary) lost(cells []string) (lost []string) {
	for _, name := range cells {
		if s.Cells[name] == 0 {
			lost = append(lost, name)
		}
	}
	return lost
}

// neverReached lists the cells that some client could reach, and none did.
func (s *summary) neverReached() []string {
	never := []string{}
	reachable, _ := matrix.Cells()
	for _, name := range reachable {
		if s.Cells[name] == 0 {
			never = append(never, name)
		}
	}
	return never
}

// printCells says what of the matrix was reached.
func (s *summary) printCells(w io.Writer) {
	never := s.neverReached()
	reachable, not := matrix.Cells()
	reached, more := len(reachable)-len(never), ""
	if n := len(never) - cellsShown; n > 0 {
		never, more = never[:cellsShown], fmt.Sprintf(" and %d more (-json lists them)", n)
	}
	fmt.Fprintf(w, "cells (request/version/outcome) reached: %d of %d; never: %s%s\n", reached, len(reachable), orNone(never), more)
	for name := range not {
		if s.Cells[name] > 0 {
			s.Unlisted = append(s.Unlisted, name)
		}
	}
	if slices.Sort(s.Unlisted); len(s.Unlisted) > 0 {
		fmt.Fprintf(w, "outcomes that the matrix doesn't list, or says that nobody can reach: %s\n", strings.Join(s.Unlisted, ", "))
	}
}
