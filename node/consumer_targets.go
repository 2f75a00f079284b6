// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/node/consumers"
)

// topicSizes lists the topics for such tasks. The list is never changed, only replaced.
type topicSizes struct {
	version uint64 // grows with each change of a topic or its partitions
	listed  uint64 // version of list
	list    []consumers.TopicSize
	parts   int // of all of them
	bytes   int // of their names
}

// topicSizes returns the list as of now.
func (c *catalog) topicSizes() *topicSizes {
	s := &c.sizes
	if s.listed == s.version {
		return s
	}
	s.listed, s.parts, s.bytes = s.version, 0, 0
	s.list = make([]consumers.TopicSize, len(c.topics))
	for i, t := range c.topics {
		s.list[i] = consumers.TopicSize{Name: t.Name, ID: t.id(), Parts: int32(len(t.Partitions))}
		s.parts, s.bytes = s.parts+len(t.Partitions), s.bytes+len(t.Name)
	}
	c.node.out.Work.Parts += len(s.list) / 16
	return s
}

// subscribers are the members as the assignment sees them.
func subscribers(members []*modernMember) []consumers.Subscriber {
	list := make([]consumers.Subscriber, len(members))
	for i, m := range members {
		list[i] = consumers.Subscriber{Topics: m.Topics, Regex: m.Regex, Had: m.Target}
	}
	return list
}

// inlineAssigning is how much of it one step does itself, in Parts.
const inlineAssigning = 1 << 11

// renew begins a new epoch if members or subscriptions changed, or topics did, and makes the targets
// for it. Then, perhaps later, it calls done.
func (g *modernGroup) renew(d *draft, r *request, changed bool, done func(error)) {
	sizes := g.node.catalog.topicSizes()
	if !changed && g.checked == sizes.version && d.state.TargetEpoch == d.state.Epoch {
		done(nil)
		return
	}
	version := sizes.version
	assignor := d.state.preferred()
	a := consumers.NewAssigner(subscribers(d.state.members), sizes.list, d.state.Topics, assignor, changed || d.state.TargetEpoch != d.state.Epoch)
	limit := min(inlineAssigning, g.node.cfg.StepBudget)
	cost := a.Cost(sizes.parts, sizes.bytes, limit)
	finish := func() {
		all, targets, err := a.Result()
		if err != nil && changed {
			done(err)
			return
		}
		g.checked = version
		if err == nil {
			g.takeTargets(d, all, targets, assignor, changed)
		}
		done(nil)
	}
	if cost <= limit {
		for !a.Done {
			a.Piece()
		}
		g.node.out.Work.Parts += cost
		finish()
		return
	}
	g.node.out.Work.Parts += len(d.state.members) / 8
	g.busy = true
	g.inBackground(r, a, func() {
		g.busy = false
		if g.dead() {
			done(kerr.NotCoordinator)
			return
		}
		finish()
		g.goOn()
	})
}

// inBackground lets the world do the work, piece by piece, and calls done.
func (g *modernGroup) inBackground(r *request, a *consumers.Assigner, done func()) {
	turn := &g.node.tasks.assigns
	turn.take(r.conn, func() {
		g.node.start(Task{Kind: TaskAssign, assigning: a}, func(TaskResult) {
			turn.give()
			if a.Done {
				done()
			} else {
				g.inBackground(r, a, done)
			}
		})
	})
}

// takeTargets puts what was found into a draft.
func (g *modernGroup) takeTargets(d *draft, all consumers.Assignment, targets []consumers.Assignment, assignor string, changed bool) {
	if changed || !all.Equal(d.state.Topics) {
		d.state.Epoch++
	}
	if d.state.TargetEpoch == d.state.Epoch {
		return
	}
	d.state.Topics, d.state.Assignor = all, assignor
	d.state.TargetEpoch, d.header = d.state.Epoch, true
	for i, target := range targets {
		if m := d.state.members[i]; !m.Target.Equal(target) {
			g.node.out.Work.Parts++
			next := *m
			next.Target = target
			d.put(&next)
		}
	}
}

// checkPattern refuses a regular expression that isn't one, or is too large.
func (n *Node) checkPattern(regex string) error {
	p, err := consumers.TopicPattern(regex)
	n.out.Work.Parts += min(len(regex), 1<<10) / 4 // a longer one is only refused
	if err != nil {
		return err
	}
	n.out.Work.Parts += p.Size / 4
	return nil
}
