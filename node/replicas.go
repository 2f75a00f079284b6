// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/confchange"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"

	"chronik/node/step"
	"chronik/wal"
)

// The catalog says on which brokers a group's replicas should be. The group's leader makes it so, one step at
// a time. Each step is a configuration change in the group's own log (raft paper, section 6; joint consensus):
//
//  1. Missing replicas join as learners, which copy but don't vote. An empty replica that voted would raise the
//     majority without adding anything to it, and could stop the group until it has caught up.
//  2. When they have caught up, they become voters and the others leave, in one joint change. So there is no
//     state in between with too few voters. The leader itself stays for now.
//  3. If the leader is to go, it hands leadership to a replica that is to stay, and that one removes it.
//  4. When its disk has the change and that it is committed, and those of a majority, too, the leader reports to the catalog. Then
//     brokers without a replica delete theirs.
//
// A broker that came back with an empty disk has a new raft id. That id is missing in all its groups, and the old
// one is to leave, so the same steps repair it.

// setConf sets the replicas of the group.
func (g *group) setConf(conf *pb.ConfState) {
	g.conf, g.peers = conf, nil
	for _, ids := range [][]uint64{conf.Voters, conf.VotersOutgoing, conf.Learners, conf.LearnersNext} {
		for _, id := range ids {
			if b := brokerOf(id); !slices.Contains(g.peers, b) {
				g.peers = append(g.peers, b)
			}
		}
	}
	slices.Sort(g.peers)
	g.inSync.followers = slices.DeleteFunc(g.inSync.followers, func(f syncing) bool { return !slices.Contains(g.conf.Voters, f.id) })
	if g.id == 0 {
		g.node.tellMembers = true
		g.node.catalog.replicasChanged()
	}
}

// applyConf applies a committed configuration change. It takes effect when applied, not when appended, because
// raft (the library) works that way. One that can't be made is refused before raft sees it, since raft would panic.
func (g *group) applyConf(e *pb.Entry) {
	if e.GetIndex() <= g.confIndex {
		return // a checkpoint came with it
	}
	g.goOut()
	cc, err := decodeConfChange(e.GetType(), e.GetData())
	var next *pb.ConfState
	if err == nil {
		next, err = changedConf(g.conf, cc, e.GetIndex())
	}
	switch {
	case err != nil:
		g.refuseConf(e.GetIndex(), err)
	case g.role != raft.StateLeader && g.isToGo(next):
		g.out = &leavingConf{cc, e.GetIndex()}
	default:
		g.enterConf(cc, e.GetIndex())
	}
}

func (g *group) enterConf(cc *pb.ConfChangeV2, index uint64) {
	conf := g.rn.ApplyConfChange(cc) // raft may ask for a checkpoint in it, which needs conf and confIndex of one entry
	g.confIndex = index
	g.setConf(conf)
	g.node.event(Event{Kind: EventReplicasChanged, Group: g.id, Term: g.term, N: int64(len(g.conf.Voters))})
	g.confTicks = 0
	g.lookInSync()
}

// leavingConf is the end of a joint configuration after which this replica has no vote.
type leavingConf struct {
	cc    *pb.ConfChangeV2
	index uint64
}

// isToGo reports whether a change ends a joint configuration, and takes this replica out. Such a one doesn't take it over: it goes on as if
// it hadn't heard of it, until it leads or its broker deletes it. The leader may have died before the others heard of the change. They need votes of the
// replicas before it, and get none from one with a longer log. In the joint configuration that one can be elected, and tell them. To go by a joint
// configuration for longer is always safe, because its majorities contain those of the next one.
//
// Group 0 is left out: a broker that was removed learns from its catalog that it is out.
func (g *group) isToGo(next *pb.ConfState) bool {
	return g.id != 0 && slices.Contains(g.conf.VotersOutgoing, g.self) && !slices.Contains(next.Voters, g.self) && !slices.Contains(next.Learners, g.self)
}

