// SPDX-License-Identifier: Apache-2.0

package consumers

import (
	"cmp"
	"container/heap"
	"encoding/binary"
	"slices"

	"chronik/wal"
)

// TopicSet is some partitions of a topic.
type TopicSet struct {
	Topic      wal.GroupID // see topicMeta.id
	Partitions []int32     // ascending, never empty
}

// Assignment is a set of partitions, ascending by topic. It is never changed, only replaced.
type Assignment []TopicSet

// Slot is one partition.
type Slot struct {
	Topic     wal.GroupID
	Partition int32
}

// Compare orders partitions by topic, then by number.
func (a Slot) Compare(b Slot) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

// Slots lists the partitions, ascending.
func (a Assignment) Slots() (all []Slot) {
	for _, t := range a {
		for _, p := range t.Partitions {
			all = append(all, Slot{t.Topic, p})
		}
	}
	return all
}

// AssignmentOf is the inverse of slots.
func AssignmentOf(all []Slot) (a Assignment) {
	for _, s := range all {
		if n := len(a); n == 0 || a[n-1].Topic != s.Topic {
			a = append(a, TopicSet{Topic: s.Topic})
		}
		t := &a[len(a)-1]
		t.Partitions = append(t.Partitions, s.Partition)
	}
	return a
}

