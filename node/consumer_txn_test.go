// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

func pendingBatch(producer int64, epoch int16, records ...kafka.Record) []byte {
	return appendPending(producer, epoch, records, 0)
}

// of returns the coordinator of a group.
func (o *one) coordinatorOf(group string) *coordinator {
	return o.node.coordinators[o.node.coordinatorPartition(group).Group]
}

// pend puts an offset of a transaction for topic "t" into the log, and returns what became of it.
func (o *one) pend(group string, producer int64, epoch int16, offset int64) string {
	o.t.Helper()
	topic := o.node.catalog.byName["t"]
	r := offsetRecord(group, "t", &committedOffset{offset: offset, leaderEpoch: 3, metadata: fmt.Sprintf("at %d", offset), topicID: topic.id(), committed: o.node.unixMs})
	var result any
	answered := false
	if _, err := o.coordinatorOf(group).open(group); err != nil {
		o.t.Fatal(err)
	}
	o.coordinatorOf(group).group.propose(pendingBatch(producer, epoch, r), func(res any, err error) {
		if answered, result = true, res; err != nil {
			o.t.Fatal(err)
		}
	})
	for !answered {
		o.step(Input{})
	}
	err, _ := result.(error)
	return kafka.CodeName(code(err))
}

// settle ends a transaction at the coordinator of a group.
func (o *one) settle(group string, m txnMarker) string {
	o.t.Helper()
	said := ""
	o.node.addMarker(o.coordinatorOf(group).group.id, m, func(err error) { said = kafka.CodeName(code(err)) })
	for said == "" {
		o.step(Input{})
	}
	return said
}

// stableAt asks for the offset of topic "t" that no transaction is about to change.
func (o *one) stableAt(group string) string {
	o.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version, req.RequireStable = 9, true
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group, g.Topics = group, []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", Partitions: []int32{0}}}
	req.Groups = append(req.Groups, g)
	p := o.do(req).(*kmsg.OffsetFetchResponse).Groups[0].Topics[0].Partitions[0]
	return fmt.Sprintf("%d %s", p.Offset, kafka.CodeName(p.ErrorCode))
}

// Offsets of a transaction are nobody's until it is committed, and then all are there.
func TestPendingOffsets(t *testing.T) {
	o := newGroups(t, nil)
	o.expect("NONE", o.pend("g", 7, 0, 5), o.pend("h", 7, 0, 50))
	look := func(want int64, stable string) {
		t.Helper()
		if got := o.committedAt("g", "t"); got != want {
			t.Errorf("offset %d, want %d", got, want)
		}
		o.expect(stable, o.stableAt("g"))
	}
	look(-1, "-1 UNSTABLE_OFFSET_COMMIT")
	o.restart()
	o.pass(time.Second)
	look(-1, "-1 UNSTABLE_OFFSET_COMMIT")
	m := txnMarker{producerID: 7, commit: true, number: 10}
	o.expect("NONE", o.settle("g", m))
	look(5, "5 NONE")
	o.expect("NONE", o.pend("g", 7, 0, 6), o.settle("g", m)) // a late copy of the marker
	look(5, "-1 UNSTABLE_OFFSET_COMMIT")
	o.expect("NONE", o.settle("g", txnMarker{producerID: 7, epoch: 1, number: 11}))
	look(5, "5 NONE")
	o.expect("INVALID_PRODUCER_EPOCH", o.pend("g", 7, 0, 7), o.settle("g", txnMarker{producerID: 7, number: 12}))
	o.expect("NONE", o.pend("g", 7, 1, 8))
	o.expect("INVALID_TXN_STATE", o.pend("g", 7, 2, 9))
	o.restart()
	o.pass(time.Second)
	o.expect("NONE", o.settle("g", txnMarker{producerID: 7, epoch: 1, commit: true, number: 13}))
	look(8, "8 NONE")
	if got := o.groupsOf(0); len(got) == 0 {
		t.Error("clients see nothing of it in __consumer_offsets")
	}
}

