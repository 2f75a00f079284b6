// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.etcd.io/raft/v3"

	"chronik/kafka"
	"chronik/wal"
)

// If a replica's log can't be read back as it was written, the replica can't be trusted: neither its records, nor what
// it has promised to raft. It is closed at once, and the catalog is asked for a new number. With that number the broker
// drops the old replica and opens an empty one under a new raft id. Like any new replica, it copies everything from the
// others. So the catalog is asked only when the others are certain to have everything: what is wrong may be wrong on all
// brokers, and each of them would drop what the others lack.
//
// If there is no other replica, or only one, which can't replace this one alone, nothing can be repaired and nothing is dropped.
// Whatever can be read is served. The damaged entry is answered with an error, and so is the rest of its span, whose offsets
// depend on it.
//
// A read may also fail for a reason that passes, such as too many open files. That says nothing of the data, and it is tried again.

// readPause is how long no old entry of a group is read for clients after a read failed.
const readPause = time.Second

// carefulTime is how long the old entries of a group are read one by one, because of some that were read together one can't be read.
const carefulTime = time.Minute

// cantRead is called when a read of a group's entries or checkpoints failed.
func (n *Node) cantRead(g *group, first uint64, err error) {
	switch {
	case errors.Is(err, wal.ErrUnreadable): // some of what was read together, perhaps of another group
		g.careful = max(g.careful, n.now.Add(carefulTime))
		g.kick()
	case errors.Is(err, wal.ErrReadFailed):
		if n.now >= g.readAgain {
			n.event(Event{Kind: EventReadFailed, Group: g.id, N: int64(first), Text: err.Error()})
		}
		g.readAgain = n.now.Add(readPause)
	default:
		n.damaged(g, first, err)
	}
}

// damaged is called when entries of a group can't be read back.
func (n *Node) damaged(g *group, first uint64, err error) {
	if d, ok := errors.AsType[*wal.Damage](err); ok {
		first = d.Index
	}
	if g.closed || slices.Contains(g.unreadable, first) {
		return
	}
	n.event(Event{Kind: EventReplicaDamaged, Group: g.id, Term: g.term, N: int64(first), Text: err.Error()})
	switch {
	case g.id == 0:
		n.endFor(EndDamaged, err) // the broker as a whole has to come back as a new one
	case g.few():
		g.careful = Never // what was read together with it may be well
		g.unreadable = append(g.unreadable, first)
	default:
		if to := g.successor(); g.role == raft.StateLeader && to != raft.None { // otherwise the others notice after an election timeout
			g.haveLead(to)
		}
		if leader := brokerOf(g.lead); leader != n.self && n.peer(leader) != nil {
			n.receiveLeads(leader, []lead{{g.id, g.term}})
		}
		g.close()
		g.closedAt = n.now
	}
}

// upTo returns the end of a read of old entries from one on: the next one while they are read one by one.
func (g *group) upTo(from, end uint64) uint64 {
	if g.node.now < g.careful {
		return from + 1
	}
	return end
}

// few reports whether the replica can't be replaced: there are no others, or only one, which isn't a majority.
func (g *group) few() bool { return len(g.conf.GetVoters()) <= 2 }

// replaceDamaged asks the catalog for a new number for a closed replica, once the leader has said, after long enough to have
// noticed the end of others, that a majority is in sync without this one.
func (g *group) replaceDamaged() {
	n, p := g.node, g.node.catalog.byGroup[g.id]
	if p == nil || g.asked || p.heard.at < g.closedAt.Add(closedLong*n.electionTimeout()) {
		return
	}
	others := len(p.heard.brokers)
	if slices.Contains(p.heard.brokers, n.self) {
		others--
	}
	if r, ok := p.replica(n.self); ok && r.id() == g.self && others >= majority(len(g.conf.GetVoters())) {
		g.asked = true
		n.commands.submit(command{Replace: &replaceReplica{g.id, r}}, func(res commandResult) { g.asked = res.err == nil })
	}
}

// closedLong is for how many election timeouts a damaged replica waits. A leader without a majority steps down in one, and a
// follower that isn't heard leaves the ISR after three.
const closedLong = 4

// openDamaged stands in for a replica that couldn't be opened, until it is replaced.
func (n *Node) openDamaged(g *group, err error) {
	n.event(Event{Kind: EventReplicaDamaged, Group: g.id, Text: err.Error()})
	g.closed, g.closedAt = true, n.now
}

// isDamage distinguishes damage of one group's data from errors that end the broker or the attempt.
func isDamage(err error) bool { return errors.Is(err, wal.ErrCorrupt) }

// errUnreadable is answered for records that no replica can read any more.
var errUnreadable = kafka.Errorf(kerr.KafkaStorageError, "the records can't be read back from the only replica; restore it from a backup, or delete the records")

// errReadFailed is answered while reads of the disk fail.
var errReadFailed = kafka.Errorf(kerr.KafkaStorageError, "the disk can't be read right now; see the broker's log, and try again")

// scrubber slowly reads old data in the background, so that rot is found while there are other replicas to repair it
// from.
type scrubber struct {
	at     Time   // when to go on
	active uint64 // the operation under way, 0 if none
}

// scrubPause lies between two rounds over the log.
const scrubPause = time.Minute

func (n *Node) scrub() {
	s := &n.scrubber
	if s.active != 0 || n.now < s.at || n.cfg.ScrubBytesPerSecond < 0 {
		return
	}
	op, ok := n.log.ScrubOp()
	if !ok {
		s.at = n.now.Add(scrubPause)
		return
	}
	s.active = op.ID
	s.at = n.now.Add(time.Duration(int64(time.Second) * op.N / n.cfg.ScrubBytesPerSecond))
	n.out.Ops = append(n.out.Ops, op)
}

// scrubbed takes what a scrub read.
func (n *Node) scrubbed(res wal.Result) {
	n.scrubber.active = 0
	damages, err := n.log.Scrubbed(res)
	if err != nil {
		n.event(Event{Kind: EventLogDamaged, Text: err.Error()})
	}
	n.repair(damages)
}

// repair acts on what a scrub, or the log itself when it moved old records, found damaged.
func (n *Node) repair(damages []*wal.Damage) {
	for _, d := range damages {
		if g := n.group(d.Group); g != nil {
			n.damaged(g, d.Index, d)
		}
	}
}
