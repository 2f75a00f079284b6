// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strconv"

	"chronik/sim/keyed"
)

// EpochLength is the virtual time of calls and faults in an epoch of a soak.
const EpochLength = 5 * 60 * second

// What happens in an epoch, at most or about.
const (
	soakProducers = 64
	soakConsumers = 8
	soakBatches   = 30 // of each producer
	soakFetches   = 50 // of each consumer
	soakFaults    = 8
)

// Soak is the plan of a soak with its first epoch.
func Soak(s uint64) *Plan {
	g := soakGenerator(s, 0)
	g.soakCluster()
	g.epoch()
	return g.plan
}

// SoakEpoch is the plan with new calls and faults.
func (p *Plan) SoakEpoch(epoch int) *Plan {
	g := soakGenerator(p.Seed, epoch)
	g.plan.Brokers, g.plan.Founders = p.Brokers, p.Founders
	g.plan.Topics = p.Topics
	g.epoch()
	next := *p
	next.Calls, next.Faults = g.plan.Calls, g.plan.Faults
	for i := range next.Calls {
		next.Calls[i].ID += epoch << 24
	}
	for i := range next.Faults {
		next.Faults[i].ID += epoch << 24
	}
	return &next
}

func soakGenerator(s uint64, epoch int) *generator {
	n := uint64(0)
	g := &generator{prof: &profile{name: "soak"}, plan: &Plan{Seed: s, Profile: "soak", Safety: EpochLength}}
	g.pick = func(limit int64) int64 {
		n++
		return keyed.Seed(s).Draw(domain, uint64(epoch), n).Below(limit)
	}
	return g
}

// soakCluster is a plain cluster with the defaults of production where they matter.
func (g *generator) soakCluster() {
	p := g.plan
	p.Brokers, p.Founders = 3, 3
	p.Clocks = []Clock{{}, {OffsetMs: 1500, DriftPPM: 20}, {OffsetMs: -700, DriftPPM: -35}}
	for i := range 4 {
		p.Topics = append(p.Topics, Topic{Name: "t" + strconv.Itoa(i), Partitions: 2, Replicas: 3, RetentionBytes: 1 << 19})
	}
	p.Knobs = Knobs{
		Tick: 100 * millisecond, ElectionTicks: 10, HeartbeatTicks: 2, SegmentBytes: 1 << 18, CacheBytes: 4 << 20,
		StepCost: 50 * microsecond, StepItems: 1000, LinkLatency: 500 * microsecond, LinkInOrder: true,
		WriteLatency: 2 * millisecond, ReadLatency: millisecond, RestartTime: 50 * millisecond,
	}
	admin := g.client(false)
	for i := range p.Topics {
		g.call(Call{Client: admin, Kind: CallCreate, Topic: p.Topics[i].Name})
	}
	for range soakProducers {
		g.client(true)
	}
	for range soakConsumers {
		g.client(false)
	}
	for i := range p.Clients { // slow enough for a broker that restarts
		p.Clients[i].Timeout, p.Clients[i].GiveUp = 2*second, 60*second
	}
}

// epoch draws calls and faults. Clients are the administrator, the producers, the consumers.
func (g *generator) epoch() {
	one := func(c Call) {
		c.At = Duration(g.upTo(int64(EpochLength)) / 1000 * 1000)
		t := &g.plan.Topics[g.pick(int64(len(g.plan.Topics)))]
		c.Topic, c.Partition = t.Name, int32(g.pick(int64(t.Partitions)))
		g.call(c)
	}
	for i := range soakProducers {
		for range soakBatches {
			one(Call{Client: 2 + i, Kind: CallProduce, Records: int(g.wide(1, 20)), Size: int(g.wide(MinValue, 512)), Acks: -1})
		}
	}
	for i := range soakConsumers {
		for n := range soakFetches {
			one(Call{Client: 2 + soakProducers + i, Kind: []string{CallFetch, CallFetch, CallFetch, CallLatest}[n%4]})
		}
	}
	for range g.upTo(soakFaults) {
		g.fault(drawnKinds[g.pick(int64(len(drawnKinds)))], g.chance(1, 4))
	}
}
