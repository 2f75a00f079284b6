// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"fmt"
	"strings"
	"testing"
)

// rightsHistory is one of five changes, at entries 10, 20, 30, 40 and 50.
func rightsHistory() *Rights {
	r := NewRights("User:admin")
	r.Changed(10, Credential{"ann", "SCRAM-SHA-256"}, "old")
	r.Created(20, []Rule{{OfTopic, patternPrefixed, "t", "User:ann", "*", OpRead, permissionAllow}})
	r.Created(30, []Rule{{OfTopic, patternLiteral, "t1", "User:*", "*", OpRead, permissionDeny}})
	r.Changed(40, Credential{"ann", "SCRAM-SHA-256"}, "new")
	r.Deleted(50, func(rule *Rule) bool { return rule.Permission == permissionDeny })
	return r
}

// TestRights looks at every decision of the history, right and corrupted: what was refused is said to be served, and the other
// way round.
func TestRights(t *testing.T) {
	r := rightsHistory()
	for _, c := range []struct {
		who      string
		op       int8
		name     string
		from, to uint64
		may      string // "yes", "no", or "either"
	}{
		{"ann", OpRead, "t1", 0, 19, "no"},
		{"ann", OpRead, "t1", 19, 20, "either"},
		{"ann", OpRead, "t1", 20, 29, "yes"},
		{"ann", OpRead, "t1", 29, 30, "either"},
		{"ann", OpRead, "t1", 30, 49, "no"},
		{"ann", OpRead, "t1", 30, 50, "either"},
		{"ann", OpRead, "t1", 50, 90, "yes"},
		{"ann", OpRead, "t2", 20, 90, "yes"},
		{"ann", OpRead, "n2", 0, 90, "no"},
		{"ann", OpDescribe, "t1", 30, 40, "yes"}, // the denial names another operation
		{"ann", OpWrite, "t1", 0, 90, "no"},
		{"bob", OpRead, "t1", 0, 90, "no"},
		{"admin", OpWrite, "t1", 0, 90, "yes"},
		{"ann", OpRead, SomeName, 0, 19, "no"},
		{"ann", OpRead, SomeName, 20, 90, "yes"}, // another than t1
		{"ann", OpWrite, SomeName, 0, 90, "no"},
	} {
		needs := func(s *RightsState) bool { return s.Allows("User:"+c.who, "10.0.0.1", c.op, OfTopic, c.name) }
		for _, refused := range []bool{false, true} {
			want := ""
			if refused && c.may == "yes" {
				want = "refused-wrongly"
			} else if !refused && c.may == "no" {
				want = "unauthorized"
			}
			call := RightsCall{What: fmt.Sprintf("%v", c), RightsSpan: RightsSpan{From: c.from, To: c.to}, Refused: refused, Needs: needs}
			if got := name(r.Check(&call)); got != want {
				t.Errorf("%+v, refused %v: found %q, want %q", c, refused, got, want)
			}
		}
	}
}

// TestRightsOfThePast: a broker that decides by a state which it had to have left is seen, if that changes the decision.
func TestRightsOfThePast(t *testing.T) {
	r := rightsHistory()
	for _, c := range []struct {
		topic      string
		to, before uint64
		refused    bool
		want       string
	}{
		{"t1", 25, 30, false, "unauthorized"},
		{"t1", 35, 50, true, "refused-wrongly"},
		{"t1", 30, 30, true, ""},
		{"t2", 25, 30, false, ""},
	} {
		call := RightsCall{
			RightsSpan: RightsSpan{From: c.to, To: c.to, Must: c.before, Because: "which it answered"}, Refused: c.refused,
			Needs: func(s *RightsState) bool { return s.Allows("User:ann", "10.0.0.1", OpRead, OfTopic, c.topic) },
		}
		v := r.Check(&call)
		if name(v) != c.want || v != nil && !strings.Contains(v.Text, "in the past") {
			t.Errorf("%+v: found %v", c, v)
		}
	}
}

// TestLogins does the same for logins.
func TestLogins(t *testing.T) {
	r := rightsHistory()
	r.Changed(60, Credential{"ann", "SCRAM-SHA-512"}, "strong")
	r.Removed(70, Credential{"ann", "SCRAM-SHA-256"})
	for _, c := range []struct {
		mechanism, password string
		from, to            uint64
		may                 string
	}{
		{"SCRAM-SHA-256", "old", 0, 9, "no"},
		{"SCRAM-SHA-256", "old", 10, 39, "yes"},
		{"SCRAM-SHA-256", "old", 40, 90, "no"},
		{"SCRAM-SHA-256", "new", 39, 40, "either"},
		{"SCRAM-SHA-256", "new", 40, 69, "yes"},
		{"SCRAM-SHA-256", "new", 70, 90, "no"},
		{"SCRAM-SHA-512", "new", 40, 90, "no"},
		{"SCRAM-SHA-512", "strong", 60, 90, "yes"},
		{"PLAIN", "new", 40, 59, "yes"},
		{"PLAIN", "new", 60, 90, "no"},
		{"PLAIN", "strong", 60, 90, "yes"},
	} {
		for _, refused := range []bool{false, true} {
			want := ""
			if refused && c.may == "yes" {
				want = "refused-wrongly"
			} else if !refused && c.may == "no" {
				want = "logged-in-wrongly"
			}
			l := Login{RightsSpan: RightsSpan{From: c.from, To: c.to}, Credential: Credential{"ann", c.mechanism}, Password: c.password, Refused: refused}
			if got := name(r.CheckLogin(&l)); got != want {
				t.Errorf("%+v, refused %v: found %q, want %q", c, refused, got, want)
			}
		}
	}
}

// TestLoginsOfThePast: so is one that lets in who knows a password of the past.
func TestLoginsOfThePast(t *testing.T) {
	r := rightsHistory()
	for _, c := range []struct {
		password string
		to, must uint64
		refused  bool
		want     string
	}{
		{"old", 20, 40, false, "logged-in-wrongly"},
		{"new", 20, 40, true, "refused-wrongly"},
		{"old", 20, 30, false, ""},
	} {
		l := Login{RightsSpan: RightsSpan{From: c.to, To: c.to, Must: c.must}, Credential: Credential{"ann", "SCRAM-SHA-256"}, Password: c.password, Refused: c.refused}
		if got := name(r.CheckLogin(&l)); got != c.want {
			t.Errorf("%+v: found %q", c, got)
		}
	}
}

func name(v *Violation) string {
	if v == nil {
		return ""
	}
	return v.Check
}
