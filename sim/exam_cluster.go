// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node"
)

// What the examiner asks about brokers, replicas and topics.

func (e *exam) ofCluster() []*inquiry {
	list := []*inquiry{e.whoThereIs(), e.whoVotes(), e.whatIsStored(), e.whatIsConfigured()}
	if topics := e.topics(); len(topics) > 0 {
		t := topics[e.pick(int64(len(topics)))]
		list = append(list, e.whatIsStoredOf(t.Name, int32(e.pick(int64(t.Partitions)))), e.namedTwice(t.Name))
	}
	return list
}

// whoThereIs asks for the brokers, or for controllers that aren't brokers, of which there are none.
func (e *exam) whoThereIs() *inquiry {
	version, kind, fenced := e.version(kmsg.DescribeCluster), int8(1+e.pick(2)), e.pick(2) == 1
	return &inquiry{
		what: fmt.Sprintf("DescribeCluster, version %d, of endpoints of type %d", version, kind),
		request: func(*broker) kmsg.Request {
			req := kmsg.NewPtrDescribeClusterRequest()
			req.Version, req.EndpointType, req.IncludeFencedBrokers = version, kind, fenced
			return req
		},
		wrong: eachOf(func(t told, r *kmsg.DescribeClusterResponse) string {
			if version >= 1 && kind != 1 {
				if r.ErrorCode != kerr.MismatchedEndpointType.Code || len(r.Brokers) > 0 {
					return fmt.Sprintf("broker %d answers %s, and %d brokers", t.by.number, kafka.CodeName(r.ErrorCode), len(r.Brokers))
				}
				return ""
			}
			return cmp.Or(e.code(t, r.ErrorCode), e.brokersIn(t, r))
		}),
	}
}

// brokersIn compares who is named with who is there.
func (e *exam) brokersIn(t told, r *kmsg.DescribeClusterResponse) string {
	if r.ClusterID != "sim" || e.client.brokerNumber(r.ControllerID) == 0 {
		return fmt.Sprintf("broker %d says that controller %d leads cluster %q", t.by.number, r.ControllerID, r.ClusterID)
	}
	seen := make(map[int32]bool)
	for _, b := range r.Brokers {
		if b.Host != host(int(b.NodeID)) || seen[b.NodeID] {
			return fmt.Sprintf("broker %d says that broker %d is at %q (named before: %v)", t.by.number, b.NodeID, b.Host, seen[b.NodeID])
		}
		seen[b.NodeID] = true
	}
	for _, b := range e.brokers() {
		if !seen[int32(b.number)] {
			return fmt.Sprintf("broker %d doesn't name broker %d, but only %v", t.by.number, b.number, slices.Sorted(maps.Keys(seen)))
		}
	}
	return ""
}

// whoVotes asks who votes in group 0, and how far each of them is: that is known to the leader.
func (e *exam) whoVotes() *inquiry {
	version := e.version(kmsg.DescribeQuorum)
	return &inquiry{
		what: fmt.Sprintf("DescribeQuorum, version %d", version),
		request: func(*broker) kmsg.Request {
			req := kmsg.NewPtrDescribeQuorumRequest()
			req.Version = version
			t, p := kmsg.NewDescribeQuorumRequestTopic(), kmsg.NewDescribeQuorumRequestTopicPartition()
			t.Topic = "__cluster_metadata"
			t.Partitions = append(t.Partitions, p)
			req.Topics = append(req.Topics, t)
			return req
		},
		wrong: eachOf(func(t told, r *kmsg.DescribeQuorumResponse) string {
			if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
				return fmt.Sprintf("broker %d answers about %d topics", t.by.number, len(r.Topics))
			}
			return e.votersIn(t, &r.Topics[0].Partitions[0])
		}),
	}
}

