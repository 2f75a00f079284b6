// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"cmp"
	"math"
	"slices"

	"chronik/checker"
	"chronik/node"
	"chronik/sim/plan"
	"chronik/wal"
)

// judge holds a run against its promises: raft's invariants after every step, the truth of the
// disks, and at the end what clients saw.
type judge struct {
	cluster   *checker.Cluster
	histories checker.Histories
	seen      [plan.MaxBrokers + 1][]*seenReplica // by broker, ascending by group
	known     map[node.GroupID]bool               // in groups; look-up only
	groups    []groupInfo                         // in order of discovery
	// gone are groups that were deleted with their topic; look-up only. Nothing is demanded of them any
	// more: replicas may go on for a while, but nothing in them is needed.
	gone      map[node.GroupID]bool
	progress  map[node.GroupID][]commitPoint                        // look-up only
	inSync    [plan.MaxBrokers + 1]map[node.GroupID][]node.BrokerID // by leader, what it last said; look-up only
	starts    map[string]int64                                      // the newest answer to a deletion of records, by partition; look-up only
	trimmed   map[string]bool                                       // partitions of which somebody tried to delete records, or that do it themselves; look-up only
	producers map[producerKey]bool                                  // ids given out; look-up only
	sent      map[int]*sentTo                                       // by produce call, of clients that name topics by id; look-up only
	moves     map[string][]move                                     // of a partition; look-up only
	compacted []*compacted
	archives  map[node.GroupID]*archive           // of compacted partitions with transactions; look-up only
	outputs   map[checker.RecordID]*checker.Input // of chains, from what records are that weren't sent yet; look-up only
	founded   []int                               // whom the founders listed that the cluster was founded by; nil: it isn't yet
	deleted   map[node.GroupID]int64              // the offset below which records were deleted; look-up only
	begins    map[string]int64                    // where the histories of partitions begin in a soak; look-up only

	led     []reign  // over group 0, by time
	terms   []reign  // of group 0: when they began
	wishes  []wish   // to have the catalog changed, by time
	changes []change // of the catalog, by entry

	// Where the cluster's questions for entries and the walk over a write go.
	at struct {
		broker *broker
		group  node.GroupID
		world  *world
		all    bool
	}
	ids    []checker.ReplicaID // scratch
	entry  func(index uint64) (uint64, []byte, bool)
	record func(*wal.Record)
}

// seenReplica is what a broker's replica of a group last showed, perhaps before the broker stopped.
type seenReplica struct {
	group node.GroupID
	view  node.View
	stale bool // the cluster has to look again, even if the view is the same

	lag lag
}

// groupInfo is a group that some broker had a replica of.
type groupInfo struct {
	id        node.GroupID
	topic     string // "" for the catalog and for coordinators
	partition int32
}

type producerKey struct {
	id    int64
	epoch int16
}

func newJudge(w *world) *judge {
	j := &judge{
		cluster:   checker.NewCluster(),
		histories: checker.Histories{Truths: make(map[string]*checker.Truth)},
		known:     make(map[node.GroupID]bool),
		trimmed:   make(map[string]bool),
		starts:    make(map[string]int64),
		progress:  make(map[node.GroupID][]commitPoint),
		gone:      make(map[node.GroupID]bool),
		deleted:   make(map[node.GroupID]int64),
		producers: make(map[producerKey]bool),
		sent:      make(map[int]*sentTo),
		moves:     make(map[string][]move),
		outputs:   make(map[checker.RecordID]*checker.Input),
		archives:  make(map[node.GroupID]*archive),
	}
	for _, t := range w.plan.Topics {
		for p := range t.Partitions {
			name := partitionName(t.Name, p)
			j.histories.Partition(name)
			j.trimmed[name] = t.RetentionBytes > 0 || t.RetentionMs > 0
		}
	}
	for n := range j.inSync {
		j.inSync[n] = make(map[node.GroupID][]node.BrokerID)
	}
	j.at.world = w
	j.entry = func(index uint64) (uint64, []byte, bool) {
		term, data, ok := j.at.broker.node.EntryAt(j.at.group, index)
		return term, w.essence(data), ok
	}
	j.record = j.durable
	return j
}

