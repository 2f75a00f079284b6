// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// as sends a request as a principal, on a connection of its own, and waits for the answer.
func (o *one) as(principal string, conn ConnID, req kmsg.Request) kmsg.Response {
	o.t.Helper()
	o.lastID++
	o.step(Input{Requests: []Request{{Conn: conn, Host: "/10.0.0.7", Principal: principal, Frame: kafka.AppendRequest(nil, o.lastID, "c", req)}}})
	return (&call{o, conn, o.lastID, req}).wait(20 * time.Second)
}

// codesIn lists the errors in an answer by name, each once.
func codesIn(resp kmsg.Response) string {
	var all []string
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				walk(v.Elem())
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i))
			}
		case reflect.Struct:
			if c := v.FieldByName("ErrorCode"); c.IsValid() && c.Int() != 0 {
				if name := kafka.CodeName(int16(c.Int())); !slices.Contains(all, name) {
					all = append(all, name)
				}
			}
			for i := range v.NumField() {
				walk(v.Field(i))
			}
		}
	}
	walk(reflect.ValueOf(resp))
	if len(all) == 0 {
		return "NONE"
	}
	return strings.Join(all, " ")
}

const (
	topicFailed, groupFailed = "TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED"
	clusterFailed, txnFailed = "CLUSTER_AUTHORIZATION_FAILED", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"
	onCluster                = " CLUSTER kafka-cluster"
)

// rightsCase is a request, the rights that it needs, and the answer where one of them is missing, or all. What it answers is
// written from the source of Kafka 4.3.1.
type rightsCase struct {
	req    kmsg.Request
	none   string      // the answer without any right
	rights [][2]string // which right, and the answer where it alone is missing
	denied string      // the answer where it is denied, if that is another: what it implies isn't
}

func needsOne(req kmsg.Request, refusal, right string) rightsCase {
	return rightsCase{req: req, none: refusal, rights: [][2]string{{right, refusal}}}
}

// rightsOnRecords are the cases about topics and what is in them.
func rightsOnRecords(id [16]byte) []rightsCase {
	x := "x"
	txn := produceRequest("t", -1, txnBatch(1, 0, 0, "v"))
	txn.TransactionID = &x
	replica := fetchRequest("t", 0)
	replica.ReplicaID, replica.MaxWaitMillis = 2, 0
	read := fetchRequest("t", 0)
	read.MaxWaitMillis = 0
	byID := fetchByID(id, 0)
	byID.MaxWaitMillis = 0
	return []rightsCase{
		needsOne(produceRequest("t", -1, plain("v")), topicFailed, "WRITE TOPIC t"),
		needsOne(produceRequest("absent", -1, plain("v")), topicFailed, "WRITE TOPIC absent"),
		needsOne(produceByID(id, plain("v")), topicFailed, "WRITE TOPIC t"),
		{txn, txnFailed, [][2]string{{"WRITE TRANSACTIONAL_ID x", txnFailed}, {"WRITE TOPIC t", topicFailed}}, ""},
		{produceRequest("t", kafka.AcksKept, kept(0, 0)), clusterFailed, [][2]string{{"ALTER" + onCluster, clusterFailed}, {"WRITE TOPIC t", topicFailed}}, ""},
		needsOne(read, topicFailed, "READ TOPIC t"),
		needsOne(byID, topicFailed, "READ TOPIC t"),
		needsOne(replica, topicFailed, "CLUSTER_ACTION"+onCluster),
		needsOne(&kmsg.ListOffsetsRequest{Version: 5, ReplicaID: -1, Topics: []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: -2, CurrentLeaderEpoch: -1}}}}}, topicFailed, "DESCRIBE TOPIC t"),
		needsOne(&kmsg.OffsetForLeaderEpochRequest{Version: 4, ReplicaID: -1, Topics: []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{{CurrentLeaderEpoch: -1}}}}}, topicFailed, "DESCRIBE TOPIC t"),
		needsOne(&kmsg.OffsetForLeaderEpochRequest{Version: 4, ReplicaID: -1, Topics: []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{{CurrentLeaderEpoch: -1}}}}}, topicFailed, "CLUSTER_ACTION"+onCluster),
		needsOne(&kmsg.DeleteRecordsRequest{Version: 2, TimeoutMillis: 1000, Topics: []kmsg.DeleteRecordsRequestTopic{{Topic: "t", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: -1}}}}}, topicFailed, "DELETE TOPIC t"),
		needsOne(&kmsg.DescribeProducersRequest{Topics: []kmsg.DescribeProducersRequestTopic{{Topic: "t", Partitions: []int32{0}}}}, topicFailed, "READ TOPIC t"),
	}
}

