// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"container/heap"
	"encoding/binary"
	"slices"
)

// topicSet is some partitions of a topic.
type topicSet struct {
	Topic      GroupID // see topicMeta.id
	Partitions []int32 // ascending, never empty
}

// assignment is a set of partitions, ascending by topic. It is never changed, only replaced.
type assignment []topicSet

// slot is one partition.
type slot struct {
	topic     GroupID
	partition int32
}

func (a slot) compare(b slot) int {
	return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
}

// slots lists the partitions, ascending.
func (a assignment) slots() (all []slot) {
	for _, t := range a {
		for _, p := range t.Partitions {
			all = append(all, slot{t.Topic, p})
		}
	}
	return all
}

// assignmentOf is the inverse of slots.
func assignmentOf(all []slot) (a assignment) {
	for _, s := range all {
		if n := len(a); n == 0 || a[n-1].Topic != s.topic {
			a = append(a, topicSet{Topic: s.topic})
		}
		t := &a[len(a)-1]
		t.Partitions = append(t.Partitions, s.partition)
	}
	return a
}

// combine walks over two sets and keeps the partitions that keep wants.
func (a assignment) combine(b assignment, keep func(inA, inB bool) bool) assignment {
	x, y := a.slots(), b.slots()
	var out []slot
	for len(x) > 0 || len(y) > 0 {
		order := 0
		switch {
		case len(y) == 0:
			order = -1
		case len(x) == 0:
			order = 1
		default:
			order = x[0].compare(y[0])
		}
		var s slot
		if order <= 0 {
			s, x = x[0], x[1:]
		}
		if order >= 0 {
			s, y = y[0], y[1:]
		}
		if keep(order <= 0, order >= 0) {
			out = append(out, s)
		}
	}
	return assignmentOf(out)
}

func (a assignment) and(b assignment) assignment {
	return a.combine(b, func(inA, inB bool) bool { return inA && inB })
}

func (a assignment) or(b assignment) assignment {
	return a.combine(b, func(bool, bool) bool { return true })
}

func (a assignment) minus(b assignment) assignment {
	return a.combine(b, func(inA, inB bool) bool { return inA && !inB })
}

func (a assignment) equal(b assignment) bool {
	if len(a) > 0 && len(a) == len(b) && &a[0] == &b[0] {
		return true // shared, as members' subscriptions often are
	}
	return slices.EqualFunc(a, b, func(s, t topicSet) bool {
		return s.Topic == t.Topic && slices.Equal(s.Partitions, t.Partitions)
	})
}

// ids returns the topics as a string to compare.
func (a assignment) ids() string {
	b := make([]byte, 0, 8*len(a))
	for _, t := range a {
		b = binary.BigEndian.AppendUint64(b, uint64(t.Topic))
	}
	return string(b)
}

// union is the topics of several sets, each with all its partitions.
type union struct {
	topics assignment
	known  map[GroupID]bool
}

func (u *union) add(a assignment) {
	if u.known == nil {
		u.known = make(map[GroupID]bool)
	}
	for _, t := range a {
		if !u.known[t.Topic] {
			u.known[t.Topic] = true
			u.topics = append(u.topics, t)
		}
	}
}

func (u *union) sorted() assignment {
	slices.SortFunc(u.topics, func(s, t topicSet) int { return cmp.Compare(s.Topic, t.Topic) })
	return u.topics
}

func (a assignment) has(s slot) bool {
	i, ok := slices.BinarySearchFunc(a, s.topic, func(t topicSet, id GroupID) int { return cmp.Compare(t.Topic, id) })
	if !ok {
		return false
	}
	_, ok = slices.BinarySearch(a[i].Partitions, s.partition)
	return ok
}

func (a assignment) hasTopic(id GroupID) bool {
	_, ok := slices.BinarySearchFunc(a, id, func(s topicSet, id GroupID) int { return cmp.Compare(s.Topic, id) })
	return ok
}

// candidate is a member to whom partitions are assigned.
type candidate struct {
	topics assignment // every partition of every topic that it subscribes to
	had    assignment // its target before
}

// The assignors that members may choose by name (KIP-848).
const (
	assignorUniform = "uniform"
	assignorRange   = "range"
)

// assignUniform gives every member as many partitions as any other, as far as subscriptions allow,
// and moves as few as it can.
func assignUniform(members []candidate) []assignment {
	same := !slices.ContainsFunc(members, func(c candidate) bool { return !c.topics.equal(members[0].topics) })
	if same {
		return assignEvenly(members)
	}
	return assignGreedily(members)
}

