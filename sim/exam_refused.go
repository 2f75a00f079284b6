// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node"
	"chronik/sim/plan"
)

// What the examiner asks that must be refused, with the right error for each thing that is named, and what else is told beside it.

func (e *exam) ofRefusals() []*inquiry {
	list := []*inquiry{e.namesOfTopics(), e.pattern(), e.beyondOwn("__consumer_offsets"), e.beyondOwn("__transaction_state")}
	topics := e.topics()
	if len(topics) == 0 {
		return list
	}
	t := topics[e.pick(int64(len(topics)))]
	p := int32(e.pick(int64(t.Partitions)))
	list = append(list, e.notTheLeader(t.Name, p), e.movedTwice(t.Name, p))
	if i := slices.IndexFunc(topics, func(t *plan.Topic) bool { return t.Keys > 0 }); i >= 0 {
		list = append(list, e.withoutKeys(topics[i].Name, int32(e.pick(int64(topics[i].Partitions)))))
	}
	return list
}

// namesOfTopics asks whether topics could be made, of which most have names that no topic may have.
func (e *exam) namesOfTopics() *inquiry {
	version := max(e.version(kmsg.CreateTopics), 1)
	names := []string{"exam.Az_09-ok", "a/b", "a:b", "a@b", "a[b", "a`b", "a{b", "a b", "a\x00b", "é", "", ".", ".."}
	return &inquiry{
		what: fmt.Sprintf("CreateTopics, version %d, whether topics could have the names %q", version, names),
		request: func(*broker) kmsg.Request {
			req := kmsg.NewPtrCreateTopicsRequest()
			req.Version, req.ValidateOnly, req.TimeoutMillis = version, true, 1000
			for _, name := range names {
				t := kmsg.NewCreateTopicsRequestTopic()
				t.Topic, t.NumPartitions, t.ReplicationFactor = name, 1, 1
				req.Topics = append(req.Topics, t)
			}
			return req
		},
		wrong: eachOf(func(t told, r *kmsg.CreateTopicsResponse) string {
			for i := range r.Topics {
				if o := &r.Topics[i]; (o.ErrorCode == kerr.InvalidTopicException.Code) != (o.Topic != names[0]) {
					return fmt.Sprintf("broker %d answers %s about %q", t.by.number, kafka.CodeName(o.ErrorCode), o.Topic)
				}
			}
			return ""
		}),
	}
}

// pattern asks for transactional ids by a regular expression that is none.
func (e *exam) pattern() *inquiry {
	return &inquiry{
		what: "ListTransactions by the regular expression (",
		request: func(*broker) kmsg.Request {
			req := kmsg.NewPtrListTransactionsRequest()
			req.Version, req.TransactionalIDPattern = 2, kmsg.StringPtr("(")
			return req
		},
		wrong: eachOf(func(t told, r *kmsg.ListTransactionsResponse) string {
			if r.ErrorCode != kerr.InvalidRegularExpression.Code {
				return fmt.Sprintf("broker %d answers %s, and %d transactions", t.by.number, kafka.CodeName(r.ErrorCode), len(r.TransactionStates))
			}
			return ""
		}),
	}
}

// beyondOwn fetches from far beyond the end of a partition of a topic of the brokers' own. An error is answered at once, however long
// the request would wait for records.
func (e *exam) beyondOwn(topic string) *inquiry {
	version := e.version(kmsg.Fetch)
	version = max(4, min(version, fetchByID-1))
	return &inquiry{
		what: fmt.Sprintf("Fetch, version %d, of %s/0 from beyond its end", version, topic),
		request: func(*broker) kmsg.Request {
			req := kmsg.NewPtrFetchRequest()
			req.Version, req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = version, -1, math.MaxInt32, 1, 1<<20, -1
			t, p := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
			t.Topic, p.CurrentLeaderEpoch, p.LastFetchedEpoch, p.FetchOffset, p.PartitionMaxBytes = topic, -1, -1, 1<<40, 1<<16
			t.Partitions = append(t.Partitions, p)
			req.Topics = append(req.Topics, t)
			return req
		},
		wrong: eachOf(func(t told, r *kmsg.FetchResponse) string {
			code := r.ErrorCode
			if len(r.Topics) == 1 && len(r.Topics[0].Partitions) == 1 {
				code = r.Topics[0].Partitions[0].ErrorCode
			}
			switch code {
			case kerr.OffsetOutOfRange.Code, kerr.NotLeaderForPartition.Code, kerr.UnknownTopicOrPartition.Code:
				return ""
			}
			return fmt.Sprintf("broker %d answers %s", t.by.number, kafka.CodeName(code))
		}),
	}
}

// groupOf is the raft group of a partition.
func (e *exam) groupOf(topic string, partition int32) node.GroupID {
	for _, g := range e.world.judge.groups {
		if g.topic == topic && g.partition == partition && !e.world.judge.gone[g.id] {
			return g.id
		}
	}
	return 0
}

