// SPDX-License-Identifier: Apache-2.0

package checker

// View is what one replica of a raft group believes after a step.
type View struct {
	Term          uint64
	Vote          int64 // broker, or any other name of a candidate; -1: none
	Leader        bool
	First         uint64 // first entry that is still in its log; Last+1 if there is none
	Last          uint64
	Commit        uint64
	Applied       uint64
	HighWatermark int64 // -1: the group has none
	LogStart      int64 // -1: the group has none
	// State is a hash of the whole state machine at Applied; 0: not given.
	State uint64
}

// Entry is what matters of a log entry: its term and a hash of its payload. Payloads are compared
// because two entries with the same index and term can differ when a vote or term was forgotten.
type Entry struct {
	Term uint64
	Hash uint64
}

// Cluster holds what has been observed of all replicas, and checks raft's invariants against it
// after every step. Each method returns the first violation, after which the Cluster is of no more
// use. A call costs what changed, not what there is.
type Cluster struct{}

// NewCluster returns a Cluster of which nothing has been observed.
func NewCluster() *Cluster { panic("not yet") }

// SetReplicas says which brokers vote in a group, from now on.
func (c *Cluster) SetReplicas(group uint64, brokers []int32) { panic("not yet") }

// Observe takes what a replica believes after a step. entry returns an entry of its log, or false
// if it isn't in memory; it is called during Observe only.
func (c *Cluster) Observe(broker int32, group uint64, v View, entry func(index uint64) (Entry, bool)) *Violation {
	panic("not yet")
}

// Durable says that, by the truth of the disk, an entry of a replica's log now survives a power
// loss. As in the log itself, an entry replaces what was at its index and everything after it.
func (c *Cluster) Durable(broker int32, group, index uint64, e Entry) *Violation { panic("not yet") }

// DurableVote says that a replica's term and vote (-1: none) now survive a power loss.
func (c *Cluster) DurableVote(broker int32, group, term uint64, vote int64) *Violation {
	panic("not yet")
}

// Restarted says that a broker stopped, by whatever cause; the next Observe of each of its groups
// is what it recovered.
func (c *Cluster) Restarted(broker int32) { panic("not yet") }

// LostDisk says that a broker stopped and will start with an empty disk, as new replicas.
func (c *Cluster) LostDisk(broker int32) { panic("not yet") }

// RemoveReplica says that a broker has no replica of the group any more.
func (c *Cluster) RemoveReplica(broker int32, group uint64) { panic("not yet") }

// Evaluation says how often a check had something to compare.
type Evaluation struct {
	Check string `json:"check"`
	Count int64  `json:"count"`
}

// Evaluations lists all checks in a fixed order. One that was never evaluated in a whole campaign
// has proved nothing.
func (c *Cluster) Evaluations() []Evaluation { panic("not yet") }
