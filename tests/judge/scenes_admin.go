// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func metadataScene(s *session) {
	s.topic("m", 2)
	s.row("a topic", metadata(false, "m"))
	s.row("unknown", metadata(false, "m-none"))
	s.row("empty name", metadata(false, ""))
	s.row("invalid name", metadata(true, "m/x"))
	s.row("long name", metadata(true, strings.Repeat("x", 250)))
	s.row("name .", metadata(true, "."))
	s.row("the same twice", metadata(false, "m", "m"))
	s.row("no topics", metadata(false))
	byID := metadata(false, "m")
	byID.Topics[0].Topic, byID.Topics[0].TopicID = nil, [16]byte{9}
	s.row("unknown id", byID)
	neither := metadata(false, "m")
	neither.Topics[0].Topic = nil
	s.row("neither name nor id", neither)
	s.row("partitions of a topic", topicPartitions("m", 100))
	s.row("partitions of an unknown topic", topicPartitions("m-none", 100))
	s.row("partitions, at most one", topicPartitions("m", 1))
	s.row("partitions, at most none", topicPartitions("m", 0))
	beyond := topicPartitions("m", 100)
	cursor := kmsg.NewDescribeTopicPartitionsRequestCursor()
	cursor.Topic, cursor.Partition = "m", 1
	beyond.Cursor = &cursor
	s.row("partitions, from the second", beyond)
	negative := topicPartitions("m", 100)
	below := cursor
	below.Partition = -1
	negative.Cursor = &below
	s.row("partitions, from -1", negative)
	versions := kmsg.NewPtrApiVersionsRequest()
	versions.Version, versions.ClientSoftwareName = 3, "not valid!"
	resp, _ := s.quiet(versions).(*kmsg.ApiVersionsResponse)
	if resp != nil {
		s.answers = append(s.answers, answer{s.scene + ": versions, an invalid client name", codeName(resp.ErrorCode)})
	}
}

func topicPartitions(name string, limit int32) *kmsg.DescribeTopicPartitionsRequest {
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	t := kmsg.NewDescribeTopicPartitionsRequestTopic()
	t.Topic = name
	req.Topics, req.ResponsePartitionLimit = append(req.Topics, t), limit
	return req
}

