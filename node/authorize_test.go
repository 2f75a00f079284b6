// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// alice asks as User:a.
func (o *one) alice(req kmsg.Request) kmsg.Response {
	o.t.Helper()
	return o.as("User:a", 7, req)
}

// topicsSeen are the names in an answer to Metadata.
func topicsSeen(resp kmsg.Response) (names []string) {
	for _, t := range resp.(*kmsg.MetadataResponse).Topics {
		names = append(names, *t.Topic)
	}
	return names
}

// TestHiddenTopics is that what may not be described is in no list, and a page doesn't end at its name.
func TestHiddenTopics(t *testing.T) {
	o := newRights(t)
	for _, name := range []string{"a1", "b1", "b2", "c1", "c2"} {
		o.create(name)
	}
	o.allow("ALLOW User:a * DESCRIBE TOPIC PREFIXED b", "ALLOW User:a * READ TOPIC LITERAL c2", "DENY User:a * ALL TOPIC LITERAL b2")
	o.want("topics", "[b1 c2]", fmt.Sprint(topicsSeen(o.alice(&kmsg.MetadataRequest{Version: 1}))))
	o.want("of version 0", "[b1 c2]", fmt.Sprint(topicsSeen(o.alice(&kmsg.MetadataRequest{}))))
	o.want("of the super user", "[a1 b1 b2 c1 c2]", fmt.Sprint(topicsSeen(o.ask(&kmsg.MetadataRequest{Version: 1}))))

	var seen []string
	req := &kmsg.DescribeTopicPartitionsRequest{ResponsePartitionLimit: 1}
	for range 9 {
		resp := o.alice(req).(*kmsg.DescribeTopicPartitionsResponse)
		for _, topic := range resp.Topics {
			seen = append(seen, *topic.Topic)
		}
		if resp.NextCursor == nil {
			break
		}
		seen = append(seen, "then "+resp.NextCursor.Topic)
		req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: resp.NextCursor.Topic, Partition: resp.NextCursor.Partition}
	}
	o.want("pages", "[b1 then c2 c2]", fmt.Sprint(seen))

	name := func(s string) *string { return &s }
	got := o.alice(&kmsg.MetadataRequest{Version: 12, AllowAutoTopicCreation: true, Topics: []kmsg.MetadataRequestTopic{{Topic: name("a1")}, {Topic: name("absent")}, {Topic: name("b1")}}}).(*kmsg.MetadataResponse)
	for i, want := range []string{topicFailed, topicFailed, "NONE"} {
		topic := &got.Topics[i]
		if e := kafka.CodeName(topic.ErrorCode); e != want || (want != "NONE") != (topic.TopicID == noTopicID && len(topic.Partitions) == 0) {
			t.Errorf("%s: %s with %d partitions, want %s", *topic.Topic, e, len(topic.Partitions), want)
		}
	}
	byID := o.alice(&kmsg.MetadataRequest{Version: 12, Topics: []kmsg.MetadataRequestTopic{{TopicID: o.node.catalog.byName["a1"].uuid}}}).(*kmsg.MetadataResponse)
	if topic := byID.Topics[0]; topic.Topic != nil || kafka.CodeName(topic.ErrorCode) != topicFailed {
		t.Errorf("by id: %+v", topic)
	}
}

// TestPartsOfRequests is that a part without a right fails alone.
func TestPartsOfRequests(t *testing.T) {
	o := newRights(t)
	o.create("mine")
	o.create("other")
	o.allow("ALLOW User:a * ALL TOPIC LITERAL mine", "ALLOW User:a * CREATE TOPIC PREFIXED new")
	req := produceRequest("other", -1, plain("v"))
	req.Topics = append(req.Topics, produceRequest("mine", -1, plain("v")).Topics...)
	var codes []string
	for _, topic := range o.alice(req).(*kmsg.ProduceResponse).Topics {
		codes = append(codes, topic.Topic, kafka.CodeName(topic.Partitions[0].ErrorCode))
	}
	o.want("produced", "[other "+topicFailed+" mine NONE]", fmt.Sprint(codes))
	o.want("other", 0, len(o.read("other", 0)))

	create := &kmsg.CreateTopicsRequest{Version: 7, TimeoutMillis: 5000}
	for _, topic := range []string{"new1", "else", "mine"} {
		create.Topics = append(create.Topics, kmsg.CreateTopicsRequestTopic{Topic: topic, NumPartitions: 1, ReplicationFactor: 1})
	}
	resp := o.alice(create).(*kmsg.CreateTopicsResponse)
	o.want("created", "NONE "+topicFailed+" TOPIC_ALREADY_EXISTS", strings.Join([]string{kafka.CodeName(resp.Topics[0].ErrorCode), kafka.CodeName(resp.Topics[1].ErrorCode), kafka.CodeName(resp.Topics[2].ErrorCode)}, " "))
	if topic := resp.Topics[0]; len(topic.Configs) > 0 || topic.NumPartitions != -1 || kafka.CodeName(topic.ConfigErrorCode) != topicFailed {
		t.Errorf("without DescribeConfigs: %+v", topic)
	}
	none := produceRequest("other", 0, plain("v")) // which has no answer but the end of the connection
	o.step(Input{Requests: []Request{{Conn: 9, Principal: "User:a", Frame: kafka.AppendRequest(nil, 1, "c", none)}}})
	if len(o.replies) != 1 || !o.replies[0].Close {
		t.Errorf("acks=0: %+v", o.replies)
	}
}

