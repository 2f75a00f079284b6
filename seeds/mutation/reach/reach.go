// SPDX-License-Identifier: Apache-2.0

// Package reach counts how often a program comes to the places of mutants. Only programs with mutants in them count (see
// package mutation); in all others nothing calls it.
package reach

import (
	"fmt"
	"os"
)

// Most is how many mutants a program can have.
const Most = 1 << 13

// FileVariable is the variable of the environment that names a file for the places that are reached, one in a line. A test
// program can't tell in another way.
const FileVariable = "SIMRUN_REACHED"

var hits [Most]uint32

var file = func() *os.File {
	name := os.Getenv(FileVariable)
	if name == "" {
		return nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		panic(err)
	}
	return f
}()

// Mark notes that the place of mutant k is reached. Goroutines may lose marks to each other, but never the first.
func Mark(k int) {
	if hits[k] == 0 {
		first(k)
	}
	hits[k]++
}

func first(k int) {
	if file != nil {
		fmt.Fprintln(file, k)
	}
}

// Same marks the place of mutant k if the mutant decides otherwise than the original, and returns what the original says.
func Same(k int, original, changed bool) bool {
	if original != changed {
		Mark(k)
	}
	return original
}

// atStart is what was reached before main began, which counts for all that the process does.
var atStart [Most]uint32

// Started is called when main begins.
func Started() { atStart = hits }

// Take returns the mutants whose places were reached since the last call, and how often each, and forgets them.
func Take() (places []int, times []uint32) {
	for k := range hits {
		if hits[k] > 0 {
			places, times = append(places, k), append(times, hits[k])
		}
	}
	hits = atStart
	return places, times
}
