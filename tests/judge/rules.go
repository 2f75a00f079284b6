// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// rule is one about a user, written as "ALLOW READ TOPIC t". A name that ends with "..." is a prefix. After it there may be
// whom it is about instead of the user ("as User:*"), and from where ("from 10.1.1.1").
func rule(user, text string) (r kmsg.CreateACLsRequestCreation, err error) {
	f := strings.Fields(text)
	if len(f) < 4 || len(f)%2 != 0 {
		return r, fmt.Errorf("%q is no rule", text)
	}
	r = kmsg.NewCreateACLsRequestCreation()
	if r.PermissionType, err = kmsg.ParseACLPermissionType(f[0]); err != nil {
		return r, err
	}
	if r.Operation, err = kmsg.ParseACLOperation(f[1]); err != nil {
		return r, err
	}
	if r.ResourceType, err = kmsg.ParseACLResourceType(f[2]); err != nil {
		return r, err
	}
	name, prefix := strings.CutSuffix(f[3], "...")
	r.ResourceName, r.ResourcePatternType = name, kmsg.ACLResourcePatternTypeLiteral
	if prefix {
		r.ResourcePatternType = kmsg.ACLResourcePatternTypePrefixed
	}
	r.Principal, r.Host = "User:"+user, "*"
	for i := 4; i < len(f); i += 2 {
		switch f[i] {
		case "as":
			r.Principal = f[i+1]
		case "from":
			r.Host = f[i+1]
		default:
			return r, fmt.Errorf("%q is no rule", text)
		}
	}
	return r, nil
}

// turn is a user who asks once, and the rules about it.
type turn struct {
	name, user string
	req        kmsg.Request
	rules      []string
}

// prepare makes the users of turns, and their rules, and waits until both count.
func (s *session) prepare(turns []turn) {
	var users []string
	req := kmsg.NewPtrCreateACLsRequest()
	req.Version = 3
	for _, t := range turns {
		users = append(users, t.user)
		for _, text := range t.rules {
			r, err := rule(t.user, text)
			if err != nil {
				s.err = err
				return
			}
			req.Creations = append(req.Creations, r)
		}
	}
	// The last rule shows that all before it count.
	last := kmsg.NewCreateACLsRequestCreation()
	last.ResourceType, last.ResourceName, last.ResourcePatternType = kmsg.ACLResourceTypeTopic, s.scene, kmsg.ACLResourcePatternTypeLiteral
	last.Principal, last.Host, last.Operation, last.PermissionType = "User:nobody", "*", kmsg.ACLOperationRead, kmsg.ACLPermissionTypeAllow
	for len(req.Creations) > 0 {
		part := *req
		n := min(len(req.Creations), 100)
		part.Creations, req.Creations = req.Creations[:n], req.Creations[n:]
		s.demand(&part)
	}
	req.Creations = []kmsg.CreateACLsRequestCreation{last}
	s.demand(req)
	s.until(rulesAbout("User:nobody", s.scene), "Resources=[]")
	s.addUsers(users...)
}

// rulesAbout asks for the rules about a principal and, if it isn't empty, one topic.
func rulesAbout(principal, topic string) *kmsg.DescribeACLsRequest {
	req := kmsg.NewPtrDescribeACLsRequest()
	req.Version, req.ResourceType, req.ResourcePatternType = 3, kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
	req.Operation, req.PermissionType, req.Principal = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny, &principal
	if topic != "" {
		req.ResourceType, req.ResourceName = kmsg.ACLResourceTypeTopic, &topic
	}
	return req
}

// failure is the first error in an answer; empty if there is none.
func failure(resp kmsg.Response) string {
	var walk func(v reflect.Value) string
	walk = func(v reflect.Value) string {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				return walk(v.Elem())
			}
		case reflect.Slice:
			for i := range v.Len() {
				if code := walk(v.Index(i)); code != "" {
					return code
				}
			}
		case reflect.Struct:
			if c := v.FieldByName("ErrorCode"); c.IsValid() && c.Int() != 0 {
				return codeName(int16(c.Int()))
			}
			for i := range v.NumField() {
				if code := walk(v.Field(i)); code != "" {
					return code
				}
			}
		}
		return ""
	}
	return walk(reflect.ValueOf(resp))
}
