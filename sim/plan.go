// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"chronik/node"
)

// Duration is a length of virtual time, or a time since the start of a run, in nanoseconds. In a
// plan it is text such as "1.5ms".
type Duration int64

// MarshalText prints d exactly.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what MarshalText prints, and whatever else time.ParseDuration takes.
func (d *Duration) UnmarshalText(b []byte) error {
	x, err := time.ParseDuration(string(b))
	*d = Duration(x)
	return err
}

func (d Duration) String() string { return time.Duration(d).String() }

const (
	microsecond = Duration(time.Microsecond)
	millisecond = Duration(time.Millisecond)
	second      = Duration(time.Second)
)

// Plan is everything that a run is told. Together with the commit it decides every byte of the run,
// so that a kept plan outlives changes of the generator, can be edited by hand and can be shrunk.
// Seed keys the noise that is not spelled out: the latency of each message, the fate of each
// unsynced sector.
type Plan struct {
	Why     string `json:"why"`    // kept plans: what it shows, in one sentence
	Commit  string `json:"commit"` // kept plans: where it was found
	Seed    uint64 `json:"seed"`
	Profile string `json:"profile"`
	Brokers int    `json:"brokers"` // 1 to 7, with ids from 1
	// Founders is how many of them found the cluster, those with the lowest ids; the others are there
	// when a fault lets them join. 0: all.
	Founders int `json:"founders"`
	// Expect names events of the node that have to happen in the run: what a scenario is about. A run
	// in which one doesn't proves nothing, and fails.
	Expect  []string `json:"expect,omitempty"`
	Safety  Duration `json:"safety"` // how long faults last; then everything is healed and judged
	Knobs   Knobs    `json:"knobs"`
	Clocks  []Clock  `json:"clocks"` // one per broker
	Topics  []Topic  `json:"topics"`
	Clients []Client `json:"clients"`
	Calls   []Call   `json:"calls"`
	Faults  []Fault  `json:"faults"`
	Members []Member `json:"members"` // of consumer groups
	Turns   []Turn   `json:"turns"`   // what happens to them
	Attacks []Attack `json:"attacks,omitempty"`
	Lies    []Lie    `json:"lies,omitempty"`
	Lists   []List   `json:"lists,omitempty"`
	Watcher *Watcher `json:"watcher,omitempty"`
}

// Knobs are the sizes and speeds of a world. They are drawn wide, because the bugs sit where a
// window holds one entry and a segment a few records.
type Knobs struct {
	Tick              Duration `json:"tick"`
	ElectionTicks     int      `json:"election_ticks"`
	HeartbeatTicks    int      `json:"heartbeat_ticks"`
	HotEntries        int      `json:"hot_entries"`
	CacheBytes        int64    `json:"cache_bytes"`
	ColdReadBytes     int64    `json:"cold_read_bytes"`
	ReplicationBytes  uint64   `json:"replication_bytes"`
	ReplicationWindow int      `json:"replication_window"`
	CatchUpRate       int64    `json:"catch_up_rate,omitempty"` // bytes a second; 0: the broker's default
	CheckpointEntries int      `json:"checkpoint_entries"`
	CheckpointBytes   int64    `json:"checkpoint_bytes"`
	RetainEntries     int      `json:"retain_entries"`
	CompactionBytes   int64    `json:"compaction_bytes,omitempty"` // of keys in memory; 0: the broker's default
	SegmentBytes      int64    `json:"segment_bytes"`
	FlushBytes        int      `json:"flush_bytes"`

	StepCost  Duration `json:"step_cost"`  // mean time that a step keeps its broker busy
	StepItems int      `json:"step_items"` // at most this many inputs of each sort in one step

	LinkLatency  Duration `json:"link_latency"` // mean, one way, between brokers and to clients
	LinkInOrder  bool     `json:"link_in_order"`
	WriteLatency Duration `json:"write_latency"` // mean of one write with its sync
	ReadLatency  Duration `json:"read_latency"`
	RestartTime  Duration `json:"restart_time"` // mean time that a recovery takes

	ClockPatience Duration `json:"clock_patience,omitempty"` // 0: 20 s

	// ProducerExpiry is how long a silent producer is remembered; longer than anybody tries a batch again, or there are
	// duplicates. 0: the broker's default.
	ProducerExpiry Duration `json:"producer_expiry,omitempty"`

	// Of consumer groups; 0: the broker's default.
	GroupPartitions int32    `json:"group_partitions,omitempty"`
	GroupDelay      Duration `json:"group_delay,omitempty"`
	GroupSession    Duration `json:"group_session,omitempty"` // in KIP-848
	GroupBeat       Duration `json:"group_beat,omitempty"`    // in KIP-848
}

