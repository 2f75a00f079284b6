// SPDX-License-Identifier: Apache-2.0

package node

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// longPoll waits for records of topic "t" for weeks; its request has about 28 bytes for each partition that it names.
func longPoll(partitions int) *kmsg.FetchRequest {
	req := fetchRequest("t", 0)
	req.MaxWaitMillis = 1<<31 - 1
	for len(req.Topics[0].Partitions) < partitions {
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, req.Topics[0].Partitions[0])
	}
	return req
}

func (o *one) held() Held {
	o.t.Helper()
	h := o.node.Held()
	if h.Stale != "" || h.Over != "" {
		o.t.Errorf("stale: %q, over: %q", h.Stale, h.Over)
	}
	return h
}

func TestWhoHangsUpWaitsForNothing(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	deadlines := o.node.deadlines.Len()
	o.begin(5, longPoll(3))
	o.begin(6, longPoll(1))
	part := o.node.partitions[o.node.catalog.byName["t"].Partitions[0].Group]
	if n := part.parked.Len(); n != 2 || o.node.parkedBytes.used == 0 {
		t.Fatalf("%d fetches wait, with %d bytes", n, o.node.parkedBytes.used)
	}
	o.held()
	o.step(Input{Hangups: []ConnID{5, 6}})
	if n := part.parked.Len(); n != 0 || o.node.parkedBytes.used != 0 || o.node.deadlines.Len() != deadlines {
		t.Errorf("%d fetches wait, with %d bytes and %d deadlines", n, o.node.parkedBytes.used, o.node.deadlines.Len()-deadlines)
	}
	o.held()
}

// A fetch of the brokers' own topic waits in another list, and the check of what is held looks there, too.
func TestFetchesOfGroupsAreHeldToo(t *testing.T) {
	o := newGroups(t, nil)
	req := o.groupsFetch(0)
	req.MaxWaitMillis = 1<<31 - 1
	o.begin(5, req)
	parked := 0
	for _, c := range o.node.coordinators {
		if parked += c.parked.Len(); c.parked.Len() > 0 {
			c.parked.Front().Value.(*parking).fetch.request.gone = true
			if stale := o.node.stale(); stale != "fetches that wait for records of __consumer_offsets" {
				t.Errorf("a fetch of somebody who is gone: %q", stale)
			}
			c.parked.Front().Value.(*parking).fetch.request.gone = false
		}
	}
	if parked == 0 {
		t.Fatal("no fetch waits")
	}
	o.step(Input{Hangups: []ConnID{5}})
	o.held()
}

// As in Kafka, what comes after a fetch on its connection waits until that is answered. So fetches that wait are
// no more than connections.
func TestOneLongPollOfAConnection(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	first := o.begin(5, longPoll(1))
	for range 10 {
		o.begin(5, longPoll(1))
	}
	if h := o.held(); h.Requests != 11 || o.node.begun != 1 {
		t.Fatalf("%d requests, %d of them begun", h.Requests, o.node.begun)
	}
	o.produce("t", plain("a"))
	if first.wait(time.Second); o.held().Requests != 10 {
		t.Errorf("%d requests", o.held().Requests)
	}
	o.pass(100 * time.Millisecond)
	if h := o.held(); h.Requests != 0 {
		t.Errorf("%d requests wait though there is a record", h.Requests)
	}
}

// Large fetches that wait take what they may; there is always room for a small one to wait, and the others are
// answered at once instead.
func TestASmallFetchMayAlwaysWait(t *testing.T) {
	o := newOne(t, func(c *Config) { c.ParkedBytes = 64 << 10 })
	o.create("t")
	answered := 0
	for i := range 200 {
		if o.begin(ConnID(100+i), longPoll(100)).peek() != nil {
			answered++
		}
	}
	if used := o.node.parkedBytes.used; answered < 100 || answered == 200 || used > 64<<10 {
		t.Errorf("%d of 200 large fetches were answered at once; the others hold %d bytes", answered, used)
	}
	if resp := o.begin(5, longPoll(1)).peek(); resp != nil {
		t.Error("a small fetch may not wait")
	}
	o.held()
}

