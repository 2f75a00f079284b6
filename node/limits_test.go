// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// checkHosted compares what every broker counts with what there is, and with the limit.
func (c *many) checkHosted(most int) {
	c.t.Helper()
	for range 20 {
		c.round()
	}
	for _, id := range c.ids {
		cat := c.nodes[id].node.catalog
		want := make(map[BrokerID]int)
		for _, p := range cat.byGroup {
			for _, b := range c.ids {
				if _, ok := p.replica(b); ok {
					want[b]++
				}
			}
		}
		got := maps.Clone(cat.hosted)
		maps.DeleteFunc(got, func(_ BrokerID, n int) bool { return n == 0 })
		if diff := cmp.Diff(want, got); diff != "" {
			c.t.Errorf("broker %d counts otherwise (-there +counted):\n%s", id, diff)
		}
		for b, n := range want {
			if n > most {
				c.t.Errorf("broker %d has %d replicas, more than %d", b, n, most)
			}
		}
	}
}

// askAtOnce sends requests to brokers before any of them is served.
func (c *many) askAtOnce(req func(i int) kmsg.Request, to ...BrokerID) (answers []kmsg.Response) {
	for i, id := range to {
		c.nodes[id].replies = nil
		c.nodes[id].in.Requests = append(c.nodes[id].in.Requests, Request{Conn: 9, Frame: kafka.AppendRequest(nil, int32(i), "test", req(i))})
	}
	sent := make(map[BrokerID]int)
	for i, id := range to {
		k := sent[id]
		c.until("all are answered", func() bool { return len(c.nodes[id].replies) > k })
		resp := req(i).ResponseKind()
		resp.SetVersion(req(i).GetVersion())
		if _, err := kafka.ParseResponse(kafka.Frame(c.nodes[id].replies[k].Frame).Bytes(), resp); err != nil {
			c.t.Fatal(err)
		}
		answers = append(answers, resp)
		sent[id]++
	}
	return answers
}

func creationOf(topic string, partitions int32, replicas int16) kmsg.Request {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, 5000
	in := kmsg.NewCreateTopicsRequestTopic()
	in.Topic, in.NumPartitions, in.ReplicationFactor = topic, partitions, replicas
	req.Topics = append(req.Topics, in)
	return req
}

// The limit counts replicas on each broker, and holds for commands that don't know of each other.
func TestPartitionsPerBroker(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { cfg.MaxPartitionsPerBroker = 6 })
	var to []BrokerID
	for i := range 12 {
		to = append(to, BrokerID(1+i%3))
	}
	made, refused := 0, 0
	for _, a := range c.askAtOnce(func(i int) kmsg.Request { return creationOf(fmt.Sprint("t", i), 1, 3) }, to...) {
		switch r := a.(*kmsg.CreateTopicsResponse).Topics[0]; {
		case r.ErrorCode == 0:
			made++
		case r.ErrorCode == kerr.PolicyViolation.Code && strings.Contains(*r.ErrorMessage, "max_partitions_per_broker"):
			refused++
		default:
			t.Errorf("error %d, %v", r.ErrorCode, *r.ErrorMessage)
		}
	}
	if made != 6 || refused != 6 {
		t.Errorf("%d topics were made and %d refused; want six each", made, refused)
	}
	c.checkHosted(6)
	for what, e := range map[string]string{"one replica": c.createOn(1, "u", 1, 1), "more partitions": c.grow(2, c.nodes[1].node.catalog.topics[0].Name, 2)} {
		if e != "POLICY_VIOLATION" {
			t.Errorf("%s: %s", what, e)
		}
	}
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorKey = 3, "g"
	c.until("there is a coordinator all the same", func() bool { return c.ask(1, find).(*kmsg.FindCoordinatorResponse).ErrorCode == 0 })
	c.checkHosted(6 + 8)
	c.restart(1, c.nodes[1].dir, 99)
	c.until("broker 1 knows the catalog", func() bool { return len(c.nodes[1].node.catalog.topics) == 7 })
	c.checkHosted(6 + 8)
}

// Automatic creation keeps to it; the client hears which kind of error it is, the operator the words.
func TestAutomaticCreationHasTheLimit(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { cfg.MaxPartitionsPerBroker = 2 })
	ask := func(i int) kmsg.Request {
		req := kmsg.NewPtrMetadataRequest()
		req.Version, req.AllowAutoTopicCreation = 9, true
		name := fmt.Sprint("t", i)
		req.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
		return req
	}
	refused := 0
	for _, a := range c.askAtOnce(ask, 1, 2, 3, 1, 2) {
		switch e := a.(*kmsg.MetadataResponse).Topics[0].ErrorCode; e {
		case 0:
		case kerr.PolicyViolation.Code:
			refused++
		default:
			t.Error(kafka.CodeName(e))
		}
	}
	told := 0
	for _, m := range c.nodes {
		told += m.events[EventCreationRefused]
	}
	if refused != 3 || told != 3 {
		t.Errorf("%d refusals, %d of them told; want three", refused, told)
	}
	c.checkHosted(2)
}

