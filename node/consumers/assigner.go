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
	As     string   // who it is, where it counts which of these it may know of; "": all of them
	Had    Assignment
}

// like reports whether two subscribe to the same.
func (s *Subscriber) like(o *Subscriber) bool {
	return slices.Equal(s.Topics, o.Topics) && s.Regex == o.Regex && s.As == o.As
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
	matched bool             // that is done

	views []view         // different ones of the members, of those alone who don't see all
	seen  map[view][]int // what each sees of its expression's matches
	view  int            // that the broker is asked about
	asked int            // of its matches
	found int            // of all views
	sum   int            // of all questions

	Done    bool
	all     Assignment // every partition of every topic that is subscribed to
	targets []Assignment
	err     error
}

// view is what somebody sees of the matches of an expression.
type view struct{ regex, as string }

// subscribed is what a member subscribes to.
type subscribed struct {
	view
	topics string
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

// Piece does a part of the work. Before the last one the broker must have answered all questions.
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
	a.matched = true
	if _, _, more := a.Question(); more {
		return
	}
	a.assign()
	a.Done = true
}

// Question returns the next topic that matches the expression of somebody who may have no right to know of it, and who that is.
// Answer says what becomes of it.
func (a *Assigner) Question() (as, topic string, more bool) {
	if !a.matched || a.tooMany() {
		return "", "", false
	}
	for ; a.view < len(a.views); a.view, a.asked = a.view+1, 0 {
		v := a.views[a.view]
		if matches := a.matches[v.regex]; a.asked < len(matches) {
			return v.as, a.topics[matches[a.asked]].Name, true
		}
	}
	return "", "", false
}

// Answer takes whether the topic of the question counts.
func (a *Assigner) Answer(may bool) {
	v := a.views[a.view]
	if may {
		a.seen[v] = append(a.seen[v], a.matches[v.regex][a.asked])
		a.found++
	}
	a.asked++
	a.sum++
}

// tooMany reports whether there are more questions than a group may ask.
func (a *Assigner) tooMany() bool { return a.found > maxSubscribed || a.sum > 4*maxSubscribed }

// begin lists the regular expressions.
func (a *Assigner) begin() {
	a.matches = make(map[string][]int)
	a.seen = make(map[view][]int)
	known, seen := make(map[string]bool), make(map[view]bool)
	for i := range a.members {
		m := &a.members[i]
		if v := (view{m.Regex, m.As}); m.Regex != "" && m.As != "" && !seen[v] {
			seen[v] = true
			a.views = append(a.views, v)
		}
		if m.Regex != "" && !known[m.Regex] {
			known[m.Regex] = true
			a.regexes = append(a.regexes, m.Regex)
		}
	}
}

// maxSubscribed bounds the topics of all different subscriptions of a group, together.
const maxSubscribed = 1 << 20

// errSubscribed is that of a group whose members subscribe to too much.
var errSubscribed = kafka.Errorf(kerr.GroupMaxSizeReached, "the different subscriptions of the group's members have more than %d topics together; use the same subscription for all", maxSubscribed)

// assign makes the targets.
func (a *Assigner) assign() {
	if a.tooMany() {
		a.err = errSubscribed
		return
	}
	candidates, topics := make([]candidate, len(a.members)), union{}
	subscriptions, sum := make(map[subscribed]Assignment), 0
	for i := range a.members {
		m := &a.members[i]
		candidates[i].had = m.Had
		if i > 0 && m.like(&a.members[i-1]) {
			candidates[i].topics = candidates[i-1].topics
			continue
		}
		key := subscribed{view{m.Regex, m.As}, strings.Join(m.Topics, "\x00")}
		if _, known := subscriptions[key]; !known {
			subscriptions[key] = a.subscription(m)
			topics.add(subscriptions[key])
			if sum += len(subscriptions[key]); sum > maxSubscribed {
				a.err = errSubscribed
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
	if m.As != "" {
		which = slices.Clone(a.seen[view{m.Regex, m.As}])
	}
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
		if m.As != "" {
			cost += len(a.topics)
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