// TestAutomaticCreation needs the right to create.
func TestAutomaticCreation(t *testing.T) {
	o := newRights(t)
	ask := func(topic string) string {
		return codesIn(o.alice(&kmsg.MetadataRequest{Version: 9, AllowAutoTopicCreation: true, Topics: []kmsg.MetadataRequestTopic{{Topic: &topic}}}))
	}
	o.allow("ALLOW User:a * DESCRIBE TOPIC LITERAL *", "ALLOW User:a * CREATE TOPIC PREFIXED my")
	o.want("another's", topicFailed, ask("other"))
	o.want("own", "NONE", ask("my-topic"))
	o.want("topics", "[my-topic]", fmt.Sprint(topicsSeen(o.ask(&kmsg.MetadataRequest{Version: 1}))))
}

// TestDeniedWhileFetching takes a right away from a fetch that waits.
func TestDeniedWhileFetching(t *testing.T) {
	o := newRights(t)
	o.create("t")
	o.allow("ALLOW User:a * READ TOPIC LITERAL t")
	req := fetchRequest("t", 0)
	req.MaxWaitMillis = 5000
	o.lastID++
	o.step(Input{Requests: []Request{{Conn: 7, Host: "/10.0.0.7", Principal: "User:a", Frame: kafka.AppendRequest(nil, o.lastID, "c", req)}}})
	waiting := &call{o, 7, o.lastID, req}
	o.want("denied", "NONE", o.allow("DENY User:a * READ TOPIC LITERAL t"))
	if _, e := o.produce("t", plain("secret")); e != "NONE" {
		t.Fatal(e)
	}
	p := waiting.wait(10 * time.Second).(*kmsg.FetchResponse).Topics[0].Partitions[0]
	if kafka.CodeName(p.ErrorCode) != topicFailed || len(p.RecordBatches) > 0 || p.HighWatermark != -1 {
		t.Errorf("%s with %d bytes", kafka.CodeName(p.ErrorCode), len(p.RecordBatches))
	}
}

// TestHiddenGroups is the same for groups and for what they commit.
func TestHiddenGroups(t *testing.T) {
	o := newRights(t)
	o.create("t")
	o.create("u")
	o.ask(&kmsg.FindCoordinatorRequest{Version: 3, CoordinatorKey: "g1"})
	o.pass(time.Second)
	for _, group := range []string{"g1", "g2"} {
		req := &kmsg.OffsetCommitRequest{Version: 7, Group: group, Generation: -1}
		for _, topic := range []string{"t", "u"} {
			req.Topics = append(req.Topics, kmsg.OffsetCommitRequestTopic{Topic: topic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{{LeaderEpoch: -1}}})
		}
		o.want("commit", "NONE", codesIn(o.ask(req)))
	}
	list := func() (groups []string) {
		for _, g := range o.alice(&kmsg.ListGroupsRequest{Version: 4}).(*kmsg.ListGroupsResponse).Groups {
			groups = append(groups, g.Group)
		}
		slices.Sort(groups)
		return groups
	}
	o.want("none", 0, len(list()))
	o.allow("ALLOW User:a * READ GROUP LITERAL g1", "ALLOW User:a * WRITE TOPIC LITERAL u")
	o.want("one", "[g1]", fmt.Sprint(list()))
	resp := o.alice(&kmsg.OffsetFetchRequest{Version: 8, Groups: []kmsg.OffsetFetchRequestGroup{{Group: "g1", MemberEpoch: -1}, {Group: "g2", MemberEpoch: -1}}}).(*kmsg.OffsetFetchResponse)
	if g := resp.Groups[0]; len(g.Topics) != 1 || g.Topics[0].Topic != "u" || kafka.CodeName(resp.Groups[1].ErrorCode) != groupFailed {
		t.Errorf("%+v", resp)
	}
	o.allow("ALLOW User:a * DESCRIBE CLUSTER LITERAL kafka-cluster")
	o.want("all", "[g1 g2]", fmt.Sprint(list()))
}

