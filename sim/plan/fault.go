// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"strconv"
)

// FaultKind names a fault of a plan.
type FaultKind string

// The kinds of fault. For is how long it lasts; the broker is Fault.Target.
const (
	FaultKill     FaultKind = "kill"           // kill -9, start again after For
	FaultPower    FaultKind = "power"          // power loss, start again after For
	FaultRecovery FaultKind = "recovery-crash" // power loss; the recovery after For dies at its Rate-th disk call
	FaultStop     FaultKind = "stop"           // a clean stop, as by SIGTERM; start again after For
	FaultPause    FaultKind = "pause"          // the process stands still, its clocks and peers go on

	FaultIsolate  FaultKind = "isolate"   // cut off from all brokers, both ways
	FaultSends    FaultKind = "mute"      // one way: what it sends to brokers is lost
	FaultReceives FaultKind = "deaf"      // one way: what brokers send to it is lost
	FaultLink     FaultKind = "link"      // cut off from Peer only
	FaultHalves   FaultKind = "halves"    // the brokers fall into two parts, Rate is the set of the first part's bits
	FaultClog     FaultKind = "clog"      // what it sends to brokers waits and comes as a burst
	FaultLoss     FaultKind = "loss"      // all links lose Rate of 1000 messages
	FaultDup      FaultKind = "duplicate" // all links deliver Rate of 1000 messages twice
	FaultTail     FaultKind = "tail"      // all links delay Rate of 1000 messages by up to seconds

	FaultPeers FaultKind = "peer-reset" // its connections to brokers break, though both ends live

	FaultReset   FaultKind = "reset"   // its client connections break
	FaultRefuse  FaultKind = "refuse"  // its client connections break and no new ones are taken
	FaultSilence FaultKind = "silence" // half-open: nothing passes between it and its clients for a while

	FaultSlowDisk  FaultKind = "slow-disk"   // its disk takes Rate times as long
	FaultStall     FaultKind = "stall"       // its disk finishes nothing
	FaultSyncError FaultKind = "sync-error"  // its next sync fails and drops the pages
	FaultWriteErr  FaultKind = "write-error" // its next write fails half done

	FaultFull FaultKind = "disk-full" // its disk is full
	FaultRot  FaultKind = "rot"       // a bit of a committed entry on its disk changes, if the other replicas can repair that

	FaultSector FaultKind = "bad-sector"  // a committed entry on its disk can't be read any more, if the other replicas can repair that
	FaultReads  FaultKind = "read-errors" // its running process can't read its log, for a reason that passes

	FaultClockJump FaultKind = "clock-jump" // its wall clock jumps by Rate ms, back if negative

	FaultCut    FaultKind = "cut"         // its client connections break in the middle of Rate of 1000 frames, either way
	FaultBits   FaultKind = "wrong-bits"  // a bit of a batch changes in Rate of 1000 frames between it and clients that have one
	FaultTorn   FaultKind = "wrong-sum"   // Rate of 1000 messages to it arrive damaged: they are lost, and the connection breaks
	FaultNarrow FaultKind = "narrow"      // its links carry Rate bytes in a millisecond
	FaultRing   FaultKind = "ring"        // each broker reaches only its two neighbours
	FaultBridge FaultKind = "bridge"      // the brokers fall into two parts as in halves, and Peer alone reaches both
	FaultClogs  FaultKind = "clogs"       // as clog, but each link ends at a time of its own
	FaultSlow   FaultKind = "slow-steps"  // its steps take Rate times as long
	FaultFreeze FaultKind = "clock-stops" // its wall clock stands still, and leaps when that is over

	FaultStorm FaultKind = "retry-storm" // usual clients wait Rate ms for an answer and no longer, and ask again at once

	FaultPhantom FaultKind = "phantom-sync" // beyond only: its disk says that it synced and keeps nothing durable; after For the power fails

	FaultLostWrite FaultKind = "lost-write"        // beyond only: of one of its next Rate syncs a page doesn't reach the disk
	FaultMiswrite  FaultKind = "misdirected-write" // beyond only: of one of its next Rate syncs a page reaches another place, of any file
	FaultMisread   FaultKind = "misdirected-read"  // beyond only: its next Rate reads bring what is elsewhere in the file
	FaultStaleSize FaultKind = "stale-size"        // beyond only: its next Rate questions for the size of a file are answered with an earlier one

	FaultJoin     FaultKind = "join"           // it joins, if it isn't in the cluster, with an empty disk
	FaultOldCopy  FaultKind = "old-copy"       // after For it dies and comes back with the folder as it was before, if the others know better
	FaultSecond   FaultKind = "second-process" // after For another process starts with its id, if all hear from it: Rate 1: with an empty folder, else with a copy
	FaultLoseDisk FaultKind = "lose-disk"      // it dies and comes back after For with an empty disk, if the others hold everything
)

