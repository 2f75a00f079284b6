// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/kafka"
)

// configure changes configurations of a group or of brokers, and returns the error's name.
func (o *one) configure(kind kmsg.ConfigResourceType, name string, edits ...string) string {
	o.t.Helper()
	r := o.ask(editRequest(kind, name, edits...)).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
	if (r.ErrorCode != 0) != (r.ErrorMessage != nil) {
		o.t.Errorf("%s, but the text is %v", kafka.CodeName(r.ErrorCode), r.ErrorMessage)
	}
	return kafka.CodeName(r.ErrorCode)
}

// sources lists a configuration's synonyms.
func (o *one) sources(kind kmsg.ConfigResourceType, resource, name string) (all string) {
	o.t.Helper()
	for _, c := range o.describeConfigs(kind, resource).Configs {
		if c.Name != name {
			continue
		}
		for _, s := range c.ConfigSynonyms {
			all += fmt.Sprintf("%v:%s=%s ", s.Source, s.Name, *s.Value)
		}
		if c.ReadOnly {
			all += "read-only"
		}
	}
	return strings.TrimSpace(all)
}

// listed are the groups and brokers that have configurations.
func (o *one) listed(types ...int8) (all string) {
	o.t.Helper()
	req := kmsg.NewPtrListConfigResourcesRequest()
	req.Version, req.ResourceTypes = 1, types
	for _, r := range o.ask(req).(*kmsg.ListConfigResourcesResponse).ConfigResources {
		all += fmt.Sprintf("%d:%s ", r.Type, r.Name)
	}
	return strings.TrimSpace(all)
}

func TestGroupConfigs(t *testing.T) {
	o := newOne(t, nil)
	const session, beat = "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"
	for _, c := range []struct{ group, edit, want string }{
		{"g", session + "=50000", "NONE"},
		{"g", session + "=60001", "INVALID_CONFIG"},
		{"g", session + "=44999", "INVALID_CONFIG"},
		{"g", session + "=x", "INVALID_CONFIG"},
		{"g", session + "+=1", "INVALID_CONFIG"},
		{"g", beat + "=4999", "INVALID_CONFIG"},
		{"g", beat + "=15001", "INVALID_CONFIG"},
		{"g", beat + "=15000", "NONE"},
		{"g", "consumer.assignment.interval.ms=0", "NONE"},
		{"g", "consumer.assignment.interval.ms=1000", "INVALID_CONFIG"},
		{"g", "share.session.timeout.ms=50000", "INVALID_CONFIG"},
		{"g", "no.such.key=1", "INVALID_CONFIG"},
		{"g", "no.such.key", "NONE"}, // deleted
		{"other", "no.such.key", "NONE"},
		{"", session + "=50000", "INVALID_REQUEST"},
		{strings.Repeat("g", maxConsumerGroupID+1), session + "=50000", "INVALID_GROUP_ID"},
	} {
		if got := o.configure(configGroup, c.group, c.edit); got != c.want {
			t.Errorf("%.10s %s: %s, want %s", c.group, c.edit, got, c.want)
		}
	}
	check := func(wantSession, wantListed string) {
		t.Helper()
		o.want(session, wantSession, o.sources(configGroup, "g", session))
		o.want("groups", wantListed, o.listed(int8(configGroup)))
	}
	check("GROUP_CONFIG:consumer.session.timeout.ms=50000 DEFAULT_CONFIG:group.consumer.session.timeout.ms=45000", "32:g")
	o.want("another group", "DEFAULT_CONFIG:group.consumer.heartbeat.interval.ms=5000", o.sources(configGroup, "none", beat))
	o.restart()
	check("GROUP_CONFIG:consumer.session.timeout.ms=50000 DEFAULT_CONFIG:group.consumer.session.timeout.ms=45000", "32:g")
	o.configure(configGroup, "g", session, beat, "consumer.assignment.interval.ms")
	check("DEFAULT_CONFIG:group.consumer.session.timeout.ms=45000", "")
	if r := o.describeConfigs(configGroup, ""); r.ErrorCode == 0 {
		t.Error("a group without a name has configurations")
	}
}

