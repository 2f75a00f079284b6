// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ruleWords are the words after "acls add" and "acls delete".
const ruleWords = "[-deny] [-host ADDRESS] [-prefixed] PRINCIPAL OPERATION[,OPERATION...] RESOURCE [NAME]"

// parseRules takes them: rules that differ in their operation only.
func parseRules(sub string, args []string) ([]kmsg.CreateACLsRequestCreation, error) {
	o := newOptions("acls " + sub)
	deny, prefixed, host := o.Bool("deny", false, ""), o.Bool("prefixed", false, ""), o.String("host", "*", "")
	words, err := o.words(args, 3, 4)
	if err != nil {
		return nil, fmt.Errorf("%w: write: acls %s %s", err, sub, ruleWords)
	}
	c := kmsg.NewCreateACLsRequestCreation()
	c.Principal, c.Host, c.PermissionType, c.ResourcePatternType = words[0], *host, kmsg.ACLPermissionTypeAllow, kmsg.ACLResourcePatternTypeLiteral
	if kind, name, _ := strings.Cut(c.Principal, ":"); kind == "" || name == "" {
		return nil, fmt.Errorf("admin acls %s: %q is no principal; write for example User:alice", sub, c.Principal)
	}
	if *deny {
		c.PermissionType = kmsg.ACLPermissionTypeDeny
	}
	if *prefixed {
		c.ResourcePatternType = kmsg.ACLResourcePatternTypePrefixed
	}
	if c.ResourceType, err = kmsg.ParseACLResourceType(words[2]); err != nil || c.ResourceType <= kmsg.ACLResourceTypeAny {
		return nil, fmt.Errorf("admin acls %s: there is no resource %q; use topic, group, cluster, transactional_id or user", sub, words[2])
	}
	switch isCluster := c.ResourceType == kmsg.ACLResourceTypeCluster; {
	case len(words) == 4:
		c.ResourceName = words[3]
	case isCluster:
		c.ResourceName = "kafka-cluster"
	default:
		return nil, fmt.Errorf("admin acls %s: which %s? Its name is missing; '*' is all", sub, words[2])
	}
	var rules []kmsg.CreateACLsRequestCreation
	for _, w := range strings.Split(words[1], ",") {
		if c.Operation, err = kmsg.ParseACLOperation(w); err != nil || c.Operation <= kmsg.ACLOperationAny {
			return nil, fmt.Errorf("admin acls %s: there is no operation %q; use read, write, create, delete, alter, describe, describe_configs, alter_configs, idempotent_write or all", sub, w)
		}
		rules = append(rules, c)
	}
	return rules, nil
}

// parseRuleChange takes the words of "acls add" and "acls delete".
func parseRuleChange(sub string, args []string) (action, error) {
	rules, err := parseRules(sub, args)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, a *admin) error {
		if sub == "add" {
			return a.addRules(ctx, rules)
		}
		return a.deleteRules(ctx, rules)
	}, nil
}

func describeRule(c kmsg.CreateACLsRequestCreation) string {
	return fmt.Sprintf("%s %s %s %s %s from host %s", word(c.PermissionType), c.Principal, word(c.Operation), word(c.ResourceType), describeName(c), c.Host)
}

func describeName(c kmsg.CreateACLsRequestCreation) string {
	if c.ResourcePatternType == kmsg.ACLResourcePatternTypePrefixed {
		return c.ResourceName + "..."
	}
	return c.ResourceName
}

func (a *admin) addRules(ctx context.Context, rules []kmsg.CreateACLsRequestCreation) error {
	req := kmsg.NewPtrCreateACLsRequest()
	req.Creations = rules
	resp, err := ask[*kmsg.CreateACLsResponse](ctx, a, req)
	if err != nil {
		return err
	}
	if len(resp.Results) != len(rules) {
		return errors.New("the broker answered about other rules")
	}
	for i, r := range resp.Results {
		if err := refusal(r.ErrorCode, r.ErrorMessage); err != nil {
			return fmt.Errorf("%s: %w", describeRule(rules[i]), err)
		}
		a.say("added: %s", describeRule(rules[i]))
	}
	return nil
}