func topicsScene(s *session) {
	s.row("create", createTopic("t", 1, 1))
	s.row("create again", createTopic("t", 1, 1))
	s.row("check only, exists", onlyCheck(createTopic("t", 1, 1)))
	s.row("check only", onlyCheck(createTopic("t-new", 3, 1)))
	s.row("defaults", onlyCheck(createTopic("t-new", -1, -1)))
	for _, name := range []string{"", ".", "..", "a/b", "a b", "ü", strings.Repeat("x", 249), strings.Repeat("x", 250), "__consumer_offsets"} {
		short := name
		if len(name) > 20 {
			short = "of " + itoa(int32(len(name))) + " bytes"
		}
		if name == "__consumer_offsets" {
			s.until(findCoordinator(0, "any"), "COORDINATOR_NOT_AVAILABLE")
		}
		s.row("name "+short, onlyCheck(createTopic(name, 1, 1)))
	}
	s.topic("t.dot_line", 1)
	s.row("names collide", createTopic("t_dot.line", 1, 1))
	s.row("0 partitions", createTopic("t-new", 0, 1))
	s.row("-2 partitions", createTopic("t-new", -2, 1))
	s.row("0 replicas", createTopic("t-new", 1, 0))
	s.row("-2 replicas", createTopic("t-new", 1, -2))
	s.row("more replicas than brokers", createTopic("t-new", 1, 5))
	s.row("placed", onlyCheck(placed(createTopic("t-new", -1, -1), []int32{1})))
	s.row("placed, and numbers", onlyCheck(placed(createTopic("t-new", 1, 1), []int32{1})))
	s.row("placed on an unknown broker", onlyCheck(placed(createTopic("t-new", -1, -1), []int32{99})))
	s.row("placed twice on a broker", onlyCheck(placed(createTopic("t-new", -1, -1), []int32{1, 1})))
	s.row("placed nowhere", onlyCheck(placed(createTopic("t-new", -1, -1), []int32{})))
	gap := placed(createTopic("t-new", -1, -1), []int32{1})
	gap.Topics[0].ReplicaAssignment[0].Partition = 1
	s.row("placed, partition 0 is missing", onlyCheck(gap))
	twice := createTopic("t-new", 1, 1)
	twice.Topics = append(twice.Topics, twice.Topics[0])
	s.row("the same name twice", onlyCheck(twice))
	s.row("no topics", func() kmsg.Request {
		req := createTopic("t", 1, 1)
		req.Topics = nil
		return req
	}())
	s.row("10001 partitions", onlyCheck(createTopic("t-new", 10001, 1)))
	many := onlyCheck(createTopic("t-new", 5001, 1))
	many.Topics = append(many.Topics, createTopic("a/b", 5000, 1).Topics...)
	s.row("10001 partitions of two topics, one with a bad name", many)
	many.Topics = append(many.Topics[:1], many.Topics[0], many.Topics[0])
	s.row("15003 partitions, one name three times", many)
	late := createTopic("t-late", 1, 1)
	late.TimeoutMillis = -1
	s.row("a time-out of -1", onlyCheck(late))
	for _, kv := range [][2]string{
		{"cleanup.policy", "nonsense"},
		{"cleanup.policy", "compact,delete"},
		{"cleanup.policy", "delete,delete"},
		{"cleanup.policy", ""},
		{"retention.ms", "-1"},
		{"retention.ms", "-2"},
		{"retention.ms", "x"},
		{"retention.ms", " 5 "},
		{"retention.bytes", "-2"},
		{"max.message.bytes", "-1"},
		{"segment.bytes", "1"},
		{"no.such.key", "1"},
		{"", "1"},
		{"compression.type", "gzip"},
		{"compression.type", "brotli"},
		{"message.timestamp.type", "Nonsense"},
		{"min.insync.replicas", "0"},
		{"min.cleanable.dirty.ratio", "2"},
		{"preallocate", "maybe"},
		{"delete.retention.ms", "-1"},
		{"message.timestamp.after.max.ms", "-1"},
		{"segment.ms", "0"},
	} {
		s.row("with "+kv[0]+"="+kv[1], onlyCheck(createTopic("t-new", 1, 1, kv[0], kv[1])))
	}
	null := createTopic("t-new", 1, 1, "retention.ms", "1")
	null.Topics[0].Configs[0].Value = nil
	s.row("with a null value", onlyCheck(null))
	s.row("with a key twice", onlyCheck(createTopic("t-new", 1, 1, "retention.ms", "1", "retention.ms", "2")))
	partitionRows(s)
	deletionRows(s)
}

func partitionRows(s *session) {
	s.topic("n", 2)
	s.row("more partitions", morePartitions("n", 3))
	s.row("the same number of partitions", morePartitions("n", 3))
	s.row("fewer partitions", morePartitions("n", 1))
	s.row("partitions 0", morePartitions("n", 0))
	s.row("partitions -1", morePartitions("n", -1))
	s.row("partitions of an unknown topic", morePartitions("n-none", 3))
	s.row("partitions, placed", morePartitions("n", 4, []int32{1}))
	s.row("partitions, placed too few", morePartitions("n", 6, []int32{1}))
	s.row("partitions, placed too many", morePartitions("n", 5, []int32{1}, []int32{1}))
	s.row("partitions, placed on an unknown broker", morePartitions("n", 5, []int32{99}))
	s.row("partitions, placed nowhere", morePartitions("n", 5, []int32{}))
	s.row("partitions, placed twice on a broker", morePartitions("n", 5, []int32{1, 1}))
	twice := morePartitions("n", 9)
	twice.Topics = append(twice.Topics, twice.Topics[0])
	s.row("partitions, a topic twice", twice)
	none := morePartitions("n", 9)
	none.Topics = nil
	s.row("partitions of no topic", none)
}

func deletionRows(s *session) {
	s.row("delete, unknown", deleteTopics("t-none"))
	s.row("delete, empty name", deleteTopics(""))
	s.row("delete nothing", deleteTopics())
	byID := deleteTopics("t")
	byID.Topics[0].Topic, byID.Topics[0].TopicID = nil, [16]byte{9}
	s.row("delete, unknown id", byID)
	both := deleteTopics("t")
	both.Topics[0].TopicID = [16]byte{9}
	s.row("delete, name and id", both)
	neither := deleteTopics("t")
	neither.Topics[0].Topic = nil
	s.row("delete, neither name nor id", neither)
	s.row("delete, the same twice", deleteTopics("t-none", "t-none"))
	s.row("delete, one that is there twice", deleteTopics("t", "t"))
	s.row("delete", deleteTopics("t"))
	s.row("delete again", deleteTopics("t"))
}

