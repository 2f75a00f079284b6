// SPDX-License-Identifier: Apache-2.0

package node

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
)

// metadataTopic is the name under which Kafka's tools ask for the group that decides on metadata,
// which is group 0 here.
const metadataTopic = "__cluster_metadata"

// DescribeQuorum, versions 0 to 2 (KIP-595, KIP-836), on any broker: who votes in group 0, and how
// far each replica is. Offsets are raft indexes. How far the others are is known to the leader; other
// brokers answer -1, also for themselves: tools subtract. A partition that is named twice is described once.
func (n *Node) handleDescribeQuorum(r *request, m kmsg.Request) {
	req := m.(*kmsg.DescribeQuorumRequest)
	resp := kmsg.NewPtrDescribeQuorumResponse()
	resp.Topics = make([]kmsg.DescribeQuorumResponseTopic, 0, len(req.Topics))
	named := make(map[namedPartition]bool)
	n.eachPart(r, len(req.Topics), func(i int) int {
		t := kmsg.NewDescribeQuorumResponseTopic()
		t.Topic = req.Topics[i].Topic
		t.Partitions = make([]kmsg.DescribeQuorumResponseTopicPartition, 0, len(req.Topics[i].Partitions))
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
		for _, a := range m.Listeners {
			l.Name, l.Host, l.Port = strings.ToUpper(a.Listener), a.Host, uint16(a.Port) // Java's client takes no other names
			node.Listeners = append(node.Listeners, l)
		}
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
