// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func mustGenerate(t testing.TB, s uint64, profile string) *Plan {
	t.Helper()
	p, err := Generate(s, profile)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlanRoundTrip(t *testing.T) {
	for _, prof := range Profiles() {
		for s := range uint64(20) {
			p := mustGenerate(t, s, prof)
			text := p.Bytes()
			back, err := Parse(text)
			if err != nil {
				t.Fatalf("%s seed %d: %v", prof, s, err)
			}
			if diff := cmp.Diff(p, back, cmpopts.EquateEmpty()); diff != "" {
				t.Fatal(diff)
			}
			if !bytes.Equal(back.Bytes(), text) {
				t.Fatalf("%s seed %d: printing the parsed plan gives other bytes", prof, s)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good := string(mustGenerate(t, 1, "tiny").Bytes())
	for _, c := range []struct{ old, new, want string }{
		{`"brokers": 3`, `"brokers": 8`, "brokers is 8"},
		{`"brokers": 3`, `"brokers": 4`, "3 clocks for 4 brokers"},
		{`"founders": 3`, `"founders": 4`, "founders is 4"},
		{`"brokers": 3`, `"brokerz": 3`, "unknown field"},
		{`"kind":"create"`, `"kind":"destroy"`, "unknown kind"},
		{`"client":1,"kind":"create"`, `"client":77,"kind":"create"`, "client known"},
		{`"tick":"`, `"tick":"x`, "invalid duration"},
		{"}\n", "}\n{", "after the closing brace"},
	} {
		text := good
		if c.old == "}\n" {
			text += "{"
		} else if text = strings.Replace(good, c.old, c.new, 1); text == good {
			t.Fatalf("%s does not occur", c.old)
		}
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s for %s: error %v, want one about %q", c.new, c.old, err, c.want)
		}
	}
}

// TestTargetsAndAnchors shows that every fault kind, target and anchor that the generator knows is
// one that a plan may hold, and is drawn.
func TestGeneratorDrawsEverything(t *testing.T) {
	seen := make(map[string]bool)
	draw := func(profile string, seeds uint64) {
		for s := range seeds {
			for _, f := range mustGenerate(t, s, profile).Faults {
				seen[string(f.Kind)] = true
				seen[string(f.Target)] = true
				if f.After != nil {
					seen[f.After.Event] = true
				}
			}
		}
	}
	draw("default", 3000)
	draw(beyond, 30)
	draw("rot", 30)
	want := append(FaultNames(), anchors...)
	want = append(want, "1", "2", "3", "4", "5", "leader", "follower", "here", "all")
	for _, name := range want {
		if !seen[name] {
			t.Errorf("%s is never drawn", name)
		}
	}
}
