// SPDX-License-Identifier: Apache-2.0

package node

import (
	"time"

	"chronik/node/step"
	"chronik/wal"
)

// This file is everything that passes between a node and its world. Any question about behaviour
// is answered by printing one Input and the Output that followed (describe.go).

// Input is everything that happened since the last Step. The node may keep the byte slices in it
// (they become log entries), so the world must not touch them again; the slices that hold them
// belong to the world.
type Input struct {
	Now      Time
	UnixMs   int64        // wall clock; it may jump, and isn't believed by itself (clock.go)
	Requests []Request    // in arrival order per connection
	Hangups  []ConnID     // these connections are gone; no replies to them any more
	Messages []Message    // from other brokers
	Lost     []BrokerID   // the connection from these brokers broke: they may be dead
	Refused  []Refusal    // by other brokers, which will never listen to this process
	Results  []wal.Result // of Output.Ops, in any order
	Done     []TaskResult // of Output.Tasks, in any order
	Unread   int64        // bytes of answers that clients haven't taken yet
	Stop     bool         // hand leadership over and finish; watch Output.Stopped
}

// Request is one Kafka frame, without its four length bytes.
type Request struct {
	Conn  ConnID
	Host  string // from where, as Kafka spells it: a slash and the address
	Frame []byte
	// Listener is by which port the connection came in; "": the one without a name. See listeners.go.
	Listener string
	// Principal is who the client is by what the transport has proven, such as a certificate: "User:CN=app"; "": nothing is.
	Principal string
	// LoggedIn says that the world has had the client prove that it is Principal, beside the listener, which then asks for no login.
	LoggedIn bool
}

// Reply answers exactly one Request; per connection replies come in request order.
type Reply struct {
	Conn  ConnID
	Frame [][]byte // in pieces that follow each other, none of which may be changed; without the length bytes; empty for a request without an answer (acks=0)
	Close bool     // hang up after the frame was sent; an Event says why
	// LoggedIn says that the client has just logged in; before, the world keeps its frames and its time short.
	LoggedIn bool
	// Mute is for how long the client shall be let to ask for nothing more. The node begins none of its requests in that
	// time anyway; the world needn't read them.
	Mute time.Duration

	Key, Version int16 // of the request; a frame alone doesn't say what it answers
}

// Message is an envelope that came from another broker: bytes only, so that two simulated brokers
// can't share memory. It may be lost, delayed, duplicated and reordered; never changed.
type Message struct {
	From BrokerID
	Via  uint64 // names the way it came, see Envelope.Back; 0: there is none back
	Data []byte
}

// Refusal says that another broker shuts this process out, and why, for the operator.
type Refusal struct {
	By   BrokerID
	Text string
}

// Envelope is bytes for another broker, in pieces that follow each other: large log entries are pieces where
// they lie in memory, so that replicating them costs no copy.
type Envelope struct {
	To     BrokerID
	Back   uint64   // 0: to the broker's known address; otherwise the way back of the message with this Via
	Pieces [][]byte // none of which may be changed
}

// Output is everything that the node wants done. It is valid until the next Step; the byte slices
// in it are the world's to keep and must not be changed.
type Output struct {
	Replies  []Reply
	Messages []Envelope
	Ops      []wal.Op
	Tasks    []Task
	Events   []Event
	Changed  []GroupID        // groups whose state may have changed in this step, ascending: see Inspect
	Members  []Member         // all brokers that this one talks to, when that changed; otherwise nil
	Rates    *ConnectionRates // of new connections, when that changed; otherwise nil
	LogLevel *LogLevel        // of the broker's log, when somebody has set it; otherwise nil
	Wake     Time             // step again then, even if nothing happens
	Work     Work             // what this step handled
	Stopped  bool             // after Input.Stop: leadership is handed over and the log is flushed
	End      *End             // the node is at its end, say because a write failed: end the process, never retry; otherwise nil
}

// GroupID names a raft group. Group 0 is the catalog; partitions have ids that are never reused.
type GroupID = wal.GroupID

// Inputs and outputs consist of these types; the packages below know them too.
type (
	Time     = step.Time     // a number of nanoseconds on the world's monotonic clock
	ConnID   = step.ConnID   // a client's connection
	BrokerID = step.BrokerID // Kafka's broker id (node_id), at least 0 and at most 65535
)

// Never is later than any other time.
const Never = step.Never
