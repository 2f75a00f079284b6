// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"chronik/wal"
)

// Member is one broker of the cluster as the operator listed it.
type Member struct {
	ID   BrokerID
	Host string // what Kafka clients connect to; never 0.0.0.0
	Port int32
	Rack string
	// Machine is what the broker may die with: brokers of one machine never have two replicas of a partition, see machines.go.
	// Empty: it is alone on one.
	Machine string `json:",omitempty"`
	// Listeners is where clients of the listeners with a name connect, ascending by name; a record of an earlier release has none.
	Listeners []Address `json:",omitempty"`
	// For the world; the node only passes them on to the other brokers.
	Peer   string // where the other brokers connect, host:port
	Folder string // id of the broker's data folder, drawn when that was made
}

// Config is what a node is told once, at Open. The zero value of an optional field means its
// default, which validate fills in.
type Config struct {
	ClusterID string
	// LogCluster is the cluster that the log names as its owner: the one that the broker was in before it was mended
	// (mend.go). Default ClusterID.
	LogCluster string
	BrokerID   BrokerID
	// Incarnation is 1 for a founding broker, and must be larger, and new, each time that the broker
	// starts with an empty disk. With the broker id it makes the raft id, which is never reused.
	Incarnation uint32
	// Members lists the brokers that this one can find the cluster by, itself included. The founding
	// brokers of a cluster, of incarnation 1, must all be told the same: they are the first voters of
	// group 0.
	Members []Member

	// Levels are the feature levels that this broker supports. Only tests say anything else than what this release does.
	Levels Levels

	// Listeners are this broker's ports for clients, see listeners.go; one that isn't listed asks for nothing.
	Listeners []Listener

	// LogLevel is from which level on the broker's log has lines, until a client sets another one (loggers.go). The node tells the world of
	// errors that clients get only at LogDebug; all else is the world's business.
	LogLevel LogLevel

	// LogDir is the folder that DescribeLogDirs reports. The node only passes it on. Default "data".
	LogDir string

	// Seed feeds whatever the node draws (session ids); it must differ per broker and per start.
	Seed uint64

	// LoginSecret is drawn at random for each start: what clients must not foretell when they log in comes from it. Zero, in
	// tests: it comes from Seed.
	LoginSecret [32]byte

	// FirstUser is made when there has never been a user; nil: none is.
	FirstUser *FirstUser
	// SessionLifetime is how long a login lasts before the client has to log in again (KIP-368, connections.max.reauth.ms). 0:
	// as long as the connection.
	SessionLifetime time.Duration

	AutoCreateTopics  bool  // Metadata of an unknown topic creates it
	DefaultPartitions int32 // default 1
	DefaultReplicas   int16 // default 3; a cluster with fewer brokers takes all
	// AutoCreateTopicsPerSecond bounds how fast this broker does so, see limits.go. Default 10; negative: no bound.
	AutoCreateTopicsPerSecond int64
	// Authorize lets clients do only what rules allow (acl.Set). SuperUsers are principals, such as "User:admin", to whom
	// everything is allowed.
	Authorize  bool
	SuperUsers []string
	// Tokens says which tokens of OAUTHBEARER are right. nil: the mechanism isn't served.
	Tokens TokenChecker
	// MaxPartitionsPerBroker is how many replicas of partitions a broker takes (limits.go). Default 2000.
	MaxPartitionsPerBroker int
	MaxMessageBytes        int32 // the largest record batch, Kafka's max.message.bytes; default 1048588

	// FetchMaxBytes bounds the record batches in one answer to a consumer, whatever it allows
	// (fetch.max.bytes); one batch goes out whole all the same. Default 16 MiB.
	FetchMaxBytes int64
	// AnswerBytes bounds the record batches in answers that consumers haven't taken, all together: the more there are, the
	// smaller new answers get. Default 64 MiB.
	AnswerBytes int64

	// RetentionMs and RetentionBytes are the defaults of topics for retention.ms and
	// retention.bytes; -1 means for ever. Default 7 days, and -1.
	RetentionMs, RetentionBytes int64
	// TimestampBeforeMaxMs and TimestampAfterMaxMs are the defaults of topics for
	// message.timestamp.before.max.ms and message.timestamp.after.max.ms. Default for ever, and one hour.
	TimestampBeforeMaxMs, TimestampAfterMaxMs int64
	// GroupPartitions is the number of coordinators among which consumer groups are spread: the
	// partitions of __consumer_offsets, if this broker creates it. Default 8.
	GroupPartitions int32
	// GroupMinSession and GroupMaxSession bound the session timeouts that members may ask for
	// (group.min.session.timeout.ms). Defaults 6 s and 30 min, as in Kafka.
	GroupMinSession, GroupMaxSession time.Duration
	// GroupInitialDelay is how long a new group waits for more members than the first (KIP-134).
	// 0 means not at all; the program's setting is 3 s, as in Kafka, since applications start their
	// consumers together and presume one assignment then.
	GroupInitialDelay time.Duration
	// GroupMaxSize bounds the members of a group (group.max.size). Default 1000.
	GroupMaxSize int
	// MaxGroups bounds the groups of one coordinator, default 20000, and OffsetMetadataBytes what a client may
	// say beside an offset that it commits (offset.metadata.max.bytes), default 4096.
	MaxGroups, OffsetMetadataBytes int
	// ConsumerSession is how long a member of a group of the new protocol (KIP-848) may be silent
	// (group.consumer.session.timeout.ms), default 45 s, and ConsumerHeartbeat how often it shall
	// speak (group.consumer.heartbeat.interval.ms), default 5 s.
	ConsumerSession, ConsumerHeartbeat time.Duration
	// OffsetsRetention is how long the offsets of a group without members are kept
	// (offsets.retention.minutes). Default 7 days. They are looked at every OffsetsCheckInterval,
	// default 10 min.
	OffsetsRetention     time.Duration
	OffsetsCheckInterval time.Duration
	// TransactionPartitions is the number of coordinators among which transactional ids are spread: the partitions of
	// __transaction_state, if this broker creates it. Default 8. MaxTransactionalIDs bounds those of one of them, default 20000.
	TransactionPartitions int32
	MaxTransactionalIDs   int
	// TransactionMaxTimeout bounds how long a transaction may ask to take (transaction.max.timeout.ms), default 15 min, and
	// TransactionalIDExpiration is how long an id that nobody uses is known (transactional.id.expiration.ms), default 7 days.
	TransactionMaxTimeout     time.Duration
	TransactionalIDExpiration time.Duration
	// ProducerExpiration is how long a partition remembers an idempotent producer that writes nothing
	// (producer.id.expiration.ms). Default 1 day.
	ProducerExpiration time.Duration

	// CheckStates is for tests: a state that was written in pieces is compared with the same written at once.
	CheckStates bool

	// MaxGroupOffsets bounds the offsets that a group may have, default 100000, and GroupOffsetBytes what those of all groups
	// of one coordinator take in memory, with the texts beside them, default 64 MiB.
	MaxGroupOffsets  int
	GroupOffsetBytes int64

	// StepBudget is how much work a step may begin, see Work.Cost. Default StepBudget.
	StepBudget int
	// MaxRequests bounds the requests of clients that are begun and not answered, ParkedBytes the bytes of those that
	// wait for records (sessions of fetches may take half as many beside them), and MaxWaits the partitions that requests wait for. A connection gets a part of what is left,
	// see waits.go. Defaults 65536, 32 MiB and 524288.
	MaxRequests, MaxWaits int
	ParkedBytes           int64
	// MaxCommands bounds the changes of the catalog that clients wait for, and CommandBytes their bytes, shared in the
	// same way. Defaults 32768 and 64 MiB.
	MaxCommands  int
	CommandBytes int64
	// LargeElements is how many elements of a request, or of an answer, are parsed or encoded in a step; larger ones are by
	// tasks. LargeBytes bounds the memory of requests that are larger, see large.go. Defaults 2000 and 64 MiB.
	LargeElements int
	LargeBytes    int64
	// ClockPatience is how long the clocks of a majority of the brokers must agree on a jump before it is
	// believed, and on any time after a start: before, a broker deletes by age only what it has held for longer itself.
	// Default 1 h.
	ClockPatience time.Duration

	TickInterval   time.Duration // default 50 ms
	ElectionTicks  int           // default 12
	HeartbeatTicks int           // default 2

	// HotEntries bounds how many of its newest entries a group keeps in memory; entries that are
	// not applied yet are kept above the bound. Default 10000.
	HotEntries int
	// HotBytes bounds the bytes of all groups' hot entries together. Default 32 MiB.
	HotBytes int64
	// CacheBytes bounds the blocks of old entries read back from the log. Default 16 MiB.
	CacheBytes int64
	// UnderwayBytes bounds the entries that were proposed here and are not committed. The world bounds the requests that
	// wait. But a request whose time is up is answered, while its entry stays in memory until a majority has it. Default
	// 512 MiB.
	UnderwayBytes int64
	// ColdReadBytes bounds one read of old entries. Default 1 MiB.
	ColdReadBytes int64
	// CatchUpBytesPerSecond bounds how fast entries that a majority has already are sent to followers that are
	// behind, all together, so that they don't take the disk, the network and the CPU from the others. Twice the
	// rate of new writes is added, or they might never catch up. Default 64 MiB; negative: no bound.
	CatchUpBytesPerSecond int64
	// ReplicationBytes bounds the entries in one message to a follower. Default 128 KiB.
	ReplicationBytes uint64
	// ReplicationWindowBytes bounds the entries under way to a follower of one group, and so what
	// one step sends when a follower begins to catch up. Default 2 MiB.
	ReplicationWindowBytes uint64
	// ReplicationWindow bounds the messages under way to a follower. Default 64.
	ReplicationWindow int

	// CheckpointEntries and CheckpointBytes say how much a group applies between two checkpoints
	// that it keeps. One is made at the latest when the log begins a new segment, but replaces the
	// one before it as long as less than this lies between. Default 20000 and 32 MiB.
	CheckpointEntries int
	CheckpointBytes   int64
	// CompactionBytes bounds the keys that compaction keeps in memory, CompactionBytesPerSecond what
	// it reads. Default 64 MiB and 32 MiB; a negative rate has no bound.
	CompactionBytes, CompactionBytesPerSecond int64
	// ScrubBytesPerSecond is how fast old data is read in the background to look for rot. Default
	// 4 MiB; negative: it isn't.
	ScrubBytesPerSecond int64
	// RetainEntries is how many entries stay in a group's log beyond what its state needs, so that
	// followers which are a little behind need no checkpoint. Default 1000.
	RetainEntries int
	// RetainBytes bounds the bytes of those, and so does a quarter of retention.bytes. Default 16 MiB.
	RetainBytes int64

	Log wal.Options

	// Packer is for a process with many brokers of which one at a time does anything, tasks included: they share it. nil:
	// this broker's own, and one for each task.
	Packer *Packer
}

