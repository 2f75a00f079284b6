// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// logDirs returns the replicas on a broker with their sizes, as topic/partition=size.
func logDirs(t *testing.T, resp kmsg.Response) []string {
	t.Helper()
	r := resp.(*kmsg.DescribeLogDirsResponse)
	if r.ErrorCode != 0 || len(r.Dirs) != 1 || r.Dirs[0].ErrorCode != 0 || r.Dirs[0].Dir != "data" || r.Dirs[0].TotalBytes != -1 {
		t.Fatalf("%+v", r)
	}
	var got []string
	for _, topic := range r.Dirs[0].Topics {
		for _, p := range topic.Partitions {
			got = append(got, fmt.Sprintf("%s/%d=%d", topic.Topic, p.Partition, p.Size))
		}
	}
	return got
}

func TestDescribeLogDirs(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 1, 2)
	c.create("u", 2, 3)
	c.produce("t", "a", "b")
	size := 2 * len(plain("a"))
	c.until("the follower has it", func() bool { v, ok := c.view(2, "t"); return ok && v.HighWatermark == 2 })
	req := kmsg.NewPtrDescribeLogDirsRequest()
	req.Version = 4
	for id, want := range map[BrokerID][]string{
		1: {fmt.Sprintf("t/0=%d", size)}, 2: {fmt.Sprintf("t/0=%d", size), "u/0=0"}, 3: {"u/0=0"},
	} {
		if diff := cmp.Diff(want, logDirs(t, c.ask(id, req))); diff != "" {
			t.Errorf("broker %d: %s", id, diff)
		}
	}
	req.Topics = []kmsg.DescribeLogDirsRequestTopic{{Topic: "u", Partitions: []int32{0, 7}}, {Topic: "v", Partitions: []int32{0}}}
	if diff := cmp.Diff([]string{"u/0=0"}, logDirs(t, c.ask(2, req))); diff != "" {
		t.Error(diff)
	}
}

func TestDescribeProducers(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	spec := kafka.NewBatchSpec(kafka.Record{Value: []byte("v")}, kafka.Record{Value: []byte("w"), TimestampDelta: 9})
	spec.FirstTimestamp, spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = 1000, 7, 3, 5
	o.produce("t", kafka.AppendBatch(nil, spec))
	o.produce("t", batch(9, 0, 0, "x"))
	req := kmsg.NewPtrDescribeProducersRequest()
	req.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: "t", Partitions: []int32{0, 1}}}
	check := func() {
		t.Helper()
		got := o.ask(req).(*kmsg.DescribeProducersResponse).Topics[0].Partitions
		want := []kmsg.DescribeProducersResponseTopicPartitionActiveProducer{
			{ProducerID: 7, ProducerEpoch: 3, LastSequence: 6, LastTimestamp: 1009, CoordinatorEpoch: -1, CurrentTxnStartOffset: -1},
			{ProducerID: 9, ProducerEpoch: 0, LastSequence: 0, LastTimestamp: 0, CoordinatorEpoch: -1, CurrentTxnStartOffset: -1},
		}
		if diff := cmp.Diff(want, got[0].ActiveProducers, cmp.AllowUnexported(kmsg.Tags{})); diff != "" {
			t.Error(diff)
		}
		if got[1].ErrorCode != kerr.UnknownTopicOrPartition.Code {
			t.Errorf("%+v", got[1])
		}
	}
	check()
	o.restart()
	for range 20 {
		o.step(Input{})
	}
	check()
}

func TestDescribeQuorum(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 1, 2, 3)
	req := kmsg.NewPtrDescribeQuorumRequest()
	req.Version = 2
	req.Topics = []kmsg.DescribeQuorumRequestTopic{{Topic: metadataTopic, Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{Partition: 0}, {Partition: 1}}}}
	leader := BrokerID(c.nodes[1].node.controller())
	for _, id := range c.ids {
		resp := c.ask(id, req).(*kmsg.DescribeQuorumResponse)
		p := resp.Topics[0].Partitions[0]
		if p.ErrorCode != 0 || p.LeaderID != int32(leader) || p.LeaderEpoch < 1 || p.HighWatermark < 4 || len(p.CurrentVoters) != 3 || len(p.Observers) != 0 {
			t.Errorf("broker %d: %+v", id, p)
		}
		for _, v := range p.CurrentVoters {
			if known := id == leader; known != (v.LogEndOffset >= p.HighWatermark) || !known && v.LogEndOffset != -1 {
				t.Errorf("broker %d says of %d: %+v", id, v.ReplicaID, v)
			}
		}
		if e := resp.Topics[0].Partitions[1].ErrorCode; e != kerr.UnknownTopicOrPartition.Code {
			t.Errorf("partition 1: %s", kafka.CodeName(e))
		}
		if len(resp.Nodes) != 3 || resp.Nodes[2].Listeners[0].Port != 9002 {
			t.Errorf("nodes: %+v", resp.Nodes)
		}
	}
}

