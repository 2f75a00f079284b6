// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The short form of `go run ./tests/killround`: real processes, real SIGKILLs, a real client.
func TestNothingAcknowledgedIsLostWhenBrokersAreKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills real processes for about 15 s")
	}
	var out strings.Builder
	err := run(t.Context(), options{
		rounds: 2, brokers: 3, partitions: 3, producers: 3, rate: 3000, size: 100,
		down: 1500 * time.Millisecond, settle: time.Second, maxGap: 5 * time.Second, metadataAge: 100 * time.Millisecond,
		port: 23092, dir: t.TempDir(),
	}, &out)
	t.Log("\n" + out.String())
	if err != nil {
		t.Error(err)
	}
}

// The judge must see each kind of wrong; a clean history must pass.
func TestJudge(t *testing.T) {
	history := func() []record {
		return []record{{0, 0, 0}, {1, 0, 1}, {0, 1, 2}, {1, 1, 3}, {0, 2, 4}}
	}
	renumber := func(rs []record) []record {
		for i := range rs {
			rs[i].offset = int64(i)
		}
		return rs
	}
	for _, c := range []struct {
		name        string
		acked, read []record
		want        []string
	}{
		{"clean", history(), history(), nil},
		{"written, never acknowledged", history()[:3], history(), nil},
		{"lost at the end", history(), history()[:4], []string{"partition 0: lost: producer 0's record 2 was acknowledged at offset 4"}},
		{
			"lost in the middle", history(), append(history()[:1], history()[2:]...),
			[]string{
				"partition 0: gap: record 1 of the partition has offset 2",
				"partition 0: gap: record 2 of the partition has offset 3",
				"partition 0: gap: record 3 of the partition has offset 4",
				"partition 0: lost: producer 1's record 0 was acknowledged at offset 1",
			},
		},
		{
			"twice", history(), append(history(), record{1, 1, 5}),
			[]string{"partition 0: duplicate: producer 1's record 1 is at offsets 3 and 5"},
		},
		{
			"swapped", nil, renumber([]record{{0, 1, 0}, {0, 0, 0}}),
			[]string{"partition 0: order: producer 0's record 0 is at offset 1, behind its record 1"},
		},
		{
			"other offset",
			[]record{{1, 0, 0}},
			history(),
			[]string{"partition 0: moved: producer 1's record 0 was acknowledged at offset 0 and is at 1"},
		},
	} {
		got := judge([][]record{c.acked}, [][]record{c.read})
		if diff := cmp.Diff(c.want, []string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}
