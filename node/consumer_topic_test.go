// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// groupsOf reads the partition of groupsTopic that group "g" belongs to, from an offset to its end.
func (o *one) groupsOf(from int64) (records []string) {
	o.t.Helper()
	for end := int64(-1); from != end; {
		p := o.fetch(o.groupsFetch(from))
		if p.ErrorCode != 0 {
			o.t.Fatalf("fetch at %d: %s", from, kafka.CodeName(p.ErrorCode))
		}
		end = p.HighWatermark
		next := from
		err := kafka.SplitBatches(p.RecordBatches, func(one []byte) {
			b, err := kafka.ParseBatch(one)
			if err != nil || b.CRC != crc32.Checksum(one[21:], crc32.MakeTable(crc32.Castagnoli)) {
				o.t.Fatalf("%+v: %v", b, err)
			}
			err = kafka.Unpack(one, 1<<20, func(delta, _ int64, key, value []byte) error {
				if delta > int64(b.LastOffsetDelta) {
					o.t.Fatalf("a record at %d in %+v", delta, b)
				}
				next = b.BaseOffset + delta + 1
				records = append(records, fmt.Sprintf("%d %s", next-1, shownRecord(o.t, key, value)))
				return nil
			})
			if err != nil {
				o.t.Fatal(err)
			}
		})
		if err != nil || next <= from && from < end {
			o.t.Fatalf("nothing at %d of %d: %v", from, end, err)
		}
		from = next
	}
	return records
}

func (o *one) groupsFetch(from int64) *kmsg.FetchRequest {
	req := fetchRequest(groupsTopic, from)
	req.Topics[0].Partitions[0].Partition = o.node.coordinatorPartition("g").Index
	req.MaxWaitMillis = 0
	return req
}

// shownRecord parses a record as other programs do.
func shownRecord(t *testing.T, key, value []byte) string {
	t.Helper()
	var k kmsg.OffsetCommitKey
	var gk kmsg.GroupMetadataKey
	var err error
	switch kind := binary.BigEndian.Uint16(key); {
	case kind == 1:
		if err = k.ReadFrom(key); err == nil && value == nil {
			return fmt.Sprintf("%s/%s/%d gone", k.Group, k.Topic, k.Partition)
		}
		v := kmsg.NewOffsetCommitValue()
		if err == nil {
			err = v.ReadFrom(value)
		}
		if err == nil && v.Version == 3 {
			return fmt.Sprintf("%s/%s/%d at %d", k.Group, k.Topic, k.Partition, v.Offset)
		}
	case kind == 2:
		if err = gk.ReadFrom(key); err == nil && value == nil {
			return gk.Group + " gone"
		}
		v := kmsg.NewGroupMetadataValue()
		if err == nil {
			err = v.ReadFrom(value)
		}
		if err == nil && v.Version == 3 {
			return fmt.Sprintf("%s generation %d members %d", gk.Group, v.Generation, len(v.Members))
		}
	case value == nil:
		return fmt.Sprintf("%d gone", kind)
	default:
		return fmt.Sprintf("%d %x", kind, value)
	}
	t.Fatalf("%x: %x: %v", key, value, err)
	return ""
}

func TestGroupsTopicIsRead(t *testing.T) {
	o := newGroups(t, nil)
	if got := o.groupsOf(0); got != nil {
		t.Fatalf("before anything was committed: %q", got)
	}
	a := o.consumer(11)
	o.stable(a)
	o.expect("NONE", a.commit("t", 5), a.commit("t", 7))
	want := []string{"0 g generation 1 members 1", "2 g/t/0 at 7"} // the one at 1 was compacted away
	check := func(what string, from int64, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, o.groupsOf(from)); diff != "" {
			t.Errorf("%s:\n%s", what, diff)
		}
	}
	check("committed", 0, want...)
	check("from between", 1, want[1])
	o.restart()
	o.pass(time.Second)
	check("after a restart", 0, want...)

	o.expect("NONE", a.leave())
	del := kmsg.NewPtrOffsetDeleteRequest()
	del.Group, del.Topics = "g", []kmsg.OffsetDeleteRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}}}}
	if r := o.do(del).(*kmsg.OffsetDeleteResponse); r.ErrorCode != 0 || r.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("%+v", r)
	}
	check("an offset was deleted", 0, "3 g generation 2 members 0", "4 g/t/0 gone")
	o.expect("NONE", o.consumer(12).commit("t", 9))
	gone := kmsg.NewPtrDeleteGroupsRequest()
	gone.Version, gone.Groups = 2, []string{"g"}
	if r := o.do(gone).(*kmsg.DeleteGroupsResponse).Groups[0]; r.ErrorCode != 0 {
		t.Fatalf("%+v", r)
	}
	want = []string{"4 g/t/0 gone", "6 g/t/0 gone", "7 g gone"}
	check("the group was deleted", 0, want...)
	for _, at := range []int64{-1, 9} {
		if p := o.fetch(o.groupsFetch(at)); p.ErrorCode != kerr.OffsetOutOfRange.Code {
			t.Errorf("fetch at %d: %+v", at, p)
		}
	}
	o.restart()
	o.pass(time.Second)
	check("after another restart", 0, want...)
}

