// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"time"

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

func TestBrokerConfigsCantBeChanged(t *testing.T) {
	o := newOne(t, func(c *Config) { c.MaxMessageBytes = 12345 })
	for _, c := range []struct{ name, edit, want string }{
		{"1", "message.max.bytes=5", "INVALID_CONFIG"},
		{"", "message.max.bytes=5", "INVALID_CONFIG"},
		{"1", "leader.replication.throttled.rate", "NONE"}, // deleted
		{"2", "message.max.bytes=5", "INVALID_REQUEST"},
	} {
		r := o.ask(editRequest(kmsg.ConfigResourceTypeBroker, c.name, c.edit)).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
		if got := kafka.CodeName(r.ErrorCode); got != c.want || (r.ErrorMessage == nil) != (c.want == "NONE") {
			t.Errorf("broker %q: %s, want %s", c.name, got, c.want)
		}
	}
	if diff := cmp.Diff([]string{"advertised.listeners=PLAINTEXT://localhost:9092", "auto.create.topics.enable=true", "broker.id=1", "message.max.bytes=12345"}, o.described(kmsg.ConfigResourceTypeBroker, "1")); diff != "" {
		t.Error(diff)
	}
	if got := o.described(kmsg.ConfigResourceTypeBroker, ""); len(got) > 0 {
		t.Errorf("set for all brokers: %v", got)
	}
	r := o.ask(editRequest(kmsg.ConfigResourceTypeBrokerLogger, "1", "root=DEBUG")).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
	if r.ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("loggers: %+v", r)
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
	for name, defs := range map[string][]configDef{"topic": topicConfigDefs, "broker": brokerConfigDefs} {
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

func growRequest(topic string, count int32, assignment ...[]int32) *kmsg.CreatePartitionsRequest {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Version, req.TimeoutMillis = 3, 5000
	in := kmsg.NewCreatePartitionsRequestTopic()
	in.Topic, in.Count = topic, count
	for _, replicas := range assignment {
		in.Assignment = append(in.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: replicas})
	}
	req.Topics = append(req.Topics, in)
	return req
}

func TestCreatePartitions(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 2, 3)
	c.produce("t", "a")
	grow := func(id BrokerID, req *kmsg.CreatePartitionsRequest) string {
		t.Helper()
		r := c.ask(id, req).(*kmsg.CreatePartitionsResponse).Topics[0]
		if r.ErrorCode != 0 && (r.ErrorMessage == nil || *r.ErrorMessage == "") {
			t.Errorf("%s without a text", kafka.CodeName(r.ErrorCode))
		}
		return kafka.CodeName(r.ErrorCode)
	}
	dry := growRequest("t", 4)
	dry.ValidateOnly = true
	for _, s := range []struct {
		req  *kmsg.CreatePartitionsRequest
		want string
		have int
	}{
		{dry, "NONE", 1},
		{growRequest("t", 1), "INVALID_PARTITIONS", 1},
		{growRequest("t", 0), "INVALID_PARTITIONS", 1},
		{growRequest("t", maxPartitions+1), "INVALID_PARTITIONS", 1},
		{growRequest("u", 4), "UNKNOWN_TOPIC_OR_PARTITION", 1},
		{growRequest("t", 3, []int32{1, 2}), "INVALID_REPLICA_ASSIGNMENT", 1}, // one of two
		{growRequest("t", 2, []int32{1}), "INVALID_REPLICA_ASSIGNMENT", 1},    // too few replicas
		{growRequest("t", 2, []int32{1, 1}), "INVALID_REPLICA_ASSIGNMENT", 1}, // twice
		{growRequest("t", 2, []int32{1, 9}), "INVALID_REPLICA_ASSIGNMENT", 1}, // no such broker
		{growRequest("t", 3, []int32{3, 1}, []int32{1, 2}), "NONE", 3},        // chosen
		{growRequest("t", 5), "NONE", 5},                                      // spread
		{growRequest("t", 5), "INVALID_PARTITIONS", 5},                        // again
	} {
		if e := grow(2, s.req); e != s.want {
			t.Errorf("%+v: %s, want %s", s.req.Topics, e, s.want)
		}
		c.until("all brokers know", func() bool {
			for _, id := range c.ids {
				if len(c.nodes[id].node.catalog.byName["t"].Partitions) != s.have {
					return false
				}
			}
			return true
		})
	}
	var placed [][]BrokerID
	for _, p := range c.nodes[1].node.catalog.byName["t"].Partitions {
		placed = append(placed, brokersOf(p.Replicas))
	}
	if diff := cmp.Diff([][]BrokerID{{2, 3}, {3, 1}, {1, 2}, {2, 3}, {3, 1}}, placed); diff != "" {
		t.Error(diff)
	}
	c.until("the new partitions are led by whom they prefer", func() bool {
		for i, b := range []BrokerID{2, 3, 1, 2, 3} {
			p := c.nodes[b].node.catalog.partition("t", int32(i))
			if part := c.nodes[b].node.partitions[p.Group]; part == nil || !part.leads() {
				return false
			}
		}
		return true
	})
	if got := c.read("t", 0); len(got) != 1 {
		t.Errorf("records: %v", got)
	}
	c.kill(2)
	c.start(2)
	c.until("they are there after a restart", func() bool { return c.nodes[2].node.catalog.partition("t", 4) != nil })
}

