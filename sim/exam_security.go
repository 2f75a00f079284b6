// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/checker"
	"chronik/kafka"
	"chronik/node/sasl"
)

// What the examiner asks about users, rules and quotas. The judge knows all that the administrator's orders came to.

func (e *exam) ofSecurity() []*inquiry {
	list := []*inquiry{e.partTwice()}
	if e.world.secure != nil {
		list = append(list, e.whoMayLogIn(), e.nobody(), e.whichQuotas())
	}
	return list
}

// whoMayLogIn asks for all users.
func (e *exam) whoMayLogIn() *inquiry {
	return &inquiry{
		what:    "DescribeUserScramCredentials of all",
		request: func(*broker) kmsg.Request { return kmsg.NewPtrDescribeUserSCRAMCredentialsRequest() },
		wrong: eachOf(func(t told, r *kmsg.DescribeUserSCRAMCredentialsResponse) string {
			var got []checker.Credential
			for _, u := range r.Results {
				for _, c := range u.CredentialInfos {
					got = append(got, checker.Credential{User: u.User, Mechanism: sasl.Hash(c.Mechanism).Mechanism()})
				}
			}
			slices.SortFunc(got, checker.Credential.Compare)
			if want := e.world.secure.rights.Users(); r.ErrorCode != 0 || !slices.Equal(got, want) {
				return fmt.Sprintf("broker %d answers %s, %v; there are %v", t.by.number, kafka.CodeName(r.ErrorCode), got, want)
			}
			return ""
		}),
	}
}

// nobody asks for a user that there isn't.
func (e *exam) nobody() *inquiry {
	return &inquiry{
		what: "DescribeUserScramCredentials of somebody who isn't there",
		request: func(*broker) kmsg.Request {
			req, u := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest(), kmsg.NewDescribeUserSCRAMCredentialsRequestUser()
			u.Name = "nobody"
			req.Users = append(req.Users, u)
			return req
		},
		wrong: eachOf(func(t told, r *kmsg.DescribeUserSCRAMCredentialsResponse) string {
			if len(r.Results) != 1 || r.Results[0].ErrorCode != kerr.ResourceNotFound.Code {
				return fmt.Sprintf("broker %d answers %v", t.by.number, r.Results)
			}
			return ""
		}),
	}
}

// whichQuotas asks for all quotas, for those of any user, or for those of clients whatever their ids, and of nobody else.
func (e *exam) whichQuotas() *inquiry {
	version, filter := e.version(kmsg.DescribeClientQuotas), e.pick(3)
	return &inquiry{
		what: fmt.Sprintf("DescribeClientQuotas, version %d, filter %d", version, filter),
		request: func(*broker) kmsg.Request {
			req := kmsg.NewPtrDescribeClientQuotasRequest()
			req.Version = version
			switch c := kmsg.NewDescribeClientQuotasRequestComponent(); filter {
			case 1:
				c.EntityType, c.MatchType = "user", kmsg.QuotasMatchTypeAny
				req.Components = append(req.Components, c)
			case 2:
				c.EntityType, c.MatchType = "client-id", kmsg.QuotasMatchTypeDefault
				req.Components, req.Strict = append(req.Components, c), true
			}
			return req
		},
		wrong: eachOf(func(t told, r *kmsg.DescribeClientQuotasResponse) string {
			var want, got []string
			for _, l := range e.world.secure.quotas.Limits() {
				if filter == 0 || filter == 1 && l.User != "" || filter == 2 && l.User == "" && l.Client == "*" {
					want = append(want, fmt.Sprintf("user%s client-id%s %s %g", l.User, l.Client, l.Key, l.Limit))
				}
			}
			for _, q := range r.Entries {
				of := map[string]string{}
				for _, p := range q.Entity {
					if of[p.Type] = "*"; p.Name != nil {
						of[p.Type] = "=" + *p.Name
					}
				}
				for _, v := range q.Values {
					got = append(got, fmt.Sprintf("user%s client-id%s %s %g", of["user"], of["client-id"], v.Key, v.Value))
				}
			}
			slices.Sort(want)
			slices.Sort(got)
			if r.ErrorCode != 0 || !slices.Equal(want, got) {
				return fmt.Sprintf("broker %d answers %s, %q; there are %q", t.by.number, kafka.CodeName(r.ErrorCode), got, want)
			}
			return ""
		}),
	}
}

// partTwice asks whether a quota could be changed of an entity of which a part is named twice: the last counts, as in Kafka.
func (e *exam) partTwice() *inquiry {
	version := e.version(kmsg.AlterClientQuotas)
	return &inquiry{
		what: fmt.Sprintf("AlterClientQuotas, version %d, of two users at once", version),
		request: func(*broker) kmsg.Request {
			req := kmsg.NewPtrAlterClientQuotasRequest()
			req.Version, req.ValidateOnly = version, true
			q, op := kmsg.NewAlterClientQuotasRequestEntry(), kmsg.NewAlterClientQuotasRequestEntryOp()
			for _, name := range []string{"first", "second"} {
				part := kmsg.NewAlterClientQuotasRequestEntryEntity()
				part.Type, part.Name = "user", kmsg.StringPtr(name)
				q.Entity = append(q.Entity, part)
			}
			op.Key, op.Value = "producer_byte_rate", 1
			q.Ops = append(q.Ops, op)
			req.Entries = append(req.Entries, q)
			return req
		},
		wrong: eachOf(func(t told, r *kmsg.AlterClientQuotasResponse) string {
			if len(r.Entries) != 1 || len(r.Entries[0].Entity) != 1 || textOf(r.Entries[0].Entity[0].Name) != "second" {
				return fmt.Sprintf("broker %d answers about %v", t.by.number, r.Entries)
			}
			return ""
		}),
	}
}
