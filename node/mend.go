// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/wal"
)

// Mending gives a cluster that can't go on by itself a new beginning, from the data folders that are left: when most replicas
// of a group are gone, when the catalog can't be read, or when an entry ends every broker that applies it (ADR 27). No broker
// runs meanwhile. PlanMending reads the folders, changes nothing and says what will be lost; Mend carries the plan out in one
// folder.
//
// For each group that has lost its majority one replica becomes the whole group: the one that an election would choose among
// those that are left. All that is in its log counts as committed, and its log goes on with a change of replicas, in a term that
// nobody has seen. The catalog is written anew, as a checkpoint that all folders get alike. The brokers that are lost stay in it, but
// under an incarnation that none of their old disks has. So they come back as any broker that has lost its disk, and an
// old disk is refused. The cluster gets a new id, by which the world keeps the two histories apart.

// Remains is the data folder of a broker that doesn't run, as far as mending needs it.
type Remains struct {
	Cluster, LogCluster string
	Broker              BrokerID
	Incarnation         uint32
	Folder              string
	Files               wal.FS
}

func (r *Remains) config() Config {
	return Config{
		ClusterID: r.Cluster, LogCluster: r.LogCluster, BrokerID: r.Broker, Incarnation: r.Incarnation,
		Members: []Member{{ID: r.Broker, Folder: r.Folder, Host: "-", Port: 1}},
	}
}

func (r *Remains) openLog(fs wal.FS) (*wal.Log, error) {
	cfg := r.config()
	log, _, err := wal.Open(fs, wal.Options{Owner: cfg.owner()})
	if err != nil {
		return nil, fmt.Errorf("the log of broker %d: %w", r.Broker, ExplainForeign(cfg.owner(), err))
	}
	return log, nil
}

// examined is a folder that is being looked at: its log, with what is written to it in memory only.
type examined struct {
	*Remains
	fs      wal.FS
	log     *wal.Log
	was     map[GroupID]wal.State // before anything was changed in memory
	catalog []byte                // state of the catalog after the last entry; nil: it can't be read, or its replica is not of this incarnation
	conf    *pb.ConfState         // its replicas
	wrong   error                 // why it can't be read
	found   map[GroupID]*replicaLeft
}

// replicaLeft is what a folder holds of a partition.
type replicaLeft struct {
	on        *examined
	state     wal.State
	self      uint64
	conf      *pb.ConfState // after the last entry
	confIndex uint64
	start     int64 // first offset
	committed int64 // the next offset after what was known to be committed, -1 if it isn't a partition of clients
	end       int64 // the next offset after the last entry
	wrong     error // why it can't be used
}

// load does what a log asks for, at once.
func (e *examined) load(op wal.Op) wal.Result { return wal.Do(e.fs, op) }

// flushAll makes everything appended to a log durable.
func flushAll(log *wal.Log, do func(wal.Op) wal.Result) error {
	log.RequestSync()
	for end := log.End(); log.Durable() < end; {
		op, ok := log.Next()
		if !ok {
			return errors.New("there is no space left for the log; make room on the disk, and try again")
		}
		if err := log.Done(do(op)); err != nil {
			return err
		}
	}
	return nil
}

// examine opens a folder's log in memory and reads its catalog.
func examine(r *Remains, skip []SkippedEntry) (*examined, error) {
	e := &examined{Remains: r, fs: wal.Shadow(r.Files), was: make(map[GroupID]wal.State), found: make(map[GroupID]*replicaLeft)}
	log, err := r.openLog(e.fs)
	if err != nil {
		return nil, err
	}
	e.log = log
	for _, id := range log.Groups() {
		e.was[id], _ = log.State(id)
	}
	if e.wrong = e.skip(0, skip); e.wrong == nil {
		e.wrong = e.readCatalog()
	}
	return e, nil
}

// skip leaves out entries of a group in memory.
func (e *examined) skip(id GroupID, skip []SkippedEntry) error {
	for i := range skip {
		if s := &skip[i]; s.Group == id {
			if err := skipEntry(e.log, s, e.load); err != nil {
				return err
			}
		}
	}
	return nil
}

// readCatalog works out the catalog after all entries that the folder has of it.
func (e *examined) readCatalog() error {
	st, ok := e.was[0]
	if !ok || st.Last == 0 {
		return errors.New("there is no catalog in it: the broker never took part in the cluster")
	}
	if err := commitAll(e.log, 0, e.load); err != nil {
		return err
	}
	n, err := e.newNode()
	if err != nil {
		return err
	}
	g, err := n.tryGroup(func() (*group, error) {
		g, err := n.openGroup(0, raftID(e.Broker, e.Incarnation), nil, n.catalog, e.load)
		return g, err
	})
	if err != nil {
		return err
	}
	e.catalog, e.conf = n.catalog.state(0), g.conf
	return nil
}

// commitAll makes all entries of a group count as committed.
func commitAll(log *wal.Log, id GroupID, do func(wal.Op) wal.Result) error {
	if st, ok := log.State(id); ok {
		log.SetCommit(id, st.Last)
	}
	return flushAll(log, do)
}

func (e *examined) newNode() (*Node, error) {
	cfg := e.config()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return newNode(cfg, e.log, 0), nil
}