// Two brokers are asked at once: one of them adds, and the other finds nothing left to add.
func TestCreatePartitionsTwiceAtOnce(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 1, 2, 3)
	for _, id := range []BrokerID{1, 2} {
		m := c.nodes[id]
		m.replies, m.lastID = nil, m.lastID+1
		m.in.Requests = append(m.in.Requests, Request{Conn: 1, Frame: kafka.AppendRequest(nil, m.lastID, "", growRequest("t", 4))})
	}
	c.until("both answered", func() bool { return len(c.nodes[1].replies) > 0 && len(c.nodes[2].replies) > 0 })
	var codes []string
	for _, id := range []BrokerID{1, 2} {
		resp := kmsg.NewPtrCreatePartitionsResponse()
		resp.Version = 3
		if _, err := kafka.ParseResponse(kafka.Frame(c.nodes[id].replies[0].Frame).Bytes(), resp); err != nil {
			t.Fatal(err)
		}
		codes = append(codes, kafka.CodeName(resp.Topics[0].ErrorCode))
	}
	slices.Sort(codes)
	if diff := cmp.Diff([]string{"INVALID_PARTITIONS", "NONE"}, codes); diff != "" {
		t.Error(diff)
	}
	if got := len(c.nodes[1].node.catalog.byName["t"].Partitions); got != 4 {
		t.Errorf("%d partitions", got)
	}
}

func TestInternalTopicCantGrow(t *testing.T) {
	o := newGroups(t, nil)
	if r := o.ask(growRequest(groupsTopic, 20)).(*kmsg.CreatePartitionsResponse).Topics[0]; r.ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("%+v", r)
	}
}

