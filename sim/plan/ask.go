// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"strings"

	"chronik/node"
)

// Ask is one request that a client makes beside the calls: something that usual clients seldom or never ask for. It is sent
// once. Its bytes follow from the plan's seed, the ask's ID and its fields; package sim knows what may be answered.
type Ask struct {
	ID        int      `json:"id"` // from 1, unique
	At        Duration `json:"at"`
	Kind      AskKind  `json:"kind"`
	Version   int16    `json:"version"`
	Broker    int      `json:"broker,omitempty"` // 0: who leads the partition, coordinates the group, or is asked first
	Topic     string   `json:"topic,omitempty"`
	Partition int32    `json:"partition,omitempty"`
}

// AskKind names a kind of request, then, after a slash, what is special about it.
type AskKind string

// AskKinds lists them: those of records and offsets, of consumer groups, of administrators, and those that only ask.
var AskKinds = []AskKind{
	"Produce/too-large", "Produce/corrupt", "Produce/bad-acks", "Produce/transactional", "Produce/old-format", "Produce/old-zstd", "Produce/no-key",
	"Produce/nothing", "Produce/brokers-own", "Produce/no-such-topic", "Produce/no-such-id", "Produce/gap", "Produce/zombie", "Produce/bad-time",
	"Fetch/plain", "Fetch/session", "Fetch/beyond", "Fetch/fenced", "Fetch/future", "Fetch/diverging", "Fetch/no-such-topic", "Fetch/no-such-id", "Fetch/brokers-own", "Fetch/rack", "Fetch/several",
	"ListOffsets/any", "ListOffsets/twice", "ListOffsets/fenced", "ListOffsets/future", "ListOffsets/no-such-time", "ListOffsets/no-such-topic",
	"OffsetForLeaderEpoch/any", "OffsetForLeaderEpoch/fenced", "OffsetForLeaderEpoch/future", "OffsetForLeaderEpoch/no-such-topic",
	"DeleteRecords/beyond", "DeleteRecords/no-such-topic", "DeleteRecords/brokers-own",
	"InitProducerID/odd", "InitProducerID/transactional", "InitProducerID/next",
	"Metadata/all", "Metadata/none", "Metadata/odd", "Metadata/twice", "Metadata/no-such-id", "Metadata/nameless",

	"FindCoordinator/odd", "JoinGroup/odd", "SyncGroup/odd", "Heartbeat/odd", "LeaveGroup/odd", "OffsetCommit/odd", "OffsetFetch/odd", "DeleteGroups/odd", "OffsetDelete/odd",
	"OffsetCommit/simple", "OffsetFetch/simple", "OffsetDelete/simple", "DeleteGroups/simple",
	"ConsumerGroupHeartbeat/odd", "DescribeGroups/any", "ListGroups/any", "ConsumerGroupDescribe/any",

	"CreateTopics/odd", "CreatePartitions/odd", "DeleteTopics/odd", "AlterConfigs/odd", "IncrementalAlterConfigs/odd", "AlterConfigs/harmless", "IncrementalAlterConfigs/harmless", "ElectLeaders/odd", "ElectLeaders/any", "AlterPartitionAssignments/odd",
	"UnregisterBroker/odd", "CreateACLs/any", "DeleteACLs/any", "AlterReplicaLogDirs/any",

	"ApiVersions/any", "ApiVersions/newer", "DescribeConfigs/any", "DescribeLogDirs/any", "ListPartitionReassignments/any", "DescribeQuorum/any", "DescribeCluster/any", "DescribeProducers/any",
	"ListConfigResources/any", "DescribeTopicPartitions/any", "DescribeACLs/any",

	"IncrementalAlterConfigs/extreme", "OffsetFetch/no-such-id", "Produce/twice",
}

// API is the kind of request.
func (k AskKind) API() string {
	api, _, _ := strings.Cut(string(k), "/")
	return api
}

// versions are those that brokers serve.
func (k AskKind) versions() node.VersionRange {
	return node.Versions()[slices.Index(node.APIs(), k.API())]
}

func (p *Plan) validateAsks() error {
	ids := make(map[int]bool)
	for _, a := range p.Asks {
		if a.ID < 1 || ids[a.ID] || a.At < 0 || a.Broker < 0 || a.Broker > p.Brokers || !slices.Contains(AskKinds, a.Kind) {
			return fmt.Errorf("ask %d: id must be unique and positive, at not negative, broker 0 to %d, kind one of %v", a.ID, p.Brokers, AskKinds)
		}
		ids[a.ID] = true
		if r := a.Kind.versions(); a.Version < r.First || a.Version > r.Last {
			return fmt.Errorf("ask %d: of %s, versions %d to %d are served", a.ID, a.Kind.API(), r.First, r.Last)
		}
		if t := p.Topic(a.Topic); t == nil || a.Partition < 0 || a.Partition >= t.Partitions {
			return fmt.Errorf("ask %d: no partition %s/%d in the plan", a.ID, a.Topic, a.Partition)
		}
	}
	return nil
}

// asks draws asks for a third of all worlds, of some kinds; for all of a profile that is about them, and half of the time of
// all kinds.
func (g *generator) asks() {
	p, most := g.plan, int64(100)
	if !g.chance(1, 3) && !g.prof.asks {
		return
	}
	kinds := slices.Clone(askFamilies[g.pick(int64(len(askFamilies)))])
	for range g.wide(2, 64) {
		if len(kinds) > 0 && g.chance(1, 2) {
			break
		}
		kinds = append(kinds, AskKinds[g.pick(int64(len(AskKinds)))])
	}
	if g.prof.asks {
		most = 500
		if g.chance(1, 2) {
			kinds = AskKinds
		}
	}
	for range g.wide(most/25, most) {
		kind := kinds[g.pick(int64(len(kinds)))]
		t, r := &p.Topics[g.pick(int64(len(p.Topics)))], kind.versions()
		a := Ask{
			ID: len(p.Asks) + 1, At: Duration(g.upTo(int64(p.Safety)) / 1000 * 1000), Kind: kind,
			Topic: t.Name, Partition: int32(g.pick(int64(t.Partitions))),
		}
		a.Version = []int16{r.First, int16(g.between(int64(r.First), int64(r.Last))), r.Last}[g.pick(3)]
		if g.chance(1, 4) {
			a.Broker = int(g.between(1, int64(p.Brokers)))
		}
		p.Asks = append(p.Asks, a)
	}
}

// askFamilies are kinds that mean something together.
var askFamilies = [][]AskKind{
	nil, nil, nil,
	{"OffsetCommit/simple", "OffsetCommit/simple", "OffsetFetch/simple", "OffsetFetch/simple", "OffsetFetch/simple", "OffsetDelete/simple", "DeleteGroups/simple"},
	{"AlterConfigs/harmless", "IncrementalAlterConfigs/harmless", "IncrementalAlterConfigs/harmless", "DescribeConfigs/any"},
	{"JoinGroup/odd", "OffsetDelete/odd", "DeleteGroups/odd", "DescribeGroups/any", "LeaveGroup/odd", "Heartbeat/odd", "SyncGroup/odd", "OffsetCommit/odd", "OffsetFetch/odd"},
}
