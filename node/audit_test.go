// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// unaudited are the APIs that change nothing that others rely on, or what a client uses all the time.
var unaudited = []kmsg.Key{
	kmsg.Produce, kmsg.Fetch, kmsg.ListOffsets, kmsg.Metadata, kmsg.OffsetCommit, kmsg.OffsetFetch, kmsg.FindCoordinator, kmsg.JoinGroup,
	kmsg.Heartbeat, kmsg.LeaveGroup, kmsg.SyncGroup, kmsg.DescribeGroups, kmsg.ListGroups, kmsg.SASLHandshake, kmsg.ApiVersions,
	kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn, kmsg.EndTxn, kmsg.TxnOffsetCommit, kmsg.OffsetForLeaderEpoch,
	kmsg.DescribeACLs, kmsg.DescribeConfigs, kmsg.DescribeLogDirs, kmsg.SASLAuthenticate, kmsg.ListPartitionReassignments,
	kmsg.DescribeClientQuotas, kmsg.DescribeUserSCRAMCredentials, kmsg.DescribeQuorum, kmsg.ConsumerGroupHeartbeat, kmsg.ConsumerGroupDescribe,
	kmsg.DescribeCluster, kmsg.DescribeProducers, kmsg.DescribeTransactions, kmsg.ListTransactions, kmsg.ListConfigResources, kmsg.DescribeTopicPartitions,
	kmsg.AlterReplicaLogDirs, // which refuses everything here
}

// Each API is in one of the lists, so that a new one is thought about.
func TestEveryChangeIsAudited(t *testing.T) {
	audited := auditors()
	for _, a := range apiTable() {
		if (audited[a.key] != nil) == slices.Contains(unaudited, a.key) {
			t.Errorf("%s: write an auditor, if it changes what others rely on, or put it into unaudited", a.key.Name())
		}
	}
}

// audits collects what is told of clients.
func (o *one) audits() *[]string {
	told := new([]string)
	o.look = func(out *Output) {
		for _, e := range out.Events {
			if a := e.Audit; a != nil {
				*told = append(*told, fmt.Sprintf("%v: %s %s %s %s %s -> %s", e.Kind, a.Principal, a.Address, a.Client, a.API, a.Resource, a.Outcome))
			}
		}
	}
	return told
}

// What a client changes, or may not, is told: who, from where, by which request, what, and the outcome.
func TestAudit(t *testing.T) {
	o := newRights(t)
	o.create("t")
	o.allow("ALLOW User:a * ALTER_CONFIGS TOPIC LITERAL t", "ALLOW User:a * DELETE GROUP LITERAL g", "ALLOW User:a * CREATE TOPIC PREFIXED n",
		"ALLOW User:a * DELETE TOPIC LITERAL n1", "ALLOW User:a * DELETE TOPIC LITERAL t", "ALLOW User:a * ALTER TOPIC LITERAL t", "ALLOW User:a * DESCRIBE TOPIC PREFIXED auto", "ALLOW User:a * CREATE TOPIC PREFIXED auto")
	told := o.audits()
	n1, value := "n1", "1000"
	topic := func(name string) kmsg.CreateTopicsRequestTopic {
		return kmsg.CreateTopicsRequestTopic{Topic: name, NumPartitions: 1, ReplicationFactor: 1}
	}
	auto := "auto1"
	for _, req := range []kmsg.Request{
		&kmsg.CreateTopicsRequest{Version: 7, TimeoutMillis: 5000, Topics: []kmsg.CreateTopicsRequestTopic{topic("n1"), topic("other")}},
		&kmsg.DeleteTopicsRequest{Version: 6, TimeoutMillis: 5000, Topics: []kmsg.DeleteTopicsRequestTopic{{Topic: &n1}}},
		&kmsg.IncrementalAlterConfigsRequest{Resources: []kmsg.IncrementalAlterConfigsRequestResource{{
			ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t", Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "retention.ms", Value: &value}},
		}}},
		&kmsg.AlterConfigsRequest{Resources: []kmsg.AlterConfigsRequestResource{{
			ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t", Configs: []kmsg.AlterConfigsRequestResourceConfig{{Name: "retention.bytes", Value: &value}},
		}}},
		&kmsg.CreatePartitionsRequest{TimeoutMillis: 5000, Topics: []kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: 2}}},
		&kmsg.DeleteRecordsRequest{TimeoutMillis: 5000, Topics: []kmsg.DeleteRecordsRequestTopic{{Topic: "t", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: 0, Offset: 9}}}}},
		&kmsg.DeleteGroupsRequest{Groups: []string{"g"}},
		&kmsg.OffsetDeleteRequest{Group: "g"},
		&kmsg.UnregisterBrokerRequest{BrokerID: 5},
		&kmsg.CreateACLsRequest{Version: 1, Creations: []kmsg.CreateACLsRequestCreation{{
			ResourceType: 2, ResourceName: "t", ResourcePatternType: 3, Principal: "User:b", Host: "*", Operation: 3, PermissionType: 3,
		}}},
		upsert("bob 2 secret 4096"),
		&kmsg.MetadataRequest{Version: 9, AllowAutoTopicCreation: true, Topics: []kmsg.MetadataRequestTopic{{Topic: &auto}}},
		&kmsg.MetadataRequest{Version: 9, Topics: []kmsg.MetadataRequestTopic{{Topic: &auto}}},
	} {
		o.alice(req)
	}
	const a, denied = "audited: User:a 10.0.0.7 c ", "access denied: User:a 10.0.0.7 c "
	want := []string{
		denied + "CreateTopics CREATE TOPIC other -> TOPIC_AUTHORIZATION_FAILED",
		a + "CreateTopics topic n1 -> NONE",
		a + "CreateTopics topic other -> TOPIC_AUTHORIZATION_FAILED",
		a + "DeleteTopics topic n1 -> NONE",
		a + "IncrementalAlterConfigs topic t: set retention.ms -> NONE",
		a + "AlterConfigs topic t, all settings: retention.bytes -> NONE",
		a + "CreatePartitions topic t -> NONE",
		a + "DeleteRecords partition t-0 before offset -1 -> OFFSET_OUT_OF_RANGE",
		a + "DeleteGroups group g -> NOT_COORDINATOR",
		a + "OffsetDelete offsets of group g -> NOT_COORDINATOR",
		denied + "UnregisterBroker ALTER CLUSTER kafka-cluster -> CLUSTER_AUTHORIZATION_FAILED",
		a + "UnregisterBroker broker 5 -> CLUSTER_AUTHORIZATION_FAILED",
		denied + "CreateACLs ALTER CLUSTER kafka-cluster -> CLUSTER_AUTHORIZATION_FAILED",
		a + `CreateACLs rule ALLOW User:b from * to READ TOPIC LITERAL "t" -> CLUSTER_AUTHORIZATION_FAILED`,
		denied + "AlterUserSCRAMCredentials ALTER CLUSTER kafka-cluster -> CLUSTER_AUTHORIZATION_FAILED",
		a + "AlterUserSCRAMCredentials user bob, sets a password -> CLUSTER_AUTHORIZATION_FAILED",
		a + "Metadata topic auto1 -> NONE",
	}
	if diff := cmp.Diff(want, *told); diff != "" {
		t.Errorf("(-want +told):\n%s", diff)
	}
}

