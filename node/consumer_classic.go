// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/step"
)

// groupState is where a group stands in Kafka's classic group protocol.
type groupState uint8

const (
	groupEmpty      groupState = iota // no members
	groupPreparing                    // a rebalance began: waiting for all members to join
	groupCompleting                   // all joined: waiting for the leader's assignment
	groupStable                       // every member can have its assignment
	groupDead                         // being deleted, or this broker no longer is its coordinator
)

var groupStateNames = [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"}

func (s groupState) String() string { return groupStateNames[s] }

// classicGroup is a group as its coordinator runs it: members join, one of them, the leader, assigns
// the work, and each gets its part in the answer to SyncGroup.
//
//	Empty --join--> PreparingRebalance --all joined--> CompletingRebalance --assignment committed--> Stable
//	                      ^                                   |                                        |
//	                      `------- a member joins anew, leaves or is silent for too long --------------'
//
// The promise of a generation is that no two of its members own the same work. It holds because
// nobody gets an assignment before it is committed, and nobody's commit is taken in a generation
// that isn't the current one.
type classicGroup struct {
	of   *consumerGroup
	node *Node

	state        groupState
	since        int64 // wall clock in ms when the state began
	protocolType string
	protocol     string // by which work is assigned
	generation   int32
	leader       string // member id
	roster
	promised map[string]*step.Deadline // member ids that were handed out, until when; their clients have yet to join with them (KIP-394)

	timer     *step.Deadline // of the state: end of waiting for joins, or for syncs
	delayed   bool           // PreparingRebalance of a new group: more members may come
	newcomers bool           // while delayed: some came
	left      time.Duration  // while delayed: how much longer it may take
	storing   bool           // the generation's assignment is on its way into the log
	commits   int            // offset commits on their way into the log
	offsets   int            // in those
}

func newClassicGroup(of *consumerGroup) *classicGroup {
	n := of.coordinator.node
	return &classicGroup{of: of, node: n, since: n.stampMs()}
}

// restoreClassicGroup begins where the log left the group. All members get a fresh session: how long
// they were silent to the coordinator before isn't known.
func restoreClassicGroup(of *consumerGroup) *classicGroup {
	g := newClassicGroup(of)
	v := of.stored.metadata
	if v == nil {
		return g
	}
	g.since, g.protocolType, g.generation = v.CurrentStateTimestamp, v.ProtocolType, v.Generation
	if len(v.Members) == 0 {
		return g
	}
	g.state, g.protocol, g.leader = groupStable, *v.Protocol, *v.Leader
	for i := range v.Members {
		in := &v.Members[i]
		m := &groupMember{
			id: in.MemberID, instance: in.InstanceID, clientID: in.ClientID, host: in.ClientHost, assignment: in.Assignment,
			session: millis(in.SessionTimeoutMillis), rebalance: millis(in.RebalanceTimeoutMillis),
			protocols: []kmsg.JoinGroupRequestProtocol{{Name: g.protocol, Metadata: in.Subscription}},
		}
		g.enlist(m)
		g.heard(m)
	}
	return g
}

// metadata is what the log keeps of the group.
func (g *classicGroup) metadata() *kmsg.GroupMetadataValue {
	v := &kmsg.GroupMetadataValue{
		Version: groupValueForm, ProtocolType: g.protocolType, Generation: g.generation, CurrentStateTimestamp: g.since,
	}
	if len(g.members) > 0 {
		v.Protocol, v.Leader = &g.protocol, &g.leader
	}
	for _, m := range g.members {
		v.Members = append(v.Members, kmsg.GroupMetadataValueMember{
			MemberID: m.id, InstanceID: m.instance, ClientID: m.clientID, ClientHost: m.host,
			SessionTimeoutMillis: int32(m.session.Milliseconds()), RebalanceTimeoutMillis: int32(m.rebalance.Milliseconds()),
			Subscription: m.says(g.protocol), Assignment: m.assignment,
		})
	}
	return v
}

// store puts the group's metadata into the log.
func (g *classicGroup) store(v *kmsg.GroupMetadataValue, done func(error)) {
	g.node.out.Work.Parts += len(v.Members) / 2
	g.of.coordinator.propose([]kafka.Record{groupMetadataRecord(g.of.id, v)}, done)
}

// group returns the raft group of the coordinator, for events.
func (g *classicGroup) group() GroupID { return g.of.coordinator.group.id }

func (g *classicGroup) enter(s groupState) {
	g.state, g.since = s, g.node.stampMs()
}

// startTimer replaces the timer of the state.
func (g *classicGroup) startTimer(d time.Duration, fire func()) {
	g.node.deadlines.Cancel(g.timer)
	g.timer = g.node.deadlines.Add(g.node.now.Add(d), fire)
}

// identify finds the member that a request comes from. A static member that was replaced by another
// of the same name is fenced.
func (g *classicGroup) identify(id string, instance *string) (*groupMember, error) {
	if g.state == groupDead {
		return nil, kerr.CoordinatorNotAvailable
	}
	if instance != nil {
		m := g.byInstance(*instance)
		switch {
		case m == nil:
			return nil, kerr.UnknownMemberID
		case m.id != id:
			return nil, kerr.FencedInstanceID
		}
		return m, nil
	}
	if m := g.member(id); m != nil {
		return m, nil
	}
	return nil, kerr.UnknownMemberID
}

// current finds a member that acts in the current generation.
func (g *classicGroup) current(id string, instance *string, generation int32) (*groupMember, error) {
	m, err := g.identify(id, instance)
	if err != nil {
		return nil, err
	}
	if generation != g.generation {
		return nil, kerr.IllegalGeneration
	}
	return m, nil
}

// newMemberID returns an id that no member of any group ever had.
func (n *Node) newMemberID(r *request, instance *string) string {
	name := r.header.ClientID
	if instance != nil {
		name = *instance
	}
	n.memberIDs++
	return fmt.Sprintf("%s-%d.%x.%d", name, n.self, n.commands.session, n.memberIDs)
}

// promise hands out a member id, which has to be used within a session's time.
func (g *classicGroup) promise(id string, session time.Duration) {
	if g.promised == nil {
		g.promised = make(map[string]*step.Deadline)
	}
	g.promised[id] = g.node.deadlines.Add(g.node.now.Add(session), func() { g.breakPromise(id) })
}

// keepPromise reports whether an id was promised, and that it is used now.
func (g *classicGroup) keepPromise(id string) bool {
	timer := g.promised[id]
	g.node.deadlines.Cancel(timer)
	delete(g.promised, id)
	return timer != nil
}

// breakPromise takes an id back; the others need no longer wait for it.
func (g *classicGroup) breakPromise(id string) bool {
	if !g.keepPromise(id) {
		return false
	}
	g.tryCompleteJoin()
	g.forgetIfUnused()
	return true
}

// forgetIfUnused drops a group of which nothing ever came.
func (g *classicGroup) forgetIfUnused() {
	if g.of.idle() && g.commits == 0 && g.generation == 0 && g.of.stored.empty() {
		g.state = groupDead
		g.of.coordinator.forget(g.of)
	}
}

// remove takes members out, and reports whether there were any. What they wait for is answered: whoever asks is no
// member any more.
func (g *classicGroup) remove(out func(*groupMember) bool) bool {
	before := len(g.members)
	g.node.out.Work.Parts += before / 32
	defer func() { g.node.out.Work.Parts += (before - len(g.members)) / 4 }()
	g.strike(func(m *groupMember) bool {
		if !out(m) {
			return false
		}
		g.failJoin(m, kerr.UnknownMemberID)
		g.failSync(m, kerr.UnknownMemberID)
		g.node.deadlines.Cancel(m.timer)
		return true
	})
	if g.member(g.leader) == nil && len(g.members) > 0 {
		g.leader = g.members[0].id
	}
	return len(g.members) < before
}

// idle reports whether the group has no members, nor any that are about to come.
func (g *classicGroup) idle() bool { return g.state == groupEmpty && len(g.promised) == 0 }

// abandon sends everybody away, in this step or the next ones.
func (g *classicGroup) abandon() {
	g.state = groupDead
	g.node.deadlines.Cancel(g.timer)
	if len(g.members)+len(g.promised) > 0 {
		g.node.later(g.sendAway)
	}
}

func (g *classicGroup) sendAway() {
	g.node.out.Work.Parts += len(g.members) / 4
	for _, m := range g.members {
		g.failJoin(m, kerr.NotCoordinator)
		g.failSync(m, kerr.NotCoordinator)
		g.node.deadlines.Cancel(m.timer)
	}
	//det:ok they don't fire, in whatever order they are taken out
	for _, timer := range g.promised {
		g.node.deadlines.Cancel(timer)
	}
}
