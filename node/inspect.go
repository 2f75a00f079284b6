// SPDX-License-Identifier: Apache-2.0

package node

// Role is a replica's place in its raft group.
type Role uint8

// The roles of raft.
const (
	Follower Role = iota
	PreCandidate
	Candidate
	Leader
)

// View is what one replica of a group believes, for invariants, metrics and tests. It costs
// nothing until somebody asks.
type View struct {
	Group         GroupID
	Term          uint64
	Vote          BrokerID // -1: none
	Lead          BrokerID // -1: unknown
	Role          Role
	FirstIndex    uint64 // first entry that is still in the log
	LastIndex     uint64 // last entry handed to the log, durable or not
	Commit        uint64
	Applied       uint64
	DurableTerm   uint64 // term that would survive a power loss now
	HotFirst      uint64 // entries from here on are in memory
	HighWatermark int64  // partitions: next offset to be given; -1 for group 0
	LogStart      int64  // partitions: first offset that can be read; -1 for group 0
	Topic         string // partitions
	Partition     int32
}
