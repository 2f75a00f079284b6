// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"hash/crc32"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"chronik/node/step"
	"chronik/wal"
)

// A follower whose next entry is no longer in the leader's log gets a checkpoint (raft's snapshot,
// paper section 7). Raft's message only describes it: index, term, replicas, size and checksum. The
// follower fetches the bytes in pieces, asks again for a piece that doesn't come, and hands raft the
// message when it has all. So a large state doesn't block the link, and a lost message costs one piece.
//
// The follower gets the *oldest* checkpoint of the log. The entries after it, which hold the records, are all
// in the leader's log and follow.

// minPiece is the smallest size of a piece in bytes, unless it is the last one.
const minPiece = 256

// outgoing is a checkpoint that followers of a group fetch.
type outgoing struct {
	index, term uint64
	read        []byte // as it is in the log; nil while it is read
	conf        *pb.ConfState
	confIndex   uint64
	data        []byte // what followers fetch: the state with these replicas; nil while it is encoded
	used        Time   // when it last made progress: a follower asked for a piece, or a read or task began or ended
	offered     bool   // raft has told a follower of it
	done        bool   // no follower fetches it any more. Only the entries after it are still kept for a while, since they come next
}

// incoming is a checkpoint on its way to this replica.
type incoming struct {
	message *pb.Message // raft's, to be stepped when all is here
	from    BrokerID
	size    uint64
	sum     uint32
	data    []byte
	whole   bool // all is here, and is being decoded, or put into the log
	staged  bool // the latter
	asked   Time // when a piece was last asked for
	got     Time // when the last piece came
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// snapshot returns the oldest checkpoint of the group, after which its log begins. It returns nil while the
// checkpoint is being read or encoded, or too many others are under way; raft then asks again.
func (g *group) snapshot() *pb.Snapshot {
	kept := g.node.log.Checkpoints(g.id)
	step.Assert(len(kept) > 0, "a log that doesn't begin at entry 1 has a checkpoint: group %d", g.id)
	if o := g.outgoing; o.underWay() && o.index == kept[0].Index {
		if o.read == nil {
			return nil
		}
		if o.conf == nil || o.confIndex != g.confIndex {
			g.repack(o, false)
		}
		if o.data == nil {
			return nil
		}
		o.used, o.offered = g.node.now, true
		return &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: &o.index, Term: &o.term, ConfState: o.conf}}
	}
	if !g.outgoing.underWay() && g.node.snapshotsOut >= maxSnapshots {
		g.awaitPlace()
		return nil
	}
	r, err := g.node.log.ReadCheckpoint(g.id, kept[0].Index)
	if err != nil {
		g.node.log.RequestSync() // it isn't durable yet, and nobody else may be waiting for a sync
		return nil
	}
	g.setOutgoing(&outgoing{index: kept[0].Index, term: kept[0].Term, used: g.node.now})
	g.node.readOutgoing(g.id, kept[0].Index, r)
	return nil
}

// readOutgoing reads a checkpoint for followers, one record after the other.
func (n *Node) readOutgoing(id GroupID, index uint64, r *wal.CheckpointRead) {
	op, err := r.Next()
	if err != nil {
		n.tookOutgoing(id, index, nil, err)
		return
	}
	n.reads.start(op, func(res wal.Result) {
		more, err := r.Take(res)
		if err != nil || !more {
			n.tookOutgoing(id, index, r.Data(), err)
			return
		}
		if g := n.group(id); g != nil && g.outgoing != nil && g.outgoing.index == index {
			g.outgoing.used = n.now
		}
		n.readOutgoing(id, index, r)
	})
}

// setOutgoing and setIncoming count the checkpoints under way of all groups.
func (g *group) setOutgoing(o *outgoing) {
	g.node.snapshotsOut += btoi(o.underWay()) - btoi(g.outgoing.underWay())
	g.outgoing = o
	g.node.givePlaces()
}

