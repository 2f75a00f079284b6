// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"math/bits"
	"reflect"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node"
	"chronik/sim/plan"
)

// features notes what a run was like, for simrun hunt: which of the node's events came after which, and what requests met
// which brokers. It looks only, so a run is the same with it and without.
//
// What a broker thinks of itself matters less than what is so. A leader that doesn't know that there is a newer one is told
// apart from one that is right, and so is a leader that has committed nothing yet: most rare bugs sit in those moments.
//
// A feature is text, so that it means the same at another commit:
//
//	pair partition leader truncated > voted      at one broker and in one group: the event before, or the last one that isn't
//	                                             frequent, then the event itself
//	asked ListOffsets of outrun leader of ... x2 a request reached such a broker, 2 or 3 times; x4: more often
//	answer Fetch NOT_LEADER_FOR_PARTITION by ... and what it said
//	fault pause at a new leader of the catalog   whom a fault hit
//	anchor kill after voted                      what it waited for
//	count truncated 16                           16 to 63 events
//	knob hot_entries 4                           4 to 15; the others likewise
type features struct {
	counts  map[feature]uint32
	seats   [plan.MaxBrokers + 1]map[node.GroupID]*seat // look-up only
	own     [plan.MaxBrokers + 1]seat                   // events that are about no group
	blows   [plan.MaxBrokers + 1]blow
	leading [plan.MaxBrokers + 1][]node.GroupID // as each broker thinks
	reigns  map[node.GroupID]*newestReign       // look-up only
}

// feature is one, packed.
type feature struct {
	kind        featureKind
	class       groupClass
	role        role
	first, then uint8 // events, see signName
	api, code   int16
	bucket      uint8
}

type featureKind uint8

const (
	featurePair featureKind = iota
	featureAsked
	featureAnswer
	featureFault
	featureAnchor
)

type groupClass uint8

const (
	classPartition groupClass = iota
	classCoordinator
	classCatalog
	classNone // of events that are about no group
)

var classNames = [...]string{"partition", "coordinator", "catalog", "broker"}

// role is what a broker is in a group by the truth, worse ones last.
type role uint8

const (
	roleFollower role = iota
	roleLeader
	roleNew     // it leads and has committed nothing in its term
	roleDeposed // it thinks that it leads, and there is a leader of a later term
	roleOutrun  // and that one has committed something of its own
)

var roleNames = [...]string{"follower", "leader", "new leader", "deposed leader", "outrun leader"}

// seat is what happened to a replica.
type seat struct {
	class         groupClass
	last, notable uint8 // events; notable: not one of the frequent ones
	blow          uint64
	term          uint64 // in which it leads; 0: it doesn't
}

// blow is the last fault that hit a broker.
type blow struct {
	number uint64
	sign   uint8
}

// newestReign is the leadership of the highest term in a group.
type newestReign struct {
	class   groupClass
	term    uint64
	commits int // since it began
}

// Signs number the events that pairs are made of: the node's and the world's as in plan.AnchorNames, then the faults, then these.
const (
	signFaults   = 128
	signDown     = 253 // the process ended
	signUnsynced = 254 // it ended, and left something that isn't synced
	signTorn     = 255 // the power failed, and something wasn't synced
)

func newFeatures() *features {
	f := &features{counts: make(map[feature]uint32), reigns: make(map[node.GroupID]*newestReign)}
	for i := range f.seats {
		f.seats[i] = make(map[node.GroupID]*seat)
		f.own[i].class = classNone
	}
	return f
}

// aboutGroup says that an event names a raft group.
func aboutGroup(k node.EventKind) bool {
	switch k {
	case node.EventSegmentRolled, node.EventSegmentRecycled, node.EventTornTail, node.EventRecovered, node.EventTopicCreated, node.EventCatalogChanged,
		node.EventCommandSent, node.EventTwoReplicas, node.EventCreationRefused, node.EventTopicDeleted, node.EventBrokerRegistered, node.EventFetchParked,
		node.EventRequestRefused, node.EventCommandRefused, node.EventEnvelopeRefused, node.EventReady, node.EventSecondProcess, node.EventFoundersDiffer,
		node.EventNotReady, node.EventLogDamaged, node.EventDiskFull, node.EventBrokerRemoved,
		node.EventLoggedIn, node.EventLoginFailed, node.EventAccessDenied, node.EventAudited, node.EventErrorAnswered:
		return false
	}
	return true
}

// frequent says that an event follows nearly everything.
func frequent(k node.EventKind) bool {
	switch k {
	case node.EventAppended, node.EventCommitted, node.EventFetchParked, node.EventOffsetCommit, node.EventCommandSent, node.EventHeldMessage:
		return true
	}
	return false
}

