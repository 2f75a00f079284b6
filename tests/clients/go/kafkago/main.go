// SPDX-License-Identifier: Apache-2.0

// Command kafkago is the segmentio/kafka-go row of the client matrix.
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

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

var brokers = strings.Split(os.Getenv("BOOTSTRAP"), ",")

// fresh believes its copy of the metadata for a short time only; the client's default is 6 s.
var fresh = &kafka.Transport{MetadataTTL: 100 * time.Millisecond}

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
	case "member":
		err = member(ctx, arg[1], arg[2])
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
	codecs := map[string]kafka.Compression{"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd}
	w := &kafka.Writer{Addr: kafka.TCP(brokers...), Topic: topic, RequiredAcks: kafka.RequireAll, Compression: codecs[codec], BatchTimeout: 20 * time.Millisecond}
	var messages []kafka.Message
	for i := range records {
		n := strconv.Itoa(i)
		messages = append(messages, kafka.Message{Key: []byte("k-" + n), Value: []byte("v-" + n + padding), Headers: []kafka.Header{{Key: "n", Value: []byte(n)}}})
	}
	if err := w.WriteMessages(ctx, messages...); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	all := make(chan kafka.Message)
	for partition := range 3 {
		r := kafka.NewReader(kafka.ReaderConfig{Brokers: brokers, Topic: topic, Partition: partition, MaxWait: 100 * time.Millisecond})
		go func() {
			for {
				m, err := r.ReadMessage(ctx)
				if ctx.Err() != nil {
					return
				}
				if err != nil {
					fmt.Fprintln(os.Stderr, "reading:", err)
					os.Exit(1)
				}
				all <- m
			}
		}()
	}
	seen := make(map[string]bool)
	for len(seen) < records {
		m := <-all
		n := strings.TrimPrefix(string(m.Key), "k-")
		if string(m.Value) != "v-"+n+padding || len(m.Headers) != 1 || string(m.Headers[0].Value) != n || seen[n] {
			return fmt.Errorf("record at %d/%d is wrong or there twice: %s", m.Partition, m.Offset, m.Key)
		}
		seen[n] = true
	}
	return nil
}

func admin(ctx context.Context, topic string) error {
	c := &kafka.Client{Addr: kafka.TCP(brokers...), Transport: fresh}
	created, err := c.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic: topic, NumPartitions: 3, ReplicationFactor: 3, ConfigEntries: []kafka.ConfigEntry{{ConfigName: "retention.ms", ConfigValue: "1234567"}},
	}}})
	if err != nil || created.Errors[topic] != nil {
		return fmt.Errorf("create: %w", errors.Join(err, created.Errors[topic]))
	}
	if err := eventually(func() error { return expectConfig(ctx, c, topic, "1234567") }); err != nil {
		return err
	}
	altered, err := c.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{Resources: []kafka.IncrementalAlterConfigsRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
		Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: "retention.ms", Value: "7654321", ConfigOperation: kafka.ConfigOperationSet}},
	}}})
	if err != nil || altered.Resources[0].Error != nil {
		return fmt.Errorf("alter: %w", errors.Join(err, altered.Resources[0].Error))
	}
	if err := eventually(func() error { return expectConfig(ctx, c, topic, "7654321") }); err != nil {
		return err
	}
	grown, err := c.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: 5}}})
	if err != nil || grown.Errors[topic] != nil {
		return fmt.Errorf("partitions: %w", errors.Join(err, grown.Errors[topic]))
	}
	if err := eventually(func() error {
		meta, err := c.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
		if err != nil || len(meta.Topics[0].Partitions) != 5 || len(meta.Brokers) != 3 {
			return fmt.Errorf("metadata: %+v, %w", meta, err)
		}
		return nil
	}); err != nil {
		return err
	}
	if groups, err := c.ListGroups(ctx, &kafka.ListGroupsRequest{}); err != nil || groups.Error != nil {
		return fmt.Errorf("groups: %w", err)
	}
	deleted, err := c.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})
	if err != nil || deleted.Errors[topic] != nil {
		return fmt.Errorf("delete: %w", errors.Join(err, deleted.Errors[topic]))
	}
	return connAdmin(topic + "-conn")
}

