// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/consumers"
)

// imagine makes topics known whose partitions are on another broker.
func (o *one) imagine(topics int, partitions int) (names []string) {
	c := o.node.catalog
	for i := range topics {
		t := &topicMeta{Name: fmt.Sprintf("imagined-%05d", i)}
		placement := make([][]BrokerID, partitions)
		for p := range placement {
			placement[p] = []BrokerID{99}
		}
		c.appendPartitions(t, placement)
		c.addTopic(t)
		c.topics = append(c.topics[:c.position(t.Name):c.position(t.Name)], append([]*topicMeta{t}, c.topics[c.position(t.Name):]...)...)
		names = append(names, t.Name)
	}
	return names
}

// beatOf is a heartbeat by which a client joins group "g".
func beatOf(member string, topics []string, regex, assignor *string) *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.RebalanceTimeoutMillis = 1, "g", member, 60_000
	req.SubscribedTopicNames, req.SubscribedTopicRegex, req.ServerAssignor = topics, regex, assignor
	req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	return req
}

// fill puts members into group "g" that have yet to be assigned something.
func (o *one) fill(members int, subscribe func(i int) (topics []string, regex string)) {
	c := o.node.coordinators[o.node.coordinatorPartition("g").Group]
	state := modernState{Epoch: 7, TargetEpoch: 6}
	records := []kafka.Record{state.record("g")}
	for i := range members {
		m := modernMember{ID: fmt.Sprintf("m%05d", i), RebalanceMs: 60_000, Epoch: 6}
		m.Topics, m.Regex = subscribe(i)
		records = append(records, m.record("g"))
	}
	if err := c.applyBatch(appendGroupBatch(nil, records, 0)); err != nil {
		o.t.Fatal(err)
	}
	g := c.find("g")
	g.classic = restoreClassicGroup(g)
}

// The work of an assignment grows with members, partitions and topics. However many there are, no step goes over its
// budget, and the group comes to its targets.
func TestLargeGroupsAreAssignedOffTheLoop(t *testing.T) {
	const members = 999
	uniform, ranges, all := consumers.AssignorUniform, consumers.AssignorRange, "imagined-.*"
	for name, test := range map[string]struct {
		topics, partitions int
		assignor           string
		subscribe          func(names []string, i int) ([]string, string)
	}{
		"same":      {100, 100, uniform, func(names []string, _ int) ([]string, string) { return names, "" }},
		"different": {100, 100, uniform, func(names []string, i int) ([]string, string) { return names[i%50:], "" }},
		"range":     {100, 100, ranges, func(names []string, _ int) ([]string, string) { return names, "" }},
		"regex":     {5000, 1, uniform, func([]string, int) ([]string, string) { return nil, all }},
		"regexes": {500, 1, uniform, func(_ []string, i int) ([]string, string) {
			return nil, fmt.Sprintf("imagined-.*%d|imagined.*", i)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			o := newGroups(t, nil)
			names := o.imagine(test.topics, test.partitions)
			o.fill(members, func(i int) ([]string, string) { return test.subscribe(names, i) })
			topics, regex := test.subscribe(names, 0)
			req := beatOf("newcomer", topics, nil, &test.assignor)
			if regex != "" {
				req.SubscribedTopicNames, req.SubscribedTopicRegex = nil, &regex
			}
			o.longest, o.slowest = Work{}, 0
			resp := o.do(req).(*kmsg.ConsumerGroupHeartbeatResponse)
			if resp.ErrorCode != 0 || !o.longest.Within(StepBudget) {
				t.Errorf("code %d, a step did %+v", resp.ErrorCode, o.longest)
			}
			if o.node.tasks.last == 0 {
				t.Error("it was assigned in the step")
			}
			s := o.node.coordinators[o.node.coordinatorPartition("g").Group].find("g").stored.modern
			given := 0
			for _, m := range s.members {
				given += len(m.Target.Slots())
			}
			if s.TargetEpoch != s.Epoch || given != test.topics*test.partitions {
				t.Errorf("epoch %d of %d, %d partitions are assigned", s.TargetEpoch, s.Epoch, given)
			}
			t.Logf("the slowest step took %v and did %+v", o.slowest, o.longest)
		})
	}
}

// A regular expression is one of RE2, and its size is bounded with what it repeats.
func TestRegularExpressions(t *testing.T) {
	for _, regex := range []string{"(", "a)|(b", `(?=a)`, `(a)\1`, "a{2000}", strings.Repeat("a", 1<<10+1), strings.Repeat(".{999}", 3), "((.{10}){10}){30}", "(.{500}){2}.{1000}.{100}"} {
		o := newGroups(t, nil)
		if resp := o.do(beatOf("m", nil, &regex, nil)).(*kmsg.ConsumerGroupHeartbeatResponse); resp.ErrorCode != kerr.InvalidRegularExpression.Code {
			t.Errorf("%.30q is taken: %d", regex, resp.ErrorCode)
		}
	}
}

// The look for expired offsets takes as many steps as it has groups for.
func TestManyGroupsExpireInPieces(t *testing.T) {
	const groups = 20_000
	o := newGroups(t, func(c *Config) { c.OffsetsCheckInterval = time.Minute })
	var records []kafka.Record
	for i := range groups {
		records = append(records, offsetRecord(fmt.Sprintf("g%d", i), "t", &committedOffset{offset: 1})) // of a topic "t" that was deleted
	}
	c := o.node.coordinators[o.node.coordinatorPartition("g").Group]
	if err := c.applyBatch(appendGroupBatch(nil, records, 0)); err != nil {
		t.Fatal(err)
	}
	for _, g := range c.groups {
		g.classic = newClassicGroup(g)
	}
	o.longest = Work{}
	o.now = o.now.Add(61 * time.Second)
	for i := 0; len(c.groups) > 0 && i < 1000; i++ {
		o.step(Input{})
	}
	if len(c.groups) > 0 || !o.longest.Within(StepBudget) {
		t.Errorf("%d groups are left, a step did %+v", len(c.groups), o.longest)
	}
}