// rightsOnTopics are those about topics as a whole.
func rightsOnTopics(id [16]byte) []rightsCase {
	metadata := func(version int16, topic string, id [16]byte, create bool) *kmsg.MetadataRequest {
		t := kmsg.MetadataRequestTopic{TopicID: id}
		if topic != "" {
			t.Topic = &topic
		}
		return &kmsg.MetadataRequest{Version: version, AllowAutoTopicCreation: create, Topics: []kmsg.MetadataRequestTopic{t}}
	}
	create := func(topic string) *kmsg.CreateTopicsRequest {
		return &kmsg.CreateTopicsRequest{Version: 7, TimeoutMillis: 5000, Topics: []kmsg.CreateTopicsRequestTopic{{Topic: topic, NumPartitions: 1, ReplicationFactor: 1}}}
	}
	remove := func(topic string, id [16]byte) *kmsg.DeleteTopicsRequest {
		req := &kmsg.DeleteTopicsRequest{Version: 6, TimeoutMillis: 5000, Topics: []kmsg.DeleteTopicsRequestTopic{{TopicID: id}}}
		if topic != "" {
			req.Topics[0].Topic = &topic
		}
		return req
	}
	const cluster, topic, group = kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeTopic, configGroup
	describe := func(kind kmsg.ConfigResourceType, name string) *kmsg.DescribeConfigsRequest {
		return &kmsg.DescribeConfigsRequest{Version: 4, Resources: []kmsg.DescribeConfigsRequestResource{{ResourceType: kind, ResourceName: name}}}
	}
	alter := func(kind kmsg.ConfigResourceType, name string) *kmsg.AlterConfigsRequest {
		return &kmsg.AlterConfigsRequest{Version: 2, Resources: []kmsg.AlterConfigsRequestResource{{ResourceType: kind, ResourceName: name}}}
	}
	edit := func(kind kmsg.ConfigResourceType, name string) *kmsg.IncrementalAlterConfigsRequest {
		return &kmsg.IncrementalAlterConfigsRequest{Version: 1, Resources: []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kind, ResourceName: name}}}
	}
	return []rightsCase{
		needsOne(metadata(9, "t", noTopicID, false), topicFailed, "DESCRIBE TOPIC t"),
		needsOne(metadata(9, "absent", noTopicID, false), topicFailed, "DESCRIBE TOPIC absent"),
		needsOne(metadata(13, "", id, false), topicFailed, "DESCRIBE TOPIC t"),
		{metadata(9, "fresh", noTopicID, true), topicFailed, [][2]string{{"DESCRIBE TOPIC fresh", topicFailed}, {"CREATE TOPIC fresh", topicFailed}}, ""},
		needsOne(&kmsg.DescribeTopicPartitionsRequest{ResponsePartitionLimit: 10, Topics: []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: "t"}}}, topicFailed, "DESCRIBE TOPIC t"),
		needsOne(create("new1"), topicFailed, "CREATE TOPIC new1"),
		needsOne(create("new2"), topicFailed, "CREATE"+onCluster),
		needsOne(remove("new1", noTopicID), topicFailed, "DELETE TOPIC new1"),
		{remove("absent", noTopicID), topicFailed, [][2]string{{"DELETE TOPIC absent", topicFailed}}, "UNKNOWN_TOPIC_OR_PARTITION"},
		needsOne(&kmsg.DeleteTopicsRequest{Version: 4, TimeoutMillis: 5000, TopicNames: []string{"new2"}}, topicFailed, "DELETE TOPIC new2"),
		needsOne(&kmsg.CreatePartitionsRequest{Version: 3, TimeoutMillis: 5000, ValidateOnly: true, Topics: []kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: 9}}}, topicFailed, "ALTER TOPIC t"),
		needsOne(describe(topic, "t"), topicFailed, "DESCRIBE_CONFIGS TOPIC t"),
		{describe(topic, "t"), topicFailed, [][2]string{{"ALTER_CONFIGS TOPIC t", topicFailed}}, "NONE"},
		needsOne(describe(cluster, "1"), clusterFailed, "DESCRIBE_CONFIGS"+onCluster),
		needsOne(describe(group, "g"), groupFailed, "DESCRIBE_CONFIGS GROUP g"),
		needsOne(alter(topic, "t"), topicFailed, "ALTER_CONFIGS TOPIC t"),
		needsOne(alter(cluster, "1"), clusterFailed, "ALTER_CONFIGS"+onCluster),
		needsOne(edit(topic, "t"), topicFailed, "ALTER_CONFIGS TOPIC t"),
		needsOne(edit(cluster, ""), clusterFailed, "ALTER_CONFIGS"+onCluster),
		needsOne(edit(group, "g"), groupFailed, "ALTER_CONFIGS GROUP g"),
		needsOne(&kmsg.ListConfigResourcesRequest{Version: 1}, clusterFailed, "DESCRIBE_CONFIGS"+onCluster),
		needsOne(&kmsg.DescribeLogDirsRequest{Version: 4}, clusterFailed, "DESCRIBE"+onCluster),
		needsOne(&kmsg.AlterReplicaLogDirsRequest{Version: 2, Dirs: []kmsg.AlterReplicaLogDirsRequestDir{{Dir: "data", Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{{Topic: "t", Partitions: []int32{0}}}}}}, clusterFailed, "ALTER"+onCluster),
		needsOne(&kmsg.ElectLeadersRequest{Version: 2, TimeoutMillis: 1000, Topics: []kmsg.ElectLeadersRequestTopic{{Topic: "t", Partitions: []int32{0}}}}, clusterFailed, "ALTER"+onCluster),
		needsOne(&kmsg.ElectLeadersRequest{TimeoutMillis: 1000, Topics: []kmsg.ElectLeadersRequestTopic{{Topic: "t", Partitions: []int32{0}}}}, clusterFailed, "ALTER"+onCluster),
		needsOne(&kmsg.AlterPartitionAssignmentsRequest{TimeoutMillis: 1000, Topics: []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: "t", Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{}}}}}, clusterFailed, "ALTER"+onCluster),
		needsOne(&kmsg.ListPartitionReassignmentsRequest{}, clusterFailed, "DESCRIBE"+onCluster),
		needsOne(remove("", id), topicFailed, "DELETE"+onCluster), // the last about it
		needsOne(&kmsg.DescribeTransactionsRequest{TransactionalIDs: []string{"x"}}, txnFailed, "DESCRIBE TRANSACTIONAL_ID x"),
	}
}

