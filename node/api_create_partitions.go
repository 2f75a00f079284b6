// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/acl"
)

// CreatePartitions, versions 0 to 3 (KIP-195), on any broker: more partitions for a topic. Those that
// are there keep their records, so a key may hash to another partition than before.

func (n *Node) handleCreatePartitions(r *request, m kmsg.Request) {
	req := m.(*kmsg.CreatePartitionsRequest)
	onceEach(r, req.Topics, func(t *kmsg.CreatePartitionsRequestTopic) string { return t.Topic }, func(once []kmsg.CreatePartitionsRequestTopic, twice map[string]bool) {
		req.Topics = once
		n.createPartitions(r, req, twice)
	})
}

func (n *Node) createPartitions(r *request, req *kmsg.CreatePartitionsRequest, twice map[string]bool) {
	resp := kmsg.NewPtrCreatePartitionsResponse()
	resp.Topics = make([]kmsg.CreatePartitionsResponseTopic, len(req.Topics))
	w := waitFor(r, resp, len(req.Topics))
	n.each(r, len(req.Topics), func(i int) {
		in, out := &req.Topics[i], &resp.Topics[i]
		*out = kmsg.NewCreatePartitionsResponseTopic()
		out.Topic = in.Topic
		g := &growth{node: n, wait: w, in: in, out: out, validate: req.ValidateOnly}
		if twice[in.Topic] {
			g.finish(kafka.Errorf(kerr.InvalidRequest, "topic %.60q is named twice in the request", in.Topic))
			return
		}
		if err := r.topicRight(acl.Alter, in.Topic); err != nil {
			g.finish(err)
			return
		}
		g.try()
	}, func() { w.begin(req.TimeoutMillis) })
}

// growth is one topic's new partitions on their way.
type growth struct {
	node     *Node
	wait     *wait
	in       *kmsg.CreatePartitionsRequestTopic
	out      *kmsg.CreatePartitionsResponseTopic
	validate bool
	sent     *addPartitions
	counted  bool // by the client's quota
}

// try sends the new partitions, until they are applied to what they were planned from.
func (g *growth) try() {
	g.node.commands.submitPlan(g.wait.request, g.plan, func(res commandResult) {
		switch {
		case res.err == errOutdated:
			g.try()
		case res.err != nil:
			g.finish(res.err)
		default:
			g.grown()
		}
	})
}

// plan plans the partitions from what this broker knows; see alteration.plan.
func (g *growth) plan() (command, bool) {
	cmd := &addPartitions{Topic: g.in.Topic}
	t := g.node.catalog.byName[g.in.Topic]
	if t != nil {
		placement, err := g.place(t)
		if err == nil && !g.counted {
			g.counted = true
			err = g.wait.request.takeMutations(len(placement), 3)
		}
		if err != nil || g.validate {
			g.finish(err)
			return command{}, false
		}
		cmd.ID, cmd.From, cmd.Replicas = t.id(), len(t.Partitions), placement
	} else if g.validate {
		g.finish(unknownTopic(g.in.Topic))
		return command{}, false
	}
	g.sent = cmd
	g.out.ErrorCode = kerr.RequestTimedOut.Code // until it is applied
	return command{AddPartitions: cmd}, true
}

// grown answers when the new partitions have leaders, unless the topic is gone already.
func (g *growth) grown() {
	cmd := g.sent
	g.out.ErrorCode = 0
	var created []*partitionMeta
	if t := g.node.catalog.byName[cmd.Topic]; t != nil && t.id() == cmd.ID {
		created = t.Partitions[cmd.From:]
	}
	g.node.whenLed(g.wait.request, created, g.wait.done)
}

func (g *growth) place(t *topicMeta) ([][]BrokerID, error) {
	have, replicas := len(t.Partitions), len(t.Partitions[0].Replicas)
	more := int(g.in.Count) - have
	switch {
	case t.Internal:
		return nil, kafka.Errorf(kerr.InvalidRequest, "%s can't grow: groups or transactional ids would lose their coordinators", t.Name)
	case more <= 0:
		return nil, kafka.Errorf(kerr.InvalidPartitions, "topic %q has %d partitions already; their number can only grow, not become %d", t.Name, have, g.in.Count)
	case g.in.Count > maxPartitions:
		return nil, kafka.Errorf(kerr.InvalidPartitions, "%d partitions; a topic can have at most %d", g.in.Count, maxPartitions)
	case g.in.Assignment == nil:
		return g.node.placeMore(t, more, replicas)
	case len(g.in.Assignment) != more:
		return nil, kafka.Errorf(kerr.InvalidReplicaAssignment, "%d partitions are to be added, but the assignment has %d", more, len(g.in.Assignment))
	}
	placement := make([][]BrokerID, more)
	for i, a := range g.in.Assignment {
		if len(a.Replicas) != replicas {
			return nil, kafka.Errorf(kerr.InvalidReplicaAssignment, "partition %d is assigned to %d replicas, but the topic's others have %d", have+i, len(a.Replicas), replicas)
		}
		for _, b := range a.Replicas {
			placement[i] = append(placement[i], BrokerID(b))
		}
	}
	return placement, g.node.checkNewPlacement(placement)
}

func (g *growth) finish(err error) {
	if g.out.ErrorCode = code(err); err != nil {
		g.out.ErrorMessage = errorText(err)
	}
	g.wait.done()
}