// goOut makes up for a change that this replica didn't take over.
func (g *group) goOut() {
	if o := g.out; o != nil {
		g.out = nil
		g.enterConf(o.cc, o.index)
	}
}

// appliedConf returns the replicas after the last change that was applied, whether this replica took it over or not, and its entry. A
// checkpoint lists these: the entry of the change is before it.
func (g *group) appliedConf() (*pb.ConfState, uint64) {
	if g.out == nil {
		return g.conf, g.confIndex
	}
	conf, err := changedConf(g.conf, g.out.cc, g.out.index)
	step.Assert(err == nil, "a change that was put off could be made: %v", err)
	return conf, g.out.index
}

// recoverConf does what applyConf does during recovery, when raft doesn't exist yet.
func (g *group) recoverConf(e *wal.Entry) {
	if e.Index <= g.confIndex {
		return // a checkpoint came with it
	}
	conf, index := g.appliedConf()
	if g.out != nil {
		g.out, g.confIndex = nil, index
		g.setConf(conf)
	}
	cc, err := decodeConfChange(pb.EntryType(e.Kind), e.Data)
	if err == nil {
		conf, err = changedConf(conf, cc, e.Index)
	}
	switch {
	case err != nil:
		g.refuseConf(e.Index, err)
	case g.isToGo(conf):
		g.out = &leavingConf{cc, e.Index}
	default:
		g.setConf(conf)
		g.confIndex = e.Index
	}
}

// refuseConf reports a configuration change that can't be made. All replicas refuse it alike, and it changes nothing.
func (g *group) refuseConf(index uint64, err error) {
	g.node.event(Event{Kind: EventEntryRefused, Group: g.id, N: int64(index), Text: err.Error()})
}

// changedConf returns the replicas after a configuration change at an entry.
func changedConf(conf *pb.ConfState, cc *pb.ConfChangeV2, index uint64) (*pb.ConfState, error) {
	cfg, progress, err := confchange.Restore(confchange.Changer{Tracker: tracker.MakeProgressTracker(1, 0)}, conf)
	if err != nil {
		return nil, fmt.Errorf("the replicas before it: %w", err)
	}
	changer := confchange.Changer{Tracker: tracker.MakeProgressTracker(1, 0), LastIndex: index}
	changer.Tracker.Config, changer.Tracker.Progress = cfg, progress
	if cc.LeaveJoint() {
		cfg, progress, err = changer.LeaveJoint()
	} else if autoLeave, joint := cc.EnterJoint(); joint {
		cfg, progress, err = changer.EnterJoint(autoLeave, cc.Changes...)
	} else {
		cfg, progress, err = changer.Simple(cc.Changes...)
	}
	if err != nil {
		return nil, fmt.Errorf("a configuration change: %w", err)
	}
	changer.Tracker.Config, changer.Tracker.Progress = cfg, progress
	return changer.Tracker.ConfState(), nil
}

func decodeConfChange(kind pb.EntryType, data []byte) (*pb.ConfChangeV2, error) {
	cc := &pb.ConfChangeV2{}
	if kind != pb.EntryConfChangeV2 {
		return nil, fmt.Errorf("entry type %v is not written here", kind)
	}
	return cc, proto.Unmarshal(data, cc)
}

// confKept reports whether a crash would leave this broker both the last configuration change and the knowledge that it is
// committed. If not, it asks the log to sync. Only then may the replicas that left be deleted. A broker that forgets the
// commit index after a crash goes by the old configuration, and would wait forever for the vote of a replica that is gone.
func (g *group) confKept() bool {
	if g.confSeen != g.confIndex {
		g.node.log.RequestSync()
		g.confSeen, g.confEnd = g.confIndex, g.node.log.End()
	}
	return g.confEnd <= g.node.log.Durable()
}

// confProof is the entry from which on followers have heard that a configuration change is committed, as its leader tells them.
type confProof struct {
	conf, term uint64 // entry of the change, and the term of the leader
	index      uint64
}