// rightsOnGroups are those about consumer groups and transactions.
func rightsOnGroups() []rightsCase {
	x, member := "x", "m"
	plain := func(version int16) *kmsg.OffsetCommitRequest {
		return &kmsg.OffsetCommitRequest{Version: version, Group: "g", Generation: -1, Topics: []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 1, LeaderEpoch: -1}}}}}
	}
	find := func(version int16, kind int8, key string) *kmsg.FindCoordinatorRequest {
		return &kmsg.FindCoordinatorRequest{Version: version, CoordinatorType: kind, CoordinatorKey: key, CoordinatorKeys: []string{key}}
	}
	beat := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	beat.Version, beat.Group, beat.MemberID, beat.RebalanceTimeoutMillis = 1, "g2", member, 1000
	beat.SubscribedTopicNames, beat.Topics = []string{"t"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	fetch := []kmsg.OffsetFetchRequestGroup{{Group: "g", MemberEpoch: -1, Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", Partitions: []int32{0}}}}}
	groupAndTopic := [][2]string{{"DESCRIBE GROUP g", groupFailed}, {"DESCRIBE TOPIC t", topicFailed}}
	return []rightsCase{
		needsOne(find(3, 0, "g"), groupFailed, "DESCRIBE GROUP g"),
		needsOne(find(6, 0, "g"), groupFailed, "DESCRIBE GROUP g"),
		needsOne(find(6, 1, "x"), txnFailed, "DESCRIBE TRANSACTIONAL_ID x"),
		needsOne(&kmsg.JoinGroupRequest{Version: 5, Group: "j", SessionTimeoutMillis: 10000, RebalanceTimeoutMillis: 10000, ProtocolType: "consumer", Protocols: []kmsg.JoinGroupRequestProtocol{{Name: "p"}}}, groupFailed, "READ GROUP j"),
		needsOne(&kmsg.SyncGroupRequest{Version: 3, Group: "g", MemberID: member}, groupFailed, "READ GROUP g"),
		needsOne(&kmsg.HeartbeatRequest{Version: 4, Group: "g", MemberID: member}, groupFailed, "READ GROUP g"),
		needsOne(&kmsg.LeaveGroupRequest{Version: 1, Group: "g", MemberID: member}, groupFailed, "READ GROUP g"),
		{plain(8), groupFailed, [][2]string{{"READ GROUP g", groupFailed}, {"READ TOPIC t", topicFailed}}, ""},
		{&kmsg.OffsetFetchRequest{Version: 7, Group: "g", Topics: []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0}}}}, groupFailed, groupAndTopic, ""},
		{&kmsg.OffsetFetchRequest{Version: 8, Groups: fetch}, groupFailed, groupAndTopic, ""},
		{&kmsg.OffsetDeleteRequest{Group: "g", Topics: []kmsg.OffsetDeleteRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{}}}}}, groupFailed, [][2]string{{"DELETE GROUP g", groupFailed}, {"READ TOPIC t", topicFailed}}, ""},
		needsOne(&kmsg.DescribeGroupsRequest{Version: 5, Groups: []string{"g"}}, groupFailed, "DESCRIBE GROUP g"),
		needsOne(&kmsg.DeleteGroupsRequest{Version: 2, Groups: []string{"absent"}}, groupFailed, "DELETE GROUP absent"),
		{beat, groupFailed, [][2]string{{"READ GROUP g2", groupFailed}, {"DESCRIBE TOPIC t", topicFailed}}, ""},
		needsOne(&kmsg.ConsumerGroupDescribeRequest{Version: 1, Groups: []string{"g"}}, groupFailed, "DESCRIBE GROUP g"),
		needsOne(&kmsg.InitProducerIDRequest{Version: 4, ProducerID: -1, ProducerEpoch: -1}, clusterFailed, "IDEMPOTENT_WRITE"+onCluster),
		needsOne(&kmsg.InitProducerIDRequest{Version: 4, ProducerID: -1, ProducerEpoch: -1}, clusterFailed, "WRITE TOPIC anything"),
		needsOne(&kmsg.InitProducerIDRequest{Version: 4, ProducerID: -1, ProducerEpoch: -1, TransactionalID: &x, TransactionTimeoutMillis: 1000}, txnFailed, "WRITE TRANSACTIONAL_ID x"),
		{&kmsg.AddPartitionsToTxnRequest{Version: 3, TransactionalID: x, Topics: []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{0}}}}, txnFailed, [][2]string{{"WRITE TRANSACTIONAL_ID x", txnFailed}, {"WRITE TOPIC t", topicFailed}}, ""},
		{&kmsg.AddOffsetsToTxnRequest{Version: 4, TransactionalID: x, Group: "g"}, txnFailed, [][2]string{{"WRITE TRANSACTIONAL_ID x", txnFailed}, {"READ GROUP g", groupFailed}}, ""},
		{&kmsg.TxnOffsetCommitRequest{Version: 3, TransactionalID: x, Group: "g", Generation: -1, Topics: []kmsg.TxnOffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Offset: 1}}}}}, txnFailed, [][2]string{{"WRITE TRANSACTIONAL_ID x", txnFailed}, {"READ GROUP g", groupFailed}, {"READ TOPIC t", topicFailed}}, ""},
		needsOne(&kmsg.EndTxnRequest{Version: 4, TransactionalID: x}, txnFailed, "WRITE TRANSACTIONAL_ID x"),
		needsOne(&kmsg.WriteTxnMarkersRequest{Version: 1, Markers: []kmsg.WriteTxnMarkersRequestMarker{{ProducerID: 1, Topics: []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: "absent", Partitions: []int32{0}}}}}}, clusterFailed, "ALTER"+onCluster),
		needsOne(&kmsg.WriteTxnMarkersRequest{Version: 1, Markers: []kmsg.WriteTxnMarkersRequestMarker{{ProducerID: 1, Topics: []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: "absent", Partitions: []int32{0}}}}}}, clusterFailed, "CLUSTER_ACTION"+onCluster),
	}
}

