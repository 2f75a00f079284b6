// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/acl"
)

// createRequest asks for rules.
func createRequest(t *testing.T, rules ...string) *kmsg.CreateACLsRequest {
	req := kmsg.NewPtrCreateACLsRequest()
	req.Version = 3
	for _, text := range rules {
		r := parseRule(t, text)
		req.Creations = append(req.Creations, kmsg.CreateACLsRequestCreation{
			ResourceType: kmsg.ACLResourceType(r.Type), ResourceName: r.Name, ResourcePatternType: kmsg.ACLResourcePatternType(r.Pattern),
			Principal: r.Principal, Host: r.Host, Operation: kmsg.ACLOperation(r.Operation), PermissionType: kmsg.ACLPermissionType(r.Permission),
		})
	}
	return req
}

// allow creates rules, and returns the names of the errors.
func (o *one) allow(rules ...string) string {
	o.t.Helper()
	var codes []string
	for _, r := range o.ask(createRequest(o.t, rules...)).(*kmsg.CreateACLsResponse).Results {
		if (r.ErrorCode != 0) != (r.ErrorMessage != nil) {
			o.t.Errorf("%s, but the text is %v", kafka.CodeName(r.ErrorCode), r.ErrorMessage)
		}
		codes = append(codes, kafka.CodeName(r.ErrorCode))
	}
	return strings.Join(codes, " ")
}

func filterRequest() *kmsg.DescribeACLsRequest {
	req := kmsg.NewPtrDescribeACLsRequest()
	req.Version, req.ResourceType, req.ResourcePatternType, req.Operation, req.PermissionType = 3, 1, 1, 1, 1
	return req
}

// rules are all that there are, as a client sees them.
func (o *one) rules() (all []string) {
	o.t.Helper()
	resp := o.ask(filterRequest()).(*kmsg.DescribeACLsResponse)
	if resp.ErrorCode != 0 {
		o.t.Fatal(kafka.CodeName(resp.ErrorCode))
	}
	for _, r := range resp.Resources {
		for _, a := range r.ACLs {
			all = append(all, fmt.Sprintf("%v %s %s %v %v %v %s", a.PermissionType, a.Principal, a.Host, acl.Operation(a.Operation), r.ResourceType, r.ResourcePatternType, r.ResourceName))
		}
	}
	return all
}

// deleteRules deletes what filters mean, and returns how many of each, or the error's name.
func (o *one) deleteRules(filters ...*kmsg.DescribeACLsRequest) string {
	o.t.Helper()
	req := kmsg.NewPtrDeleteACLsRequest()
	req.Version = 3
	for _, f := range filters {
		req.Filters = append(req.Filters, kmsg.DeleteACLsRequestFilter{
			ResourceType: f.ResourceType, ResourceName: f.ResourceName, ResourcePatternType: f.ResourcePatternType,
			Principal: f.Principal, Host: f.Host, Operation: f.Operation, PermissionType: f.PermissionType,
		})
	}
	var out []string
	for _, r := range o.ask(req).(*kmsg.DeleteACLsResponse).Results {
		if text := fmt.Sprint(len(r.MatchingACLs)); r.ErrorCode == 0 {
			out = append(out, text)
		} else {
			out = append(out, kafka.CodeName(r.ErrorCode))
		}
	}
	return strings.Join(out, " ")
}

func newRights(t *testing.T) *one {
	return newOne(t, func(c *Config) { c.Authorize, c.SuperUsers = true, []string{acl.Anonymous} })
}

