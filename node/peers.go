// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/wal"
)

// peer is another broker as this one sees it.
type peer struct {
	id       BrokerID
	pieces   [][]byte // envelope that is sent to it at the end of this step, except for the last piece
	envelope []byte   // the last piece
	leads    []lead   // leaderships to tell it about at the end of this step
	heard    Time     // when anything last came from it; until then, when this node opened
	sent     Time     // when anything was last sent to it
	met      Time     // when this broker last told it its own address
	fullTill Time     // its disk is full, unless it doesn't say so again
	lost     bool     // its connection broke, and nothing came from it since
	lostAt   Time     // when it last did
	spoke    bool     // something came from it since this node opened
	// quietTicks is for how many ticks nothing came from it, silent that they were an election timeout.
	quietTicks int
	silent     bool
	speaker    start // the process that was last heard, since
	speakerAt  Time
	doubting   bool  // quiet groups with a replica on it are being woken, and
	doubtAgain bool  // must be once more
	start      start // its newest process, and how far that got
	outside    bool  // start was met from outside: by a broker that joins, or before it was known to be in the cluster
	// toldDurable is how far it was told that this broker's log is durable: any of them may be asked to judge a copy.
	toldDurable wal.LSN
	refused     Time // when it last was told that it is outdated; 0: never
	startHeard  Time // when that process last spoke; 0: not since this node opened
	// lived is when a process was asked whether it lives, the last time that it said so, and livedNonce is which one.
	lived      Time
	livedNonce uint64
	// rival is another process that spoke under its id while this one lived, since when, and when it last did.
	rival                  start
	rivalSince, rivalHeard Time
	node                   *Node
	telling                bool // it was removed and doesn't know, see removal
	told                   Time // when it last was told so
	founds                 bool // it founds the same cluster, see founding.go
	waits                  byte // it said that it waits itself, see waiting.go, at
	waitsAt                Time
	waitTold               Time // when it last was told that this broker waits

	clockOffset int64 // of its wall clock (clock.go), as of
	clockAt     Time  // when it last told; 0: never
	clockTold   Time  // when it was last told of this broker's

	timeOffset uint64 // of its monotonic clock (request_end.go), as of
	timeAt     Time   // when it told that; 0: never
	timeNonce  uint64 // and the process of which that is

	levels     levelsTold // that it said last
	misfitTold Time       // when the operator was last told that they don't fit; 0: never
}

// addPeer makes a broker a peer.
func (n *Node) addPeer(id BrokerID) {
	if id == n.self || n.peer(id) != nil {
		return
	}
	i := sort.Search(len(n.peers), func(i int) bool { return n.peers[i].id > id })
	n.peers = slices.Insert(n.peers, i, &peer{node: n, id: id, heard: n.now, sent: n.now, lostAt: -1})
}

// begin returns the peer's envelope, started if it is empty.
func (p *peer) begin() []byte {
	if len(p.pieces) == 0 && len(p.envelope) == 0 {
		p.envelope = append(make([]byte, 0, usualEnvelope), envelopeVersion)
		p.toldDurable = p.node.log.Durable()
		p.envelope = p.node.appendLevel(p.node.process.append(p.envelope, p.toldDurable))
	}
	return p.envelope
}

// usualEnvelope is room for one raft message without entries, or two.
const usualEnvelope = 256

// referAbove is the size from which on data becomes a piece of its own. Copying less is cheaper than one piece more.
const referAbove = 4 << 10

// refer adds data to the envelope without copying it. Nobody may change the data any more.
func (p *peer) refer(data []byte) {
	n := len(p.envelope)
	p.pieces = append(p.pieces, p.envelope[:n:n], data)
	p.envelope = p.envelope[n:] // the rest of the same array
}

// peer returns a peer by id, nil for this broker itself and for unknown ids.
func (n *Node) peer(id BrokerID) *peer {
	i := sort.Search(len(n.peers), func(i int) bool { return n.peers[i].id >= id })
	if i < len(n.peers) && n.peers[i].id == id {
		return n.peers[i]
	}
	return nil
}

// post hands the envelopes of this step to the world.
func (n *Node) post() {
	for _, p := range n.peers {
		if len(p.leads) > 0 {
			p.envelope = appendLeads(p.begin(), p.leads)
			p.leads = p.leads[:0]
		}
	}
	n.tellInSync()
	for _, p := range n.peers {
		if len(p.envelope)+len(p.pieces) > 0 && (p.clockTold == 0 || n.now.Sub(p.clockTold) >= n.electionTimeout()/2) {
			p.envelope = binary.AppendVarint(append(p.envelope, itemClock), n.wallMs)
			p.envelope = binary.LittleEndian.AppendUint64(append(p.envelope, itemTime), n.ownTime())
			p.clockTold = n.now
		}
		if len(p.envelope) > 0 {
			p.pieces = append(p.pieces, p.envelope)
		}
		if len(p.pieces) == 0 {
			continue
		}
		n.out.Messages = append(n.out.Messages, Envelope{To: p.id, Pieces: p.pieces})
		p.pieces, p.envelope = nil, nil // the world keeps them
		p.sent = n.now
	}
}