func TestLogAppendTime(t *testing.T) {
	o := newOne(t, nil)
	if e := o.createWith("t", "message.timestamp.type=LogAppendTime"); e != "NONE" {
		t.Fatal(e)
	}
	if e := o.createWith("u", "message.timestamp.type=Whenever"); e != "INVALID_CONFIG" {
		t.Error(e)
	}
	write := func(sequence int32) (offset, appended int64) {
		spec := kafka.NewBatchSpec(kafka.Record{Value: []byte("v")}, kafka.Record{Value: []byte("w"), TimestampDelta: 9})
		spec.FirstTimestamp, spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = 5, 7, 0, sequence // of 1970
		p := o.ask(produceRequest("t", -1, kafka.AppendBatch(nil, spec))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if p.ErrorCode != 0 {
			t.Fatal(kafka.CodeName(p.ErrorCode))
		}
		return p.BaseOffset, p.LogAppendTime
	}
	unix := func() int64 { return int64(o.now) / 1e6 }
	o.pass(1e9)
	before := unix()
	_, first := write(0)
	if first < before || first > unix() {
		t.Errorf("log append time %d, but it is %d to %d", first, before, unix())
	}
	o.pass(1e9)
	if offset, again := write(0); offset != 0 || again != first {
		t.Errorf("the retry has offset %d and time %d, want 0 and %d", offset, again, first)
	}
	offset, second := write(2)
	if offset != 2 || second < first+1000 {
		t.Errorf("offset %d at %d, want 2 at least a second after %d", offset, second, first)
	}
	check := func() {
		t.Helper()
		var times []int64
		if err := kafka.SplitBatches(o.fetch(fetchRequest("t", 0)).RecordBatches, func(one []byte) {
			if _, err := kafka.CheckBatch(withoutOffset(one), 1<<20); err != nil {
				t.Error(err)
			}
			if err := kafka.Records(one, func(_, ms int64, _, _ []byte) error { times = append(times, ms); return nil }); err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]int64{first, first, second, second}, times); diff != "" {
			t.Error(diff)
		}
	}
	check()
	for timestamp, want := range map[int64]int64{0: 0, first: 0, first + 1: 2, second: 2, second + 1: -1} {
		if got := o.offsetAt("t", timestamp); got != want {
			t.Errorf("offset at %d: %d, want %d", timestamp, got, want)
		}
	}
	o.restart()
	for range 20 {
		o.step(Input{})
	}
	check()
	if offset, again := write(2); offset != 2 || again != second {
		t.Errorf("after a restart the retry has offset %d and time %d", offset, again)
	}
	o.edit("t", "message.timestamp.type=CreateTime")
	if _, appended := write(4); appended != -1 {
		t.Errorf("with the producer's time the answer says %d", appended)
	}
}

// withoutOffset undoes what a broker fills in, so that a batch can be judged as a producer's.
func withoutOffset(one []byte) []byte {
	one = slices.Clone(one)
	kafka.SetBaseOffset(one, 0)
	return one
}

func (o *one) offsetAt(topic string, timestamp int64) int64 {
	o.t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version = 10
	rt, rp := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
	rp.Timestamp, rp.CurrentLeaderEpoch = timestamp, -1
	rt.Topic, rt.Partitions = topic, append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	p := o.ask(req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		o.t.Fatal(kafka.CodeName(p.ErrorCode))
	}
	return p.Offset
}

func TestListOffsetsOfTieredStorage(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	o.produce("t", plain("a", "b"))
	if local, tiered, pending := o.offsetAt("t", -4), o.offsetAt("t", -5), o.offsetAt("t", -6); local != 0 || tiered != -1 || pending != -1 {
		t.Errorf("local %d, tiered %d, pending %d", local, tiered, pending)
	}
}

// Records live from when they were appended, whatever time their producers claim: none (-1), one long ago,
// microseconds, or the largest there is.
func TestRecordsExpireByAppendTime(t *testing.T) {
	for _, claimed := range []int64{-1, 0, 1000, 5e12, 1e15, 1<<63 - 1} {
		o := newOne(t, func(c *Config) { c.ClockPatience = time.Second })
		o.createWith("t", "retention.ms=5000", "message.timestamp.after.max.ms=9223372036854775807")
		o.pass(3e9)
		for range 2 {
			spec := kafka.NewBatchSpec(kafka.Record{Value: []byte("v")})
			spec.FirstTimestamp = claimed
			if _, e := o.produce("t", kafka.AppendBatch(nil, spec)); e != "NONE" {
				t.Fatal(e)
			}
		}
		o.pass(4e9)
		if got := o.read("t", 0); len(got) != 2 {
			t.Errorf("timestamp %d: records after 4 of 5 seconds: %v", claimed, got)
		}
		o.pass(4e9)
		if p := o.fetch(fetchRequest("t", 2)); p.LogStartOffset != 2 {
			t.Errorf("timestamp %d: after 8 seconds of 5 the log starts at %d", claimed, p.LogStartOffset)
		}
	}
}

// Who has created a topic finds its leaders at once, as in Kafka.
func TestNewPartitionsHaveLeaders(t *testing.T) {
	c := newMany(t, 3, nil)
	led := func(topic string) {
		t.Helper()
		for _, p := range c.nodes[2].node.catalog.byName[topic].Partitions {
			if !c.nodes[2].node.led(p) {
				t.Errorf("partition %d of %s has no leader", p.Index, topic)
			}
		}
	}
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Version, create.TimeoutMillis = 7, 10000
	in := kmsg.NewCreateTopicsRequestTopic()
	in.Topic, in.NumPartitions, in.ReplicationFactor = "t", 6, 2
	create.Topics = append(create.Topics, in)
	if e := c.ask(2, create).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode; e != 0 {
		t.Fatal(kafka.CodeName(e))
	}
	led("t")
	if e := c.ask(2, growRequest("t", 12)).(*kmsg.CreatePartitionsResponse).Topics[0].ErrorCode; e != 0 {
		t.Fatal(kafka.CodeName(e))
	}
	led("t")
	name := "made-by-asking"
	meta := kmsg.NewPtrMetadataRequest()
	meta.Version, meta.AllowAutoTopicCreation = 12, true
	meta.Topics = append(meta.Topics, kmsg.MetadataRequestTopic{Topic: &name})
	if got := c.ask(2, meta).(*kmsg.MetadataResponse).Topics[0]; got.ErrorCode != 0 || got.Partitions[0].Leader < 1 {
		t.Errorf("%+v", got)
	}
	// Where nobody can lead, the topic is there all the same, and the answer doesn't take for ever.
	c.kill(3) // nobody misses it yet
	a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
	a.Replicas = []int32{3}
	create.Topics[0].Topic, create.Topics[0].NumPartitions, create.Topics[0].ReplicationFactor = "u", -1, -1
	create.Topics[0].ReplicaAssignment = append(create.Topics[0].ReplicaAssignment, a)
	before := c.now
	if e := c.ask(2, create).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode; e != 0 || c.now.Sub(before) > ledPatience+100e6 {
		t.Errorf("%s after %v", kafka.CodeName(e), c.now.Sub(before))
	}
}

// Old versions of sarama don't say what the largest timestamp is. Their records are found by time, and
// expire, all the same.
func TestUnsetMaxTimestamp(t *testing.T) {
	o := newOne(t, nil)
	o.createWith("t", "retention.ms=5000")
	now := int64(o.now) / 1e6
	for i := range int64(3) {
		spec := kafka.NewBatchSpec(kafka.Record{Value: []byte("v")})
		spec.FirstTimestamp = now + 100*i
		raw := kafka.AppendBatch(nil, spec)
		binary.BigEndian.PutUint64(raw[35:], ^uint64(0))
		binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
		if _, e := o.produce("t", raw); e != "NONE" {
			t.Fatal(e)
		}
	}
	for timestamp, want := range map[int64]int64{now: 0, now + 50: 1, now + 200: 2, now + 201: -1, -3: 2} {
		if got := o.offsetAt("t", timestamp); got != want {
			t.Errorf("offset at %d: %d, want %d", timestamp-now, got, want)
		}
	}
	o.pass(10e9)
	if p := o.fetch(fetchRequest("t", 3)); p.LogStartOffset != 3 {
		t.Errorf("the log starts at %d: old records are still there", p.LogStartOffset)
	}
}
