// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"fmt"
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"
)

// An envelope carries everything that one broker says to another in one step:
//
//	version u8, then items until the end:
//	  itemRaft    group, from, to, type, term, logTerm, index, commit, rejectHint (uvarints),
//	              reject u8, context (length uvarint, bytes), number of entries (uvarint), entries
//	              entry: term, index, type (uvarints), data (length uvarint, bytes)
//	  itemCommand length uvarint, bytes: a catalog command for the leader of group 0
//	  itemLeads   number uvarint, then group and term (uvarints): groups that the sender leads
//	  itemFull    u8: 1 if the sender's disk is full (said at every tick), 0 if there is room again
//	  itemInSync  number uvarint, then group and term (uvarints), position (varint), number of brokers and their ids
//	              (uvarints): who is in sync with the sender, which leads the group (insync.go)
//	  itemClock   varint: what the sender's wall clock shows, in ms
//	  itemRemoved incarnation uvarint: the receiver, if it is that incarnation of its broker, was removed (removal.go)
//	  itemWaits   u8: the sender isn't registered yet, and what it waits for (waiting.go)
//	  itemFounders u8: 1 if the sender's cluster is founded; number uvarint, then the founders' ids (founding.go)
//	  itemElect   group uvarint, end u64: its preferred replica should lead, until then (api_elect_leaders.go)
//	  itemTime    u64: what the sender's monotonic clock shows (request_end.go)
//	  itemStart   incarnation, epoch (uvarints), nonce u64, began, durable (uvarints): which process of the sender this
//	              is; the first item of each envelope (start.go)
//	  itemOutdated   itemStart of the newest process that is known, and of an outdated one: the receiver, if it is the latter, must end
//	itemLevel   feature level that the sender knows, and the oldest and the newest that it supports (uvarints); right after itemStart, and
//	            not there if all are 1 (level.go)
//	itemTrial   length uvarint, bytes: see level_trial.go
//	  itemTaken   itemStart of the process that is known and runs, and of another one: the receiver, if it is the latter,
//	              must end (rival.go)
//	  itemLives   u64: does the receiver live? What the sender's monotonic clock shows (rival.go)
//	  itemLived   u64: the answer to an itemLives, the same number
//	  itemMembers length uvarint, JSON: brokers, for one that may not know them (cluster.go)
//	  itemSnapshot, itemPieceRequest, itemPiece: see snapshot.go
//	  itemMarker  coordinator's group, group, producer id, epoch, the coordinator's leader epoch, number of the decision
//	              (uvarints), commit u8: the end of a transaction, for a group that the receiver leads (transactions_markers.go)
//	  itemMarked  coordinator's group, group, number (uvarints), error code (varint): the answer to an itemMarker
//	  itemJoin    number uvarint, transactional id (length uvarint, bytes), producer id, epoch, group (uvarints), add u8: does
//	              a group take part in a transaction (txn_verify.go)
//	  itemJoined  number uvarint, error code (varint): the answer to an itemJoin
//
// From and to are raft ids. A message to a replica that this broker doesn't have, or no longer has, is dropped, even if
// the broker has another replica of the same group.
//
// Entries have a framing of our own, because protobuf costs nine times as much to decode, and so that the data can stay
// where it arrived.
const (
	envelopeVersion = 1

	itemRaft    = 1
	itemCommand = 2
	itemLeads   = 3
	itemFull    = 9
	itemInSync  = 10
	itemClock   = 11
	itemRemoved = 12
	itemWaits   = 13

	itemFounders = 14
	itemStart    = 15
	itemOutdated = 16
	itemTaken    = 17
	itemElect    = 18
	itemTime     = 19

	itemSnapshot     = 4
	itemPieceRequest = 5
	itemPiece        = 6

	itemMembers = 8

	itemMarker = 20
	itemMarked = 21
	itemJoin   = 22
	itemJoined = 23

	itemLives = 24
	itemLived = 25

	itemLevel = 26

	// Items from here on begin with their length, so that whoever doesn't know one, or may not take it, passes over it.
	firstSized = 27

	itemTrial = 27
)