// assignEvenly is for members that all subscribe to the same topics. Each keeps what it had up to its
// share; the rest is handed out in order.
func assignEvenly(members []candidate) []assignment {
	all := members[0].topics.slots()
	free := make(map[slot]bool, len(all))
	for _, s := range all {
		free[s] = true
	}
	share, extra := len(all)/len(members), len(all)%len(members)
	parts := make([][]slot, len(members))
	for i, c := range members {
		for _, s := range c.had.slots() {
			switch {
			case !free[s]:
				continue
			case len(parts[i]) < share:
			case len(parts[i]) == share && extra > 0:
				extra--
			default:
				continue
			}
			free[s] = false
			parts[i] = append(parts[i], s)
		}
	}
	rest := slices.DeleteFunc(all, func(s slot) bool { return !free[s] })
	out := make([]assignment, len(members))
	for i := range members {
		want := max(0, share-len(parts[i]))
		if len(parts[i])+want == share && extra > 0 {
			want++
			extra--
		}
		parts[i] = append(parts[i], rest[:want]...)
		rest = rest[want:]
		slices.SortFunc(parts[i], slot.compare)
		out[i] = assignmentOf(parts[i])
	}
	return out
}

// assignGreedily is for members with different subscriptions: what had an owner that still wants it
// stays, what has none goes to whoever has least, and then partitions move from those that have more
// to those that have less by two or more, until there is no such move.
func assignGreedily(members []candidate) []assignment {
	b := newBalance(members)
	slots := b.all.slots()
	owner := make(map[slot]int, len(slots))
	for i, c := range members {
		for _, s := range c.had.slots() {
			if _, ok := owner[s]; !ok && c.topics.has(s) {
				owner[s] = i
				b.add(i, 1)
			}
		}
	}
	for moved := true; moved; {
		moved = false
		for _, s := range slots {
			to := b.least(s.topic)
			from, ok := owner[s]
			if ok && b.load[from] <= b.load[to]+1 {
				continue
			}
			if ok {
				b.add(from, -1)
			}
			owner[s] = to
			b.add(to, 1)
			moved = true
		}
	}
	parts := make([][]slot, len(members))
	for _, s := range slots {
		parts[owner[s]] = append(parts[owner[s]], s)
	}
	out := make([]assignment, len(members))
	for i := range out {
		out[i] = assignmentOf(parts[i])
	}
	return out
}

// balance knows how many partitions each member has, and who has least of those that subscribe to a
// topic. Members with the same subscription are kept together: there are few different ones.
type balance struct {
	all    assignment
	load   []int
	pos    []int    // of a member in its class
	class  []*class // of a member
	wanted map[GroupID][]*class
}

// class is the members of one subscription, as a heap: the one with the least partitions is first.
type class struct {
	*balance
	members []int
}

func newBalance(members []candidate) *balance {
	b := &balance{load: make([]int, len(members)), pos: make([]int, len(members)), wanted: make(map[GroupID][]*class)}
	var all union
	classes := make(map[string]*class) // by the ids of their topics
	for i, m := range members {
		c := b.classBefore(members, i)
		if c == nil {
			c = classes[m.topics.ids()]
		}
		if c == nil {
			c = &class{balance: b}
			classes[m.topics.ids()] = c
			all.add(m.topics)
			for _, t := range m.topics {
				b.wanted[t.Topic] = append(b.wanted[t.Topic], c)
			}
		}
		b.class = append(b.class, c)
		heap.Push(c, i)
	}
	b.all = all.sorted()
	return b
}

// classBefore returns the class of the member before if that subscribes to the same, as most do.
func (b *balance) classBefore(members []candidate, i int) *class {
	if i > 0 && members[i].topics.equal(members[i-1].topics) {
		return b.class[i-1]
	}
	return nil
}

func (b *balance) add(member, n int) {
	b.load[member] += n
	heap.Fix(b.class[member], b.pos[member])
}

func (b *balance) least(topic GroupID) int {
	best := -1
	for _, c := range b.wanted[topic] {
		if m := c.members[0]; best < 0 || b.load[m] < b.load[best] {
			best = m
		}
	}
	return best
}

func (c *class) Len() int { return len(c.members) }

func (c *class) Less(i, j int) bool {
	a, b := c.members[i], c.members[j]
	return c.load[a] < c.load[b] || c.load[a] == c.load[b] && a < b
}

func (c *class) Swap(i, j int) {
	c.members[i], c.members[j] = c.members[j], c.members[i]
	c.pos[c.members[i]], c.pos[c.members[j]] = i, j
}

func (c *class) Push(m any) {
	c.pos[m.(int)] = len(c.members)
	c.members = append(c.members, m.(int))
}

// Pop is never called; heap.Interface wants it.
func (c *class) Pop() any { panic("broken invariant: members stay in their class") }

// assignRange gives each member that subscribes to a topic a range of its partitions, the same range
// of every topic, so that partitions of one number of topics of one size stay together.
func assignRange(members []candidate) []assignment {
	var all union
	for i, c := range members {
		if i == 0 || !c.topics.equal(members[i-1].topics) {
			all.add(c.topics)
		}
	}
	out := make([]assignment, len(members))
	for _, t := range all.sorted() {
		var of []int
		for i, c := range members {
			if c.topics.hasTopic(t.Topic) {
				of = append(of, i)
			}
		}
		share, extra, from := len(t.Partitions)/len(of), len(t.Partitions)%len(of), 0
		for n, i := range of {
			to := from + share
			if n < extra {
				to++
			}
			if to > from {
				out[i] = append(out[i], topicSet{t.Topic, t.Partitions[from:to]})
			}
			from = to
		}
	}
	return out
}
