// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"chronik/node/step"
	"chronik/wal"
)

// Terms, and numbers that the catalog gives out, go on far beyond what the lost brokers can have used.
const (
	mendTerms     = 1000
	mendReplicas  = 1 << 16
	mendGroups    = 1 << 20
	mendProducers = 1 << 32
)

// Mending is what will be done to the data folders of a cluster. It holds all that is needed to do it in one of them.
type Mending struct {
	Cluster    string         // before
	NewCluster string         // and after
	Brokers    []MendedBroker // whose folders are left, ascending
	Lost       []BrokerID     // ascending
	Catalog    MendedCatalog
	Partitions []MendedPartition // that can't go on by themselves, by topic and number
	Whole      int               // partitions that can
	Skipped    []SkippedEntry    `json:",omitempty"`

	empty []NamedPartition // that may begin anew, empty
}

// NamedPartition is a partition of a topic.
type NamedPartition struct {
	Topic string
	Index int32
}

// MendedBroker is a broker whose folder is left, and where its copy of the catalog ended.
type MendedBroker struct {
	Broker         BrokerID
	Incarnation    uint32
	Folder         string
	Last, LastTerm uint64
	Wrong          string `json:",omitempty"` // why its catalog can't be read
}

// MendedCatalog is the checkpoint with which group 0 begins anew.
type MendedCatalog struct {
	From           BrokerID // whose copy it is
	Last, LastTerm uint64   // its last entry
	Committed      uint64   // known there to be committed
	Quorum         bool     // a majority of its voters is left: nothing of it is lost
	Voters         []BrokerID
	Index, Term    uint64 // of the checkpoint
	Data           []byte
}

// MendedPartition is a partition that has lost its majority.
type MendedPartition struct {
	Group           GroupID
	Topic           string
	Partition       int32
	Voters          []BrokerID // until now
	From            BrokerID   // whose replica becomes the partition; -1: there is none
	Empty           bool       `json:",omitempty"` // it begins anew on From, with nothing in it
	Last, LastTerm  uint64     // its last entry
	Known           uint64     // known there to be committed
	Start           int64      // offsets: the first, the one after what was known to be committed, and
	Committed, End  int64      // the one after the last; -1: unknown, or not a partition of clients
	Term            uint64     // of the changes of replicas that follow
	Changes         [][]byte   `json:",omitempty"`
	Others, Damaged []string   `json:",omitempty"` // what other folders hold, and why a replica can't be used
}

// Code is short and stands for the whole plan: who repeats it has seen the plan.
func (m *Mending) Code() string {
	text, err := json.Marshal(m)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%08x", crc32.ChecksumIEEE(text))
}

// ErrWhole says that nothing needs mending.
var ErrWhole = errors.New("nothing has to be mended: a majority of the catalog and of every partition is in these folders. Start the brokers")

// PlanMending reads the data folders that are left of a cluster and says how it can go on. It changes nothing. skip are entries to
// be left out, and empty partitions that may begin anew with nothing in them, because no replica of them can be used.
func PlanMending(left []*Remains, newCluster string, skip []SkippedEntry, empty []NamedPartition) (*Mending, error) {
	m := &Mending{NewCluster: newCluster, Skipped: slices.Clone(skip), empty: empty}
	folders, err := m.examine(left)
	if err != nil {
		return nil, err
	}
	best := bestCatalog(folders)
	if best == nil {
		return nil, errNoCatalog(folders)
	}
	for _, e := range folders {
		if err := e.readPartitions(best.catalog, m.Skipped); err != nil {
			return nil, fmt.Errorf("broker %d: %w", e.Broker, err)
		}
	}
	c := newCatalog(&Node{cfg: Config{ClusterID: m.Cluster}})
	if err := c.restore([][]byte{best.catalog}); err != nil {
		return nil, err
	}
	for _, s := range m.Skipped {
		if s.What == "" {
			return nil, fmt.Errorf("none of the folders has entry %d of group %d with anything in it: there is nothing to leave out", s.Index, s.Group)
		}
	}
	if err := m.checkEmpty(c); err != nil {
		return nil, err
	}
	m.noteCatalog(folders, best)
	if err := m.planPartitions(c, folders); err != nil {
		return nil, err
	}
	if m.Catalog.Quorum && !slices.ContainsFunc(m.Partitions, func(p MendedPartition) bool { return p.From >= 0 }) {
		if len(m.Partitions) > 0 {
			return nil, m.hopeless()
		}
		return nil, ErrWhole
	}
	return m, m.writeCatalog(c, folders)
}