// repack encodes what followers fetch: the state with the replicas of today, for raft refuses a snapshot that
// doesn't list the receiving replica (ADR 5). atOnce allows a small one to be encoded in this call. It must be
// false where raft is being called, since the end of it calls raft again.
func (g *group) repack(o *outgoing, atOnce bool) {
	o.conf, o.confIndex, o.data, o.used = g.conf, g.confIndex, nil, g.node.now
	conf := g.conf
	g.takeApart(atOnce, Task{Kind: TaskRepack, Batch: o.read, conf: conf, confIndex: g.confIndex}, func(res TaskResult) {
		switch {
		case g.outgoing != o || o.conf != conf:
		case res.Err != nil:
			g.node.damaged(g, o.index, res.Err)
		default:
			o.data, o.used = res.Batch, g.node.now
			g.kick()
		}
	})
}

// takeApart carries out a task on a checkpoint: at once if atOnce allows it and the checkpoint is small.
func (g *group) takeApart(atOnce bool, t Task, done func(TaskResult)) {
	if atOnce && g.node.savesAtOnce(foldedBytes*len(t.Batch)) {
		done(t.Do())
		return
	}
	g.node.start(t, func(res TaskResult) {
		if !g.closed {
			done(res)
		}
	})
}

// foldedBytes is about how many bytes of state one byte of a checkpoint decompresses to.
const foldedBytes = 4

// tookOutgoing takes what was read of a checkpoint for followers.
func (n *Node) tookOutgoing(id GroupID, index uint64, data []byte, err error) {
	g := n.group(id)
	wanted := g != nil && g.outgoing != nil && g.outgoing.index == index
	switch {
	case isMissing(err):
		if wanted {
			g.setOutgoing(nil)
		}
	case err != nil:
		if g != nil {
			n.cantRead(g, index, err)
		}
	case wanted:
		g.outgoing.read = data
		g.repack(g.outgoing, true)
	}
}

// tickSnapshots asks again for pieces that didn't come, and gives up checkpoints that make no progress.
func (g *group) tickSnapshots() {
	now, patience := g.node.now, g.node.snapshotPatience()
	if in := g.incoming; in != nil {
		switch {
		case in.whole:
		case now.Sub(in.got) > patience:
			g.setIncoming(nil) // the leader gives up as well, and raft begins again
		case now.Sub(in.asked) > g.node.electionTimeout()/2:
			g.askPiece()
		}
	}
	if o := g.outgoing; o != nil && now.Sub(o.used) > patience {
		g.setOutgoing(nil)
		g.failSnapshots()
		g.releaseNow()
	}
}

// failSnapshots tells raft that followers didn't fetch a checkpoint that they should have. Raft sends a follower
// nothing while it fetches one, and without this would never send it anything again.
func (g *group) failSnapshots() {
	if g.role != raft.StateLeader {
		return
	}
	var stuck []uint64
	g.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		if pr.State == tracker.StateSnapshot {
			stuck = append(stuck, id)
		}
	})
	for _, id := range stuck {
		g.rn.ReportSnapshot(id, raft.SnapshotFailure)
	}
	g.touch()
}

// sendSnapshot appends raft's message about a checkpoint to an envelope.
func (g *group) sendSnapshot(b []byte, m *pb.Message) []byte {
	o, meta := g.outgoing, m.GetSnapshot().GetMetadata()
	if o == nil || o.data == nil || o.index != meta.GetIndex() {
		return b // given up in the meantime
	}
	g.node.event(Event{Kind: EventSnapshotSent, Group: g.id, Term: g.term, N: int64(o.index)})
	b = append(b, itemSnapshot)
	b = binary.AppendUvarint(b, uint64(g.id))
	b = binary.AppendUvarint(b, m.GetFrom())
	b = binary.AppendUvarint(b, m.GetTo())
	b = binary.AppendUvarint(b, m.GetTerm())
	b = binary.AppendUvarint(b, o.index)
	b = binary.AppendUvarint(b, o.term)
	b = appendConf(b, o.conf)
	b = binary.AppendUvarint(b, uint64(len(o.data)))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(o.data, castagnoli))
}