const (
	ofTopic  = kmsg.ConfigResourceTypeTopic
	ofBroker = kmsg.ConfigResourceTypeBroker
)

func configsScene(s *session) {
	s.topic("k", 1, "retention.ms", "1000")
	s.row("one key", describeConfigs(ofTopic, "k", "retention.ms"))
	s.row("a default", describeConfigs(ofTopic, "k", "cleanup.policy"))
	s.row("an unknown key", describeConfigs(ofTopic, "k", "no.such.key"))
	s.row("unknown topic", describeConfigs(ofTopic, "k-none", "retention.ms"))
	s.row("empty topic", describeConfigs(ofTopic, "", "retention.ms"))
	s.row("invalid topic", describeConfigs(ofTopic, "a/b", "retention.ms"))
	s.row("unknown broker", describeConfigs(ofBroker, "99", "num.partitions"))
	s.row("broker that is no number", describeConfigs(ofBroker, "x", "num.partitions"))
	s.row("type 0", describeConfigs(0, "k"))
	s.row("type 77", describeConfigs(77, "k"))
	twice := describeConfigs(ofTopic, "k", "retention.ms")
	twice.Resources = append(twice.Resources, twice.Resources[0])
	s.row("a topic twice", twice)
	none := describeConfigs(ofTopic, "k")
	none.Resources = nil
	s.row("nothing", none)
	s.row("alter", alter(ofTopic, "k", set("retention.ms", "2000")))
	s.row("alter, unknown key", alter(ofTopic, "k", set("no.such.key", "1")))
	s.row("alter, a bad value", alter(ofTopic, "k", set("retention.ms", "x")))
	s.row("alter, unknown topic", alter(ofTopic, "k-none", set("retention.ms", "1")))
	s.row("alter, invalid topic", alter(ofTopic, "a/b", set("retention.ms", "1")))
	s.row("alter, empty topic", alter(ofTopic, "", set("retention.ms", "1")))
	s.row("alter, a key twice", alter(ofTopic, "k", set("retention.ms", "1"), set("retention.ms", "2")))
	s.row("alter, null", alter(ofTopic, "k", change{"retention.ms", 0, nil}))
	s.row("alter, operation 9", alter(ofTopic, "k", change{"retention.ms", 9, kmsg.StringPtr("1")}))
	s.row("alter, delete", alter(ofTopic, "k", change{"retention.ms", 1, nil}))
	s.row("alter, delete again", alter(ofTopic, "k", change{"retention.ms", 1, nil}))
	s.row("alter, append to what is no list", alter(ofTopic, "k", change{"retention.ms", 2, kmsg.StringPtr("1")}))
	s.row("alter, append", alter(ofTopic, "k", change{"cleanup.policy", 2, kmsg.StringPtr("compact")}))
	s.row("both policies", describeConfigs(ofTopic, "k", "cleanup.policy"))
	s.row("alter, append what is there", alter(ofTopic, "k", change{"cleanup.policy", 2, kmsg.StringPtr("compact")}))
	s.row("alter, subtract", alter(ofTopic, "k", change{"cleanup.policy", 3, kmsg.StringPtr("compact")}))
	s.row("one policy", describeConfigs(ofTopic, "k", "cleanup.policy"))
	s.row("alter, subtract what isn't there", alter(ofTopic, "k", change{"cleanup.policy", 3, kmsg.StringPtr("compact")}))
	s.row("alter, nothing", alter(ofTopic, "k"))
	s.row("alter, type 77", alter(77, "k", set("a", "b")))
	s.row("alter, a topic twice", func() kmsg.Request {
		req := alter(ofTopic, "k", set("retention.ms", "1"))
		req.Resources = append(req.Resources, req.Resources[0])
		return req
	}())
	s.row("alter, no resources", func() kmsg.Request {
		req := alter(ofTopic, "k")
		req.Resources = nil
		return req
	}())
	s.row("alter, unknown broker", alter(ofBroker, "99", set("log.retention.ms", "1")))
	replacedConfigs(s)
	check := alter(ofTopic, "k", set("retention.ms", "77"))
	check.ValidateOnly = true
	s.row("alter, only check", check)
	s.row("only checked", describeConfigs(ofTopic, "k", "retention.ms"))
}