// TestGroupsTopicOfTheNewProtocol compares with the bytes that Kafka's schemas give (KIP-848).
func TestGroupsTopicOfTheNewProtocol(t *testing.T) {
	o := newModernGroups(t)
	a := o.modern(11)
	o.expect("NONE", a.beat())
	id := o.idOf("p")
	parts := "02" + hex.EncodeToString(id[:]) + "07" + "000000000000000100000002000000030000000400000005" + "00"
	kinds := func(all []string) (kinds string) {
		for _, r := range all {
			kinds += strings.Fields(r)[1] + " "
		}
		return kinds
	}
	got := o.groupsOf(0)
	if kinds(got) != "5 7 8 3 6 " {
		t.Fatalf("%q", got)
	}
	host := hex.EncodeToString([]byte("/10.0.0.11"))
	for i, want := range []string{
		"5 0000" + "00" + "00" + "0263" + "0b" + host + "02" + "0270" + "01" + "00000fa0" + "00" + "00",
		"7 0000" + parts + "00",
		"8 0000" + "00000001" + "00000000" + "00" + parts + "01" + "00",
		"3 0000" + "00000001" + "00",
		"6 0000" + "00000001" + "00",
	} {
		if _, r, _ := strings.Cut(got[i], " "); r != want {
			t.Errorf("got  %s\nwant %s", r, want)
		}
	}
	if two := o.groupsOf(2); !slices.Equal(two, got[2:]) {
		t.Errorf("from between the records of a member: %q", two)
	}
	a.epoch = leaveEpoch
	o.do(a.request())
	if left := o.groupsOf(0); kinds(left) != "8 7 5 3 6 " || !strings.HasSuffix(left[0], "gone") {
		t.Errorf("it left: %q", left)
	}
	before := o.groupsOf(0)
	o.restart()
	o.pass(time.Second)
	if diff := cmp.Diff(before, o.groupsOf(0)); diff != "" {
		t.Errorf("after a restart:\n%s", diff)
	}
	o.stable(o.consumer(12))
	if all := o.groupsOf(0); kinds(all) != "8 7 5 6 3 g " {
		t.Errorf("a classic member came: %q", all)
	}
}

func TestGroupsTopicOffsets(t *testing.T) {
	o := newGroups(t, nil)
	list := func(timestamp int64) int64 {
		req := kmsg.NewPtrListOffsetsRequest()
		req.Version = 7
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp, p.CurrentLeaderEpoch = o.node.coordinatorPartition("g").Index, timestamp, -1
		req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: groupsTopic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}}}
		r := o.do(req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
		if r.ErrorCode != 0 {
			t.Fatal(kafka.CodeName(r.ErrorCode))
		}
		return r.Offset
	}
	for timestamp, want := range map[int64]int64{timestampEarliest: 0, timestampLatest: 0, timestampMax: -1, 0: -1} {
		if got := list(timestamp); got != want {
			t.Errorf("empty: %d at %d, want %d", got, timestamp, want)
		}
	}
	for i := range 4 {
		o.expect("NONE", o.consumer(12).commit("t", int64(i)))
		o.pass(time.Second)
	}
	for timestamp, want := range map[int64]int64{timestampEarliest: 3, timestampLatest: 4, timestampMax: 3, 0: 3, timestampTiered: -1, 1 << 60: -1} {
		if got := list(timestamp); got != want {
			t.Errorf("%d at %d, want %d", got, timestamp, want)
		}
	}
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.Version = 4
	p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	p.Partition, p.LeaderEpoch, p.CurrentLeaderEpoch = o.node.coordinatorPartition("g").Index, 1, -1
	req.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: groupsTopic, Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{p}}}
	if r := o.do(req).(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0]; r.ErrorCode != 0 || r.EndOffset != 4 || r.LeaderEpoch != 1 {
		t.Errorf("%+v", r)
	}
	if got := strings.Join(o.described(kmsg.ConfigResourceTypeTopic, groupsTopic), " "); got != "cleanup.policy=compact" {
		t.Errorf("described as %q", got)
	}
}