// connAdmin uses the older API, which sends CreateTopics and DeleteTopics in their first versions.
func connAdmin(topic string) error {
	conn, err := kafka.Dial("tcp", brokers[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	controller, err := conn.Controller()
	if err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	there, err := kafka.Dial("tcp", fmt.Sprintf("%s:%d", controller.Host, controller.Port))
	if err != nil {
		return err
	}
	defer there.Close()
	if err := there.CreateTopics(kafka.TopicConfig{Topic: topic, NumPartitions: 1, ReplicationFactor: 3}); err != nil {
		return fmt.Errorf("create on a Conn: %w", err)
	}
	if err := there.DeleteTopics(topic); err != nil {
		return fmt.Errorf("delete on a Conn: %w", err)
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

func expectConfig(ctx context.Context, c *kafka.Client, topic, want string) error {
	r, err := c.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ConfigNames: []string{"retention.ms"},
	}}})
	if err != nil || len(r.Resources[0].ConfigEntries) != 1 || r.Resources[0].ConfigEntries[0].ConfigValue != want {
		return fmt.Errorf("retention.ms is not %s: %+v, %w", want, r, err)
	}
	return nil
}

// member uses ConsumerGroup, which tells assignments, and a Reader for each partition.
func member(ctx context.Context, topic, group string) error {
	g, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{ID: group, Brokers: brokers, Topics: []string{topic}, StartOffset: kafka.FirstOffset})
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		generation, err := g.Next(ctx)
		if err != nil {
			if ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, "joining:", err)
				time.Sleep(100 * time.Millisecond)
			}
			continue
		}
		var list []string
		for _, a := range generation.Assignments[topic] {
			list = append(list, strconv.Itoa(a.ID))
			generation.Start(func(gctx context.Context) { consume(gctx, ctx, generation, topic, a) })
		}
		fmt.Println("assigned", strings.Join(list, ","))
	}
	return g.Close()
}

// consume reads a partition until the generation or the member ends, and commits about once a second.
func consume(generation, member context.Context, g *kafka.Generation, topic string, a kafka.PartitionAssignment) {
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: brokers, Topic: topic, Partition: a.ID, MaxWait: 100 * time.Millisecond})
	defer r.Close()
	if err := r.SetOffset(a.Offset); err != nil {
		fmt.Fprintln(os.Stderr, "seeking:", err)
		return
	}
	next, committed := a.Offset, a.Offset
	commit := func() {
		if next > committed && g.CommitOffsets(map[string]map[int]int64{topic: {a.ID: next}}) == nil {
			committed = next
		}
	}
	for last := time.Now(); ; {
		ctx, cancel := context.WithTimeout(generation, 500*time.Millisecond)
		m, err := r.ReadMessage(ctx)
		cancel()
		if generation.Err() != nil || member.Err() != nil {
			commit()
			return
		}
		if err == nil {
			fmt.Println("record", string(m.Value))
			next = m.Offset + 1
		} else if !errors.Is(err, context.DeadlineExceeded) {
			fmt.Fprintln(os.Stderr, "reading:", err)
			time.Sleep(100 * time.Millisecond)
		}
		if time.Since(last) > time.Second {
			commit()
			last = time.Now()
		}
	}
}

func writer(ctx context.Context, topic, prefix string) error {
	w := &kafka.Writer{Addr: kafka.TCP(brokers...), Topic: topic, RequiredAcks: kafka.RequireAll, Balancer: &kafka.Hash{}, BatchTimeout: 10 * time.Millisecond, MaxAttempts: 100}
	defer w.Close()
	for i := 0; ctx.Err() == nil; i++ {
		value := fmt.Sprintf("%s-%d", prefix, i)
		err := w.WriteMessages(context.Background(), kafka.Message{Key: []byte(value), Value: []byte(value)})
		for noLeader(err) { // see the table's footnote
			fmt.Fprintln(os.Stderr, "writing again:", err)
			time.Sleep(100 * time.Millisecond)
			err = w.WriteMessages(context.Background(), kafka.Message{Key: []byte(value), Value: []byte(value)})
		}
		if err != nil {
			return err
		}
		fmt.Println("acked", value)
	}
	return nil
}

// noLeader reports whether a write of one message failed because the partition was electing its leader.
func noLeader(err error) bool {
	var list kafka.WriteErrors
	return errors.As(err, &list) && errors.Is(list[0], protocol.ErrNoLeader)
}
