// SPDX-License-Identifier: Apache-2.0

package node

import (
	"time"

	"chronik/wal"
)

// This file is everything that passes between a node and its world. Any question about behaviour
// is answered by printing one Input and the Output that followed.

// Time is a number of nanoseconds on the world's monotonic clock. A node never reads a clock.
type Time int64

// Add returns the time d after t.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Sub returns how long t is after u.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Never is later than any other time.
const Never = Time(1<<63 - 1)

// ConnID names a client connection. A world never uses one twice in the life of a node.
type ConnID uint64

// BrokerID is Kafka's broker id (node_id), at least 0 and at most 65535.
type BrokerID int32

// Input is everything that happened since the last Step. The node may keep the byte slices in it
// (they become log entries), so the world must not touch them again; the slices that hold them
// belong to the world.
type Input struct {
	Now      Time
	UnixMs   int64        // wall clock, for record timestamps only; may jump
	Requests []Request    // in arrival order per connection
	Hangups  []ConnID     // these connections are gone; no replies to them any more
	Messages []Message    // from other brokers
	Results  []wal.Result // of Output.Ops, in any order
	Stop     bool         // hand leadership over and finish; watch Output.Stopped
}

// Request is one Kafka frame, without its four length bytes.
type Request struct {
	Conn  ConnID
	Frame []byte
}

// Reply answers exactly one Request; per connection replies come in request order.
type Reply struct {
	Conn  ConnID
	Frame []byte // without the length bytes; empty for a request without an answer (acks=0)
	Close bool   // hang up after the frame was sent; an Event says why
}

// Message is an envelope from one broker to another: bytes only, so that two simulated brokers
// can't share memory. It may be lost, delayed, duplicated and reordered; never changed.
type Message struct {
	From, To BrokerID
	Data     []byte
}

// Output is everything that the node wants done. It is valid until the next Step; the byte slices
// in it are the world's to keep and must not be changed.
type Output struct {
	Replies  []Reply
	Messages []Message
	Ops      []wal.Op
	Events   []Event
	Changed  []GroupID // groups whose state may have changed in this step, ascending: see Inspect
	Wake     Time      // step again then, even if nothing happens
	Stopped  bool      // after Input.Stop: leadership is handed over and the log is flushed
	Fatal    error     // the node is dead (failed write or sync): end the process, never retry
}

// EventKind names something worth counting or telling an operator. The simulator lists the kinds
// that no run has ever reached.
type EventKind uint8

const (
	EventInvalid          EventKind = iota
	EventBecameLeader               // Group, Term
	EventLostLeadership             // Group, Term
	EventNewTerm                    // Group, Term
	EventVoted                      // Group, Term, N = the broker voted for
	EventAppended                   // Group, Term, N = last index handed to the log by raft
	EventCommitted                  // Group, N = commit index
	EventTruncated                  // Group, N = first index that was replaced
	EventHeldMessage                // Group, Term: the hold rule kept a message back until the term is durable
	EventColdRead                   // Group, N = first index read from the log's files
	EventSegmentRolled              // N = sequence number of the new segment
	EventSegmentRecycled            // N = sequence number of the released segment
	EventTornTail                   // at Open; N = bytes cut
	EventRecovered                  // at Open; N = entries found
	EventTopicCreated               // Text = name
	EventTopicDeleted               // Text = name
	EventBrokerRegistered           // N = broker id
	EventDuplicateBatch             // Group, N = offset answered again: a retry met the producer's window
	EventSequenceRefused            // Group, N = producer id
	EventFetchParked                // Group
	EventRequestRefused             // Text = why; the connection is closed
	EventEnvelopeRefused            // N = broker that sent it, Text = why
	EventReady                      // this broker is registered in the catalog and serves
	EventLeadershipMoved            // Group, N = broker that takes over
	EventProposalLost               // Group, N = proposals whose fate is unknown because leadership ended
	eventKinds
)

// Event is something that happened inside a Step, for people and counters.
type Event struct {
	Kind  EventKind
	Group GroupID
	Term  uint64
	N     int64
	Text  string
}

// GroupID names a raft group. Group 0 is the catalog; partitions have ids that are never reused.
type GroupID = wal.GroupID
