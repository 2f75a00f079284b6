// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"chronik/kafka"
)

// onMachine is the machine of a test's broker: 1 and 4 share one, 2 and 5, 3 and 6.
func onMachine(id BrokerID) string { return fmt.Sprintf("m%d", (id-1)%3+1) }

// sharing starts three brokers that found a cluster, and three that join on their machines.
func sharing(t *testing.T) *many {
	c := newMany(t, 3, func(cfg *Config) {
		for i := range cfg.Members {
			cfg.Members[i].Machine = onMachine(cfg.Members[i].ID)
		}
	})
	for id := BrokerID(4); id <= 6; id++ {
		c.add(id, 3, 2)
		c.until("it has joined", func() bool { return c.nodes[id].events[EventReady] > 0 })
	}
	c.until("all are registered everywhere", func() bool {
		return !slices.ContainsFunc(c.ids, func(id BrokerID) bool { return len(c.nodes[id].node.catalog.brokers) < 6 })
	})
	c.until("the catalog has a replica on each", func() bool { return len(c.catalogVoters(2))+len(c.nodes[2].node.catalog.group.conf.Learners) == 6 })
	return c
}

// catalogVoters are the brokers that vote in group 0, as one of them has it.
func (c *many) catalogVoters(as BrokerID) (brokers []BrokerID) {
	for _, id := range c.nodes[as].node.catalog.group.conf.Voters {
		brokers = append(brokers, brokerOf(id))
	}
	return brokers
}

// askPlaced asks for a topic of one partition on some brokers, and returns the error's name and text.
func (c *many) askPlaced(id BrokerID, topic string, replicas ...int32) (name, text string) {
	c.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, 5000
	in := kmsg.NewCreateTopicsRequestTopic()
	in.Topic, in.NumPartitions, in.ReplicationFactor = topic, -1, -1
	a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
	a.Replicas = replicas
	in.ReplicaAssignment = append(in.ReplicaAssignment, a)
	req.Topics = append(req.Topics, in)
	r := c.ask(id, req).(*kmsg.CreateTopicsResponse).Topics[0]
	if r.ErrorMessage != nil {
		text = *r.ErrorMessage
	}
	return kafka.CodeName(r.ErrorCode), text
}

func TestTwoOnOneMachineAreRefused(t *testing.T) {
	c := sharing(t)
	if e := c.createOn(6, "t", 1, 4); e != "INVALID_REPLICATION_FACTOR" {
		t.Errorf("four replicas on three machines: %s", e)
	}
	if _, err := c.nodes[6].node.place(1, 4); err == nil || !strings.Contains(err.Error(), "6 brokers are on 3 machines") {
		t.Errorf("it is refused with the words: %v", err)
	}
	const want = `INVALID_REPLICA_ASSIGNMENT: partition 0 is assigned to the brokers 1 and 4, which are both on machine "m1" and die with it: name one broker of each machine; there are 3 machines`
	if name, text := c.askPlaced(3, "t", 1, 2, 4); name != "INVALID_REPLICA_ASSIGNMENT" || text != want {
		t.Errorf("%s: %s", name, text)
	}
	if name, text := c.askPlaced(3, "t", 4, 2, 3); name != "NONE" {
		t.Errorf("%s: %s", name, text)
	}
	move := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	move.TimeoutMillis = 5000
	rt, rp := kmsg.NewAlterPartitionAssignmentsRequestTopic(), kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	rp.Replicas = []int32{4, 2, 5}
	rt.Topic, rt.Partitions = "t", append(rt.Partitions, rp)
	move.Topics = append(move.Topics, rt)
	if p := c.ask(3, move).(*kmsg.AlterPartitionAssignmentsResponse).Topics[0].Partitions[0]; p.ErrorCode != kerr.InvalidReplicaAssignment.Code || !strings.Contains(*p.ErrorMessage, "2 and 5") {
		t.Errorf("a move to two brokers of a machine: %+v", p)
	}
	grow := kmsg.NewPtrCreatePartitionsRequest()
	grow.Version, grow.TimeoutMillis = 3, 5000
	in := kmsg.NewCreatePartitionsRequestTopic()
	in.Topic, in.Count = "t", 2
	in.Assignment = []kmsg.CreatePartitionsRequestTopicAssignment{{Replicas: []int32{3, 6, 1}}}
	grow.Topics = append(grow.Topics, in)
	if r := c.ask(3, grow).(*kmsg.CreatePartitionsResponse).Topics[0]; r.ErrorCode != kerr.InvalidReplicaAssignment.Code {
		t.Errorf("a new partition on two brokers of a machine: %+v", r)
	}
}

