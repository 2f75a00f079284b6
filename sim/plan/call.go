// SPDX-License-Identifier: Apache-2.0

package plan

// Kinds of Call.
const (
	CallProduce = "produce" // one batch of Records values of Size bytes, with Acks
	CallFetch   = "fetch"   // a long poll from where this client is in the partition
	CallLatest  = "latest"  // ListOffsets: the end of the partition, linearizable
	CallCreate  = "create"  // CreateTopics
	CallDelete  = "delete"  // DeleteTopics
	CallTrim    = "trim"    // DeleteRecords below Offset

	CallMove      = "move"      // AlterPartitionReassignments of the partition to Brokers; none: end a move that is under way
	CallElect     = "elect"     // ElectLeaders: the first replica of the partition shall lead
	CallGrow      = "grow"      // CreatePartitions: so many as Offset
	CallConfigure = "configure" // IncrementalAlterConfigs: one that changes nothing here gets Offset as its value

	CallRemove = "remove" // UnregisterBroker of Brokers[0], as soon as it has no replica any more; the topic doesn't matter
)

// Call is one call of a client.
type Call struct {
	ID        int      `json:"id"` // from 1, unique: names the values that it produces
	At        Duration `json:"at"`
	Client    int      `json:"client"`
	Kind      string   `json:"kind"`
	Topic     string   `json:"topic"`
	Partition int32    `json:"partition"`
	Records   int      `json:"records,omitempty"`
	Size      int      `json:"size,omitempty"`
	Acks      int16    `json:"acks,omitempty"`   // produce: -1, 0 or 1
	Offset    int64    `json:"offset,omitempty"` // grow, configure; trim; -1: all that is committed
	Brokers   []int    `json:"brokers,omitempty"`
}
