// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"slices"
	"sort"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
)

// Who of a group gets what takes long when there are many members, partitions or names to match. Little is done in the
// step; otherwise it is a task of the world, in pieces. The group makes no other change meanwhile, so
// what is found fits what the group is, unless this broker is its coordinator no more.

// topicSizes lists the topics for such tasks. The list is never changed, only replaced.
type topicSizes struct {
	version uint64 // grows with each change of a topic or its partitions
	listed  uint64 // version of list
	list    []topicSize
	parts   int // of all of them
	bytes   int // of their names
}

type topicSize struct {
	name  string
	id    GroupID
	parts int32
}

// topicSizes returns the list as of now.
func (c *catalog) topicSizes() *topicSizes {
	s := &c.sizes
	if s.listed == s.version {
		return s
	}
	s.listed, s.parts, s.bytes = s.version, 0, 0
	s.list = make([]topicSize, len(c.topics))
	for i, t := range c.topics {
		s.list[i] = topicSize{t.Name, t.id(), int32(len(t.Partitions))}
		s.parts, s.bytes = s.parts+len(t.Partitions), s.bytes+len(t.Name)
	}
	c.node.out.Work.Parts += len(s.list) / 16
	return s
}

// assigning finds out what the members of a group subscribe to, and what each gets of it.
type assigning struct {
	members  []*modernMember
	topics   []topicSize // of the cluster, ascending by name
	known    assignment  // what they subscribed to before
	wanted   bool        // targets are, even if that is the same
	assignor string

	regexes []string         // different ones of the members
	matches map[string][]int // of each, the topics' places in the list
	turn    int              // of the regular expressions
	pattern *pattern         // that one's
	next    int              // of the topics, for that one

	done    bool
	all     assignment // every partition of every topic that is subscribed to
	targets []assignment
	err     error
}

// matchedAtOnce is how many steps of regular expressions a piece does: some milliseconds.
const matchedAtOnce = 1 << 19

// piece does a part of the work.
func (a *assigning) piece() {
	if a.matches == nil {
		a.begin()
	}
	for room := matchedAtOnce; a.turn < len(a.regexes); a.turn, a.next, a.pattern = a.turn+1, 0, nil {
		regex := a.regexes[a.turn]
		if a.pattern == nil {
			a.pattern, _ = topicPattern(regex)
		}
		for ; a.pattern != nil && a.next < len(a.topics); a.next++ { // another release may know other expressions
			if room <= 0 {
				return
			}
			name := a.topics[a.next].name
			room -= a.pattern.size*len(name) + 64
			if a.pattern.matches(name) {
				a.matches[regex] = append(a.matches[regex], a.next)
			}
		}
	}
	a.assign()
	a.done = true
}

// begin lists the regular expressions.
func (a *assigning) begin() {
	a.matches = make(map[string][]int)
	known := make(map[string]bool)
	for _, m := range a.members {
		if m.Regex != "" && !known[m.Regex] {
			known[m.Regex] = true
			a.regexes = append(a.regexes, m.Regex)
		}
	}
}

// maxSubscribed bounds the topics of all different subscriptions of a group, together.
const maxSubscribed = 1 << 20

// assign makes the targets.
func (a *assigning) assign() {
	candidates, topics := make([]candidate, len(a.members)), union{}
	subscriptions, sum := make(map[string]assignment), 0
	for i, m := range a.members {
		candidates[i].had = m.Target
		if i > 0 && m.subscribesAs(a.members[i-1]) {
			candidates[i].topics = candidates[i-1].topics
			continue
		}
		key := m.Regex + "\x00" + strings.Join(m.Topics, "\x00")
		if _, known := subscriptions[key]; !known {
			subscriptions[key] = a.subscription(m)
			topics.add(subscriptions[key])
			if sum += len(subscriptions[key]); sum > maxSubscribed {
				a.err = kafka.Errorf(kerr.GroupMaxSizeReached, "the different subscriptions of the group's members have more than %d topics together; use the same subscription for all", maxSubscribed)
				return
			}
		}
		candidates[i].topics = subscriptions[key]
	}
	a.all = topics.sorted()
	switch {
	case !a.wanted && a.all.equal(a.known) || len(candidates) == 0:
	case a.assignor == assignorRange:
		a.targets = assignRange(candidates)
	default:
		a.targets = assignUniform(candidates)
	}
}