// Clock is how one broker's clocks differ from virtual time.
type Clock struct {
	OffsetMs int64 `json:"offset_ms"` // of the wall clock
	DriftPPM int64 `json:"drift_ppm"` // of the monotonic clock, in millionths
}

// Topic is created by the first client before anything else happens to it; one that is Auto is
// left to Metadata's auto-creation.
type Topic struct {
	Name       string `json:"name"`
	Partitions int32  `json:"partitions"`
	Replicas   int16  `json:"replicas"`
	Auto       bool   `json:"auto"`
	Grows      bool   `json:"grows,omitempty"` // it may get more partitions, which nobody uses
	Late       bool   `json:"late,omitempty"`  // nobody makes it before the liveness phase

	RetentionBytes int64 `json:"retention_bytes,omitempty"` // retention.bytes; 0: the broker's default, for ever
	RetentionMs    int64 `json:"retention_ms,omitempty"`    // retention.ms, likewise
	Keys           int   `json:"keys,omitempty"`            // compacted, and records have so many different keys
}

// Client is one Kafka client: a session that makes its calls one after another, or, for produce,
// with up to InFlight of them under way.
type Client struct {
	ID         int      `json:"id"` // from 1, unique
	Idempotent bool     `json:"idempotent"`
	InFlight   int      `json:"in_flight"`
	Eager      bool     `json:"eager"`           // fills its window before the first answer from a new leader
	Timeout    Duration `json:"timeout"`         // of one request on the wire; the connection is dropped then
	GiveUp     Duration `json:"give_up"`         // of a call, retries included; its outcome is unknown then
	Stays      bool     `json:"stays,omitempty"` // asks its home to administer, whoever is the controller
	Home       int      `json:"home"`            // the broker that is asked for metadata first
}

// Kinds of Call.
const (
	CallProduce = "produce" // one batch of Records values of Size bytes, with Acks
	CallFetch   = "fetch"   // a long poll from where this client is in the partition
	CallLatest  = "latest"  // ListOffsets: the end of the partition, linearizable
	CallCreate  = "create"  // CreateTopics
	CallDelete  = "delete"  // DeleteTopics
	CallTrim    = "trim"    // DeleteRecords below Offset

	CallMove      = "move"      // AlterPartitionReassignments of the partition to Brokers; none: end a move that is under way
	CallElect     = "elect"     // ElectLeaders: the first replica of the partition shall lead
	CallGrow      = "grow"      // CreatePartitions: so many as Offset
	CallConfigure = "configure" // IncrementalAlterConfigs: one that changes nothing here gets Offset as its value

	CallRemove = "remove" // UnregisterBroker of Brokers[0], as soon as it has no replica any more; the topic doesn't matter

	// The verifier's own.
	callMoving = "moving" // ListPartitionReassignments
	callPlaced = "placed" // Metadata of a topic: on which brokers its partitions are
)

// Call is one call of a client.
type Call struct {
	ID        int      `json:"id"` // from 1, unique: names the values that it produces
	At        Duration `json:"at"`
	Client    int      `json:"client"`
	Kind      string   `json:"kind"`
	Topic     string   `json:"topic"`
	Partition int32    `json:"partition"`
	Records   int      `json:"records,omitempty"`
	Size      int      `json:"size,omitempty"`
	Acks      int16    `json:"acks,omitempty"`   // produce: -1, 0 or 1
	Offset    int64    `json:"offset,omitempty"` // grow, configure; trim; -1: all that is committed
	Brokers   []int    `json:"brokers,omitempty"`
}

