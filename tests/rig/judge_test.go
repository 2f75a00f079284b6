// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The judge must see each kind of wrong; a clean history must pass.
func TestJudge(t *testing.T) {
	history := func() []Record {
		return []Record{{0, 0, 0}, {1, 0, 1}, {0, 1, 2}, {1, 1, 3}, {0, 2, 4}}
	}
	renumber := func(rs []Record) []Record {
		for i := range rs {
			rs[i].Offset = int64(i)
		}
		return rs
	}
	for _, c := range []struct {
		name        string
		acked, read []Record
		want        []string
	}{
		{"clean", history(), history(), nil},
		{"written, never acknowledged", history()[:3], history(), nil},
		{"lost at the end", history(), history()[:4], []string{"partition 0: lost: producer 0's record 2 was acknowledged at offset 4"}},
		{
			"lost in the middle", history(), append(history()[:1], history()[2:]...),
			[]string{
				"partition 0: gap: offset 2 where 1 is due",
				"partition 0: gap: offset 3 where 2 is due",
				"partition 0: gap: offset 4 where 3 is due",
				"partition 0: lost: producer 1's record 0 was acknowledged at offset 1",
			},
		},
		{
			"twice", history(), append(history(), Record{1, 1, 5}),
			[]string{"partition 0: duplicate: producer 1's record 1 is at offsets 3 and 5"},
		},
		{
			"swapped", nil, renumber([]Record{{0, 1, 0}, {0, 0, 0}}),
			[]string{"partition 0: order: producer 0's record 0 is at offset 1, behind its record 1"},
		},
		{
			"other offset",
			[]Record{{1, 0, 0}},
			history(),
			[]string{"partition 0: moved: producer 1's record 0 was acknowledged at offset 0 and is at 1"},
		},
	} {
		got := Judge([][]Record{c.acked}, Data{Start: []int64{0}, Records: [][]Record{c.read}})
		if diff := cmp.Diff(c.want, []string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestJudgeOfARetainedPart(t *testing.T) {
	acked := []Record{{0, 0, 0}, {0, 1, 1}, {0, 2, 2}}
	for _, c := range []struct {
		start int64
		read  []Record
		want  []string
	}{
		{1, acked[1:], nil},
		{1, acked[2:], []string{"partition 0: gap: offset 2 where 1 is due", "partition 0: lost: producer 0's record 1 was acknowledged at offset 1"}},
		{2, acked[1:], []string{"partition 0: gap: offset 1 where 2 is due", "partition 0: gap: offset 2 where 3 is due"}},
	} {
		got := Judge([][]Record{acked}, Data{Start: []int64{c.start}, Records: [][]Record{c.read}})
		if diff := cmp.Diff(c.want, []string(got)); diff != "" {
			t.Errorf("start %d (-want +got):\n%s", c.start, diff)
		}
	}
}
