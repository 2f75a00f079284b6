// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
	"chronik/node/acl"
)

// Rules of who may do what are state of the catalog, so every broker decides by the same ones, some sooner than others: a
// broker that answers a change has applied it.

const (
	// maxRules and maxRuleBytes (by acl.Rule.Bytes) bound the rules that the cluster keeps.
	maxRules     = 20_000
	maxRuleBytes = 32 << 20
	// maxRulesOnce is how many a command creates or deletes.
	maxRulesOnce = 500
)

// createRules adds rules, of which those that are there already change nothing.
type createRules struct{ Rules []acl.Rule }

// deleteRules removes rules that a filter means, the first of them by the order of rules. So the catalog decides which
// those are, and not a broker that may lag behind it.
type deleteRules struct{ Filter acl.Filter }

func (c *createRules) check() string {
	if len(c.Rules) == 0 || len(c.Rules) > maxRulesOnce {
		return fmt.Sprintf("%d rules", len(c.Rules))
	}
	for i := range c.Rules {
		if wrong := c.Rules[i].Check(); wrong != "" {
			return wrong
		}
	}
	return ""
}

func (c *createRules) what() string {
	text := "create rule " + c.Rules[0].String()
	if more := len(c.Rules) - 1; more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return text
}

func (c *deleteRules) check() string { return c.Filter.Unknown() }

func (c *catalog) createRules(cmd *createRules) error {
	fresh, bytes := make([]*acl.Rule, 0, len(cmd.Rules)), int64(0)
	for i := range cmd.Rules {
		if r := &cmd.Rules[i]; !c.rules.Has(r) {
			fresh, bytes = append(fresh, r), bytes+r.Bytes()
		}
	}
	c.node.out.Work.Parts += 2*len(cmd.Rules) + len(c.rules.Rules())/128
	if have := len(c.rules.Rules()); len(fresh) > 0 && (have+len(fresh) > maxRules || c.rules.Bytes()+bytes > maxRuleBytes) {
		return kafka.Errorf(kerr.PolicyViolation, "there are %d rules, and a cluster keeps at most %d of %d bytes together; delete some, or replace many by one with a prefix",
			have, maxRules, maxRuleBytes)
	}
	c.rules.Add(fresh)
	c.rulesVersion++
	return nil
}

// deleteRules returns what it deleted, and whether the filter means more.
func (c *catalog) deleteRules(cmd *deleteRules) (gone []*acl.Rule, more bool) {
	all := c.rules.Rules()
	c.node.out.Work.Parts += len(all) / 64
	for _, r := range all {
		if !cmd.Filter.Matches(r) {
			continue
		}
		if more = len(gone) == maxRulesOnce; more {
			break
		}
		gone = append(gone, r)
	}
	c.node.out.Work.Parts += 2 * len(gone)
	c.rules.Remove(gone)
	c.rulesVersion++
	return gone, more
}
