// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// A request that names very many things takes many steps, none of them over its budget, and is answered whole.
func TestManyNamesTakeManySteps(t *testing.T) {
	const names = 50_000
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Version, create.ValidateOnly, create.TimeoutMillis = 7, true, 60_000
	describe := kmsg.NewPtrDescribeConfigsRequest()
	describe.Version = 4
	for i := range names {
		in := kmsg.NewCreateTopicsRequestTopic()
		in.Topic, in.NumPartitions, in.ReplicationFactor = fmt.Sprintf("t%d", i), 1, 1
		create.Topics = append(create.Topics, in)
		describe.Resources = append(describe.Resources, kmsg.DescribeConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: in.Topic})
	}
	for _, req := range []kmsg.Request{create, describe} {
		o := newOne(t, nil)
		begun := time.Now()
		steps, longest := o.stepsFor(req)
		if steps < names/StepBudget || longest > 2*StepBudget {
			t.Errorf("%T: %d steps, of which the longest did %d of %d", req, steps, longest, StepBudget)
		}
		t.Logf("%T: %d steps in %v", req, steps, time.Since(begun))
	}
}

// stepsFor steps until a request is answered, and returns how many steps that took and the most work of one, apart
// from taking the request's bytes.
func (o *one) stepsFor(req kmsg.Request) (steps, longest int) {
	o.t.Helper()
	o.step(Input{Requests: []Request{{Conn: 1, Frame: kafka.AppendRequest(nil, 1, "test", req)}}})
	for ; len(o.replies) == 0; steps++ {
		if steps > 10_000 {
			o.t.Fatal("no answer")
		}
		work := o.node.out.Work
		work.Bytes = 0
		longest = max(longest, work.Cost())
		o.step(Input{})
	}
	return steps, longest
}

// A request that is cut into pieces is served before the next one of its connection begins; other connections don't
// wait for it.
func TestPiecesKeepTheirOrder(t *testing.T) {
	o := newOne(t, func(c *Config) { c.StepBudget = 1 })
	o.create("t")
	drop := kmsg.NewPtrDeleteTopicsRequest()
	drop.TimeoutMillis = 1000
	for i := range 20 {
		drop.TopicNames = append(drop.TopicNames, fmt.Sprintf("absent%d", i))
	}
	drop.TopicNames = append(drop.TopicNames, "t")
	create := kmsg.NewPtrCreateTopicsRequest()
	create.TimeoutMillis = 1000
	in := kmsg.NewCreateTopicsRequestTopic()
	in.Topic, in.NumPartitions, in.ReplicationFactor = "t", 1, 1
	create.Topics = append(create.Topics, in)
	meta := kmsg.NewPtrMetadataRequest()
	o.step(Input{Requests: []Request{
		{Conn: 1, Frame: kafka.AppendRequest(nil, 1, "", drop)},
		{Conn: 1, Frame: kafka.AppendRequest(nil, 2, "", create)},
		{Conn: 2, Frame: kafka.AppendRequest(nil, 3, "", meta)},
	}})
	var answered []byte
	for i := 0; len(o.replies) < 3 && i < 1000; i++ {
		o.step(Input{})
	}
	for _, r := range o.replies {
		answered = append(answered, r.Frame[0][3])
	}
	if string(answered) != "\x03\x01\x02" {
		t.Fatalf("answers to %v", answered)
	}
	resp := kmsg.NewPtrCreateTopicsResponse()
	if _, err := kafka.ParseResponse(kafka.Frame(o.replies[2].Frame).Bytes(), resp); err != nil || resp.Topics[0].ErrorCode != 0 {
		t.Errorf("the topic is made before the earlier one is deleted: %v, %+v", err, resp)
	}
}

// What is due at one time is done in as many steps as it takes.
func TestManyDeadlinesAtOnce(t *testing.T) {
	o := newOne(t, nil)
	o.longest, o.total = Work{}, Work{}
	fired := 0
	for range 20_000 {
		o.node.deadlines.Add(o.now, func() { fired++ })
	}
	for i := 0; fired < 20_000 && i < 100; i++ {
		o.step(Input{})
	}
	if fired != 20_000 || o.longest.Cost() > 2*StepBudget {
		t.Errorf("%d fired, a step did %+v", fired, o.longest)
	}
}
