// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// Raft trusts its peers: it panics at a commit index beyond its log, at entries that contradict what is committed, and
// at configuration changes that it can't parse, and it takes any term for granted. So what arrives from another broker
// is checked before raft sees it. A broker that is wrong, or an attacker with the cluster's secret, can then disturb
// a group, but not end the brokers that have it.

// maxIndex keeps sums of indexes from overflowing.
const maxIndex = 1 << 62

// checkLeader checks a message that only the leader of its term sends. A second one would have entries committed that
// contradict those of the first.
func (g *group) checkLeader(m *pb.Message) string {
	switch {
	case m.GetTerm() != g.term:
	case g.role == raft.StateLeader:
		return fmt.Sprintf("replica %x speaks as leader in term %d, in which this one leads", m.GetFrom(), g.term)
	case g.lead != raft.None && g.lead != m.GetFrom():
		return fmt.Sprintf("replica %x speaks as leader in term %d, which %x leads", m.GetFrom(), g.term, g.lead)
	}
	return ""
}

// checkMessage says why raft must not see a message; "" if it may.
func (g *group) checkMessage(m *pb.Message) string {
	last, _ := g.view.LastIndex()
	if wrong := g.checkTerm(max(m.GetTerm(), m.GetLogTerm())); wrong != "" {
		return wrong
	}
	if m.GetTerm() == 0 { // raft would take it for one of this process
		return "no term"
	}
	if max(m.GetIndex(), m.GetCommit(), m.GetRejectHint()) > maxIndex {
		return fmt.Sprintf("index %d, commit index %d", m.GetIndex(), m.GetCommit())
	}
	if m.GetType() == pb.MsgTimeoutNow && g.outOfTerms() {
		return "an election, and there is no term left"
	}
	if m.GetType() != pb.MsgApp && len(m.Entries) > 0 {
		return fmt.Sprintf("a %v with entries", m.GetType())
	}
	switch m.GetType() {
	case pb.MsgApp, pb.MsgHeartbeat, pb.MsgTimeoutNow:
		if wrong := g.checkLeader(m); wrong != "" {
			return wrong
		}
	}
	switch m.GetType() {
	case pb.MsgApp:
		return g.checkEntries(m, last)
	case pb.MsgHeartbeat:
		if m.GetCommit() > last {
			return fmt.Sprintf("commit index %d beyond the log's end at %d", m.GetCommit(), last)
		}
	case pb.MsgAppResp:
		if g.role == raft.StateLeader && m.GetTerm() == g.term && m.GetIndex() > last {
			return fmt.Sprintf("entry %d acknowledged beyond the log's end at %d", m.GetIndex(), last)
		}
	case pb.MsgVote, pb.MsgVoteResp, pb.MsgPreVote, pb.MsgPreVoteResp, pb.MsgHeartbeatResp, pb.MsgTimeoutNow:
	default:
		return fmt.Sprintf("raft message type %d, which brokers don't send each other", m.GetType())
	}
	return ""
}

// checkEntries checks the entries of a MsgApp: they follow each other, their terms never fall, and none contradicts
// what is committed here.
func (g *group) checkEntries(m *pb.Message, last uint64) string {
	term := m.GetLogTerm()
	for i, e := range m.Entries {
		if e.GetIndex() != m.GetIndex()+1+uint64(i) || e.GetTerm() < term || e.GetTerm() > m.GetTerm() {
			return fmt.Sprintf("entry %d of term %d at place %d after entry %d of term %d", e.GetIndex(), e.GetTerm(), i, m.GetIndex(), term)
		}
		term = e.GetTerm()
		if wrong := checkEntry(e); wrong != "" {
			return wrong
		}
	}
	if m.GetIndex() >= last || len(m.Entries) == 0 || m.GetTerm() < g.term { // late: raft tells the sender its term
		return ""
	}
	commit := g.rn.BasicStatus().GetCommit()
	for _, e := range m.Entries {
		if e.GetIndex() > min(commit, last) {
			break
		}
		if own, err := g.view.Term(e.GetIndex()); err == nil && own != e.GetTerm() {
			return fmt.Sprintf("entry %d of term %d contradicts the committed one of term %d", e.GetIndex(), e.GetTerm(), own)
		}
	}
	return ""
}

// checkEntry checks what raft itself makes of an entry.
func checkEntry(e *pb.Entry) string {
	if e.GetType() == pb.EntryNormal {
		return ""
	}
	if _, err := decodeConfChange(e.GetType(), e.GetData()); err != nil {
		return fmt.Sprintf("entry %d is no configuration change: %v", e.GetIndex(), err)
	}
	return ""
}

// checkSnapshot says why a checkpoint that is announced must not be fetched; "" if it may.
func (g *group) checkSnapshot(term, index, entryTerm uint64, conf *pb.ConfState) string {
	if wrong := g.checkTerm(term); wrong != "" {
		return wrong
	}
	if index == 0 || index > maxIndex || entryTerm == 0 || entryTerm > term {
		return fmt.Sprintf("entry %d of term %d in term %d", index, entryTerm, term)
	}
	voters := append(slices.Clone(conf.Voters), conf.VotersOutgoing...)
	if len(conf.Voters) == 0 || slices.Contains(voters, 0) || slices.Contains(conf.Learners, 0) || slices.Contains(conf.LearnersNext, 0) {
		return fmt.Sprintf("replicas %v", conf)
	}
	if own, err := g.view.Term(index); err == nil && index <= g.commit && own != entryTerm {
		return fmt.Sprintf("entry %d of term %d contradicts the committed one of term %d", index, entryTerm, own)
	}
	return ""
}
