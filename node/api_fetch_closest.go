// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
)

// Fetching from the closest replica (KIP-392): a consumer that says in which rack it is is sent by the
// leader to a follower in that rack, and that serves what it has applied, which is committed and will
// never change. The consumer comes back to the leader by itself from time to time, or when the
// follower can't help it.

// followerFor returns this broker's replica if it follows a leader that it hears. One that is cut off
// would let its consumers wait for records that come elsewhere.
func (n *Node) followerFor(topic string, index int32) *partition {
	meta := n.catalog.partition(topic, index)
	if meta == nil || meta.Topic.Internal {
		return nil
	}
	p := n.partitions[meta.Group]
	if p == nil || p.group.role != raft.StateFollower || p.group.lead == raft.None {
		return nil
	}
	return p
}

// follows reports whether this replica answers as a follower.
func (p *partition) follows() bool { return p.group.role != raft.StateLeader }

// mayLag reports whether others may have applied, and shown to clients, what this replica hasn't: as a follower it can't know,
// and as the leader it knows of entries that are committed while its own disk doesn't have them yet.
func (p *partition) mayLag() bool { return p.follows() || p.group.applied < p.group.commit }

// redirect sends a consumer from the leader to a follower in its rack, if one is there that is well
// and close behind.
func (a *fetchAnswer) redirect(p *partition, out *kmsg.FetchResponseTopicPartition) bool {
	n, rack := a.fetch.node, a.fetch.req.Rack
	if rack == "" || p.follows() || rack == n.cfg.selfMember().Rack {
		return false
	}
	best, most, listener := BrokerID(-1), uint64(0), a.fetch.request.conn.listener.Name
	p.group.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		b := brokerOf(id)
		if m := n.member(b); b == n.self || m == nil || m.Rack != rack || !n.alive(b) || pr.Match <= most || !n.reachable(b, listener) {
			return
		}
		if p.group.caughtUp(id) {
			best, most = b, pr.Match
		}
	})
	if best < 0 {
		return false
	}
	out.PreferredReadReplica = int32(best)
	a.redirected = true
	return true
}

// source finds the replica here that may answer: the leader's (readable), or a follower's for a consumer of this
// broker's rack (api_fetch_closest.go). fillGroups has its counterpart for __consumer_offsets, readableCoordinator.
func (a *fetchAnswer) source(topic string, in *kmsg.FetchRequestTopicPartition) (*partition, error) {
	n := a.fetch.node
	if p := n.followerFor(topic, in.Partition); p != nil && a.fetch.req.Rack != "" && a.fetch.req.Rack == n.cfg.selfMember().Rack {
		return p, p.group.checkEpoch(in.CurrentLeaderEpoch)
	}
	return n.readable(topic, in.Partition, in.CurrentLeaderEpoch)
}

// nameLeader says who leads a partition, so that the client needn't ask for metadata.
func (a *fetchAnswer) nameLeader(meta *partitionMeta, out *kmsg.FetchResponseTopicPartition) {
	if meta == nil || a.fetch.req.Version < 16 || out.ErrorCode != kerr.NotLeaderForPartition.Code && out.ErrorCode != kerr.FencedLeaderEpoch.Code {
		return
	}
	n := a.fetch.node
	leader, epoch := n.leaderOf(meta)
	m := n.member(leader)
	if m == nil {
		return
	}
	out.CurrentLeader.LeaderID, out.CurrentLeader.LeaderEpoch = int32(leader), epoch
	if a.named == nil {
		a.named = make(map[BrokerID]bool)
	}
	if b, ok := m.endpoint(a.fetch.request.conn.listener.Name); ok && !a.named[leader] {
		a.named[leader] = true
		a.resp.Brokers = append(a.resp.Brokers, kmsg.FetchResponseBroker(b))
	}
}
