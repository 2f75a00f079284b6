// SPDX-License-Identifier: Apache-2.0

// Command franzgo is the franz-go row of the client matrix.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var brokers = kgo.SeedBrokers(strings.Split(os.Getenv("BOOTSTRAP"), ",")...)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	arg := os.Args[1:]
	var err error
	switch arg[0] {
	case "roundtrip":
		err = roundtrip(ctx, arg[1], arg[2])
	case "admin":
		err = admin(ctx, arg[1])
	case "txn":
		err = transactions(ctx, arg[1], arg[2])
	case "member":
		err = member(ctx, arg[1], arg[2], arg[3])
	case "writer":
		err = writer(ctx, arg[1], arg[2])
	case "secure":
		err = secure(ctx, arg[1], arg[2], arg[3])
	default:
		err = fmt.Errorf("unknown command %q", arg[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const records = 300

var padding = strings.Repeat("x", 200)

func roundtrip(ctx context.Context, topic, codec string) error {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	cl, err := kgo.NewClient(brokers, kgo.ProducerBatchCompression(codecs[codec]), kgo.ProducerLinger(20*time.Millisecond), kgo.ConsumeTopics(topic))
	if err != nil {
		return err
	}
	defer cl.Close()
	var sent []*kgo.Record
	for i := range records {
		n := strconv.Itoa(i)
		sent = append(sent, &kgo.Record{Topic: topic, Key: []byte("k-" + n), Value: []byte("v-" + n + padding), Headers: []kgo.RecordHeader{{Key: "n", Value: []byte(n)}}})
	}
	if err := cl.ProduceSync(ctx, sent...).FirstErr(); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for len(seen) < records {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		for _, r := range fetches.Records() {
			n := strings.TrimPrefix(string(r.Key), "k-")
			if string(r.Value) != "v-"+n+padding || len(r.Headers) != 1 || string(r.Headers[0].Value) != n || seen[n] {
				return fmt.Errorf("record at %d/%d is wrong or there twice: %s", r.Partition, r.Offset, r.Key)
			}
			seen[n] = true
		}
	}
	return nil
}

func admin(ctx context.Context, topic string) error {
	cl, err := kgo.NewClient(brokers)
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	configs := map[string]*string{"retention.ms": kadm.StringPtr("1234567")}
	if _, err := adm.CreateTopic(ctx, 3, 3, configs, topic); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if err := eventually(func() error { return expectConfig(ctx, adm, topic, "1234567") }); err != nil {
		return err
	}
	alter := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: kadm.StringPtr("7654321")}}
	if altered, err := adm.AlterTopicConfigs(ctx, alter, topic); err != nil || altered[0].Err != nil {
		return fmt.Errorf("alter: %w", errors.Join(err, altered[0].Err))
	}
	if err := eventually(func() error { return expectConfig(ctx, adm, topic, "7654321") }); err != nil {
		return err
	}
	if grown, err := adm.UpdatePartitions(ctx, 5, topic); err != nil || grown.Error() != nil {
		return fmt.Errorf("partitions: %w", errors.Join(err, grown.Error()))
	}
	if err := eventually(func() error {
		topics, err := adm.ListTopics(ctx, topic)
		if err != nil || len(topics[topic].Partitions) != 5 || topics[topic].ID == (kadm.TopicID{}) {
			return fmt.Errorf("list: %+v, %w", topics, err)
		}
		return nil
	}); err != nil {
		return err
	}
	dirs, err := adm.DescribeAllLogDirs(ctx, nil)
	if err != nil || len(dirs) != 3 {
		return fmt.Errorf("log dirs: %+v, %w", dirs, err)
	}
	for _, d := range dirs {
		if d.Error() != nil {
			return fmt.Errorf("log dirs: %w", d.Error())
		}
	}
	if _, err := adm.ListGroups(ctx); err != nil {
		return fmt.Errorf("groups: %w", err)
	}
	if deleted, err := adm.DeleteTopics(ctx, topic); err != nil || deleted.Error() != nil {
		return fmt.Errorf("delete: %w", errors.Join(err, deleted.Error()))
	}
	return nil
}

// eventually tries for a while: brokers hear of a change one after the other, as Kafka's do.
func eventually(check func() error) error {
	for until := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if err := check(); err == nil || time.Now().After(until) {
			return err
		}
	}
}