func (e *exam) votersIn(t told, p *kmsg.DescribeQuorumResponseTopicPartition) string {
	v, _ := t.by.node.Inspect(0)
	var want, got []int
	for _, id := range v.Voters {
		want = append(want, int(id>>32))
	}
	for _, s := range p.CurrentVoters {
		got = append(got, int(s.ReplicaID))
		end := int64(-1)
		if v.Role == node.Leader {
			end = int64(v.LastIndex)
		}
		if s.LogEndOffset != end {
			return fmt.Sprintf("broker %d (%v) says that broker %d has entries to %d; it is %d", t.by.number, v.Role, s.ReplicaID, s.LogEndOffset, end)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if p.ErrorCode != 0 || !slices.Equal(got, want) || p.LeaderID != int32(v.Lead) || p.HighWatermark != int64(v.Commit) {
		return fmt.Sprintf("broker %d answers %s, voters %v, leader %d, high watermark %d; voters are %v, the leader %d, the commit index %d",
			t.by.number, kafka.CodeName(p.ErrorCode), got, p.LeaderID, p.HighWatermark, want, v.Lead, v.Commit)
	}
	return ""
}

// whatIsStored asks each broker for all its replicas.
func (e *exam) whatIsStored() *inquiry {
	version := e.version(kmsg.DescribeLogDirs)
	return &inquiry{
		what: fmt.Sprintf("DescribeLogDirs, version %d", version),
		request: func(*broker) kmsg.Request {
			req := kmsg.NewPtrDescribeLogDirsRequest()
			req.Version = version
			return req
		},
		wrong: eachOf(func(t told, r *kmsg.DescribeLogDirsResponse) string {
			return e.replicasIn(t, r, func(string) bool { return true })
		}),
	}
}

// whatIsStoredOf asks each broker for its replica of one partition.
func (e *exam) whatIsStoredOf(topic string, partition int32) *inquiry {
	version := e.version(kmsg.DescribeLogDirs)
	return &inquiry{
		what: fmt.Sprintf("DescribeLogDirs, version %d, of %s/%d", version, topic, partition),
		request: func(*broker) kmsg.Request {
			req := kmsg.NewPtrDescribeLogDirsRequest()
			req.Version, req.Topics = version, []kmsg.DescribeLogDirsRequestTopic{{Topic: topic, Partitions: []int32{partition, 1 << 20}}}
			return req
		},
		wrong: eachOf(func(t told, r *kmsg.DescribeLogDirsResponse) string {
			return e.replicasIn(t, r, func(name string) bool { return name == partitionName(topic, partition) })
		}),
	}
}

// replicasIn compares which replicas of the plan's topics are named with which there are.
func (e *exam) replicasIn(t told, r *kmsg.DescribeLogDirsResponse, asked func(name string) bool) string {
	var want, got []string
	of := func(topic string, partition int32) string {
		if spec := e.world.plan.Topic(topic); spec != nil && !e.world.doomed[topic] {
			return partitionName(topic, partition)
		}
		return ""
	}
	for _, g := range t.by.node.Groups() {
		v, _ := t.by.node.Inspect(g)
		if name := of(v.Topic, v.Partition); name != "" && !v.Closed && asked(name) {
			want = append(want, name)
		}
	}
	for i := range r.Dirs {
		for j := range r.Dirs[i].Topics {
			for _, p := range r.Dirs[i].Topics[j].Partitions {
				if name := of(r.Dirs[i].Topics[j].Topic, p.Partition); name != "" {
					got = append(got, name)
				}
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		return fmt.Sprintf("broker %d says that it has replicas of %v; it has those of %v", t.by.number, got, want)
	}
	return ""
}

// Types of things that have configurations.
const (
	ofTopics  = int8(kmsg.ConfigResourceTypeTopic)
	ofBrokers = int8(kmsg.ConfigResourceTypeBroker)
)

// whatIsConfigured asks what has configurations. Version 0 is about something of which there is nothing.
func (e *exam) whatIsConfigured() *inquiry {
	version, kinds := e.version(kmsg.ListConfigResources), [][]int8{nil, {ofTopics}, {ofBrokers}, {ofTopics, ofBrokers}}[e.pick(4)]
	return &inquiry{
		what: fmt.Sprintf("ListConfigResources, version %d, of types %v", version, kinds),
		request: func(*broker) kmsg.Request {
			req := kmsg.NewPtrListConfigResourcesRequest()
			req.Version, req.ResourceTypes = version, kinds
			return req
		},
		wrong: eachOf(func(t told, r *kmsg.ListConfigResourcesResponse) string {
			names := make(map[string]bool)
			for _, c := range r.ConfigResources {
				names[fmt.Sprint(c.Type, " ", c.Name)] = true
				if version == 0 || len(kinds) > 0 && !slices.Contains(kinds, c.Type) {
					return fmt.Sprintf("broker %d names %q, of type %d", t.by.number, c.Name, c.Type)
				}
			}
			lacks := func(kind int8, name string) bool {
				return version > 0 && (len(kinds) == 0 || slices.Contains(kinds, kind)) && !names[fmt.Sprint(kind, " ", name)]
			}
			for _, spec := range e.topics() {
				if lacks(ofTopics, spec.Name) {
					return fmt.Sprintf("broker %d doesn't name topic %s", t.by.number, spec.Name)
				}
			}
			for _, b := range e.brokers() {
				if lacks(ofBrokers, strconv.Itoa(b.number)) {
					return fmt.Sprintf("broker %d doesn't name broker %d", t.by.number, b.number)
				}
			}
			return e.code(t, r.ErrorCode)
		}),
	}
}

// namedTwice asks for a topic that is named twice. It is answered once.
func (e *exam) namedTwice(topic string) *inquiry {
	version := max(e.version(kmsg.Metadata), 4) // before that, topics are created
	return &inquiry{
		what: fmt.Sprintf("Metadata, version %d, of topic %s twice", version, topic),
		request: func(*broker) kmsg.Request {
			req := kmsg.NewPtrMetadataRequest()
			req.Version = version
			for range 2 {
				t := kmsg.NewMetadataRequestTopic()
				t.Topic = &topic
				req.Topics = append(req.Topics, t)
			}
			return req
		},
		wrong: eachOf(func(t told, r *kmsg.MetadataResponse) string {
			if len(r.Topics) != 1 {
				return fmt.Sprintf("broker %d answers %d times", t.by.number, len(r.Topics))
			}
			return e.code(t, r.Topics[0].ErrorCode)
		}),
	}
}
