// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// createWith creates a topic with configurations given as name=value, and returns the error's name.
func (o *one) createWith(topic string, configs ...string) string {
	o.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, 1000
	in := kmsg.NewCreateTopicsRequestTopic()
	in.Topic, in.NumPartitions, in.ReplicationFactor = topic, 1, 1
	for _, c := range configs {
		name, value, _ := strings.Cut(c, "=")
		in.Configs = append(in.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: name, Value: &value})
	}
	req.Topics = append(req.Topics, in)
	e := o.ask(req).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode
	for range 20 {
		o.step(Input{})
	}
	return kafka.CodeName(e)
}

// described returns what was set for a topic by clients, or for a broker by its operator, as name=value.
func (o *one) described(kind kmsg.ConfigResourceType, name string) []string {
	o.t.Helper()
	r := o.describeConfigs(kind, name)
	if r.ErrorCode != 0 {
		o.t.Fatal(*r.ErrorMessage)
	}
	var got []string
	for _, c := range r.Configs {
		if c.Source == kmsg.ConfigSourceDynamicTopicConfig || kind == kmsg.ConfigResourceTypeBroker && c.Source == kmsg.ConfigSourceStaticBrokerConfig {
			got = append(got, c.Name+"="+*c.Value)
		}
	}
	return got
}

func (o *one) describeConfigs(kind kmsg.ConfigResourceType, name string) kmsg.DescribeConfigsResponseResource {
	o.t.Helper()
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version, req.IncludeSynonyms, req.IncludeDocumentation = 4, true, true
	in := kmsg.NewDescribeConfigsRequestResource()
	in.ResourceType, in.ResourceName = kind, name
	req.Resources = append(req.Resources, in)
	return o.ask(req).(*kmsg.DescribeConfigsResponse).Resources[0]
}

// editRequest changes a resource incrementally: name=value, name, name+=value or name-=value.
func editRequest(kind kmsg.ConfigResourceType, resource string, edits ...string) *kmsg.IncrementalAlterConfigsRequest {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version = 1
	in := kmsg.NewIncrementalAlterConfigsRequestResource()
	in.ResourceType, in.ResourceName = kind, resource
	for _, e := range edits {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		name, value, set := strings.Cut(e, "=")
		c.Name, c.Value = strings.TrimRight(name, "+-"), &value
		switch {
		case !set:
			c.Op, c.Value = kmsg.IncrementalAlterConfigOpDelete, nil
		case strings.HasSuffix(name, "+"):
			c.Op = kmsg.IncrementalAlterConfigOpAppend
		case strings.HasSuffix(name, "-"):
			c.Op = kmsg.IncrementalAlterConfigOpSubtract
		}
		in.Configs = append(in.Configs, c)
	}
	req.Resources = append(req.Resources, in)
	return req
}

func (o *one) edit(topic string, edits ...string) string {
	o.t.Helper()
	r := o.ask(editRequest(kmsg.ConfigResourceTypeTopic, topic, edits...)).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
	if r.ErrorCode != 0 && (r.ErrorMessage == nil || *r.ErrorMessage == "") {
		o.t.Errorf("%s without a text", kafka.CodeName(r.ErrorCode))
	}
	return kafka.CodeName(r.ErrorCode)
}

func TestIncrementalAlterConfigs(t *testing.T) {
	o := newOne(t, nil)
	if e := o.createWith("t", "retention.ms=1000000", "max.message.bytes=500"); e != "NONE" {
		t.Fatal(e)
	}
	for _, c := range []struct {
		edits []string
		err   string
		want  []string
	}{
		{[]string{"retention.ms=2000000"}, "NONE", []string{"max.message.bytes=500", "retention.ms=2000000"}},
		{[]string{"max.message.bytes", "retention.bytes=9"}, "NONE", []string{"retention.bytes=9", "retention.ms=2000000"}},
		{[]string{"retention.bytes"}, "NONE", []string{"retention.ms=2000000"}},
		{[]string{"retention.bytes"}, "NONE", []string{"retention.ms=2000000"}}, // not set: nothing to delete
		{[]string{"retention.ms=-2"}, "INVALID_CONFIG", []string{"retention.ms=2000000"}},
		{[]string{"retention.bytes=8", "retention.ms=soon"}, "INVALID_CONFIG", []string{"retention.ms=2000000"}},
		{[]string{"no.such.thing=1"}, "INVALID_CONFIG", []string{"retention.ms=2000000"}},
		{[]string{"leader.replication.throttled.replicas"}, "NONE", []string{"retention.ms=2000000"}}, // unknown: nothing to delete
		{[]string{"message.timestamp.type=CreateTime,LogAppendTime"}, "INVALID_CONFIG", []string{"retention.ms=2000000"}},
		{[]string{"retention.ms+=1"}, "INVALID_CONFIG", []string{"retention.ms=2000000"}},
		{[]string{"retention.ms=1", "retention.ms=2"}, "INVALID_REQUEST", []string{"retention.ms=2000000"}},
		{[]string{"cleanup.policy+=delete"}, "NONE", []string{"cleanup.policy=delete", "retention.ms=2000000"}},
		{[]string{"cleanup.policy-=delete"}, "INVALID_CONFIG", []string{"cleanup.policy=delete", "retention.ms=2000000"}},
		{[]string{"cleanup.policy", "segment.bytes=1048576"}, "NONE", []string{"retention.ms=2000000", "segment.bytes=1048576"}},
	} {
		if e := o.edit("t", c.edits...); e != c.err {
			t.Errorf("%v: %s, want %s", c.edits, e, c.err)
		}
		if diff := cmp.Diff(c.want, o.described(kmsg.ConfigResourceTypeTopic, "t")); diff != "" {
			t.Errorf("after %v: %s", c.edits, diff)
		}
	}
	if e := o.edit("u", "retention.ms=1"); e != "UNKNOWN_TOPIC_OR_PARTITION" {
		t.Error(e)
	}
	o.restart()
	if diff := cmp.Diff([]string{"retention.ms=2000000", "segment.bytes=1048576"}, o.described(kmsg.ConfigResourceTypeTopic, "t")); diff != "" {
		t.Error("after a restart: ", diff)
	}
}