// Fault is one fault: at a time, or After an event.
type Fault struct {
	ID     int       `json:"id"` // from 1, unique: keys the fault's own decisions
	Kind   FaultKind `json:"kind"`
	At     Duration  `json:"at"` // since the start, or since the event that After waits for
	After  *Anchor   `json:"after,omitempty"`
	Target Target    `json:"target"`
	Peer   int       `json:"peer,omitempty"`  // link: the other broker
	Group  uint64    `json:"group,omitempty"` // leader, follower: of this raft group
	For    Duration  `json:"for"`             // downtime, or how long it lasts
	Rate   int64     `json:"rate,omitempty"`  // see the kind
	Times  int       `json:"times,omitempty"` // fire this often; each time waits for the anchor again
}

// Anchor is the Count-th event of a kind at a broker, or at any one if Broker is 0. The events are
// those of a node, by the name of node.EventKind, and some of the world, see worldEvents.
type Anchor struct {
	Event  string `json:"event"`
	Broker int    `json:"broker,omitempty"`
	Count  int    `json:"count"`
}

// Target says which broker a fault hits: its number, or one of the words below.
type Target string

// Targets that are decided when the fault fires.
const (
	TargetLeader   Target = "leader"   // of Fault.Group
	TargetFollower Target = "follower" // a replica of Fault.Group that is up and not the leader
	TargetHere     Target = "here"     // where the anchor's event happened
	TargetAll      Target = "all"      // every broker
)

// broker returns the number that t spells.
func (t Target) broker() (int, bool) {
	n, err := strconv.Atoi(string(t))
	return n, err == nil
}

// Bytes prints the plan, one line per call and fault. Parse of it gives the same plan.
func (p *Plan) Bytes() []byte {
	var b bytes.Buffer
	b.WriteString("{\n")
	field := func(name string, v any, end string) {
		fmt.Fprintf(&b, "%q: %s%s\n", name, mustJSON(v), end)
	}
	field("why", p.Why, ",")
	field("commit", p.Commit, ",")
	field("seed", p.Seed, ",")
	field("profile", p.Profile, ",")
	field("brokers", p.Brokers, ",")
	field("founders", p.Founders, ",")
	if len(p.Expect) > 0 {
		field("expect", p.Expect, ",")
	}
	field("safety", p.Safety, ",")
	field("knobs", p.Knobs, ",")
	if p.Watcher != nil {
		field("watcher", p.Watcher, ",")
	}
	lines(&b, "clocks", p.Clocks, ",")
	lines(&b, "topics", p.Topics, ",")
	lines(&b, "clients", p.Clients, ",")
	lines(&b, "calls", p.Calls, ",")
	lines(&b, "faults", p.Faults, ",")
	lines(&b, "members", p.Members, ",")
	then := func(more bool) string {
		if more {
			return ","
		}
		return ""
	}
	lines(&b, "turns", p.Turns, then(len(p.Attacks)+len(p.Lies)+len(p.Lists) > 0))
	if len(p.Attacks) > 0 {
		lines(&b, "attacks", p.Attacks, then(len(p.Lies)+len(p.Lists) > 0))
	}
	if len(p.Lies) > 0 {
		lines(&b, "lies", p.Lies, then(len(p.Lists) > 0))
	}
	if len(p.Lists) > 0 {
		lines(&b, "lists", p.Lists, "")
	}
	b.WriteString("}\n")
	return b.Bytes()
}

func lines[T any](b *bytes.Buffer, name string, items []T, end string) {
	fmt.Fprintf(b, "%q: [", name)
	for i, item := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, "\n  %s", mustJSON(item))
	}
	if len(items) > 0 {
		b.WriteByte('\n')
	}
	fmt.Fprintf(b, "]%s\n", end)
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // a plan holds nothing that JSON can't
	}
	return b
}