// subscription returns every partition that a member wants to share. As in Kafka, a regular expression may match
// the brokers' own topic, too.
func (a *assigning) subscription(m *modernMember) assignment {
	which := slices.Clone(a.matches[m.Regex])
	for _, name := range m.Topics {
		if i := a.named(name); i >= 0 {
			which = append(which, i)
		}
	}
	slices.SortFunc(which, func(i, j int) int { return cmp.Compare(a.topics[i].id, a.topics[j].id) })
	var all assignment
	for _, i := range slices.Compact(which) {
		all = append(all, topicSet{Topic: a.topics[i].id, Partitions: ascending(a.topics[i].parts)})
	}
	return all
}

// ascending returns 0 to count-1.
func ascending(count int32) []int32 {
	all := make([]int32, count)
	for i := range all {
		all[i] = int32(i)
	}
	return all
}

// cost estimates the work in Parts, or says that it is more than a limit.
func (a *assigning) cost(sizes *topicSizes, limit int) int {
	cost, named := 0, make(map[string]bool)
	for i, m := range a.members {
		if cost += 1 + len(m.Topics)/16; cost > limit {
			break
		}
		if i > 0 && m.subscribesAs(a.members[i-1]) {
			continue
		}
		if m.Regex != "" {
			cost += len(m.Regex)*sizes.bytes/64 + sizes.parts
		}
		cost += 2 * len(m.Topics)
		for j := 0; j < len(m.Topics) && cost <= limit; j++ {
			name := m.Topics[j]
			if t := a.named(name); t >= 0 && !named[name] {
				named[name] = true
				cost += int(a.topics[t].parts)
			}
		}
	}
	return cost
}

// named returns the place of a topic in the list, -1 if there is none.
func (a *assigning) named(name string) int {
	if i, ok := sort.Find(len(a.topics), func(i int) int { return strings.Compare(name, a.topics[i].name) }); ok {
		return i
	}
	return -1
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
	a := &assigning{
		members: d.state.members, topics: sizes.list, known: d.state.Topics,
		wanted: changed || d.state.TargetEpoch != d.state.Epoch, assignor: d.state.preferred(),
	}
	limit := min(inlineAssigning, g.node.cfg.StepBudget)
	cost := a.cost(sizes, limit)
	finish := func() {
		if a.err != nil && changed {
			done(a.err)
			return
		}
		g.checked = version
		if a.err == nil {
			g.takeTargets(d, a, changed)
		}
		done(nil)
	}
	if cost <= limit {
		for !a.done {
			a.piece()
		}
		g.node.out.Work.Parts += cost
		finish()
		return
	}
	g.node.out.Work.Parts += len(a.members) / 8
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
func (g *modernGroup) inBackground(r *request, a *assigning, done func()) {
	turn := &g.node.tasks.assigns
	turn.take(r.conn, func() {
		g.node.start(Task{Kind: TaskAssign, assigning: a}, func(TaskResult) {
			turn.give()
			if a.done {
				done()
			} else {
				g.inBackground(r, a, done)
			}
		})
	})
}

// takeTargets puts what was found into a draft.
func (g *modernGroup) takeTargets(d *draft, a *assigning, changed bool) {
	if changed || !a.all.equal(d.state.Topics) {
		d.state.Epoch++
	}
	if d.state.TargetEpoch == d.state.Epoch {
		return
	}
	d.state.Topics, d.state.Assignor = a.all, a.assignor
	d.state.TargetEpoch, d.header = d.state.Epoch, true
	for i, target := range a.targets {
		if m := d.state.members[i]; !m.Target.equal(target) {
			g.node.out.Work.Parts++
			next := *m
			next.Target = target
			d.put(&next)
		}
	}
}
