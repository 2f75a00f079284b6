// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/json"
	"fmt"
	"strings"

	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/kafka"
	"chronik/node/txn"
)

// peerLine says where a message comes from or goes to, unless it is raft's and says it itself.
func peerLine(word string, b BrokerID, item text) text {
	return func() string {
		if s := item(); s[0] >= '0' && s[0] <= '9' {
			return s
		}
		return fmt.Sprintf("%s %d: %s", word, b, item())
	}
}

// describeEnvelope calls add for each item of an envelope.
func describeEnvelope(data []byte, add func(text)) {
	r := newReader(data)
	if v := r.byte(); v != envelopeVersion {
		add(func() string { return fmt.Sprintf("an envelope of version %d, %d bytes", v, len(data)) })
		return
	}
	for len(r.b) > 0 {
		item := r.byte()
		s := r.describeItem(item)
		if r.bad {
			add(func() string { return fmt.Sprintf("item %d, malformed", item) })
			return
		}
		if s != nil {
			add(s)
		}
	}
}

// describeItem reads an item and returns what it says; nil if that is in every envelope. The text may be worked out later.
func (r *reader) describeItem(item byte) text {
	says := func(format string, args ...any) text {
		return func() string { return fmt.Sprintf(format, args...) }
	}
	switch item {
	case itemRaft:
		g, m := r.message()
		return func() string { return describeRaft(g, m) }
	case itemStart:
		r.start()
		return nil
	case itemTaken:
		r.byte()
		r.start()
		r.byte()
		return says("process of start %d is a second one", r.start().epoch)
	case itemOutdated:
		r.byte()
		r.start()
		r.byte()
		return says("process of start %d is outdated", r.start().epoch)
	case itemCommand:
		return says("command %s", describeCommand(r.bytes()))
	case itemFull:
		return says("disk full: %v", r.byte() != 0)
	case itemLeads:
		leads := r.leads()
		return says("leads %s", listed(len(leads), 8, ", ", func(i int) string { return fmt.Sprintf("g%d t%d", leads[i].group, leads[i].term) }))
	case itemInSync:
		reports := r.inSync()
		return says("in sync %s", listed(len(reports), 8, ", ", func(i int) string {
			return fmt.Sprintf("g%d t%d at %d: %s", reports[i].group, reports[i].term, reports[i].position, describeBrokers(reports[i].brokers))
		}))
	case itemClock:
		return says("wall clock %d", r.varint())
	case itemRemoved:
		return says("removed, incarnation %d", r.uvarint())
	case itemWaits:
		return says("waits itself, for %d", r.byte())
	case itemFounders:
		founded, ids := r.founders()
		return says("founders %s, founded: %v", describeBrokers(ids), founded)
	case itemElect:
		g := r.uvarint()
		r.uint64()
		return says("preferred replica of g%d should lead", g)
	case itemTime:
		r.uint64()
		return says("its time")
	case itemLives:
		r.uint64()
		return says("does it live?")
	case itemLived:
		r.uint64()
		return says("it lives")
	case itemMembers:
		return says("members, %d bytes", len(r.bytes()))
	}
	return r.describeSnapshotItem(item)
}

func (r *reader) describeSnapshotItem(item byte) text {
	switch item {
	case itemLevel:
		level, oldest, newest := r.uvarint(), r.uvarint(), r.uvarint()
		return func() string { return fmt.Sprintf("knows level %d, supports %d to %d", level, oldest, newest) }
	case itemTrial:
		what := r.bytes()
		return func() string { return fmt.Sprintf("%q", what) }
	case itemSnapshot:
		g, from, to := r.uvarint(), r.uvarint(), r.uvarint()
		term, index, entryTerm := r.uvarint(), r.uvarint(), r.uvarint()
		conf, size := r.conf(), r.uvarint()
		r.uint32()
		return func() string {
			return fmt.Sprintf("%s MsgSnap g%d t%d checkpoint i%d of t%d, %s, %d bytes", fromTo(from, to), g, term, index, entryTerm, describeConf(conf), size)
		}
	case itemPieceRequest:
		g, index, offset := r.uvarint(), r.uvarint(), r.uvarint()
		return func() string { return fmt.Sprintf("wants checkpoint g%d i%d from byte %d", g, index, offset) }
	case itemPiece:
		g, index, offset, piece := r.uvarint(), r.uvarint(), r.uvarint(), r.bytes()
		return func() string {
			return fmt.Sprintf("checkpoint g%d i%d bytes %d+%d", g, index, offset, len(piece))
		}
	}
	return r.describeTxnItem(item)
}