// confKnown reports whether a majority of the voters would elect a leader by the last configuration change after a crash of this
// leader. Before that no replica may be deleted that the configuration before it needs: replicas go by a configuration once they have
// applied it, and if this broker died now, the others would wait for the vote of one that is gone, though only one broker is down.
//
// Raft doesn't say what followers know. But whoever acknowledges an entry that this leader appended after it had applied the change has
// got the commit index with it, and has both on its disk. So the leader appends an empty entry and waits for that.
func (g *group) confKnown() bool {
	last, _ := g.view.LastIndex()
	if g.confProof.conf != g.confIndex || g.confProof.term != g.term {
		g.confProof = confProof{g.confIndex, g.term, last + 1}
	}
	if last < g.confProof.index {
		_ = g.rn.Propose(nil) // what is dropped is proposed again
		g.touch()
		return false
	}
	know := 0
	g.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		know += btoi(pr.Match >= g.confProof.index && slices.Contains(g.conf.Voters, id))
	})
	return know > len(g.conf.Voters)/2
}

// wanted is where a group's replicas should be.
type wanted struct {
	voters   []uint64
	learners []uint64 // that stay learners
}

func (w *wanted) has(id uint64) bool {
	return slices.Contains(w.voters, id) || slices.Contains(w.learners, id)
}

// replicaCheck is how often a leader compares its group's replicas with what is wanted. It also does so when the catalog
// moves the group, and when a step of the move is applied.
const replicaCheck = 200 * time.Millisecond

func (g *group) tickReplicas() {
	if g.confTicks--; g.confTicks <= 0 {
		g.arrangeReplicas()
	}
}

// arrangeReplicas lets the leader take the next step towards the wanted replicas.
func (g *group) arrangeReplicas() {
	g.settled = false
	if !g.serving || g.node.stopping {
		return
	}
	g.confTicks = max(1, int(replicaCheck/g.node.cfg.TickInterval))
	want := g.node.catalog.wantedFor(g.id)
	if want == nil || len(g.conf.VotersOutgoing) > 0 {
		return // one change at a time: raft leaves a joint configuration by itself
	}
	switch {
	case g.removed():
	case g.addLearners(want):
	case g.promote(want):
	case g.leave(want):
	case !g.confKept():
		g.confTicks = 1 // wait for a sync
	default:
		g.settled = g.node.replicasAsWanted(g)
	}
}

// addLearners adds missing replicas as learners.
func (g *group) addLearners(want *wanted) bool {
	var changes []*pb.ConfChangeSingle
	for _, ids := range [...][]uint64{want.voters, want.learners} {
		for _, id := range ids {
			if !slices.Contains(g.conf.Voters, id) && !slices.Contains(g.conf.Learners, id) {
				changes = append(changes, change(pb.ConfChangeAddLearnerNode, id))
			}
		}
	}
	return g.proposeConf(changes, pb.ConfChangeTransitionAuto)
}

// promote turns learners that have caught up into voters and removes replicas that aren't wanted, except this one.
// It waits until all new voters are ready, so that one joint change is enough.
func (g *group) promote(want *wanted) bool {
	var changes []*pb.ConfChangeSingle
	var next []uint64
	for _, id := range want.voters {
		if slices.Contains(g.conf.Learners, id) {
			if !g.caughtUp(id) || !g.node.hasRoom(brokerOf(id)) {
				return true // wait
			}
			changes, next = append(changes, change(pb.ConfChangeAddNode, id)), append(next, id)
		}
	}
	if g.makeWay(want, next) {
		return true
	}
	for _, id := range append(slices.Clone(g.conf.Voters), g.conf.Learners...) {
		switch {
		case id == g.self:
		case !want.has(id):
			changes = append(changes, change(pb.ConfChangeRemoveNode, id))
		case slices.Contains(g.conf.Voters, id) && slices.Contains(want.learners, id):
			changes = append(changes, change(pb.ConfChangeAddLearnerNode, id))
		}
	}
	if len(changes) > 0 && !g.mostCanDecide(want.voters) {
		return true // wait
	}
	return g.proposeConf(changes, pb.ConfChangeTransitionJointImplicit)
}