// receiveSnapshot begins to fetch a checkpoint. If it is being fetched already, it goes on, in the newer term.
func (n *Node) receiveSnapshot(from BrokerID, r *reader) {
	id, leader, self := GroupID(r.uvarint()), r.uvarint(), r.uvarint()
	term, index, entryTerm := r.uvarint(), r.uvarint(), r.uvarint()
	conf, size, sum := r.conf(), r.uvarint(), r.uint32()
	g := n.group(id)
	if r.bad || r.bars(id) || id == 0 && n.founding.open || g == nil || g.closed || g.self != self || brokerOf(leader) != from || size > wal.MaxEntryBytes || term < g.term {
		return
	}
	if wrong := g.checkSnapshot(term, index, entryTerm, conf); wrong != "" {
		n.event(Event{Kind: EventEnvelopeRefused, Group: id, N: int64(from), Text: "checkpoint: " + wrong})
		return
	}
	message := &pb.Message{
		Type: pb.MsgSnap.Enum(), From: &leader, To: &self, Term: &term,
		Snapshot: &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: &index, Term: &entryTerm, ConfState: conf}},
	}
	if index <= g.commit { // raft answers with what it has; without an answer the leader would send nothing else
		g.step(message)
		return
	}
	if in := g.incoming; in != nil && in.from == from && in.sum == sum && in.message.GetSnapshot().GetMetadata().GetIndex() == index {
		in.message.Term = &term
		return
	}
	if n.log.Short() && !n.holdsCheckpoint(int(size), n.leaveBeside(int(size))) {
		return
	}
	g.unrest()
	in := &incoming{from: from, size: size, sum: sum, got: n.now, message: message}
	if g.incoming == nil && n.snapshotsIn >= maxSnapshots {
		if g.offer == nil {
			n.offered = append(n.offered, g)
		}
		g.offer = in
		return
	}
	g.setIncoming(in)
	g.askPiece()
}

// askPiece asks for the next bytes of the checkpoint under way.
func (g *group) askPiece() {
	in := g.incoming
	in.asked = g.node.now
	if p := g.node.peer(in.from); p != nil {
		b := append(p.begin(), itemPieceRequest)
		b = binary.AppendUvarint(b, uint64(g.id))
		b = binary.AppendUvarint(b, in.message.GetSnapshot().GetMetadata().GetIndex())
		p.envelope = binary.AppendUvarint(b, uint64(len(in.data)))
	}
}

// receivePieceRequest sends the next bytes of a checkpoint.
func (n *Node) receivePieceRequest(from BrokerID, r *reader) {
	id, index, offset := GroupID(r.uvarint()), r.uvarint(), r.uvarint()
	g, p := n.group(id), n.peer(from)
	if r.bad || r.bars(id) || g == nil || p == nil || g.outgoing == nil || g.outgoing.index != index || offset >= uint64(len(g.outgoing.data)) {
		return
	}
	g.outgoing.used = n.now
	piece := g.outgoing.data[offset:]
	piece = piece[:min(len(piece), max(minPiece, int(n.cfg.ReplicationBytes)))]
	b := append(p.begin(), itemPiece)
	b = binary.AppendUvarint(b, uint64(id))
	b = binary.AppendUvarint(b, index)
	b = binary.AppendUvarint(b, offset)
	p.envelope = appendBytes(b, piece)
	n.counters.snapshotSent += int64(len(piece))
}

// receivePiece takes bytes of a checkpoint. When it has all, the checkpoint is decoded into a machine that nobody
// uses. Raft hears of it only if that succeeds: once raft has accepted a checkpoint, there is no way back.
func (n *Node) receivePiece(from BrokerID, r *reader) {
	id, index, offset, piece := GroupID(r.uvarint()), r.uvarint(), r.uvarint(), r.bytes()
	g := n.group(id)
	if r.bad || r.bars(id) || g == nil || g.incoming == nil || g.incoming.from != from {
		return
	}
	in := g.incoming
	if in.whole || in.message.GetSnapshot().GetMetadata().GetIndex() != index || offset != uint64(len(in.data)) {
		return
	}
	in.data, in.got = append(in.data, piece...), n.now
	n.counters.snapshotGot += int64(len(piece))
	if uint64(len(in.data)) < in.size {
		g.askPiece()
		return
	}
	if uint64(len(in.data)) != in.size || crc32.Checksum(in.data, castagnoli) != in.sum {
		g.setIncoming(nil)
		n.event(Event{Kind: EventEnvelopeRefused, Group: id, N: int64(from), Text: "a checkpoint's checksum is wrong"})
		return
	}
	in.whole = true
	m := g.emptyMachine()
	g.takeApart(true, Task{Kind: TaskDecode, Batch: in.data, machine: m}, func(res TaskResult) { g.received(in, m, res) })
}

