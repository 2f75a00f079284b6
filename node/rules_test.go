// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/node/acl"
)

// parseRule reads what a test writes: "ALLOW User:a 1.2.3.4 READ TOPIC LITERAL name".
func parseRule(t *testing.T, text string) acl.Rule {
	t.Helper()
	f := strings.SplitN(text, " ", 7)
	if len(f) != 7 {
		t.Fatalf("%q is no rule", text)
	}
	number := func(name string, count int, of func(int8) string) int8 {
		for i := range int8(count) {
			if of(i) == name {
				return i
			}
		}
		t.Fatalf("%q: %q is unknown", text, name)
		return 0
	}
	return acl.Rule{
		Permission: acl.Permission(number(f[0], 4, func(i int8) string { return acl.Permission(i).String() })), Principal: f[1], Host: f[2],
		Operation: acl.Operation(number(f[3], 16, func(i int8) string { return acl.Operation(i).String() })),
		Type:      acl.ResourceType(number(f[4], 8, func(i int8) string { return acl.ResourceType(i).String() })),
		Pattern:   acl.PatternType(number(f[5], 5, func(i int8) string { return acl.PatternType(i).String() })), Name: f[6],
	}
}

// TestRulesAreBounded also looks at their checkpoint.
func TestRulesAreBounded(t *testing.T) {
	o := newOne(t, nil)
	c := o.node.catalog
	for i := 0; i < maxRules; i += maxRulesOnce {
		cmd := &createRules{}
		for j := range maxRulesOnce {
			cmd.Rules = append(cmd.Rules, acl.Rule{Type: acl.Topic, Pattern: acl.Literal, Name: fmt.Sprint(i + j), Principal: "User:a", Host: "*", Operation: acl.Read, Permission: acl.Allow})
		}
		if err := c.createRules(cmd); err != nil {
			t.Fatal(err)
		}
	}
	one := func(text string) error { return c.createRules(&createRules{[]acl.Rule{parseRule(t, text)}}) }
	if err := one("ALLOW User:b * READ TOPIC LITERAL x"); code(err) != kerr.PolicyViolation.Code {
		t.Errorf("one more: %v", err)
	}
	if err := one("ALLOW User:a * READ TOPIC LITERAL 7"); err != nil {
		t.Errorf("one that is there: %v", err)
	}
	if !bytes.Equal(c.snapshot(0).whole(), c.state(0)) {
		t.Error("the state in pieces differs from the whole")
	}
	again := newCatalog(o.node)
	if err := again.restore([][]byte{c.state(0)}); err != nil || !again.rules.Has(c.rules.Rules()[7]) || len(again.rules.Rules()) != maxRules {
		t.Errorf("%d rules come back: %v", len(again.rules.Rules()), err)
	}
}

// TestRulesCommands is what no broker sends.
func TestRulesCommands(t *testing.T) {
	good := parseRule(t, "ALLOW User:a * READ TOPIC LITERAL t")
	bad := good
	bad.Principal = "a"
	for what, c := range map[string]struct {
		cmd  command
		fine bool
	}{
		"fine":     {command{CreateRules: &createRules{[]acl.Rule{good}}}, true},
		"none":     {command{CreateRules: &createRules{}}, false},
		"too many": {command{CreateRules: &createRules{make([]acl.Rule, maxRulesOnce+1)}}, false},
		"no user":  {command{CreateRules: &createRules{[]acl.Rule{good, bad}}}, false},
		"filter":   {command{DeleteRules: &deleteRules{acl.Filter{Type: 1, Pattern: 1, Operation: 1, Permission: 1}}}, true},
		"nothing":  {command{DeleteRules: &deleteRules{}}, false},
	} {
		c.cmd.Origin = 1
		if err := c.cmd.check(); (err == nil) != c.fine {
			t.Errorf("%s: %v", what, err)
		} else if err == nil && (c.cmd.what() == "" || c.cmd.size() < 256) {
			t.Errorf("%s: %q, %d bytes", what, c.cmd.what(), c.cmd.size())
		}
	}
}