// validate fills in defaults and reports what an operator has to mend.
func (c *Config) validate() error {
	c.setDefaults()
	if err := c.checkRanges(); err != nil {
		return err
	}
	if !slices.ContainsFunc(c.Members, func(m Member) bool { return m.ID == c.BrokerID }) {
		return fmt.Errorf("broker %d is not in the list of members; add it to the list on every broker", c.BrokerID)
	}
	seen := make(map[string]BrokerID)
	for i, m := range c.Members {
		if m.ID < 0 || m.ID > maxBrokerID {
			return fmt.Errorf("broker id %d is out of range; use 0 to %d", m.ID, maxBrokerID)
		}
		for _, o := range c.Members[:i] {
			if o.ID == m.ID {
				return fmt.Errorf("broker id %d is listed twice; give every broker its own", m.ID)
			}
		}
		addr := fmt.Sprintf("%s:%d", m.Host, m.Port)
		if other, ok := seen[addr]; ok {
			return fmt.Errorf("brokers %d and %d share the address %s; clients need one address per broker", other, m.ID, addr)
		}
		seen[addr] = m.ID
	}
	if err := c.checkListeners(); err != nil {
		return err
	}
	self := c.selfMember()
	if wrong := self.checkListeners(); wrong != "" {
		return errors.New(wrong)
	}
	if c.FirstUser != nil && checkUserName(c.FirstUser.Name) != nil {
		return fmt.Errorf("the first user: %w", checkUserName(c.FirstUser.Name))
	}
	if err := c.checkSuperUsers(); err != nil {
		return err
	}
	if c.GroupMinSession > c.GroupMaxSession {
		return fmt.Errorf("the shortest session of consumer groups (%v) exceeds the longest (%v)", c.GroupMinSession, c.GroupMaxSession)
	}
	if c.ElectionTicks <= c.HeartbeatTicks {
		return fmt.Errorf("election ticks (%d) must exceed heartbeat ticks (%d)", c.ElectionTicks, c.HeartbeatTicks)
	}
	return nil
}

