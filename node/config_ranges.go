// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"math"
	"time"
)

// configRange is what a number of the configuration can be.
type configRange struct {
	name               string
	value, least, most int64
	negative           bool // all negative numbers mean: no bound, or not at all
	minusOne           bool // -1 does
}

// Numbers above these can only be mistakes, and sums with them stay numbers.
const (
	mostCount = 1 << 30
	mostBytes = 1 << 50
)

// ranges lists the numbers of the configuration. A node works with all of them, however badly.
func (c *Config) ranges() []configRange { return append(c.clientRanges(), c.ownRanges()...) }

const year = 365 * 24 * time.Hour

// clientRanges lists the numbers that are about topics, groups and what clients may do.
func (c *Config) clientRanges() []configRange {
	return []configRange{
		{name: "LogLevel", value: int64(c.LogLevel), least: int64(LogDebug), most: int64(LogError)},
		countRange("DefaultPartitions", int64(c.DefaultPartitions), 1, maxPartitions),
		countRange("DefaultReplicas", int64(c.DefaultReplicas), 1, math.MaxInt16),
		{name: "AutoCreateTopicsPerSecond", value: c.AutoCreateTopicsPerSecond, least: 1, most: 1_000_000, negative: true},
		countRange("MaxPartitionsPerBroker", int64(c.MaxPartitionsPerBroker), 1, mostCount),
		countRange("MaxMessageBytes", int64(c.MaxMessageBytes), 1, 1<<30),
		sizeRange("FetchMaxBytes", c.FetchMaxBytes),
		sizeRange("AnswerBytes", c.AnswerBytes),
		{name: "RetentionMs", value: c.RetentionMs, least: 1, most: 1000 * year.Milliseconds(), minusOne: true},
		{name: "RetentionBytes", value: c.RetentionBytes, least: 1, most: math.MaxInt64, minusOne: true},
		countRange("GroupPartitions", int64(c.GroupPartitions), 1, maxPartitions),
		timeRange("GroupMinSession", c.GroupMinSession, time.Millisecond, year),
		timeRange("GroupMaxSession", c.GroupMaxSession, time.Millisecond, year),
		timeRange("GroupInitialDelay", c.GroupInitialDelay, 0, year),
		countRange("GroupMaxSize", int64(c.GroupMaxSize), 1, mostCount),
		countRange("MaxGroups", int64(c.MaxGroups), 1, mostCount),
		countRange("MaxGroupOffsets", int64(c.MaxGroupOffsets), 1, mostCount),
		sizeRange("GroupOffsetBytes", c.GroupOffsetBytes),
		countRange("OffsetMetadataBytes", int64(c.OffsetMetadataBytes), 1, 1<<20),
		timeRange("ConsumerSession", c.ConsumerSession, time.Millisecond, year),
		timeRange("ConsumerHeartbeat", c.ConsumerHeartbeat, time.Millisecond, year),
		timeRange("OffsetsRetention", c.OffsetsRetention, time.Millisecond, math.MaxInt64),
		timeRange("OffsetsCheckInterval", c.OffsetsCheckInterval, time.Millisecond, year),
		countRange("TransactionPartitions", int64(c.TransactionPartitions), 1, maxPartitions),
		countRange("MaxTransactionalIDs", int64(c.MaxTransactionalIDs), 1, mostCount),
		timeRange("TransactionMaxTimeout", c.TransactionMaxTimeout, time.Millisecond, 24*24*time.Hour),
		timeRange("TransactionalIDExpiration", c.TransactionalIDExpiration, time.Millisecond, math.MaxInt64),
		timeRange("ProducerExpiration", c.ProducerExpiration, time.Millisecond, math.MaxInt64),
		timeRange("SessionLifetime", c.SessionLifetime, 0, year),
		timeRange("ClockPatience", c.ClockPatience, time.Millisecond, year),
		{name: "TimestampBeforeMaxMs", value: c.TimestampBeforeMaxMs, least: 1, most: math.MaxInt64},
		{name: "TimestampAfterMaxMs", value: c.TimestampAfterMaxMs, least: 1, most: math.MaxInt64},
	}
}

// ownRanges lists those that are about the node's own work.
func (c *Config) ownRanges() []configRange {
	return []configRange{
		timeRange("TickInterval", c.TickInterval, time.Millisecond, time.Minute),
		countRange("ElectionTicks", int64(c.ElectionTicks), 2, 1000),
		countRange("HeartbeatTicks", int64(c.HeartbeatTicks), 1, 1000),
		countRange("StepBudget", int64(c.StepBudget), 1, mostCount),
		countRange("MaxRequests", int64(c.MaxRequests), 1, mostCount),
		countRange("MaxWaits", int64(c.MaxWaits), 1, mostCount),
		sizeRange("ParkedBytes", c.ParkedBytes),
		countRange("MaxCommands", int64(c.MaxCommands), 1, mostCount),
		sizeRange("CommandBytes", c.CommandBytes),
		countRange("LargeElements", int64(c.LargeElements), 1, mostCount),
		sizeRange("LargeBytes", c.LargeBytes),
		countRange("HotEntries", int64(c.HotEntries), 1, mostCount),
		sizeRange("HotBytes", c.HotBytes),
		sizeRange("CacheBytes", c.CacheBytes),
		sizeRange("UnderwayBytes", c.UnderwayBytes),
		sizeRange("ColdReadBytes", c.ColdReadBytes),
		rateRange("CatchUpBytesPerSecond", c.CatchUpBytesPerSecond),
		countRange("ReplicationBytes", int64(min(c.ReplicationBytes, math.MaxInt64)), 1, mostBytes),
		countRange("ReplicationWindowBytes", int64(min(c.ReplicationWindowBytes, math.MaxInt64)), 1, mostBytes),
		countRange("ReplicationWindow", int64(c.ReplicationWindow), 1, 1<<20),
		countRange("CheckpointEntries", int64(c.CheckpointEntries), 1, mostCount),
		sizeRange("CheckpointBytes", c.CheckpointBytes),
		sizeRange("CompactionBytes", c.CompactionBytes),
		rateRange("CompactionBytesPerSecond", c.CompactionBytesPerSecond),
		rateRange("ScrubBytesPerSecond", c.ScrubBytesPerSecond),
		countRange("RetainEntries", int64(c.RetainEntries), 1, mostCount),
		sizeRange("RetainBytes", c.RetainBytes),
	}
}

func timeRange(name string, d, least, most time.Duration) configRange {
	return configRange{name: name, value: int64(d), least: int64(least), most: int64(most)}
}

func countRange(name string, n, least, most int64) configRange {
	return configRange{name: name, value: n, least: least, most: most}
}

func sizeRange(name string, n int64) configRange { return countRange(name, n, 1, mostBytes) }

// rateRange is of bytes in a second; a negative one means no limit.
func rateRange(name string, n int64) configRange {
	return configRange{name: name, value: n, least: 1, most: mostBytes, negative: true}
}

// checkRanges finds numbers that a node can't work with.
func (c *Config) checkRanges() error {
	for _, r := range c.ranges() {
		special := r.negative && r.value < 0 || r.minusOne && r.value == -1
		if !special && (r.value < r.least || r.value > r.most) {
			return fmt.Errorf("%s of a broker is %d; use %d to %d", r.name, r.value, r.least, r.most)
		}
	}
	return nil
}