func (p *peer) addRaft(g GroupID, m *pb.Message) {
	b := append(slices.Grow(p.begin(), raftBytes(m)), itemRaft)
	b = binary.AppendUvarint(b, uint64(g))
	b = binary.AppendUvarint(b, m.GetFrom())
	b = binary.AppendUvarint(b, m.GetTo())
	b = binary.AppendUvarint(b, uint64(m.GetType()))
	b = binary.AppendUvarint(b, m.GetTerm())
	b = binary.AppendUvarint(b, m.GetLogTerm())
	b = binary.AppendUvarint(b, m.GetIndex())
	b = binary.AppendUvarint(b, m.GetCommit())
	b = binary.AppendUvarint(b, m.GetRejectHint())
	reject := byte(0)
	if m.GetReject() {
		reject = 1
	}
	b = append(b, reject)
	b = appendBytes(b, m.GetContext())
	b = binary.AppendUvarint(b, uint64(len(m.Entries)))
	for _, e := range m.Entries {
		b = binary.AppendUvarint(b, e.GetTerm())
		b = binary.AppendUvarint(b, e.GetIndex())
		b = binary.AppendUvarint(b, uint64(e.GetType()))
		b = binary.AppendUvarint(b, uint64(len(e.GetData())))
		if len(e.GetData()) < referAbove {
			b = append(b, e.GetData()...)
			continue
		}
		p.envelope = b
		p.refer(e.GetData())
		b = p.envelope
	}
	p.envelope = b
}

// raftBytes is at least what addRaft copies.
func raftBytes(m *pb.Message) int {
	n := 11*binary.MaxVarintLen64 + len(m.GetContext())
	for _, e := range m.Entries {
		if n += 4 * binary.MaxVarintLen64; len(e.GetData()) < referAbove {
			n += len(e.GetData())
		}
	}
	return n
}

func appendCommand(b, command []byte) []byte {
	return appendBytes(append(b, itemCommand), command)
}

// lead says that the sender leads a group in a term.
type lead struct {
	group GroupID
	term  uint64
}

func appendLeads(b []byte, leads []lead) []byte {
	b = append(b, itemLeads)
	b = binary.AppendUvarint(b, uint64(len(leads)))
	for _, l := range leads {
		b = binary.AppendUvarint(b, uint64(l.group))
		b = binary.AppendUvarint(b, l.term)
	}
	return b
}

// raftMessage is one message with room for what its fields point at: one allocation.
type raftMessage struct {
	pb.Message
	typ                                       pb.MessageType
	to, from, term, logTerm, index, committed uint64
	hint                                      uint64
	rejected                                  bool
}

// raftEntry is the same for an entry.
type raftEntry struct {
	pb.Entry
	term, index uint64
	typ         pb.EntryType
}

// reader decodes envelopes and checkpoints.
type reader struct {
	scan
	narrow bool // of an envelope only what is about the catalog is taken, see level.go
}

func newReader(b []byte) *reader { return &reader{scan: scan{b: b}} }

// message decodes one raft message after its item byte.
func (r *reader) message() (GroupID, *pb.Message) {
	g := GroupID(r.uvarint())
	m := &raftMessage{from: r.uvarint(), to: r.uvarint()}
	m.typ = pb.MessageType(r.uvarint())
	m.term, m.logTerm, m.index = r.uvarint(), r.uvarint(), r.uvarint()
	m.committed, m.hint = r.uvarint(), r.uvarint()
	m.rejected = r.byte() != 0
	m.Context = r.bytes()
	m.Message.Type, m.To, m.From = &m.typ, &m.to, &m.from
	m.Term, m.LogTerm, m.Index = &m.term, &m.logTerm, &m.index
	m.Commit, m.RejectHint, m.Reject = &m.committed, &m.hint, &m.rejected
	m.Entries = r.entries()
	return g, &m.Message
}

func (r *reader) entries() []*pb.Entry {
	n := r.count(4)
	if n == 0 {
		return nil
	}
	ents, slab := make([]*pb.Entry, n), make([]raftEntry, n)
	for i := range slab {
		e := &slab[i]
		e.term, e.index, e.typ = r.uvarint(), r.uvarint(), pb.EntryType(r.uvarint())
		e.Data = r.bytes()
		e.Entry.Term, e.Index, e.Type = &e.term, &e.index, &e.typ
		ents[i] = &e.Entry
	}
	return ents
}

