// SPDX-License-Identifier: Apache-2.0

package keyed

import (
	"testing"

	"pgregory.net/rapid"
)

// The numbers say what every kept seed means: if they change, all kept seeds mean something else.
func TestDrawIsPinned(t *testing.T) {
	for _, c := range []struct {
		got, want uint64
	}{
		{uint64(Seed(1).Draw(2, 2, 3)), 0x182bc6a9f5b09255},
		{uint64(Seed(7).Draw(4, 0, 0)), 0xd17268328084612a},
	} {
		if c.got != c.want {
			t.Errorf("draw = %#x, want %#x", c.got, c.want)
		}
	}
}

func TestDistributionsStayInRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Draw(rapid.Uint64().Draw(t, "bits"))
		lo := rapid.Int64Range(1, 1<<40).Draw(t, "lo")
		hi := rapid.Int64Range(lo, 1<<41).Draw(t, "hi")
		if x := d.Between(lo, hi); x < lo || x > hi {
			t.Fatalf("between(%d, %d) = %d", lo, hi, x)
		}
		if x := d.LogUniform(lo, hi); x < lo || x > hi {
			t.Fatalf("logUniform(%d, %d) = %d", lo, hi, x)
		}
		if x := d.Exponential(lo); x < 0 || x > 45*lo {
			t.Fatalf("exponential(%d) = %d", lo, x)
		}
	})
}

func TestExponentialHasItsMean(t *testing.T) {
	const n, mean = 100_000, 1_000_000
	var sum int64
	for i := range uint64(n) {
		sum += Seed(1).Draw(2, 0, i).Exponential(mean)
	}
	if got := sum / n; got < mean*95/100 || got > mean*105/100 {
		t.Fatalf("mean of %d draws is %d, want about %d", n, got, mean)
	}
}

func TestLogUniformSpreadsOverDoublings(t *testing.T) {
	const n = 20_000
	var small int
	for i := range uint64(n) {
		if Seed(2).Draw(2, 0, i).LogUniform(1<<10, 1<<30) < 1<<20 {
			small++
		}
	}
	if small < n*45/100 || small > n*55/100 {
		t.Fatalf("%d of %d draws below the middle doubling, want about half", small, n)
	}
}

func TestDrawsOfNeighbouringKeysAreUnrelated(t *testing.T) {
	seen := make(map[Draw]bool)
	for who := range uint64(100) {
		for counter := range uint64(100) {
			for d := range Domain(24) {
				seen[Seed(1).Draw(d, who, counter)] = true
			}
		}
	}
	if want := 100 * 100 * 24; len(seen) != want {
		t.Fatalf("%d distinct draws of %d keys", len(seen), want)
	}
}
