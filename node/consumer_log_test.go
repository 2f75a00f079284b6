// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestKeyedLogProperties compares the log with a list of the places that are in it.
func TestKeyedLogProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l keyedLog
		var want []*place
		keys := make(map[int]*place)
		ms := int64(1_000_000_000)
		drop := func(p *place) {
			l.drop(p)
			want = slices.DeleteFunc(want, func(o *place) bool { return o == p })
		}
		for range rapid.IntRange(0, 400).Draw(t, "steps") {
			ms += rapid.Int64Range(0, graveMs/100).Draw(t, "passes")
			key := rapid.IntRange(0, 40).Draw(t, "key")
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				drop(keys[key])
				delete(keys, key)
				want = append(want, l.add(&place{kind: placeGrave, ms: ms}))
			case 1:
				l.expire(ms, 3)
				for i, p := range slices.Clone(l.graves) {
					if p.in == nil {
						t.Fatalf("tombstone %d was dropped and is still listed", i)
					}
				}
				want = slices.DeleteFunc(want, func(p *place) bool { return p.in == nil })
				for _, p := range want {
					if p.kind == placeGrave && p.in == nil {
						t.Fatal("a tombstone went early")
					}
				}
			default:
				drop(keys[key])
				kind := rapid.SampledFrom([]placeKind{placeOffset, placeModern, placeMember}).Draw(t, "kind")
				keys[key] = l.add(&place{kind: kind, ms: ms})
				want = append(want, keys[key])
			}
			checkKeyedLog(t, &l, want)
		}
	})
}

func checkKeyedLog(t *rapid.T, l *keyedLog, want []*place) {
	from := rapid.Int64Range(-1, l.end+1).Draw(t, "from")
	var got, rest []int64
	l.from(from, func(p *place) bool {
		got = append(got, p.offset)
		return true
	})
	for _, p := range want {
		if p.offset+p.width() > from {
			rest = append(rest, p.offset)
		}
	}
	if diff := cmp.Diff(rest, got); diff != "" {
		t.Fatalf("from %d:\n%s", from, diff)
	}
	if l.count != len(want) {
		t.Fatalf("%d places are counted, there are %d", l.count, len(want))
	}
	if len(want) > 0 && l.start() != want[0].offset {
		t.Fatalf("it starts at %d, not %d", l.start(), want[0].offset)
	}
	for i, c := range l.chunks {
		if 2*c.dropped >= len(c.places) {
			t.Fatalf("chunk %d holds %d places, of which %d were dropped", i, len(c.places), c.dropped)
		}
	}
}

// TestTombstonesStayForADay and the newest record for ever, which readers wait for.
func TestTombstonesStayForADay(t *testing.T) {
	var l keyedLog
	see := func() (got string) {
		l.from(0, func(p *place) bool {
			got += fmt.Sprint(p.offset, " ")
			return true
		})
		return got
	}
	l.bury(1000, []byte("a"), []byte("b"))
	for _, c := range []struct {
		ms   int64
		want string
	}{{1000, "0 1 "}, {999 + graveMs, "0 1 "}, {1000 + graveMs, "1 "}, {10 * graveMs, "1 "}} {
		if l.expire(c.ms, 9); see() != c.want {
			t.Errorf("at %d there is %q, want %q", c.ms, see(), c.want)
		}
	}
	l.add(&place{ms: 10 * graveMs})
	if l.expire(10*graveMs, 9); see() != "2 " {
		t.Errorf("with a newer record: %q", see())
	}
	for range maxGraves + 10 {
		l.bury(20*graveMs, []byte("k"))
	}
	if l.expire(20*graveMs, 1000); len(l.graves) != maxGraves {
		t.Errorf("%d tombstones are kept", len(l.graves))
	}
}