// removed hands leadership over if this replica no longer votes, though it leads. That happens when the leader before it proposed
// its removal, and the old replicas elected it before that was applied. Raft takes no proposals from it.
//
// It mustn't step down at once. A replica that doesn't know yet that the joint configuration is over needs this one's vote, which is refused because this
// one has the longer log. Only a leader can tell it. So this one leads until another voter has all that it has.
func (g *group) removed() bool {
	if slices.Contains(g.conf.Voters, g.self) {
		return false
	}
	g.handOverAgain()
	return true
}

// leave hands leadership over if this replica should no longer vote. The next leader then removes it.
func (g *group) leave(want *wanted) bool {
	if slices.Contains(want.voters, g.self) {
		return false
	}
	g.handOverAgain()
	return true
}

// handOverAgain hands leadership over, if need be to a replica that was tried before.
func (g *group) handOverAgain() {
	g.tried = nil
	g.handOver()
}

func change(kind pb.ConfChangeType, id uint64) *pb.ConfChangeSingle {
	return &pb.ConfChangeSingle{Type: kind.Enum(), NodeId: &id}
}

// proposeConf proposes a configuration change, if there is one. Raft accepts one at a time and drops others
// silently; the next check proposes again what is still to do.
func (g *group) proposeConf(changes []*pb.ConfChangeSingle, transition pb.ConfChangeTransition) bool {
	if len(changes) == 0 {
		return false
	}
	_ = g.rn.ProposeConfChange(&pb.ConfChangeV2{Transition: transition.Enum(), Changes: changes})
	g.touch()
	return true
}

// caughtUp reports whether a replica lags so little that the group wouldn't have to wait for it: as a voter it
// may be needed for a majority, and as a new leader it must get the rest of the log first. The rest must fit onto a disk that
// becomes full meanwhile, since the next entry that makes room comes after it: into the half of the reserve that is for entries which
// were accepted before (space.go). While no records are taken for want of room, it must lack nothing.
func (g *group) caughtUp(id uint64) bool {
	lacks := uint64(100) // entries
	if !g.takesRecords() {
		lacks = 0
	}
	rest := g.node.log.Tail(g.id, lacks, g.node.log.SegmentBytes()/2)
	found := false
	g.rn.WithProgress(func(i uint64, _ raft.ProgressType, pr tracker.Progress) {
		found = found || i == id && pr.RecentActive && pr.State == tracker.StateReplicate && pr.Match+1 >= rest
	})
	return found
}

// mostCanDecide reports whether a majority of some replicas is on brokers that are alive and have room. Without this
// check a group could move to voters that can't commit anything. A replica that lags a little, but whose disk is full,
// never gets the entries that it lacks. Then not even a command that deletes records is committed.
func (g *group) mostCanDecide(ids []uint64) bool {
	can := 0
	for _, id := range ids {
		can += btoi(g.node.alive(brokerOf(id)) && g.node.hasRoom(brokerOf(id)))
	}
	return can > len(ids)/2
}

// balance hands leadership to the preferred replica, the first of the placement, when that one is alive, has room
// and has caught up. So leaders spread over the brokers again after a failure.
func (g *group) balance(preferred BrokerID, why string) {
	id := g.node.replicaOn(g, preferred)
	if preferred == g.node.self || id == raft.None || !slices.Contains(g.conf.Voters, id) || !g.node.alive(preferred) || !g.node.hasRoom(preferred) || !g.caughtUp(id) {
		return
	}
	if g.rn.BasicStatus().LeadTransferee != raft.None {
		return
	}
	g.node.event(Event{Kind: EventLeadershipMoved, Group: g.id, Term: g.term, N: int64(preferred), Text: why})
	g.rn.TransferLeader(id)
	g.touch()
}

// replicaOn returns the raft id of a group's replica on a broker, raft.None if it has none there.
func (n *Node) replicaOn(g *group, b BrokerID) uint64 {
	for _, id := range g.conf.Voters {
		if brokerOf(id) == b {
			return id
		}
	}
	return raft.None
}
