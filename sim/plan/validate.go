// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"errors"
	"fmt"
	"slices"
)

// Validate reports the first thing in the plan that cannot be run.
func (p *Plan) Validate() error {
	if p.Brokers < 1 || p.Brokers > MaxBrokers {
		return fmt.Errorf("brokers is %d; use 1 to %d", p.Brokers, MaxBrokers)
	}
	if p.Founders < 0 || p.Founders > p.Brokers {
		return fmt.Errorf("founders is %d; use 1 to %d, or 0 for all brokers", p.Founders, p.Brokers)
	}
	if len(p.Clocks) != p.Brokers {
		return fmt.Errorf("%d clocks for %d brokers; give one each", len(p.Clocks), p.Brokers)
	}
	k := p.Knobs
	if k.Tick < millisecond || k.StepItems < 1 || k.StepCost < 1 || k.LinkLatency < 1 || k.WriteLatency < 1 ||
		k.ReadLatency < 1 || k.RestartTime < 1 {
		return errors.New("knobs: tick must be at least 1ms, the other times and step_items positive")
	}
	for _, e := range p.Expect {
		if !slices.Contains(EventNames()[1:], e) {
			return fmt.Errorf("expect %q: use one of %v", e, EventNames()[1:])
		}
	}
	topics, most := make(map[string]bool), p.mostReplicas()
	for _, t := range p.Topics {
		if topics[t.Name] || t.Partitions < 1 || t.Replicas < 1 || int(t.Replicas) > most {
			return fmt.Errorf("topic %q is listed twice, has no partition, or has not 1 to %d replicas (as many as there are founders, and brokers that never leave)", t.Name, most)
		}
		topics[t.Name] = true
	}
	clients := make(map[int]bool)
	for _, c := range p.Clients {
		if c.ID < 1 || clients[c.ID] || c.InFlight < 1 || c.Timeout < millisecond || c.GiveUp < c.Timeout ||
			c.Home < 1 || c.Home > p.Brokers {
			return fmt.Errorf("client %d: id must be unique and positive, in_flight positive, give_up >= timeout >= 1ms, home a broker", c.ID)
		}
		if !slices.Contains(versions, c.Versions) || c.Wraps < 0 || c.Skew < 0 || c.Rack < 0 {
			return fmt.Errorf("client %d: versions must be one of %q, wraps, skew and rack not negative", c.ID, versions)
		}
		if c.Keeps && (c.Idempotent || c.Joint || c.InFlight > 1) {
			return fmt.Errorf("client %d: one that keeps offsets is not idempotent, and sends one batch at a time", c.ID)
		}
		clients[c.ID] = true
	}
	if len(p.Clients) == 0 || len(p.Topics) == 0 {
		return errors.New("a world needs a topic and a client")
	}
	if err := p.validateCalls(clients); err != nil {
		return err
	}
	for _, validate := range []func() error{p.validateMachines, p.validateMembers, p.validateWatcher, p.validateAttacks, p.validateLies, p.validateLists, p.validateAsks, p.validateTransactors, p.validateSecurity, p.validateHasty, p.validateRollout} {
		if err := validate(); err != nil {
			return err
		}
	}
	return p.validateFaults()
}

func (p *Plan) validateCalls(clients map[int]bool) error {
	ids := make(map[int]bool)
	for _, c := range p.Calls {
		if c.ID < 1 || ids[c.ID] || !clients[c.Client] || c.At < 0 {
			return fmt.Errorf("call %d: id must be unique and positive, client known, at not negative", c.ID)
		}
		ids[c.ID] = true
		t := p.Topic(c.Topic)
		if t == nil || c.Partition < 0 || c.Partition >= t.Partitions {
			return fmt.Errorf("call %d: no partition %s/%d in the plan", c.ID, c.Topic, c.Partition)
		}
		for i, b := range c.Brokers {
			if b < 1 || b > p.Brokers || slices.Contains(c.Brokers[:i], b) {
				return fmt.Errorf("call %d: brokers must be different and from 1 to %d", c.ID, p.Brokers)
			}
		}
		switch c.Kind {
		case CallRemove:
			if len(c.Brokers) != 1 {
				return fmt.Errorf("call %d: remove needs one broker", c.ID)
			}
		case CallProduce:
			if c.Records < 1 || c.Size < MinValue || c.Acks < -1 || c.Acks > 1 {
				return fmt.Errorf("call %d: produce needs records >= 1, size >= %d, acks -1, 0 or 1", c.ID, MinValue)
			}
		case CallGrow:
			if !t.Grows || c.Offset < 1 {
				return fmt.Errorf("call %d: grow needs a topic that grows, and a number of partitions as its offset", c.ID)
			}
		case CallTrim:
			if c.Offset < -1 {
				return fmt.Errorf("call %d: trim needs an offset, or -1", c.ID)
			}
		case CallFetch, CallLatest, CallCreate, CallDelete, CallConfigure, CallMove, CallElect:
		default:
			return fmt.Errorf("call %d: unknown kind %q", c.ID, c.Kind)
		}
	}
	return nil
}

func (p *Plan) validateFaults() error {
	ids := make(map[int]bool)
	for _, f := range p.Faults {
		if f.ID < 1 || ids[f.ID] || f.At < 0 || f.For < 0 || f.Times < 0 {
			return fmt.Errorf("fault %d: id must be unique and positive, at, for and times not negative", f.ID)
		}
		if f.Kind.Unsurvivable() && !p.Beyond() {
			return fmt.Errorf("fault %d: no cluster survives %s; use it in profile %s", f.ID, f.Kind, beyond)
		}
		ids[f.ID] = true
		if !f.Kind.known() {
			return fmt.Errorf("fault %d: unknown kind %q", f.ID, f.Kind)
		}
		n, number := f.Target.Broker()
		switch {
		case number && n >= 1 && n <= p.Brokers:
		case f.Target == TargetLeader, f.Target == TargetFollower, f.Target == TargetAll:
		case f.Target == TargetHere && f.After != nil:
		default:
			return fmt.Errorf("fault %d: unknown target %q (here needs an anchor)", f.ID, f.Target)
		}
		if f.Kind == FaultJoin && !number {
			return fmt.Errorf("fault %d: join needs a broker's number as its target", f.ID)
		}
		if (f.Kind == FaultLink || f.Kind == FaultBridge) && (f.Peer < 1 || f.Peer > p.Brokers) {
			return fmt.Errorf("fault %d: link and bridge need a peer", f.ID)
		}
		if f.Kind == FaultNarrow && f.Rate < 1 {
			return fmt.Errorf("fault %d: narrow needs a rate", f.ID)
		}
		if a := f.After; a != nil && (a.Count < 1 || a.Broker < 0 || a.Broker > p.Brokers || !anchorKnown(a.Event)) {
			return fmt.Errorf("fault %d: bad anchor: count from 1, broker 0 to %d, event one of %v", f.ID, p.Brokers, AnchorNames())
		}
	}
	return nil
}
