// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/quota"
)

// alterQuotas is a request that changes quotas, each "type=name type=name: key=value key=". A type without a name is the
// default, and a key without a value is removed.
func alterQuotas(changes ...string) *kmsg.AlterClientQuotasRequest {
	req := kmsg.NewPtrAlterClientQuotasRequest()
	for _, c := range changes {
		entity, ops, _ := strings.Cut(c, ": ")
		in := kmsg.NewAlterClientQuotasRequestEntry()
		for _, part := range strings.Fields(entity) {
			p := kmsg.NewAlterClientQuotasRequestEntryEntity()
			kind, name, named := strings.Cut(part, "=")
			if p.Type = kind; named {
				p.Name = &name
			}
			in.Entity = append(in.Entity, p)
		}
		for _, op := range strings.Fields(ops) {
			o := kmsg.NewAlterClientQuotasRequestEntryOp()
			key, value, _ := strings.Cut(op, "=")
			o.Key, o.Remove = key, value == ""
			o.Value, _ = strconv.ParseFloat(value, 64)
			in.Ops = append(in.Ops, o)
		}
		req.Entries = append(req.Entries, in)
	}
	return req
}

// describeQuotas asks for those of entities with some parts, each "type=name", "type" for the default or "type?" for any.
func describeQuotas(strict bool, parts ...string) *kmsg.DescribeClientQuotasRequest {
	req := kmsg.NewPtrDescribeClientQuotasRequest()
	req.Strict = strict
	for _, part := range parts {
		c := kmsg.NewDescribeClientQuotasRequestComponent()
		kind, name, named := strings.Cut(part, "=")
		c.EntityType, c.MatchType = kind, kmsg.QuotasMatchTypeDefault
		if any, ok := strings.CutSuffix(kind, "?"); ok {
			c.EntityType, c.MatchType = any, kmsg.QuotasMatchTypeAny
		} else if named {
			c.MatchType, c.Match = kmsg.QuotasMatchTypeExact, &name
		}
		req.Components = append(req.Components, c)
	}
	return req
}

func alteredQuotas(resp kmsg.Response) (lines []string) {
	for _, e := range resp.(*kmsg.AlterClientQuotasResponse).Entries {
		var parts []string
		for _, p := range e.Entity {
			parts = append(parts, partText(p.Type, p.Name))
		}
		lines = append(lines, strings.Join(parts, " ")+" "+kafka.CodeName(e.ErrorCode))
	}
	return lines
}

func partText(kind string, name *string) string {
	if name == nil {
		return kind
	}
	return kind + "=" + *name
}

func describedQuotas(resp kmsg.Response) (lines []string) {
	d := resp.(*kmsg.DescribeClientQuotasResponse)
	if d.ErrorCode != 0 {
		return []string{kafka.CodeName(d.ErrorCode)}
	}
	for _, e := range d.Entries {
		var parts []string
		for _, p := range e.Entity {
			parts = append(parts, partText(p.Type, p.Name))
		}
		for _, v := range e.Values {
			parts = append(parts, fmt.Sprintf("%s=%v", v.Key, v.Value))
		}
		lines = append(lines, strings.Join(parts, " "))
	}
	return lines
}

