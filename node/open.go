// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/node/step"
	"chronik/wal"
)

// Open recovers the broker from its log and blocks while it reads. The error says what an
// operator has to do.
func Open(cfg Config, fs wal.FS, now Time) (*Node, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.Log.Owner = cfg.owner()
	log, report, err := wal.Open(fs, cfg.Log)
	if err != nil {
		return nil, ExplainForeign(cfg.Log.Owner, err)
	}
	n := newNode(cfg, log, now)
	n.process = start{cfg.Incarnation, report.Epoch, cfg.Seed, report.End, report.End}
	n.commands.session = uint64(cfg.Incarnation)<<32 | uint64(report.Epoch)
	if err := n.recover(func(op wal.Op) wal.Result { return wal.Do(fs, op) }); err != nil {
		return nil, err
	}
	n.out.Events = nil // what the log holds was told when it happened
	if report.CutBytes > 0 {
		n.event(Event{Kind: EventTornTail, N: report.CutBytes, Text: report.CutFile})
	}
	n.event(Event{Kind: EventRecovered, N: report.Entries})
	n.commands.register()
	for _, g := range n.groups {
		g.warnOfTerms(0)
	}
	return n, nil
}

func newNode(cfg Config, log *wal.Log, now Time) *Node {
	cfg.Members = slices.Clone(cfg.Members) // receiveMembers changes them
	n := &Node{
		cfg: cfg, configured: len(cfg.Members), self: cfg.BrokerID, log: log, now: now, nextTick: now,
		apis:         apiTable(),
		rights:       rights(),
		logLevel:     cfg.LogLevel,
		auditors:     auditors(),
		superUsers:   make(map[string]bool),
		byID:         make(map[GroupID]*group),
		partitions:   make(map[GroupID]*partition),
		coordinators: make(map[GroupID]*coordinator),
		transactions: make(map[GroupID]*txnCoordinator),
		joins:        joinTable{open: make(map[uint64]*join), last: cfg.Seed},
		markersIn:    make(map[markerKey]BrokerID),
		conns:        make(map[ConnID]*conn),
		sources:      make(map[string]*source),

		reads:   reads{took: make(map[uint64]func(wal.Result))},
		coldFor: make(map[GroupID][]*entryWait),

		removal: removal{through: -1}, waitsTellAt: now.Add(waitsLongAfter),

		secrets:  cfg.newSecrets(),
		tasks:    newTasks(),
		large:    newLarge(cfg.LargeBytes),
		arrivals: make(map[arrivalKey][]*arrival),
		packer:   cmp.Or(cfg.Packer, &Packer{}),
	}
	n.autoCreated.used = now.Add(-autoCreateBurst)
	n.parkedBytes.limit, n.waits.limit = cfg.ParkedBytes, int64(cfg.MaxWaits)
	n.sessions.memory.limit, n.sessions.lastID = cfg.ParkedBytes/2, int32(cfg.Seed&math.MaxInt32)
	n.commands.queue.count.limit, n.commands.queue.bytes.limit = int64(cfg.MaxCommands), cfg.CommandBytes
	n.cold = newColdReader(log, &n.reads, n.coldDone, cfg.ColdReadBytes, cfg.CacheBytes)
	n.catalog = newCatalog(n)
	for _, u := range cfg.SuperUsers {
		n.superUsers[u] = true
	}
	n.joins.node = n
	n.seekers[0].topic, n.seekers[1].topic = groupsTopic, transactionsTopic
	n.commands.node, n.producerIDs.node, n.compactor.node, n.breaks.node = n, n, n, n
	for _, m := range cfg.Members {
		n.addPeer(m.ID)
	}
	n.tellMembers = true
	return n
}

