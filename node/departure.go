// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// removeBroker forgets a broker that has no replicas any more. It is about the incarnation that the sender knew, 0 if
// none: one that joined since is another broker. Commands of earlier releases don't say which they mean.
type removeBroker struct {
	Broker      BrokerID
	Incarnation *uint32 `json:",omitempty"`
}

func (c *catalog) remove(cmd *removeBroker, through BrokerID) error {
	b := c.broker(cmd.Broker)
	switch {
	case b == nil || b.Removed:
		return kafka.Errorf(kerr.BrokerIDNotRegistered, "broker %d is not in the cluster", cmd.Broker)
	case cmd.Incarnation != nil && *cmd.Incarnation != b.Incarnation:
		return errOutdated
	}
	if c.hosted[b.ID] > 0 {
		p := c.firstOn(b.ID)
		return kafka.Errorf(kerr.InvalidRequest, "broker %d still has a replica of partition %d of topic %q; drain it first", b.ID, p.Index, p.Topic.Name)
	}
	others := 0
	for _, o := range c.brokers {
		others += btoi(o != b && !o.Removed)
	}
	if others == 0 {
		return kafka.Errorf(kerr.InvalidRequest, "broker %d is the last one of the cluster", b.ID)
	}
	b.Removed = true
	c.node.hosts = nil
	if b.ID == c.node.self {
		c.node.removal.through = through
	}
	c.node.event(Event{Kind: EventBrokerRemoved, N: int64(b.ID), Term: uint64(b.Incarnation)})
	c.node.tellMembers = true
	return nil
}

// firstOn returns the first partition of which a broker has a replica; it has some.
func (c *catalog) firstOn(id BrokerID) *partitionMeta {
	for _, t := range c.topics {
		c.node.out.Work.Parts += len(t.Partitions) / 16
		for _, p := range t.Partitions {
			if _, ok := p.replica(id); ok {
				return p
			}
		}
	}
	panic(fmt.Sprintf("broken invariant: broker %d has %d replicas, but no partition has one there", id, c.hosted[id]))
}

// UnregisterBroker, version 0 (KIP-631), on any broker: the broker leaves the cluster. It must not have
// a replica of any partition, and comes back only as a new replica. The answer comes when the others no
// longer count on its vote in group 0 either: only then it may be switched off.
func (n *Node) handleUnregisterBroker(r *request, m kmsg.Request) {
	u := &unregistration{node: n, request: r, resp: kmsg.NewPtrUnregisterBrokerResponse()}
	u.broker = BrokerID(m.(*kmsg.UnregisterBrokerRequest).BrokerID)
	u.try()
	r.expireAfter(unregisterTimeout, func() {
		u.resp.ErrorCode = kerr.RequestTimedOut.Code
		r.reply(u.resp)
	})
}

// unregisterTimeout bounds what has no time-out in the request.
const unregisterTimeout = 10 * time.Second

// unregistration is one such request.
type unregistration struct {
	node        *Node
	request     *request
	resp        *kmsg.UnregisterBrokerResponse
	broker      BrokerID
	incarnation uint32 // which is to leave; 0 before it is known
}

func (u *unregistration) try() {
	b := u.node.catalog.broker(u.broker)
	switch {
	case b == nil:
	case u.incarnation == 0:
		u.incarnation = b.Incarnation
	case u.incarnation != b.Incarnation:
		u.finish(errCameBack(b))
		return
	}
	u.node.commands.submitFor(u.request, command{Remove: &removeBroker{u.broker, &u.incarnation}}, func(res commandResult) {
		switch {
		case u.request.over():
		case res.err == errOutdated:
			u.try()
		case res.err == nil || code(res.err) == kerr.BrokerIDNotRegistered.Code: // it may be a second attempt, for which the same holds
			u.node.catalog.whenLeft(departure{u.request, u.broker, u.incarnation, func(err error) { u.finish(cmp.Or(err, res.err)) }})
		default:
			u.finish(res.err)
		}
	})
}

func (u *unregistration) finish(err error) {
	if u.request.done {
		return
	}
	if u.resp.ErrorCode = code(err); err != nil {
		u.resp.ErrorMessage = errorText(err)
	}
	u.request.reply(u.resp)
}

// errCameBack is answered when a broker that was to leave has joined again: whoever takes "done" for an answer
// switches off a member.
func errCameBack(b *brokerMeta) error {
	return kafka.Errorf(kerr.DuplicateBrokerRegistration, "broker %d has meanwhile joined the cluster again, with an empty disk (incarnation %d), and is a member; "+
		"remove it once more if that one is to leave, too", b.ID, b.Incarnation)
}

// departure is a removed broker that group 0 still counts on, and who waits for the end of that.
type departure struct {
	request     *request
	broker      BrokerID
	incarnation uint32
	done        func(error)
}

// whenLeft calls done when a removed broker has no replica of group 0 any more, or is a member again.
func (c *catalog) whenLeft(d departure) {
	b := c.broker(d.broker)
	switch {
	case b != nil && !b.Removed && b.Incarnation != d.incarnation:
		d.done(errCameBack(b))
	case b != nil && b.Removed && c.group.hasReplica(d.broker) && (d.broker != c.node.self || c.node.removal.endAt == 0):
		c.leaving.add(d.request, d)
	default:
		d.done(nil)
	}
}

// replicasChanged is called when the replicas of group 0 did, or the brokers.
func (c *catalog) replicasChanged() {
	for _, d := range c.leaving.all() {
		c.whenLeft(d)
	}
}