// combine walks over two sets and keeps the partitions that keep wants.
func (a Assignment) combine(b Assignment, keep func(inA, inB bool) bool) Assignment {
	x, y := a.Slots(), b.Slots()
	var out []Slot
	for len(x) > 0 || len(y) > 0 {
		order := 0
		switch {
		case len(y) == 0:
			order = -1
		case len(x) == 0:
			order = 1
		default:
			order = x[0].Compare(y[0])
		}
		var s Slot
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
	return AssignmentOf(out)
}

// And returns what is in both.
func (a Assignment) And(b Assignment) Assignment {
	return a.combine(b, func(inA, inB bool) bool { return inA && inB })
}

// Or returns what is in one or both.
func (a Assignment) Or(b Assignment) Assignment {
	return a.combine(b, func(bool, bool) bool { return true })
}

// Minus returns what is in a alone.
func (a Assignment) Minus(b Assignment) Assignment {
	return a.combine(b, func(inA, inB bool) bool { return inA && !inB })
}

// Equal reports whether both hold the same partitions.
func (a Assignment) Equal(b Assignment) bool {
	if len(a) > 0 && len(a) == len(b) && &a[0] == &b[0] {
		return true // shared, as members' subscriptions often are
	}
	return slices.EqualFunc(a, b, func(s, t TopicSet) bool {
		return s.Topic == t.Topic && slices.Equal(s.Partitions, t.Partitions)
	})
}

// ids returns the topics as a string to compare.
func (a Assignment) ids() string {
	b := make([]byte, 0, 8*len(a))
	for _, t := range a {
		b = binary.BigEndian.AppendUint64(b, uint64(t.Topic))
	}
	return string(b)
}

// union is the topics of several sets, each with all its partitions.
type union struct {
	topics Assignment
	known  map[wal.GroupID]bool
}

func (u *union) add(a Assignment) {
	if u.known == nil {
		u.known = make(map[wal.GroupID]bool)
	}
	for _, t := range a {
		if !u.known[t.Topic] {
			u.known[t.Topic] = true
			u.topics = append(u.topics, t)
		}
	}
}

func (u *union) sorted() Assignment {
	slices.SortFunc(u.topics, func(s, t TopicSet) int { return cmp.Compare(s.Topic, t.Topic) })
	return u.topics
}

func (a Assignment) has(s Slot) bool {
	i, ok := slices.BinarySearchFunc(a, s.Topic, func(t TopicSet, id wal.GroupID) int { return cmp.Compare(t.Topic, id) })
	if !ok {
		return false
	}
	_, ok = slices.BinarySearch(a[i].Partitions, s.Partition)
	return ok
}

func (a Assignment) hasTopic(id wal.GroupID) bool {
	_, ok := slices.BinarySearchFunc(a, id, func(s TopicSet, id wal.GroupID) int { return cmp.Compare(s.Topic, id) })
	return ok
}

// candidate is a member to whom partitions are assigned.
type candidate struct {
	topics Assignment // every partition of every topic that it subscribes to
	had    Assignment // its target before
}

// The assignors that members may choose by name (KIP-848).
const (
	AssignorUniform = "uniform"
	AssignorRange   = "range"
)

// assignUniform gives every member as many partitions as any other, as far as subscriptions allow,
// and moves as few as it can.
func assignUniform(members []candidate) []Assignment {
	same := !slices.ContainsFunc(members, func(c candidate) bool { return !c.topics.Equal(members[0].topics) })
	if same {
		return assignEvenly(members)
	}
	return assignGreedily(members)
}

// assignEvenly is for members that all subscribe to the same topics. Each keeps what it had up to its
// share; the rest is handed out in order.
func assignEvenly(members []candidate) []Assignment {
	all := members[0].topics.Slots()
	free := make(map[Slot]bool, len(all))
	for _, s := range all {
		free[s] = true
	}
	share, extra := len(all)/len(members), len(all)%len(members)
	parts := make([][]Slot, len(members))
	for i, c := range members {
		for _, s := range c.had.Slots() {
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
	rest := slices.DeleteFunc(all, func(s Slot) bool { return !free[s] })
	out := make([]Assignment, len(members))
	for i := range members {
		want := max(0, share-len(parts[i]))
		if len(parts[i])+want == share && extra > 0 {
			want++
			extra--
		}
		parts[i] = append(parts[i], rest[:want]...)
		rest = rest[want:]
		slices.SortFunc(parts[i], Slot.Compare)
		out[i] = AssignmentOf(parts[i])
	}
	return out
}

// assignGreedily is for members with different subscriptions: what had an owner that still wants it
// stays, what has none goes to whoever has least, and then partitions move from those that have more
// to those that have less by two or more, until there is no such move.
func assignGreedily(members []candidate) []Assignment {
	b := newBalance(members)
	slots := b.all.Slots()
	owner := make(map[Slot]int, len(slots))
	for i, c := range members {
		for _, s := range c.had.Slots() {
			if _, ok := owner[s]; !ok && c.topics.has(s) {
				owner[s] = i
				b.add(i, 1)
			}
		}
	}
	for moved := true; moved; {
		moved = false
		for _, s := range slots {
			to := b.least(s.Topic)
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
	parts := make([][]Slot, len(members))
	for _, s := range slots {
		parts[owner[s]] = append(parts[owner[s]], s)
	}
	out := make([]Assignment, len(members))
	for i := range out {
		out[i] = AssignmentOf(parts[i])
	}
	return out
}

// balance knows how many partitions each member has, and who has least of those that subscribe to a
// topic. Members with the same subscription are kept together: there are few different ones.
type balance struct {
	all    Assignment
	load   []int
	pos    []int    // of a member in its class
	class  []*class // of a member
	wanted map[wal.GroupID][]*class
}

// class is the members of one subscription, as a heap: the one with the least partitions is first.
type class struct {
	*balance
	members []int
}

func newBalance(members []candidate) *balance {
	b := &balance{load: make([]int, len(members)), pos: make([]int, len(members)), wanted: make(map[wal.GroupID][]*class)}
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
	if i > 0 && members[i].topics.Equal(members[i-1].topics) {
		return b.class[i-1]
	}
	return nil
}

func (b *balance) add(member, n int) {
	b.load[member] += n
	heap.Fix(b.class[member], b.pos[member])
}

func (b *balance) least(topic wal.GroupID) int {
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
func assignRange(members []candidate) []Assignment {
	var all union
	for i, c := range members {
		if i == 0 || !c.topics.Equal(members[i-1].topics) {
			all.add(c.topics)
		}
	}
	out := make([]Assignment, len(members))
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
				out[i] = append(out[i], TopicSet{t.Topic, t.Partitions[from:to]})
			}
			from = to
		}
	}
	return out
}