// observe looks at what a step changed.
func (j *judge) observe(w *world, b *broker, out *node.Output) {
	for _, e := range out.Events {
		j.reigns(w, b, e)
		switch e.Kind {
		case node.EventCatalogChanged:
			j.changed(w, e)
			if w.secure != nil {
				w.secure.changed(w, e)
			}
		case node.EventNewTerm:
			if e.Group == 0 {
				j.newTerm(w, e.Term)
			}
		case node.EventSnapshotInstalled:
			j.installed(b, e)
		case node.EventPartitionDeleted:
			j.gone[e.Group] = true
		case node.EventLogStartMoved:
			j.checkAge(w, b, e)
		case node.EventCompacted:
			w.compactedUpTo(b, e.Group, e.N)
		case node.EventLeadershipMoved:
			j.elected(w, b, e)
		case node.EventLostLeadership, node.EventReplicasChanged, node.EventReady:
			w.disturbed()
		case node.EventBecameLeader:
			w.disturbed()
			delete(j.inSync[b.number], e.Group)
			if e.Group == 0 {
				j.leadsCatalog(w, b)
			}
		case node.EventInSyncChanged:
			j.checkInSync(w, b, e.Group)
		case node.EventReplicaDamaged:
			w.disturbed() // it may have led
			w.checkDamage(b, e)
		}
	}
	if out.Work.Placed > 0 {
		j.forgetClosed(b)
		j.noteOpened(w, b)
	}
	b.placing = b.node.Placing()
	for _, g := range out.Changed {
		if r := j.find(b, g); r != nil && appended(out.Events, g) { // maybe in the place of others
			r.stale = true
		}
		j.observeGroup(w, b, g)
	}
}

func (j *judge) installed(b *broker, e node.Event) {
	v, ok := b.node.Inspect(e.Group)
	if !ok || v.Closed {
		return // and dropped in the same step
	}
	if r := j.find(b, e.Group); r != nil {
		r.stale = true
	}
	j.cluster.Installed(checker.ReplicaID(v.Self), uint64(e.Group), uint64(e.N), uint64(v.Begins))
}

// find returns what was seen of a broker's replica of a group, nil if there is none.
func (j *judge) find(b *broker, g node.GroupID) *seenReplica {
	if i, ok := j.search(b, g); ok {
		return j.seen[b.number][i]
	}
	return nil
}

func (j *judge) search(b *broker, g node.GroupID) (int, bool) {
	return slices.BinarySearchFunc(j.seen[b.number], g, func(r *seenReplica, g node.GroupID) int { return cmp.Compare(r.group, g) })
}

func appended(events []node.Event, g node.GroupID) bool {
	for i := range events {
		if events[i].Kind == node.EventAppended && events[i].Group == g {
			return true
		}
	}
	return false
}

