// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"strconv"
)

func (g *generator) world() {
	p := g.plan
	p.Brokers = g.prof.brokers[g.pick(int64(len(g.prof.brokers)))]
	p.Founders = p.Brokers
	if g.prof.moves || p.Brokers > 1 && len(g.prof.brokers) > 1 && g.prof.faults > 0 && g.chance(1, 8) {
		g.moves = true
		p.Founders = max(1, p.Brokers-int(g.upTo(int64(p.Brokers-1))))
	}
	p.Safety = g.span(g.prof.safety[0], g.prof.safety[1])
	if g.dense {
		p.Safety = g.span(3*second, 8*second)
	}
	g.clocks()
}

// clocks draws what clocks show: all may be wrong, or only so few that the others are believed.
func (g *generator) clocks() {
	p := g.plan
	skewed := g.prof.faults > 0 && (g.prof.clumsy || g.chance(1, 3))
	if g.prof.ages && g.chance(2, 3) {
		skewed, g.wrongClocks = false, (p.Brokers-1)/2
		p.Knobs.ClockPatience = g.span(second, 20*second)
	}
	for i := range p.Brokers {
		c := Clock{}
		if skewed || i < g.wrongClocks {
			c.OffsetMs = g.skew(1 << 32)
			if g.prof.clumsy || g.prof.ages {
				c.OffsetMs = g.skew(1 << 40)
			}
			c.DriftPPM = g.skew(200_000)
		}
		if g.wrongClocks > 0 {
			c.DriftPPM = g.skew(rightDriftPPM)
		}
		p.Clocks = append(p.Clocks, c)
	}
}

func (g *generator) topics() {
	p := g.plan
	topics := g.between(1, int64(g.prof.topics))
	if g.dense {
		topics = 1
	}
	for i := range topics {
		t := Topic{Name: "t" + strconv.Itoa(int(i)), Partitions: 1, Replicas: int16(min(3, p.Founders))}
		if i > 0 && g.chance(1, 4) {
			t.Auto = true // the brokers' defaults apply: one partition, three replicas
		} else {
			t.Partitions = int32(g.wide(1, int64(g.prof.partitions)))
			if g.dense {
				t.Partitions = min(t.Partitions, 2)
			}
			if g.chance(1, 4) {
				t.Replicas = int16(g.between(1, int64(p.Founders)))
			}
		}
		switch {
		case t.Auto:
		case g.prof.configs != nil:
			g.prof.configs(g, &t)
		case g.prof.faults > 0 && g.chance(1, 12):
			g.retention(&t)
		case g.prof.faults > 0 && g.chance(1, 12):
			g.compaction(&t)
		}
		p.Topics = append(p.Topics, t)
	}
}

// retention lets records of a topic expire.
func (g *generator) retention(t *Topic) {
	if g.chance(1, 2) {
		t.RetentionMs = g.wide(1000, 30_000)
	} else {
		t.RetentionBytes = g.wide(1<<10, 256<<10)
	}
}

// compaction has older records of a key dropped.
func (g *generator) compaction(t *Topic) { t.Keys = int(g.wide(1, 64)) }

// knobs draws sizes and speeds. Each is often at a plain value and sometimes anywhere.
func (g *generator) knobs() {
	k := &g.plan.Knobs
	k.Tick = 50*millisecond + Duration(g.upTo(2))*25*millisecond
	k.ElectionTicks = int(g.between(10, 14))
	k.HeartbeatTicks = int(g.between(1, 3))
	odd := func(plain, lo, hi int64) int64 {
		if g.prof.tiny {
			hi = max(lo, min(hi, lo*64))
		} else if !g.chance(1, 2) {
			return plain
		}
		return g.wide(lo, hi)
	}
	k.HotEntries = int(odd(10_000, 1, 256))
	k.CacheBytes = odd(64<<20, 1<<10, 64<<20)
	k.ColdReadBytes = odd(1<<20, 1<<6, 1<<20)
	k.ReplicationBytes = uint64(odd(512<<10, 1, 512<<10))
	k.ReplicationWindow = int(odd(64, 1, 256))
	k.CheckpointEntries = int(odd(20_000, 1, 256))
	k.CheckpointBytes = odd(32<<20, 1<<8, 1<<20)
	k.RetainEntries = int(odd(1000, 1, 256))
	if slices.ContainsFunc(g.plan.Topics, func(t Topic) bool { return t.Keys > 0 || t.RetentionBytes > 0 || t.RetentionMs > 0 }) {
		k.RetainEntries = int(g.wide(1, 32)) // nothing else is ever let go
	}
	k.SegmentBytes = odd(256<<10, 4<<10, 1<<20)
	k.FlushBytes = int(odd(4<<20, 64, 4<<20))
	k.StepItems = int(odd(1000, 1, 1000))
	k.StepCost = g.span(20*microsecond, 500*microsecond)
	k.LinkLatency = g.span(100*microsecond, 10*millisecond)
	k.LinkInOrder = g.chance(1, 2)
	k.WriteLatency = g.span(100*microsecond, 10*millisecond)
	k.ReadLatency = g.span(50*microsecond, 5*millisecond)
	k.RestartTime = g.span(millisecond, 200*millisecond)
	if slices.ContainsFunc(g.plan.Topics, func(t Topic) bool { return t.Keys > 0 }) && g.chance(1, 3) {
		k.CompactionBytes = g.wide(300, 4000) // some keys have no room
	}
}
