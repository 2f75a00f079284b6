// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
)

// This file holds requests by which tools look at a cluster.

// DescribeCluster, versions 0 to 2 (KIP-700).
//
//	v1  endpoint type: there are no controllers apart from the brokers
//	v2  brokers that are dead (fenced), if they are asked for
func (n *Node) handleDescribeCluster(r *request, m kmsg.Request) {
	req := m.(*kmsg.DescribeClusterRequest)
	resp := kmsg.NewPtrDescribeClusterResponse()
	resp.ClusterID, resp.ControllerID = n.cfg.ClusterID, -1
	if req.Version >= 1 && req.EndpointType != endpointBrokers {
		resp.ErrorCode, resp.EndpointType = kerr.MismatchedEndpointType.Code, endpointBrokers
		r.reply(resp)
		return
	}
	resp.ControllerID = n.controller()
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = operationsOnCluster
	}
	live := make(map[BrokerID]bool)
	for _, m := range n.brokers() {
		live[m.ID] = true
	}
	for _, m := range n.members() {
		n.out.Work.Names++
		fenced := !live[m.ID]
		if fenced && !req.IncludeFencedBrokers {
			continue
		}
		b := kmsg.NewDescribeClusterResponseBroker()
		b.NodeID, b.Host, b.Port, b.IsFenced = int32(m.ID), m.Host, m.Port, fenced
		if m.Rack != "" {
			b.Rack = &m.Rack
		}
		resp.Brokers = append(resp.Brokers, b)
	}
	r.reply(resp)
}

// endpointBrokers is KIP-919's endpoint type of addresses that clients of brokers use.
const endpointBrokers = 1

// DescribeLogDirs, versions 1 to 4 (KIP-113): the replicas on this broker and their sizes. A broker
// has one folder; how large its volume is, the node doesn't know.
//
//	v2  flexible
//	v3  an error of the whole
//	v4  size of the volume: -1, unknown
func (n *Node) handleDescribeLogDirs(r *request, m kmsg.Request) {
	req := m.(*kmsg.DescribeLogDirsRequest)
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir, dir.TotalBytes, dir.UsableBytes = n.cfg.LogDir, -1, -1
	n.eachAsked(r, req.Topics == nil, len(req.Topics), func(i int) (string, []int32) {
		return req.Topics[i].Topic, req.Topics[i].Partitions
	}, func(_ namedPartition, p *partitionMeta) {
		if p == nil || n.group(p.Group) == nil {
			return
		}
		if last := len(dir.Topics) - 1; last < 0 || dir.Topics[last].Topic != p.Topic.Name {
			out := kmsg.NewDescribeLogDirsResponseDirTopic()
			out.Topic = p.Topic.Name
			dir.Topics = append(dir.Topics, out)
		}
		g, out := n.group(p.Group), kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		out.Partition, out.Size, out.OffsetLag = p.Index, n.replicaBytes(g), n.lagOf(p, g)
		t := &dir.Topics[len(dir.Topics)-1]
		t.Partitions = append(t.Partitions, out)
	}, func() {
		resp := kmsg.NewPtrDescribeLogDirsResponse()
		resp.Dirs = append(resp.Dirs, dir)
		r.reply(resp)
	})
}

// replicaBytes is the size of a partition's record batches, or of the entries that a coordinator's
// log still has beyond its state.
func (n *Node) replicaBytes(g *group) int64 {
	p := n.partitions[g.id]
	if p == nil {
		return g.bytesBefore + g.bytesSince
	}
	n.out.Work.Parts += p.places() / 64
	return p.bytes()
}

// DescribeProducers, version 0 (KIP-664), on any broker with a replica, as in Kafka: the idempotent producers that
// it knows. There are no transactions. A partition that is named twice is described once.
func (n *Node) handleDescribeProducers(r *request, m kmsg.Request) {
	req := m.(*kmsg.DescribeProducersRequest)
	resp := kmsg.NewPtrDescribeProducersResponse()
	type place struct {
		topic, part int
		of          *partition
		producers   []int64
	}
	var places []place // of partitions whose producers are to be described
	n.eachAsked(r, false, len(req.Topics), func(i int) (string, []int32) {
		return req.Topics[i].Topic, req.Topics[i].Partitions
	}, func(key namedPartition, _ *partitionMeta) {
		last := len(resp.Topics) - 1
		if last < 0 || resp.Topics[last].Topic != key.topic {
			t := kmsg.NewDescribeProducersResponseTopic()
			t.Topic = key.topic
			resp.Topics = append(resp.Topics, t)
			last++
		}
		t, out := &resp.Topics[last], kmsg.NewDescribeProducersResponseTopicPartition()
		out.Partition = key.index
		if p, err := n.replicaFor(key.topic, key.index); err != nil {
			out.ErrorCode, out.ErrorMessage = code(err), errorText(err)
		} else {
			ids := p.producerIDs()
			n.out.Work.Parts += len(ids) / 8
			places = append(places, place{last, len(t.Partitions), p, ids})
		}
		t.Partitions = append(t.Partitions, out)
	}, func() {
		n.eachPart(r, len(places), func(i int) int { return len(places[i].producers) }, func(i, j int) {
			at := &places[i]
			if p, ok := at.of.describeProducer(at.producers[j]); ok { // else it was forgotten meanwhile
				out := &resp.Topics[at.topic].Partitions[at.part]
				out.ActiveProducers = append(out.ActiveProducers, p)
			}
		}, func() { r.reply(resp) })
	})
}