// deleteRules deletes these rules, and no others that have something in common with them.
func (a *admin) deleteRules(ctx context.Context, rules []kmsg.CreateACLsRequestCreation) error {
	req := kmsg.NewPtrDeleteACLsRequest()
	for _, r := range rules {
		f := kmsg.NewDeleteACLsRequestFilter()
		f.ResourceType, f.ResourceName, f.ResourcePatternType = r.ResourceType, kmsg.StringPtr(r.ResourceName), r.ResourcePatternType
		f.Principal, f.Host = kmsg.StringPtr(r.Principal), kmsg.StringPtr(r.Host)
		f.Operation, f.PermissionType = r.Operation, r.PermissionType
		req.Filters = append(req.Filters, f)
	}
	resp, err := ask[*kmsg.DeleteACLsResponse](ctx, a, req)
	if err != nil {
		return err
	}
	if len(resp.Results) != len(rules) {
		return errors.New("the broker answered about other rules")
	}
	missing := 0
	for i, r := range resp.Results {
		if err := refusal(r.ErrorCode, r.ErrorMessage); err != nil {
			return fmt.Errorf("%s: %w", describeRule(rules[i]), err)
		}
		if len(r.MatchingACLs) == 0 {
			a.say("there is no such rule: %s", describeRule(rules[i]))
			missing++
			continue
		}
		for _, m := range r.MatchingACLs {
			if err := refusal(m.ErrorCode, m.ErrorMessage); err != nil {
				return fmt.Errorf("%s: %w", describeRule(rules[i]), err)
			}
		}
		a.say("deleted: %s", describeRule(rules[i]))
	}
	if missing > 0 {
		return fmt.Errorf("%d of %d rules were not there; broker admin acls lists those that are", missing, len(rules))
	}
	return nil
}

// quotaWords are the words after "quotas set".
const quotaWords = "OF QUOTA=VALUE..."

// parseQuotaChange takes them. OF is as the list prints it, but that a default has no name: user=alice, user=alice,client-id=app, ip=.
func parseQuotaChange(args []string) (action, error) {
	o := newOptions("quotas set")
	words, err := o.words(args, 2, 10)
	if err != nil {
		return nil, fmt.Errorf("%w: write: quotas set %s", err, quotaWords)
	}
	var e kadm.AlterClientQuotaEntry
	for _, part := range strings.Split(words[0], ",") {
		kind, name, ok := strings.Cut(part, "=")
		if !ok || kind != "user" && kind != "client-id" && kind != "ip" {
			return nil, fmt.Errorf("admin quotas set: of whom is %q? Write user=NAME, client-id=NAME, both with a comma between them, or ip=ADDRESS; without a name it is the default", part)
		}
		c := kadm.ClientQuotaEntityComponent{Type: kind}
		if name != "" {
			c.Name = &name
		}
		e.Entity = append(e.Entity, c)
	}
	for _, w := range words[1:] {
		key, value, ok := strings.Cut(w, "=")
		op := kadm.AlterClientQuotaOp{Key: key, Remove: value == ""}
		if value != "" {
			op.Value, err = strconv.ParseFloat(value, 64)
		}
		if !ok || err != nil {
			return nil, fmt.Errorf("admin quotas set: %q is no quota; write for example producer_byte_rate=1048576, and producer_byte_rate= to take it away", w)
		}
		e.Ops = append(e.Ops, op)
	}
	return func(ctx context.Context, a *admin) error {
		changed, err := a.kadm.AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{e})
		if err != nil {
			return err
		}
		for _, c := range changed {
			if c.Err != nil && c.ErrMessage != "" {
				return errors.New(c.ErrMessage)
			} else if c.Err != nil {
				return c.Err
			}
		}
		a.say("set the quotas of %s", words[0])
		return nil
	}, nil
}

// parseACLs takes the words after "acls".
func parseACLs(args []string, in io.Reader) (action, error) {
	if sub, rest := subcommand(args, "add", "delete"); sub != "" {
		return parseRuleChange(sub, rest)
	}
	return parseListing("acls", func(ctx context.Context, a *admin, asJSON bool) error { return a.listRules(ctx, asJSON) })(args, in)
}

// parseQuotas takes those after "quotas".
func parseQuotas(args []string, in io.Reader) (action, error) {
	if sub, rest := subcommand(args, "set"); sub != "" {
		return parseQuotaChange(rest)
	}
	return parseListing("quotas", func(ctx context.Context, a *admin, asJSON bool) error { return a.listQuotas(ctx, asJSON) })(args, in)
}
