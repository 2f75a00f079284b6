// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// Shrink looks for a smaller plan that fails in the same way: fewer faults, calls, clients and
// topics, a shorter run, plain knobs. fails runs a plan and says whether it does; it may say no to
// end the search early. What is left out of a plan changes no other decision in it, since every one
// is keyed.
func Shrink(p *Plan, fails func(*Plan) bool) *Plan {
	s := shrinker{best: p.Clone(), fails: fails}
	for {
		before := len(s.best.Bytes())
		s.faults()
		s.calls()
		s.unused()
		s.shorter()
		s.plain()
		if len(s.best.Bytes()) >= before {
			return s.best
		}
	}
}

type shrinker struct {
	best  *Plan
	fails func(*Plan) bool
}

// Clone copies the plan. Anchors, rules, lists of brokers and topics, the watcher and the security are shared: they are replaced, never changed in place.
func (p *Plan) Clone() *Plan {
	c := *p
	c.Clocks, c.Topics, c.Clients = slices.Clone(p.Clocks), slices.Clone(p.Topics), slices.Clone(p.Clients)
	c.Members, c.Turns = slices.Clone(p.Members), slices.Clone(p.Turns)
	c.Attacks = slices.Clone(p.Attacks)
	c.Lies, c.Lists = slices.Clone(p.Lies), slices.Clone(p.Lists)
	c.Asks = slices.Clone(p.Asks)
	c.Orders, c.Visitors, c.Hasty = slices.Clone(p.Orders), slices.Clone(p.Visitors), slices.Clone(p.Hasty)
	c.Transactors, c.Readers = slices.Clone(p.Transactors), slices.Clone(p.Readers)
	c.Calls, c.Faults = slices.Clone(p.Calls), slices.Clone(p.Faults)
	if p.Rollout != nil {
		r := *p.Rollout
		r.Newer, r.Rolls = slices.Clone(r.Newer), slices.Clone(r.Rolls)
		c.Rollout = &r
	}
	return &c
}

// try keeps a change if the plan can still be run and fails in the same way.
func (s *shrinker) try(change func(*Plan)) bool {
	p := s.best.Clone()
	change(p)
	if p.Validate() != nil || !s.fails(p) {
		return false
	}
	s.best = p
	return true
}

// fewer removes pieces of a list, large ones first, as long as the plan fails without them.
func fewer[T any](list func(*Plan) *[]T, s *shrinker) {
	for size := len(*list(s.best)); size > 0; size /= 2 {
		for at := 0; at < len(*list(s.best)); {
			if !s.try(func(p *Plan) {
				l := list(p)
				*l = slices.Delete(*l, at, min(at+size, len(*l)))
			}) {
				at += size
			}
		}
	}
}

func (s *shrinker) faults() {
	fewer(func(p *Plan) *[]Fault { return &p.Faults }, s)
	for i := range s.best.Faults {
		s.try(func(p *Plan) { p.Faults[i].Times = 0 })
	}
}

func (s *shrinker) calls() {
	fewer(func(p *Plan) *[]Lie { return &p.Lies }, s)
	for i := range s.best.Lies {
		for s.best.Lies[i].Count > 1 && s.try(func(p *Plan) { p.Lies[i].Count /= 2 }) {
		}
	}
	fewer(func(p *Plan) *[]List { return &p.Lists }, s)
	fewer(func(p *Plan) *[]Ask { return &p.Asks }, s)
	fewer(func(p *Plan) *[]Attack { return &p.Attacks }, s)
	for i := range s.best.Attacks {
		for s.best.Attacks[i].Count > 1 && s.try(func(p *Plan) { p.Attacks[i].Count /= 2 }) {
		}
		for s.best.Attacks[i].Names > 1 && s.try(func(p *Plan) { p.Attacks[i].Names /= 2 }) {
		}
		for s.best.Attacks[i].Size > 1 && s.try(func(p *Plan) { p.Attacks[i].Size /= 2 }) {
		}
	}
	fewer(func(p *Plan) *[]Visitor { return &p.Visitors }, s)
	fewer(func(p *Plan) *[]Hasty { return &p.Hasty }, s)
	fewer(func(p *Plan) *[]Order { return &p.Orders }, s)
	fewer(func(p *Plan) *[]Turn { return &p.Turns }, s)
	fewer(func(p *Plan) *[]Call { return &p.Calls }, s)
	for i := range s.best.Calls {
		s.try(func(p *Plan) {
			if c := &p.Calls[i]; c.Kind == CallProduce {
				c.Records, c.Size = 1, MinValue
			}
		})
	}
}

