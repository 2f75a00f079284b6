// SPDX-License-Identifier: Apache-2.0

package plan

import "fmt"

// Rollout lets brokers of two releases run together: an older one, which supports feature level 1 alone, and a newer one, which supports
// level 2 as well. Brokers are rolled from one to the other and back, and an operator raises the level.
type Rollout struct {
	Newer []int    `json:"newer,omitempty"` // brokers that begin with the newer release
	Rolls []Roll   `json:"rolls,omitempty"`
	Raise Duration `json:"raise,omitempty"` // from then on the operator tries to raise the level; 0: when all faults have ended and all brokers are new
	// Back lets all brokers go back to the older release in the end. The level isn't raised then.
	Back bool `json:"back,omitempty"`
}

// Roll starts a broker again, of one of the releases. If that is too old for the level, it must say so and not come to serve.
type Roll struct {
	At     Duration `json:"at"`
	Broker int      `json:"broker"`
	Newer  bool     `json:"newer,omitempty"`
	Kill   bool     `json:"kill,omitempty"` // otherwise it is stopped cleanly
	For    Duration `json:"for"`            // how long it is down
}

func (p *Plan) validateRollout() error {
	r := p.Rollout
	if r == nil {
		return nil
	}
	if p.Beyond() || p.Security != nil || len(p.Lists) > 0 || r.Raise < 0 || r.Back && r.Raise > 0 {
		return fmt.Errorf("rollout: raise must not be negative, and 0 if all go back; there may be no security and no wrong lists, and records may not be lost")
	}
	for _, b := range r.Newer {
		if b < 1 || b > p.Brokers {
			return fmt.Errorf("rollout: broker %d; use 1 to %d", b, p.Brokers)
		}
	}
	for _, o := range r.Rolls {
		if o.At < 0 || o.For < 0 || o.Broker < 1 || o.Broker > p.Brokers {
			return fmt.Errorf("rollout: at and for must not be negative, broker from 1 to %d", p.Brokers)
		}
	}
	return nil
}

// rollout draws one for a share of worlds: brokers one after the other, with some that go back, then some at any time.
func (g *generator) rollout() {
	p := g.plan
	if g.prof.rollouts == 0 || p.Security != nil || len(p.Lists) > 0 || !g.chance(g.prof.rollouts, 100) {
		return
	}
	r := &Rollout{}
	p.Rollout = r
	roll := func(at Duration, broker int, newer bool) {
		r.Rolls = append(r.Rolls, Roll{At: at / 1000 * 1000, Broker: broker, Newer: newer, Kill: g.chance(1, 3), For: g.span(millisecond, 3*second)})
	}
	now, pause := Duration(g.upTo(int64(p.Safety)/4)), p.Safety/Duration(4*p.Brokers)
	for b := 1; b <= p.Brokers; b++ {
		if g.chance(1, 4) {
			r.Newer = append(r.Newer, b)
			continue
		}
		now += Duration(g.upTo(int64(pause)))
		roll(now, b, true)
		if g.chance(1, 3) {
			now += Duration(g.upTo(int64(pause)))
			roll(now, b, false)
			roll(now+Duration(g.upTo(int64(pause))), b, true)
		}
	}
	for range g.upTo(6) {
		roll(Duration(g.upTo(int64(p.Safety))), int(g.between(1, int64(p.Brokers))), g.chance(1, 3))
	}
	switch g.pick(4) {
	case 0:
	case 1:
		r.Back = true
	default:
		r.Raise = max(now, Duration(g.upTo(int64(p.Safety)))) / 1000 * 1000
	}
}
