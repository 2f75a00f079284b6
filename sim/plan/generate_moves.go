// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"strconv"
)

// membership lets the brokers that are no founders join, partitions move, and some brokers leave.
func (g *generator) membership() {
	p := g.plan
	if !g.moves {
		return
	}
	for b := p.Founders + 1; b <= p.Brokers; b++ {
		p.Faults = append(p.Faults, Fault{
			ID: len(p.Faults) + 1, Kind: FaultJoin, Target: Target(strconv.Itoa(b)),
			At: Duration(g.upTo(int64(p.Safety)/2) / 1000 * 1000),
		})
	}
	operators := []int{g.client(false), g.client(false)}
	whole := g.chance(1, 2) // every partition always has three replicas, so that disks can be lost
	for range g.wide(1, 16) {
		c := g.onSomePartition(Call{Client: operators[g.pick(2)], Kind: CallMove})
		switch g.pick(8) {
		default:
			c.Brokers = g.someBrokers(whole)
		case 6:
			c.Kind = CallElect
		case 7: // call it off
		}
		g.call(c)
	}
	if p.Brokers > 2 && g.chance(1, 3) {
		g.leave(operators, whole)
	}
}

// late adds a topic that is made when some brokers are dead: its partitions have one replica each, and are as many as
// there are brokers.
func (g *generator) late() {
	if g.chance(1, 2) {
		g.plan.Topics = append(g.plan.Topics, Topic{Name: "late", Partitions: int32(g.plan.Brokers), Replicas: 1, Late: true})
	}
}

// leave moves all partitions away from a broker, then removes it.
func (g *generator) leave(operators []int, whole bool) {
	p := g.plan
	leaves := int(g.between(2, int64(p.Brokers)))
	if leaves <= p.Founders && slices.ContainsFunc(p.Topics, func(t Topic) bool { return int(t.Replicas) == p.Founders }) {
		return // topics couldn't be created any more
	}
	from := Duration(g.upTo(int64(p.Safety)))
	for i := range p.Topics {
		for n := range p.Topics[i].Partitions {
			c := Call{At: from, Client: operators[0], Kind: CallMove, Topic: p.Topics[i].Name, Partition: n, Brokers: g.someBrokers(whole)}
			c.Brokers = slices.DeleteFunc(c.Brokers, func(b int) bool { return b == leaves })
			if len(c.Brokers) > 0 {
				g.call(c)
			}
		}
	}
	g.call(Call{At: from, Client: operators[1], Kind: CallRemove, Topic: p.Topics[0].Name, Brokers: []int{leaves}})
}

// onSomePartition gives a call a time and a partition.
func (g *generator) onSomePartition(c Call) Call {
	t := &g.plan.Topics[g.pick(int64(len(g.plan.Topics)))]
	c.At = Duration(g.upTo(int64(g.plan.Safety)) / 1000 * 1000)
	c.Topic, c.Partition = t.Name, int32(g.pick(int64(t.Partitions)))
	return c
}

// someBrokers draws where a partition is moved, the preferred leader first.
func (g *generator) someBrokers(whole bool) []int {
	var all []int
	for b := range g.plan.Brokers {
		all = append(all, b+1)
	}
	n := min(3, len(all))
	if !whole && g.chance(1, 2) {
		n = int(g.between(1, min(5, int64(len(all)))))
	}
	for i := range n {
		j := i + int(g.pick(int64(len(all)-i)))
		all[i], all[j] = all[j], all[i]
	}
	return all[:n]
}
