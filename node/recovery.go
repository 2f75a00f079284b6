// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/wal"
)

// openGroup starts the replica on what the log holds of it. Entries up to the durable commit index
// are applied before it returns; reads block.
func (n *Node) openGroup(id GroupID, self uint64, voters []uint64, m machine, load func(wal.Op) wal.Result) (*group, error) {
	g := &group{node: n, id: id, self: self, machine: m, rolled: n.log.Stats().Segment}
	n.opening = g
	g.view = logView{group: g, log: n.log, cold: n.cold}
	g.setConf(&pb.ConfState{Voters: voters})
	st, ok := n.log.State(id)
	if !ok {
		g.begins = n.log.End()
	} else {
		g.pipe.durableTerm = st.Term
		err := g.recover(st, load)
		if isDamage(err) && id != 0 && len(voters) > 1 {
			n.openDamaged(g, err)
			return g, nil
		}
		if err != nil {
			return nil, err
		}
	}
	rn, err := raft.NewRawNode(&raft.Config{
		ID:                        g.self,
		ElectionTick:              n.cfg.ElectionTicks,
		HeartbeatTick:             n.cfg.HeartbeatTicks,
		Storage:                   &g.view,
		Applied:                   g.applied,
		AsyncStorageWrites:        true,
		MaxSizePerMsg:             n.cfg.ReplicationBytes,
		MaxCommittedSizePerReady:  min(n.cfg.ReplicationBytes, applyBytes),
		MaxInflightMsgs:           n.cfg.ReplicationWindow,
		MaxInflightBytes:          n.cfg.ReplicationWindowBytes,
		CheckQuorum:               true,
		PreVote:                   true,
		StepDownOnRemoval:         false, // it hands over instead, see removed
		DisableProposalForwarding: true,
		ReadOnlyOption:            raft.ReadOnlySafe,
		Logger:                    raftLogger{},
	})
	if err != nil {
		return nil, fmt.Errorf("group %d: %w", id, err)
	}
	g.rn = rn
	g.term, g.vote, g.commit = st.Term, st.Vote, max(st.Commit, g.applied)
	g.beginTerms(slices.Contains(voters, g.self))
	if g.alone() {
		g.campaign()
	} else if ok { // perhaps all brokers start at once; otherwise the leader will be heard by then
		g.beEager(-1, g.node.cfg.HeartbeatTicks+1)
	}
	return g, nil
}

// recover restores the newest checkpoint, applies the entries after it that are known to be
// committed, and loads those that aren't.
func (g *group) recover(st wal.State, load func(wal.Op) wal.Result) error {
	checkpoint, err := g.loadCheckpoints(load)
	if err != nil {
		return err
	}
	g.applied = max(st.First-1, checkpoint)
	for next := g.applied + 1; next <= st.Last; {
		ents, err := g.load(next, st.Last+1, load)
		if errors.Is(err, wal.ErrUnreadable) { // perhaps another group's that lies beside it
			ents, err = g.load(next, next+1, load)
		}
		if errors.Is(err, wal.ErrReadFailed) {
			return fmt.Errorf("%w; check the disk, then start the broker again", err)
		}
		if err == nil {
			ents, err = unpacked(g.id, ents, next)
		}
		if err != nil {
			return err
		}
		for i := range ents {
			g.recoverEntry(&ents[i], st.Commit)
		}
		next += uint64(len(ents))
	}
	return nil
}

// load reads entries from one on.
func (g *group) load(from, end uint64, load func(wal.Op) wal.Result) ([]wal.Entry, error) {
	op, err := g.view.log.Read(g.id, from, end, g.node.cfg.ColdReadBytes)
	if err != nil {
		return nil, err
	}
	return g.view.log.Entries(g.id, from, load(op))
}

func (g *group) recoverEntry(e *wal.Entry, commit uint64) {
	if e.Index > commit {
		entry := toRaft(e)
		g.view.hot = append(g.view.hot, entry)
		g.view.hotBytes += entryBytes(entry)
		return
	}
	if pb.EntryType(e.Kind) == pb.EntryNormal {
		g.machine.apply(e.Index, e.Term, e.Data)
	} else {
		g.recoverConf(e)
	}
	g.applied = e.Index
	g.bytesSince += int64(len(e.Data))
}
