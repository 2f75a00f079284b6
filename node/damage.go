// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
	"chronik/wal"
)

// If a replica's log can't be read back as it was written, the replica can't be trusted: neither its records, nor what
// it has promised to raft. It is closed at once, and the catalog is asked for a new number. With that number the broker
// drops the old replica and opens an empty one under a new raft id. Like any new replica, it copies everything from the
// others.
//
// If there is no other replica, nothing can be repaired and nothing is dropped. Whatever can be read is served. The
// damaged entry is answered with an error, and so is the rest of its span, whose offsets depend on it.

// damaged is called when entries of a group can't be read back.
func (n *Node) damaged(g *group, first uint64, err error) {
	if d := (*wal.Damage)(nil); errors.As(err, &d) {
		first = d.Index
	}
	if g.closed || slices.Contains(g.unreadable, first) {
		return
	}
	n.event(Event{Kind: EventReplicaDamaged, Group: g.id, Term: g.term, N: int64(first), Text: err.Error()})
	switch {
	case g.id == 0:
		n.endFor(EndDamaged, err) // the broker as a whole has to come back as a new one
	case g.alone():
		g.careful = true // what was read together with it may be well
		g.unreadable = append(g.unreadable, first)
	default:
		g.close()
		n.askReplacement(g)
	}
}

// askReplacement asks the catalog for a new number for a closed replica.
func (n *Node) askReplacement(g *group) {
	if p := n.catalog.byGroup[g.id]; p != nil {
		if r, ok := p.replica(n.self); ok && r.id() == g.self {
			n.commands.submit(command{Replace: &replaceReplica{g.id, r}}, func(commandResult) {})
		}
	}
}

// openDamaged stands in for a replica that couldn't be opened, until it is replaced.
func (n *Node) openDamaged(g *group, err error) {
	n.event(Event{Kind: EventReplicaDamaged, Group: g.id, Text: err.Error()})
	g.closed = true
}

// isDamage distinguishes damage of one group's data from errors that end the broker or the attempt.
func isDamage(err error) bool { return errors.Is(err, wal.ErrCorrupt) }

// errUnreadable is answered for records that no replica can read any more.
var errUnreadable = kafka.Errorf(kerr.KafkaStorageError, "the records can't be read back from the only replica; restore it from a backup, or delete the records")

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
