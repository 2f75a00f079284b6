// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"
)

// The files in testdata say on each line what must be found there; nothing else may be.
func TestDetlint(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), analyzer, "core", "sim")
}