// poison is an entry that breaks an invariant of the broker when it is applied.
type poison struct {
	group GroupID
	index uint64
	why   any
}

func (p *poison) Error() string {
	return fmt.Sprintf("entry %d of group %d stops the broker that applies it (%v)", p.index, p.group, p.why)
}

// tryGroup opens a group, and survives an entry that a broker wouldn't.
func (n *Node) tryGroup(open func() (*group, error)) (g *group, err error) {
	defer func() {
		if why := recover(); why != nil {
			err = &poison{n.opening.id, n.opening.applied + 1, why}
		}
		for _, e := range n.out.Events {
			if e.Kind == EventReplicaDamaged && err == nil {
				err = errors.New(e.Text)
			}
		}
		n.out.Events = nil
	}()
	return open()
}

// readPartitions opens the folder's replicas of all partitions of a catalog, twice: as far as they are known to be
// committed, and to the end.
func (e *examined) readPartitions(state []byte, skip []SkippedEntry) error {
	if err := e.readReplicas(state, skip, (*replicaLeft).noteCommitted); err != nil {
		return err
	}
	for _, id := range e.log.Groups() {
		if id != 0 && e.found[id] != nil {
			if err := e.skip(id, skip); err != nil {
				return err
			}
			if err := commitAll(e.log, id, e.load); err != nil {
				return err
			}
		}
	}
	return e.readReplicas(state, skip, (*replicaLeft).noteEnd)
}

func (e *examined) readReplicas(state []byte, skip []SkippedEntry, note func(*replicaLeft, *Node, *group)) error {
	n, err := e.newNode()
	if err != nil {
		return err
	}
	if err := n.catalog.restore([][]byte{state}); err != nil {
		return err
	}
	n.catalog.group, n.level = &group{node: n, conf: &pb.ConfState{}}, n.catalog.currentLevel()
	if err := n.checkLevel(); err != nil {
		return err
	}
	if !n.catalog.knowsThisIncarnation() {
		return fmt.Errorf("the catalog knows broker %d with another incarnation: the data folder is one that the broker had earlier, leave it out", e.Broker)
	}
	for _, t := range n.catalog.topics {
		for _, p := range t.Partitions {
			e.readReplica(n, p, note)
		}
	}
	return nil
}

func (e *examined) readReplica(n *Node, p *partitionMeta, note func(*replicaLeft, *Node, *group)) {
	replica, here := p.replica(e.Broker)
	if !here {
		return
	}
	r := e.found[p.Group]
	if r == nil {
		r = &replicaLeft{on: e, state: e.was[p.Group], self: replica.id(), committed: -1, end: -1}
		if r.state.First == 0 {
			r.state.First = 1
		}
		if r.state.Last == 0 && !slices.Contains(p.Founders, r.self) {
			return // it was to come, and nothing has
		}
		e.found[p.Group] = r
	}
	g, err := n.tryGroup(func() (*group, error) {
		if err := n.openPartition(p, e.load); err != nil {
			return nil, err
		}
		return n.byID[p.Group], nil
	})
	if r.wrong = err; err == nil {
		note(r, n, g)
	}
}

func (r *replicaLeft) noteCommitted(n *Node, g *group) {
	if p := n.partitions[g.id]; p != nil {
		r.start, r.committed = p.logStart(), p.highWatermark
	}
}

func (r *replicaLeft) noteEnd(n *Node, g *group) {
	r.conf, r.confIndex = g.appliedConf()
	if p := n.partitions[g.id]; p != nil {
		r.start, r.end = p.logStart(), p.highWatermark
	}
}

// SkippedEntry is an entry that a mended group goes on without.
type SkippedEntry struct {
	Group GroupID
	Index uint64
	What  string `json:",omitempty"` // it holds, in words
}

// skipEntry makes an entry one that does nothing. Everything in its group counts as committed by then.
func skipEntry(log *wal.Log, s *SkippedEntry, do func(wal.Op) wal.Result) error {
	st, _ := log.State(s.Group)
	if s.Index < st.First || s.Index > st.Last {
		return nil // not in this folder
	}
	if err := commitAll(log, s.Group, do); err != nil {
		return err
	}
	for _, c := range log.Checkpoints(s.Group) {
		if c.Index >= s.Index {
			return fmt.Errorf("entry %d of group %d can't be left out: a checkpoint of the state after entry %d has it applied already", s.Index, s.Group, c.Index)
		}
	}
	op, err := log.Read(s.Group, s.Index, s.Index+1, 1)
	if err != nil {
		return err
	}
	entries, err := log.Entries(s.Group, s.Index, do(op))
	switch {
	case err != nil:
		return err
	case len(entries) == 0 || entries[0].Index != s.Index || entries[0].Last != 0 || pb.EntryType(entries[0].Kind) != pb.EntryNormal:
		return fmt.Errorf("entry %d of group %d can't be left out: it is a change of replicas, or emptied by compaction", s.Index, s.Group)
	case len(entries[0].Data) == 0:
		return nil // done already
	}
	s.What = describeData(entries[0].Data)
	log.Replace(s.Group, wal.Entry{Index: s.Index, Term: entries[0].Term, Kind: entries[0].Kind})
	return flushAll(log, do)
}