// notTheLeader sends a damaged batch to all brokers. Those that don't lead the partition say who does, and where that is, to
// versions that can be told.
func (e *exam) notTheLeader(topic string, partition int32) *inquiry {
	version := e.version(kmsg.Produce)
	version = max(3, min(version, produceByID-1))
	return &inquiry{
		what: fmt.Sprintf("Produce, version %d, of a damaged batch for %s/%d", version, topic, partition),
		request: func(*broker) kmsg.Request {
			raw := kafka.AppendBatch(nil, kafka.NewBatchSpec(kafka.Record{Key: []byte("0"), Value: []byte("of the examiner")}))
			raw[len(raw)-1] ^= 1
			return produceOne(version, topic, partition, raw)
		},
		wrong: eachOf(func(t told, r *kmsg.ProduceResponse) string {
			o, leader := &r.Topics[0].Partitions[0], e.world.leader(e.groupOf(topic, partition))
			switch {
			case leader == nil:
				return "nobody leads it"
			case leader == t.by && o.ErrorCode != kerr.CorruptMessage.Code, leader != t.by && o.ErrorCode != kerr.NotLeaderForPartition.Code:
				return fmt.Sprintf("broker %d answers %s, and broker %d leads", t.by.number, kafka.CodeName(o.ErrorCode), leader.number)
			case leader == t.by || version < 10:
				return ""
			}
			at := slices.IndexFunc(r.Brokers, func(b kmsg.ProduceResponseBroker) bool { return b.NodeID == int32(leader.number) })
			if o.CurrentLeader.LeaderID != int32(leader.number) || at < 0 || r.Brokers[at].Host != host(leader.number) {
				return fmt.Sprintf("broker %d says that broker %d leads, and where %d brokers are; broker %d leads", t.by.number, o.CurrentLeader.LeaderID, len(r.Brokers), leader.number)
			}
			return ""
		}),
	}
}

func produceOne(version int16, topic string, partition int32, raw []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = version, -1, 1000
	t, p := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	t.Topic, p.Partition, p.Records = topic, partition, raw
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// withoutKeys sends a batch to a compacted topic, of which the second record has no key.
func (e *exam) withoutKeys(topic string, partition int32) *inquiry {
	version := e.version(kmsg.Produce)
	version = max(3, min(version, produceByID-1))
	return &inquiry{
		what: fmt.Sprintf("Produce, version %d, of three records for %s/%d, the second without a key", version, topic, partition),
		request: func(b *broker) kmsg.Request {
			if leader := e.world.leader(e.groupOf(topic, partition)); leader != b {
				return nil
			}
			record := func(key []byte) kafka.Record { return kafka.Record{Key: key, Value: []byte("of the examiner")} }
			spec := kafka.NewBatchSpec(record([]byte("0")), record(nil), record([]byte("1")))
			spec.FirstTimestamp = unixEpochMs + int64(e.world.now)/1e6
			return produceOne(version, topic, partition, kafka.AppendBatch(nil, spec))
		},
		wrong: func(answers []told) string {
			if len(answers) != 1 {
				return "nobody leads it"
			}
			o := &answers[0].resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
			if o.ErrorCode != kerr.InvalidRecord.Code || version >= 8 && (len(o.ErrorRecords) != 1 || o.ErrorRecords[0].RelativeOffset != 1) {
				return fmt.Sprintf("broker %d answers %s, and says what is wrong with the records %v", answers[0].by.number, kafka.CodeName(o.ErrorCode), o.ErrorRecords)
			}
			return ""
		},
	}
}

// movedTwice asks twice in one request that a move of a partition is given up: there is none.
func (e *exam) movedTwice(topic string, partition int32) *inquiry {
	version := e.version(kmsg.AlterPartitionAssignments)
	return &inquiry{
		what: fmt.Sprintf("AlterPartitionReassignments, version %d, to give a move of %s/%d up, twice", version, topic, partition),
		request: func(*broker) kmsg.Request {
			req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
			req.Version, req.TimeoutMillis = version, 10_000
			t, p := kmsg.NewAlterPartitionAssignmentsRequestTopic(), kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
			t.Topic, p.Partition, p.Replicas = topic, partition, nil
			t.Partitions = append(t.Partitions, p, p)
			req.Topics = append(req.Topics, t)
			return req
		},
		wrong: eachOf(func(t told, r *kmsg.AlterPartitionAssignmentsResponse) string {
			if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 2 {
				return fmt.Sprintf("broker %d answers about %d topics", t.by.number, len(r.Topics))
			}
			first, second := r.Topics[0].Partitions[0].ErrorCode, r.Topics[0].Partitions[1].ErrorCode
			if first != kerr.NoReassignmentInProgress.Code || second != kerr.InvalidRequest.Code {
				return fmt.Sprintf("broker %d answers %s, and %s the second time", t.by.number, kafka.CodeName(first), kafka.CodeName(second))
			}
			return ""
		}),
	}
}
