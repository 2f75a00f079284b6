// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// limit is one of an entity, to be set or, without a value, to be removed.
type limit struct {
	key   string
	value float64
}

// entity reads what a row says: "user=a client-id" is user a and the default client id.
func entity(text string) (parts []kmsg.AlterClientQuotasRequestEntryEntity) {
	for part := range strings.FieldsSeq(text) {
		p := kmsg.NewAlterClientQuotasRequestEntryEntity()
		kind, name, named := strings.Cut(part, "=")
		if p.Type = kind; named {
			p.Name = &name
		}
		parts = append(parts, p)
	}
	return parts
}

func alterQuota(of string, limits ...limit) *kmsg.AlterClientQuotasRequest {
	e := kmsg.NewAlterClientQuotasRequestEntry()
	e.Entity = entity(of)
	for _, l := range limits {
		op := kmsg.NewAlterClientQuotasRequestEntryOp()
		op.Key, op.Value, op.Remove = l.key, l.value, math.IsNaN(l.value)
		e.Ops = append(e.Ops, op)
	}
	req := kmsg.NewPtrAlterClientQuotasRequest()
	req.Version, req.Entries = 1, []kmsg.AlterClientQuotasRequestEntry{e}
	return req
}

func remove(key string) limit { return limit{key, math.NaN()} }

func describeQuotas(strict bool, components ...kmsg.DescribeClientQuotasRequestComponent) *kmsg.DescribeClientQuotasRequest {
	req := kmsg.NewPtrDescribeClientQuotasRequest()
	req.Version, req.Strict, req.Components = 1, strict, components
	return req
}

// component is a part of a filter: the name counts if the match is exact (0), not for the default (1) or any (2).
func component(kind string, match kmsg.QuotasMatchType, name ...string) kmsg.DescribeClientQuotasRequestComponent {
	c := kmsg.NewDescribeClientQuotasRequestComponent()
	c.EntityType, c.MatchType = kind, match
	if len(name) > 0 {
		c.Match = &name[0]
	}
	return c
}

// quotasScene is about which quotas can be set, and what is answered about them (KIP-546).
func quotasScene(s *session) {
	const bytes, percent, rate, mutations = "producer_byte_rate", "request_percentage", "connection_creation_rate", "controller_mutation_rate"
	s.row("none", describeQuotas(false))
	s.row("of a user", alterQuota("user=a", limit{bytes, 1024}, limit{percent, 12.5}))
	s.row("of a user and a client", alterQuota("user=a client-id=c", limit{"consumer_byte_rate", 1}))
	s.row("of a user and any client", alterQuota("user=a client-id", limit{bytes, 2048}))
	s.row("of all clients", alterQuota("client-id", limit{mutations, 0.25}))
	s.row("of an address", alterQuota("ip=127.0.0.9", limit{rate, 7}))
	s.row("of all addresses", alterQuota("ip", limit{rate, 1000}))
	for _, of := range []string{"", "user=", "host=x", "ip=127.0.0.9 user=a", "ip=127.0.0.9 client-id", "ip=999.1.1.1"} {
		s.row("of {"+of+"}", alterQuota(of, limit{rate, 7}))
	}
	for _, l := range []limit{
		{"no_such_key", 1}, {rate, 1}, {bytes, 0}, {bytes, -1}, {bytes, 1.5}, {bytes, 1.0000001}, {bytes, math.MaxInt64}, {bytes, 1e19}, {percent, 1e19}, {percent, 0.001}, {mutations, 1e-9}, {percent, -0.5},
	} {
		s.row(l.key+" of "+fmt.Sprint(l.value), alterQuota("user=v", l))
	}
	s.row("an address's bytes", alterQuota("ip=127.0.0.9", limit{bytes, 7}))
	s.row("an address's rate, fraction", alterQuota("ip=127.0.0.9", limit{rate, 1.5}))
	s.row("an address's rate, too large", alterQuota("ip=127.0.0.9", limit{rate, 1 << 31}))
	s.row("a key twice", alterQuota("user=v", limit{bytes, 1}, limit{bytes, 2}))
	s.row("a type twice", alterQuota("user=w user=x", limit{bytes, 5}))
	twice := alterQuota("user=y", limit{bytes, 5})
	twice.Entries = append(twice.Entries, alterQuota("user=y", limit{bytes, 6}).Entries...)
	s.row("an entity twice", twice)
	s.row("nothing", alterQuota("user=z"))
	s.row("remove what isn't there", alterQuota("user=z", remove(bytes)))
	s.row("remove an unknown key", alterQuota("user=z", remove("no_such_key")))
	only := alterQuota("user=z", limit{bytes, 5})
	only.ValidateOnly = true
	s.row("only validated", only)
	s.row("remove", alterQuota("user=v", remove(bytes), remove(percent), remove(mutations)))
	s.row("remove, last", alterQuota("user=y", remove(bytes)))
	s.until(describeQuotas(false, component("user", 0, "y")), `"y"`)
	s.quotaFilters()
}

func (s *session) quotaFilters() {
	s.row("all", describeQuotas(false))
	s.row("user a", describeQuotas(false, component("user", 0, "a")))
	s.row("user a alone", describeQuotas(true, component("user", 0, "a")))
	s.row("any user", describeQuotas(true, component("user", 2)))
	s.row("the default user", describeQuotas(false, component("user", 1)))
	s.row("user a, any client", describeQuotas(true, component("user", 0, "a"), component("client-id", 2)))
	s.row("user a, the default client", describeQuotas(true, component("user", 0, "a"), component("client-id", 1)))
	s.row("any address", describeQuotas(false, component("ip", 2)))
	s.row("the default address", describeQuotas(false, component("ip", 1)))
	s.row("nobody, strict", describeQuotas(true))
	s.row("unknown type", describeQuotas(false, component("host", 2)))
	s.row("empty type", describeQuotas(false, component("", 2)))
	s.row("type twice", describeQuotas(false, component("user", 2), component("user", 0, "a")))
	s.row("address and user", describeQuotas(false, component("ip", 2), component("user", 2)))
	s.row("exact without a name", describeQuotas(false, component("user", 0)))
	s.row("default with a name", describeQuotas(false, component("user", 1, "a")))
	s.row("any with a name", describeQuotas(false, component("user", 2, "a")))
	s.row("unknown match", describeQuotas(false, component("user", 3)))
}