// rightsOnCluster are the rest.
func rightsOnCluster(t *testing.T) []rightsCase {
	free := func(req kmsg.Request) rightsCase { return rightsCase{req: req, none: "NONE"} }
	return []rightsCase{
		free(&kmsg.ApiVersionsRequest{Version: 2}),
		free(&kmsg.ListGroupsRequest{Version: 4}),
		free(&kmsg.ListTransactionsRequest{Version: 1, DurationFilterMillis: -1}),
		free(&kmsg.DescribeClusterRequest{Version: 1, EndpointType: 1, IncludeClusterAuthorizedOperations: true}),
		needsOne(filterRequest(), clusterFailed, "DESCRIBE"+onCluster),
		needsOne(createRequest(t, "ALLOW User:b * READ TOPIC LITERAL other"), clusterFailed, "ALTER"+onCluster),
		needsOne(&kmsg.DeleteACLsRequest{Version: 3, Filters: []kmsg.DeleteACLsRequestFilter{{ResourceType: 7, ResourcePatternType: 1, Operation: 1, PermissionType: 1}}}, clusterFailed, "ALTER"+onCluster),
		needsOne(&kmsg.DescribeQuorumRequest{Version: 1, Topics: []kmsg.DescribeQuorumRequestTopic{{Topic: metadataTopic, Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{}}}}}, clusterFailed, "DESCRIBE"+onCluster),
		needsOne(&kmsg.UpdateFeaturesRequest{Version: 1}, clusterFailed, "ALTER"+onCluster),
		{&kmsg.SASLHandshakeRequest{Version: 1, Mechanism: "PLAIN"}, "ILLEGAL_SASL_STATE", nil, ""}, // nobody is asked to log in here
		{&kmsg.SASLAuthenticateRequest{Version: 2}, "ILLEGAL_SASL_STATE", nil, ""},
		needsOne(&kmsg.DescribeClientQuotasRequest{}, clusterFailed, "DESCRIBE_CONFIGS"+onCluster),
		needsOne(&kmsg.AlterClientQuotasRequest{ValidateOnly: true, Entries: []kmsg.AlterClientQuotasRequestEntry{{Entity: []kmsg.AlterClientQuotasRequestEntryEntity{{Type: "user"}}}}}, clusterFailed, "ALTER_CONFIGS"+onCluster),
		needsOne(&kmsg.DescribeUserSCRAMCredentialsRequest{}, clusterFailed, "DESCRIBE"+onCluster),
		needsOne(&kmsg.AlterUserSCRAMCredentialsRequest{Deletions: []kmsg.AlterUserSCRAMCredentialsRequestDeletion{{Name: "nobody", Mechanism: 1}}}, clusterFailed, "ALTER"+onCluster),
		needsOne(&kmsg.UnregisterBrokerRequest{BrokerID: 9}, clusterFailed, "ALTER"+onCluster),
	}
}

