// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
)

// Attack is what a hostile or broken client does: over a connection of its own it sends N requests, or
// opens N connections, and never behaves. Its bytes follow from the plan's seed, ID and numbers.
type Attack struct {
	ID     int        `json:"id"` // from 1, unique
	At     Duration   `json:"at"`
	For    Duration   `json:"for"` // then it hangs up, whatever it still waits for
	Kind   AttackKind `json:"kind"`
	Broker int        `json:"broker"` // 0: the leader of Topic's partition 0, or of its own topic
	Topic  string     `json:"topic,omitempty"`
	Count  int        `json:"count"`          // requests, or connections
	Names  int        `json:"names"`          // names, partitions or members in each request
	Size   int        `json:"size"`           // bytes: see the kind
	Ahead  int        `json:"ahead"`          // so many requests are sent before an answer is read
	Pace   Duration   `json:"pace,omitempty"` // and then one answer in this time
}

// AttackKind names an attack.
type AttackKind string

// The kinds of attack. None asks for anything that would do harm if a polite client asked for it:
// records, topics and groups of others are left alone.
const (
	AttackGarbage AttackKind = "garbage" // frames of Size random bytes
	AttackMangled AttackKind = "mangled" // requests that are cut, have absurd lengths, other versions, wrong bits
	AttackNames   AttackKind = "names"   // requests about many different topics that aren't there
	AttackRepeat  AttackKind = "repeat"  // requests that name one partition of Topic, one topic or one group many times
	AttackCrowd   AttackKind = "crowd"   // requests that name many groups, members, protocols or partitions, the same or others
	AttackTopics  AttackKind = "topics"  // makes topics: with CreateTopics, or by asking for their metadata
	AttackJoin    AttackKind = "join"    // members that say Size bytes about themselves, join a group and vanish
	AttackOffsets AttackKind = "offsets" // commits many offsets in a group without members, Size bytes beside each
	AttackBomb    AttackKind = "bomb"    // batches of few bytes that unfold to Size, to a topic of its own
	AttackFlood   AttackKind = "flood"   // fetches of everything in Topic, from the beginning, whose answers are hardly read
	AttackPoll    AttackKind = "poll"    // fetches of Topic that would wait for weeks, of Names partitions
	AttackWait    AttackKind = "wait"    // requests that wait for a majority or the catalog, or that give up after a moment
	AttackConnect AttackKind = "connect" // connections with a request or none, dropped at once
	AttackHerd    AttackKind = "herd"    // hundreds of members that join a group, each over its own connection, ask for all of it, and die at one moment
	AttackForge   AttackKind = "forge"   // a batch with Size bytes of what looks like records of the broker's log, from its future
	AttackLimits  AttackKind = "limits"  // asks for more than any limit allows: topics and partitions that don't fit, and too many groups

	// Those that make a state large: Names producers in each request, one batch of each, to a topic of its own; and an
	// offset in another group with each request. The first request makes the topic.
	AttackProducers AttackKind = "producers"
	AttackGroups    AttackKind = "groups"
)

var AttackKinds = []AttackKind{
	AttackGarbage, AttackMangled, AttackNames, AttackRepeat, AttackTopics, AttackJoin, AttackOffsets, AttackBomb, AttackFlood, AttackPoll, AttackWait, AttackConnect,
	AttackCrowd, AttackHerd, AttackLimits, AttackForge, AttackProducers, AttackGroups,
}

// commonAttacks are those that any hostile world may have.
var commonAttacks = AttackKinds[:len(AttackKinds)-2]

// needsTopic says that a kind is about a topic of the plan.
func (k AttackKind) needsTopic() bool {
	return k == AttackRepeat || k == AttackFlood || k == AttackPoll || k == AttackWait || k == AttackCrowd || k == AttackLimits
}

// FewGroups reports whether coordinators take few groups: only where an attack wants more, and nobody polite could be refused.
func (p *Plan) FewGroups() bool {
	return len(p.Members) == 0 && len(p.Transactors) == 0 && p.Watcher == nil && slices.ContainsFunc(p.Attacks, func(a Attack) bool { return a.Kind == AttackLimits })
}

func (p *Plan) validateAttacks() error {
	ids := make(map[int]bool)
	for _, a := range p.Attacks {
		if a.ID < 1 || ids[a.ID] || a.At < 0 || a.For < 0 || a.Count < 1 || a.Names < 0 || a.Size < 0 || a.Ahead < 1 || a.Pace < 0 ||
			a.Broker < 0 || a.Broker > p.Brokers {
			return fmt.Errorf("attack %d: id must be unique and positive, count and ahead positive, the other numbers not negative, broker at most %d", a.ID, p.Brokers)
		}
		ids[a.ID] = true
		switch {
		case !slices.Contains(AttackKinds, a.Kind):
			return fmt.Errorf("attack %d: unknown kind %q; use one of %v", a.ID, a.Kind, AttackKinds)
		case a.Kind.needsTopic() && p.Topic(a.Topic) == nil:
			return fmt.Errorf("attack %d: no topic %q in the plan", a.ID, a.Topic)
		}
	}
	return nil
}

