// SPDX-License-Identifier: Apache-2.0

package consumers

import (
	"cmp"
	"slices"
	"sort"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
	"chronik/wal"
)

// Who of a group gets what takes long when there are many members, partitions or names to match. Little is done in the
// step; otherwise it is a task of the world, in pieces. The group makes no other change meanwhile, so
// what is found fits what the group is, unless this broker is its coordinator no more.

// Subscriber is a member of a group, as far as it matters here.
type Subscriber struct {
	Topics []string // names that it subscribes to, ascending
	Regex  string   // and those that match
	Had    Assignment
}

// like reports whether two subscribe to the same.
func (s *Subscriber) like(o *Subscriber) bool {
	return slices.Equal(s.Topics, o.Topics) && s.Regex == o.Regex
}

// TopicSize is a topic of the cluster.
type TopicSize struct {
	Name  string
	ID    wal.GroupID
	Parts int32
}

// Assigner finds out what the members of a group subscribe to, and what each gets of it.
type Assigner struct {
	members  []Subscriber
	topics   []TopicSize // of the cluster, ascending by name
	known    Assignment  // what they subscribed to before
	wanted   bool        // targets are, even if that is the same
	assignor string

	regexes []string         // different ones of the members
	matches map[string][]int // of each, the topics' places in the list
	turn    int              // of the regular expressions
	pattern *Pattern         // that one's
	next    int              // of the topics, for that one

	Done    bool
	all     Assignment // every partition of every topic that is subscribed to
	targets []Assignment
	err     error
}

// NewAssigner begins. The topics are those of the cluster, ascending by name; known is what the members subscribed to
// before. Unless targets are wanted they are made only if that has changed.
func NewAssigner(members []Subscriber, topics []TopicSize, known Assignment, assignor string, wanted bool) *Assigner {
	return &Assigner{members: members, topics: topics, known: known, assignor: assignor, wanted: wanted}
}

// Result returns every partition of every topic that is subscribed to, and what each member shall own; nil if that is not
// wanted and would be the same.
func (a *Assigner) Result() (all Assignment, targets []Assignment, err error) {
	return a.all, a.targets, a.err
}

// matchedAtOnce is how many steps of regular expressions a piece does: some milliseconds.
const matchedAtOnce = 1 << 19

// Piece does a part of the work.
func (a *Assigner) Piece() {
	if a.matches == nil {
		a.begin()
	}
	for room := matchedAtOnce; a.turn < len(a.regexes); a.turn, a.next, a.pattern = a.turn+1, 0, nil {
		regex := a.regexes[a.turn]
		if a.pattern == nil {
			a.pattern, _ = TopicPattern(regex)
		}
		for ; a.pattern != nil && a.next < len(a.topics); a.next++ { // another release may know other expressions
			if room <= 0 {
				return
			}
			name := a.topics[a.next].Name
			room -= a.pattern.Size*len(name) + 64
			if a.pattern.Matches(name) {
				a.matches[regex] = append(a.matches[regex], a.next)
			}
		}
	}
	a.assign()
	a.Done = true
}

// begin lists the regular expressions.
func (a *Assigner) begin() {
	a.matches = make(map[string][]int)
	known := make(map[string]bool)
	for i := range a.members {
		m := &a.members[i]
		if m.Regex != "" && !known[m.Regex] {
			known[m.Regex] = true
			a.regexes = append(a.regexes, m.Regex)
		}
	}
}

// maxSubscribed bounds the topics of all different subscriptions of a group, together.
const maxSubscribed = 1 << 20

// assign makes the targets.
func (a *Assigner) assign() {
	candidates, topics := make([]candidate, len(a.members)), union{}
	subscriptions, sum := make(map[string]Assignment), 0
	for i := range a.members {
		m := &a.members[i]
		candidates[i].had = m.Had
		if i > 0 && m.like(&a.members[i-1]) {
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
	case !a.wanted && a.all.Equal(a.known) || len(candidates) == 0:
	case a.assignor == AssignorRange:
		a.targets = assignRange(candidates)
	default:
		a.targets = assignUniform(candidates)
	}
}

// subscription returns every partition that a member wants to share. As in Kafka, a regular expression may match
// the brokers' own topic, too.
func (a *Assigner) subscription(m *Subscriber) Assignment {
	which := slices.Clone(a.matches[m.Regex])
	for _, name := range m.Topics {
		if i := a.named(name); i >= 0 {
			which = append(which, i)
		}
	}
	slices.SortFunc(which, func(i, j int) int { return cmp.Compare(a.topics[i].ID, a.topics[j].ID) })
	var all Assignment
	for _, i := range slices.Compact(which) {
		all = append(all, TopicSet{Topic: a.topics[i].ID, Partitions: ascending(a.topics[i].Parts)})
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

// Cost estimates the work in Parts, or says that it is more than a limit. The topics have so many partitions, and bytes in
// their names.
func (a *Assigner) Cost(parts, bytes, limit int) int {
	cost, named := 0, make(map[string]bool)
	for i := range a.members {
		m := &a.members[i]
		if cost += 1 + len(m.Topics)/16; cost > limit {
			break
		}
		if i > 0 && m.like(&a.members[i-1]) {
			continue
		}
		if m.Regex != "" {
			cost += len(m.Regex)*bytes/64 + parts
		}
		cost += 2 * len(m.Topics)
		for j := 0; j < len(m.Topics) && cost <= limit; j++ {
			name := m.Topics[j]
			if t := a.named(name); t >= 0 && !named[name] {
				named[name] = true
				cost += int(a.topics[t].Parts)
			}
		}
	}
	return cost
}

// named returns the place of a topic in the list, -1 if there is none.
func (a *Assigner) named(name string) int {
	if i, ok := sort.Find(len(a.topics), func(i int) int { return strings.Compare(name, a.topics[i].Name) }); ok {
		return i
	}
	return -1
}
