// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"crypto/rand"
	"testing"

	"pgregory.net/rapid"

	"chronik/sim/plan"
)

func mustGenerate(t testing.TB, s uint64, profile string) *plan.Plan {
	t.Helper()
	p, err := plan.Generate(s, profile)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestProfiles runs a few seeds of each profile. Campaigns are for simrun.
func TestProfiles(t *testing.T) {
	for _, prof := range plan.Profiles() {
		t.Run(prof, func(t *testing.T) {
			seeds, acked := uint64(6), int64(0)
			if plan.IsScenario(prof) {
				seeds = 1
			}
			for s := range seeds {
				r := Run(mustGenerate(t, s, prof), Options{})
				acked += r.Acked
				if r.Failure != nil {
					t.Errorf("seed %d: %v\n%s", s, r.Failure, r.Failure.Stack)
				}
			}
			if acked < 50 {
				t.Errorf("%d records acknowledged: such runs prove nothing", acked)
			}
		})
	}
}

// TestSeedsDoNotInfluenceEachOther runs A, B, A in one process.
func TestSeedsDoNotInfluenceEachOther(t *testing.T) {
	hash := func(s uint64) uint64 { return Run(mustGenerate(t, s, "default"), Options{}).Hash }
	for s := uint64(1); s < 20; s += 2 {
		first := hash(s)
		other := hash(s + 1)
		again := hash(s)
		if first != again {
			t.Errorf("seed %d: trace hash %016x, and %016x after seed %d", s, first, again, s+1)
		}
		if first == other {
			t.Errorf("seeds %d and %d have the same trace hash", s, s+1)
		}
	}
}

// TestTraceDoesNotChangeARun compares a run with and without somebody watching.
func TestTraceDoesNotChangeARun(t *testing.T) {
	p := mustGenerate(t, 3, "default")
	lines := 0
	traced := Run(p, Options{Trace: func(string) { lines++ }})
	if plain := Run(p, Options{}); plain.Hash != traced.Hash || lines < 1000 {
		t.Fatalf("hash %016x, traced %016x with %d lines", plain.Hash, traced.Hash, lines)
	}
}

// TestRaftReadsCryptoRand fails when an upgrade of the raft library takes its election timeouts from
// another source than crypto/rand.Reader: then runs can't be repeated any more.
func TestRaftReadsCryptoRand(t *testing.T) {
	before := rand.Reader
	p := mustGenerate(t, 1, "tiny")
	a := Run(p, Options{})
	if a.Draws == 0 {
		t.Fatal("raft drew nothing from crypto/rand.Reader")
	}
	if rand.Reader != before {
		t.Fatal("crypto/rand.Reader was not put back")
	}
	other := *p
	other.Seed++
	if b := Run(&other, Options{}); a.Hash == b.Hash {
		t.Fatal("another seed for the same plan changes nothing")
	}
}

// TestCryptoRandOutsideATurnPanics shows that a stray read can't go unnoticed.
func TestCryptoRandOutsideATurnPanics(t *testing.T) {
	r := &raftRandom{seed: 1}
	defer r.install()()
	defer func() {
		if recover() == nil {
			t.Error("a read outside a broker's turn passed")
		}
	}()
	rand.Read(make([]byte, 8))
}

// TestDrawnWorlds lets rapid draw the plan, choice by choice, never the noise of single messages:
// so it can shrink a failing world to a small one.
func TestDrawnWorlds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, err := plan.GenerateFrom(rapid.Uint64().Draw(t, "seed"), "tiny", func(n int64) int64 {
			return rapid.Int64Range(0, n-1).Draw(t, "choice")
		})
		if err != nil {
			t.Fatal(err)
		}
		if r := Run(p, Options{}); r.Failure != nil {
			t.Fatalf("%v\n%s\n%s", r.Failure, r.Failure.Stack, p.Bytes())
		}
	})
}