// The configurations of a group hold for its members from their next heartbeat on.
func TestGroupConfigsTakeEffect(t *testing.T) {
	o := newModernGroups(t) // 2 s, and 500 ms
	m := o.modern(1)
	m.beat()
	o.want("interval", int32(500), m.interval)
	o.want("set", "NONE", o.configure(configGroup, "g", "consumer.session.timeout.ms=20000", "consumer.heartbeat.interval.ms=10000"))
	m.beat()
	o.want("interval", int32(10000), m.interval)
	o.pass(19 * time.Second)
	o.want("members", 1, len(o.describeModern().Members))
	o.pass(2 * time.Second)
	o.want("members", 0, len(o.describeModern().Members))

	if got := o.configure(configGroup, "g", "consumer.session.timeout.ms=9000"); got != "INVALID_CONFIG" {
		t.Errorf("a session that is shorter than the heartbeat's interval: %s", got)
	}
}

// TestConfiguredAreBounded is a client that names ever new groups.
func TestConfiguredAreBounded(t *testing.T) {
	o := newOne(t, nil)
	c := o.node.catalog
	set := func(name string, changed uint64, configs ...configValue) error {
		return c.configure(&configure{configGroup, name, changed, configs}, 7)
	}
	own := configValue{groupSessionConfig, "50000"}
	for i := range maxConfigured {
		if err := set(fmt.Sprint("g", i), 0, own); err != nil {
			t.Fatal(err)
		}
	}
	if err := set("more", 0, own); err == nil || len(c.configured) != maxConfigured {
		t.Errorf("one more is taken: %v, %d are there", err, len(c.configured))
	}
	for _, err := range []error{set("g5", 7, own), set("g6", 7), set("more", 0, own)} {
		if err != nil {
			t.Error(err)
		}
	}
	if err := set("g5", 6, own); err != errOutdated {
		t.Errorf("a change of something else than what is there: %v", err)
	}
	written, at := c.snapshot(7), 0
	var state []byte
	for more := true; more; at = len(state) {
		state, more = written(state)
		if len(state)-at > 64<<10 {
			t.Fatalf("a piece of %d bytes", len(state)-at)
		}
	}
	if string(state) != string(c.state(7)) {
		t.Error("a state that is written in pieces is another one than at once")
	}
	again := newCatalog(o.node)
	if err := again.restore([][]byte{state}); err != nil || len(again.configured) != maxConfigured {
		t.Errorf("restored: %v, %d groups", err, len(again.configured))
	}
}

func TestConfigureCommandsAreChecked(t *testing.T) {
	for _, c := range []struct {
		cmd configure
		ok  bool
	}{
		{configure{configGroup, "g", 0, []configValue{{"a", "1"}, {"b", "1"}}}, true},
		{configure{configGroup, "g", 0, []configValue{{"b", "1"}, {"a", "1"}}}, false},
		{configure{configGroup, "", 0, nil}, false},
		{configure{kmsg.ConfigResourceTypeBroker, "", 0, nil}, true},
		{configure{kmsg.ConfigResourceTypeBroker, "7", 0, nil}, true},
		{configure{kmsg.ConfigResourceTypeBroker, "seven", 0, nil}, false},
		{configure{kmsg.ConfigResourceTypeTopic, "t", 0, nil}, false},
		{configure{configGroup, "g", 0, make([]configValue, maxNamedConfigs+1)}, false},
	} {
		if err := (&command{Configure: &c.cmd}).check(); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.cmd, err)
		}
	}
}

