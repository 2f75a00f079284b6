// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"testing"
)

// A plan in which two clusters are right can't be run.
func TestListsRefused(t *testing.T) {
	for _, c := range []struct {
		lists []List
		want  string
	}{
		{[]List{{Broker: 1, Members: []int{1}}, {Broker: 2, Members: []int{2}}}, "they can't know of each other"},
		{[]List{{Broker: 1, Members: []int{1, 2}}, {Broker: 2, Members: []int{1, 2}}}, "agree on a cluster of their own"},
		{[]List{{Broker: 1, Members: []int{2, 3}}}, "itself in it"},
		{[]List{{Broker: 1, Members: []int{1, 2, 3}, Swapped: []int{1, 2}}}, "two others"},
	} {
		p := mustGenerate(t, 1, "tiny")
		p.Lists = c.lists
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: error %v, want one about %q", c.lists, err, c.want)
		}
	}
}