// unused removes clients without calls, topics that nobody speaks of, and brokers from the end.
func (s *shrinker) unused() {
	fewer(func(p *Plan) *[]Client { return &p.Clients }, s)
	fewer(func(p *Plan) *[]Member { return &p.Members }, s)
	fewer(func(p *Plan) *[]Transactor { return &p.Transactors }, s)
	fewer(func(p *Plan) *[]Reader { return &p.Readers }, s)
	for i := range s.best.Transactors {
		s.transactor(i)
	}
	s.try(func(p *Plan) { p.Watcher = nil })
	if s.best.Security != nil {
		s.try(func(p *Plan) { p.Security, p.Orders, p.Visitors, p.Hasty = nil, nil, nil, nil })
	}
	if s.best.Rollout != nil && !s.try(func(p *Plan) { p.Rollout = nil }) {
		fewer(func(p *Plan) *[]Roll { return &p.Rollout.Rolls }, s)
		fewer(func(p *Plan) *[]int { return &p.Rollout.Newer }, s)
	}
	if s.best.Racks > 0 {
		s.try(func(p *Plan) { p.Racks = 0 })
	}
	if s.best.Machines > 0 {
		s.try(func(p *Plan) { p.Machines = 0 })
	}
	fewer(func(p *Plan) *[]Topic { return &p.Topics }, s)
	for s.try(func(p *Plan) {
		p.Brokers--
		p.Founders, p.Machines = min(p.Founders, p.Brokers), min(p.Machines, p.Brokers)
		p.Clocks = p.Clocks[:p.Brokers]
	}) {
	}
}

// transactor makes one plainer.
func (s *shrinker) transactor(i int) {
	for _, change := range []func(*Transactor){
		func(t *Transactor) { t.Crashes = 0 },
		func(t *Transactor) { t.Doubles = 0 },
		func(t *Transactor) { t.Loses = 0 },
		func(t *Transactor) { t.Aborts = 0 },
		func(t *Transactor) { t.Records = 1 },
		func(t *Transactor) { t.Topics = t.Topics[:1] },
	} {
		s.try(func(p *Plan) { change(&p.Transactors[i]) })
	}
}

// shorter halves the safety phase, but lets all that is kept begin in it: in the liveness phase it would disturb the judging.
func (s *shrinker) shorter() {
	for {
		half := max(s.best.Safety/2, s.best.lastBegins()+millisecond)
		if half >= s.best.Safety || !s.try(func(p *Plan) { p.Safety = half }) {
			return
		}
	}
}

// lastBegins returns the last time at which something begins that has a time.
func (p *Plan) lastBegins() (last Duration) {
	for i := range p.Calls {
		last = max(last, p.Calls[i].At)
	}
	for i := range p.Turns {
		last = max(last, p.Turns[i].At)
	}
	for i := range p.Asks {
		last = max(last, p.Asks[i].At)
	}
	for i := range p.Attacks {
		last = max(last, p.Attacks[i].At)
	}
	for i := range p.Lies {
		last = max(last, p.Lies[i].At)
	}
	for i := range p.Transactors {
		last = max(last, p.Transactors[i].At)
	}
	for i := range p.Orders {
		last = max(last, p.Orders[i].At)
	}
	for i := range p.Visitors {
		last = max(last, p.Visitors[i].At)
	}
	for i := range p.Hasty {
		last = max(last, p.Hasty[i].At)
	}
	if p.Rollout != nil {
		last = max(last, p.Rollout.Raise)
		for i := range p.Rollout.Rolls {
			last = max(last, p.Rollout.Rolls[i].At)
		}
	}
	for i := range p.Faults {
		if p.Faults[i].After == nil {
			last = max(last, p.Faults[i].At)
		}
	}
	return last
}

// plain sets clocks and knobs to what they are in a plain world, one by one.
func (s *shrinker) plain() {
	s.try(func(p *Plan) { clear(p.Clocks) })
	for i := range s.best.Clients {
		s.habits(i)
	}
	for _, change := range []func(*Knobs){
		func(k *Knobs) { k.HotEntries = 10_000 },
		func(k *Knobs) { k.CacheBytes = 64 << 20 },
		func(k *Knobs) { k.ColdReadBytes = 1 << 20 },
		func(k *Knobs) { k.ReplicationBytes = 512 << 10 },
		func(k *Knobs) { k.ReplicationWindow = 64 },
		func(k *Knobs) { k.CatchUpRate = 0 },
		func(k *Knobs) { k.CheckpointEntries, k.CheckpointBytes, k.RetainEntries = 20_000, 32<<20, 1000 },
		func(k *Knobs) { k.CompactionBytes = 0 },
		func(k *Knobs) { k.SegmentBytes = 256 << 10 },
		func(k *Knobs) { k.FlushBytes = 4 << 20 },
		func(k *Knobs) { k.StepItems = 1000 },
		func(k *Knobs) { k.LinkInOrder = true },
	} {
		s.try(func(p *Plan) { change(&p.Knobs) })
	}
}

// habits makes a client a usual one, as far as the plan still fails.
func (s *shrinker) habits(i int) {
	for _, change := range []func(*Client){
		func(c *Client) {
			c.Versions, c.Joint, c.Bumps, c.Doubles, c.Wraps, c.Skew, c.Rack, c.Keeps = "", false, false, 0, 0, 0, 0, false
		},
		func(c *Client) { c.Versions = "" },
		func(c *Client) { c.Joint = false },
		func(c *Client) { c.Bumps = false },
		func(c *Client) { c.Doubles = 0 },
		func(c *Client) { c.Wraps = 0 },
		func(c *Client) { c.Skew = 0 },
		func(c *Client) { c.Rack = 0 },
		func(c *Client) { c.Keeps = false },
	} {
		plainer := s.best.Clients[i]
		if change(&plainer); plainer != s.best.Clients[i] {
			s.try(func(p *Plan) { p.Clients[i] = plainer })
		}
	}
}
