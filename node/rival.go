// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"fmt"
	"time"

	"chronik/wal"
)

// Two processes may have the id of one broker: a copy of its data folder is started elsewhere, or an empty one joins
// while the broker lives. The one that is known stays for as long as it is heard of. Whoever hears from it takes nothing
// from the other one, whatever that has, and tells it to end once it is certain that the known one lives on: it
// has answered a question that was asked long after the other one came. To be heard is not enough, since messages of a broker that
// died may arrive for seconds. Where it is silent the other one is taken in, and from its registration on the catalog's order
// decides: the process that registered before ends.

// rivalPatience is how long a second process is neither taken in nor told to end, in election timeouts. It is as long as a
// broker that is silent is taken to live.
const rivalPatience = 3

// keepsOut reports whether a process of a broker must wait, because the one that is known lives. Its connection says
// more than its silence only for a process that goes on with what it had, which is likely to be its next start.
func (n *Node) keepsOut(p *peer, s start) bool {
	b := n.catalog.broker(p.id)
	next := p.lost && s.incarnation == p.start.incarnation && !n.isOldRival(p, s)
	if p.startHeard == 0 || b != nil && b.Removed || next {
		return false
	}
	return n.now.Sub(p.startHeard) < n.rivalTime()
}

// isOldRival reports whether a process spoke long before the known one's connection broke. Its next start may be heard just
// before that; a copy that ran beside it isn't its next start, and a late message of it must not take its place.
func (n *Node) isOldRival(p *peer, s start) bool {
	return s.sameProcess(p.rival) && n.now.Sub(p.rivalSince) > n.electionTimeout()
}

func (n *Node) rivalTime() time.Duration { return rivalPatience * n.electionTimeout() }

// hearKnown notes that the known process of a broker spoke, and how far its log is durable. A message that knows of less
// than was known already is late, and says nothing of whether the process lives.
func (n *Node) hearKnown(p *peer, durable wal.LSN) {
	if durable >= p.start.durable {
		p.start.durable, p.startHeard = durable, n.now
	}
}

// meetRival notes a second process. If it speaks for long, while the known one does, too, that one has to show that it lives. Then the
// second one is told to end.
func (n *Node) meetRival(p *peer, s start, via uint64) {
	if !s.sameProcess(p.rival) || n.now.Sub(p.rivalHeard) > n.rivalTime() { // the next start of a broker is another one
		p.rival, p.rivalSince = s, n.now
	}
	p.rivalHeard = n.now
	if p.startHeard.Sub(p.rivalSince) <= n.rivalTime() || p.refused != 0 && n.now.Sub(p.refused) < n.electionTimeout()/2 {
		return
	}
	p.refused = n.now
	if p.lived < p.rivalSince || p.livedNonce != p.start.nonce {
		p.envelope = binary.LittleEndian.AppendUint64(append(p.begin(), itemLives), n.ownTime())
		return
	}
	if via != 0 {
		n.answer(p, via, s.appendAfter(p.start, itemTaken, nil))
	}
	p.envelope = s.appendAfter(p.start, itemTaken, p.begin())
	n.event(Event{Kind: EventSecondProcess, N: int64(p.id), Text: fmt.Sprintf("broker %d runs %s, and another process speaks under its id, %s", p.id, n.whereIs(p.id), rivalKind(p.start, s))})
}

// answerLives shows another broker that this process lives: it repeats when it was asked, as told by the other one's own clock.
func (n *Node) answerLives(from BrokerID, asked uint64) {
	if p := n.peer(from); p != nil {
		p.envelope = binary.LittleEndian.AppendUint64(append(p.begin(), itemLived), asked)
	}
}

// receiveLived notes that a process lived when it was asked, or later.
func (n *Node) receiveLived(from BrokerID, asked uint64) {
	if p, at := n.peer(from), Time(asked-n.process.nonce); p != nil && at <= n.now {
		p.lived, p.livedNonce = at, p.start.nonce
	}
}