// A fetch waits for the next commit, and one answer is bounded.
func TestGroupsTopicFetchWaits(t *testing.T) {
	o := newGroups(t, nil)
	req := o.groupsFetch(0)
	req.MaxWaitMillis = 5000
	fetch := o.begin(99, req)
	if fetch.peek() != nil {
		t.Fatal("it doesn't wait")
	}
	o.expect("NONE", o.consumer(12).commit("t", 3))
	if p := fetch.wait(time.Second).(*kmsg.FetchResponse).Topics[0].Partitions[0]; len(p.RecordBatches) == 0 || p.HighWatermark != 1 {
		t.Errorf("%+v", p)
	}
	o.createPartitions("many", 60)
	commit := o.consumer(12).commitRequest("many", 1)
	metadata := strings.Repeat("m", 4000)
	commit.Topics[0].Partitions = nil
	for i := range 60 {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.Metadata = int32(i), 1, &metadata
		commit.Topics[0].Partitions = append(commit.Topics[0].Partitions, p)
	}
	o.do(commit)
	p := o.fetch(o.groupsFetch(0))
	if n := len(p.RecordBatches); n < maxGroupsFetch || n > maxGroupsFetch+5000 {
		t.Errorf("an answer of %d bytes", n)
	}
	if all := o.groupsOf(0); len(all) != 61 {
		t.Errorf("%d records in all", len(all))
	}
}

// TestOldCheckpointOfGroups: the state that an earlier release wrote still counts, and can be read.
func TestOldCheckpointOfGroups(t *testing.T) {
	o := newGroups(t, nil)
	c := &coordinator{node: o.node, group: o.node.coordinators[o.node.coordinatorPartition("g").Group].group}
	batch := func(records ...kafka.Record) []byte {
		return kafka.AppendBatch(nil, kafka.NewBatchSpec(records...))
	}
	member := &modernMember{ID: "m", Topics: []string{"t"}}
	old := slices.Concat(
		batch(
			groupMetadataRecord("a", &kmsg.GroupMetadataValue{Version: groupValueForm, Generation: 3, CurrentStateTimestamp: 500}),
			offsetRecord("a", "t", &committedOffset{offset: 9, committed: 1000}),
		),
		batch((&modernState{Epoch: 4}).record("g"), member.record("g")))
	if err := c.restore([][]byte{old}); err != nil || !c.old {
		t.Fatal(err, c.old)
	}
	if got := c.find("a").stored.find("t", 0); got.offset != 9 || c.find("g").stored.modern.member("m") == nil {
		t.Errorf("%+v", got)
	}
	if c.log.start() != 1000 || c.log.end != 1007 || c.log.since(1000).kind != placeOffset {
		t.Errorf("offsets %d to %d", c.log.start(), c.log.end)
	}
	if b := c.read(0, 1<<20); b.Offset != 1000 || kafkaCount(b.Raw) != 7 {
		t.Errorf("%+v", b)
	}
	// What comes from a leader that is ahead counts for all.
	c.applyBatch(beginAt(5000))
	c.applyBatch(beginAt(2000))
	if c.log.end != 5000 {
		t.Errorf("it ends at %d", c.log.end)
	}
	again := &coordinator{node: o.node}
	state := c.state(0)
	if err := again.restore([][]byte{state}); err != nil || again.old {
		t.Fatal(err, again.old)
	}
	if got := again.state(0); !slices.Equal(got, state) {
		t.Error("a checkpoint comes back as another one")
	}
	for cut := 1; cut < len(state); cut++ {
		if again.restore([][]byte{state[:cut]}) == nil {
			t.Fatalf("%d of %d bytes are taken", cut, len(state))
		}
	}
	if err := again.restore([][]byte{{groupsStateVersion + 1}}); err == nil {
		t.Error("a later version is taken")
	}
}

func kafkaCount(raw []byte) int32 {
	b, _ := kafka.ParseBatch(raw)
	return b.Count
}
