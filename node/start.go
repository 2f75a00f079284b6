// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"fmt"
	"slices"

	"chronik/wal"
)

// A data folder that was restored from a copy looks intact, but it has forgotten votes and entries that its broker has
// answered for. With its vote, a replica that lacks acknowledged records could become leader. The folder alone doesn't
// show it. So each broker says in every envelope which of its processes speaks, where its log ended when that process
// opened it, and how far its log is durable now. The others remember this. They accept nothing from a process whose log
// ended before what an earlier one had durable, nor from a second process of the same folder. They keep it in memory; the
// start itself is in the catalog.

// start is one process of a broker.
type start struct {
	incarnation uint32
	epoch       uint32  // how often its log was opened
	nonce       uint64  // two processes may open copies of one log
	began       wal.LSN // where its log ended before it opened it
	durable     wal.LSN // what is known to be on its disk, at least
}

func (s start) append(b []byte, durable wal.LSN) []byte {
	b = binary.AppendUvarint(append(b, itemStart), uint64(s.incarnation))
	b = binary.AppendUvarint(b, uint64(s.epoch))
	b = binary.LittleEndian.AppendUint64(b, s.nonce)
	b = binary.AppendUvarint(b, uint64(s.began))
	return binary.AppendUvarint(b, uint64(durable))
}

func (r *reader) start() start {
	s := start{incarnation: uint32(r.uvarint()), epoch: uint32(r.uvarint())}
	s.nonce = r.uint64()
	s.began, s.durable = wal.LSN(r.uvarint()), wal.LSN(r.uvarint())
	return s
}

func (s start) sameProcess(o start) bool {
	return s.incarnation == o.incarnation && s.epoch == o.epoch && s.nonce == o.nonce && s.began == o.began
}

// after reports whether s has all that o is known to have had, or begins with an empty disk. A process that has opened
// its log has written to it, so no two that opened copies of one log are after each other. The number of starts says
// nothing: that of an old copy grows with each attempt, and one that was believed must not keep the newest folder out.
func (s start) after(o start) bool {
	if s.incarnation != o.incarnation {
		return s.incarnation > o.incarnation
	}
	return s.began >= o.durable
}

// Seen returns how far this broker knows an incarnation of another one's log to be durable.
func (n *Node) Seen(id BrokerID, incarnation uint32) wal.LSN {
	if p := n.peer(id); p != nil && p.start.incarnation == incarnation {
		return p.start.durable
	}
	return 0
}

// registered is the process of a broker that the catalog knows. Those of earlier releases didn't say where they began.
func (b *brokerMeta) registered() start {
	if b == nil {
		return start{}
	}
	if b.Start == 0 {
		return start{incarnation: b.Incarnation}
	}
	return start{b.Incarnation, uint32(b.Session), b.Start, wal.LSN(b.Began), wal.LSN(b.Began)}
}

// stranger reports whether a broker has no part in this cluster: it can't have answered for anything. A founder of another
// list, which was told the wrong one, comes back with an emptied folder.
func (n *Node) stranger(id BrokerID) bool {
	list := n.founding.list
	return len(list) > 0 && !slices.Contains(list, id) && n.catalog.broker(id) == nil
}

// admitProcess reads which process of a broker an envelope is from, and reports whether to take anything from it.
func (n *Node) admitProcess(m Message, r *reader) bool {
	if len(r.b) == 0 || r.b[0] != itemStart {
		return true
	}
	r.byte()
	from := m.From
	s, p := r.start(), n.peer(from)
	if r.bad || p == nil {
		return !r.bad
	}
	if n.founding.open || n.joining() || n.stranger(from) {
		p.meet(s)
		p.outside = !n.founding.open
		n.speaks(p, s)
		return true
	}
	known := n.catalog.broker(from).registered()
	unregistered := known.incarnation > 0 && s.incarnation == known.incarnation && p.start.incarnation > known.incarnation
	outside := p.outside && !p.start.sameProcess(known)  // met before it was known who is in the cluster
	if known.after(p.start) || unregistered || outside { // what isn't registered has no say against what is
		p.start = known
	}
	p.outside = false
	switch {
	case s.sameProcess(p.start):
		n.hearKnown(p, s.durable)
		n.speaks(p, s)
		return true
	case !s.after(p.start):
		n.refuseProcess(p, s, m.Via)
		return false
	case n.keepsOut(p, s):
		n.meetRival(p, s, m.Via)
		return false
	}
	p.start, p.startHeard = s, n.now
	p.rival = start{}
	n.speaks(p, s)
	return true
}

// refuseProcess tells an outdated process that it is, if it isn't just a late message of one that is gone. It may run
// elsewhere than the broker is known to be.
func (n *Node) refuseProcess(p *peer, s start, via uint64) {
	if p.refused != 0 && n.now.Sub(p.refused) < n.electionTimeout()/2 {
		return
	}
	p.refused = n.now
	if via != 0 {
		n.answer(p, via, s.appendAfter(p.start, itemOutdated, nil))
	}
	p.envelope = s.appendAfter(p.start, itemOutdated, p.begin())
}

// appendAfter appends an item that is about this process and another one, which is known.
func (s start) appendAfter(known start, item byte, b []byte) []byte {
	return s.append(known.append(append(b, item), known.durable), s.durable)
}

// answer sends an item back the way by which a message came.
func (n *Node) answer(p *peer, via uint64, item []byte) {
	data := n.appendLevel(n.process.append([]byte{envelopeVersion}, n.log.Durable()))
	n.out.Messages = append(n.out.Messages, Envelope{To: p.id, Back: via, Pieces: [][]byte{append(data, item...)}})
}

// receiveOutdated ends this process if another broker knows a later one of it.
func (n *Node) receiveOutdated(from BrokerID, r *reader) {
	r.byte()
	known := r.start()
	r.byte()
	if told := r.start(); r.bad || !told.sameProcess(n.process) || n.member(from) == nil {
		return
	}
	if known.incarnation > n.process.incarnation {
		if n.joining() {
			n.endFor(EndIncarnation, &IncarnationError{n.self, n.process.incarnation, known.incarnation, from})
		} else if !n.catalogLed() { // the catalog's group has nothing to say any more to the replica here
			n.superseded(known.incarnation, fmt.Sprintf(", says broker %d", from))
		}
		return
	}
	if known.began >= n.process.began && n.log.Durable() >= known.began && n.ready {
		n.endFor(EndOutdated, fmt.Errorf("the broker stopped, because another process has started with a copy of its data folder as broker %d, says broker %d. "+
			"Two processes must never share an id: find the other one. If that is to go on, remove this data folder; if this one is to go on, "+
			"stop that one, empty this folder and run: broker start -join -config FILE", n.self, from))
		return
	}
	n.endFor(EndOutdated, fmt.Errorf("the broker stopped, because its data folder is an older copy of itself: its log ended at position %d when it was opened for the %d. time, "+
		"but broker %d has seen it at position %d, opened for the %d. time. Votes and records that it has answered for are missing. "+
		"Put back the newest folder if there is one; otherwise empty this one and run: broker start -join -config FILE. It then copies all from the others",
		n.process.began, n.process.epoch, from, known.durable, known.epoch))
}
