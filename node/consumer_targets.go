// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/node/acl"
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
		list[i] = consumers.Subscriber{Topics: m.Topics, Regex: m.Regex, As: m.as(), Had: m.Target}
	}
	return list
}

// as is who a member is as far as topics count that match its expression: those that it may not describe are left out, as in
// Kafka. "": none is.
func (m *modernMember) as() string {
	if m.Principal == "" {
		return ""
	}
	return m.Principal + "\x00" + acl.Host(strings.TrimPrefix(m.Host, "/"))
}

// describes reports whether that somebody may describe a topic. It is the rules of now that count.
func (n *Node) describes(as, topic string) bool {
	principal, address, _ := strings.Cut(as, "\x00")
	n.out.Work.Parts++
	return n.superUsers[principal] || n.catalog.rules.Allowed(principal, address, acl.Describe, acl.Topic, topic)
}

// goByRules reports whether it depends on rules what the members of a group get.
func goByRules(members []*modernMember) bool {
	return slices.ContainsFunc(members, func(m *modernMember) bool { return m.Principal != "" })
}

// inlineAssigning is how much of it one step does itself, in Parts.
const inlineAssigning = 1 << 11

// renew begins a new epoch if members or subscriptions changed, or topics did, or what members may know of, and makes the targets
// for it. Then, perhaps later, it calls done.
func (g *modernGroup) renew(d *draft, r *request, changed bool, done func(error)) {
	sizes, rules := g.node.catalog.topicSizes(), g.node.catalog.rulesVersion
	ruled := g.rules != rules && goByRules(d.state.members)
	if !changed && !ruled && g.checked == sizes.version && d.state.TargetEpoch == d.state.Epoch {
		g.rules = rules
		done(nil)
		return
	}
	version := sizes.version
	assignor := d.state.preferred()
	a := consumers.NewAssigner(subscribers(d.state.members), sizes.list, d.state.Topics, assignor, changed || ruled || d.state.TargetEpoch != d.state.Epoch)
	limit := min(inlineAssigning, g.node.cfg.StepBudget)
	cost := a.Cost(sizes.parts, sizes.bytes, limit)
	finish := func() {
		all, targets, err := a.Result()
		if err != nil && changed {
			done(err)
			return
		}
		g.checked, g.rules = version, rules
		if err == nil {
			g.takeTargets(d, all, targets, assignor, changed)
		}
		done(nil)
	}
	if cost <= limit {
		for !a.Done {
			a.Piece()
			for as, topic, more := a.Question(); more; as, topic, more = a.Question() {
				a.Answer(g.node.describes(as, topic))
			}
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
				g.leaveOut(a, func() { g.inBackground(r, a, done) })
			}
		})
	})
}

// leaveOut answers the questions that there are now, in this step and the next ones, and then calls then.
func (g *modernGroup) leaveOut(a *consumers.Assigner, then func()) {
	for first := true; ; first = false {
		as, topic, more := a.Question()
		switch {
		case !more:
			then()
			return
		case !first && g.node.spent(2):
			g.node.later(func() { g.leaveOut(a, then) })
			return
		}
		a.Answer(g.node.describes(as, topic))
	}
}

// takeTargets puts what was found into a draft.
func (g *modernGroup) takeTargets(d *draft, all consumers.Assignment, targets []consumers.Assignment, assignor string, changed bool) {
	if changed || !all.Equal(d.state.Topics) || d.state.TargetEpoch == d.state.Epoch && d.differs(targets) {
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

// differs reports whether the members would get something else.
func (d *draft) differs(targets []consumers.Assignment) bool {
	for i, target := range targets {
		if !d.state.members[i].Target.Equal(target) {
			return true
		}
	}
	return false
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