// TestOperations are the bits of what may be done.
func TestOperations(t *testing.T) {
	o := newRights(t)
	o.create("t")
	topic := func(ask func(kmsg.Request) kmsg.Response) (int32, int32) {
		name := "t"
		resp := ask(&kmsg.MetadataRequest{Version: 8, IncludeClusterAuthorizedOperations: true, IncludeTopicAuthorizedOperations: true, Topics: []kmsg.MetadataRequestTopic{{Topic: &name}}}).(*kmsg.MetadataResponse)
		return resp.AuthorizedOperations, resp.Topics[0].AuthorizedOperations
	}
	check := func(ask func(kmsg.Request) kmsg.Response, cluster, ofTopic int32) {
		t.Helper()
		if c, of := topic(ask); c != cluster || of != ofTopic {
			t.Errorf("%b and %b, want %b and %b", c, of, cluster, ofTopic)
		}
		resp := ask(&kmsg.DescribeClusterRequest{EndpointType: 1, IncludeClusterAuthorizedOperations: true}).(*kmsg.DescribeClusterResponse)
		o.want("the cluster", cluster, resp.ClusterAuthorizedOperations)
	}
	const none = -1 << 31
	check(o.alice, 0, none)
	o.allow("ALLOW User:a * WRITE TOPIC LITERAL t", "ALLOW User:a * ALTER CLUSTER LITERAL kafka-cluster", "ALLOW User:a * READ GROUP LITERAL g")
	check(o.alice, 1<<7|1<<8, 1<<4|1<<8)
	check(o.ask, 1<<5|1<<7|1<<8|1<<9|1<<10|1<<11|1<<12, 1<<3|1<<4|1<<5|1<<6|1<<7|1<<8|1<<10|1<<11)
	o.ask(&kmsg.FindCoordinatorRequest{Version: 3, CoordinatorKey: "g"})
	o.pass(time.Second)
	resp := o.alice(&kmsg.DescribeGroupsRequest{Version: 5, Groups: []string{"g"}, IncludeAuthorizedOperations: true}).(*kmsg.DescribeGroupsResponse)
	o.want("the group", int32(1<<3|1<<8), resp.Groups[0].AuthorizedOperations)
}

// TestRefusalsAreTold names who, what and where, once for each request.
func TestRefusalsAreTold(t *testing.T) {
	o := newRights(t)
	var told []string
	o.look = func(out *Output) {
		for _, e := range out.Events {
			if e.Kind == EventAccessDenied {
				told = append(told, e.Text)
			}
		}
	}
	name, other := "t", "u"
	o.alice(&kmsg.MetadataRequest{Version: 9, Topics: []kmsg.MetadataRequestTopic{{Topic: &name}, {Topic: &other}}})
	o.alice(&kmsg.MetadataRequest{Version: 9}) // a list: nothing was asked for that isn't allowed
	if want := `"User:a" from 10.0.0.7 may not DESCRIBE the TOPIC "t" (request Metadata)`; len(told) != 1 || told[0] != want {
		t.Errorf("%q, want %s", told, want)
	}
}

// TestRightsOff is that nobody is asked anything where rights are off, whatever rules there are.
func TestRightsOff(t *testing.T) {
	o := newRights(t)
	o.create("t")
	o.allow("DENY User:* * ALL TOPIC LITERAL *", "DENY User:* * ALL CLUSTER LITERAL kafka-cluster")
	o.want("of rights", topicFailed, codesIn(o.alice(produceRequest("t", -1, plain("v")))))
	o.cfg.Authorize = false
	o.restart()
	for range 20 {
		o.step(Input{})
	}
	o.want("without", "NONE", codesIn(o.alice(produceRequest("t", -1, plain("v")))))
	o.want("quorum", "NONE", codesIn(o.alice(&kmsg.DescribeQuorumRequest{Version: 1})))
	o.want("super users", true, strings.Contains(fmt.Sprint((&Config{SuperUsers: []string{"admin"}}).checkSuperUsers()), "User:admin"))
}

// TestJustStarted: a broker that has just started doesn't know what was decided meanwhile, and decides nothing until it does.
func TestJustStarted(t *testing.T) {
	o := newRights(t)
	o.create("t")
	o.allow("ALLOW User:a * DESCRIBE TOPIC LITERAL t")
	var err error
	o.results = nil
	if o.node, err = Open(o.cfg, o.dir, o.now); err != nil {
		t.Fatal(err)
	}
	req := &kmsg.ListOffsetsRequest{Version: 7, ReplicaID: -1, Topics: []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: -1, CurrentLeaderEpoch: -1}}}}}
	o.lastID++
	o.step(Input{Requests: []Request{{Conn: 9, Host: "/10.0.0.7", Principal: "User:a", Frame: kafka.AppendRequest(nil, o.lastID, "c", req)}}})
	waiting := &call{o, 9, o.lastID, req}
	for !o.node.ready {
		if waiting.peek() != nil {
			t.Fatal("it decides before it knows the rules")
		}
		o.step(Input{})
	}
	if got := codesIn(waiting.wait(time.Second)); got != "NONE" && !strings.Contains(got, "LEADER") {
		t.Errorf("then it says %s", got)
	}
}