// hopeless says why none of the partitions that need it can be mended.
func (m *Mending) hopeless() error {
	all := []error{errors.New("nothing can be mended: of the partitions that can't go on by themselves no replica in these folders can be used. Delete their topics, or restore them from a backup; " +
		"an entry that stops brokers can be left out (-skip GROUP/ENTRY), and a partition can begin anew with nothing in it (-empty TOPIC/PARTITION), which is the only way for a topic of the brokers' own")}
	for i := range m.Partitions {
		p := &m.Partitions[i]
		all = append(all, fmt.Errorf("partition %d of topic %q: %d replicas are there", p.Partition, p.Topic, len(p.Damaged)))
		for _, d := range p.Damaged {
			all = append(all, errors.New("  "+d))
		}
	}
	return errors.Join(all...)
}

func (m *Mending) examine(left []*Remains) (folders []*examined, err error) {
	left = slices.SortedFunc(slices.Values(left), func(a, b *Remains) int { return int(a.Broker - b.Broker) })
	for i, r := range left {
		switch {
		case i > 0 && left[i-1].Broker == r.Broker:
			return nil, fmt.Errorf("two of the folders are of broker %d; leave out the older one", r.Broker)
		case i > 0 && left[0].Cluster != r.Cluster:
			return nil, fmt.Errorf("broker %d is in cluster %q, broker %d in %q; they can't be mended together", left[0].Broker, left[0].Cluster, r.Broker, r.Cluster)
		case r.Cluster == m.NewCluster:
			return nil, fmt.Errorf("the new cluster id must be another one than %q", r.Cluster)
		}
		e, err := examine(r, m.Skipped)
		if err != nil {
			return nil, err
		}
		folders = append(folders, e)
	}
	if len(left) == 0 {
		return nil, errors.New("name the data folders that are left")
	}
	m.Cluster = left[0].Cluster
	return folders, nil
}

func bestCatalog(folders []*examined) (best *examined) {
	for _, e := range folders {
		if e.catalog != nil && (best == nil || newer(e.was[0], best.was[0]) > 0) {
			best = e
		}
	}
	return best
}

func errNoCatalog(folders []*examined) error {
	var all []error
	for _, e := range folders {
		all = append(all, fmt.Errorf("broker %d: %w", e.Broker, e.wrong))
	}
	return fmt.Errorf("the catalog can't be read in any of the folders; with the folder of another broker it can be mended, else restore a backup into a new cluster.\n%w", errors.Join(all...))
}

func (m *Mending) noteCatalog(folders []*examined, best *examined) {
	c := &m.Catalog
	c.From, c.Last, c.LastTerm, c.Committed = best.Broker, best.was[0].Last, best.was[0].LastTerm, best.was[0].Commit
	c.Voters = holders(best.conf.Voters)
	var there []uint64
	for _, e := range folders {
		b := MendedBroker{Broker: e.Broker, Incarnation: e.Incarnation, Folder: e.Folder, Last: e.was[0].Last, LastTerm: e.was[0].LastTerm}
		if e.wrong != nil {
			b.Wrong = e.wrong.Error()
		} else {
			there = append(there, raftID(e.Broker, e.Incarnation))
		}
		m.Brokers = append(m.Brokers, b)
		c.Term, c.Index = max(c.Term, e.was[0].Term+mendTerms), max(c.Index, e.was[0].Last+1)
	}
	c.Quorum = hasMajority(best.conf, there) && !slices.ContainsFunc(m.Skipped, func(s SkippedEntry) bool { return s.Group == 0 })
}

// planPartitions looks for partitions that have no majority, and changes the catalog accordingly.
func (m *Mending) planPartitions(c *catalog, folders []*examined) error {
	numbered := c.nextReplica
	c.nextReplica += mendReplicas
	c.nextGroup += mendGroups
	c.nextProducer += mendProducers
	for _, b := range c.brokers {
		if !b.Removed && !slices.ContainsFunc(folders, func(e *examined) bool { return e.Broker == b.ID }) {
			m.Lost = append(m.Lost, b.ID)
			b.Incarnation++
		}
	}
	for _, t := range c.topics {
		for _, p := range t.Partitions {
			if err := m.planPartition(c, p, folders, numbered); err != nil {
				return err
			}
			for _, b := range m.Lost {
				c.renumber(p, b)
			}
		}
	}
	return nil
}