func (r *reader) describeTxnItem(item byte) text {
	switch item {
	case itemMarker:
		from, g, producer, epoch, _, number, commit := r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint(), r.byte()
		what := "abort"
		if commit != 0 {
			what = "commit"
		}
		return func() string {
			return fmt.Sprintf("marker for g%d: %s producer %d epoch %d, decision i%d of g%d", g, what, producer, epoch, number, from)
		}
	case itemMarked:
		from, g, number, c := r.uvarint(), r.uvarint(), r.uvarint(), r.code()
		return func() string {
			return fmt.Sprintf("marker in g%d, of decision i%d of g%d: %s", g, number, from, kafka.CodeName(c))
		}
	case itemJoin:
		number, id, producer, epoch, g, add := r.uvarint(), string(r.bytes()), r.uvarint(), r.uvarint(), r.uvarint(), r.byte()
		what := "is"
		if add != 0 {
			what = "let"
		}
		return func() string {
			return fmt.Sprintf("question %d: %s g%d in the transaction of %s, producer %d epoch %d", number, what, g, id, producer, epoch)
		}
	case itemJoined:
		number, c := r.uvarint(), r.code()
		return func() string { return fmt.Sprintf("answer to question %d: %s", number, kafka.CodeName(c)) }
	}
	r.fail()
	return nil
}

func describeBrokers(ids []BrokerID) string {
	return listed(len(ids), 12, ",", func(i int) string { return fmt.Sprint(ids[i]) })
}

func describeConf(c *pb.ConfState) string {
	s := "voters " + describeReplicas(c.GetVoters())
	for _, l := range []struct {
		name string
		ids  []uint64
	}{{"learners", c.GetLearners()}, {"outgoing", c.GetVotersOutgoing()}, {"learners next", c.GetLearnersNext()}} {
		if len(l.ids) > 0 {
			s += " " + l.name + " " + describeReplicas(l.ids)
		}
	}
	return s
}

// describeReplicas lists the brokers of raft ids.
func describeReplicas(ids []uint64) string {
	return listed(len(ids), 12, ",", func(i int) string { return describeReplica(ids[i]) })
}

func describeReplica(id uint64) string {
	if id == 0 {
		return "nobody"
	}
	return fmt.Sprint(brokerOf(id))
}

func fromTo(from, to uint64) string { return describeReplica(from) + "->" + describeReplica(to) }

// describeRaft prints what counts in a message of its type, and then whatever else is set.
func describeRaft(g GroupID, m *pb.Message) string {
	s := fmt.Sprintf("%s %v g%d t%d", fromTo(m.GetFrom(), m.GetTo()), m.GetType(), g, m.GetTerm())
	switch m.GetType() {
	case pb.MsgApp:
		s += fmt.Sprintf(" i%d+%d after t%d c%d", m.GetIndex()+1, len(m.Entries), m.GetLogTerm(), m.GetCommit())
		if len(m.Entries) > 0 {
			s += ": " + listed(len(m.Entries), 4, ", ", func(i int) string { return describeEntry(m.Entries[i]) })
		}
		return s
	case pb.MsgAppResp:
		if m.GetReject() {
			return s + fmt.Sprintf(" refuses i%d, has i%d of t%d", m.GetIndex(), m.GetRejectHint(), m.GetLogTerm())
		}
		return s + fmt.Sprintf(" has i%d", m.GetIndex())
	case pb.MsgVote, pb.MsgPreVote:
		return s + fmt.Sprintf(" log ends i%d of t%d%s", m.GetIndex(), m.GetLogTerm(), describeContext(m.Context))
	case pb.MsgVoteResp, pb.MsgPreVoteResp:
		if m.GetReject() {
			return s + " no"
		}
		return s + " yes"
	case pb.MsgHeartbeat:
		return s + fmt.Sprintf(" c%d%s", m.GetCommit(), describeContext(m.Context))
	case pb.MsgHeartbeatResp:
		return s + describeContext(m.Context)
	}
	if m.GetReject() {
		s += " reject"
	}
	return s + fmt.Sprintf(" i%d c%d%s", m.GetIndex(), m.GetCommit(), describeContext(m.Context))
}