func (n *Node) heard(id BrokerID) {
	if p := n.peer(id); p != nil {
		p.heard, p.lost, p.spoke, p.quietTicks, p.silent = n.now, false, true, 0, false
	}
}

// alive reports whether a broker was heard from within three election timeouts, and its connection
// didn't break since.
func (n *Node) alive(id BrokerID) bool {
	p := n.peer(id)
	return p == nil && id == n.self || p != nil && !p.lost && n.now.Sub(p.heard) < 3*n.electionTimeout()
}

// lose takes the hint that a broker may be dead. Its followers don't wait for their election timeouts. They forget
// that it leads, so that they can grant each other pre-votes at once, and the first of the remaining replicas
// campaigns. If the broker is alive after all, that costs it its leadership and nothing else.
func (n *Node) lose(id BrokerID) {
	p := n.peer(id)
	if p == nil {
		return
	}
	p.lost, p.lostAt = true, n.now
	var led []*group
	for _, g := range n.groups {
		if brokerOf(g.lead) == id {
			led = append(led, g)
		}
	}
	n.out.Work.Parts += len(n.groups) / 16
	n.forEach(led, func(g *group) {
		if brokerOf(g.lead) == id {
			g.loseLeader(id)
		}
	}, nil)
	n.doubt(p)
}

func (n *Node) electionTimeout() time.Duration {
	return time.Duration(n.cfg.ElectionTicks) * n.cfg.TickInterval
}

// tellLead announces that this broker leads a group: when that begins, and then once per heartbeat. With that, brokers
// without a replica of the group can redirect clients. Replicas know their leader from raft.
func (g *group) tellLead() {
	n := g.node
	if !g.serving || !n.turn(g, n.cfg.HeartbeatTicks) && n.now.Sub(g.servingSince) > 2*n.cfg.TickInterval {
		return
	}
	g.announce(nil)
}

// tellAlive sends a sign of life to brokers to which nothing was sent lately. It is the heartbeat of all quiet groups.
func (n *Node) tellAlive() {
	heartbeat := time.Duration(n.cfg.HeartbeatTicks) * n.cfg.TickInterval
	for _, p := range n.peers {
		if n.now.Sub(p.sent) >= heartbeat || p.toldDurable < n.log.Durable() && n.now.Sub(p.sent) >= 2*n.cfg.TickInterval {
			p.envelope = appendLeads(p.begin(), nil)
		}
		n.introduce(p)
	}
}

func (g *group) hasReplica(id BrokerID) bool {
	return slices.Contains(g.peers, id)
}

// receiveLeads notes the leaders of groups of which this broker has no replica.
func (n *Node) receiveLeads(from BrokerID, leads []lead) {
	for _, l := range leads {
		if p := n.catalog.partitionOf(l.group); p != nil && n.plausible(p, from, l.term, &p.hint) {
			p.hint = hint{from, l.term, n.now}
		}
	}
}

// receiveRaft steps a raft message. A message for a group that this broker doesn't have is dropped: either the group was
// deleted, or its creation hasn't been applied here yet, and then raft sends again.
func (n *Node) receiveRaft(from BrokerID, id GroupID, m *pb.Message) {
	g := n.group(id)
	switch {
	case g == nil || g.self != m.GetTo() || m.GetType() == pb.MsgSnap:
	case id == 0 && n.founding.open: // nothing counts before all agree on who they are
	case g.closed: // it has no raft any more that would know who leads
		if t := m.GetType(); t == pb.MsgApp || t == pb.MsgHeartbeat {
			n.receiveLeads(from, []lead{{id, m.GetTerm()}})
		}
	case brokerOf(m.GetFrom()) != from:
		n.event(Event{Kind: EventEnvelopeRefused, Group: id, N: int64(from), Text: fmt.Sprintf("it speaks as replica %x of another broker", m.GetFrom())})
	case m.GetType() == pb.MsgTimeoutNow && n.isLateHandOver(m):
	default:
		if wrong := g.checkMessage(m); wrong != "" {
			n.refuseMessage(m, id, wrong)
			return
		}
		if t := m.GetType(); id == 0 && (t == pb.MsgApp || t == pb.MsgHeartbeat) {
			n.removal.ledAt = n.now
		}
		if m.GetType() == pb.MsgApp {
			g.receiveAppend(m)
			return
		}
		g.step(m)
	}
}