// Parse reads a printed plan. It refuses unknown fields and plans that cannot be run.
func Parse(text []byte) (*Plan, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	p := new(Plan)
	if err := dec.Decode(p); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("plan: text after the closing brace; keep one plan per file")
	}
	if err := p.validate(); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	return p, nil
}

// validate reports the first thing in the plan that cannot be run.
func (p *Plan) validate() error {
	if p.Brokers < 1 || p.Brokers > maxBrokers {
		return fmt.Errorf("brokers is %d; use 1 to %d", p.Brokers, maxBrokers)
	}
	if p.Founders < 0 || p.Founders > p.Brokers {
		return fmt.Errorf("founders is %d; use 1 to %d, or 0 for all brokers", p.Founders, p.Brokers)
	}
	if len(p.Clocks) != p.Brokers {
		return fmt.Errorf("%d clocks for %d brokers; give one each", len(p.Clocks), p.Brokers)
	}
	k := p.Knobs
	if k.Tick < millisecond || k.StepItems < 1 || k.StepCost < 1 || k.LinkLatency < 1 || k.WriteLatency < 1 ||
		k.ReadLatency < 1 || k.RestartTime < 1 {
		return errors.New("knobs: tick must be at least 1ms, the other times and step_items positive")
	}
	for _, e := range p.Expect {
		if !slices.Contains(eventNames()[1:], e) {
			return fmt.Errorf("expect %q: use one of %v", e, eventNames()[1:])
		}
	}
	topics, most := make(map[string]bool), p.mostReplicas()
	for _, t := range p.Topics {
		if topics[t.Name] || t.Partitions < 1 || t.Replicas < 1 || int(t.Replicas) > most {
			return fmt.Errorf("topic %q is listed twice, has no partition, or has not 1 to %d replicas (as many as there are founders, and brokers that never leave)", t.Name, most)
		}
		topics[t.Name] = true
	}
	clients := make(map[int]bool)
	for _, c := range p.Clients {
		if c.ID < 1 || clients[c.ID] || c.InFlight < 1 || c.Timeout < millisecond || c.GiveUp < c.Timeout ||
			c.Home < 1 || c.Home > p.Brokers {
			return fmt.Errorf("client %d: id must be unique and positive, in_flight positive, give_up >= timeout >= 1ms, home a broker", c.ID)
		}
		clients[c.ID] = true
	}
	if len(p.Clients) == 0 || len(p.Topics) == 0 {
		return errors.New("a world needs a topic and a client")
	}
	if err := p.validateCalls(clients); err != nil {
		return err
	}
	if err := p.validateMembers(); err != nil {
		return err
	}
	if err := p.validateWatcher(); err != nil {
		return err
	}
	if err := p.validateAttacks(); err != nil {
		return err
	}
	if err := p.validateLies(); err != nil {
		return err
	}
	if err := p.validateLists(); err != nil {
		return err
	}
	return p.validateFaults()
}

func (p *Plan) validateCalls(clients map[int]bool) error {
	ids := make(map[int]bool)
	for _, c := range p.Calls {
		if c.ID < 1 || ids[c.ID] || !clients[c.Client] || c.At < 0 {
			return fmt.Errorf("call %d: id must be unique and positive, client known, at not negative", c.ID)
		}
		ids[c.ID] = true
		t := p.topic(c.Topic)
		if t == nil || c.Partition < 0 || c.Partition >= t.Partitions {
			return fmt.Errorf("call %d: no partition %s/%d in the plan", c.ID, c.Topic, c.Partition)
		}
		for i, b := range c.Brokers {
			if b < 1 || b > p.Brokers || slices.Contains(c.Brokers[:i], b) {
				return fmt.Errorf("call %d: brokers must be different and from 1 to %d", c.ID, p.Brokers)
			}
		}
		switch c.Kind {
		case CallRemove:
			if len(c.Brokers) != 1 {
				return fmt.Errorf("call %d: remove needs one broker", c.ID)
			}
		case CallProduce:
			if c.Records < 1 || c.Size < minValue || c.Acks < -1 || c.Acks > 1 {
				return fmt.Errorf("call %d: produce needs records >= 1, size >= %d, acks -1, 0 or 1", c.ID, minValue)
			}
		case CallGrow:
			if !t.Grows || c.Offset < 1 {
				return fmt.Errorf("call %d: grow needs a topic that grows, and a number of partitions as its offset", c.ID)
			}
		case CallTrim:
			if c.Offset < -1 {
				return fmt.Errorf("call %d: trim needs an offset, or -1", c.ID)
			}
		case CallFetch, CallLatest, CallCreate, CallDelete, CallConfigure, CallMove, CallElect:
		default:
			return fmt.Errorf("call %d: unknown kind %q", c.ID, c.Kind)
		}
	}
	return nil
}