// A connection begins as many requests as its share allows; others always can.
func TestRequestsUnderWayAreShared(t *testing.T) {
	o := newGroups(t, func(c *Config) { c.MaxRequests, c.GroupInitialDelay = 160, time.Hour })
	join := func(conn ConnID) {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Version, req.Group, req.ProtocolType, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 3, "g", "consumer", 10_000, 10_000
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name = "range"
		req.Protocols = append(req.Protocols, p)
		o.begin(conn, req)
	}
	for range 100 {
		join(5)
	}
	if n := len(o.node.conns[5].queue); n < 2 || n > 10 {
		t.Errorf("one connection has %d requests under way, of 160 in all", n)
	}
	for i := range ConnID(300) {
		if join(100 + i); len(o.node.conns[100+i].queue) != 1 {
			t.Fatalf("connection %d has no request under way", i)
		}
	}
	o.held()
}

// Producers that wait for an id leave when their time is up, and when they hang up.
func TestProducersDontWaitForEver(t *testing.T) {
	o := newOne(t, nil)
	ids := &o.node.producerIDs
	ids.next, ids.spare, ids.asked = ids.end, nil, true // the catalog has no majority
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version, req.ProducerID, req.ProducerEpoch = 3, -1, -1
	waits := o.begin(5, req)
	o.begin(6, req)
	o.step(Input{Hangups: []ConnID{6}})
	if n := ids.waiting.len(); n != 1 {
		t.Errorf("%d wait, want the one that is there", n)
	}
	if resp := waits.wait(3 * time.Second).(*kmsg.InitProducerIDResponse); resp.ErrorCode != kerr.CoordinatorLoadInProgress.Code {
		t.Errorf("error %s", kafka.CodeName(resp.ErrorCode))
	}
	if n := ids.waiting.len(); n != 0 {
		t.Errorf("%d wait after their time", n)
	}
}

// Reads that wait for a majority are shared too; who asks for more than its share is told to try again.
func TestReadsAreShared(t *testing.T) {
	o := newOne(t, func(c *Config) { c.MaxWaits, c.DefaultPartitions = 320, 100 })
	meta := kmsg.NewPtrMetadataRequest()
	meta.Version, meta.AllowAutoTopicCreation = 9, true
	topic := "t"
	meta.Topics = append(meta.Topics, kmsg.MetadataRequestTopic{Topic: &topic})
	o.begin(1, meta).wait(10 * time.Second)
	o.pass(3 * time.Second)
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version = 7
	in := kmsg.NewListOffsetsRequestTopic()
	in.Topic = "t"
	for i := range int32(100) {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp, p.CurrentLeaderEpoch = i, timestampLatest, -1
		in.Partitions = append(in.Partitions, p)
	}
	req.Topics = append(req.Topics, in)
	good, again := 0, 0
	for _, p := range o.do(req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions {
		switch p.ErrorCode {
		case 0:
			good++
		case kerr.LeaderNotAvailable.Code:
			again++
		default:
			t.Fatal(kafka.CodeName(p.ErrorCode))
		}
	}
	if good < 10 || good > 20 || good+again != 100 {
		t.Errorf("%d answers, %d are told to try again", good, again)
	}
	if o.held(); o.node.waits.used != 0 {
		t.Errorf("%d waits are left", o.node.waits.used)
	}
}

// TestThenIsDroppedOnceAnswered: what comes after the answer must not answer again, or the broker stops.
func TestThenIsDroppedOnceAnswered(t *testing.T) {
	r, calls := &request{}, 0
	add := thenWith(r, func(n int) { calls += n })
	add(1)
	r.settled = true
	add(10)
	if calls != 1 {
		t.Errorf("%d; want the call from before the answer alone", calls)
	}
}
