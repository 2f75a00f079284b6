// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"
	"strings"
	"testing"

	"chronik/kafka"
)

// apart demands that no two voters of any group are on one machine, and counts the groups that it looked at.
func (c *many) apart(t *testing.T) {
	t.Helper()
	for _, id := range c.ids {
		n := c.nodes[id].node
		if n == nil {
			continue
		}
		for _, g := range n.groups {
			for _, voters := range [][]uint64{g.conf.Voters, g.conf.VotersOutgoing} {
				seen := make(map[string]BrokerID)
				for _, v := range voters {
					if other, there := seen[onMachine(brokerOf(v))]; there {
						t.Fatalf("broker %d, group %d: brokers %d and %d vote and are on one machine", id, g.id, other, brokerOf(v))
					}
					seen[onMachine(brokerOf(v))] = brokerOf(v)
				}
			}
		}
	}
}

func TestMachines(t *testing.T) {
	c := sharing(t)
	if voters := c.catalogVoters(2); !slices.Equal(voters, []BrokerID{1, 2, 3}) {
		t.Errorf("the brokers %v vote on the catalog", voters)
	}
	if e := c.createOn(5, "t", 6, 3); e != "NONE" {
		t.Fatal(e)
	}
	c.until("broker 1 knows it", func() bool { return c.nodes[1].node.catalog.byName["t"] != nil })
	leads := make(map[BrokerID]int)
	for _, p := range c.nodes[1].node.catalog.byName["t"].Partitions {
		leads[p.Replicas[0].Broker]++
	}
	for _, id := range c.ids {
		if on := c.on(1, id, "t"); len(on) != 3 || leads[id] != 1 {
			t.Errorf("broker %d has a replica of the partitions %v of 6, and leads %d", id, on, leads[id])
		}
	}
	if e := c.grow(4, "t", 12); e != "NONE" {
		t.Error(e)
	}
	c.until("its partitions are opened", func() bool {
		for _, id := range c.ids {
			if c.nodes[id].node.Placing() || len(c.nodes[id].node.groups) != 7 {
				return false
			}
		}
		return true
	})
	c.apart(t)

	c.create("u", 1, 2, 3)
	c.reassign("u", 4, 2, 3) // the leader goes, and another broker of its machine comes
	c.until("it has moved", func() bool { c.apart(t); return slices.Equal(c.replicas("u"), []BrokerID{4, 2, 3}) })
	c.until("broker 4 leads it", func() bool { c.apart(t); return c.leader("u") == 4 })
	if s := c.nodes[4].node.Stats(); s.Partitions.Crowded != 0 {
		t.Errorf("%d partitions have two voters on one machine", s.Partitions.Crowded)
	}

	c.kill(2)
	c.kill(5)
	c.until("they are missed", func() bool { return !c.nodes[1].node.alive(2) && !c.nodes[1].node.alive(5) })
	if e := c.createOn(1, "v", 4, 3); e != "NONE" {
		t.Fatal(e)
	}
	for _, p := range c.nodes[1].node.catalog.byName["v"].Partitions {
		if b := brokersOf(p.Replicas); onMachine(b[2]) != "m2" || onMachine(b[0]) == onMachine(b[1]) {
			t.Errorf("with a machine dead, partition %d is on the brokers %v", p.Index, b)
		}
	}
}

// When the broker of a machine that votes on the catalog leaves, another one of its machine takes its place.
func TestMachineKeepsItsVote(t *testing.T) {
	c := sharing(t)
	leader := BrokerID(c.nodes[1].node.controller())
	c.nodes[leader].mayEnd = true
	other := leader%3 + 1
	if code := c.unregister(other, leader); code != 0 {
		t.Fatal(kafka.CodeName(code))
	}
	want := []BrokerID{1, 2, 3, leader + 3}
	want = slices.DeleteFunc(want, func(b BrokerID) bool { return b == leader })
	c.until("its machine votes again", func() bool {
		c.apart(t)
		voters := c.catalogVoters(other)
		slices.Sort(voters)
		return slices.Equal(voters, want)
	})
}

func TestFoundersOfOneMachine(t *testing.T) {
	cfg := Config{ClusterID: "test", BrokerID: 1}
	for id := BrokerID(1); id <= 4; id++ {
		cfg.Members = append(cfg.Members, Member{ID: id, Host: "localhost", Port: 8999 + int32(id), Machine: onMachine(id)})
	}
	if _, err := Open(cfg, memDir{}, 0); err == nil || !strings.Contains(err.Error(), `brokers 1 and 4 are both listed as founders and are on machine "m1"`) {
		t.Error(err)
	}
}
