// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/json"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.etcd.io/raft/v3"

	"chronik/kafka"
)

// applyLate gives the catalog a command as if its entry were committed now, whoever sent it and however long ago.
func (o *one) applyLate(cmd command) error {
	c := o.node.catalog
	switch {
	case cmd.DeleteTopic != nil:
		return c.deleteTopic(cmd.DeleteTopic)
	case cmd.Remove != nil:
		return c.remove(cmd.Remove, 1)
	default:
		return c.reassign(cmd.Reassign, 0)
	}
}

// A command that comes late finds another topic of the same name, or a partition that was moved since.
func TestLateCommandsChangeNothing(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	old := o.idOf("t")
	o.deleteByID(old)
	o.create("t")
	late := command{DeleteTopic: &deleteTopic{Name: "t", ID: old[:]}}
	if err := o.applyLate(late); err != errOutdated || o.idOf("t") == noTopicID {
		t.Errorf("deletion of the topic before: %v", err)
	}
	blind := command{DeleteTopic: &deleteTopic{Name: "t", ID: noTopicID[:]}}
	if err := o.applyLate(blind); err != errOutdated || o.idOf("t") == noTopicID {
		t.Errorf("deletion by a broker that didn't know the topic: %v", err)
	}
	gone := command{DeleteTopic: &deleteTopic{Name: "u", ID: noTopicID[:]}}
	if err := o.applyLate(gone); code(err) != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("deletion of a topic that isn't there: %v", err)
	}
	p := o.node.catalog.partition("t", 0)
	move := command{Reassign: &reassign{Topic: "t", Replicas: []BrokerID{1}, From: &moveFrom{p.Group, p.Moves}}}
	if err := o.applyLate(move); err != nil {
		t.Errorf("a move from where the partition is: %v", err)
	}
	if err := o.applyLate(move); err != errOutdated {
		t.Errorf("the same once more: %v", err)
	}
}

// A command that was worked out from an old state isn't worked out anew for a client that is gone: the topic that has
// the name now was made by somebody who believes the old one deleted.
func TestOutdatedCommandsEndWithTheirClient(t *testing.T) {
	for _, gone := range []bool{false, true} {
		o := newOne(t, nil)
		o.create("t")
		r := &request{node: o.node, conn: &conn{id: 77, from: &source{}}}
		o.node.deleteTopic(r, &deleteTopic{Name: "t"}, func(error) {})
		c := &o.node.commands
		n, p := c.queue.waiting(), c.underWay
		r.gone = gone
		p.done(commandResult{err: errOutdated})
		if again := c.queue.waiting() > n; again == gone {
			t.Errorf("the client is gone: %v; the deletion is sent again: %v", gone, again)
		}
	}
}

// A removal that comes late finds another incarnation of the broker: that one stays.
func TestLateRemovalSparesTheNextIncarnation(t *testing.T) {
	o := newOne(t, nil)
	c := o.node.catalog
	join := func(incarnation uint32) {
		m := Member{ID: 2, Host: "b2", Port: 9092}
		cmd := command{Origin: 2, Session: uint64(incarnation), Seq: 1, Register: &register{Member: m, Incarnation: incarnation}}
		if !c.admit(&cmd) {
			t.Fatal("it can't register")
		}
		c.register(cmd.Register)
	}
	old, unknown := uint32(2), uint32(0)
	join(2)
	if err := c.remove(&removeBroker{2, &unknown}, 1); err != errOutdated {
		t.Errorf("removal by a broker that didn't know it: %v", err)
	}
	if err := c.remove(&removeBroker{2, &old}, 1); err != nil {
		t.Errorf("removal: %v", err)
	}
	var answers []error
	c.leaving.add(nil, departure{nil, 2, 2, func(err error) { answers = append(answers, err) }})
	join(3)
	if len(answers) != 1 || kafka.Code(answers[0]) != kerr.DuplicateBrokerRegistration.Code {
		t.Errorf("it has joined again before it had left; the remover is told %v", answers)
	}
	if err := c.remove(&removeBroker{2, &old}, 1); err != errOutdated || c.broker(2).Removed {
		t.Errorf("the same removal once more: %v", err)
	}
	u := &unregistration{node: o.node, request: &request{node: o.node, conn: &conn{id: 7, from: &source{}}}, resp: kmsg.NewPtrUnregisterBrokerResponse(), broker: 2, incarnation: 2}
	u.try()
	if u.resp.ErrorCode != kerr.DuplicateBrokerRegistration.Code {
		t.Errorf("a removal that was worked out for its predecessor: %d", u.resp.ErrorCode)
	}
}

// A copy of a command that was sent in an earlier leadership of the catalog has no effect, neither when it reaches the
// leader of today nor when it is in the log.
func TestCopiesOfEarlierLeaderships(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 1, 2, 3)
	old := BrokerID(c.nodes[1].node.controller())
	origin := c.nodes[old%3+1].node
	make := func(topic string) []byte {
		p := &pendingCommand{command: command{CreateTopic: &createTopic{Name: topic, Replicas: [][]BrokerID{{1, 2, 3}}}}}
		p.Origin, p.Session, p.Seq = origin.self, origin.commands.session, origin.commands.seq+1
		var err error
		if p.bytes, err = json.Marshal(p.command); err != nil {
			t.Fatal(err)
		}
		return p.copyFor(origin.catalog.group.term)
	}
	late := make("late")
	c.kill(old)
	c.until("another one leads", func() bool {
		return origin.catalog.group.lead != raft.None && brokerOf(origin.catalog.group.lead) != old
	})
	leader := c.nodes[brokerOf(origin.catalog.group.lead)].node
	c.until("it serves", func() bool { return leader.catalog.group.serving })
	last, _ := leader.catalog.group.view.LastIndex()
	leader.receiveCommand(late)
	c.rounds(20)
	if now, _ := leader.catalog.group.view.LastIndex(); now != last {
		t.Error("a late copy is in the log")
	}
	applied := false
	leader.catalog.group.propose(late, func(any, error) { applied = true })
	c.until("it is applied", func() bool { return applied })
	leader.receiveCommand(make("timely"))
	c.until("the copy of today has its effect", func() bool { return origin.catalog.byName["timely"] != nil })
	if leader.catalog.byName["late"] != nil {
		t.Error("a late copy made a topic")
	}
}

func (c *many) rounds(n int) {
	for range n {
		c.round()
	}
}