// metadataTopic is the name under which Kafka's tools ask for the group that decides on metadata,
// which is group 0 here.
const metadataTopic = "__cluster_metadata"

// DescribeQuorum, versions 0 to 2 (KIP-595, KIP-836), on any broker: who votes in group 0, and how
// far each replica is. Offsets are raft indexes. How far the others are is known to the leader; other
// brokers answer -1, also for themselves: tools subtract. A partition that is named twice is described once.
func (n *Node) handleDescribeQuorum(r *request, m kmsg.Request) {
	req := m.(*kmsg.DescribeQuorumRequest)
	resp := kmsg.NewPtrDescribeQuorumResponse()
	named := make(map[namedPartition]bool)
	n.eachPart(r, len(req.Topics), func(i int) int {
		t := kmsg.NewDescribeQuorumResponseTopic()
		t.Topic = req.Topics[i].Topic
		resp.Topics = append(resp.Topics, t)
		return len(req.Topics[i].Partitions)
	}, func(i, j int) {
		key := namedPartition{req.Topics[i].Topic, req.Topics[i].Partitions[j].Partition}
		if named[key] {
			return
		}
		named[key] = true
		out := kmsg.NewDescribeQuorumResponseTopicPartition()
		out.Partition, out.LeaderID, out.LeaderEpoch, out.HighWatermark = key.index, -1, -1, -1
		if key == (namedPartition{metadataTopic, 0}) {
			n.describeQuorum(&out)
		} else {
			out.ErrorCode = kerr.UnknownTopicOrPartition.Code
		}
		resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, out)
	}, func() {
		n.quorumNodes(resp)
		r.reply(resp)
	})
}

// quorumNodes says where the brokers are.
func (n *Node) quorumNodes(resp *kmsg.DescribeQuorumResponse) {
	for _, m := range n.members() {
		node := kmsg.NewDescribeQuorumResponseNode()
		node.NodeID = int32(m.ID)
		l := kmsg.NewDescribeQuorumResponseNodeListener()
		l.Name, l.Host, l.Port = "PLAINTEXT", m.Host, uint16(m.Port)
		node.Listeners = append(node.Listeners, l)
		resp.Nodes = append(resp.Nodes, node)
	}
}

func (n *Node) describeQuorum(out *kmsg.DescribeQuorumResponseTopicPartition) {
	g := n.catalog.group
	out.LeaderID, out.LeaderEpoch, out.HighWatermark = int32(brokerOf(g.lead)), leaderEpoch(g.term), int64(g.commit)
	n.out.Work.Names += len(g.conf.Voters) + len(g.conf.Learners)
	last, _ := g.view.LastIndex()
	ends := make(map[uint64]int64)
	if g.role == raft.StateLeader {
		ends[g.self] = int64(last)
		g.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
			if id != g.self {
				ends[id] = int64(pr.Match)
			}
		})
	}
	describe := func(ids []uint64) (out []kmsg.DescribeQuorumResponseTopicPartitionReplicaState) {
		for _, id := range ids {
			s := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
			s.ReplicaID, s.LogEndOffset, s.LastFetchTimestamp, s.LastCaughtUpTimestamp = int32(brokerOf(id)), -1, -1, -1
			if end, ok := ends[id]; ok {
				s.LogEndOffset = end
			}
			out = append(out, s)
		}
		return out
	}
	out.CurrentVoters, out.Observers = describe(g.conf.Voters), describe(g.conf.Learners)
}

// DescribeAcls, CreateAcls and DeleteAcls, versions 0 to 3: nobody is authorized to anything, as
// everybody may do everything. Tools ask once, and understand the answer.
func (n *Node) handleDescribeACLs(r *request, _ kmsg.Request) {
	resp := kmsg.NewPtrDescribeACLsResponse()
	resp.ErrorCode, resp.ErrorMessage = kerr.SecurityDisabled.Code, &noACLs
	r.reply(resp)
}

