// SPDX-License-Identifier: Apache-2.0

package sim

import "testing"

func mustGenerate(t testing.TB, s uint64, profile string) *Plan {
	p, err := Generate(s, profile)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCalmWorlds(t *testing.T) {
	for s := range uint64(10) {
		r := Run(mustGenerate(t, s, "calm"), Options{})
		if r.Failure != nil {
			t.Errorf("seed %d: %v\n%s", s, r.Failure, r.Failure.Stack)
		}
		t.Logf("seed %d: %v virtual, %d steps, %d messages, %d disk ops, %d ops, %d acked", s, Duration(r.Virtual), r.Steps, r.Messages, r.DiskOps, r.Ops, r.Acked)
	}
}

func TestProfiles(t *testing.T) {
	for _, prof := range []string{"default", "tiny", "disk", "network"} {
		for s := range uint64(20) {
			r := Run(mustGenerate(t, s, prof), Options{})
			if r.Failure != nil {
				t.Errorf("%s seed %d: %v\n%s", prof, s, r.Failure, r.Failure.Stack)
			}
			if r2 := Run(mustGenerate(t, s, prof), Options{}); r2.Hash != r.Hash {
				t.Errorf("%s seed %d: hashes %x and %x", prof, s, r.Hash, r2.Hash)
			}
		}
	}
}
