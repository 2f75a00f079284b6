// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"fmt"
	"maps"
	"slices"
)

// partition is where a partition's replicas are, or shall be. The first is the preferred leader.
type partition struct {
	topic    string
	index    int32
	replicas []int32
}

func (p partition) String() string { return fmt.Sprintf("%s/%d", p.topic, p.index) }

// plan is a placement of all partitions under change. The brokers in it are those that replicas may
// be put on.
type plan struct {
	partitions []partition
	brokers    []int32       // ascending
	load       map[int32]int // replicas per broker
	preferred  map[int32]int // partitions whose first replica a broker has

	machines map[int32]string // of brokers that name one: no partition has two replicas on one
}

func newPlan(partitions []partition, brokers []int32) *plan {
	p := &plan{brokers: slices.Sorted(slices.Values(brokers)), load: make(map[int32]int), preferred: make(map[int32]int)}
	for _, part := range partitions {
		part.replicas = slices.Clone(part.replicas)
		p.partitions = append(p.partitions, part)
		for _, b := range part.replicas {
			p.load[b]++
		}
		p.preferred[part.replicas[0]]++
	}
	return p
}

// takes reports whether a broker can have the replica of a partition that another one has now.
func (p *plan) takes(part *partition, b, from int32) bool {
	for _, r := range part.replicas {
		if r == b || r != from && p.machines[b] != "" && p.machines[r] == p.machines[b] {
			return false
		}
	}
	return true
}

