// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"
)

// Shapes are told apart by their names, and what one reads another writes before it.
func TestShapesHaveNames(t *testing.T) {
	names := shapeNames()
	for i, s := range shapes {
		if slices.Index(names, s.name) != i {
			t.Errorf("two shapes are called %q", s.name)
		}
		if s.reads != "" && !slices.Contains(names[:i], s.reads) {
			t.Errorf("%q reads what %q writes, which isn't there before it", s.name, s.reads)
		}
	}
}