// emptyMachine returns a machine of the group's kind. It belongs to a scratch node, so that a task can fill it
// without touching this one.
func (g *group) emptyMachine() machine {
	aside := &Node{cfg: g.node.cfg, self: g.node.self, now: g.node.now}
	switch g.machine.(type) {
	case *partition:
		return &partition{node: aside, records: newRecords()}
	case *coordinator:
		return &coordinator{node: aside}
	case *txnCoordinator:
		return newTxnCoordinator(aside)
	case *catalog:
		return newCatalog(aside)
	default:
		panic(unknownMachine(g.machine))
	}
}

// decoded is a checkpoint of another broker after decoding.
type decoded struct {
	index     uint64
	sum       uint32
	confIndex uint64
	machine   machine
}

// received hands raft a checkpoint that could be decoded, a large one when its data is in the log. When the group
// advances, raft either accepts it (install) or ignores it, for example because entries have overtaken it.
func (g *group) received(in *incoming, m machine, res TaskResult) {
	if g.incoming != in {
		return
	}
	if res.Err != nil {
		g.setIncoming(nil)
		g.node.event(Event{Kind: EventEnvelopeRefused, Group: g.id, N: int64(in.from), Text: "checkpoint: " + res.Err.Error()})
		return
	}
	meta := in.message.GetSnapshot().GetMetadata()
	hand := func() {
		if in.staged = false; g.incoming != in {
			return
		}
		g.setIncoming(nil)
		g.decoded = append(g.decoded, decoded{meta.GetIndex(), in.sum, res.checkpoint.confIndex, m})
		in.message.Snapshot.Data = in.data
		g.step(in.message)
	}
	if !g.node.log.Large(len(in.data)) {
		hand()
		return
	}
	if g.staged != nil { // the log stages one of a group
		g.saving = nil
	}
	in.staged = true
	g.stage(wal.Checkpoint{Index: meta.GetIndex(), Term: meta.GetTerm(), Data: in.data}, hand)
}

// install replaces everything that the replica has by a checkpoint that raft has accepted. Raft's configuration
// is the snapshot's from now on; confIndex makes applyConf skip older changes among the entries that follow.
func (g *group) install(s *pb.Snapshot) {
	meta, sum := s.GetMetadata(), crc32.Checksum(s.GetData(), castagnoli)
	i := slices.IndexFunc(g.decoded, func(d decoded) bool { return d.index == meta.GetIndex() && d.sum == sum })
	step.Assert(i >= 0, "a checkpoint was taken apart when it came: group %d, entry %d", g.id, meta.GetIndex())
	d := g.decoded[i]
	g.decoded, g.saving = nil, nil
	g.node.log.Install(g.id, wal.Checkpoint{Index: meta.GetIndex(), Term: meta.GetTerm(), Data: s.GetData()})
	if g.staged != nil {
		g.unstage()
	}
	g.view.reset()
	g.setConf(meta.GetConfState())
	g.confIndex, g.out = d.confIndex, nil
	g.applied, g.checkpointed, g.stateBytes = meta.GetIndex(), meta.GetIndex(), int64(len(s.GetData()))
	g.commit = max(g.commit, g.applied)
	g.bytesBefore, g.bytesSince = 0, 0
	g.node.event(Event{Kind: EventSnapshotInstalled, Group: g.id, Term: g.term, N: int64(g.applied)})
	g.machine.adopt(d.machine)
}