func (m *Mending) planPartition(c *catalog, p *partitionMeta, folders []*examined, numbered uint32) error {
	mp := MendedPartition{Group: p.Group, Topic: p.Topic.Name, Partition: p.Index, From: -1, Start: -1, Committed: -1, End: -1, Voters: brokersOf(p.Replicas)}
	var best *replicaLeft
	var there []uint64
	for _, e := range folders {
		r := e.found[p.Group]
		if r == nil {
			continue
		}
		mp.Term = max(mp.Term, r.state.Term+mendTerms)
		if r.wrong != nil {
			mp.Damaged = append(mp.Damaged, fmt.Sprintf("broker %d: %v", e.Broker, r.wrong))
			continue
		}
		there = append(there, r.self)
		if best == nil || newer(r.state, best.state) > 0 {
			best = r
		}
	}
	begins := slices.Contains(m.empty, NamedPartition{p.Topic.Name, p.Index})
	skipped := slices.ContainsFunc(m.Skipped, func(s SkippedEntry) bool { return s.Group == p.Group })
	if best != nil && !skipped && !begins && hasMajority(best.conf, there) && !unheardOf(best.conf, numbered) {
		m.Whole++
		return nil
	}
	switch {
	case best != nil && begins:
		return fmt.Errorf("partition %d of topic %q has a replica in the folder of broker %d; it goes on from that, and isn't begun anew", p.Index, p.Topic.Name, best.on.Broker)
	case begins:
		mp.From, mp.Empty = c.beginEmpty(p, folders), true
	case best != nil:
		if err := mp.begin(best, folders); err != nil {
			return fmt.Errorf("partition %d of topic %q: %w", p.Index, p.Topic.Name, err)
		}
		c.restart(p, best)
	}
	m.Partitions = append(m.Partitions, mp)
	return nil
}

// checkEmpty refuses to let a partition begin anew that there isn't.
func (m *Mending) checkEmpty(c *catalog) error {
	for _, e := range m.empty {
		if c.partition(e.Topic, e.Index) == nil {
			return fmt.Errorf("there is no partition %d of topic %q that could begin anew", e.Index, e.Topic)
		}
	}
	return nil
}

// beginEmpty gives a partition a new group on one of the brokers that are left, if possible one that had a replica. The others copy it
// from there, so each replica is a new one.
func (c *catalog) beginEmpty(p *partitionMeta, folders []*examined) BrokerID {
	replicas := slices.Clone(p.goal())
	isLeft := func(r replicaMeta) bool {
		return slices.ContainsFunc(folders, func(e *examined) bool { return e.Broker == r.Broker })
	}
	kept := slices.IndexFunc(replicas, isLeft)
	if kept < 0 {
		kept = 0
		replicas[kept].Broker = folders[int(p.Index)%len(folders)].Broker
	}
	for i := range replicas {
		replicas[i].Number = c.replicaNumber()
	}
	p.Group, p.Founders = c.nextGroup, []uint64{replicas[kept].id()}
	c.nextGroup++
	p.Replicas, p.Target, p.Leaving = replicas, nil, nil
	p.Moves++
	return replicas[kept].Broker
}

// unheardOf reports whether a group has replicas that a newer catalog than this one has given their numbers.
func unheardOf(conf *pb.ConfState, next uint32) bool {
	for _, ids := range [][]uint64{conf.Voters, conf.VotersOutgoing, conf.Learners, conf.LearnersNext} {
		if slices.ContainsFunc(ids, func(id uint64) bool { return uint32(id) >= next }) {
			return true
		}
	}
	return false
}