// Quotas are set, described and removed, with the errors of Kafka.
func TestQuotas(t *testing.T) {
	o := newOne(t, nil)
	check := func(what string, got []string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	check("none", describedQuotas(o.ask(describeQuotas(false))))
	check("set", alteredQuotas(o.ask(alterQuotas("user=alice: producer_byte_rate=1024 request_percentage=12.5", "user client-id=app: consumer_byte_rate=2e9", "client-id: controller_mutation_rate=0.5",
		"ip=10.0.0.7: connection_creation_rate=5", "ip=::1: connection_creation_rate=9", "ip: connection_creation_rate=100"))),
		"user=alice NONE", "user client-id=app NONE", "client-id NONE", "ip=10.0.0.7 NONE", "ip=::1 NONE", "ip NONE")
	invalid := []string{
		": producer_byte_rate=1", "user= : producer_byte_rate=1", "host=x: producer_byte_rate=1", "ip=10.0.0.7 user=x: connection_creation_rate=1", "ip=nowhere.example: connection_creation_rate=1",
		"user=a: connection_creation_rate=1", "ip=10.0.0.8: producer_byte_rate=1", "user=b: bytes=1", "user=c: producer_byte_rate=0.0", "user=d: producer_byte_rate=-1", "user=e: producer_byte_rate=1.5",
		"user=f: consumer_byte_rate=1e19", "ip=10.0.0.9: connection_creation_rate=3e9", "user=g: request_percentage=NaN", "user=h: request_percentage=Inf", "user=i: request_percentage=1 request_percentage=2",
		"user=" + strings.Repeat("x", 1025) + ": request_percentage=1", "user=\xff: request_percentage=1",
	}
	for _, line := range alteredQuotas(o.ask(alterQuotas(invalid...))) {
		if !strings.HasSuffix(line, " INVALID_REQUEST") {
			t.Errorf("what can't be a quota: %s", line)
		}
	}
	all := []string{
		"client-id controller_mutation_rate=0.5", "ip connection_creation_rate=100", "ip=10.0.0.7 connection_creation_rate=5", "ip=::1 connection_creation_rate=9",
		"user client-id=app consumer_byte_rate=2e+09", "user=alice producer_byte_rate=1024 request_percentage=12.5",
	}
	sorted := func(resp kmsg.Response) []string { return slices.Sorted(slices.Values(describedQuotas(resp))) }
	check("all", sorted(o.ask(describeQuotas(false))), all...)
	validate := alterQuotas("user=alice: producer_byte_rate=", "user=z: request_percentage=1")
	validate.ValidateOnly = true
	check("validated", alteredQuotas(o.ask(validate)), "user=alice NONE", "user=z NONE")
	check("twice", alteredQuotas(o.ask(alterQuotas("user=alice: producer_byte_rate=2048 nothing=", "user=alice: producer_byte_rate=1", "user=nobody: request_percentage=", "user=x user=y: request_percentage=3"))),
		"user=alice INVALID_REQUEST", "user=nobody NONE", "user=y NONE")
	garbage := alterQuotas("user=nobody: producer_byte_rate= " + strings.Repeat("x", 70_000) + "=")
	garbage.Entries[0].Ops[0].Value = math.NaN()
	check("garbage", alteredQuotas(o.ask(garbage)), "user=nobody NONE")
	check("removed", alteredQuotas(o.ask(alterQuotas("user=y: request_percentage=", "user=alice: request_percentage=", "client-id: controller_mutation_rate="))), "user=y NONE", "user=alice NONE", "client-id NONE")
	all = append(all[1:5], "user=alice producer_byte_rate=2048")
	check("after", sorted(o.ask(describeQuotas(false))), all...)
	o.restart()
	check("after a restart", sorted(o.ask(describeQuotas(false))), all...)
	o.cfg.CheckpointEntries = 1
	o.restart()
	o.ask(alterQuotas("user client-id=app: consumer_byte_rate="))
	o.create("t") // a checkpoint
	o.restart()
	check("from a checkpoint", sorted(o.ask(describeQuotas(false))), slices.Delete(all, 3, 4)...)
}

// What a filter means, and what it can't be.
func TestQuotaFilters(t *testing.T) {
	o := newOne(t, nil)
	for _, e := range []string{"user", "user=a", "user=b", "user=a client-id", "user=a client-id=x", "user client-id=x", "client-id=x", "client-id", "ip", "ip=1.2.3.4"} {
		key := "request_percentage"
		if strings.HasPrefix(e, "ip") {
			key = "connection_creation_rate"
		}
		o.ask(alterQuotas(e + ": " + key + "=7"))
	}
	for _, c := range []struct {
		strict bool
		parts  string
		want   string
	}{
		{false, "user=a", "user=a, user=a client-id, user=a client-id=x"},
		{true, "user=a", "user=a"},
		{false, "user", "user, user client-id=x"},
		{true, "user?", "user, user=a, user=b"},
		{true, "user? client-id=x", "user client-id=x, user=a client-id=x"},
		{false, "client-id=x", "client-id=x, user client-id=x, user=a client-id=x"},
		{false, "ip?", "ip, ip=1.2.3.4"},
		{true, "", ""},
		{true, "user=", ""},
		{false, "user user", "INVALID_REQUEST"},
		{false, "user? user=a", "INVALID_REQUEST"},
		{false, "ip? user?", "INVALID_REQUEST"},
		{false, "?", "INVALID_REQUEST"},
		{false, "host?", "UNSUPPORTED_VERSION"},
	} {
		got := describedQuotas(o.ask(describeQuotas(c.strict, strings.Fields(c.parts)...)))
		for i := range got {
			got[i], _, _ = strings.Cut(got[i], " request_percentage")
			got[i], _, _ = strings.Cut(got[i], " connection_creation_rate")
		}
		slices.Sort(got)
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("%q (strict %v): %s, want %s", c.parts, c.strict, text, c.want)
		}
	}
	name := "x"
	for match, text := range map[kmsg.QuotasMatchType]*string{kmsg.QuotasMatchTypeExact: nil, kmsg.QuotasMatchTypeDefault: &name, kmsg.QuotasMatchTypeAny: &name, 3: nil, -1: nil} {
		req := describeQuotas(false, "user")
		req.Components[0].MatchType, req.Components[0].Match = match, text
		if got := describedQuotas(o.ask(req)); len(got) != 1 || got[0] != "INVALID_REQUEST" {
			t.Errorf("match type %d with %v: %v", match, text, got)
		}
	}
}

