// SPDX-License-Identifier: Apache-2.0

// Package plan says what happens in a simulated world: seeds in, plans out. A plan is plain data that can be printed, edited
// and shrunk. Package sim carries it out.
//
// Reading order: plan.go, call.go, fault.go and members.go (what a plan holds), validate.go and text.go; generate.go with profiles.go
// and generate_*.go (from a seed to a plan), scenarios.go (plans with a story); attack.go, lie.go, lists.go, second.go,
// watcher.go, ask.go, transactor.go, security.go, rollout.go, late_commands.go and machines.go (each one sort of trouble: its data, its check, its generator); shrink.go.
package plan

import (
	"slices"
	"time"
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

// MaxBrokers is how many brokers a world can have.
const MaxBrokers = 7

// MinValue is the least size of a record's value in bytes: its id as text.
const MinValue = 16

// MaxBatchBytes is the brokers' max.message.bytes.
const MaxBatchBytes = 256 << 10

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
	Expect []string `json:"expect,omitempty"`
	Safety Duration `json:"safety"`          // how long faults last; then everything is healed and judged
	Racks  int      `json:"racks,omitempty"` // brokers are in so many, in turn; 0: in none
	// Machines is how many machines the brokers are on, in turn, founders on different ones; 0: each on its own.
	Machines int      `json:"machines,omitempty"`
	Knobs    Knobs    `json:"knobs"`
	Clocks   []Clock  `json:"clocks"` // one per broker
	Topics   []Topic  `json:"topics"`
	Clients  []Client `json:"clients"`
	Calls    []Call   `json:"calls"`
	Faults   []Fault  `json:"faults"`
	Members  []Member `json:"members"` // of consumer groups
	Turns    []Turn   `json:"turns"`   // what happens to them
	Attacks  []Attack `json:"attacks,omitempty"`
	Lies     []Lie    `json:"lies,omitempty"`
	Lists    []List   `json:"lists,omitempty"`
	Watcher  *Watcher `json:"watcher,omitempty"`
	Asks     []Ask    `json:"asks,omitempty"`

	Transactors []Transactor `json:"transactors,omitempty"`
	// AbortsWithin is how long after its time-out a transaction is over at the latest whose process has ended, whatever happens to its
	// coordinators; 0: that is only demanded when all is healed.
	AbortsWithin Duration `json:"aborts_within,omitempty"`
	Readers      []Reader `json:"readers,omitempty"` // of what is committed

	Security *Security `json:"security,omitempty"`
	Orders   []Order   `json:"orders,omitempty"`
	Visitors []Visitor `json:"visitors,omitempty"`
	Hasty    []Hasty   `json:"hasty,omitempty"`

	Rollout *Rollout `json:"rollout,omitempty"`
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
	Grows      bool   `json:"grows,omitempty"`  // it may get more partitions, which nobody uses
	Late       bool   `json:"late,omitempty"`   // nobody makes it before the liveness phase
	Recent     bool   `json:"recent,omitempty"` // records whose timestamps are ten years behind are refused

	RetentionBytes int64 `json:"retention_bytes,omitempty"` // retention.bytes; 0: the broker's default, for ever
	RetentionMs    int64 `json:"retention_ms,omitempty"`    // retention.ms, likewise
	Keys           int   `json:"keys,omitempty"`            // compacted, and records have so many different keys
	TombstonesMs   int64 `json:"tombstones_ms,omitempty"`   // delete.retention.ms; 0: the broker's default
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

	Versions string   `json:"versions,omitempty"` // of its requests: see the constants; "": those of usual clients
	Joint    bool     `json:"joint,omitempty"`    // puts what it has for all partitions that a broker leads into one request
	Bumps    bool     `json:"bumps,omitempty"`    // takes the next epoch of its producer id (KIP-360) instead of a new id
	Doubles  int64    `json:"doubles,omitempty"`  // of 1000 produce requests, so many arrive once more, later
	Wraps    int32    `json:"wraps,omitempty"`    // sequences begin so many before the last one there is; 0: at 0
	Skew     Duration `json:"skew,omitempty"`     // timestamps of records are up to so much before or after the call
	Keeps    bool     `json:"keeps,omitempty"`    // writes batches that keep their offsets, as a restore does: each where the log ends
	Rack     int      `json:"rack,omitempty"`     // in which it is, from 1, and reads from a replica there if the leader says so; 0: it doesn't say
}

// Which versions of its requests a client speaks.
const (
	VersionsOldest = "oldest" // the first that brokers serve
	VersionsNewest = "newest" // the last
	VersionsAny    = "any"    // each request another one
)

var versions = []string{"", VersionsOldest, VersionsNewest, VersionsAny}

// FounderCount is how many brokers found the cluster.
func (p *Plan) FounderCount() int {
	if p.Founders == 0 {
		return p.Brokers
	}
	return p.Founders
}

// Leaves says whether some call removes a broker from the cluster.
func (p *Plan) Leaves(broker int) bool {
	return slices.ContainsFunc(p.Calls, func(c Call) bool { return c.Kind == CallRemove && slices.Contains(c.Brokers, broker) })
}

// Has says whether the plan has a fault of a kind.
func (p *Plan) Has(kind FaultKind) bool {
	return slices.ContainsFunc(p.Faults, func(f Fault) bool { return f.Kind == kind })
}

// mostReplicas is how many replicas a topic can have from the beginning to the end.
func (p *Plan) mostReplicas() int {
	stay := 0
	for b := 1; b <= p.Brokers; b++ {
		if !p.Leaves(b) {
			stay++
		}
	}
	return min(p.FounderCount(), stay)
}

// FewestReplicas is how many replicas a partition has at the least in a run. Topics of the brokers'
// own have what they give to a topic by default.
func (p *Plan) FewestReplicas(topic string, partition int32) int {
	fewest := min(3, p.FounderCount())
	if t := p.Topic(topic); t != nil && !t.Auto {
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

func (p *Plan) Topic(name string) *Topic {
	for i := range p.Topics {
		if p.Topics[i].Name == name {
			return &p.Topics[i]
		}
	}
	return nil
}
