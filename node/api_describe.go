// SPDX-License-Identifier: Apache-2.0

package node

import (
	"maps"
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
	resp.ClusterID, resp.ControllerID = n.cfg.ClusterID, n.controller()
	if req.Version >= 1 && req.EndpointType != endpointBrokers {
		resp.ErrorCode, resp.EndpointType = kerr.MismatchedEndpointType.Code, endpointBrokers
		r.reply(resp)
		return
	}
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = operationsOnCluster
	}
	live := n.brokers()
	for _, m := range n.members() {
		fenced := !slices.ContainsFunc(live, func(o *Member) bool { return o.ID == m.ID })
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
	for _, t := range n.catalog.topics {
		out := kmsg.NewDescribeLogDirsResponseDirTopic()
		out.Topic = t.Name
		for _, p := range t.Partitions {
			if g := n.group(p.Group); g != nil && wantsLogDir(req, t.Name, p.Index) {
				o := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
				o.Partition, o.Size, o.OffsetLag = p.Index, n.replicaBytes(g), n.lagOf(p, g)
				out.Partitions = append(out.Partitions, o)
			}
		}
		if len(out.Partitions) > 0 {
			dir.Topics = append(dir.Topics, out)
		}
	}
	resp := kmsg.NewPtrDescribeLogDirsResponse()
	resp.Dirs = append(resp.Dirs, dir)
	r.reply(resp)
}

func wantsLogDir(req *kmsg.DescribeLogDirsRequest, topic string, partition int32) bool {
	return req.Topics == nil || slices.ContainsFunc(req.Topics, func(t kmsg.DescribeLogDirsRequestTopic) bool {
		return t.Topic == topic && slices.Contains(t.Partitions, partition)
	})
}

// replicaBytes is the size of a partition's record batches, or of the entries that a coordinator's
// log still has beyond its state.
func (n *Node) replicaBytes(g *group) int64 {
	p := n.partitions[g.id]
	if p == nil {
		return g.bytesBefore + g.bytesSince
	}
	total := int64(0)
	for i := range p.spans {
		total += p.spans[i].bytes
	}
	return total
}

// DescribeProducers, version 0 (KIP-664), on the partitions' leaders: the idempotent producers that
// they know. There are no transactions.
func (n *Node) handleDescribeProducers(r *request, m kmsg.Request) {
	req := m.(*kmsg.DescribeProducersRequest)
	resp := kmsg.NewPtrDescribeProducersResponse()
	for i := range req.Topics {
		t := kmsg.NewDescribeProducersResponseTopic()
		t.Topic = req.Topics[i].Topic
		for _, index := range req.Topics[i].Partitions {
			out := kmsg.NewDescribeProducersResponseTopicPartition()
			out.Partition = index
			if p, err := n.readable(t.Topic, index, -1); err != nil {
				out.ErrorCode, out.ErrorMessage = code(err), errorText(err)
			} else {
				out.ActiveProducers = p.activeProducers()
			}
			t.Partitions = append(t.Partitions, out)
		}
		resp.Topics = append(resp.Topics, t)
	}
	r.reply(resp)
}

func (p *partition) activeProducers() []kmsg.DescribeProducersResponseTopicPartitionActiveProducer {
	var out []kmsg.DescribeProducersResponseTopicPartitionActiveProducer
	for _, id := range slices.Sorted(maps.Keys(p.producers)) {
		w := p.producers[id]
		newest := w.batches[len(w.batches)-1]
		a := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
		a.ProducerID, a.ProducerEpoch = id, int32(w.epoch)
		a.LastSequence, a.LastTimestamp = newest.last, newest.timestamp
		a.CoordinatorEpoch, a.CurrentTxnStartOffset = -1, -1
		out = append(out, a)
	}
	return out
}

// metadataTopic is the name under which Kafka's tools ask for the group that decides on metadata,
// which is group 0 here.
const metadataTopic = "__cluster_metadata"