func (c *Config) setDefaults() {
	c.shareMemory()
	setDefault(&c.Incarnation, 1)
	setDefault(&c.Levels, ReleaseLevels())
	setDefault(&c.LogDir, "data")
	setDefault(&c.DefaultPartitions, 1)
	setDefault(&c.DefaultReplicas, 3)
	setDefault(&c.MaxPartitionsPerBroker, 2000)
	setDefault(&c.AutoCreateTopicsPerSecond, 10)
	setDefault(&c.MaxMessageBytes, 1048588)
	setDefault(&c.FetchMaxBytes, 16<<20)
	setDefault(&c.RetentionMs, 7*24*time.Hour.Milliseconds())
	setDefault(&c.RetentionBytes, -1)
	setDefault(&c.TimestampBeforeMaxMs, math.MaxInt64)
	setDefault(&c.TimestampAfterMaxMs, time.Hour.Milliseconds())
	setDefault(&c.GroupPartitions, 8)
	setDefault(&c.GroupMinSession, 6*time.Second)
	setDefault(&c.GroupMaxSession, 30*time.Minute)
	setDefault(&c.GroupMaxSize, 1000)
	setDefault(&c.MaxGroups, 20_000)
	setDefault(&c.OffsetMetadataBytes, 4<<10)
	setDefault(&c.MaxGroupOffsets, 100_000)
	setDefault(&c.GroupOffsetBytes, 64<<20)
	setDefault(&c.ConsumerSession, 45*time.Second)
	setDefault(&c.ConsumerHeartbeat, 5*time.Second)
	setDefault(&c.OffsetsRetention, 7*24*time.Hour)
	setDefault(&c.OffsetsCheckInterval, 10*time.Minute)
	setDefault(&c.TransactionPartitions, 8)
	setDefault(&c.MaxTransactionalIDs, 20_000)
	setDefault(&c.TransactionMaxTimeout, 15*time.Minute)
	setDefault(&c.TransactionalIDExpiration, 7*24*time.Hour)
	setDefault(&c.ProducerExpiration, 24*time.Hour)
	setDefault(&c.StepBudget, StepBudget)
	setDefault(&c.MaxRequests, 1<<16)
	setDefault(&c.MaxWaits, 1<<19)
	setDefault(&c.ParkedBytes, 32<<20)
	setDefault(&c.MaxCommands, 1<<15)
	setDefault(&c.CommandBytes, 64<<20)
	setDefault(&c.LargeElements, 2000)
	setDefault(&c.LargeBytes, 64<<20)
	setDefault(&c.ClockPatience, time.Hour)
	setDefault(&c.TickInterval, 50*time.Millisecond)
	setDefault(&c.ElectionTicks, 12)
	setDefault(&c.HeartbeatTicks, 2)
	setDefault(&c.HotEntries, 10000)
	setDefault(&c.CheckpointEntries, 20000)
	setDefault(&c.CheckpointBytes, 32<<20)
	setDefault(&c.CompactionBytes, 64<<20)
	setDefault(&c.CompactionBytesPerSecond, 32<<20)
	setDefault(&c.ScrubBytesPerSecond, 4<<20)
	setDefault(&c.RetainEntries, 1000)
	setDefault(&c.RetainBytes, 16<<20)
	setDefault(&c.ColdReadBytes, 1<<20)
	setDefault(&c.CatchUpBytesPerSecond, 64<<20)
	setDefault(&c.ReplicationBytes, 128<<10)
	setDefault(&c.ReplicationWindowBytes, 2<<20)
	c.ReplicationWindowBytes = max(c.ReplicationWindowBytes, c.ReplicationBytes)
	setDefault(&c.ReplicationWindow, 64)
}

// shareMemory sets the defaults of what entries and answers may take.
func (c *Config) shareMemory() {
	setDefault(&c.HotBytes, 32<<20)
	setDefault(&c.CacheBytes, 16<<20)
	setDefault(&c.UnderwayBytes, 512<<20)
	setDefault(&c.AnswerBytes, 64<<20)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

const maxBrokerID = 65535