// attacks draws hostile clients. They come late, so that worlds without them are what they would be
// without this.
func (g *generator) attacks() {
	if g.prof.hostile == 0 || !g.chance(g.prof.hostile, 100) {
		return
	}
	most := int64(4)
	if g.prof.hostile == 100 {
		most = 16
	}
	for range g.wide(1, most) {
		g.attack(commonAttacks[g.pick(int64(len(commonAttacks)))])
	}
}

// states has clients make states of many hundreds of things, and checkpoints come often.
func (g *generator) states() {
	if g.prof.states == 0 || !g.chance(g.prof.states, 100) {
		return
	}
	most := int64(1000)
	if g.prof.tiny {
		most = 60
	}
	things := 0
	for range g.between(2, 5) {
		kind := AttackKinds[len(AttackKinds)-1-int(g.pick(2))]
		g.attack(kind)
		a := &g.plan.Attacks[len(g.plan.Attacks)-1]
		a.Broker, a.Pace, a.Names, a.Count = 0, 0, int(g.wide(8, most)), int(g.between(2, 5))
		if kind == AttackGroups {
			a.Broker, a.Count = int(g.between(1, int64(g.plan.Brokers))), a.Names
		}
		things += a.Names
	}
	k := &g.plan.Knobs
	k.CheckpointEntries = int(min(int64(k.CheckpointEntries), g.wide(8, 1024)))
	// Each segment begins with the list of the others. If a state takes many, they hold little else, and who catches up writes it all the time.
	k.SegmentBytes = max(k.SegmentBytes, 8*int64(things))
}

// roomForStorms gives worlds with many things and a retry storm segments that hold some batches each. Where each batch takes a segment
// of its own, its answer comes later than clients wait in a storm, so that they send all of them again. Each is an entry more, and
// the list of segments in each segment grows until the world can't end in time.
func (g *generator) roomForStorms() {
	p := g.plan
	many := slices.ContainsFunc(p.Attacks, func(a Attack) bool { return a.Kind == AttackGroups || a.Kind == AttackProducers })
	if many && slices.ContainsFunc(p.Faults, func(f Fault) bool { return f.Kind == FaultStorm }) {
		p.Knobs.SegmentBytes = max(p.Knobs.SegmentBytes, 32<<10)
	}
}

func (g *generator) attack(kind AttackKind) {
	p := g.plan
	a := Attack{
		ID: len(p.Attacks) + 1, Kind: kind, At: Duration(g.upTo(int64(p.Safety)) / 1000 * 1000), For: g.span(10*millisecond, 10*second),
		Count: int(g.wide(1, 64)), Ahead: int(g.wide(1, 64)), Broker: int(g.between(1, int64(p.Brokers))),
	}
	if kind.needsTopic() {
		a.Topic = p.Topics[g.pick(int64(len(p.Topics)))].Name
	}
	if g.chance(1, 2) {
		a.Pace = g.span(millisecond, second)
	}
	switch kind {
	case AttackGarbage:
		a.Size = int(g.wide(1, 4<<10))
	case AttackNames, AttackRepeat, AttackCrowd:
		a.Names, a.Count = int(g.wide(16, 2000)), int(g.wide(1, 4))
	case AttackPoll, AttackWait:
		a.Names = int(g.wide(1, 100))
	case AttackTopics:
		a.Names, a.Count = int(g.wide(1, 8)), int(g.wide(1, 2))
	case AttackJoin:
		a.Names, a.Size, a.Count = 0, int(g.wide(1, 64<<10)), int(g.wide(1, 16))
	case AttackOffsets:
		a.Names, a.Size, a.Count = int(g.wide(16, 1000)), int(g.wide(1, 64)), int(g.wide(1, 4))
	case AttackHerd:
		a.Count, a.Ahead, a.Broker = int(g.wide(16, 600)), 1, 1
	case AttackLimits:
		a.Names, a.Ahead = int(g.wide(1, 64)), int(g.wide(1, 8))
	case AttackBomb:
		a.Size, a.Count = int(g.wide(64<<10, 8<<20)), int(g.wide(1, 4))
	case AttackForge:
		a.Size, a.Count, a.Ahead, a.For, a.Pace = int(g.wide(64, 16<<10)), int(g.between(8, 64)), 1, 10*second, 0
	}
	if a.Broker > 0 && (kind.needsTopic() || kind == AttackBomb || kind == AttackForge) && !g.chance(1, 4) {
		a.Broker = 0
	}
	p.Attacks = append(p.Attacks, a)
}