// A broker that gets the catalog as a checkpoint knows the quotas.
func TestQuotasInSnapshot(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { cfg.RetainEntries, cfg.CheckpointEntries, cfg.CheckStates = 1, 1, true })
	c.create("t", 1)
	c.kill(3)
	c.ask(1, alterQuotas("user=alice: producer_byte_rate=1024", "client-id: request_percentage=3"))
	for i := range 20 {
		c.create(fmt.Sprintf("t%d", i), 1)
	}
	c.start(3)
	c.until("broker 3 has the topics", func() bool { return c.nodes[3].node.catalog.byName["t19"] != nil })
	if c.nodes[3].events[EventSnapshotInstalled] == 0 {
		t.Error("it got entries")
	}
	want, got := c.nodes[1].node.catalog.quotas, c.nodes[3].node.catalog.quotas
	if diff := cmp.Diff(want.Quotas(), got.Quotas()); diff != "" || len(got.Quotas()) != 2 || !got.Has(quota.Produce) {
		t.Error(diff)
	}
}

// TestQuotasAreBounded also looks at their checkpoint.
func TestQuotasAreBounded(t *testing.T) {
	o := newOne(t, nil)
	c := o.node.catalog
	change := func(name string, value float64) quota.Change {
		return quota.Change{Entity: quota.Entity{User: quota.Named(name)}, Ops: []quota.Op{{Value: quota.Value{Key: "request_percentage", Value: value}}}}
	}
	for i := 0; i < maxQuotas; i += maxQuotasOnce {
		cmd := &changeQuotas{}
		for j := range maxQuotasOnce {
			cmd.Changes = append(cmd.Changes, change(fmt.Sprint(i+j), math.Pi))
		}
		if err := c.changeQuotas(cmd); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.changeQuotas(&changeQuotas{[]quota.Change{change("7", 8), change("one more", 1)}}); code(err) != kerr.PolicyViolation.Code {
		t.Errorf("one more: %v", err)
	}
	if err := c.changeQuotas(&changeQuotas{[]quota.Change{change("7", 9)}}); err != nil {
		t.Errorf("one that is there: %v", err)
	}
	if !bytes.Equal(c.snapshot(0).whole(), c.state(0)) {
		t.Error("the state in pieces differs from the whole")
	}
	again := newCatalog(o.node)
	if err := again.restore([][]byte{c.state(0)}); err != nil || cmp.Diff(again.quotas.Quotas(), c.quotas.Quotas()) != "" || again.quotas.Check() != nil {
		t.Errorf("%d quotas come back: %v", len(again.quotas.Quotas()), err)
	}
}

// TestQuotasCommands is what no broker sends.
func TestQuotasCommands(t *testing.T) {
	good := quota.Change{Entity: quota.Entity{Client: quota.Default}, Ops: []quota.Op{{Value: quota.Value{Key: "producer_byte_rate", Value: 7}}, {Value: quota.Value{Key: "request_percentage"}, Remove: true}}}
	bad := good
	bad.IP = quota.Default
	for what, c := range map[string]struct {
		cmd  *changeQuotas
		fine bool
	}{
		"fine":     {&changeQuotas{[]quota.Change{good, good}}, true},
		"none":     {&changeQuotas{}, false},
		"too many": {&changeQuotas{slices.Repeat([]quota.Change{good}, maxQuotasOnce+1)}, false},
		"garbage":  {&changeQuotas{[]quota.Change{{Entity: good.Entity, Ops: []quota.Op{{Value: quota.Value{Key: "producer_byte_rate", Value: math.NaN()}, Remove: true}}}}}, false},
		"unknown":  {&changeQuotas{[]quota.Change{{Entity: good.Entity, Ops: []quota.Op{{Value: quota.Value{Key: "x"}, Remove: true}}}}}, false},
		"bad":      {&changeQuotas{[]quota.Change{good, bad}}, false},
		"ops":      {&changeQuotas{[]quota.Change{{Entity: good.Entity, Ops: slices.Repeat(good.Ops[1:], 17)}}}, false},
	} {
		cmd := command{Origin: 1, ChangeQuotas: c.cmd}
		if err := cmd.check(); (err == nil) != c.fine {
			t.Errorf("%s: %v", what, err)
		} else if err == nil && (!strings.Contains(cmd.what(), "the default client-id, producer_byte_rate 7, no request_percentage, and of 1 more") || cmd.size() < 512) {
			t.Errorf("%s: %q, %d bytes", what, cmd.what(), cmd.size())
		}
	}
}

// The world is told how fast connections may come, when that changes, and after a start.
func TestConnectionRatesAreTold(t *testing.T) {
	o := newOne(t, nil)
	told := []string{}
	o.look = func(out *Output) {
		if out.Rates != nil {
			told = append(told, fmt.Sprintf("%v %v", out.Rates.Default, out.Rates.Of))
		}
	}
	check := func(what, want string) {
		t.Helper()
		last := ""
		if len(told) > 0 {
			last = told[len(told)-1]
		}
		if told = nil; last != want {
			t.Errorf("%s: %q, want %q", what, last, want)
		}
	}
	o.ask(alterQuotas("user=a: producer_byte_rate=1"))
	check("of a user", "")
	o.ask(alterQuotas("ip: connection_creation_rate=9"))
	o.ask(alterQuotas("ip=::1: connection_creation_rate=7", "ip=10.0.0.7: connection_creation_rate=1"))
	check("of addresses", "9 map[10.0.0.7:1 ::1:7]")
	o.restart()
	o.step(Input{})
	check("after a start", "9 map[10.0.0.7:1 ::1:7]")
	o.ask(alterQuotas("ip=::1: connection_creation_rate=", "ip: connection_creation_rate=", "ip=10.0.0.7: connection_creation_rate="))
	check("removed", "0 map[]")
	o.ask(alterQuotas("user=a: producer_byte_rate=2"))
	check("nothing to tell", "")
}