func expectConfig(ctx context.Context, adm *kadm.Client, topic, want string) error {
	described, err := adm.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	for _, c := range described[0].Configs {
		if c.Key == "retention.ms" && c.MaybeValue() == want {
			return nil
		}
	}
	return fmt.Errorf("retention.ms is not %s: %+v", want, described)
}

const txnRecords = 100

// transactions commits some records and aborts others, and then copies what was committed.
func transactions(ctx context.Context, topic, copied string) error {
	cl, err := kgo.NewClient(brokers, kgo.TransactionalID(topic), kgo.DefaultProduceTopic(topic))
	if err != nil {
		return err
	}
	defer cl.Close()
	for i := range 10 {
		for _, prefix := range []string{"a", "c"} {
			if err := cl.BeginTransaction(); err != nil {
				return err
			}
			for j := range txnRecords / 10 {
				if err := cl.ProduceSync(ctx, kgo.StringRecord(fmt.Sprintf("%s-%d", prefix, 10*i+j))).FirstErr(); err != nil {
					return err
				}
			}
			if err := cl.EndTransaction(ctx, kgo.TransactionEndTry(prefix == "c")); err != nil {
				return err
			}
		}
	}
	return copyAll(ctx, topic, copied)
}

func copyAll(ctx context.Context, topic, copied string) error {
	s, err := kgo.NewGroupTransactSession(brokers, kgo.TransactionalID(copied), kgo.DefaultProduceTopic(copied),
		kgo.ConsumerGroup(copied), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	defer s.Close()
	for n := 0; n < txnRecords; {
		fetches := s.PollRecords(ctx, 30)
		if err := fetches.Err(); err != nil {
			return err
		}
		if err := s.Begin(); err != nil {
			return err
		}
		var records []*kgo.Record
		for _, r := range fetches.Records() {
			records = append(records, &kgo.Record{Value: r.Value})
		}
		if err := s.ProduceSync(ctx, records...).FirstErr(); err != nil {
			return err
		}
		committed, err := s.End(ctx, kgo.TryCommit)
		if err != nil {
			return err
		}
		if committed {
			n += len(records)
		}
	}
	return nil
}

func member(ctx context.Context, topic, group, protocol string) error {
	assigned := make(map[int32]bool)
	tell := func(partitions map[string][]int32, have bool) {
		for _, p := range partitions[topic] {
			delete(assigned, p)
			if have {
				assigned[p] = true
			}
		}
		var list []string
		for p := range assigned {
			list = append(list, strconv.Itoa(int(p)))
		}
		fmt.Println("assigned", strings.Join(list, ","))
	}
	lost := func(_ context.Context, _ *kgo.Client, m map[string][]int32) { tell(m, false) }
	options, err := toBrokers()
	if err != nil {
		return err
	}
	options = append(options, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { tell(m, true) }),
		kgo.OnPartitionsRevoked(lost), kgo.OnPartitionsLost(lost),
		kgo.BlockRebalanceOnPoll(), kgo.AutoCommitMarks(), kgo.AutoCommitInterval(time.Second),
	)
	if protocol == "consumer" {
		options = append(options, kgo.ServerSideBalancer(), kgo.Balancers(kgo.RangeBalancer()))
	}
	cl, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		for _, r := range fetches.Records() {
			fmt.Println("record", string(r.Value))
		}
		cl.MarkCommitRecords(fetches.Records()...)
		cl.AllowRebalance()
	}
	cl.CloseAllowingRebalance() // commits what is marked, and leaves
	return nil
}

func writer(ctx context.Context, topic, prefix string) error {
	options, err := toBrokers()
	if err != nil {
		return err
	}
	cl, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer cl.Close()
	for i := 0; ctx.Err() == nil; i++ {
		value := fmt.Sprintf("%s-%d", prefix, i)
		cl.Produce(context.Background(), &kgo.Record{Topic: topic, Key: []byte(value), Value: []byte(value)}, func(_ *kgo.Record, err error) {
			if err != nil {
				fmt.Fprintln(os.Stderr, "producing:", err)
				os.Exit(1)
			}
			fmt.Println("acked", value)
		})
		time.Sleep(5 * time.Millisecond)
	}
	return cl.Flush(context.Background())
}