func TestAlterConfigsReplacesAll(t *testing.T) {
	o := newOne(t, nil)
	o.createWith("t", "retention.ms=1000000", "max.message.bytes=500")
	req := kmsg.NewPtrAlterConfigsRequest()
	req.Version = 2
	in := kmsg.NewAlterConfigsRequestResource()
	in.ResourceType, in.ResourceName = kmsg.ConfigResourceTypeTopic, "t"
	value := "7"
	in.Configs = append(in.Configs, kmsg.AlterConfigsRequestResourceConfig{Name: "retention.bytes", Value: &value})
	req.Resources = append(req.Resources, in)
	req.ValidateOnly = true
	if r := o.ask(req).(*kmsg.AlterConfigsResponse).Resources[0]; r.ErrorCode != 0 || r.ResourceName != "t" {
		t.Errorf("%+v", r)
	}
	if got := o.described(kmsg.ConfigResourceTypeTopic, "t"); len(got) != 2 || got[1] != "retention.ms=1000000" {
		t.Errorf("validate_only changed something: %v", got)
	}
	req.ValidateOnly = false
	if r := o.ask(req).(*kmsg.AlterConfigsResponse).Resources[0]; r.ErrorCode != 0 {
		t.Errorf("%+v", r)
	}
	if diff := cmp.Diff([]string{"retention.bytes=7"}, o.described(kmsg.ConfigResourceTypeTopic, "t")); diff != "" {
		t.Error(diff)
	}
	req.Resources = append(req.Resources, in)
	if r := o.ask(req).(*kmsg.AlterConfigsResponse).Resources; r[0].ErrorCode != kerr.InvalidRequest.Code || r[1].ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("the same topic twice: %+v", r)
	}
	req.Resources = req.Resources[:1]
	req.Resources[0].Configs[0].Value = nil
	if r := o.ask(req).(*kmsg.AlterConfigsResponse).Resources[0]; r.ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("no value: %+v", r)
	}
}

// Two brokers change the same topic at once: both changes count, and a broker that lags changes what
// it hasn't heard of.
func TestConfigChangesAddUp(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 1, 2, 3)
	for i, id := range []BrokerID{1, 2, 3} {
		m := c.nodes[id]
		m.replies, m.lastID = nil, m.lastID+1
		m.in.Requests = append(m.in.Requests, Request{Conn: 1, Frame: kafka.AppendRequest(nil, m.lastID, "", editRequest(kmsg.ConfigResourceTypeTopic, "t", []string{"retention.ms=77", "retention.bytes=88", "max.message.bytes=99"}[i]))})
	}
	want := []configValue{{"max.message.bytes", "99"}, {"retention.bytes", "88"}, {"retention.ms", "77"}}
	c.until("all three changes are everywhere", func() bool {
		for _, id := range c.ids {
			if t := c.nodes[id].node.catalog.byName["t"]; t == nil || !slices.Equal(t.Configs, want) || len(c.nodes[id].replies) == 0 {
				return false
			}
		}
		return true
	})
}

func TestChangedConfigsTakeEffect(t *testing.T) {
	o := newOne(t, nil)
	o.createWith("t")
	if _, e := o.produce("t", plain(strings.Repeat("x", 500))); e != "NONE" {
		t.Fatal(e)
	}
	o.edit("t", "max.message.bytes=200")
	if _, e := o.produce("t", plain(strings.Repeat("x", 500))); e != "MESSAGE_TOO_LARGE" {
		t.Error(e)
	}
	o.edit("t", "max.message.bytes")
	if _, e := o.produce("t", plain(strings.Repeat("x", 500))); e != "NONE" {
		t.Error(e)
	}
}