// What a checkpoint holds of transactions is there after a start from it.
func TestPendingOffsetsInCheckpoints(t *testing.T) {
	o := newGroups(t, func(c *Config) { c.CheckpointEntries = 5 })
	o.expect("NONE", o.pend("g", 7, 3, 5))
	for i := range uint64(20) {
		o.expect("NONE", o.pend("g", 8, 0, int64(i)), o.settle("g", txnMarker{producerID: 8, commit: true, number: 1 + i}))
	}
	o.restart()
	o.pass(time.Second)
	o.expect("NONE", o.settle("g", txnMarker{producerID: 8, number: 20}))
	o.expect("INVALID_PRODUCER_EPOCH", o.pend("g", 7, 2, 6))
	o.expect("-1 UNSTABLE_OFFSET_COMMIT", o.stableAt("g"))
	o.expect("NONE", o.settle("g", txnMarker{producerID: 7, epoch: 3, commit: true, number: 5}))
	o.expect("5 NONE", o.stableAt("g"))
	if o.events[EventCheckpoint] < 5 {
		t.Errorf("%d checkpoints", o.events[EventCheckpoint])
	}
}

// A group that waits for offsets doesn't expire; one that is deleted loses them.
func TestGroupsOfPendingOffsets(t *testing.T) {
	o := newGroups(t, func(c *Config) {
		c.OffsetsRetention, c.OffsetsCheckInterval = 10*time.Second, time.Second
	})
	o.expect("NONE", o.pend("g", 7, 0, 5))
	o.pass(30 * time.Second)
	o.expect("-1 UNSTABLE_OFFSET_COMMIT", o.stableAt("g"))
	c := o.coordinatorOf("g")
	if c.offsetBytes == 0 {
		t.Error("what waits takes no memory")
	}
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Groups = []string{"g"}
	o.do(req)
	o.expect("-1 NONE", o.stableAt("g"))
	o.expect("NONE", o.settle("g", txnMarker{producerID: 7, commit: true, number: 5}))
	o.expect("-1 NONE", o.stableAt("g"))
	if len(c.groups) != 0 || c.offsetBytes != 0 {
		t.Errorf("%d groups, %d bytes", len(c.groups), c.offsetBytes)
	}
	o.expect("NONE", o.pend("g", 7, 0, 6), o.settle("g", txnMarker{producerID: 7, number: 6})) // aborted: nothing is left
	if len(c.groups) != 0 || c.offsetBytes != 0 {
		t.Errorf("%d groups, %d bytes", len(c.groups), c.offsetBytes)
	}
}

// What a coordinator remembers of producers is bounded, and of the idle ones the oldest go first.
func TestIdleProducersAreForgotten(t *testing.T) {
	c := coordinator{node: &Node{}, group: &group{}}
	for i := range int64(maxIdleProducers + 10) {
		m := txnMarker{producerID: i, number: 1}
		c.apply(0, 0, m.entry(1))
	}
	if err := c.check(); err != nil {
		t.Fatal(err)
	}
	if len(c.txns.byID) != maxIdleProducers || c.txns.byID[9] != nil || c.txns.byID[10] == nil {
		t.Errorf("%d are known", len(c.txns.byID))
	}
}

func txnCommitRequest(producer int64, epoch int16, offset int64) *kmsg.TxnOffsetCommitRequest {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.Version, req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = 3, "x", "g", producer, epoch
	note := fmt.Sprintf("at %d", offset)
	for _, name := range []string{"t", "nowhere"} {
		t, p := kmsg.NewTxnOffsetCommitRequestTopic(), kmsg.NewTxnOffsetCommitRequestTopicPartition()
		p.Offset, p.Metadata = offset, &note
		t.Topic, t.Partitions = name, append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
	}
	return req
}

func (o *one) txnCommit(req *kmsg.TxnOffsetCommitRequest) (said string) {
	o.t.Helper()
	for _, t := range o.do(req).(*kmsg.TxnOffsetCommitResponse).Topics {
		for _, p := range t.Partitions {
			said += fmt.Sprintf("%s/%d %s; ", t.Topic, p.Partition, kafka.CodeName(p.ErrorCode))
		}
	}
	return said
}

