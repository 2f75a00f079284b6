// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"strconv"
)

// Machine is the machine of a broker, from 1. Brokers are put on Machines machines in turn; without that each has its own.
func (p *Plan) Machine(broker int) int {
	if p.Machines == 0 {
		return broker
	}
	return 1 + (broker-1)%p.Machines
}

// OfMachine says that a fault of one broker is one of its machine, or of the one process that runs all brokers of a machine.
func (k FaultKind) OfMachine() bool {
	switch k {
	case FaultKill, FaultPower, FaultRecovery, FaultStop, FaultPause:
		return true
	}
	return false
}

func (p *Plan) validateMachines() error {
	if p.Machines < 0 || p.Machines > p.Brokers || p.Machines > 0 && p.FounderCount() > p.Machines {
		return fmt.Errorf("machines is %d; use as many as there are founders (%d) to %d, or 0", p.Machines, p.FounderCount(), p.Brokers)
	}
	return nil
}

// machines lets brokers of a share of worlds share machines. Where all brokers found the cluster, more are added, which join on the
// machines of those. Partitions are moved to brokers of different machines, and sometimes to those of one, which must be refused.
func (g *generator) machines() {
	p := g.plan
	if g.prof.machines == 0 || p.Brokers > 5 && p.FounderCount() == p.Brokers || p.Security != nil || p.Rollout != nil || len(p.Lists) > 0 || !g.chance(g.prof.machines, 100) {
		return
	}
	if founders := p.FounderCount(); founders < p.Brokers {
		p.Machines = int(g.between(int64(founders), int64(p.Brokers-1)))
	} else {
		p.Founders, p.Machines = founders, founders
		for range g.between(1, int64(min(founders, MaxBrokers-founders))) {
			g.another()
		}
		operators := []int{g.client(false), g.client(false)}
		for range g.wide(1, 16) {
			c := g.onSomePartition(Call{Client: operators[g.pick(2)], Kind: CallMove})
			if c.Brokers = g.someBrokers(false); !p.Topic(c.Topic).Late {
				g.call(c)
			}
		}
	}
	for i := range p.Calls {
		if c := &p.Calls[i]; c.Kind == CallMove && g.chance(3, 4) {
			c.Brokers = p.apart(c.Brokers)
		}
	}
}

// another adds a broker that joins.
func (g *generator) another() {
	p := g.plan
	p.Brokers++
	p.Clocks = append(p.Clocks, Clock{})
	id := 0
	for i := range p.Faults {
		id = max(id, p.Faults[i].ID)
	}
	p.Faults = append(p.Faults, Fault{
		ID: id + 1, Kind: FaultJoin, Target: Target(strconv.Itoa(p.Brokers)), At: Duration(g.upTo(int64(p.Safety)/3) / 1000 * 1000),
	})
}

// apart returns the first brokers of each machine in a list.
func (p *Plan) apart(brokers []int) (list []int) {
	for _, b := range brokers {
		if !slices.ContainsFunc(list, func(o int) bool { return p.Machine(o) == p.Machine(b) }) {
			list = append(list, b)
		}
	}
	return list
}
