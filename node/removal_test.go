// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// ends lets time pass until a broker ends by itself, and checks the reason.
func (c *many) ends(id BrokerID, kind EndKind, text string) {
	c.t.Helper()
	c.nodes[id].mayEnd = true
	c.until(fmt.Sprintf("broker %d ends", id), func() bool { return c.nodes[id].node == nil })
	if end := c.nodes[id].end; end.Kind != kind || !strings.Contains(end.Error(), text) {
		c.t.Fatalf("broker %d ended with kind %d, %v; want kind %d and %q", id, end.Kind, end, kind, text)
	}
}

// drained makes a cluster of four in which the leader of the catalog has no replica of a partition, and returns it and
// another broker.
func drained(t *testing.T) (c *many, leaves, stays BrokerID) {
	c = newMany(t, 4, small)
	c.create("t", 1, 2, 3, 4)
	leaves = BrokerID(c.nodes[1].node.controller())
	stays = leaves%4 + 1
	if code := c.unregister(stays, leaves); code != kerr.InvalidRequest.Code {
		t.Errorf("with a replica: %s", kafka.CodeName(code))
	}
	var rest []int32
	for _, id := range c.ids {
		if id != leaves {
			rest = append(rest, int32(id))
		}
	}
	c.reassign("t", rest...)
	c.until("it has no replica", func() bool { _, has := c.view(leaves, "t"); return !has && c.leader("t") > 0 })
	return c, leaves, stays
}

// TestBrokerLeaves removes the broker that leads the catalog. It hears of it, says so and ends, can't disturb the rest,
// ends again when it is started again, and comes back only with an empty disk. It makes no difference whether it is
// asked itself.
func TestBrokerLeaves(t *testing.T) {
	for _, itself := range []bool{false, true} {
		t.Run(fmt.Sprintf("itself=%v", itself), func(t *testing.T) { testBrokerLeaves(t, itself) })
	}
}

func testBrokerLeaves(t *testing.T, itself bool) {
	c, leaves, stays := drained(t)
	asked := stays
	if itself {
		asked = leaves
	}
	c.nodes[leaves].mayEnd = true
	c.until("it can be removed", func() bool { return c.unregister(asked, leaves) == 0 })
	if code := c.unregister(stays, leaves); code != kerr.BrokerIDNotRegistered.Code {
		t.Errorf("the second time: %s", kafka.CodeName(code))
	}
	out := func() bool {
		g := c.nodes[stays].node.group(0)
		return len(g.conf.Voters) == 3 && len(g.conf.VotersOutgoing) == 0 && !g.hasReplica(leaves)
	}
	c.until("it doesn't vote on the catalog", out)
	c.ends(leaves, EndRemoved, fmt.Sprintf("broker %d, incarnation 1, was removed from the cluster", leaves))
	if n := c.nodes[leaves].events[EventBrokerRemoved]; n != 1 {
		t.Errorf("it told %d times of its removal", n)
	}
	term := c.nodes[stays].node.group(0).term
	c.start(leaves)
	c.ends(leaves, EndRemoved, "was removed")
	for range 1000 {
		c.round()
	}
	if now := c.nodes[stays].node.group(0).term; now != term {
		t.Errorf("the term went from %d to %d after it left", term, now)
	}
	if !out() {
		t.Error("it is back with its old disk")
	}
	c.add(leaves, 4, 9)
	c.until("it is back", func() bool {
		return c.nodes[leaves].events[EventReady] > 0 && len(c.nodes[stays].node.group(0).conf.Voters) == 4
	})
}

// TestRemovedWhileAway starts a broker that was down while it was removed: its own catalog knows nothing of it. It ends
// when a majority of the others says so.
func TestRemovedWhileAway(t *testing.T) {
	c, leaves, stays := drained(t)
	c.kill(leaves)
	c.until("it can be removed", func() bool { return c.unregister(stays, leaves) == 0 })
	c.start(leaves)
	c.ends(leaves, EndRemoved, "was removed")
}

// TestRemovalIsNotBelieved lets single brokers say that another one was removed, which isn't so.
func TestRemovalIsNotBelieved(t *testing.T) {
	c := newMany(t, 3, small)
	lie := binary.AppendUvarint([]byte{envelopeVersion, itemRemoved}, 1)
	for i := range 400 {
		for _, from := range []BrokerID{2, 2, 7} {
			c.nodes[1].in.Messages = append(c.nodes[1].in.Messages, Message{From: from, Data: lie})
		}
		if i > 100 { // the broker is cut off, and one of the others still gets through
			c.nodes[1].cut = true
		}
		c.round()
	}
	c.nodes[1].cut = false
	for _, from := range []BrokerID{2, 3} { // a majority, but there is a leader
		c.nodes[1].in.Messages = append(c.nodes[1].in.Messages, Message{From: from, Data: lie})
	}
	c.until("all is well again", func() bool { return c.nodes[1].node.controller() > 0 })
	for range 100 {
		for _, from := range []BrokerID{2, 3} {
			c.nodes[1].in.Messages = append(c.nodes[1].in.Messages, Message{From: from, Data: lie})
		}
		c.round()
	}
}