// observeGroup looks at a group.
func (j *judge) observeGroup(w *world, b *broker, g node.GroupID) {
	v, ok := b.node.Inspect(g)
	if !ok || v.Closed || j.gone[g] || g == 0 && b.node.Founding() {
		return
	}
	at, known := j.search(b, g)
	if !known {
		j.seen[b.number] = slices.Insert(j.seen[b.number], at, &seenReplica{group: g, stale: true})
	}
	r := j.seen[b.number][at]
	if !r.stale && sameView(&r.view, &v) {
		return
	}
	if !j.known[g] {
		j.known[g] = true
		if v.Topic == refusedTopic || v.Partition >= mostReplicas {
			w.fail("refused-but-made", "partition %d of topic %s is more than brokers may take", v.Partition, v.Topic)
		}
		j.groups = append(j.groups, groupInfo{g, v.Topic, v.Partition})
	}
	b.alone = b.alone || len(v.Voters) == 1 && int(checker.ReplicaID(v.Voters[0]).Broker()) == b.number
	if (r.stale || v.ConfIndex != r.view.ConfIndex) && len(v.Voters) > 0 {
		j.ids = appendReplicaIDs(appendReplicaIDs(j.ids[:0], v.Voters), v.Outgoing)
		voters := len(v.Voters)
		w.violated(j.cluster.Configured(checker.ReplicaID(v.Self), uint64(g), checker.Config{
			Index: v.ConfIndex, Voters: j.ids[:voters:voters], Outgoing: j.ids[voters:],
		}))
	}
	w.checkMachines(b, &v)
	r.view, r.stale = v, false
	if a := j.archived(w, &v); a != nil {
		a.take(w, b, &v)
	}
	j.noteCommit(w.now, g, v.Commit)
	j.at.broker, j.at.group = b, g
	w.violated(j.cluster.Observe(checker.ReplicaID(v.Self), uint64(g), checker.View{
		Term: v.Term, Vote: checker.ReplicaID(v.Vote), Leader: v.Role == node.Leader, Config: v.ConfIndex,
		First: v.FirstIndex, Last: v.LastIndex, Commit: v.Commit, Applied: v.Applied,
		HighWatermark: v.HighWatermark, LogStart: v.LogStart, Begins: uint64(v.Begins),
	}, j.entry))
	if v.DurableTerm > v.Term {
		w.fail("durable-term", "broker %d, group %d: durable term %d is above its term %d", b.number, g, v.DurableTerm, v.Term)
	}
}

// sameView says that nothing changed that the cluster looks at.
func sameView(a, b *node.View) bool {
	return a.Self == b.Self && a.Term == b.Term && a.Vote == b.Vote && a.Role == b.Role && a.FirstIndex == b.FirstIndex &&
		a.LastIndex == b.LastIndex && a.Commit == b.Commit && a.Applied == b.Applied && a.ConfIndex == b.ConfIndex &&
		a.HighWatermark == b.HighWatermark && a.LogStart == b.LogStart && a.DurableTerm == b.DurableTerm
}

func replicaIDs(raftIDs []uint64) []checker.ReplicaID {
	return appendReplicaIDs(make([]checker.ReplicaID, 0, len(raftIDs)), raftIDs)
}

func appendReplicaIDs(ids []checker.ReplicaID, raftIDs []uint64) []checker.ReplicaID {
	for _, id := range raftIDs {
		ids = append(ids, checker.ReplicaID(id))
	}
	return ids
}

// forgetClosed drops replicas that a broker no longer has, after it opened or closed some.
func (j *judge) forgetClosed(b *broker) {
	j.seen[b.number] = slices.DeleteFunc(j.seen[b.number], func(r *seenReplica) bool {
		if _, ok := b.node.Inspect(r.group); ok {
			return false
		}
		j.cluster.RemoveReplica(int32(b.number), uint64(r.group))
		return true
	})
}

// noteOpened looks at replicas that are new: they may do nothing for long, but their configuration counts on disks already.
func (j *judge) noteOpened(w *world, b *broker) {
	for _, g := range b.node.Groups() {
		if j.find(b, g) == nil {
			j.observeGroup(w, b, g)
		}
	}
}

// written takes what of a write is durable now, by the bytes on the disk and not by its result.
func (j *judge) written(w *world, b *broker, op wal.Op) {
	if n := b.disk.durablePrefix(op.File, op.Off, op.Data); n == len(op.Data) {
		j.synced(w, b, op.Data, true)
	} else {
		b.limbo = append(b.limbo, op)
	}
}

// synced takes the durable bytes of a write. all says that it is the whole write.
func (j *judge) synced(w *world, b *broker, data []byte, all bool) {
	j.at.broker, j.at.all = b, all
	if err := wal.Walk(data, j.record); err != nil && all {
		w.fail("write", "broker %d wrote bytes that are no records: %v", b.number, err)
	}
}

