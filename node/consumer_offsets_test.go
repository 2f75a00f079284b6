// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// offsetText is the default of Config.OffsetMetadataBytes.
const offsetText = 4 << 10

func TestCommitWithoutGroup(t *testing.T) {
	o := newGroups(t, nil)
	admin := o.consumer(11)
	o.expect("UNKNOWN_TOPIC_OR_PARTITION", admin.commit("nosuch", 1))
	if o.groups() != 0 {
		t.Error("a refused commit leaves a group behind")
	}
	o.expect("NONE", admin.commit("t", 10))
	if g := o.describe("g"); g.State != "Empty" || g.ProtocolType != "" {
		t.Errorf("%+v", g)
	}
	a := o.consumer(12)
	o.stable(a)
	o.expect("UNKNOWN_MEMBER_ID", admin.commit("t", 11))
	o.expect("NONE", a.leave(), admin.commit("t", 12))
	o.restart()
	o.pass(time.Second)
	if got := o.committedAt("g", "t"); got != 12 {
		t.Errorf("committed offset %d", got)
	}
}

func TestCommitIsBounded(t *testing.T) {
	o := newGroups(t, func(c *Config) { c.MaxMessageBytes = 10000 })
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation = 8, "g", -1
	ct := kmsg.NewOffsetCommitRequestTopic()
	ct.Topic = "t"
	add := func(n int) {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		text := string(make([]byte, n))
		p.Metadata = &text
		ct.Partitions = append(ct.Partitions, p)
		req.Topics = []kmsg.OffsetCommitRequestTopic{ct}
	}
	ask := func() (names []string) {
		for _, p := range o.do(req).(*kmsg.OffsetCommitResponse).Topics[0].Partitions {
			names = append(names, kafka.CodeName(p.ErrorCode))
		}
		return names
	}
	add(offsetText)
	add(offsetText + 1)
	if diff := cmp.Diff([]string{"NONE", "OFFSET_METADATA_TOO_LARGE"}, ask()); diff != "" {
		t.Error(diff)
	}
	add(offsetText)
	add(offsetText)
	for _, name := range ask() {
		o.expect("INVALID_COMMIT_OFFSET_SIZE", name)
	}
}

// TestOffsetFetchForms asks in the forms of old and new versions.
func TestOffsetFetchForms(t *testing.T) {
	o := newGroups(t, nil)
	o.create("u")
	admin := o.consumer(11)
	o.expect("NONE", admin.commit("u", 2), admin.commit("t", 1))
	topics := []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0, 1}}, {Topic: "nosuch", Partitions: []int32{0}}}
	for version := int16(1); version < 8; version++ {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version, req.Group, req.Topics = version, "g", topics
		got := o.do(req).(*kmsg.OffsetFetchResponse)
		var lines []string
		for _, rt := range got.Topics {
			for _, p := range rt.Partitions {
				lines = append(lines, fmt.Sprintf("%s/%d %d %q %d", rt.Topic, p.Partition, p.Offset, *p.Metadata, p.ErrorCode))
			}
		}
		want := []string{`t/0 1 "at 1" 0`, `t/1 -1 "" 0`, `nosuch/0 -1 "" 0`}
		if diff := cmp.Diff(want, lines); diff != "" || got.ErrorCode != 0 {
			t.Errorf("v%d: error %d, %s", version, got.ErrorCode, diff)
		}
		if version >= 5 && got.Topics[0].Partitions[0].LeaderEpoch != 3 {
			t.Errorf("v%d: %+v", version, got.Topics[0])
		}
	}
	for version, want := range map[int16]int{1: 0, 2: 2, 7: 2, 8: 2, 9: 2} { // null topics: all, from v2
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version, req.Group = version, "g"
		one := kmsg.NewOffsetFetchRequestGroup()
		one.Group = "g"
		req.Groups = append(req.Groups, one)
		got := o.do(req).(*kmsg.OffsetFetchResponse)
		n := len(got.Topics)
		if version >= 8 {
			n = len(got.Groups[0].Topics)
		}
		if n != want {
			t.Errorf("v%d with null topics: %d topics, want %d", version, n, want)
		}
	}
	// Errors have a place of their own in each form.
	for version := int16(1); version <= 9; version++ {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version, req.Topics = version, topics
		req.Groups = append(req.Groups, kmsg.NewOffsetFetchRequestGroup())
		got := o.do(req).(*kmsg.OffsetFetchResponse)
		errorCode := got.ErrorCode
		switch {
		case version < 2:
			errorCode = got.Topics[0].Partitions[1].ErrorCode
		case version >= 8:
			errorCode = got.Groups[0].ErrorCode
		}
		if errorCode != kerr.InvalidGroupID.Code {
			t.Errorf("v%d: %+v", version, got)
		}
	}
}