// event notes an event of the node.
func (f *features) event(b *broker, e *node.Event) {
	s := &f.own[b.number]
	if aboutGroup(e.Kind) {
		s = f.seat(b, e.Group)
	}
	r := f.role(s, e.Group)
	if s.blow != f.blows[b.number].number {
		s.blow, s.notable = f.blows[b.number].number, f.blows[b.number].sign
	}
	sign := uint8(e.Kind)
	f.counts[feature{kind: featurePair, class: s.class, role: r, first: s.last, then: sign}]++
	if s.notable != s.last {
		f.counts[feature{kind: featurePair, class: s.class, role: r, first: s.notable, then: sign}]++
	}
	s.last = sign
	if !frequent(e.Kind) {
		s.notable = sign
	}
	f.leads(b, s, e)
}

func (f *features) seat(b *broker, g node.GroupID) *seat {
	s := f.seats[b.number][g]
	if s == nil {
		s = new(seat)
		if v, ok := b.node.Inspect(g); g == 0 {
			s.class = classCatalog
		} else if ok && v.Topic == "" {
			s.class = classCoordinator
		}
		f.seats[b.number][g] = s
	}
	return s
}

// leads keeps who thinks that it leads what.
func (f *features) leads(b *broker, s *seat, e *node.Event) {
	switch e.Kind {
	case node.EventBecameLeader:
		s.term = e.Term
		if !slices.Contains(f.leading[b.number], e.Group) {
			f.leading[b.number] = append(f.leading[b.number], e.Group)
		}
		if r := f.reigns[e.Group]; r == nil || r.term < e.Term {
			f.reigns[e.Group] = &newestReign{class: s.class, term: e.Term}
		}
	case node.EventLostLeadership:
		s.term = 0
		f.leading[b.number] = slices.DeleteFunc(f.leading[b.number], func(g node.GroupID) bool { return g == e.Group })
	case node.EventCommitted:
		if r := f.reigns[e.Group]; r != nil && r.term == s.term {
			r.commits++
		}
	}
}

func (f *features) role(s *seat, g node.GroupID) role {
	r := f.reigns[g]
	switch {
	case s.term == 0 || r == nil:
		return roleFollower
	case s.term < r.term && r.commits > 1:
		return roleOutrun
	case s.term < r.term:
		return roleDeposed
	case r.commits == 0:
		return roleNew
	}
	return roleLeader
}

// standing is the worst role that a broker has in any group of a class.
func (f *features) standing(b *broker, c groupClass) role {
	worst := roleFollower
	for _, g := range f.leading[b.number] {
		if r := f.reigns[g]; r != nil && r.class == c {
			worst = max(worst, f.role(f.seats[b.number][g], g))
		}
	}
	return worst
}

// fault notes that a fault begins; b is nil if it is everywhere, here is where the event was that it waited for.
func (f *features) fault(w *world, fault *plan.Fault, b *broker) {
	sign := signFaults + uint8(fault.Kind.Index())
	if fault.After != nil {
		event, _ := plan.AnchorIndex(fault.After.Event)
		f.counts[feature{kind: featureAnchor, first: sign, then: uint8(event)}]++
	}
	if b == nil {
		for _, b := range w.brokers {
			f.struck(b, sign)
		}
		return
	}
	for c := range classNone {
		f.counts[feature{kind: featureFault, class: c, role: f.standing(b, c), first: sign}]++
	}
	f.struck(b, sign)
}

func (f *features) struck(b *broker, sign uint8) {
	f.blows[b.number].number++
	f.blows[b.number].sign = sign
}

// down notes the end of a process.
func (f *features) down(b *broker, power, unsynced bool) {
	for _, g := range f.leading[b.number] {
		f.seats[b.number][g].term = 0
	}
	f.leading[b.number] = f.leading[b.number][:0]
	switch {
	case power && unsynced:
		f.struck(b, signTorn)
	case b.disk.unsynced():
		f.struck(b, signUnsynced)
	default:
		f.struck(b, signDown)
	}
}

// asked notes a client's request.
func (f *features) asked(b *broker, frame []byte) {
	if len(frame) < 2 {
		return
	}
	api := int16(frame[0])<<8 | int16(frame[1])
	c := classOf(api)
	f.counts[feature{kind: featureAsked, class: c, role: f.standing(b, c), api: api}]++
}

// classOf is what sort of group the requests of an API are about.
func classOf(api int16) groupClass {
	switch kmsg.Key(api) {
	case kmsg.Produce, kmsg.Fetch, kmsg.ListOffsets, kmsg.DeleteRecords, kmsg.OffsetForLeaderEpoch:
		return classPartition
	case kmsg.OffsetCommit, kmsg.OffsetFetch, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.LeaveGroup, kmsg.ConsumerGroupHeartbeat:
		return classCoordinator
	}
	return classCatalog
}

// replied notes, in the request that an answer is for, what the broker is that sends it.
func (f *features) replied(cn *conn, b *broker) {
	if cn.client == nil || cn.onTheWay >= len(cn.asked) {
		return
	}
	a := &cn.asked[cn.onTheWay]
	a.by = f.standing(b, classOf(a.resp.Key()))
	cn.onTheWay++
}