func TestMostBrokerConfigsCantBeChanged(t *testing.T) {
	o := newOne(t, func(c *Config) { c.MaxMessageBytes = 12345 })
	for _, c := range []struct{ name, edit, want string }{
		{"1", "message.max.bytes=5", "INVALID_REQUEST"},
		{"", "message.max.bytes=5", "INVALID_REQUEST"},
		{"1", "no.such.key=5", "INVALID_CONFIG"},
		{"1", "leader.replication.throttled.rate", "NONE"}, // deleted
		{"2", "message.max.bytes=5", "INVALID_REQUEST"},
	} {
		r := o.ask(editRequest(kmsg.ConfigResourceTypeBroker, c.name, c.edit)).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
		if got := kafka.CodeName(r.ErrorCode); got != c.want || (r.ErrorMessage == nil) != (c.want == "NONE") {
			t.Errorf("broker %q: %s, want %s", c.name, got, c.want)
		}
	}
	if diff := cmp.Diff([]string{"advertised.listeners=PLAINTEXT://localhost:9092", "auto.create.topics.enable=true", "broker.id=1", "log.dirs=data", "message.max.bytes=12345", "node.id=1"}, o.described(kmsg.ConfigResourceTypeBroker, "1")); diff != "" {
		t.Error(diff)
	}
	if got := o.described(kmsg.ConfigResourceTypeBroker, ""); len(got) > 0 {
		t.Errorf("set for all brokers: %v", got)
	}
}

// Every value comes with where it is from, and what it would be without that.
func TestConfigSynonyms(t *testing.T) {
	o := newOne(t, func(c *Config) { c.RetentionMs = 5000 })
	o.createWith("t", "retention.ms=6000")
	r := o.describeConfigs(kmsg.ConfigResourceTypeTopic, "t")
	i := slices.IndexFunc(r.Configs, func(c kmsg.DescribeConfigsResponseResourceConfig) bool { return c.Name == "retention.ms" })
	var got []string
	for _, s := range r.Configs[i].ConfigSynonyms {
		got = append(got, fmt.Sprintf("%s=%s %v", s.Name, *s.Value, s.Source))
	}
	want := []string{"retention.ms=6000 DYNAMIC_TOPIC_CONFIG", "log.retention.ms=5000 STATIC_BROKER_CONFIG", "log.retention.ms=604800000 DEFAULT_CONFIG"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if d := r.Configs[i].Documentation; d == nil || *d == "" || r.Configs[i].ConfigType != kmsg.ConfigTypeLong {
		t.Errorf("%+v", r.Configs[i])
	}
}

// Every configuration takes its own default, its names are in order, and each has a text.
func TestConfigRegistry(t *testing.T) {
	cfg := newOne(t, nil).node.cfg
	for name, defs := range map[string][]configDef{"topic": topicConfigDefs, "broker": brokerConfigDefs, "group": groupConfigDefs} {
		for i, d := range defs {
			if i > 0 && d.name <= defs[i-1].name {
				t.Errorf("%s: %s is out of order", name, d.name)
			}
			if d.doc == "" {
				t.Errorf("%s: %s has no text", name, d.name)
			}
			if d.broker != "" && !slices.ContainsFunc(brokerConfigDefs, func(b configDef) bool { return b.name == d.broker }) {
				t.Errorf("%s: %s comes from %s, which brokers don't have", name, d.name, d.broker)
			}
			if name == "topic" {
				if wrong := d.check(d.value(&cfg, 3), 3); wrong != "" {
					t.Errorf("%s refuses its own default: it %s", d.name, wrong)
				}
			}
		}
	}
}

func TestMinInsyncReplicasIsHonest(t *testing.T) {
	for _, c := range []struct {
		value    string
		replicas int
		ok       bool
	}{{"1", 1, true}, {"2", 1, false}, {"1", 3, true}, {"2", 3, true}, {"3", 3, false}, {"3", 5, true}, {"4", 5, false}, {"0", 3, false}, {"x", 3, false}} {
		if err := checkTopicConfig(configValue{minInsyncReplicasConfig, c.value}, c.replicas); (err == nil) != c.ok {
			t.Errorf("%s of %d: %v", c.value, c.replicas, err)
		}
	}
	c := newMany(t, 3, nil)
	c.create("t", 1, 2, 3)
	if r := c.ask(1, editRequest(kmsg.ConfigResourceTypeTopic, "t", "min.insync.replicas=2")).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]; r.ErrorCode != 0 {
		t.Fatal(*r.ErrorMessage)
	}
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.TimeoutMillis = 1000
	rt, rp := kmsg.NewAlterPartitionAssignmentsRequestTopic(), kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	rp.Replicas = []int32{1}
	rt.Topic, rt.Partitions = "t", append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	if p := c.ask(1, req).(*kmsg.AlterPartitionAssignmentsResponse).Topics[0].Partitions[0]; p.ErrorCode != kerr.InvalidReplicationFactor.Code {
		t.Errorf("moving to one replica: %+v", p)
	}
}