// recover opens group 0, and then the partitions that it knows of.
func (n *Node) recover(load func(wal.Op) wal.Result) error {
	if st, _ := n.log.State(0); st.Last == 0 && n.cfg.Incarnation == founder { // a power loss may have left a part of it
		if err := n.found(load); err != nil {
			return err
		}
	}
	g, err := n.openGroup(0, raftID(n.self, n.cfg.Incarnation), nil, n.catalog, load)
	if err != nil {
		return err
	}
	n.catalog.group = g
	n.addGroup(g)
	if err := n.checkLevel(); err != nil {
		return err
	}
	n.level = n.catalog.currentLevel()
	n.beginFounding()
	for _, b := range n.catalog.brokers {
		n.addPeer(b.ID)
	}
	for _, t := range n.catalog.topics {
		for _, p := range t.Partitions {
			if err := n.openPartition(p, load); err != nil {
				return err
			}
		}
	}
	return n.recoverDeleted()
}

// founder is the incarnation of the brokers that begin a cluster.
const founder = 1

// found begins group 0: with a checkpoint at entry 1 that every founder makes alike, so that brokers
// that come later get to know the founders with it. It is durable before anything else happens.
func (n *Node) found(do func(wal.Op) wal.Result) error {
	var voters []uint64
	for i, m := range n.cfg.Members {
		for _, o := range n.cfg.Members[:i] {
			if m.near(&o) {
				return fmt.Errorf("brokers %d and %d are both listed as founders and are on machine %q, which may take two votes with it: list one broker of each machine, on all founders, and let the others join", o.ID, m.ID, m.Machine)
			}
		}
		voters = append(voters, raftID(m.ID, founder))
	}
	slices.Sort(voters)
	for _, v := range voters {
		n.catalog.founders = append(n.catalog.founders, brokerOf(v))
	}
	n.log.SetVote(0, 1, 0)
	n.log.Install(0, wal.Checkpoint{Index: 1, Term: 1, Data: n.packer.encodeCheckpoint(checkpoint{conf: &pb.ConfState{Voters: voters}, state: n.catalog.snapshot(0).whole()})})
	n.log.RequestSync()
	for end := n.log.End(); n.log.Durable() < end; {
		op, ok := n.log.Next()
		step.Assert(ok, "a log that was asked to sync has something to do")
		if err := n.log.Done(do(op)); err != nil {
			return err
		}
	}
	return nil
}

// openPartition opens this broker's replica of a partition, if it has one.
func (n *Node) openPartition(meta *partitionMeta, load func(wal.Op) wal.Result) error {
	replica, ok := meta.replica(n.self)
	if !ok || !n.catalog.knowsThisIncarnation() {
		return nil
	}
	switch meta.Topic.Name {
	case groupsTopic:
		return n.openCoordinator(meta, replica, load)
	case transactionsTopic:
		return n.openTransactions(meta, replica, load)
	}
	p := &partition{node: n, meta: meta, records: newRecords()}
	g, err := n.openGroup(meta.Group, replica.id(), meta.Founders, p, load)
	if err != nil {
		return err
	}
	p.group = g
	n.partitions[meta.Group] = p
	n.addGroup(g)
	return nil
}

func (n *Node) openCoordinator(meta *partitionMeta, replica replicaMeta, load func(wal.Op) wal.Result) error {
	c := &coordinator{node: n}
	g, err := n.openGroup(meta.Group, replica.id(), meta.Founders, c, load)
	if err != nil {
		return err
	}
	c.group = g
	n.coordinators[meta.Group] = c
	n.addGroup(g)
	return nil
}

func (n *Node) openTransactions(meta *partitionMeta, replica replicaMeta, load func(wal.Op) wal.Result) error {
	m := newTxnCoordinator(n)
	g, err := n.openGroup(meta.Group, replica.id(), meta.Founders, m, load)
	if err != nil {
		return err
	}
	m.group = g
	n.transactions[meta.Group] = m
	n.addGroup(g)
	return nil
}

// recoverDeleted ends the groups whose topic was deleted just before the broker died: the commit
// index that covers the deletion was on the disk, the removal after it wasn't.
func (n *Node) recoverDeleted() error {
	for _, id := range n.log.Groups() {
		switch {
		case n.byID[id] != nil:
		case id < n.catalog.nextGroup:
			n.log.RemoveGroup(id)
		default:
			return fmt.Errorf("the log holds group %d, but the catalog knows only %d: %w; "+
				"files of different brokers or times are mixed in this folder, restore it as a whole", id, n.catalog.nextGroup, wal.ErrCorrupt)
		}
	}
	return nil
}