// begin makes a replica the beginning of what comes.
func (mp *MendedPartition) begin(r *replicaLeft, folders []*examined) error {
	mp.From, mp.Voters = r.on.Broker, holders(r.conf.Voters)
	mp.Last, mp.LastTerm, mp.Known = r.state.Last, r.state.LastTerm, r.state.Commit
	mp.Start, mp.Committed, mp.End = r.start, r.committed, r.end
	if mp.Term > lateTerm {
		return fmt.Errorf("it is at term %d, and has too few left", r.state.Term)
	}
	for _, e := range folders {
		if o := e.found[mp.Group]; o != nil && o != r && o.wrong == nil {
			mp.Others = append(mp.Others, fmt.Sprintf("broker %d ends at entry %d of term %d", e.Broker, o.state.Last, o.state.LastTerm))
		}
	}
	changes, err := aloneIn(r.conf, r.state.Last, r.self)
	for _, cc := range changes {
		text, err := proto.Marshal(cc)
		if err != nil {
			return err
		}
		mp.Changes = append(mp.Changes, text)
	}
	return err
}

// restart makes the catalog want as many replicas of a partition as before, with one that is there. A move ends.
func (c *catalog) restart(p *partitionMeta, r *replicaLeft) {
	kept := replicaMeta{r.on.Broker, uint32(r.self)}
	replicas := slices.Clone(p.goal())
	if !slices.Contains(replicas, kept) {
		replicas[0] = kept
	}
	p.Replicas, p.Target, p.Leaving = replicas, nil, nil
	p.Moves++
}

// maxMendedCatalog bounds the catalog's checkpoint, which is written as one record.
const maxMendedCatalog = wal.MaxEntryBytes

func (m *Mending) writeCatalog(c *catalog, folders []*examined) error {
	conf, ids := &pb.ConfState{}, make([]uint64, len(folders))
	for i, e := range folders {
		ids[i] = raftID(e.Broker, e.Incarnation)
	}
	conf.Voters, conf.Learners = firstVoters(ids, maxCatalogVoters, c.onOneMachine)
	m.Catalog.Data = new(Packer).encodeCheckpoint(checkpoint{conf: conf, confIndex: m.Catalog.Index, state: c.state(0)})
	if len(m.Catalog.Data) > maxMendedCatalog || m.Catalog.Term > lateTerm {
		return fmt.Errorf("the catalog of %d bytes at term %d can't be written as one record", len(m.Catalog.Data), m.Catalog.Term)
	}
	return nil
}

// newer compares what two folders hold of a group, as raft's elections do.
func newer(a, b wal.State) int {
	return cmp.Or(cmp.Compare(a.LastTerm, b.LastTerm), cmp.Compare(a.Last, b.Last))
}

// hasMajority reports whether replicas can elect a leader.
func hasMajority(conf *pb.ConfState, ids []uint64) bool {
	for _, voters := range [][]uint64{conf.Voters, conf.VotersOutgoing} {
		there := 0
		for _, id := range voters {
			there += btoi(slices.Contains(ids, id))
		}
		if len(voters) > 0 && there < majority(len(voters)) {
			return false
		}
	}
	return true
}

// aloneIn returns the configuration changes that leave one replica of a group.
func aloneIn(conf *pb.ConfState, index, self uint64) (changes []*pb.ConfChangeV2, err error) {
	apply := func(cc *pb.ConfChangeV2) {
		if err == nil {
			index++
			conf, err = changedConf(conf, cc, index)
			changes = append(changes, cc)
		}
	}
	if len(conf.VotersOutgoing) > 0 {
		apply(&pb.ConfChangeV2{})
	}
	enter := &pb.ConfChangeV2{Transition: pb.ConfChangeTransitionJointExplicit.Enum(), Changes: []*pb.ConfChangeSingle{change(pb.ConfChangeAddNode, self)}}
	for _, ids := range [][]uint64{conf.Voters, conf.Learners} {
		for _, id := range ids {
			if id != self {
				enter.Changes = append(enter.Changes, change(pb.ConfChangeRemoveNode, id))
			}
		}
	}
	apply(enter)
	apply(&pb.ConfChangeV2{})
	if err == nil {
		step.Assert(len(conf.Voters) == 1 && conf.Voters[0] == self && len(conf.Learners)+len(conf.VotersOutgoing)+len(conf.LearnersNext) == 0, "one replica is left: %v", conf)
	}
	return changes, err
}

// holders lists the brokers of replicas.
func holders(ids []uint64) (brokers []BrokerID) {
	for _, id := range ids {
		if id != raft.None {
			brokers = append(brokers, brokerOf(id))
		}
	}
	return brokers
}
