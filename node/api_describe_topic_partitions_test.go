// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// describePartitions returns what an answer holds, and the next cursor.
func (o *one) describePartitions(limit int32, cursor string, topics ...string) (page, next string) {
	o.t.Helper()
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = limit
	for _, name := range topics {
		req.Topics = append(req.Topics, kmsg.DescribeTopicPartitionsRequestTopic{Topic: name})
	}
	if cursor != "" {
		req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{}
		if _, err := fmt.Sscanf(cursor, "%s %d", &req.Cursor.Topic, &req.Cursor.Partition); err != nil {
			o.t.Fatal(err)
		}
	}
	resp := o.do(req).(*kmsg.DescribeTopicPartitionsResponse)
	var words []string
	for _, t := range resp.Topics {
		if t.ErrorCode != 0 {
			words = append(words, *t.Topic+" "+kafka.CodeName(t.ErrorCode))
		}
		for _, p := range t.Partitions {
			if p.LeaderID != 1 || len(p.ISR) != 1 || p.ErrorCode != 0 || t.TopicID == noTopicID {
				o.t.Errorf("%+v", p)
			}
			words = append(words, fmt.Sprint(*t.Topic, p.Partition))
		}
	}
	if c := resp.NextCursor; c != nil {
		next = fmt.Sprint(c.Topic, " ", c.Partition)
	}
	return strings.Join(words, " "), next
}

func TestDescribeTopicPartitions(t *testing.T) {
	o := newOne(t, nil)
	o.createPartitions("b", 3)
	o.createPartitions("a", 2)
	for range 20 {
		o.step(Input{})
	}
	for _, c := range []struct {
		limit         int32
		cursor        string
		topics        []string
		page, cursor2 string
	}{
		{2000, "", nil, "a0 a1 b0 b1 b2", ""},
		{3, "", nil, "a0 a1 b0", "b 1"},
		{3, "b 1", nil, "b1 b2", ""},
		{2, "", nil, "a0 a1", "b 0"},
		{1, "a 1", []string{"b", "a"}, "a1", "b 0"},
		{9, "aa 7", nil, "b0 b1 b2", ""}, // the topic was deleted
		{9, "b 7", nil, "", ""},
		{9, "", []string{"c", "a", "..", "a"}, ".. INVALID_TOPIC_EXCEPTION a0 a1 c UNKNOWN_TOPIC_OR_PARTITION", ""},
	} {
		page, next := o.describePartitions(c.limit, c.cursor, c.topics...)
		if page != c.page || next != c.cursor2 {
			t.Errorf("limit %d, cursor %q, topics %v: %q, then %q; want %q, then %q", c.limit, c.cursor, c.topics, page, next, c.page, c.cursor2)
		}
	}
}

func TestListConfigResources(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	for _, c := range []struct {
		version int16
		types   []int8
		want    []string
	}{
		{1, nil, []string{"2 t", "4 1"}}, {1, []int8{4}, []string{"4 1"}}, {1, []int8{16}, nil}, {0, nil, nil},
	} {
		req := kmsg.NewPtrListConfigResourcesRequest()
		req.Version, req.ResourceTypes = c.version, c.types
		var got []string
		for _, r := range o.do(req).(*kmsg.ListConfigResourcesResponse).ConfigResources {
			got = append(got, fmt.Sprint(r.Type, " ", r.Name))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("v%d, types %v: %s", c.version, c.types, diff)
		}
	}
}

func TestAlterReplicaLogDirs(t *testing.T) {
	o := newOne(t, func(c *Config) { c.LogDir = "/data" })
	o.create("t")
	for _, c := range []struct {
		dir   string
		index int32
		want  string
	}{{"/data", 0, "NONE"}, {"/other", 0, "LOG_DIR_NOT_FOUND"}, {"/data", 1, "UNKNOWN_TOPIC_OR_PARTITION"}} {
		req := kmsg.NewPtrAlterReplicaLogDirsRequest()
		req.Version = 2
		topic := kmsg.AlterReplicaLogDirsRequestDirTopic{Topic: "t", Partitions: []int32{c.index}}
		req.Dirs = append(req.Dirs, kmsg.AlterReplicaLogDirsRequestDir{Dir: c.dir, Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{topic}})
		got := o.do(req).(*kmsg.AlterReplicaLogDirsResponse).Topics[0].Partitions[0]
		if name := kafka.CodeName(got.ErrorCode); name != c.want || got.Partition != c.index {
			t.Errorf("%s of partition %d: %s, want %s", c.dir, c.index, name, c.want)
		}
	}
}
