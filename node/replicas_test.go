// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

func TestReplicasMove(t *testing.T) {
	for name, change := range map[string]func(*Config){"whole log": nil, "log that was cut": small} {
		t.Run(name, func(t *testing.T) {
			c := newMany(t, 3, change)
			c.add(4, 4, 2) // joins an existing cluster
			c.addKnowing(5, 2, notLeading(c))
			c.until("the new brokers are ready", func() bool {
				return c.nodes[4].events[EventReady] > 0 && c.nodes[5].events[EventReady] > 0
			})
			c.create("t", 1, 2, 3)
			vs, want := values(0, 150)
			c.produce("t", vs...)
			if change != nil {
				c.deleteRecords("t", 100)
				vs, more := values(150, 50)
				c.produce("t", vs...)
				want = append(want, more...)[100:]
			}
			for _, to := range [][]int32{{4, 5, 3}, {1, 2, 3}, {4, 5}, {2, 4, 5}} {
				c.reassign("t", to...)
				c.until(fmt.Sprintf("the replicas are on %v", to), func() bool {
					return fmt.Sprint(c.replicas("t")) == fmt.Sprint(to) && c.leader("t") > 0
				})
				c.until("the others have forgotten theirs", func() bool {
					for _, id := range c.ids {
						if _, has := c.view(id, "t"); has != strings.Contains(fmt.Sprint(to), fmt.Sprint(id)) {
							return false
						}
					}
					return true
				})
			}
			if diff := cmp.Diff(want, c.read("t", int64(200*btoi(change != nil)-100*btoi(change != nil)))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A replica votes only once what it still lacks would fit into the reserve of a disk that becomes full, however few entries that are.
func TestFarBehindInBytesDoesNotVote(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { cfg.CatchUpBytesPerSecond = 64 << 10 })
	c.create("t", 1, 2)
	for range 40 {
		c.produce("t", strings.Repeat("x", 10<<10))
	}
	c.reassign("t", 1, 3)
	c.until("the new replica votes", func() bool {
		v, ok := c.view(1, "t")
		return ok && slices.ContainsFunc(v.Voters, func(id uint64) bool { return brokerOf(id) == 3 })
	})
	leader, _ := c.view(1, "t")
	if v, _ := c.view(3, "t"); leader.LastIndex > v.LastIndex+4 {
		t.Errorf("it votes with %d entries of %d", v.LastIndex, leader.LastIndex)
	}
}

// moved is a cluster in which a partition moves from three brokers to another three.
type moved struct {
	*many
	leads, stays, leaves BrokerID // the leader of the partition, and the other two of the brokers before
}

func newMoved(t *testing.T) *moved {
	c := newMany(t, 3, nil)
	c.add(4, 3, 2)
	c.until("the new broker is ready", func() bool { return c.nodes[4].events[EventReady] > 0 })
	leaves := BrokerID(c.nodes[1].node.controller()) // hears the report of the leader, and commits it with the third
	m := &moved{c, leaves%3 + 1, (leaves+1)%3 + 1, leaves}
	c.create("t", int32(m.leads), int32(m.stays), int32(leaves))
	c.until("the preferred replica leads", func() bool { return c.leader("t") == m.leads })
	c.produce("t", "a")
	c.reassign("t", int32(m.leads), int32(m.stays), 4)
	return m
}

// over reports whether the move is over, as far as its leader knows.
func (m *moved) over() bool {
	v, _ := m.view(m.leads, "t")
	return len(v.Outgoing) == 0 && len(v.Replicas) == 3 && !slices.Contains(v.Replicas, m.leaves)
}

// loseLeader ends the leader, and demands that another one is elected.
func (m *moved) loseLeader(want ...string) {
	m.t.Helper()
	m.kill(m.leads)
	m.lost = nil
	m.until("another one leads", func() bool { return m.leader("t") > 0 })
	if diff := cmp.Diff(want, m.read("t", 0)[:len(want)]); diff != "" {
		m.t.Error(diff)
	}
}

// A move's last change is committed, and its leader falls silent before the others hear of that, and then dies. They go by the old replicas
// and the new ones, so they need the vote of the one that was to leave: it mustn't be gone.
func TestLeaderDiesBeforeOthersKnowTheMoveIsOver(t *testing.T) {
	c := newMoved(t)
	c.until("the move is over for the leader", c.over)
	if v, _ := c.view(c.stays, "t"); len(v.Outgoing) == 0 {
		t.Fatal("another replica knows already that the move is over")
	}
	c.lost = func(from, to BrokerID) bool { return from == c.leads && to != c.leaves }
	for range 400 {
		c.round()
	}
	c.loseLeader("0=a")
}

// onlyOneKnows brings it about that of the replicas that are left only the one that is to leave has heard that the move is over, and that it has the longest
// log. It returns the entry of the move's last change.
func (c *moved) onlyOneKnows() uint64 {
	c.lost = func(from, to BrokerID) bool {
		return from == c.leads && to != c.leaves && c.nodes[from].node != nil && c.over()
	}
	req := produceRequest("t", 1, kafka.AppendBatch(nil, kafka.NewBatchSpec(kafka.Record{Value: []byte("b")})))
	for range 4000 { // so that a record is in the step in which the leader hears that it has a majority for the change
		m := c.nodes[c.leads]
		m.lastID++
		m.in.Requests = append(m.in.Requests, Request{Conn: 2, Frame: kafka.AppendRequest(nil, m.lastID, "test", req)})
		if c.round(); c.over() {
			break
		}
	}
	change, _ := c.view(c.leads, "t")
	c.kill(c.leads)
	c.round()
	has := func(id BrokerID) View { v, _ := c.view(id, "t"); return v }
	if left := has(c.leaves); left.LastIndex <= max(has(c.stays).LastIndex, has(4).LastIndex) || left.Applied < change.ConfIndex {
		c.t.Fatalf("it has %d entries and has applied %d; the others have %d and %d", left.LastIndex, left.Applied, has(c.stays).LastIndex, has(4).LastIndex)
	}
	return change.ConfIndex
}

// The same, but the replica that is to leave is the only one that hears of the commit, and of a record after it. It has the longest log, so it
// votes for nobody, and only it can be elected.
func TestOnlyTheReplicaThatLeavesKnowsThatTheMoveIsOver(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart=", restart), func(t *testing.T) {
			c := newMoved(t)
			c.onlyOneKnows()
			if restart {
				c.kill(c.leaves)
				c.start(c.leaves)
			}
			c.loseLeader("0=a")
			c.until("the move is over for all", func() bool { _, has := c.view(c.leaves, "t"); return !has })
		})
	}
}

// A checkpoint of such a replica lists the replicas after the move, because it is of an entry after that.
func TestCheckpointOfAReplicaThatLeaves(t *testing.T) {
	c := newMoved(t)
	change := c.onlyOneKnows()
	m := c.nodes[c.leaves]
	before := m.events[EventCheckpoint]
	m.node.partitions[m.node.catalog.partition("t", 0).Group].group.checkpoint()
	c.until("it has a checkpoint", func() bool { return m.events[EventCheckpoint] > before })
	m.node.log.RequestSync()
	for range 5 {
		c.round()
	}
	c.kill(c.leaves)
	c.start(c.leaves)
	if v, _ := c.view(c.leaves, "t"); v.ConfIndex != change || len(v.Outgoing) > 0 {
		t.Errorf("it goes by the change at entry %d, and %v are to go; the move ended with entry %d", v.ConfIndex, v.Outgoing, change)
	}
}

// TestDefaultReplicasFitTheCluster creates topics without a number on a cluster that became smaller than
// what is configured.
func TestDefaultReplicasFitTheCluster(t *testing.T) {
	c := newMany(t, 2, func(cfg *Config) { cfg.DefaultReplicas = 5 })
	c.nodes[2].mayEnd = true
	c.until("one can leave", func() bool { return c.unregister(1, 2) == 0 })
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.AllowAutoTopicCreation = 9, true
	topic := kmsg.NewMetadataRequestTopic()
	name := "t"
	topic.Topic = &name
	req.Topics = append(req.Topics, topic)
	c.until("the topic is there", func() bool {
		resp := c.ask(1, req).(*kmsg.MetadataResponse)
		return resp.Topics[0].ErrorCode == 0 && len(resp.Topics[0].Partitions[0].Replicas) == 1
	})
}

// TestDiskLost brings a broker back with an empty disk and a new incarnation. It gets everything
// again by itself, under new raft ids.
func TestDiskLost(t *testing.T) {
	c := newMany(t, 3, small)
	c.create("t", 1, 2, 3)
	vs, want := values(0, 100)
	c.produce("t", vs...)
	c.add(3, 3, 7)
	c.until("it is ready", func() bool { return c.nodes[3].events[EventReady] > 0 })
	c.until("it has everything", func() bool {
		v, ok := c.view(3, "t")
		return ok && v.HighWatermark == 100
	})
	c.until("it votes", func() bool { return c.votes(3, 1) })
	c.until("it votes on the catalog", func() bool { return c.votes(3, 0) })
	c.kill(c.leader("t")%3 + 1) // now the new replica is needed for a majority
	vs, more := values(100, 10)
	c.produce("t", vs...)
	if diff := cmp.Diff(append(want, more...), c.read("t", 0)); diff != "" {
		t.Error(diff)
	}
}

func TestLeadersSpreadAgain(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 2, 3, 1)
	c.until("the preferred replica leads", func() bool { return c.leader("t") == 2 })
	c.kill(2)
	c.until("another leads", func() bool { return c.leader("t") > 0 })
	c.start(2)
	c.until("the preferred replica leads again", func() bool { return c.leader("t") == 2 })
	req := kmsg.NewPtrElectLeadersRequest()
	req.Version, req.TimeoutMillis = 2, 5000
	rt := kmsg.NewElectLeadersRequestTopic()
	rt.Topic, rt.Partitions = "t", []int32{0}
	req.Topics = append(req.Topics, rt)
	if p := c.ask(1, req).(*kmsg.ElectLeadersResponse).Topics[0].Partitions[0]; p.ErrorCode != kerr.ElectionNotNeeded.Code {
		t.Errorf("electing the leader that leads: %s", kafka.CodeName(p.ErrorCode))
	}
	c.kill(2)
	c.until("another leads", func() bool { return c.leader("t") > 0 })
	c.start(2)
	since := c.nodes[1].node.now
	c.until("broker 1 hears it again", func() bool { return c.nodes[1].node.peer(2).heard > since })
	p := c.ask(1, req).(*kmsg.ElectLeadersResponse).Topics[0].Partitions[0]
	if p.ErrorCode != 0 || c.leader("t") != 2 {
		t.Errorf("electing the preferred replica: %s, leader %d", kafka.CodeName(p.ErrorCode), c.leader("t"))
	}
}

// An election of a replica whose broker falls silent meanwhile ends then, and not when its time is up.
func TestElectionOfAReplicaThatGoes(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 2, 3, 1)
	c.until("the preferred replica leads", func() bool { return c.leader("t") == 2 })
	c.kill(2)
	c.until("another leads", func() bool { return c.leader("t") > 0 })
	c.start(2)
	c.until("it is alive for broker 1", func() bool { return c.nodes[1].node.alive(2) })
	c.kill(2)
	req := kmsg.NewPtrElectLeadersRequest()
	req.Version, req.TimeoutMillis = 2, 5000
	rt := kmsg.NewElectLeadersRequestTopic()
	rt.Topic, rt.Partitions = "t", []int32{0}
	req.Topics = append(req.Topics, rt)
	if !c.nodes[1].node.alive(2) {
		t.Fatal("broker 1 knows already that broker 2 is gone")
	}
	p := c.ask(1, req).(*kmsg.ElectLeadersResponse).Topics[0].Partitions[0]
	if p.ErrorCode != kerr.PreferredLeaderNotAvailable.Code {
		t.Errorf("electing a replica that goes: %s", kafka.CodeName(p.ErrorCode))
	}
}