func TestDescribeCluster(t *testing.T) {
	c := newMany(t, 3, nil)
	ask := func(change func(*kmsg.DescribeClusterRequest)) *kmsg.DescribeClusterResponse {
		t.Helper()
		req := kmsg.NewPtrDescribeClusterRequest()
		req.Version, req.EndpointType = 2, 1
		change(req)
		return c.ask(1, req).(*kmsg.DescribeClusterResponse)
	}
	r := ask(func(*kmsg.DescribeClusterRequest) {})
	if r.ErrorCode != 0 || r.ClusterID != "test" || r.ControllerID < 1 || len(r.Brokers) != 3 || r.ClusterAuthorizedOperations != -2147483648 {
		t.Errorf("%+v", r)
	}
	if r := ask(func(q *kmsg.DescribeClusterRequest) { q.IncludeClusterAuthorizedOperations = true }); r.ClusterAuthorizedOperations != 8096 {
		t.Errorf("operations %d", r.ClusterAuthorizedOperations) // what Kafka without an authorizer answers
	}
	if r := ask(func(q *kmsg.DescribeClusterRequest) { q.EndpointType = 2 }); r.ErrorCode != kerr.MismatchedEndpointType.Code {
		t.Errorf("controllers: %+v", r)
	}
	c.kill(3)
	c.until("broker 3 is missed", func() bool { return len(ask(func(*kmsg.DescribeClusterRequest) {}).Brokers) == 2 })
	r = ask(func(q *kmsg.DescribeClusterRequest) { q.IncludeFencedBrokers = true })
	if len(r.Brokers) != 3 || r.Brokers[0].IsFenced || !r.Brokers[2].IsFenced {
		t.Errorf("fenced brokers: %+v", r.Brokers)
	}
}

func TestAuthorizedOperations(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.IncludeClusterAuthorizedOperations, req.IncludeTopicAuthorizedOperations = 10, true, true
	r := o.ask(req).(*kmsg.MetadataResponse)
	if r.AuthorizedOperations != 8096 || r.Topics[0].AuthorizedOperations != 3576 {
		t.Errorf("cluster %d, topic %d", r.AuthorizedOperations, r.Topics[0].AuthorizedOperations)
	}
	req.IncludeClusterAuthorizedOperations, req.IncludeTopicAuthorizedOperations = false, false
	r = o.ask(req).(*kmsg.MetadataResponse)
	if r.AuthorizedOperations != -2147483648 || r.Topics[0].AuthorizedOperations != -2147483648 {
		t.Errorf("nobody asked: cluster %d, topic %d", r.AuthorizedOperations, r.Topics[0].AuthorizedOperations)
	}
}

func TestACLsAreDisabled(t *testing.T) {
	o := newOne(t, nil)
	describe := kmsg.NewPtrDescribeACLsRequest()
	describe.Version = 3
	if r := o.ask(describe).(*kmsg.DescribeACLsResponse); r.ErrorCode != kerr.SecurityDisabled.Code || *r.ErrorMessage == "" {
		t.Errorf("%+v", r)
	}
	create := kmsg.NewPtrCreateACLsRequest()
	create.Version, create.Creations = 3, make([]kmsg.CreateACLsRequestCreation, 2)
	if r := o.ask(create).(*kmsg.CreateACLsResponse); len(r.Results) != 2 || r.Results[1].ErrorCode != kerr.SecurityDisabled.Code {
		t.Errorf("%+v", r)
	}
	remove := kmsg.NewPtrDeleteACLsRequest()
	remove.Version, remove.Filters = 3, make([]kmsg.DeleteACLsRequestFilter, 2)
	if r := o.ask(remove).(*kmsg.DeleteACLsResponse); len(r.Results) != 2 || r.Results[1].ErrorCode != kerr.SecurityDisabled.Code {
		t.Errorf("%+v", r)
	}
}

// What ApiVersions says is what is served: any other key or version ends the connection.
func TestApiVersionsTellsWhatIsServed(t *testing.T) {
	o := newOne(t, nil)
	said := make(map[int16]kmsg.ApiVersionsResponseApiKey)
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = 4, "test", "1"
	for _, k := range o.ask(req).(*kmsg.ApiVersionsResponse).ApiKeys {
		if _, ok := said[k.ApiKey]; ok {
			t.Errorf("%v is said twice", kmsg.Key(k.ApiKey))
		}
		said[k.ApiKey] = k
	}
	for key := int16(-1); key <= kmsg.MaxKey+1; key++ {
		for version := int16(0); version <= 20; version++ {
			k, ok := said[key]
			served := ok && version >= k.MinVersion && version <= k.MaxVersion
			if key == kmsg.Produce.Int16() && version < 3 { // see apiTable
				served = false
			}
			if got := o.serves(key, version); got != served {
				t.Errorf("%v v%d: said %v, served %v", kmsg.NameForKey(key), version, served, got)
			}
		}
	}
}

// serves sends a request that holds nothing and reports whether it is answered in its own version.
func (o *one) serves(key, version int16) bool {
	o.t.Helper()
	req := kmsg.RequestForKey(key)
	frame := []byte{byte(key >> 8), byte(key), 0, byte(version), 0, 0, 0, 5, 0, 0}
	if req != nil {
		req.SetVersion(version)
		if p, ok := req.(*kmsg.ProduceRequest); ok {
			p.Acks = -1
		}
		if a, ok := req.(*kmsg.ApiVersionsRequest); ok {
			a.ClientSoftwareName, a.ClientSoftwareVersion = "test", "1"
		}
		frame = kafka.AppendRequest(nil, 5, "", req)
	}
	o.step(Input{Requests: []Request{{Conn: 3, Frame: frame}}})
	for i := 0; len(o.replies) == 0 && i < 1000; i++ {
		o.step(Input{})
	}
	r := o.replies[0]
	o.replies = nil
	o.step(Input{Hangups: []ConnID{3}})
	if r.Close || req == nil {
		return !r.Close
	}
	resp := req.ResponseKind()
	if key == kmsg.ApiVersions.Int16() && version > 4 { // answered in version 0, as an error (KIP-511)
		resp.SetVersion(0)
	}
	_, err := kafka.ParseResponse(kafka.Frame(r.Frame).Bytes(), resp)
	if err != nil {
		o.t.Errorf("%v v%d: %v", kmsg.NameForKey(key), version, err)
	}
	v, ok := resp.(*kmsg.ApiVersionsResponse)
	return !ok || v.ErrorCode == 0
}