func (r *reader) leads() []lead {
	leads := make([]lead, r.count(2))
	for i := range leads {
		leads[i] = lead{GroupID(r.uvarint()), r.uvarint()}
	}
	return leads
}

// receive decodes an envelope and acts on each item. Items before a malformed one count, since each stands by itself.
func (n *Node) receive(m Message) {
	r := newReader(m.Data)
	if v := r.byte(); v != envelopeVersion {
		n.refuseEnvelope(m, fmt.Sprintf("version %d, this broker speaks %d; run the same release on all brokers", v, envelopeVersion))
		return
	}
	if !n.admitProcess(m, r) {
		return
	}
	n.meetLevel(m.From, r)
	n.heard(m.From)
	for len(r.b) > 0 {
		if item := r.byte(); !r.skip(item) {
			n.receiveItem(m.From, item, r)
		}
	}
	if r.bad {
		n.refuseEnvelope(m, "it ends too early or holds something unknown")
	}
}

// receiveItem takes one item of an envelope.
func (n *Node) receiveItem(from BrokerID, item byte, r *reader) {
	switch item {
	case itemRaft:
		if g, msg := r.message(); !r.bad && !r.bars(g) {
			n.receiveRaft(from, g, msg)
		}
	case itemCommand:
		if command := r.bytes(); !r.bad {
			n.relayCommand(from, command)
		}
	case itemFull:
		if full := r.byte(); !r.bad {
			n.receiveFull(from, full != 0)
		}
	case itemLeads:
		if leads := r.leads(); !r.bad {
			n.receiveLeads(from, leads)
		}
	case itemInSync:
		if reports := r.inSync(); !r.bad {
			n.receiveInSync(from, reports)
		}
	case itemClock:
		if ms := r.varint(); !r.bad {
			n.receiveClock(from, ms)
		}
	case itemRemoved:
		if incarnation := r.uvarint(); !r.bad {
			n.receiveRemoved(from, incarnation)
		}
	case itemWaits:
		if what := r.byte(); !r.bad {
			n.receiveWaits(from, what)
		}
	case itemFounders:
		if founded, list := r.founders(); !r.bad {
			n.receiveFounders(from, founded, list)
		}
	case itemElect:
		if g, end := GroupID(r.uvarint()), r.uint64(); !r.bad && !n.isOver(end) {
			n.elect(g)
		}
	case itemTime:
		if told := r.uint64(); !r.bad {
			n.receiveTime(from, told)
		}
	case itemLives:
		if asked := r.uint64(); !r.bad {
			n.answerLives(from, asked)
		}
	case itemLived:
		if asked := r.uint64(); !r.bad {
			n.receiveLived(from, asked)
		}
	default:
		n.receiveOwnItem(from, item, r)
	}
}

// receiveOwnItem takes one of the items that are parsed by those who know what is in them.
func (n *Node) receiveOwnItem(from BrokerID, item byte, r *reader) {
	switch item {
	case itemOutdated:
		n.receiveOutdated(from, r)
	case itemTaken:
		n.receiveTaken(from, r)
	case itemMembers:
		n.receiveMembers(from, r)
	case itemSnapshot:
		n.receiveSnapshot(from, r)
	case itemPieceRequest:
		n.receivePieceRequest(from, r)
	case itemPiece:
		n.receivePiece(from, r)
	case itemMarker:
		n.receiveMarker(from, r)
	case itemMarked:
		n.receiveMarked(r)
	case itemJoin:
		n.receiveJoin(from, r)
	case itemJoined:
		n.receiveJoined(r)
	case itemTrial:
		n.receiveTrial(r)
	default:
		r.fail()
	}
}

func (n *Node) refuseEnvelope(m Message, why string) {
	n.event(Event{Kind: EventEnvelopeRefused, N: int64(m.From), Text: why})
}

func (n *Node) refuseMessage(m *pb.Message, g GroupID, why string) {
	n.event(Event{Kind: EventEnvelopeRefused, Group: g, N: int64(brokerOf(m.GetFrom())), Text: fmt.Sprintf("%v: %s", m.GetType(), why)})
}