// answered notes what a client was told.
func (f *features) answered(cn *conn, a *asked) {
	cn.onTheWay = max(cn.onTheWay-1, 0)
	f.counts[feature{kind: featureAnswer, class: classOf(a.resp.Key()), role: a.by, api: a.resp.Key(), code: firstCode(a.resp)}]++
}

// firstCode is the first error code in an answer.
func firstCode(resp kmsg.Response) (code int16) {
	note := func(c int16) {
		if code == 0 {
			code = c
		}
	}
	switch r := resp.(type) {
	case *kmsg.ProduceResponse:
		for i := range r.Topics {
			for j := range r.Topics[i].Partitions {
				note(r.Topics[i].Partitions[j].ErrorCode)
			}
		}
	case *kmsg.FetchResponse:
		note(r.ErrorCode)
		for i := range r.Topics {
			for j := range r.Topics[i].Partitions {
				note(r.Topics[i].Partitions[j].ErrorCode)
			}
		}
	case *kmsg.ListOffsetsResponse:
		for i := range r.Topics {
			for j := range r.Topics[i].Partitions {
				note(r.Topics[i].Partitions[j].ErrorCode)
			}
		}
	case *kmsg.MetadataResponse:
		for i := range r.Topics {
			note(r.Topics[i].ErrorCode)
		}
	default:
		if c := reflect.ValueOf(resp).Elem().FieldByName("ErrorCode"); c.IsValid() {
			note(int16(c.Int()))
		}
	}
	return code
}

// names are the features as text, sorted.
func (f *features) names(r *Result, k *plan.Knobs) []string {
	all := make([]string, 0, len(f.counts)+64)
	//det:ok the names are sorted below
	for x, n := range f.counts {
		if (x.kind == featureAsked || x.kind == featureAnswer) && x.role >= roleNew {
			x.bucket = uint8(min(bits.Len32(n), 3))
		}
		all = append(all, x.String())
	}
	for kind, n := range r.Events {
		if n > 0 {
			all = append(all, fmt.Sprintf("count %s %d", signName(uint8(kind)), powerOf4(n)))
		}
	}
	all = append(all, knobClasses(k)...)
	slices.Sort(all)
	return all
}

func (x feature) String() string {
	at := fmt.Sprintf("%s of %s", roleNames[x.role], classNames[x.class])
	times := ""
	if x.bucket > 0 {
		times = fmt.Sprintf(" x%d", 1<<(x.bucket-1))
	}
	switch x.kind {
	case featurePair:
		return fmt.Sprintf("pair at %s: %s > %s", at, signName(x.first), signName(x.then))
	case featureAsked:
		return fmt.Sprintf("asked %s of %s%s", kmsg.NameForKey(x.api), at, times)
	case featureAnswer:
		return fmt.Sprintf("answer %s %s by %s%s", kmsg.NameForKey(x.api), kafka.CodeName(x.code), at, times)
	case featureFault:
		return fmt.Sprintf("fault %s at %s", signName(x.first), at)
	}
	return fmt.Sprintf("anchor %s after %s", signName(x.first), signName(x.then))
}

func signName(sign uint8) string {
	names := plan.AnchorNames()
	switch {
	case sign == signDown:
		return "down"
	case sign == signUnsynced:
		return "down unsynced"
	case sign == signTorn:
		return "power lost"
	case sign >= signFaults:
		return plan.FaultNames()[sign-signFaults]
	case sign == 0:
		return "nothing"
	}
	return names[sign]
}

// powerOf4 is the largest power of 4 up to n.
func powerOf4(n int64) int64 { return 1 << ((bits.Len64(uint64(n)) - 1) &^ 1) }

// knobClasses are the orders of magnitude of what a world was told.
func knobClasses(k *plan.Knobs) []string {
	var all []string
	for _, c := range []struct {
		name  string
		value int64
	}{
		{"hot_entries", int64(k.HotEntries)},
		{"cache_bytes", k.CacheBytes},
		{"cold_read_bytes", k.ColdReadBytes},
		{"replication_bytes", int64(k.ReplicationBytes)},
		{"replication_window", int64(k.ReplicationWindow)},
		{"checkpoint_entries", int64(k.CheckpointEntries)},
		{"checkpoint_bytes", k.CheckpointBytes},
		{"retain_entries", int64(k.RetainEntries)},
		{"segment_bytes", k.SegmentBytes},
		{"flush_bytes", int64(k.FlushBytes)},
		{"step_items", int64(k.StepItems)},
		{"link_latency", int64(k.LinkLatency)},
		{"write_latency", int64(k.WriteLatency)},
	} {
		if c.value > 0 {
			all = append(all, fmt.Sprintf("knob %s %d", c.name, powerOf4(c.value)))
		}
	}
	return all
}
