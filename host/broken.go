// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"strings"

	"chronik/node"
)

// The text of a broken invariant shows the step in which it broke: at most so many lines, and of each kind of thing.
const (
	brokenLines  = 200
	brokenOfKind = 40
)

// brokenStep describes the step that panicked: what it took, and what it wanted until then.
func (l *loop) brokenStep() (text string) {
	if l.input == nil {
		return ""
	}
	defer func() {
		if broken := recover(); broken != nil { // the first panic counts
			text = fmt.Sprintf("the step can't be described: %v\n", broken)
		}
	}()
	lines := node.DescribeInput(l.input, brokenOfKind)
	if l.sofar != nil {
		lines = append(lines, node.DescribeOutput(l.sofar(), brokenOfKind)...)
	}
	var b strings.Builder
	b.WriteString("the step that broke it, what it took (<) and what it wanted until then (>, events):\n")
	for _, line := range lines[:min(len(lines), brokenLines)] {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	if len(lines) > brokenLines {
		fmt.Fprintf(&b, "  ... and %d more lines\n", len(lines)-brokenLines)
	}
	return b.String()
}