// Of what clients set for brokers, that for one broker counts more than that for all, and both more than its settings.
func TestBrokerConfigsCanBeChanged(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	const broker, topic = kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeTopic
	for _, c := range []struct{ name, edit, want string }{
		{"", "log.retention.ms=5000", "NONE"},
		{"1", "log.retention.ms=6000", "NONE"},
		{"1", "log.cleanup.policy+=compact", "NONE"},
		{"1", "sasl.kerberos.min.time.before.relogin=58000", "NONE"},
		{"1", "background.threads=0", "INVALID_REQUEST"},
		{"1", "leader.replication.throttled.rate=1000", "INVALID_REQUEST"},
	} {
		o.want(c.edit, c.want, o.configure(broker, c.name, c.edit))
	}
	static := "DEFAULT_CONFIG:log.retention.ms=604800000"
	o.want("of the topic", "DYNAMIC_BROKER_CONFIG:log.retention.ms=6000 DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=5000 "+static, o.sources(topic, "t", "retention.ms"))
	o.want("of the broker", "DYNAMIC_BROKER_CONFIG:log.cleanup.policy=delete,compact DEFAULT_CONFIG:log.cleanup.policy=delete", o.sources(broker, "1", "log.cleanup.policy"))
	o.want("of all", "DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=5000", o.sources(broker, "", "log.retention.ms"))
	o.want("what can't be changed", "STATIC_BROKER_CONFIG:broker.id=1 read-only", o.sources(broker, "1", "broker.id"))

	retention := func() int64 { return o.node.topicNumber(o.node.catalog.byName["t"], retentionMsConfig) }
	_, part := o.partitionOf("t")
	o.want("both", []any{int64(6000), true, true}, []any{retention(), part.compacts(), part.deletes()})
	o.configure(broker, "1", "log.retention.ms", "log.cleanup.policy=compact")
	o.want("that for all", []any{int64(5000), true, false}, []any{retention(), part.compacts(), part.deletes()})
	o.restart()
	_, part = o.partitionOf("t")
	o.want("after a restart", []any{int64(5000), true, false}, []any{retention(), part.compacts(), part.deletes()})
	o.configure(broker, "", "log.retention.ms")
	o.configure(broker, "1", "log.cleanup.policy")
	o.want("none", []any{int64(604800000), false, true}, []any{retention(), part.compacts(), part.deletes()})
}

// A throttle slows a broker's copies below the operator's limit, never above it.
func TestThrottleOfCopies(t *testing.T) {
	o := newOne(t, func(c *Config) { c.CatchUpBytesPerSecond = 1 << 20 })
	n := o.node
	rate := func(edit string) time.Duration {
		o.want(edit, "NONE", o.configure(kmsg.ConfigResourceTypeBroker, "1", edit))
		return n.catchUpTime([]*pb.Entry{{Data: make([]byte, 1<<20)}})
	}
	for _, c := range []struct {
		edit string
		want time.Duration
	}{
		{"leader.replication.throttled.rate=131072", 8 * time.Second},
		{"leader.replication.throttled.rate=99999999", time.Second},
		{"leader.replication.throttled.rate", time.Second},
	} {
		if got := rate(c.edit); got < c.want || got > c.want+c.want/100 {
			t.Errorf("%s: a MiB takes %v, want %v", c.edit, got, c.want)
		}
	}
	n.catchUpAt = n.now.Add(time.Hour)
	if rate("leader.replication.throttled.rate=131072"); n.catchUpAt > n.now.Add(time.Minute) {
		t.Error("what was sent at another rate still counts")
	}
}

// Changes through different brokers add up, and one that deletes what was set through another a moment ago does so, though
// its broker may not know of it yet.
func TestConfiguredThroughSeveralBrokers(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 1, 2, 3)
	edits := []string{"consumer.session.timeout.ms", "consumer.heartbeat.interval.ms", "consumer.assignment.interval.ms"}
	values := []string{"=50000", "=6000", "=0"}
	change := func(id BrokerID, edit string) {
		t.Helper()
		r := c.ask(id, editRequest(configGroup, "g", edit)).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
		if r.ErrorCode != 0 {
			t.Fatalf("%s: %s", edit, *r.ErrorMessage)
		}
	}
	answers := c.askAtOnce(func(i int) kmsg.Request { return editRequest(configGroup, "g", edits[i]+values[i]) }, c.ids...)
	for _, a := range answers {
		if r := a.(*kmsg.IncrementalAlterConfigsResponse).Resources[0]; r.ErrorCode != 0 {
			t.Error(*r.ErrorMessage)
		}
	}
	c.until("all brokers know all three", func() bool {
		for _, id := range c.ids {
			if _, g := c.nodes[id].node.catalog.findConfigured(configGroup, "g"); len(g.Configs) != 3 {
				return false
			}
		}
		return true
	})
	for i, edit := range edits {
		change(c.ids[i], edit)
	}
	leader := brokerOf(c.nodes[1].node.catalog.group.lead)
	behind, other := leader%3+1, (leader+1)%3+1
	c.nodes[behind].cut = true
	change(other, edits[0]+values[0])
	c.nodes[behind].cut = false
	change(behind, edits[0])
	c.until("it is deleted everywhere", func() bool {
		for _, id := range c.ids {
			if len(c.nodes[id].node.catalog.configured) > 0 {
				return false
			}
		}
		return true
	})
}