// hearOfRival tells the operator of the known process that there is another one.
func (n *Node) hearOfRival(from BrokerID, known, other start) {
	if known.sameProcess(n.process) && other.nonce != n.process.nonce {
		n.event(Event{Kind: EventSecondProcess, N: int64(n.self), Text: fmt.Sprintf("broker %d is told by another process that it is this broker, too, %s: find and stop it", from, rivalKind(known, other))})
	}
}

func rivalKind(known, other start) string {
	if known.incarnation == other.incarnation {
		return "with a copy of its data folder"
	}
	return "with another data folder"
}

func (n *Node) whereIs(id BrokerID) string {
	if b := n.catalog.broker(id); b != nil && b.Peer != "" {
		return "at " + b.Peer
	}
	return "elsewhere"
}

// receiveTaken ends this process if another one, which is known and runs, has its id.
func (n *Node) receiveTaken(from BrokerID, r *reader) {
	r.byte()
	known := r.start()
	r.byte()
	told := r.start()
	switch {
	case r.bad || n.member(from) == nil:
	case !told.sameProcess(n.process):
		n.hearOfRival(from, known, told)
	case known.incarnation == n.process.incarnation:
		n.endFor(EndOutdated, fmt.Errorf("the broker stopped, because its data folder is a copy of that of broker %d, which runs: broker %d hears from it. "+
			"Two processes must never share an id, and this one has changed nothing. If that one is to go on, remove this folder. If this one is to take its place, stop that one, "+
			"empty this folder and run: broker start -join -config FILE", n.self, from))
	default:
		n.endFor(EndTaken, fmt.Errorf("the broker stopped, because broker %d runs with another data folder: broker %d hears from it. Two processes must never share an id, and this one has changed nothing. "+
			"If that one is to go on, give this one another broker_id, and empty its data folder. If this one is to take its place, stop that one first, then start this one again", n.self, from))
	}
}

// isTaken reports whether a registration is of a second process or of one with an older copy of the folder, as far as the leader of group 0 knows: it may have
// come through a broker that doesn't hear from the first one.
func (n *Node) isTaken(cmd *command) bool {
	b, p := n.catalog.broker(cmd.Origin), n.peer(cmd.Origin)
	switch {
	case b == nil || b.Removed:
		return false
	case p == nil: // this broker itself
		return cmd.Register.Start != n.process.nonce
	case cmd.Register.Start == p.start.nonce || cmd.Register.Start == 0 || p.start.incarnation > b.Incarnation:
		return false
	case cmd.Register.Incarnation == p.start.incarnation && wal.LSN(cmd.Register.Began) < p.start.durable:
		return true // of an older copy of the folder: if it were registered, the newest one would have to end
	}
	return n.keepsOut(p, start{incarnation: cmd.Register.Incarnation})
}

// overtaken ends this process when the catalog's order says that another one has taken its place.
func (n *Node) overtaken(b *brokerMeta) {
	switch {
	case b.Incarnation > n.cfg.Incarnation:
		n.superseded(b.Incarnation, " at "+b.Peer)
	case b.Incarnation == n.cfg.Incarnation && b.Start != 0 && b.Start != n.process.nonce && b.Session >= n.commands.session:
		n.endFor(EndOutdated, fmt.Errorf("the broker stopped, because another process has registered with a copy of its data folder as broker %d, at %s, and has taken its place. "+
			"Two processes must never share an id: find the other one. If that is to go on, remove this data folder; if this one is to go on, "+
			"stop that one, empty this folder and run: broker start -join -config FILE", n.self, b.Peer))
	}
}

// shutOut takes the word of brokers that they will never listen to this process, which hasn't come to serve: the cluster
// knows this broker with another data folder. One that serves knows better.
func (n *Node) shutOut(refusals []Refusal) {
	for _, r := range refusals {
		if !n.ready {
			n.endFor(EndTaken, fmt.Errorf("the broker stopped, because broker %d shuts it out: %s", r.By, r.Text))
		}
	}
}

// Hears reports whether another broker's known process has spoken to this one just now.
func (n *Node) Hears(id BrokerID) bool {
	p := n.peer(id)
	return p != nil && p.startHeard != 0 && !p.lost && n.now.Sub(p.startHeard) < n.electionTimeout()
}
