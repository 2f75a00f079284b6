// SPDX-License-Identifier: Apache-2.0

package node

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

func TestStatsOfABrokerAlone(t *testing.T) {
	o := newOne(t, func(c *Config) { c.HotEntries, c.CacheBytes, c.ColdReadBytes = 10, 5000, 700 })
	o.create("t")
	for range 300 { // more than a segment, so that a checkpoint is due
		o.produce("t", plain(strings.Repeat("x", 100)))
	}
	o.read("t", 0)
	s := o.node.Stats()
	if s.Catalog.Groups != 1 || s.Partitions.Groups != 1 || s.Partitions.Leading != 1 || s.Partitions.Leaderless != 0 {
		t.Errorf("groups: %+v, %+v", s.Catalog, s.Partitions)
	}
	if !s.Ready || s.Stopping || s.CatalogLeader != 1 || s.Partitions.MaxTerm == 0 || s.Partitions.CommitLag.Max+s.Partitions.ApplyLag.Max > 0 {
		t.Errorf("state: %+v", s)
	}
	if s.HotEntries < 10 || s.HotEntries > 30 || s.HotBytes < 10*100 || s.CacheBytes < 700 || s.CacheBytes > 5000 {
		t.Errorf("memory: %d hot entries with %d bytes, %d bytes cached", s.HotEntries, s.HotBytes, s.CacheBytes)
	}
	if s.HotHits < 10 || s.CacheHits < 50 || s.ColdReads != 0 {
		t.Errorf("look-ups: %d hot, %d in the cache, %d reads under way", s.HotHits, s.CacheHits, s.ColdReads)
	}
	if s.CheckpointBytes == 0 || s.SnapshotsIn+s.SnapshotsOut > 0 || s.SnapshotSentBytes+s.SnapshotGotBytes > 0 {
		t.Errorf("checkpoints: %d bytes made, %+v", s.CheckpointBytes, s)
	}
	if s.LogEnd < 300*100 || s.LogDurable > s.LogEnd || s.Log.Segments < 1 {
		t.Errorf("log: %d of %d bytes durable, %+v", s.LogDurable, s.LogEnd, s.Log)
	}
}

// Lag and followers of a leader whose followers never answer.
func TestStatsOfALeaderWithoutItsFollowers(t *testing.T) {
	var s GroupStats
	o := newOne(t, nil)
	g := o.node.groups[0]
	g.commit, g.applied = g.applied+7, g.applied+4
	last, _ := g.view.LastIndex()
	s.add(g)
	s.add(g)
	want := GroupStats{Groups: 2, Leading: 2, MaxTerm: g.term, ApplyLag: Lag{Max: 3, Sum: 6}}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	followers := []FollowerStats{{Broker: 0}, {Broker: 1}}
	addFollowers(followers, g)
	addFollowers(followers, g)
	if followers[0] != (FollowerStats{Broker: 0}) || followers[1].Groups != 2 || followers[1].Lag.Max > last {
		t.Errorf("followers: %+v", followers)
	}
}

func TestErrorCodesOfAnswersAreCounted(t *testing.T) {
	o := newOne(t, func(c *Config) { c.AutoCreateTopics = false })
	o.create("t")
	o.produce("no", plain("x"))
	o.produce("no", plain("x"))
	o.fetch(fetchRequest("t", 99))
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.Version, del.TopicNames, del.TimeoutMillis = 1, []string{"no", "never"}, 1000
	o.ask(del)
	meta := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr("no")
	meta.Version, meta.Topics = 4, append(meta.Topics, topic)
	o.ask(meta)
	want := []ErrorCount{
		{"Produce", "UNKNOWN_TOPIC_OR_PARTITION", 2},
		{"Fetch", "OFFSET_OUT_OF_RANGE", 1},
		{"Metadata", "UNKNOWN_TOPIC_OR_PARTITION", 1},
		{"DeleteTopics", "UNKNOWN_TOPIC_OR_PARTITION", 2},
	}
	if diff := cmp.Diff(want, o.node.Stats().Errors); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestErrorCodesAreFoundAtEveryDepth(t *testing.T) {
	resp := kmsg.NewPtrOffsetForLeaderEpochResponse()
	for _, codes := range [][]int16{{3}, {}, {6, 0, 6}} {
		topic := kmsg.NewOffsetForLeaderEpochResponseTopic()
		for _, code := range codes {
			p := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			p.ErrorCode = code
			topic.Partitions = append(topic.Partitions, p)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	var c counters
	c.answered(23, resp)
	c.answered(36, &kmsg.SASLAuthenticateResponse{ErrorCode: 58})
	want := []ErrorCount{
		{"OffsetForLeaderEpoch", "UNKNOWN_TOPIC_OR_PARTITION", 1},
		{"OffsetForLeaderEpoch", "NOT_LEADER_FOR_PARTITION", 2},
		{"SASLAuthenticate", "SASL_AUTHENTICATION_FAILED", 1},
	}
	if diff := cmp.Diff(want, c.errorCounts()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAPIOf(t *testing.T) {
	names := APIs()
	for i, a := range apiTable() {
		frame := kafka.AppendRequest(nil, 1, "test", kmsg.RequestForKey(a.key.Int16()))
		if got := APIOf(frame); got != i || names[i] != a.key.Name() {
			t.Errorf("APIOf of %s is %d, whose name is %q", a.key.Name(), got, names[i])
		}
	}
	for _, frame := range [][]byte{nil, {0}, {0, 99, 0, 0}, {0xff, 0xff, 0, 0}, {0, 4, 0, 0}} {
		if got := APIOf(frame); got != -1 {
			t.Errorf("APIOf of %x is %d", frame, got)
		}
	}
}
