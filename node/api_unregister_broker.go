// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// UnregisterBroker, version 0 (KIP-631), on any broker: the broker leaves the cluster. It must not have
// a replica of any partition, and comes back only as a new replica. The answer comes when the others no
// longer count on its vote in group 0 either: only then it may be switched off. Brokers leave one after the other, so that
// at least two of those that stay or leave later can tell one that was away of its removal (isOut).
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
	u.node.commands.submitPlan(u.request, u.plan, func(res commandResult) {
		switch {
		case res.err == errOutdated:
			u.try()
		case res.err == nil || code(res.err) == kerr.BrokerIDNotRegistered.Code: // it may be a second attempt, for which the same holds
			u.node.catalog.whenLeft(departure{u.request, u.broker, u.incarnation, func(err error) { u.finish(cmp.Or(err, res.err)) }})
		default:
			u.finish(res.err)
		}
	})
}

// plan is the command, unless another broker is leaving, which it waits for.
func (u *unregistration) plan() (command, bool) {
	c := u.node.catalog
	b, other := c.broker(u.broker), c.anotherLeaving(u.broker)
	switch {
	case b != nil && u.incarnation == 0:
		u.incarnation = b.Incarnation
	case b != nil && u.incarnation != b.Incarnation:
		u.finish(errCameBack(b))
		return command{}, false
	}
	if other != nil {
		c.whenLeft(departure{u.request, other.ID, other.Incarnation, func(error) { u.try() }})
		return command{}, false
	}
	return command{Remove: &removeBroker{u.broker, &u.incarnation}}, true
}

func (u *unregistration) finish(err error) {
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