// replacedConfigs asks AlterConfigs, which replaces all that is set.
func replacedConfigs(s *session) {
	s.row("replace", replaceConfigs(ofTopic, "k", "segment.bytes", "2000000"))
	s.row("replaced", describeConfigs(ofTopic, "k", "segment.bytes"))
	s.row("replace with nothing", replaceConfigs(ofTopic, "k"))
	s.row("replaced by nothing", describeConfigs(ofTopic, "k", "segment.bytes"))
	s.row("replace, unknown topic", replaceConfigs(ofTopic, "k-none", "retention.ms", "1"))
	s.row("replace, unknown key", replaceConfigs(ofTopic, "k", "no.such.key", "1"))
	s.row("replace, a bad value", replaceConfigs(ofTopic, "k", "retention.ms", "x"))
	s.row("replace, a key twice", replaceConfigs(ofTopic, "k", "retention.ms", "1", "retention.ms", "2"))
}

func replicasScene(s *session) {
	s.topic("r", 1)
	s.row("elect, fine already", electLeaders(0, "r", 0))
	s.row("elect unclean, fine already", electLeaders(1, "r", 0))
	s.row("elect, type 5", electLeaders(5, "r", 0))
	s.row("elect, unknown topic", electLeaders(0, "r-none", 0))
	s.row("elect, unknown partition", electLeaders(0, "r", 9))
	s.row("elect, no partitions", electLeaders(0, "r"))
	s.row("move, to where it is", reassign("r", 0, []int32{1}))
	s.until(listReassignments("r", 0), "Topic=")
	s.row("move, unknown topic", reassign("r-none", 0, []int32{1}))
	s.row("move, unknown partition", reassign("r", 9, []int32{1}))
	s.row("move, negative partition", reassign("r", -1, []int32{1}))
	s.row("move, unknown broker", reassign("r", 0, []int32{99}))
	s.row("move, a broker twice", reassign("r", 0, []int32{1, 1}))
	s.row("move, nowhere", reassign("r", 0, []int32{}))
	s.row("move, negative broker", reassign("r", 0, []int32{-1}))
	s.row("give up a move that is none", reassign("r", 0, nil))
	s.row("give up a move, unknown topic", reassign("r-none", 0, nil))
	s.row("move nothing", func() kmsg.Request {
		req := reassign("r", 0, nil)
		req.Topics = nil
		return req
	}())
	s.row("moves of all", listReassignments(""))
	s.row("moves of a topic", listReassignments("r", 0))
	s.row("moves of an unknown topic", listReassignments("r-none", 0))
	s.row("log folders of an unknown topic", logDirs("r-none", 0))
	s.row("log folders of an unknown partition", logDirs("r", 9))
	s.row("log folders", logDirs("r", 0))
	quorum := kmsg.NewPtrDescribeQuorumRequest()
	qt := kmsg.NewDescribeQuorumRequestTopic()
	qt.Topic = "r"
	qt.Partitions = append(qt.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	quorum.Topics = append(quorum.Topics, qt)
	s.row("quorum of another topic", quorum)
	gone := kmsg.NewPtrUnregisterBrokerRequest()
	gone.BrokerID = 99
	s.row("unregister an unknown broker", gone)
	acls := kmsg.NewPtrDescribeACLsRequest()
	acls.Version, acls.ResourceType, acls.Operation, acls.PermissionType, acls.ResourcePatternType = 3, 1, 1, 1, 1
	s.row("ACLs", acls)
	folders := kmsg.NewPtrAlterReplicaLogDirsRequest()
	folders.Version = 2
	d := kmsg.NewAlterReplicaLogDirsRequestDir()
	d.Dir = "/nowhere"
	dt := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
	dt.Topic, dt.Partitions = "r", []int32{0}
	d.Topics = append(d.Topics, dt)
	folders.Dirs = append(folders.Dirs, d)
	s.row("move to a folder that is none", folders)
	resources := kmsg.NewPtrListConfigResourcesRequest()
	resources.Version, resources.ResourceTypes = 1, []int8{77}
	s.row("configured resources of type 77", resources)
}