// Topics are made automatically at a rate: after a burst one after the other. Who asked too early finds none, and gets it
// later.
func TestAutomaticCreationHasARate(t *testing.T) {
	o := newOne(t, func(c *Config) { c.AutoCreateTopicsPerSecond = 2 })
	ask := func(from, count int) (made int) {
		req := kmsg.NewPtrMetadataRequest()
		req.Version, req.AllowAutoTopicCreation = 9, true
		for i := range count {
			name := fmt.Sprint("t", from+i)
			req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: &name})
		}
		for _, r := range o.do(req).(*kmsg.MetadataResponse).Topics {
			switch r.ErrorCode {
			case 0:
				made++
			case kerr.UnknownTopicOrPartition.Code:
			default:
				t.Error(kafka.CodeName(r.ErrorCode))
			}
		}
		return made
	}
	made := 0
	for i := range 10 {
		made += ask(10*i, 10)
	}
	if made < 20 || made > 23 || o.events[EventCreationRefused] != 100-made {
		t.Errorf("%d topics were made at once, and %d refusals told", made, o.events[EventCreationRefused])
	}
	o.pass(2 * time.Second)
	if again := ask(90, 10); again < 3 || again > 5 {
		t.Errorf("%d topics were made in two seconds", again)
	}
	if e := o.createWith("by-hand"); e != "NONE" {
		t.Errorf("CreateTopics has no such rate: %s", e)
	}
}

// Where a broker is full, new replicas go to the others as far as they suffice; moves to it are refused, and a move counts
// on both sides until it is done.
func TestFullBrokersGetNoReplicas(t *testing.T) {
	c := newMany(t, 4, func(cfg *Config) { cfg.MaxPartitionsPerBroker = 3 })
	for i := range 3 {
		c.create(fmt.Sprint("t", i), 4)
	}
	for i := range 4 {
		if e := c.createOn(1, fmt.Sprint("u", i), 1, 1); e != "NONE" {
			t.Errorf("a topic for which the others have room: %s", e)
		}
	}
	move := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	in := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	in.Topic = "u0"
	p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	p.Replicas = []int32{4}
	in.Partitions, move.TimeoutMillis = append(in.Partitions, p), 5000
	move.Topics = append(move.Topics, in)
	r := c.ask(1, move).(*kmsg.AlterPartitionAssignmentsResponse).Topics[0].Partitions[0]
	if r.ErrorCode != kerr.PolicyViolation.Code || !strings.Contains(*r.ErrorMessage, "broker 4 has 3 replicas") {
		t.Errorf("a move to a full broker: %s, %v", kafka.CodeName(r.ErrorCode), r.ErrorMessage)
	}
	c.reassign("t0", 1)
	c.checkHosted(3)
	c.until("it has moved", func() bool { return len(c.on(1, 4, "t0")) == 0 })
	c.checkHosted(3)
	if e := c.ask(1, move).(*kmsg.AlterPartitionAssignmentsResponse).Topics[0].Partitions[0].ErrorCode; e != 0 {
		t.Errorf("a move to where there is room again: %s", kafka.CodeName(e))
	}
	c.checkHosted(3)
}