// A broker that is in another one's list and hasn't registered may be anywhere, unless the list says where it is.
func TestWhoseMachineIsUnknownGetsNothing(t *testing.T) {
	c := sharing(t)
	n := c.nodes[1].node
	n.cfg.Members = append(n.cfg.Members[:n.configured:n.configured], Member{ID: 9, Host: "localhost", Port: 9007})
	n.configured++
	n.addPeer(9)
	n.forgetHosts()
	if h := n.candidates(); slices.Contains(h.unable, 9) || h.brokers() != 6 {
		t.Errorf("it counts: %+v", h)
	}
	if err := n.checkPlacement([][]BrokerID{{2, 9}}); err == nil || !strings.Contains(err.Error(), "hasn't registered yet") {
		t.Error(err)
	}
	n.cfg.Members[n.configured-1].Machine = "m9"
	n.forgetHosts()
	if err := n.checkPlacement([][]BrokerID{{2, 9}}); err != nil || n.candidates().brokers() != 7 {
		t.Error(err)
	}
}

// A broker whose catalog an earlier release wrote down doesn't know the machines. It hears of them when it registers.
func TestForgottenMachines(t *testing.T) {
	c := sharing(t)
	forget := func(n *Node) {
		for _, b := range n.catalog.brokers {
			b.Machine = ""
		}
	}
	c.kill(3)
	c.nodes[3].cfg.Seed++ // another process
	c.start(3)
	forget(c.nodes[3].node)
	c.until("it knows them again", func() bool { return len(c.nodes[3].node.machines()) == 6 })
	told := c.nodes[3].events[EventBrokerRegistered]
	for range 400 {
		c.round()
	}
	if more := c.nodes[3].events[EventBrokerRegistered] - told; more > 5 {
		t.Errorf("in two seconds brokers registered %d times more, though no process is new", more)
	}
}

// Replicas of a partition are on different machines, as many as there can be, and where no machine is shared they are where they always were.
func TestPick(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &hosts{}
		shared := rapid.Bool().Draw(t, "machines are shared")
		for b := range BrokerID(rapid.IntRange(1, 12).Draw(t, "brokers")) {
			if rapid.Bool().Draw(t, "is able") || len(h.able) == 0 {
				h.able = append(h.able, b)
			} else {
				h.unable = append(h.unable, b)
			}
			if shared && rapid.IntRange(0, 3).Draw(t, "names a machine") > 0 {
				if h.machines == nil {
					h.machines = make(machines)
				}
				h.machines[b] = onMachine(BrokerID(rapid.IntRange(1, 3).Draw(t, "machine")))
			}
		}
		h.order = h.machines.interleaved(h.able)
		most := h.count()
		start, replicas := rapid.IntRange(0, 100).Draw(t, "start"), rapid.IntRange(1, most).Draw(t, "replicas")
		got := h.pick(nil, start, replicas)
		if len(got) != replicas {
			t.Fatalf("%d replicas of %d, with %d machines: %v", len(got), replicas, most, got)
		}
		there := make(map[string]bool)
		for _, b := range got {
			on := fmt.Sprint("alone", b)
			if name, named := h.machines[b]; named {
				on = name
			}
			if there[on] {
				t.Fatalf("%v has two on %s", got, on)
			}
			there[on] = true
		}
		if h.machines == nil {
			var want []BrokerID
			for r := range replicas {
				if r < len(h.able) {
					want = append(want, h.able[(start+r)%len(h.able)])
				} else {
					want = append(want, h.unable[(start+r)%len(h.unable)])
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatal(diff)
			}
		}
		if want := slices.Sorted(maps.Keys(there)); len(want) != replicas {
			t.Fatalf("%d machines of %d", len(want), replicas)
		}
	})
}