func TestOffsetDelete(t *testing.T) {
	o := newGroups(t, nil)
	o.create("u")
	a := o.consumer(11)
	ask := func(group string) (code string, topics []string) {
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group = group
		for _, name := range []string{"t", "u"} {
			rt := kmsg.NewOffsetDeleteRequestTopic()
			rt.Topic, rt.Partitions = name, []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}}
			req.Topics = append(req.Topics, rt)
		}
		resp := o.do(req).(*kmsg.OffsetDeleteResponse)
		for _, rt := range resp.Topics {
			topics = append(topics, kafka.CodeName(rt.Partitions[0].ErrorCode))
		}
		return kafka.CodeName(resp.ErrorCode), topics
	}
	if code, _ := ask("g"); code != "GROUP_ID_NOT_FOUND" {
		t.Error(code)
	}
	o.stable(a)
	o.expect("NONE", a.commit("t", 1), a.commit("u", 2))
	code, topics := ask("g")
	if diff := cmp.Diff([]string{"GROUP_SUBSCRIBED_TO_TOPIC", "NONE"}, topics); diff != "" || code != "NONE" {
		t.Error(code, diff)
	}
	if t1, u := o.committedAt("g", "t"), o.committedAt("g", "u"); t1 != 1 || u != -1 {
		t.Errorf("offsets %d, %d", t1, u)
	}
	b := o.consumer(12)
	b.group = "h"
	b.subscribes = nil
	req := b.joinRequest(3)
	req.ProtocolType, req.Protocols[0].Metadata = "connect", []byte("?")
	o.begin(12, req).wait(time.Second)
	if code, _ := ask("h"); code != "NON_EMPTY_GROUP" {
		t.Error(code)
	}
}

// TestOffsetsExpire is KIP-211: the time counts from when the group lost its last member, or from the
// last commit if that was later.
func TestOffsetsExpire(t *testing.T) {
	o := newGroups(t, func(c *Config) { c.OffsetsRetention, c.OffsetsCheckInterval = time.Minute, time.Second })
	o.pass(2 * time.Minute) // the clock of the wall began at 0
	a, admin, idle := o.consumer(11), o.consumer(12), o.consumer(13)
	a.session, a.rebalance = 100000, 100000
	admin.group, idle.group = "h", "i"
	o.stable(a)
	o.expect("NONE", a.commit("t", 1), admin.commit("t", 2))
	o.pass(50 * time.Second)
	o.expect("NONE", admin.commit("t", 3))
	o.pass(40 * time.Second)
	if x, y := o.committedAt("g", "t"), o.committedAt("h", "t"); x != 1 || y != 3 {
		t.Errorf("offsets %d, %d are gone too early", x, y)
	}
	o.expect("NONE", a.leave())
	o.pass(22 * time.Second)
	if x, y := o.committedAt("g", "t"), o.committedAt("h", "t"); x != 1 || y != -1 {
		t.Errorf("offsets %d, %d", x, y)
	}
	o.pass(40 * time.Second)
	if x := o.committedAt("g", "t"); x != -1 || o.groups() != 0 || o.events[EventGroupExpired] != 2 {
		t.Errorf("offset %d, %d groups, %d events", x, o.groups(), o.events[EventGroupExpired])
	}
	o.stable(idle)
	o.expect("NONE", idle.leave())
	o.pass(2 * time.Second)
	if o.groups() != 0 {
		t.Error("without offsets there is nothing to keep")
	}
}

// TestOffsetsOfDeletedTopics: a topic of the same name is another topic.
func TestOffsetsOfDeletedTopics(t *testing.T) {
	o := newGroups(t, func(c *Config) { c.OffsetsCheckInterval = 5 * time.Second })
	o.create("u")
	admin := o.consumer(11)
	o.expect("NONE", admin.commit("t", 5), admin.commit("u", 6))
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.Version, del.TopicNames = 5, []string{"t", "u"}
	o.do(del)
	o.create("t")
	all := kmsg.NewPtrOffsetFetchRequest()
	all.Version, all.Group = 5, "g"
	if got := o.do(all).(*kmsg.OffsetFetchResponse); len(got.Topics) != 0 {
		t.Errorf("%+v", got.Topics)
	}
	if x, y := o.committedAt("g", "t"), o.committedAt("g", "u"); x != -1 || y != -1 {
		t.Errorf("offsets %d, %d of topics that are gone", x, y)
	}
	o.expect("NONE", admin.commit("t", 7))
	o.pass(6 * time.Second)
	g := o.node.coordinators[o.node.coordinatorPartition("g").Group].find("g")
	if len(g.stored.topics) != 1 || o.committedAt("g", "t") != 7 {
		t.Errorf("%+v", g.stored.topics)
	}
}

// BenchmarkOffsetCommit is what a commit of ten partitions costs beside raft: making the entry, once,
// and applying it, on every replica.
func BenchmarkOffsetCommit(b *testing.B) {
	entry := func() []byte {
		var records []kafka.Record
		for p := range int32(10) {
			records = append(records, offsetRecord("group", "topic", &committedOffset{partition: p, offset: 1 << 40, leaderEpoch: 7, committed: 1 << 40, topicID: 3}))
		}
		return appendGroupBatch(nil, records, 1<<40)
	}
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			entry()
		}
	})
	b.Run("apply", func(b *testing.B) {
		var c coordinator
		data := entry()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			c.apply(0, 0, data)
		}
	})
}