// FaultKinds lists the kinds in the order in which they are reported.
var FaultKinds = []FaultKind{
	FaultKill, FaultPower, FaultRecovery, FaultPause,
	FaultIsolate, FaultSends, FaultReceives, FaultLink, FaultHalves, FaultClog, FaultLoss, FaultDup, FaultTail,
	FaultReset, FaultRefuse, FaultSilence,
	FaultSlowDisk, FaultStall, FaultSyncError, FaultWriteErr,
	FaultClockJump,
	FaultStop, FaultPeers,
	FaultJoin, FaultLoseDisk,
	FaultFull, FaultRot,
	FaultOldCopy,
	FaultSecond,
	FaultCut, FaultBits, FaultTorn, FaultNarrow, FaultRing, FaultBridge, FaultClogs, FaultSlow, FaultFreeze,
	FaultPhantom, FaultSector, FaultReads,
	FaultLostWrite, FaultMiswrite, FaultMisread, FaultStaleSize,
	FaultStorm,
}

// drawnKinds are those that worlds of all kinds may have. What comes after them is drawn by itself, last, so that the
// other draws of a seed stay what they were.
var drawnKinds = FaultKinds[:slices.Index(FaultKinds, FaultSecond)]

// FaultNames lists the kinds of fault in the order of Result.Faults.
func FaultNames() []string {
	names := make([]string, len(FaultKinds))
	for i, k := range FaultKinds {
		names[i] = string(k)
	}
	return names
}

func (k FaultKind) Index() int { return slices.Index(FaultKinds, k) }

func (k FaultKind) known() bool { return k.Index() >= 0 }

// Everywhere says that a kind is about all links and has no target.
func (k FaultKind) Everywhere() bool {
	return k == FaultLoss || k == FaultDup || k == FaultTail || k == FaultHalves || k == FaultRing || k == FaultBridge || k == FaultStorm
}

// Unsurvivable says that only worlds may have a kind in which acknowledged records may be lost.
func (k FaultKind) Unsurvivable() bool {
	switch k {
	case FaultPhantom, FaultLostWrite, FaultMiswrite, FaultMisread, FaultStaleSize:
		return true
	}
	return false
}

// Lasts says that something has to be undone when For is over; restarts are scheduled by crash.
func (k FaultKind) Lasts() bool {
	switch k {
	case FaultIsolate, FaultSends, FaultReceives, FaultLink, FaultHalves, FaultClog, FaultLoss, FaultDup,
		FaultTail, FaultRefuse, FaultSilence, FaultSlowDisk, FaultStall, FaultFull, FaultOldCopy, FaultSecond,
		FaultCut, FaultBits, FaultTorn, FaultNarrow, FaultRing, FaultBridge, FaultClogs, FaultSlow, FaultFreeze,
		FaultPhantom, FaultReads, FaultStorm:
		return true
	}
	return false
}

// Fault is one fault: at a time, or After an event.
type Fault struct {
	ID     int       `json:"id"` // from 1, unique: keys the fault's own decisions
	Kind   FaultKind `json:"kind"`
	At     Duration  `json:"at"` // since the start, or since the event that After waits for
	After  *Anchor   `json:"after,omitempty"`
	Target Target    `json:"target"`
	Peer   int       `json:"peer,omitempty"`  // link: the other broker; bridge: the one between
	Group  uint64    `json:"group,omitempty"` // leader, follower: of this raft group
	For    Duration  `json:"for"`             // downtime, or how long it lasts
	Rate   int64     `json:"rate,omitempty"`  // see the kind
	Times  int       `json:"times,omitempty"` // fire this often; each time waits for the anchor again
}

// Anchor is the Count-th event of a kind at a broker, or at any one if Broker is 0. The events are
// those of a node, by the name of node.EventKind, and some of the world, see worldEvents.
type Anchor struct {
	Event  string `json:"event"`
	Broker int    `json:"broker,omitempty"`
	Count  int    `json:"count"`
}

// Target says which broker a fault hits: its number, or one of the words below.
type Target string

// Targets that are decided when the fault fires.
const (
	TargetLeader   Target = "leader"   // of Fault.Group
	TargetFollower Target = "follower" // a replica of Fault.Group that is up and not the leader
	TargetHere     Target = "here"     // where the anchor's event happened
	TargetAll      Target = "all"      // every broker
)

// Broker returns the number that t spells.
func (t Target) Broker() (int, bool) {
	n, err := strconv.Atoi(string(t))
	return n, err == nil
}
