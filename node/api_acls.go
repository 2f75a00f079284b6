// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node/acl"
)

// DescribeAcls, CreateAcls and DeleteAcls, versions 0 to 3.
//
//	v1  pattern types (KIP-290); before, all patterns are literal
//	v2  flexible
//	v3  users as resources (KIP-373)
//
// Where rights are off, nobody is authorized to anything, as everybody may do everything. Tools ask once, and understand
// the answer.

// noACLs is what is said then.
var noACLs = "there is no authorizer: every client may do everything"

func (n *Node) handleDescribeACLs(r *request, m kmsg.Request) {
	req, resp := m.(*kmsg.DescribeACLsRequest), kmsg.NewPtrDescribeACLsResponse()
	switch {
	case !n.cfg.Authorize:
		resp.ErrorCode, resp.ErrorMessage = kerr.SecurityDisabled.Code, &noACLs
		r.reply(resp)
		return
	case req.ResourceType == 0 || req.ResourcePatternType == 0 || req.Operation == 0 || req.PermissionType == 0:
		r.refuse(unknownElements)
		return
	}
	f := filterOf(req.ResourceType, req.ResourcePatternType, req.ResourceName, req.Principal, req.Host, req.Operation, req.PermissionType)
	rules, i := n.catalog.rules.Rules(), 0
	n.inPieces(r, func() bool {
		n.out.Work.Parts += 16
		for end := min(i+64, len(rules)); i < end; i++ {
			if f.Matches(rules[i]) {
				describeRule(resp, rules[i])
			}
		}
		return i < len(rules)
	}, func() { r.reply(resp) })
}

// unknownElements is what Kafka refuses without an answer.
const unknownElements = "a rule or a filter has the type UNKNOWN (0) in it"

func filterOf(t kmsg.ACLResourceType, p kmsg.ACLResourcePatternType, name, principal, host *string, op kmsg.ACLOperation, perm kmsg.ACLPermissionType) acl.Filter {
	f := acl.Filter{
		Type: acl.ResourceType(t), Pattern: acl.PatternType(p), Name: name, Principal: principal, Host: host,
		Operation: acl.Operation(op), Permission: acl.Permission(perm),
	}
	if host != nil {
		spelled := acl.Host(*host)
		f.Host = &spelled
	}
	return f
}

// describeRule adds a rule to the answer. Rules come in their order, those of a pattern together.
func describeRule(resp *kmsg.DescribeACLsResponse, rule *acl.Rule) {
	t, p := kmsg.ACLResourceType(rule.Type), kmsg.ACLResourcePatternType(rule.Pattern)
	last := len(resp.Resources) - 1
	if last < 0 || resp.Resources[last].ResourceType != t || resp.Resources[last].ResourcePatternType != p || resp.Resources[last].ResourceName != rule.Name {
		out := kmsg.NewDescribeACLsResponseResource()
		out.ResourceType, out.ResourcePatternType, out.ResourceName = t, p, rule.Name
		resp.Resources = append(resp.Resources, out)
		last++
	}
	out := kmsg.NewDescribeACLsResponseResourceACL()
	out.Principal, out.Host = rule.Principal, rule.Host
	out.Operation, out.PermissionType = kmsg.ACLOperation(rule.Operation), kmsg.ACLPermissionType(rule.Permission)
	resp.Resources[last].ACLs = append(resp.Resources[last].ACLs, out)
}

func (n *Node) handleCreateACLs(r *request, m kmsg.Request) {
	req, resp := m.(*kmsg.CreateACLsRequest), kmsg.NewPtrCreateACLsResponse()
	count, unknown := len(req.Creations), false
	resp.Results = make([]kmsg.CreateACLsResponseResult, count)
	w, fresh := waitFor(r, resp, 0), []int(nil) // those of the next command
	send := func() {
		if len(fresh) > 0 {
			w.left++
			n.createRules(w, req, resp, fresh)
			fresh = nil
		}
	}
	n.each(r, count, func(i int) {
		in := &req.Creations[i]
		unknown = unknown || in.ResourceType == 0 || in.ResourcePatternType == 0 || in.Operation == 0 || in.PermissionType == 0
	}, func() {
		if unknown && n.cfg.Authorize {
			r.refuse(unknownElements)
			return
		}
		n.each(r, count, func(i int) {
			out, rule := &resp.Results[i], ruleOf(&req.Creations[i])
			*out = kmsg.NewCreateACLsResponseResult()
			if !n.cfg.Authorize {
				out.ErrorCode, out.ErrorMessage = kerr.SecurityDisabled.Code, &noACLs
			} else if wrong := rule.Check(); wrong != "" {
				out.ErrorCode, out.ErrorMessage = kerr.InvalidRequest.Code, &wrong
			} else if fresh = append(fresh, i); len(fresh) == maxRulesOnce {
				send()
			}
		}, func() {
			send()
			w.begin(int32(adminTimeout.Milliseconds()))
		})
	})
}