// durable takes one durable record. State records of a part of a write don't count: a segment whose
// beginning is torn is no segment.
func (j *judge) durable(r *wal.Record) {
	b, g, at := int32(j.at.broker.number), uint64(r.Group), uint64(r.LSN)
	switch {
	case j.gone[r.Group]:
	case r.Type == wal.RecordEntry:
		if w := j.at.world; w.tracing() && r.Group == 0 && r.Entry.Kind == 0 && len(r.Entry.Data) > 0 {
			w.tracef("%s  catalog entry %d is durable: %.300s", w.column(j.at.broker), r.Entry.Index, r.Entry.Data)
		}
		if r.Entry.Kind != 0 {
			j.cluster.ConfigEntry(g, r.Entry.Index)
		}
		if a := j.archives[r.Group]; a != nil {
			a.keep(&r.Entry)
		}
		if s := j.at.world.secure; s != nil && r.Group == 0 {
			s.keep(&r.Entry)
		}
		j.cluster.Durable(b, g, at, r.Entry.Index, checker.Entry{Term: r.Entry.Term, Hash: checker.HashPayload(j.at.world.essence(r.Entry.Data))})
	case r.Type == wal.RecordVote, r.Type == wal.RecordState && j.at.all:
		j.at.world.violated(j.cluster.DurableVote(b, g, at, r.State.Term, checker.ReplicaID(r.State.Vote)))
	case r.Type == wal.RecordRemove:
		j.cluster.DurableRemoval(b, g, at)
	}
}

// crashed notes that a broker stopped.
func (j *judge) crashed(w *world, b *broker) {
	j.endReign(w, b)
	j.cluster.Restarted(int32(b.number))
}

// lostDisk notes that a broker that is down will start with an empty disk.
func (j *judge) lostDisk(b *broker) {
	j.cluster.LostDisk(int32(b.number))
	j.seen[b.number] = nil
}

// recovered finds out, from the durable bytes, how much of the writes that were cut short survived,
// and looks at what the broker recovered. All of it must be durable now: what it tells others from
// here on may not be lost any more.
func (j *judge) recovered(w *world, b *broker) {
	for _, op := range b.limbo {
		n := b.disk.durablePrefix(op.File, op.Off, op.Data)
		j.synced(w, b, op.Data[:n], n == len(op.Data))
	}
	b.limbo = b.limbo[:0]
	log, _, err := wal.Open(b.disk.image(), w.config(b).Log)
	if err != nil {
		if w.plan.Beyond() {
			return
		}
		w.fail("recovery-durable", "broker %d started, but could not start again after a power loss now: %v", b.number, err)
	}
	j.forgetClosed(b) // its catalog may be older than what it showed before
	for _, g := range b.node.Groups() {
		v, _ := b.node.Inspect(g)
		if v.Closed {
			continue
		}
		st, _ := log.State(g)
		if !w.plan.Beyond() && (st.Term != v.Term || st.Vote != v.Vote || st.Last != v.LastIndex || st.First != v.FirstIndex) {
			w.fail("recovery-durable", "broker %d, group %d: recovered entries %d to %d, term %d and vote %x, but after a power loss now it would have entries %d to %d, term %d and vote %x",
				b.number, g, v.FirstIndex, v.LastIndex, v.Term, v.Vote, st.First, st.Last, st.Term, st.Vote)
		}
		if w.tracing() {
			w.tracef("%s  group %d: entries %d to %d, commit %d, term %d, vote %x", w.column(b), g, v.FirstIndex, v.LastIndex, v.Commit, v.Term, v.Vote)
		}
		j.cluster.Recovered(checker.ReplicaID(v.Self), uint64(g))
		w.violated(j.cluster.DurableVote(int32(b.number), uint64(g), math.MaxUint64, st.Term, checker.ReplicaID(st.Vote)))
		if r := j.find(b, g); r != nil {
			r.stale = true
		}
		j.observeGroup(w, b, g)
	}
	j.cluster.Started(int32(b.number))
}