// TestRights asks for everything that is served: without any right, with one right too few, with one of them denied again, and
// with the right ones.
func TestRights(t *testing.T) {
	o := newRights(t)
	o.create("t")
	id := o.node.catalog.byName["t"].uuid
	o.ask(&kmsg.FindCoordinatorRequest{Version: 3, CoordinatorKey: "g"})
	o.ask(&kmsg.FindCoordinatorRequest{Version: 3, CoordinatorKey: "x", CoordinatorType: 1})
	o.pass(time.Second)
	o.want("commit", "NONE", codesIn(o.ask(&kmsg.OffsetCommitRequest{Version: 7, Group: "g", Generation: -1, Topics: []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{LeaderEpoch: -1}}}}})))
	cases := slices.Concat(rightsOnRecords(id), rightsOnGroups(), rightsOnCluster(t), rightsOnTopics(id))
	asked := make(map[int16]bool)
	for _, c := range cases {
		asked[c.req.Key()] = true
		what := fmt.Sprintf("%s v%d", kmsg.NameForKey(c.req.Key()), c.req.GetVersion())
		ask := func(when, want string, rules ...string) string {
			t.Helper()
			o.deleteRules(filterRequest())
			if len(rules) > 0 {
				o.want(what+": rules", false, strings.Contains(o.allow(rules...), "INVALID"))
			}
			got := codesIn(o.as("User:a", 7, c.req))
			if want != "" && got != want {
				t.Errorf("%s, %s: %s, want %s", what, when, got, want)
			}
			return got
		}
		rule := func(permission, right string) string {
			f := strings.SplitN(right, " ", 3)
			return fmt.Sprintf("%s User:a 10.0.0.7 %s %s LITERAL %s", permission, f[0], f[1], f[2])
		}
		ask("without rights", c.none)
		var all []string
		for _, r := range c.rights {
			all = append(all, rule("ALLOW", r[0]))
		}
		for i, r := range c.rights {
			ask("without "+r[0], r[1], slices.Delete(slices.Clone(all), i, i+1)...)
			ask("denied "+r[0], cmp.Or(c.denied, r[1]), append(slices.Clone(all), rule("DENY", r[0]))...)
		}
		if got := ask("with all rights", "", all...); strings.Contains(got, "AUTHORIZATION") {
			t.Errorf("%s, with all rights: %s", what, got)
		}
	}
	for _, a := range o.node.apis {
		if _, known := o.node.rights[a.key]; !known || !asked[a.key.Int16()] {
			t.Errorf("%s: not in the table of rights (%v), or not asked for here", a.key.Name(), !known)
		}
	}
}