func (n *Node) handleCreateACLs(r *request, m kmsg.Request) {
	resp := kmsg.NewPtrCreateACLsResponse()
	n.each(r, len(m.(*kmsg.CreateACLsRequest).Creations), func(int) {
		out := kmsg.NewCreateACLsResponseResult()
		out.ErrorCode, out.ErrorMessage = kerr.SecurityDisabled.Code, &noACLs
		resp.Results = append(resp.Results, out)
	}, func() { r.reply(resp) })
}

func (n *Node) handleDeleteACLs(r *request, m kmsg.Request) {
	resp := kmsg.NewPtrDeleteACLsResponse()
	n.each(r, len(m.(*kmsg.DeleteACLsRequest).Filters), func(int) {
		out := kmsg.NewDeleteACLsResponseResult()
		out.ErrorCode, out.ErrorMessage = kerr.SecurityDisabled.Code, &noACLs
		resp.Results = append(resp.Results, out)
	}, func() { r.reply(resp) })
}

var noACLs = "there is no authorizer: every client may do everything"

// configResources are the types that Kafka has.
var configResources = []kmsg.ConfigResourceType{
	kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger, 16 /* client metrics */, 32, /* group */
}

// ListConfigResources, versions 0 and 1 (KIP-1142): what has configurations.
//
//	v0  client metrics (KIP-714): there are none
//	v1  the types that are asked for; none means all
func (n *Node) handleListConfigResources(r *request, m kmsg.Request) {
	req := m.(*kmsg.ListConfigResourcesRequest)
	resp := kmsg.NewPtrListConfigResourcesResponse()
	for _, t := range req.ResourceTypes {
		if !slices.Contains(configResources, kmsg.ConfigResourceType(t)) {
			resp.ErrorCode = kerr.UnsupportedVersion.Code // as Kafka says it
			r.reply(resp)
			return
		}
	}
	add := func(t kmsg.ConfigResourceType, name string) {
		out := kmsg.NewListConfigResourcesResponseConfigResource()
		out.Name, out.Type = name, int8(t)
		resp.ConfigResources = append(resp.ConfigResources, out)
	}
	wants := func(t kmsg.ConfigResourceType) bool {
		return req.Version >= 1 && (len(req.ResourceTypes) == 0 || slices.Contains(req.ResourceTypes, int8(t)))
	}
	var topics []*topicMeta
	if wants(kmsg.ConfigResourceTypeTopic) {
		topics = slices.Clone(n.catalog.topics)
	}
	n.each(r, len(topics), func(i int) { add(kmsg.ConfigResourceTypeTopic, topics[i].Name) }, func() {
		if wants(kmsg.ConfigResourceTypeBroker) {
			for _, b := range n.members() {
				n.out.Work.Names++
				add(kmsg.ConfigResourceTypeBroker, strconv.Itoa(int(b.ID)))
			}
		}
		r.reply(resp)
	})
}

// AlterReplicaLogDirs, versions 1 and 2 (KIP-113). A broker has one folder: its replicas are there
// already, and can't be anywhere else.
func (n *Node) handleAlterReplicaLogDirs(r *request, m kmsg.Request) {
	req := m.(*kmsg.AlterReplicaLogDirsRequest)
	resp := kmsg.NewPtrAlterReplicaLogDirsResponse()
	type place struct{ dir, topic int }
	var places []place
	n.eachPart(r, len(req.Dirs), func(i int) int { return len(req.Dirs[i].Topics) }, func(i, j int) {
		places = append(places, place{i, j})
	}, func() {
		topic := func(i int) *kmsg.AlterReplicaLogDirsRequestDirTopic {
			return &req.Dirs[places[i].dir].Topics[places[i].topic]
		}
		n.eachPart(r, len(places), func(i int) int {
			out := kmsg.NewAlterReplicaLogDirsResponseTopic()
			out.Topic = topic(i).Topic
			resp.Topics = append(resp.Topics, out)
			return len(topic(i).Partitions)
		}, func(i, j int) {
			p, t := kmsg.NewAlterReplicaLogDirsResponseTopicPartition(), topic(i)
			p.Partition, p.ErrorCode = t.Partitions[j], n.moveToDir(req.Dirs[places[i].dir].Dir, t.Topic, t.Partitions[j])
			resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, p)
		}, func() { r.reply(resp) })
	})
}

func (n *Node) moveToDir(dir, topic string, index int32) int16 {
	switch p := n.catalog.partition(topic, index); {
	case p == nil:
		return kerr.UnknownTopicOrPartition.Code
	case dir != n.cfg.LogDir:
		return kerr.LogDirNotFound.Code
	case n.group(p.Group) == nil:
		return kerr.ReplicaNotAvailable.Code
	}
	return 0
}