// Offsets of a transaction of which the group is part are taken from members, and from those that say nothing of a member.
func TestTxnOffsetCommit(t *testing.T) {
	o := newGroups(t, nil)
	o.node.apis = append(o.node.apis, api{key: kmsg.TxnOffsetCommit, min: 0, max: 5, handle: (*Node).handleTxnOffsetCommit})
	o.expect("NONE", o.pend("g", 7, 0, 1)) // so the group is part of it
	o.expect("t/0 NONE; nowhere/0 UNKNOWN_TOPIC_OR_PARTITION; ", o.txnCommit(txnCommitRequest(7, 0, 5)))
	o.expect("-1 UNSTABLE_OFFSET_COMMIT", o.stableAt("g"))
	o.expect("NONE", o.settle("g", txnMarker{producerID: 7, commit: true, number: 1}))
	o.expect("5 NONE", o.stableAt("g"))

	o.expect("NONE", o.pend("g", 7, 0, 1))
	m := o.consumer(1)
	m.getID()
	m.joined(m.join())
	m.synced(m.startSync(map[*consumer]string{m: "all"}))
	for _, c := range []struct {
		member     string
		generation int32
		want       *kerr.Error
	}{
		{m.id, m.generation, nil},
		{m.id, m.generation + 1, kerr.IllegalGeneration},
		{"nobody", m.generation, kerr.UnknownMemberID},
		{"", -1, nil},
	} {
		req := txnCommitRequest(7, 0, 6)
		req.MemberID, req.Generation = c.member, c.generation
		want := "t/0 NONE; nowhere/0 UNKNOWN_TOPIC_OR_PARTITION; "
		if c.want != nil {
			want = fmt.Sprintf("t/0 %[1]s; nowhere/0 %[1]s; ", c.want.Message)
		}
		o.expect(want, o.txnCommit(req))
	}
	for _, id := range []int64{-1, 7} {
		req := txnCommitRequest(id, 0, 6)
		req.TransactionalID = ""
		o.expect("t/0 INVALID_REQUEST; nowhere/0 INVALID_REQUEST; ", o.txnCommit(req))
	}
	o.expect("NONE", o.settle("g", txnMarker{producerID: 7, commit: true, number: 2}))
	o.expect("6 NONE", o.stableAt("g"))
}

// DescribeProducers answers for the brokers' own topic, too: tools that look for transactions that hang ask for all.
func TestDescribeProducersOfOffsets(t *testing.T) {
	o := newGroups(t, nil)
	o.expect("NONE", o.pend("g", 8, 2, 5), o.settle("g", txnMarker{producerID: 8, epoch: 2, coordinatorEpoch: 4, number: 1}), o.pend("g", 7, 3, 5))
	req, said := kmsg.NewPtrDescribeProducersRequest(), ""
	req.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: groupsTopic, Partitions: []int32{0, 1, 2}}}
	for _, p := range o.do(req).(*kmsg.DescribeProducersResponse).Topics[0].Partitions {
		said += fmt.Sprintf("%s: ", kafka.CodeName(p.ErrorCode))
		for _, a := range p.ActiveProducers {
			said += fmt.Sprintf("%d epoch %d began %d coordinator %d; ", a.ProducerID, a.ProducerEpoch, a.CurrentTxnStartOffset, a.CoordinatorEpoch)
		}
	}
	of := "8 epoch 2 began -1 coordinator 4; 7 epoch 3 began 0 coordinator -1; "
	if said != "NONE: "+of+"NONE: UNKNOWN_TOPIC_OR_PARTITION: " && said != "NONE: NONE: "+of+"UNKNOWN_TOPIC_OR_PARTITION: " {
		t.Error(said)
	}
}

// A transaction may have only so many offsets, as all are applied in one step.
func TestPendingOffsetsAreBounded(t *testing.T) {
	c := coordinator{node: &Node{}, group: &group{}}
	var records []kafka.Record
	for i := range int32(maxPendingOffsets) {
		records = append(records, offsetRecord("g", "t", &committedOffset{partition: i}))
	}
	if err := c.apply(0, 0, pendingBatch(1, 0, records...)); err != nil {
		t.Fatal(err)
	}
	if err, _ := c.apply(0, 0, pendingBatch(1, 0, records[0])).(error); code(err) != kerr.InvalidCommitOffsetSize.Code {
		t.Errorf("one more: %v", err)
	}
	m := txnMarker{producerID: 1, commit: true, number: 1}
	c.apply(0, 0, m.entry(1))
	if g := c.find("g"); g == nil || g.stored.offsets() != maxPendingOffsets || c.check() != nil {
		t.Error("not all are there", c.check())
	}
}