func TestRules(t *testing.T) {
	o := newRights(t)
	o.want("created", "NONE NONE NONE NONE", o.allow(
		"ALLOW User:a * READ TOPIC PREFIXED foo", "DENY User:* 1.2.3.4 ALL TOPIC LITERAL *", "ALLOW User:a ::1 TWO_PHASE_COMMIT TRANSACTIONAL_ID LITERAL x",
		"ALLOW User:a * READ TOPIC PREFIXED foo"))
	o.want("again", "NONE", o.allow("ALLOW User:a * READ TOPIC PREFIXED foo"))
	o.want("invalid", "INVALID_REQUEST INVALID_REQUEST INVALID_REQUEST INVALID_REQUEST INVALID_REQUEST INVALID_REQUEST NONE", o.allow(
		"ALLOW User:a * READ CLUSTER LITERAL cluster", "ALLOW User:a * READ TOPIC LITERAL ", "ALLOW User:a * READ ANY LITERAL x", "ALLOW User:a * READ TOPIC MATCH x",
		"ALLOW User:a * ANY TOPIC LITERAL x", "ALLOW a * READ TOPIC LITERAL x", "ALLOW User:a * ALTER CLUSTER LITERAL kafka-cluster"))
	want := []string{
		"DENY User:* 1.2.3.4 ALL TOPIC LITERAL *", "ALLOW User:a * READ TOPIC PREFIXED foo", "ALLOW User:a * ALTER CLUSTER LITERAL kafka-cluster",
		"ALLOW User:a 0:0:0:0:0:0:0:1 TWO_PHASE_COMMIT TRANSACTIONAL_ID LITERAL x",
	}
	check := func() {
		t.Helper()
		if got := o.rules(); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	check()
	o.restart()
	check()

	named, user, host := filterRequest(), filterRequest(), filterRequest()
	name, alice, address := "foobar", "User:a", "::1"
	named.ResourceName, named.ResourcePatternType, named.ResourceType = &name, 2, 2
	user.Principal, host.Host = &alice, &address
	if resp := o.ask(named).(*kmsg.DescribeACLsResponse); len(resp.Resources) != 2 {
		t.Errorf("%+v is about the topic %s", resp.Resources, name)
	}
	o.want("deleted", "1 2 0", o.deleteRules(host, user, user))
	want = want[:1]
	check()
	unknown := filterRequest()
	unknown.Operation = 99
	o.want("unknown", "INVALID_REQUEST", o.deleteRules(unknown))
	if resp := o.ask(unknown).(*kmsg.DescribeACLsResponse); resp.ErrorCode != 0 || len(resp.Resources) != 0 {
		t.Errorf("%+v", resp)
	}
	o.restart()
	check()
}

// TestRulesOldVersion is version 0, which knows literal patterns alone.
func TestRulesOldVersion(t *testing.T) {
	o := newRights(t)
	o.allow("ALLOW User:a * READ TOPIC PREFIXED foo")
	create := createRequest(t, "ALLOW User:a * READ TOPIC LITERAL foo")
	create.Version = 0
	o.ask(create)
	describe := filterRequest()
	describe.Version = 0
	if resp := o.ask(describe).(*kmsg.DescribeACLsResponse); len(resp.Resources) != 1 || resp.Resources[0].ResourcePatternType != 3 {
		t.Errorf("%+v", resp)
	}
	if got := o.rules(); len(got) != 2 {
		t.Errorf("%q", got)
	}
}

// TestUnknownElements closes the connection, as Kafka does.
func TestUnknownElements(t *testing.T) {
	o := newRights(t)
	describe := filterRequest()
	describe.ResourceType = 0
	create := createRequest(t, "UNKNOWN User:a * READ TOPIC LITERAL x")
	remove := kmsg.NewPtrDeleteACLsRequest()
	remove.Filters = append(remove.Filters, kmsg.NewDeleteACLsRequestFilter())
	for _, req := range []kmsg.Request{describe, create, remove} {
		o.step(Input{Requests: []Request{{Conn: 2, Frame: kafka.AppendRequest(nil, 1, "test", req)}}, Hangups: []ConnID{2}})
		o.step(Input{Requests: []Request{{Conn: 2, Frame: kafka.AppendRequest(nil, 1, "test", req)}}})
		for i := 0; len(o.replies) == 0 && i < 100; i++ {
			o.step(Input{})
		}
		if len(o.replies) != 1 || !o.replies[0].Close {
			t.Errorf("%T: %+v", req, o.replies)
		}
		o.replies = nil
		o.step(Input{Hangups: []ConnID{2}})
	}
}

// TestManyRules is more than one command takes.
func TestManyRules(t *testing.T) {
	o := newRights(t)
	var many []string
	for i := range 2*maxRulesOnce + 7 {
		many = append(many, fmt.Sprintf("ALLOW User:u%d * READ TOPIC LITERAL t%d", i, i%100))
	}
	o.allow(many...)
	o.want("rules", len(many), len(o.rules()))
	o.want("deleted", fmt.Sprint(len(many)), o.deleteRules(filterRequest()))
	o.want("rules", 0, len(o.rules()))
}
