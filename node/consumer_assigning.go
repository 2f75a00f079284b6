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

// subscriber is a member of a group, as far as it matters here.
type subscriber struct {
	topics []string // names that it subscribes to, ascending
	regex  string   // and those that match
	had    assignment
}

// like reports whether two subscribe to the same.
func (s *subscriber) like(o *subscriber) bool {
	return slices.Equal(s.topics, o.topics) && s.regex == o.regex
}

// topicSize is a topic of the cluster.
type topicSize struct {
	name  string
	id    GroupID
	parts int32
}

// assigning finds out what the members of a group subscribe to, and what each gets of it.
type assigning struct {
	members  []subscriber
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

// newAssigning begins. The topics are those of the cluster, ascending by name; known is what the members subscribed to
// before. Unless targets are wanted they are made only if that has changed.
func newAssigning(members []subscriber, topics []topicSize, known assignment, assignor string, wanted bool) *assigning {
	return &assigning{members: members, topics: topics, known: known, assignor: assignor, wanted: wanted}
}

// result returns every partition of every topic that is subscribed to, and what each member shall own; nil if that is not
// wanted and would be the same.
func (a *assigning) result() (all assignment, targets []assignment, err error) {
	return a.all, a.targets, a.err
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
	for i := range a.members {
		m := &a.members[i]
		if m.regex != "" && !known[m.regex] {
			known[m.regex] = true
			a.regexes = append(a.regexes, m.regex)
		}
	}
}

// maxSubscribed bounds the topics of all different subscriptions of a group, together.
const maxSubscribed = 1 << 20

// assign makes the targets.
func (a *assigning) assign() {
	candidates, topics := make([]candidate, len(a.members)), union{}
	subscriptions, sum := make(map[string]assignment), 0
	for i := range a.members {
		m := &a.members[i]
		candidates[i].had = m.had
		if i > 0 && m.like(&a.members[i-1]) {
			candidates[i].topics = candidates[i-1].topics
			continue
		}
		key := m.regex + "\x00" + strings.Join(m.topics, "\x00")
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
func (a *assigning) subscription(m *subscriber) assignment {
	which := slices.Clone(a.matches[m.regex])
	for _, name := range m.topics {
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

// cost estimates the work in Parts, or says that it is more than a limit. The topics have so many partitions, and bytes in
// their names.
func (a *assigning) cost(parts, bytes, limit int) int {
	cost, named := 0, make(map[string]bool)
	for i := range a.members {
		m := &a.members[i]
		if cost += 1 + len(m.topics)/16; cost > limit {
			break
		}
		if i > 0 && m.like(&a.members[i-1]) {
			continue
		}
		if m.regex != "" {
			cost += len(m.regex)*bytes/64 + parts
		}
		cost += 2 * len(m.topics)
		for j := 0; j < len(m.topics) && cost <= limit; j++ {
			name := m.topics[j]
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
