// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"encoding/binary"
	"reflect"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"chronik/wal"
)

// Stats is what metrics need to know of a broker and events don't tell. Counters begin at Open.
// Its size depends on the number of brokers and of Kafka's error codes, never on the number of
// groups, topics or clients.
type Stats struct {
	Ready         bool     // registered in the catalog, and serves
	Stopping      bool     // Input.Stop was given
	CatalogLeader BrokerID // -1: unknown

	Catalog    GroupStats      // group 0 alone
	Partitions GroupStats      // all other groups together
	Followers  []FollowerStats // ascending by broker

	Log        wal.Stats
	LogEnd     wal.LSN // bytes ever appended
	LogDurable wal.LSN // of them, those that a power loss would leave

	HotEntries int64 // in memory
	HotBytes   int64
	HotHits    int64 // look-ups of entries, by raft or a fetch, that memory answered
	CacheHits  int64 // the same for entries that were read back from the log
	CacheBytes int64 // of entries that were read back from the log
	ColdReads  int   // under way

	CheckpointBytes   int64 // of the checkpoints that were made
	CompactedBytes    int64 // that the compactor read; at rest it reads none
	SnapshotSentBytes int64 // of checkpoints, to followers
	SnapshotGotBytes  int64 // of checkpoints, from leaders
	SnapshotsOut      int   // checkpoints that followers fetch, under way
	SnapshotsIn       int   // checkpoints that are fetched from leaders, under way

	Errors []ErrorCount // ascending by API and code
}

// GroupStats sums over replicas of groups on this broker.
type GroupStats struct {
	Groups     int
	Leading    int
	Leaderless int // no leader is known
	OutOfSync  int // of those that it leads, those with a replica that isn't in sync
	TwoLegged  int // of those that it leads, those with two voters: they stop when either does
	Crowded    int // of those that it leads, those with two voters on one machine
	Behind     int // of those that others lead, those whose leader says that this broker isn't in sync
	Unheard    int // of those that others lead, those whose leader isn't known or hasn't said who is in sync
	MaxTerm    uint64
	CommitLag  Lag // entries in the log that are not known to be committed
	ApplyLag   Lag // committed entries that are not applied
	Proposals  int // from clients, waiting for commit
	Parked     int // partitions times fetches that wait for records
	Ongoing    int // transactions that this broker coordinates and that nobody has ended
	Deciding   int // those that are decided, and of which some partition hasn't acknowledged its marker
	// OldestOngoing and OldestDeciding are for how long the oldest of either has been so.
	OldestOngoing, OldestDeciding time.Duration
}

// FollowerStats is how far another broker is behind in the groups that this broker leads.
type FollowerStats struct {
	Broker BrokerID
	Groups int // that it follows
	Silent int // of them, those in which it wasn't heard for an election timeout
	Lag    Lag // entries that it isn't known to have
}

// Lag is a number of entries over several groups.
type Lag struct{ Max, Sum uint64 }

func (l *Lag) add(entries uint64) {
	l.Max = max(l.Max, entries)
	l.Sum += entries
}

// ErrorCount says how often answers of one API carried an error code, each place of it in an answer
// counted.
type ErrorCount struct {
	API   string // as in APIs
	Error string // Kafka's name, e.g. NOT_LEADER_FOR_PARTITION
	Count int64
}

// Stats returns the broker's numbers. It visits every group (about 120 ns each), for which a broker that serves has no
// time if there are many; see StatsOfBroker.
func (n *Node) Stats() Stats {
	s := n.StatsOfBroker()
	n.AddGroups(&s, n.Groups())
	return s
}