// What the super user changes is told alike, of a large request the beginning.
func TestAuditOfChangedRights(t *testing.T) {
	o := newRights(t)
	told := o.audits()
	o.allow("ALLOW User:a * READ TOPIC LITERAL t")
	o.ask(upsert("bob 2 secret 4096"))
	o.ask(without("bob 2"))
	filter := filterRequest()
	o.ask(&kmsg.DeleteACLsRequest{Version: 1, Filters: []kmsg.DeleteACLsRequestFilter{{
		ResourceType: filter.ResourceType, ResourcePatternType: filter.ResourcePatternType, Operation: filter.Operation, PermissionType: filter.PermissionType,
	}}})
	for i, want := range []string{
		`CreateACLs rule ALLOW User:a from * to READ TOPIC LITERAL "t" -> NONE`,
		"AlterUserSCRAMCredentials user bob, sets a password -> NONE",
		"AlterUserSCRAMCredentials user bob, deletes a password -> NONE",
		`DeleteACLs rule ALLOW User:a from * to READ TOPIC LITERAL "t" -> NONE`,
	} {
		if i >= len(*told) || !strings.HasSuffix((*told)[i], want) {
			t.Fatalf("told %q, want %s at %d", *told, want, i)
		}
	}
	*told = nil
	client := "app"
	o.ask(&kmsg.AlterClientQuotasRequest{Version: 1, Entries: []kmsg.AlterClientQuotasRequestEntry{{
		Entity: []kmsg.AlterClientQuotasRequestEntryEntity{{Type: "user"}, {Type: "client-id", Name: &client}},
		Ops:    []kmsg.AlterClientQuotasRequestEntryOp{{Key: "producer_byte_rate", Value: 1000}},
	}}})
	if len(*told) != 1 || !strings.HasSuffix((*told)[0], "AlterClientQuotas quotas of user the default, client-id app -> NONE") {
		t.Errorf("told %q", *told)
	}
	*told = nil
	many := &kmsg.CreateTopicsRequest{Version: 7, TimeoutMillis: 5000}
	for i := range 2 * maxAudited {
		many.Topics = append(many.Topics, kmsg.CreateTopicsRequestTopic{Topic: fmt.Sprint("bad name ", i), NumPartitions: 1, ReplicationFactor: 1})
	}
	o.ask(many)
	if n := len(*told); n != maxAudited+1 || !strings.HasSuffix((*told)[n-1], "and more -> NONE") {
		t.Errorf("%d lines: %q", n, *told)
	}
}

// A login that failed is told with the mechanism and who it was for.
func TestAuditOfLogins(t *testing.T) {
	o := newGuarded(t, nil)
	told := o.audits()
	s := &stranger{one: o, conn: 5, headers: true}
	s.logIn("PLAIN", "alice", "wrong")
	if want := []string{"login failed: User:alice 10.0.0.1 stranger SASLAuthenticate PLAIN -> SASL_AUTHENTICATION_FAILED"}; !slices.Equal(*told, want) {
		t.Errorf("told %q, want %q", *told, want)
	}
}
