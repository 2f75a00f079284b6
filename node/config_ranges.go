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
func (c *Config) ranges() []configRange {
	span := func(name string, d, least, most time.Duration) configRange {
		return configRange{name: name, value: int64(d), least: int64(least), most: int64(most)}
	}
	count := func(name string, n, least, most int64) configRange {
		return configRange{name: name, value: n, least: least, most: most}
	}
	bytes := func(name string, n int64) configRange { return count(name, n, 1, mostBytes) }
	rate := func(name string, n int64) configRange {
		return configRange{name: name, value: n, least: 1, most: mostBytes, negative: true}
	}
	const year = 365 * 24 * time.Hour
	return []configRange{
		count("DefaultPartitions", int64(c.DefaultPartitions), 1, maxPartitions),
		count("DefaultReplicas", int64(c.DefaultReplicas), 1, math.MaxInt16),
		{name: "AutoCreateTopicsPerSecond", value: c.AutoCreateTopicsPerSecond, least: 1, most: 1_000_000, negative: true},
		count("MaxPartitionsPerBroker", int64(c.MaxPartitionsPerBroker), 1, mostCount),
		count("MaxMessageBytes", int64(c.MaxMessageBytes), 1, 1<<30),
		bytes("FetchMaxBytes", c.FetchMaxBytes),
		{name: "RetentionMs", value: c.RetentionMs, least: 1, most: 1000 * year.Milliseconds(), minusOne: true},
		{name: "RetentionBytes", value: c.RetentionBytes, least: 1, most: math.MaxInt64, minusOne: true},
		count("GroupPartitions", int64(c.GroupPartitions), 1, maxPartitions),
		span("GroupMinSession", c.GroupMinSession, time.Millisecond, year),
		span("GroupMaxSession", c.GroupMaxSession, time.Millisecond, year),
		span("GroupInitialDelay", c.GroupInitialDelay, 0, year),
		count("GroupMaxSize", int64(c.GroupMaxSize), 1, mostCount),
		count("MaxGroups", int64(c.MaxGroups), 1, mostCount),
		count("MaxGroupOffsets", int64(c.MaxGroupOffsets), 1, mostCount),
		bytes("GroupOffsetBytes", c.GroupOffsetBytes),
		count("OffsetMetadataBytes", int64(c.OffsetMetadataBytes), 1, 1<<20),
		span("ConsumerSession", c.ConsumerSession, time.Millisecond, year),
		span("ConsumerHeartbeat", c.ConsumerHeartbeat, time.Millisecond, year),
		span("OffsetsRetention", c.OffsetsRetention, time.Millisecond, math.MaxInt64),
		span("OffsetsCheckInterval", c.OffsetsCheckInterval, time.Millisecond, year),
		span("ProducerExpiration", c.ProducerExpiration, time.Millisecond, math.MaxInt64),
		span("ClockPatience", c.ClockPatience, time.Millisecond, year),
		{name: "TimestampBeforeMaxMs", value: c.TimestampBeforeMaxMs, least: 1, most: math.MaxInt64},
		{name: "TimestampAfterMaxMs", value: c.TimestampAfterMaxMs, least: 1, most: math.MaxInt64},
		span("TickInterval", c.TickInterval, time.Millisecond, time.Minute),
		count("ElectionTicks", int64(c.ElectionTicks), 2, 1000),
		count("HeartbeatTicks", int64(c.HeartbeatTicks), 1, 1000),
		count("StepBudget", int64(c.StepBudget), 1, mostCount),
		count("MaxRequests", int64(c.MaxRequests), 1, mostCount),
		count("MaxWaits", int64(c.MaxWaits), 1, mostCount),
		bytes("ParkedBytes", c.ParkedBytes),
		count("MaxCommands", int64(c.MaxCommands), 1, mostCount),
		bytes("CommandBytes", c.CommandBytes),
		count("LargeElements", int64(c.LargeElements), 1, mostCount),
		bytes("LargeBytes", c.LargeBytes),
		count("HotEntries", int64(c.HotEntries), 1, mostCount),
		bytes("HotBytes", c.HotBytes),
		bytes("CacheBytes", c.CacheBytes),
		bytes("ColdReadBytes", c.ColdReadBytes),
		rate("CatchUpBytesPerSecond", c.CatchUpBytesPerSecond),
		count("ReplicationBytes", int64(min(c.ReplicationBytes, math.MaxInt64)), 1, mostBytes),
		count("ReplicationWindowBytes", int64(min(c.ReplicationWindowBytes, math.MaxInt64)), 1, mostBytes),
		count("ReplicationWindow", int64(c.ReplicationWindow), 1, 1<<20),
		count("CheckpointEntries", int64(c.CheckpointEntries), 1, mostCount),
		bytes("CheckpointBytes", c.CheckpointBytes),
		bytes("CompactionBytes", c.CompactionBytes),
		rate("CompactionBytesPerSecond", c.CompactionBytesPerSecond),
		rate("ScrubBytesPerSecond", c.ScrubBytesPerSecond),
		count("RetainEntries", int64(c.RetainEntries), 1, mostCount),
		bytes("RetainBytes", c.RetainBytes),
	}
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
