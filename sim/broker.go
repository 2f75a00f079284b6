// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"

	"chronik/node"
	"chronik/sim/plan"
	"chronik/wal"
)

// broker is one simulated machine: a disk that outlives everything, and a node while it is up.
type broker struct {
	number      int // Kafka's broker id
	disk        *disk
	diskNumber  uint32                    // counts its disks, from 1 for a founder's first one; 0: it has not joined yet
	met         [plan.MaxBrokers + 1]bool // who was in the cluster when this disk was made
	removed     uint32                    // the newest of its disks that was seen to be removed from the cluster; 0: none
	leaving     bool                      // an operator had it removed from the cluster
	away        bool                      // and took it away
	node        *node.Node                // nil while it is down
	incarnation uint64                    // starts so far
	crashes     uint64
	raftDraws   uint64   // of this incarnation
	ops         []wal.Op // under way at the disk
	placing     bool     // after its last step, the catalog asked for replicas that it hadn't opened yet
	limbo       []wal.Op // writes cut short by crashes and errors since the last recovery
	opCount     uint64   // in its life
	taskCount   uint64
	copied      *folderCopy // of its folder, taken before; nil: none
	stray       bool        // it runs on an older copy of its folder
	newest      newest      // then
	lent        *disk       // a copy of its folder for a second process
	first       *broker     // of a second process: the one whose id it has
	empty       bool        // of a second process: it came with an empty folder
	diedAt      node.Time   // when its process last did
	alone       bool        // it was the only voter of some group
	newer       bool        // it is started with the newer of two releases, see rollout.go
	runs        node.Levels // that its process supports
	steps       uint64
	budget      int                      // of a step
	pieceBytes  int                      // of a state, in the log
	moveBytes   int                      // that the log moves at once
	dials       [plan.MaxBrokers + 1]int // at whose machine it looks for each broker; 0: nobody's
	mended      bool                     // its list of members was wrong, and isn't any more
	kept        bool                     // it lists only itself, and the others joined it
	holds       bool                     // somebody may have got something from its cluster
	conns       []*conn                  // open ones

	in   node.Input // of the next step, reused
	idle []bool     // of its messages, see mailbox
	mail mailbox

	spent      spent
	cost       int64 // of all steps
	stirred    bool  // the last step had another cause than a clock
	unfinished bool  // and left work for the next one
	named      int   // names and parts that it counted, see counted.go

	bootedAt    node.Time
	busyUntil   node.Time // the last step takes that long
	pausedUntil node.Time
	wake        node.Time // the one pending wake, in virtual time
	stopBy      node.Time // a clean stop is under way and ends then at the latest; 0: it is not
	downAfter   node.Time // how long it stays down after that

	clock        plan.Clock
	unixOffsetMs int64 // from jumps

	failReads    int       // so many faults are on by which it can't read
	stalledUntil node.Time // the disk finishes nothing before
	slowness     int64     // the disk takes 1+slowness times as long
	diskFault    bool      // a write or sync was made to fail in this incarnation
	cutRate      int64     // of 1000 frames, in which connections of clients break
	bitsRate     int64     // of 1000 frames with a batch, in which a bit changes
	tornRate     int64     // of 1000 messages to it, that arrive damaged
	stepRate     int64     // its steps take so many times as long; 0: as long as they do
	stillMs      int64     // what its wall clock shows while it stands still, in ms
	still        int       // so many faults keep its wall clock still
	changedDisk  node.Time // when an operation that isn't a read was begun
	refusals     int       // beyond: how often it said that it can't go on
	silentUntil  node.Time // nothing passes between it and its clients before
	full         int       // so many faults fill its disk
	lastFile     string    // that was written, up to lastEnd
	lastEnd      int64
	frozen       bool // stays dead for the first part of the liveness phase
	refusing     int  // so many faults make it refuse connections
	dieAt        int  // the next recovery dies at this call; 0: it doesn't
}

// mailbox is what arrived and no step took yet. It holds mailCap messages of brokers; what comes on
// top is lost, as it is in a full socket buffer.
type mailbox struct {
	requests []node.Request
	hangups  []node.ConnID
	messages []node.Message
	idle     []bool // of messages: nothing but clocks caused them
	results  []wal.Result
	done     []node.TaskResult
	lost     []node.BrokerID
}

