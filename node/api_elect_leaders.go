// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ElectLeaders, versions 0 to 2 (KIP-183, KIP-460), on any broker: the preferred replica, the first
// of the placement, takes over. An unclean election never finds anybody: a replica that lacks committed
// records never leads. No topics means all that aren't led by their preferred replica. A partition that is named twice
// is answered once, as in Kafka.
func (n *Node) handleElectLeaders(r *request, m kmsg.Request) {
	req := m.(*kmsg.ElectLeadersRequest)
	resp := kmsg.NewPtrElectLeadersResponse()
	if req.ElectionType != preferredElection && req.ElectionType != uncleanElection {
		resp.ErrorCode = kerr.InvalidRequest.Code
		r.reply(resp)
		return
	}
	e := &election{node: n, resp: resp, all: req.Topics == nil, unclean: req.ElectionType == uncleanElection}
	e.wait = waitFor(r, resp, 0)
	resp.Topics = make([]kmsg.ElectLeadersResponseTopic, 0, len(req.Topics))
	n.eachAsked(r, e.all, len(req.Topics), func(i int) (string, []int32) {
		e.asked = len(req.Topics[i].Partitions)
		return req.Topics[i].Topic, req.Topics[i].Partitions
	}, e.begin, func() {
		e.ends = n.now.Add(millis(req.TimeoutMillis))
		e.wait.begin(req.TimeoutMillis)
		e.check()
	})
}

// Types of elections.
const (
	preferredElection = 0
	uncleanElection   = 1
)

// election waits for preferred replicas to lead.
type election struct {
	node *Node
	wait *wait
	resp *kmsg.ElectLeadersResponse
	ends Time // nobody waits for it any more then
	all  bool // nothing in particular is asked for
	open []electing

	asked int // partitions of the topic under way

	unclean bool
}

// electing is a partition whose preferred replica doesn't lead yet, and the place of its answer.
type electing struct {
	meta        *partitionMeta
	topic, part int
}

// begin looks who leads a partition. If all are asked for, it leaves those out where nothing is to be done.
func (e *election) begin(key namedPartition, p *partitionMeta) {
	n, result := e.node, int16(0)
	leader := BrokerID(-1)
	if p != nil {
		leader, _ = n.leaderOf(p)
	}
	switch {
	case p == nil:
		result = kerr.UnknownTopicOrPartition.Code
	case e.all && (leader == p.Replicas[0].Broker || e.unclean && leader >= 0):
		return
	case e.unclean && leader >= 0:
		result = kerr.ElectionNotNeeded.Code
	case e.unclean:
		result = kerr.EligibleLeadersNotAvailable.Code
	case !n.alive(p.Replicas[0].Broker):
		result = kerr.PreferredLeaderNotAvailable.Code
	case leader == p.Replicas[0].Broker:
		result = kerr.ElectionNotNeeded.Code
	}
	if result == 0 && !e.wait.request.takeWaits(electionWaits) {
		result = code(errTooManyWaits)
	}
	place := e.answer(key, result)
	if place.meta = p; result != 0 {
		return
	}
	e.wait.request.onEnd(func() { e.wait.request.giveWaits(electionWaits) })
	e.place(place).ErrorCode = kerr.RequestTimedOut.Code // until it leads
	e.open = append(e.open, place)
	e.wait.left++
}

// answer adds a partition to the answer.
func (e *election) answer(key namedPartition, result int16) electing {
	last := len(e.resp.Topics) - 1
	if last < 0 || e.resp.Topics[last].Topic != key.topic {
		t := kmsg.NewElectLeadersResponseTopic()
		t.Topic = key.topic
		t.Partitions = make([]kmsg.ElectLeadersResponseTopicPartition, 0, e.asked)
		e.resp.Topics = append(e.resp.Topics, t)
		last++
	}
	t, out := &e.resp.Topics[last], kmsg.NewElectLeadersResponseTopicPartition()
	out.Partition, out.ErrorCode = key.index, result
	t.Partitions = append(t.Partitions, out)
	return electing{topic: last, part: len(t.Partitions) - 1}
}

func (e *election) place(el electing) *kmsg.ElectLeadersResponseTopicPartition {
	return &e.resp.Topics[el.topic].Partitions[el.part]
}

// electionCheck is how often a waiting election looks whether the leader has changed, and says again
// who should lead.
const electionCheck = 50 // ms

// electionWaits is how many waits an election counts for: it is looked at again and again.
const electionWaits = 16

func (e *election) check() {
	var rest []electing
	open, n := e.open, e.node
	if e.wait.request.over() || n.now >= e.ends {
		return
	}
	n.each(e.wait.request, len(open), func(i int) {
		el := open[i]
		leader, _ := n.leaderOf(el.meta)
		if leader == el.meta.Replicas[0].Broker {
			e.place(el).ErrorCode = 0
			e.wait.done()
			return
		}
		if !n.alive(el.meta.Replicas[0].Broker) { // it has gone since
			e.place(el).ErrorCode = kerr.PreferredLeaderNotAvailable.Code
			e.wait.done()
			return
		}
		rest = append(rest, el)
		if leader == n.self {
			n.elect(el.meta.Group)
		} else if peer := n.peer(leader); peer != nil {
			if end, known := peer.endIn(e.ends.Sub(n.now)); known {
				peer.envelope = appendElect(peer.begin(), el.meta.Group, end)
			}
		}
	}, func() {
		if e.open = rest; len(rest) > 0 {
			n.deadlines.Add(n.now.Add(millis(electionCheck)), e.check)
		}
	})
}

// elect lets a group's preferred replica take over, if this broker leads the group.
func (n *Node) elect(id GroupID) {
	g, p := n.group(id), n.catalog.byGroup[id]
	if g != nil && p != nil && g.serving {
		g.balance(p.Replicas[0].Broker, "on request")
	}
}
