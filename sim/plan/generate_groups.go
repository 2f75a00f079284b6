// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"strconv"
)

// groups draws consumer groups, what happens to their members, and faults at the moments that matter
// to them. It is drawn last, so that worlds without groups are what they would be without this.
func (g *generator) groups() {
	topics := g.lastingTopics()
	if g.prof.groups == 0 || !g.chance(g.prof.groups, 100) || len(topics) == 0 {
		return
	}
	g.groupKnobs()
	for i := range g.between(1, 2) {
		g.oneGroup("g"+strconv.Itoa(int(i)), topics)
	}
	if g.prof.faults > 0 {
		g.faultsAfter(groupAnchors)
	}
}

// lastingTopics are those that no call deletes.
func (g *generator) lastingTopics() (names []string) {
	for _, t := range g.plan.Topics {
		if !slices.ContainsFunc(g.plan.Calls, func(c Call) bool { return c.Kind == CallDelete && c.Topic == t.Name }) {
			names = append(names, t.Name)
		}
	}
	return names
}

func (g *generator) groupKnobs() {
	k := &g.plan.Knobs
	k.GroupPartitions = int32(g.between(1, 3))
	k.GroupSession = g.span(4*second, 10*second)
	k.GroupBeat = g.span(200*millisecond, 2*second)
	if g.chance(1, 2) {
		k.GroupDelay = g.span(100*millisecond, 3*second)
	}
}

// oneGroup draws a group. Its members start within a short time or all over the run.
func (g *generator) oneGroup(name string, topics []string) {
	p := g.plan
	modern, spread := g.chance(1, 3), Duration(second)
	if g.chance(1, 2) {
		spread = p.Safety
	}
	static, twin := g.chance(1, 4), g.chance(1, 8)
	session, rebalance := g.span(2*second, 10*second), g.span(second, 10*second)
	for i := range g.wide(1, int64(g.prof.members)) {
		m := Member{
			ID: len(p.Members) + 1, Group: name, Modern: modern, Topics: topics, Session: session, Rebalance: rebalance,
			Beat: min(session/3, rebalance/3, g.span(200*millisecond, 3*second)), Commit: g.span(100*millisecond, 3*second),
			Timeout: g.span(500*millisecond, 3*second), Home: int(g.between(1, int64(p.Brokers))),
		}
		if len(topics) > 1 && g.chance(1, 4) {
			n := g.pick(int64(len(topics)))
			m.Topics = topics[n : n+1]
		}
		if i == 0 {
			m.Topics = topics // somebody has to read each of them
		}
		if static && g.chance(2, 3) {
			m.Instance = "i" + strconv.Itoa(int(i))
			if twin && i > 0 {
				m.Instance = "i" + strconv.Itoa(int(i-1)) // somebody copied a configuration
			}
			m.Topics = topics // who takes another's place takes its part, too, whatever it subscribes to
		}
		p.Members = append(p.Members, m)
		g.turn(Turn{Member: m.ID, Kind: TurnStart, At: Duration(g.upTo(int64(spread)) / 1000 * 1000)})
		g.life(m.ID)
	}
}

// life draws what happens to a member after its start.
func (g *generator) life(member int) {
	if g.chance(1, 3) {
		return // nothing
	}
	for range g.wide(1, 6) {
		t := Turn{Member: member, At: Duration(g.upTo(int64(g.plan.Safety)) / 1000 * 1000)}
		t.Kind = []string{TurnPause, TurnLeave, TurnCrash, TurnVanish}[g.pick(4)]
		if t.Kind == TurnPause || g.chance(3, 4) {
			t.For = g.span(100*millisecond, 15*second)
		}
		g.turn(t)
	}
}

func (g *generator) turn(t Turn) {
	t.ID = len(g.plan.Turns) + 1
	g.plan.Turns = append(g.plan.Turns, t)
}

// groupAnchors are the events after which a coordinator's crash is worth most.
var groupAnchors = []string{"group generation", "offset commit", "group member lost"}

// faultsAfter draws faults after some events, where they happen or elsewhere.
func (g *generator) faultsAfter(anchors []string) {
	if !g.chance(1, 2) {
		return
	}
	kinds := []FaultKind{FaultKill, FaultPower, FaultPause, FaultIsolate, FaultReset, FaultStop}
	for range g.wide(1, 8) {
		kind := kinds[g.pick(int64(len(kinds)))]
		f := Fault{ID: len(g.plan.Faults) + 1, Kind: kind, For: min(g.lasting(kind), g.plan.Safety), Target: TargetHere}
		f.After = &Anchor{Event: anchors[g.pick(int64(len(anchors)))], Count: int(g.wide(1, 16))}
		if g.chance(1, 2) {
			f.At = g.span(microsecond, 100*millisecond)
		}
		f.Times = int(g.wide(1, 4))
		if g.chance(1, 4) {
			f.Target = Target(strconv.Itoa(int(g.between(1, int64(g.plan.Brokers)))))
		}
		g.plan.Faults = append(g.plan.Faults, f)
	}
}