// StatsOfBroker returns the numbers to which AddGroups adds those of the groups, some at a time.
func (n *Node) StatsOfBroker() Stats {
	s := Stats{
		Ready: n.ready, Stopping: n.stopping, CatalogLeader: brokerOf(n.catalog.group.lead),
		Log: n.log.Stats(), LogEnd: n.log.End(), LogDurable: n.log.Durable(),
		HotBytes: n.hotBytes, HotHits: n.counters.hotHits,
		CacheHits: n.counters.cacheHits, CacheBytes: n.cold.bytes, ColdReads: len(n.cold.pending),
		CheckpointBytes: n.counters.checkpoint, CompactedBytes: n.counters.compacted, SnapshotSentBytes: n.counters.snapshotSent, SnapshotGotBytes: n.counters.snapshotGot,
		SnapshotsOut: n.snapshotsOut, SnapshotsIn: n.snapshotsIn,
		Errors: n.counters.errorCounts(),
	}
	for _, p := range n.peers {
		s.Followers = append(s.Followers, FollowerStats{Broker: p.id})
	}
	return s
}

// AddGroups adds the numbers of some groups, those that still exist.
func (n *Node) AddGroups(s *Stats, groups []GroupID) {
	for _, id := range groups {
		g := n.byID[id]
		if g == nil {
			continue
		}
		kind := &s.Partitions
		if g.id == 0 {
			kind = &s.Catalog
		}
		kind.add(g)
		s.HotEntries += int64(len(g.view.hot))
		if g.role == raft.StateLeader {
			addFollowers(s.Followers, g)
		}
	}
}

func (s *GroupStats) add(g *group) {
	last, _ := g.view.LastIndex()
	s.Groups++
	if g.role == raft.StateLeader {
		s.Leading++
		s.OutOfSync += btoi(g.id != 0 && (!g.serving || g.inSync.missing))
		s.TwoLegged += btoi(len(g.conf.Voters) == 2)
		s.Crowded += btoi(g.crowded())
	}
	if g.lead == raft.None {
		s.Leaderless++
	}
	if p := g.node.catalog.partitionOf(g.id); p != nil && g.role != raft.StateLeader {
		told, in := g.node.toldInSync(p)
		s.Behind += btoi(told && !in)
		s.Unheard += btoi(!told)
	}
	s.MaxTerm = max(s.MaxTerm, g.term)
	s.CommitLag.add(last - min(last, g.commit))
	s.ApplyLag.add(g.commit - min(g.commit, g.applied))
	s.Proposals += len(g.pending) + len(g.ordered)
	switch m := g.machine.(type) {
	case *partition:
		s.Parked += m.parked.Len() + m.stable.parked.Len()
	case *coordinator:
		s.Parked += m.parked.Len()
	case *txnCoordinator:
		s.Parked += m.parked.Len()
		s.Ongoing += len(m.live) - len(m.decided)
		s.Deciding += m.unmarked
		ongoing, deciding := m.oldest()
		s.OldestOngoing, s.OldestDeciding = max(s.OldestOngoing, ongoing), max(s.OldestDeciding, deciding)
	case *catalog:
	default:
		panic(unknownMachine(m))
	}
}

func addFollowers(followers []FollowerStats, g *group) {
	last, _ := g.view.LastIndex()
	g.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		i := slices.IndexFunc(followers, func(f FollowerStats) bool { return f.Broker == brokerOf(id) })
		if i < 0 {
			return // this broker
		}
		f := &followers[i]
		f.Groups++
		if !pr.RecentActive {
			f.Silent++
		}
		f.Lag.add(last - min(last, pr.Match))
	})
}

// IsColdRead reports whether an operation that the node gave out in its last step, or before, reads
// entries that were looked up and are not in memory, and isn't finished.
func (n *Node) IsColdRead(op uint64) bool {
	_, ok := n.cold.pending[op]
	return ok
}

// counters are what a node counts for Stats alone.
type counters struct {
	hotHits   int64
	cacheHits int64

	checkpoint, snapshotSent, snapshotGot int64 // bytes
	compacted                             int64 // bytes that the compactor read

	errors  map[apiError]int64
	layouts map[reflect.Type]*layout
}

type apiError struct{ key, code int16 }

// answered counts the error codes in an answer. The two answers that matter for speed have code of
// their own; the others share one walk over whatever fields are called ErrorCode.
func (c *counters) answered(key int16, resp kmsg.Response) {
	switch resp := resp.(type) {
	case *kmsg.ProduceResponse:
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				c.error(key, resp.Topics[i].Partitions[j].ErrorCode)
			}
		}
	case *kmsg.FetchResponse:
		c.error(key, resp.ErrorCode)
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				c.error(key, resp.Topics[i].Partitions[j].ErrorCode)
			}
		}
	default:
		c.walk(key, reflect.ValueOf(resp).Elem())
	}
}

