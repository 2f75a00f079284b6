// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Changes of the catalog that leave the records alone: what is checked is when they take effect (late.go).

// harmlessConfig is one that a broker takes and that changes nothing.
const harmlessConfig = "flush.ms"

func (c *client) sendConfigure(cn *conn, p *pendingCall) {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	rr := kmsg.NewIncrementalAlterConfigsRequestResource()
	rr.ResourceType, rr.ResourceName = kmsg.ConfigResourceTypeTopic, p.call.Topic
	rc := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	rc.Name, rc.Op, rc.Value = harmlessConfig, kmsg.IncrementalAlterConfigOpSet, kmsg.StringPtr(strconv.FormatInt(p.call.Offset, 10))
	rr.Configs = append(rr.Configs, rc)
	req.Resources = append(req.Resources, rr)
	cn.ask(c.world, req, c.answered(p, func(resp kmsg.Response) {
		r := resp.(*kmsg.IncrementalAlterConfigsResponse)
		if len(r.Resources) != 1 {
			c.world.fail("protocol", "one topic to be configured is answered with %d", len(r.Resources))
		}
		c.hasChanged(p, r.Resources[0].ErrorCode)
	}))
}

func (c *client) sendGrow(cn *conn, p *pendingCall) {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis = int32(c.timeout() / millisecond)
	rt := kmsg.NewCreatePartitionsRequestTopic()
	rt.Topic, rt.Count = p.call.Topic, int32(p.call.Offset)
	req.Topics = append(req.Topics, rt)
	cn.ask(c.world, req, c.answered(p, func(resp kmsg.Response) {
		r := resp.(*kmsg.CreatePartitionsResponse)
		if len(r.Topics) != 1 {
			c.world.fail("protocol", "one topic to get partitions is answered with %d", len(r.Topics))
		}
		c.hasChanged(p, r.Topics[0].ErrorCode)
	}))
}

// hasChanged takes the answer to one of these.
func (c *client) hasChanged(p *pendingCall, code int16) {
	switch {
	case code == 0, p.call.Kind == CallGrow && code == kerr.InvalidPartitions.Code: // it has as many
		c.world.judge.answered(c.world, c, p, int64(code))
		c.endSerial(p)
	case retriable(code), code == kerr.InvalidReplicationFactor.Code, code == kerr.InvalidReplicaAssignment.Code:
		c.unanswered(p)
		c.retryElsewhere(p)
	default:
		c.unexpected(p.call, code, p.call.Kind)
	}
}

// lateCommands cuts a broker off while somebody asks it, and nobody else, to change the catalog, lets the leader of the
// catalog stand still, or holds up what the broker says until there is another leader. Those who asked give up; others go on to change it; then the broker is back. None of what it was
// asked may happen any more.
func (g *generator) lateCommands() {
	g.stage(3, 3, 64*second)
	p := g.plan
	k := &p.Knobs
	k.Tick, k.ElectionTicks, k.HeartbeatTicks = 100*millisecond, int(g.between(20, 35)), 2
	k.LinkLatency, k.WriteLatency = g.span(100*microsecond, millisecond), g.span(100*microsecond, millisecond)
	p.Expect = []string{"catalog changed"}
	p.Topics = append(p.Topics, Topic{Name: "churn", Partitions: 1, Replicas: 3, Grows: true})
	g.load(500*millisecond, 62*second, 60, 5, 64)
	others := g.client(false)
	for i := range Duration(2) {
		begin, victim := (6+30*i)*second+Duration(g.upTo(int64(second))), int(g.between(1, 3))
		away := Fault{Target: Target([]string{"1", "2", "3"}[victim-1])}.of(FaultIsolate, begin, 24*second)
		switch g.pick(3) {
		case 1:
			away = Fault{Target: TargetLeader, Group: 0}.of(FaultPause, begin, 24*second)
		case 2:
			away.Kind = FaultClog
			g.strike(Fault{Target: TargetLeader, Group: 0}.of(FaultPower, begin+4*second, 2*second))
		}
		g.strike(away)
		for n := range g.between(2, 4) {
			c := g.client(false)
			spec := &p.Clients[c-1]
			spec.Home, spec.Stays, spec.Timeout = victim, true, g.span(200*millisecond, 500*millisecond)
			spec.GiveUp = spec.Timeout + 100*millisecond
			g.change(c, begin+200*millisecond+Duration(n)*g.span(millisecond, 200*millisecond))
		}
		for n := range Duration(4) {
			g.change(others, begin+(6+4*n)*second)
		}
	}
}

// change adds a call that changes the catalog.
func (g *generator) change(client int, at Duration) {
	c := Call{At: at, Client: client, Topic: "churn"}
	switch g.pick(5) {
	case 0:
		c.Kind = CallCreate
	case 1:
		c.Kind = CallDelete
	case 2:
		c.Kind, c.Offset = CallGrow, g.between(2, 6)
	case 3:
		c.Kind, c.Topic, c.Offset = CallConfigure, "t0", g.between(1, 1000)
	case 4:
		c.Kind, c.Topic, c.Partition, c.Brokers = CallMove, "t0", int32(g.pick(int64(g.plan.Topics[0].Partitions))), g.someBrokers(true)
	}
	g.call(c)
}

// heldCommands lets brokers stand still, or cuts them off, just when commands to the catalog are under way from them.
func (g *generator) heldCommands() {
	p := g.plan
	if g.prof.faults == 0 || g.prof.moves || !g.chance(1, 8) {
		return
	}
	for range g.between(1, 3) {
		f := Fault{
			ID: len(p.Faults) + 1, Kind: []FaultKind{FaultPause, FaultIsolate}[g.pick(2)], Target: TargetHere,
			After: &Anchor{Event: "command sent", Count: int(g.wide(1, 12))}, For: g.span(500*millisecond, 15*second),
		}
		if g.chance(1, 2) {
			f.At = g.span(microsecond, 100*millisecond)
		}
		p.Faults = append(p.Faults, f)
	}
}