const mailCap = 4096

func (m *mailbox) message(in node.Message, idle bool) {
	m.messages, m.idle = append(m.messages, in), append(m.idle, idle)
}

func (m *mailbox) empty() bool {
	return len(m.requests) == 0 && len(m.hangups) == 0 && len(m.messages) == 0 && len(m.results) == 0 && len(m.done) == 0 && len(m.lost) == 0
}

func (m *mailbox) clear() {
	clear(m.requests)
	clear(m.messages)
	clear(m.results)
	clear(m.done)
	m.requests, m.hangups, m.messages, m.results = m.requests[:0], m.hangups[:0], m.messages[:0], m.results[:0]
	m.lost, m.done, m.idle = m.lost[:0], m.done[:0], m.idle[:0]
}

// take moves at most limit items from a queue to the end of in.
func take[T any](in, queue []T, limit int) ([]T, []T) {
	n := min(limit, len(queue))
	in = append(in, queue[:n]...)
	rest := copy(queue, queue[n:])
	clear(queue[rest:])
	return in, queue[:rest]
}

// fill moves what is in the mailbox into the next step's input, at most limit items of each sort.
// A hangup comes in a later step than the requests of its connection.
func (b *broker) fill(limit int) *node.Input {
	in, m := &b.in, &b.mail
	clear(in.Requests) // what was in the last step may be large
	clear(in.Messages)
	clear(in.Results)
	clear(in.Done)
	in.Hangups = in.Hangups[:0]
	if len(m.requests) == 0 {
		in.Hangups, m.hangups = take(in.Hangups, m.hangups, len(m.hangups))
	}
	in.Requests, m.requests = take(in.Requests[:0], m.requests, limit)
	in.Messages, m.messages = take(in.Messages[:0], m.messages, limit)
	b.idle, m.idle = take(b.idle[:0], m.idle, limit)
	in.Results, m.results = take(in.Results[:0], m.results, limit)
	in.Done, m.done = take(in.Done[:0], m.done, limit)
	in.Lost, m.lost = take(in.Lost[:0], m.lost, len(m.lost))
	return in
}

// isStirred says that a step has another cause than a clock: something that came, or what an earlier step left.
func (b *broker) isStirred(in *node.Input) bool {
	return len(in.Requests)+len(in.Hangups)+len(in.Results)+len(in.Done)+len(in.Lost) > 0 || slices.Contains(b.idle, false) ||
		b.unfinished && b.stirred
}

// nextStep returns when the broker takes its next step; node.Never while it is down.
func (b *broker) nextStep(now node.Time) node.Time {
	if b.node == nil {
		return node.Never
	}
	t := b.wake
	if !b.mail.empty() {
		t = now
	}
	if t == node.Never {
		return t
	}
	return max(t, b.busyUntil, b.pausedUntil, now)
}

// Each start of a process sees a monotonic clock with an origin of its own.
const clockOrigin = node.Time(1e15)

// local is what the broker's monotonic clock shows at virtual time t.
func (b *broker) local(t node.Time) node.Time {
	d := t - b.bootedAt
	return clockOrigin*node.Time(b.incarnation) + d + d*node.Time(b.clock.DriftPPM)/1_000_000
}

// virtual returns the first virtual time at which the broker's monotonic clock shows at least l.
func (b *broker) virtual(l node.Time) node.Time {
	if l == node.Never {
		return l
	}
	d := l - clockOrigin*node.Time(b.incarnation)
	t := b.bootedAt + d*1_000_000/node.Time(1_000_000+b.clock.DriftPPM) - 2 // local rounds
	for b.local(t) < l {
		t++
	}
	return t
}

// Virtual time 0 is this wall clock time, in ms.
const unixEpochMs = 1_700_000_000_000

func (b *broker) unixMs(t node.Time) int64 {
	if b.still > 0 {
		return b.stillMs
	}
	return unixEpochMs + int64(t)/1e6 + b.clock.OffsetMs + b.unixOffsetMs
}