func (c *counters) error(key, code int16) {
	if code == 0 {
		return
	}
	if c.errors == nil {
		c.errors = make(map[apiError]int64)
	}
	c.errors[apiError{key, code}]++
}

// add adds what was counted elsewhere.
func (c *counters) add(errors map[apiError]int64) {
	if c.errors == nil {
		c.errors = make(map[apiError]int64)
	}
	//det:ok a sum has no order
	for k, count := range errors {
		c.errors[k] += count
	}
}

// layout is where a struct has error codes, and where it may be large.
type layout struct {
	codes  []int // fields that are error codes
	lists  []int // fields that are lists of structs
	texts  []int // strings, pointers to strings, and bytes
	values []int // lists of anything else
	inner  []int // structs, and pointers to them
}

func (c *counters) walk(key int16, v reflect.Value) {
	l := c.layout(v.Type())
	for _, i := range l.codes {
		c.error(key, int16(v.Field(i).Int()))
	}
	for _, i := range l.lists {
		list := v.Field(i)
		for j := range list.Len() {
			c.walk(key, list.Index(j))
		}
	}
}

func (c *counters) layout(t reflect.Type) *layout {
	if l := c.layouts[t]; l != nil {
		return l
	}
	l := new(layout)
	for i := range t.NumField() {
		f := t.Field(i)
		switch {
		case f.Name == "ErrorCode" && f.Type.Kind() == reflect.Int16:
			l.codes = append(l.codes, i)
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			l.lists = append(l.lists, i)
		case f.Type.Kind() == reflect.String, f.Type == reflect.TypeFor[*string](), f.Type == reflect.TypeFor[[]byte]():
			l.texts = append(l.texts, i)
		case f.Type.Kind() == reflect.Slice:
			l.values = append(l.values, i)
		case f.Type.Kind() == reflect.Struct, f.Type.Kind() == reflect.Pointer && f.Type.Elem().Kind() == reflect.Struct:
			l.inner = append(l.inner, i)
		}
	}
	if c.layouts == nil {
		c.layouts = make(map[reflect.Type]*layout)
	}
	c.layouts[t] = l
	return l
}

func (c *counters) errorCounts() []ErrorCount {
	keys := make([]apiError, 0, len(c.errors))
	//det:ok order does not matter because the keys are sorted below
	for k := range c.errors {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b apiError) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.code, b.code))
	})
	counts := make([]ErrorCount, len(keys))
	for i, k := range keys {
		counts[i] = ErrorCount{API: kmsg.NameForKey(k.key), Error: errorName(k.code), Count: c.errors[k]}
	}
	return counts
}

func errorName(code int16) string {
	return kerr.TypedErrorForCode(code).Message // every code has an error but 0
}

// APIs names the kinds of requests that are served, in the order of their keys.
func APIs() []string {
	var names []string
	for _, a := range apiTable() {
		names = append(names, a.key.Name())
	}
	return names
}

// VersionRange is which versions of a kind of request are served.
type VersionRange struct{ Key, First, Last int16 }

// Versions are those of the kinds of request, in the order of APIs.
func Versions() []VersionRange {
	var all []VersionRange
	for _, a := range apiTable() {
		all = append(all, VersionRange{a.key.Int16(), max(a.min, a.served), a.max})
	}
	return all
}

// APIOf returns the position in APIs of a request, -1 for a frame that is of none of them. It may be
// called concurrently.
func APIOf(frame []byte) int {
	if len(frame) < 2 {
		return -1
	}
	i := int(binary.BigEndian.Uint16(frame))
	if i >= len(apiPositions) {
		return -1
	}
	return apiPositions[i]
}

// apiPositions is the position in APIs by key, -1 where there is none.
var apiPositions = func() (positions []int) {
	for i, a := range apiTable() {
		for len(positions) <= int(a.key) {
			positions = append(positions, -1)
		}
		positions[a.key] = i
	}
	return positions
}()