// describeContext shows what tells rounds of read index apart, and transfers of leadership from other elections.
func describeContext(b []byte) string {
	switch {
	case len(b) == 0:
		return ""
	case strings.HasPrefix(string(b), "Campaign"):
		return " " + string(b)
	}
	return fmt.Sprintf(" read %x", b[:min(len(b), 16)])
}

func describeEntry(e *pb.Entry) string {
	s := fmt.Sprintf("t%d ", e.GetTerm())
	if e.GetType() != pb.EntryNormal {
		return s + "change of replicas"
	}
	return s + describeData(e.Data)
}

// describeData says what an entry is by its bytes; which group it is in says more.
func describeData(b []byte) string {
	switch {
	case len(b) == 0:
		return "nothing"
	case b[0] == '{':
		return describeCommand(b)
	case b[0] == txn.Version:
		if c, err := txn.Parse(b); err == nil {
			return c.String()
		}
	case b[0] == 0:
		if batch, err := kafka.ParseBatch(b); err == nil && batch.Size() == len(b) {
			return describeBatch(&batch, len(b))
		}
	}
	return fmt.Sprintf("%d bytes", len(b))
}

// describeCommand names a command of the catalog and what it is about.
func describeCommand(b []byte) string {
	var c command
	if err := json.Unmarshal(b, &c); err != nil {
		return fmt.Sprintf("%d bytes that are no command", len(b))
	}
	what := "unknown"
	switch {
	case c.Register != nil:
		what = fmt.Sprintf("Register %d, incarnation %d", c.Register.ID, c.Register.Incarnation)
	case c.CreateTopic != nil:
		what = fmt.Sprintf("CreateTopic %s, %d partitions", c.CreateTopic.Name, len(c.CreateTopic.Replicas))
	case c.DeleteTopic != nil:
		what = "DeleteTopic " + c.DeleteTopic.Name
	case c.AddPartitions != nil:
		what = fmt.Sprintf("AddPartitions %s, %d more", c.AddPartitions.Topic, len(c.AddPartitions.Replicas))
	case c.AlterConfigs != nil:
		what = fmt.Sprintf("AlterConfigs %s, %d settings", c.AlterConfigs.Topic, len(c.AlterConfigs.Configs))
	case c.Configure != nil:
		what = fmt.Sprintf("Configure %v %s, %d settings", c.Configure.Kind, c.Configure.Name, len(c.Configure.Configs))
	case c.ChangeUser != nil && c.ChangeUser.Set == nil:
		what = fmt.Sprintf("ChangeUser %s, deletes a credential", c.ChangeUser.Name)
	case c.ChangeUser != nil:
		what = fmt.Sprintf("ChangeUser %s, sets a credential", c.ChangeUser.Name)
	case c.ProducerIDs != nil:
		what = fmt.Sprintf("ProducerIDs %d", c.ProducerIDs.Count)
	case c.Reassign != nil:
		what = fmt.Sprintf("Reassign %s/%d to %s", c.Reassign.Topic, c.Reassign.Partition, describeBrokers(c.Reassign.Replicas))
	case c.Reassigned != nil:
		what = fmt.Sprintf("Reassigned g%d to %s", c.Reassigned.Group, describeBrokers(brokersOf(c.Reassigned.Replicas)))
	case c.Remove != nil:
		what = "Remove"
	case c.Replace != nil:
		what = "Replace"
	}
	return fmt.Sprintf("%s (of %d, %d)", shorten(what, 100), c.Origin, c.Seq)
}