// founders is how many brokers found the cluster.
func (p *Plan) founders() int {
	if p.Founders == 0 {
		return p.Brokers
	}
	return p.Founders
}

// leaves says whether some call removes a broker from the cluster.
func (p *Plan) leaves(broker int) bool {
	return slices.ContainsFunc(p.Calls, func(c Call) bool { return c.Kind == CallRemove && slices.Contains(c.Brokers, broker) })
}

// mostReplicas is how many replicas a topic can have from the beginning to the end.
func (p *Plan) mostReplicas() int {
	stay := 0
	for b := 1; b <= p.Brokers; b++ {
		if !p.leaves(b) {
			stay++
		}
	}
	return min(p.founders(), stay)
}

// fewestReplicas is how many replicas a partition has at the least in a run. Topics of the brokers'
// own have what they give to a topic by default.
func (p *Plan) fewestReplicas(topic string, partition int32) int {
	fewest := min(3, p.founders())
	if t := p.topic(topic); t != nil && !t.Auto {
		fewest = int(t.Replicas)
	} else if p.alone() {
		fewest = 1
	}
	for i := range p.Calls {
		if c := &p.Calls[i]; c.Kind == CallMove && c.Topic == topic && c.Partition == partition && len(c.Brokers) > 0 {
			fewest = min(fewest, len(c.Brokers))
		}
	}
	return fewest
}

func (p *Plan) topic(name string) *Topic {
	for i := range p.Topics {
		if p.Topics[i].Name == name {
			return &p.Topics[i]
		}
	}
	return nil
}

func (p *Plan) validateFaults() error {
	ids := make(map[int]bool)
	for _, f := range p.Faults {
		if f.ID < 1 || ids[f.ID] || f.At < 0 || f.For < 0 || f.Times < 0 {
			return fmt.Errorf("fault %d: id must be unique and positive, at, for and times not negative", f.ID)
		}
		ids[f.ID] = true
		if !f.Kind.known() {
			return fmt.Errorf("fault %d: unknown kind %q", f.ID, f.Kind)
		}
		n, number := f.Target.broker()
		switch {
		case number && n >= 1 && n <= p.Brokers:
		case f.Target == TargetLeader, f.Target == TargetFollower, f.Target == TargetAll:
		case f.Target == TargetHere && f.After != nil:
		default:
			return fmt.Errorf("fault %d: unknown target %q (here needs an anchor)", f.ID, f.Target)
		}
		if f.Kind == FaultJoin && !number {
			return fmt.Errorf("fault %d: join needs a broker's number as its target", f.ID)
		}
		if f.Kind == FaultLink && (f.Peer < 1 || f.Peer > p.Brokers) {
			return fmt.Errorf("fault %d: link needs a peer", f.ID)
		}
		if a := f.After; a != nil && (a.Count < 1 || a.Broker < 0 || a.Broker > p.Brokers || !anchorKnown(a.Event)) {
			return fmt.Errorf("fault %d: bad anchor: count from 1, broker 0 to %d, event one of %v", f.ID, p.Brokers, anchorNames())
		}
	}
	return nil
}

// at is a time of the plan as virtual time.
func at(d Duration) node.Time { return node.Time(d) }