func ruleOf(in *kmsg.CreateACLsRequestCreation) acl.Rule {
	return acl.Rule{
		Type: acl.ResourceType(in.ResourceType), Pattern: acl.PatternType(in.ResourcePatternType), Name: in.ResourceName,
		Principal: in.Principal, Host: acl.Host(in.Host), Operation: acl.Operation(in.Operation), Permission: acl.Permission(in.PermissionType),
	}
}

// createRules has some of the rules of a request created by one command.
func (n *Node) createRules(w *wait, req *kmsg.CreateACLsRequest, resp *kmsg.CreateACLsResponse, which []int) {
	cmd := &createRules{Rules: make([]acl.Rule, len(which))}
	for k, i := range which {
		cmd.Rules[k] = ruleOf(&req.Creations[i])
		resp.Results[i].ErrorCode = kerr.RequestTimedOut.Code // until it is applied
	}
	n.commands.submitFor(w.request, command{CreateRules: cmd}, func(res commandResult) {
		for _, i := range which {
			out := &resp.Results[i]
			if out.ErrorCode = code(res.err); res.err != nil {
				out.ErrorMessage = errorText(res.err)
			}
		}
		w.done()
	})
}

func (n *Node) handleDeleteACLs(r *request, m kmsg.Request) {
	req, resp := m.(*kmsg.DeleteACLsRequest), kmsg.NewPtrDeleteACLsResponse()
	count, unknown := len(req.Filters), false
	resp.Results = make([]kmsg.DeleteACLsResponseResult, count)
	n.each(r, count, func(i int) {
		in := &req.Filters[i]
		unknown = unknown || in.ResourceType == 0 || in.ResourcePatternType == 0 || in.Operation == 0 || in.PermissionType == 0
	}, func() {
		if unknown && n.cfg.Authorize {
			r.refuse(unknownElements)
			return
		}
		w := waitFor(r, resp, count)
		n.each(r, count, func(i int) {
			in, out := &req.Filters[i], &resp.Results[i]
			*out = kmsg.NewDeleteACLsResponseResult()
			f := filterOf(in.ResourceType, in.ResourcePatternType, in.ResourceName, in.Principal, in.Host, in.Operation, in.PermissionType)
			if unknown := f.Unknown(); !n.cfg.Authorize {
				out.ErrorCode, out.ErrorMessage = kerr.SecurityDisabled.Code, &noACLs
				w.done()
			} else if unknown != "" {
				out.ErrorCode, out.ErrorMessage = kerr.InvalidRequest.Code, &unknown
				w.done()
			} else {
				n.deleteRules(w, f, out)
			}
		}, func() { w.begin(int32(adminTimeout.Milliseconds())) })
	})
}

// deleteRules has what a filter means deleted, by as many commands as it takes.
func (n *Node) deleteRules(w *wait, f acl.Filter, out *kmsg.DeleteACLsResponseResult) {
	out.ErrorCode = kerr.RequestTimedOut.Code // until it is applied
	n.commands.submitFor(w.request, command{DeleteRules: &deleteRules{f}}, func(res commandResult) {
		for _, rule := range res.rules {
			gone := kmsg.NewDeleteACLsResponseResultMatchingACL()
			gone.ResourceType, gone.ResourcePatternType, gone.ResourceName = kmsg.ACLResourceType(rule.Type), kmsg.ACLResourcePatternType(rule.Pattern), rule.Name
			gone.Principal, gone.Host = rule.Principal, rule.Host
			gone.Operation, gone.PermissionType = kmsg.ACLOperation(rule.Operation), kmsg.ACLPermissionType(rule.Permission)
			out.MatchingACLs = append(out.MatchingACLs, gone)
		}
		if res.more && !w.request.over() {
			n.deleteRules(w, f, out)
			return
		}
		if out.ErrorCode = code(res.err); res.err != nil {
			out.ErrorMessage = errorText(res.err)
		}
		w.done()
	})
}
