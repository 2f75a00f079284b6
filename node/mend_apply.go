// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/wal"
)

// Mend carries a plan out in one data folder. It may be repeated, also after a crash in the middle.
func Mend(m *Mending, r *Remains) error {
	if err := m.Concerns(r); err != nil {
		return err
	}
	log, err := r.openLog(r.Files)
	if err != nil {
		return err
	}
	do := func(op wal.Op) wal.Result { return wal.Do(r.Files, op) }
	if err := m.checkUnchanged(log, m.broker(r)); err != nil {
		return err
	}
	for k := range m.Partitions {
		switch p := &m.Partitions[k]; {
		case p.Empty: // its group is in no log yet
		case p.From == r.Broker:
			p.append(log)
		case m.skips(p.Group):
			log.RemoveGroup(p.Group) // its entry would stop the broker
		}
	}
	if err := flushAll(log, do); err != nil {
		return err
	}
	for _, s := range m.Skipped {
		if err := m.skipHere(log, r.Broker, s, do); err != nil {
			return err
		}
	}
	m.Catalog.install(log)
	return flushAll(log, do)
}

// Concerns is an error if a plan is about other folders than this one.
func (m *Mending) Concerns(r *Remains) error {
	if m.broker(r) == nil || r.Cluster != m.Cluster {
		return fmt.Errorf("the plan is not about this data folder of broker %d in cluster %q", r.Broker, r.Cluster)
	}
	return nil
}

func (m *Mending) broker(r *Remains) *MendedBroker {
	for i := range m.Brokers {
		if b := &m.Brokers[i]; b.Broker == r.Broker && b.Incarnation == r.Incarnation && b.Folder == r.Folder {
			return b
		}
	}
	return nil
}

func (m *Mending) skips(id GroupID) bool {
	return slices.ContainsFunc(m.Skipped, func(s SkippedEntry) bool { return s.Group == id })
}

func (m *Mending) skipHere(log *wal.Log, self BrokerID, s SkippedEntry, do func(wal.Op) wal.Result) error {
	if slices.ContainsFunc(m.Partitions, func(p MendedPartition) bool { return p.Group == s.Group && p.From == self }) {
		return skipEntry(log, &s, do)
	}
	return nil
}

// checkUnchanged refuses a folder that was used since the plan was made.
func (m *Mending) checkUnchanged(log *wal.Log, b *MendedBroker) error {
	st, _ := log.State(0)
	if (st.Last != b.Last || st.LastTerm != b.LastTerm) && !m.Catalog.installed(st) {
		return fmt.Errorf("the catalog of broker %d ends at entry %d of term %d, not at %d of term %d as the plan says; make a new plan", b.Broker, st.Last, st.LastTerm, b.Last, b.LastTerm)
	}
	for i := range m.Partitions {
		p := &m.Partitions[i]
		st, _ := log.State(p.Group)
		if p.From == b.Broker && !p.Empty && (st.Last != p.Last || st.LastTerm != p.LastTerm) && !p.begun(st) {
			return fmt.Errorf("partition %d of topic %q ends at entry %d of term %d, not at %d of term %d as the plan says; make a new plan", p.Partition, p.Topic, st.Last, st.LastTerm, p.Last, p.LastTerm)
		}
	}
	return nil
}

func (c *MendedCatalog) installed(st wal.State) bool {
	return st.Last == c.Index && st.LastTerm == c.Term
}

// install gives the log the new catalog.
func (c *MendedCatalog) install(log *wal.Log) {
	st, _ := log.State(0)
	if c.installed(st) {
		return
	}
	if st.Term < c.Term {
		log.SetVote(0, c.Term, 0)
	}
	log.Install(0, wal.Checkpoint{Index: c.Index, Term: c.Term, Data: c.Data})
}

// begun reports whether some or all of the changes are in the log.
func (p *MendedPartition) begun(st wal.State) bool {
	return st.Last > p.Last && st.Last <= p.Last+uint64(len(p.Changes)) && st.LastTerm == p.Term
}

// append makes everything in the partition's log committed, and its replica the only one.
func (p *MendedPartition) append(log *wal.Log) {
	if st, _ := log.State(p.Group); st.Term < p.Term {
		log.SetVote(p.Group, p.Term, 0)
	}
	for i, cc := range p.Changes {
		index := p.Last + 1 + uint64(i)
		if st, _ := log.State(p.Group); index > st.Last {
			log.Append(p.Group, []wal.Entry{{Index: index, Term: p.Term, Kind: wal.EntryKind(pb.EntryConfChangeV2), Data: cc}})
		}
	}
	log.SetCommit(p.Group, p.Last+uint64(len(p.Changes)))
}
