// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// allTopics is a request of few bytes for an answer about all topics.
func allTopics() *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 9
	return req
}

// Small requests for large answers, pipelined over a thousand connections of which nobody reads, are served as there is
// memory for them. A client of another address doesn't wait for all of them.
func TestLargeAnswersToSmallRequestsAreBounded(t *testing.T) {
	const conns, limit = 1000, 8 << 20
	o := newOne(t, func(c *Config) { c.LargeBytes = limit })
	o.imagine(50, 100)
	in := Input{}
	for i := range conns {
		for range 2 {
			in.Requests = append(in.Requests, Request{Conn: ConnID(100 + i), Host: "/10.0.0.1", Frame: kafka.AppendRequest(nil, 1, "", allTopics())})
		}
	}
	o.replies = nil
	o.tick(in)
	most, begun, polite := int64(0), 0, -1
	in = Input{Requests: []Request{{Conn: 7, Host: "/10.0.0.2", Frame: kafka.AppendRequest(nil, 2, "", allTopics())}}}
	answered := 0
	for i := 0; answered < 2*conns+1; i++ {
		if i > 200_000 {
			t.Fatalf("%d answers", answered)
		}
		o.tick(in)
		in = Input{}
		for _, r := range o.replies {
			if answered++; r.Conn == 7 {
				polite = answered
			}
		}
		o.replies = nil
		most = max(most, o.node.large.memory.used)
		l := &o.node.large
		begun = max(begun, o.node.deferred.len+l.encodes.queue.len+l.encodes.taken)
	}
	if most > limit || begun > limit/(5000*partitionBytes) {
		t.Errorf("%d bytes were charged of %d, %d answers were made at once", most, limit, begun)
	}
	if polite > 50 {
		t.Errorf("the other client's answer is number %d", polite)
	}
	if o.held(); o.node.large.memory.used != 0 || o.node.heldBytes != 0 {
		t.Errorf("%d bytes are charged, %d held", o.node.large.memory.used, o.node.heldBytes)
	}
}

// A large answer that waits for an earlier one of its connection is charged until it leaves.
func TestAnswersThatWaitForEarlierOnesAreCharged(t *testing.T) {
	const limit = 8 << 20
	o := newOne(t, func(c *Config) { c.LargeBytes = limit })
	o.imagine(50, 100)
	var waits []*request
	for i := range ConnID(100) {
		r := o.from("/10.0.0.1", 100+i) // is never answered
		r.conn.queue, r.conn.from.begun = append(r.conn.queue, r), r.conn.from.begun+1
		o.node.begun++
		waits = append(waits, r)
		for range 3 {
			o.step(Input{Requests: []Request{{Conn: 100 + i, Host: "/10.0.0.1", Frame: kafka.AppendRequest(nil, 1, "", allTopics())}}})
		}
	}
	if n := &o.node.large; n.memory.used > limit || n.memory.used < limit/4 || o.node.heldBytes > limit {
		t.Fatalf("%d bytes are charged, %d held, of %d", n.memory.used, o.node.heldBytes, limit)
	}
	o.held()
	o.begin(7, allTopics()).wait(1e9)
	o.replies = nil
	o.node.deadlines.Add(o.now, func() {
		for _, r := range waits {
			r.replyNothing()
		}
	})
	o.until(Input{}, func() bool { return len(o.replies) == 400 })
	if o.held(); o.node.large.memory.used != 0 || o.node.heldBytes != 0 {
		t.Errorf("%d bytes are charged, %d held", o.node.large.memory.used, o.node.heldBytes)
	}
}

// Estimates are about right: not below what answers have as frames, and not far above it.
func TestAnswersAreEstimated(t *testing.T) {
	o := newGroups(t, nil)
	o.imagine(50, 100)
	o.fillClassic(3000, 100)
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Version, describe.Groups = 5, []string{"g"}
	configs := kmsg.NewPtrDescribeConfigsRequest()
	configs.Version, configs.IncludeSynonyms, configs.IncludeDocumentation = 4, true, false
	for range 100 {
		configs.Resources = append(configs.Resources, kmsg.DescribeConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: fmt.Sprint("x", len(configs.Resources))})
	}
	elect := kmsg.NewPtrElectLeadersRequest()
	elect.Version, elect.TimeoutMillis = 2, 1000
	for _, req := range []kmsg.Request{allTopics(), describe, elect} {
		estimate := o.node.answerBytes(req)
		resp := o.do(req)
		if bytes := int64(len(resp.AppendTo(nil))); estimate < bytes || estimate > 40*bytes {
			t.Errorf("%T: %d bytes, estimated as %d", req, bytes, estimate)
		}
	}
}