// Groups beyond the limit are refused by name, those that are there go on; text beside offsets has a bound.
func TestGroupsPerCoordinator(t *testing.T) {
	o := newGroups(t, func(c *Config) { c.MaxGroups, c.OffsetMetadataBytes = 3, 5 })
	commit := func(group, text string) string {
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Version, req.Group, req.Generation = 7, group, -1
		in := kmsg.NewOffsetCommitRequestTopic()
		in.Topic = "t"
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Offset, p.Metadata = 1, &text
		in.Partitions = append(in.Partitions, p)
		req.Topics = append(req.Topics, in)
		return kafka.CodeName(o.do(req).(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode)
	}
	var taken []string
	for i := range 30 { // of two coordinators
		if group := fmt.Sprint("g", i); commit(group, "short") == "NONE" {
			taken = append(taken, group)
		}
	}
	if len(taken) != 6 || o.events[EventCreationRefused] != 24 {
		t.Fatalf("%d groups are taken, %d refusals told", len(taken), o.events[EventCreationRefused])
	}
	for _, group := range taken {
		if e := commit(group, "again"); e != "NONE" {
			t.Errorf("a group that is there: %s", e)
		}
	}
	if e := commit(taken[0], "longer"); e != "OFFSET_METADATA_TOO_LARGE" {
		t.Error(e)
	}
}

// Members of the new protocol have a bound on what they say together, as the others do.
func TestBytesOfModernGroups(t *testing.T) {
	o := newGroups(t, nil)
	join := func(i int) string {
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Version, req.Group, req.MemberID, req.RebalanceTimeoutMillis = 1, "g", fmt.Sprint("m", i), 10_000
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		for k := range maxSubscription / 200 {
			req.SubscribedTopicNames = append(req.SubscribedTopicNames, fmt.Sprintf("%0199d", k))
		}
		return kafka.CodeName(o.begin(ConnID(1+i), req).wait(10 * time.Second).(*kmsg.ConsumerGroupHeartbeatResponse).ErrorCode)
	}
	taken, most := 0, maxGroupBytes/maxSubscription
	for i := range most + 3 {
		switch e := join(i); e {
		case "NONE":
			taken++
		case "GROUP_MAX_SIZE_REACHED":
		default:
			t.Fatal(e)
		}
	}
	if taken == 0 || taken > most {
		t.Errorf("%d members with %d KiB each are taken", taken, maxSubscription>>10)
	}
}

// commitsOf commits offset n for partitions of topic "wide" in a group without members, with a text.
func (o *one) commitsOf(group string, n int64, text string, partitions ...int32) (codes []int16) {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation = 7, group, -1
	in := kmsg.NewOffsetCommitRequestTopic()
	in.Topic = "wide"
	for _, p := range partitions {
		in.Partitions = append(in.Partitions, kmsg.OffsetCommitRequestTopicPartition{Partition: p, Offset: n, LeaderEpoch: -1, Metadata: &text})
	}
	req.Topics = append(req.Topics, in)
	for _, p := range o.do(req).(*kmsg.OffsetCommitResponse).Topics[0].Partitions {
		codes = append(codes, p.ErrorCode)
	}
	return codes
}

// A group has at most so many offsets, and those of a coordinator take at most so much memory. At the bounds consumers go on
// with what they have; invented partitions are refused at any time.
func TestOffsetsAreBounded(t *testing.T) {
	const tooMany, unknown = 28, 3
	o := newGroups(t, func(c *Config) {
		c.GroupPartitions, c.MaxGroupOffsets, c.GroupOffsetBytes = 1, 3, 7*storedOffsetBytes
	})
	o.createPartitions("wide", 10)
	wanted := func(what string, got []int16, want ...int16) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	wanted("unknown partitions", o.commitsOf("g", 1, "", 1, 10, 1<<30), 0, unknown, unknown)
	wanted("up to the bound", o.commitsOf("g", 1, "", 2, 3), 0, 0)
	wanted("one more", o.commitsOf("g", 2, "", 1, 4), tooMany, tooMany)
	wanted("those that are there", o.commitsOf("g", 3, "", 1, 2, 3, 1), 0, 0, 0, 0)
	wanted("of another group", o.commitsOf("h", 1, "", 1, 2, 3), 0, 0, 0)
	wanted("beyond the memory of the coordinator", o.commitsOf("i", 1, strings.Repeat("x", 300), 1), tooMany)
	wanted("a text that doesn't fit", o.commitsOf("g", 4, strings.Repeat("x", 300), 1), tooMany)
	wanted("none", o.commitsOf("g", 5, "", 1), 0)
	if o.events[EventCreationRefused] != 3 || o.coordinator().offsetBytes != 6*storedOffsetBytes {
		t.Errorf("%d refusals were told, %d bytes are counted", o.events[EventCreationRefused], o.coordinator().offsetBytes)
	}
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Version, req.Groups = 2, []string{"g"}
	o.do(req)
	wanted("after a deletion", o.commitsOf("h", 1, strings.Repeat("x", 300), 1), 0)
	o.restart()
	if got := o.coordinator().offsetBytes; got != 3*storedOffsetBytes+300 {
		t.Errorf("%d bytes are counted after a restart", got)
	}
	c, received := o.coordinator(), &coordinator{node: o.node}
	if err := received.restore([][]byte{c.state(0)}); err != nil {
		t.Fatal(err)
	}
	taken := &coordinator{node: o.node}
	if taken.adopt(received); taken.offsetBytes != c.offsetBytes {
		t.Errorf("%d bytes are counted of a checkpoint from another broker, and %d there", taken.offsetBytes, c.offsetBytes)
	}
}