// DescribeQuorum, versions 0 to 2 (KIP-595, KIP-836), on any broker: who votes in group 0, and how
// far each replica is. Offsets are raft indexes. How far the others are is known to the leader; other
// brokers answer -1, also for themselves: tools subtract.
func (n *Node) handleDescribeQuorum(r *request, m kmsg.Request) {
	req := m.(*kmsg.DescribeQuorumRequest)
	resp := kmsg.NewPtrDescribeQuorumResponse()
	for i := range req.Topics {
		t := kmsg.NewDescribeQuorumResponseTopic()
		t.Topic = req.Topics[i].Topic
		for _, p := range req.Topics[i].Partitions {
			out := kmsg.NewDescribeQuorumResponseTopicPartition()
			out.Partition, out.LeaderID, out.LeaderEpoch, out.HighWatermark = p.Partition, -1, -1, -1
			if t.Topic == metadataTopic && p.Partition == 0 {
				n.describeQuorum(&out)
			} else {
				out.ErrorCode = kerr.UnknownTopicOrPartition.Code
			}
			t.Partitions = append(t.Partitions, out)
		}
		resp.Topics = append(resp.Topics, t)
	}
	for _, m := range n.members() {
		node := kmsg.NewDescribeQuorumResponseNode()
		node.NodeID = int32(m.ID)
		l := kmsg.NewDescribeQuorumResponseNodeListener()
		l.Name, l.Host, l.Port = "PLAINTEXT", m.Host, uint16(m.Port)
		node.Listeners = append(node.Listeners, l)
		resp.Nodes = append(resp.Nodes, node)
	}
	r.reply(resp)
}

func (n *Node) describeQuorum(out *kmsg.DescribeQuorumResponseTopicPartition) {
	g := n.catalog.group
	out.LeaderID, out.LeaderEpoch, out.HighWatermark = int32(brokerOf(g.lead)), leaderEpoch(g.term), int64(g.commit)
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
	for range m.(*kmsg.CreateACLsRequest).Creations {
		out := kmsg.NewCreateACLsResponseResult()
		out.ErrorCode, out.ErrorMessage = kerr.SecurityDisabled.Code, &noACLs
		resp.Results = append(resp.Results, out)
	}
	r.reply(resp)
}

func (n *Node) handleDeleteACLs(r *request, m kmsg.Request) {
	resp := kmsg.NewPtrDeleteACLsResponse()
	for range m.(*kmsg.DeleteACLsRequest).Filters {
		out := kmsg.NewDeleteACLsResponseResult()
		out.ErrorCode, out.ErrorMessage = kerr.SecurityDisabled.Code, &noACLs
		resp.Results = append(resp.Results, out)
	}
	r.reply(resp)
}

var noACLs = "there is no authorizer: every client may do everything"

// ListConfigResources, versions 0 and 1 (KIP-1142): what has configurations.
//
//	v0  client metrics (KIP-714): there are none
//	v1  the types that are asked for; none means all
func (n *Node) handleListConfigResources(r *request, m kmsg.Request) {
	req := m.(*kmsg.ListConfigResourcesRequest)
	resp := kmsg.NewPtrListConfigResourcesResponse()
	add := func(t kmsg.ConfigResourceType, name string) {
		out := kmsg.NewListConfigResourcesResponseConfigResource()
		out.Name, out.Type = name, int8(t)
		resp.ConfigResources = append(resp.ConfigResources, out)
	}
	wants := func(t kmsg.ConfigResourceType) bool {
		return req.Version >= 1 && (len(req.ResourceTypes) == 0 || slices.Contains(req.ResourceTypes, int8(t)))
	}
	if wants(kmsg.ConfigResourceTypeTopic) {
		for _, t := range n.catalog.topics {
			add(kmsg.ConfigResourceTypeTopic, t.Name)
		}
	}
	if wants(kmsg.ConfigResourceTypeBroker) {
		for _, b := range n.members() {
			add(kmsg.ConfigResourceTypeBroker, strconv.Itoa(int(b.ID)))
		}
	}
	r.reply(resp)
}

// AlterReplicaLogDirs, versions 1 and 2 (KIP-113). A broker has one folder: its replicas are there
// already, and can't be anywhere else.
func (n *Node) handleAlterReplicaLogDirs(r *request, m kmsg.Request) {
	req := m.(*kmsg.AlterReplicaLogDirsRequest)
	resp := kmsg.NewPtrAlterReplicaLogDirsResponse()
	for i := range req.Dirs {
		for _, t := range req.Dirs[i].Topics {
			out := kmsg.NewAlterReplicaLogDirsResponseTopic()
			out.Topic = t.Topic
			for _, index := range t.Partitions {
				p := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
				p.Partition, p.ErrorCode = index, n.moveToDir(req.Dirs[i].Dir, t.Topic, index)
				out.Partitions = append(out.Partitions, p)
			}
			resp.Topics = append(resp.Topics, out)
		}
	}
	r.reply(resp)
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