// drain takes all replicas off some brokers, each to the broker with the fewest. If such a broker was
// the preferred leader, the replica whose broker is that of the fewest partitions becomes it.
func (p *plan) drain(leaving []int32) error {
	p.brokers = slices.DeleteFunc(p.brokers, func(b int32) bool { return slices.Contains(leaving, b) })
	for _, b := range leaving {
		if err := p.drainOne(b); err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) drainOne(leaving int32) error {
	for i := range p.partitions {
		part := &p.partitions[i]
		at := slices.Index(part.replicas, leaving)
		if at < 0 {
			continue
		}
		to, ok := p.least(p.load, func(b int32) bool { return p.takes(part, b, leaving) })
		if !ok {
			return fmt.Errorf("partition %v has %d replicas, and there is no other live broker without one, on a machine without one: add a broker first, or move the partition to fewer replicas",
				part, len(part.replicas))
		}
		p.replace(part, at, to)
		if at == 0 {
			part.replicas = append(part.replicas[1:], to)
			p.preferred[to]--
			p.preferred[part.replicas[0]]++
			p.preferLeast(part)
		}
	}
	return nil
}

// shares returns the place of the last replica that is on the machine of another one; -1 if all are apart, as far as machines are named.
func shares(replicas []int32, on map[int32]string) int {
	for at := len(replicas) - 1; at > 0; at-- {
		same := func(b int32) bool { return on[b] != "" && on[b] == on[replicas[at]] }
		if slices.ContainsFunc(replicas[:at], same) {
			return at
		}
	}
	return -1
}

// separate moves replicas off machines that have another one of their partition, each to the broker with the fewest. It returns the partitions
// for which there is no such broker.
func (p *plan) separate() (left []string) {
	for i := range p.partitions {
		part := &p.partitions[i]
		for at := shares(part.replicas, p.machines); at >= 0; at = shares(part.replicas, p.machines) {
			to, ok := p.least(p.load, func(b int32) bool { return p.takes(part, b, part.replicas[at]) })
			if !ok {
				left = append(left, part.String())
				break
			}
			p.replace(part, at, to)
		}
	}
	return left
}

// spread evens out the replicas per broker, and then the preferred leaders, with as few moves as
// that takes.
func (p *plan) spread() {
	for p.evenLoad() {
	}
	for p.evenPreferred() {
	}
}

// evenLoad moves one replica from a broker that has most to one that has fewest, or if machines are in the way between the next such
// two. It reports whether it did.
func (p *plan) evenLoad() bool {
	most, fewest := slices.Clone(p.brokers), slices.Clone(p.brokers)
	slices.SortStableFunc(most, func(a, b int32) int { return p.load[b] - p.load[a] })
	slices.SortStableFunc(fewest, func(a, b int32) int { return p.load[a] - p.load[b] })
	for _, from := range most {
		for _, to := range fewest {
			if p.load[from] >= p.load[to]+2 && p.moveOne(from, to) {
				return true
			}
		}
	}
	return false
}

// moveOne moves one replica between two brokers, of a topic that is the most uneven on them. It reports whether there is one to move.
func (p *plan) moveOne(from, to int32) bool {
	surplus := make(map[string]int) // replicas that from has more than to, per topic
	for i := range p.partitions {
		part := &p.partitions[i]
		if slices.Contains(part.replicas, from) {
			surplus[part.topic]++
		}
		if slices.Contains(part.replicas, to) {
			surplus[part.topic]--
		}
	}
	var best *partition
	for i := range p.partitions {
		part := &p.partitions[i]
		movable := slices.Contains(part.replicas, from) && p.takes(part, to, from)
		if movable && (best == nil || surplus[part.topic] > surplus[best.topic]) {
			best = part
		}
	}
	if best == nil {
		return false
	}
	p.replace(best, slices.Index(best.replicas, from), to)
	return true
}

// evenPreferred makes one broker the preferred leader of one partition less, and one that has at
// least two less than it of one more, if there is a chain of partitions whose leadership passes from
// one to the other. It reports whether there was.
func (p *plan) evenPreferred() bool {
	for _, from := range slices.Backward(p.byPreferred()) {
		via := map[int32]int{from: -1} // the partition over which a broker was reached
		queue := []int32{from}
		for len(queue) > 0 {
			b := queue[0]
			queue = queue[1:]
			if p.preferred[b] <= p.preferred[from]-2 {
				p.pass(via, b)
				return true
			}
			for i, part := range p.partitions {
				if part.replicas[0] != b {
					continue
				}
				for _, r := range part.replicas[1:] {
					if _, seen := via[r]; !seen && slices.Contains(p.brokers, r) {
						via[r] = i
						queue = append(queue, r)
					}
				}
			}
		}
	}
	return false
}

// pass passes preferred leadership along a chain that ends at a broker.
func (p *plan) pass(via map[int32]int, to int32) {
	for via[to] >= 0 {
		part := &p.partitions[via[to]]
		from := part.replicas[0]
		p.prefer(part, to)
		to = from
	}
}

func (p *plan) replace(part *partition, at int, to int32) {
	from := part.replicas[at]
	part.replicas[at] = to
	p.load[from]--
	p.load[to]++
	if at == 0 {
		p.preferred[from]--
		p.preferred[to]++
	}
}

// preferLeast makes the replica the first whose broker is that of the fewest partitions; the last
// replica, which is new and has no copy yet, only if its broker has less than all others.
func (p *plan) preferLeast(part *partition) {
	last := len(part.replicas) - 1
	first, ok := p.least(p.preferred, func(b int32) bool { return slices.Contains(part.replicas[:last], b) })
	if to := part.replicas[last]; !ok || p.preferred[to] < p.preferred[first]-1 {
		first = to
	}
	p.prefer(part, first)
}

// prefer makes one of the replicas the first.
func (p *plan) prefer(part *partition, b int32) {
	at := slices.Index(part.replicas, b)
	p.preferred[part.replicas[0]]--
	p.preferred[b]++
	part.replicas = slices.Insert(slices.Delete(part.replicas, at, at+1), 0, b)
}

// least returns the broker with the lowest count of those that are allowed, the lowest id of several.
func (p *plan) least(count map[int32]int, allowed func(int32) bool) (best int32, ok bool) {
	for _, b := range p.brokers {
		if allowed(b) && (!ok || count[b] < count[best]) {
			best, ok = b, true
		}
	}
	return best, ok
}

// byPreferred lists the brokers, those that are preferred for most partitions last.
func (p *plan) byPreferred() []int32 {
	list := slices.Sorted(maps.Keys(p.preferred))
	slices.SortStableFunc(list, func(a, b int32) int { return p.preferred[a] - p.preferred[b] })
	return list
}

// changes lists the partitions that are to be placed otherwise than before.
func (p *plan) changes(before []partition) (changed []partition) {
	for i, part := range p.partitions {
		if !slices.Equal(part.replicas, before[i].replicas) {
			changed = append(changed, part)
		}
	}
	return changed
}