// TestOneOfTwoIsNotBelieved lets the only other member of a cluster of two say that a broker was removed, which isn't so.
func TestOneOfTwoIsNotBelieved(t *testing.T) {
	c := newMany(t, 3, small)
	c.nodes[3].mayEnd = true
	c.until("the third is removed", func() bool { return c.unregister(1, 3) == 0 })
	for _, liar := range []BrokerID{1, 2} {
		honest := c.nodes[3-liar]
		honest.cut = true
		for range 600 {
			lie := binary.AppendUvarint([]byte{envelopeVersion, itemRemoved}, 1)
			honest.in.Messages = append(honest.in.Messages, Message{From: liar, Data: lie})
			c.round()
		}
		honest.cut = false
		c.until("all is well again", func() bool { return c.nodes[1].node.controller() > 0 && c.nodes[2].node.controller() > 0 })
	}
}

// TestBrokersLeaveOneByOne removes two brokers at once. The second is removed when group 0 doesn't count on the first any more.
func TestBrokersLeaveOneByOne(t *testing.T) {
	c := newMany(t, 4, small)
	c.nodes[3].mayEnd, c.nodes[4].mayEnd = true, true
	m := c.nodes[1]
	m.replies = nil
	for i, id := range []int32{3, 4} {
		req := kmsg.NewPtrUnregisterBrokerRequest()
		req.BrokerID = id
		m.in.Requests = append(m.in.Requests, Request{Conn: ConnID(i + 1), Frame: kafka.AppendRequest(nil, int32(i), "test", req)})
	}
	c.until("both are answered", func() bool {
		cat := m.node.catalog
		if cat.broker(4).Removed && cat.broker(3).Removed && m.node.group(0).hasReplica(3) && m.node.group(0).hasReplica(4) {
			t.Fatal("two brokers leave at once")
		}
		return len(m.replies) == 2
	})
	c.until("both ended", func() bool { return c.nodes[3].node == nil && c.nodes[4].node == nil })
}

// TestLeavingBrokerAnswers asks the leaving broker itself. It is cut off from the moment at which it knows of its
// removal until it is out of group 0, so it never gets the configuration without it.
func TestLeavingBrokerAnswers(t *testing.T) {
	c, leaves, stays := drained(t)
	m := c.nodes[leaves]
	m.mayEnd = true
	req := kmsg.NewPtrUnregisterBrokerRequest()
	req.BrokerID = int32(leaves)
	m.replies = nil
	m.in.Requests = append(m.in.Requests, Request{Conn: 1, Frame: kafka.AppendRequest(nil, 99, "test", req)})
	c.until("it knows", func() bool { return m.events[EventBrokerRemoved] > 0 })
	m.cut = true
	c.until("it is out of group 0", func() bool { return !c.nodes[stays].node.group(0).hasReplica(leaves) })
	m.cut = false
	c.until("it ends", func() bool { return m.node == nil })
	resp := req.ResponseKind()
	if len(m.replies) != 1 {
		t.Fatalf("it ended with %d answers", len(m.replies))
	}
	if _, err := kafka.ParseResponse(kafka.Frame(m.replies[0].Frame).Bytes(), resp); err != nil || resp.(*kmsg.UnregisterBrokerResponse).ErrorCode != 0 {
		t.Errorf("it answers %v, %v", resp, err)
	}
}

// TestRemovalAskedTwice asks for a removal a second time while group 0 still counts on the broker: the answer that it isn't
// in the cluster would be taken for leave to switch it off, and group 0 might never have a majority again.
func TestRemovalAskedTwice(t *testing.T) {
	c, leaves, stays := drained(t)
	m := c.nodes[stays]
	m.replies = nil
	req := kmsg.NewPtrUnregisterBrokerRequest()
	req.BrokerID = int32(leaves)
	m.in.Requests = append(m.in.Requests, Request{Conn: 1, Frame: kafka.AppendRequest(nil, 1, "test", req)})
	c.until("it knows of the removal", func() bool { return m.events[EventBrokerRemoved] > 0 })
	c.nodes[leaves].mayEnd = true
	m.in.Requests = append(m.in.Requests, Request{Conn: 2, Frame: kafka.AppendRequest(nil, 2, "test", req)})
	counted := func() bool { return m.node.group(0).hasReplica(leaves) }
	if !counted() {
		t.Fatal("group 0 is faster than this test")
	}
	c.until("both are answered", func() bool {
		if len(m.replies) > 0 && counted() {
			t.Fatal("the answer comes while group 0 counts on the broker")
		}
		return len(m.replies) == 2
	})
}
