// SPDX-License-Identifier: Apache-2.0

// Command sarama is the sarama row of the client matrix.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/IBM/sarama"
)

var brokers = strings.Split(os.Getenv("BOOTSTRAP"), ",")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	arg := os.Args[1:]
	var err error
	switch arg[0] {
	case "roundtrip":
		err = roundtrip(arg[1], arg[2])
	case "admin":
		err = admin(arg[1])
	case "txn":
		err = transactions(ctx, arg[1], arg[2])
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

func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Retry.Max = 100
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	logIn(c)
	return c
}

func roundtrip(topic, codec string) error {
	codecs := map[string]sarama.CompressionCodec{
		"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
		"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
	}
	c := config()
	c.Producer.Compression = codecs[codec]
	c.Producer.Idempotent, c.Net.MaxOpenRequests = true, 1
	client, err := sarama.NewClient(brokers, c)
	if err != nil {
		return err
	}
	defer client.Close()
	p, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		return err
	}
	var messages []*sarama.ProducerMessage
	for i := range records {
		n := strconv.Itoa(i)
		messages = append(messages, &sarama.ProducerMessage{
			Topic: topic, Key: sarama.StringEncoder("k-" + n), Value: sarama.StringEncoder("v-" + n + padding),
			Headers: []sarama.RecordHeader{{Key: []byte("n"), Value: []byte(n)}},
		})
	}
	begin := time.Now()
	if err := p.SendMessages(messages); err != nil {
		return err
	}
	if err := findByTime(client, topic, begin); err != nil {
		return err
	}
	return readBack(client, topic)
}

// findByTime asks for the first offset since a time that was before everything, and after.
func findByTime(client sarama.Client, topic string, begin time.Time) error {
	for _, c := range []struct {
		at   time.Time
		want func(int64) bool
	}{{begin.Add(-time.Minute), func(o int64) bool { return o == 0 }}, {begin.Add(time.Minute), func(o int64) bool { return o < 0 }}} {
		got, err := client.GetOffset(topic, 0, c.at.UnixMilli())
		if err != nil {
			return fmt.Errorf("offset by time: %w", err)
		}
		if end, _ := client.GetOffset(topic, 0, sarama.OffsetNewest); !c.want(got) && got != end {
			return fmt.Errorf("offset since %v: %d", c.at, got)
		}
	}
	return nil
}

func readBack(client sarama.Client, topic string) error {
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return err
	}
	partitions, err := client.Partitions(topic)
	if err != nil {
		return err
	}
	all := make(chan *sarama.ConsumerMessage)
	for _, id := range partitions {
		pc, err := consumer.ConsumePartition(topic, id, sarama.OffsetOldest)
		if err != nil {
			return err
		}
		go func() {
			for m := range pc.Messages() {
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

func admin(topic string) error {
	adm, err := sarama.NewClusterAdmin(brokers, config())
	if err != nil {
		return err
	}
	defer adm.Close()
	value := "1234567"
	if err := adm.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 3, ConfigEntries: map[string]*string{"retention.ms": &value}}, false); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if err := eventually(func() error { return expectConfig(adm, topic, value) }); err != nil {
		return err
	}
	value = "7654321"
	if err := adm.IncrementalAlterConfig(sarama.TopicResource, topic, map[string]sarama.IncrementalAlterConfigsEntry{"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}}, false); err != nil {
		return fmt.Errorf("alter: %w", err)
	}
	if err := eventually(func() error { return expectConfig(adm, topic, value) }); err != nil {
		return err
	}
	if err := adm.CreatePartitions(topic, 5, nil, false); err != nil {
		return fmt.Errorf("partitions: %w", err)
	}
	if err := eventually(func() error {
		described, err := adm.DescribeTopics([]string{topic})
		if err != nil || len(described[0].Partitions) != 5 {
			return fmt.Errorf("describe: %+v, %w", described, err)
		}
		return nil
	}); err != nil {
		return err
	}
	brokers, _, err := adm.DescribeCluster()
	if err != nil || len(brokers) != 3 {
		return fmt.Errorf("cluster: %v, %w", brokers, err)
	}
	if _, err := adm.DescribeLogDirs([]int32{brokers[0].ID()}); err != nil {
		return fmt.Errorf("log dirs: %w", err)
	}
	if _, err := adm.ListConsumerGroups(); err != nil {
		return fmt.Errorf("groups: %w", err)
	}
	if err := adm.DeleteTopic(topic); err != nil {
		return fmt.Errorf("delete: %w", err)
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

func expectConfig(adm sarama.ClusterAdmin, topic, want string) error {
	entries, err := adm.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"retention.ms"}})
	if err != nil || len(entries) != 1 || entries[0].Value != want {
		return fmt.Errorf("retention.ms is not %s: %+v, %w", want, entries, err)
	}
	return nil
}

const txnRecords = 100

func transactional(id string) (sarama.SyncProducer, error) {
	c := config()
	c.Producer.Idempotent, c.Net.MaxOpenRequests = true, 1
	c.Producer.Transaction.ID = id
	return sarama.NewSyncProducer(brokers, c)
}

// transactions commits some records and aborts others, and then copies what was committed.
func transactions(ctx context.Context, topic, copied string) error {
	p, err := transactional(topic)
	if err != nil {
		return err
	}
	for i := range 10 {
		for _, prefix := range []string{"a", "c"} {
			if err := p.BeginTxn(); err != nil {
				return err
			}
			for j := range txnRecords / 10 {
				value := fmt.Sprintf("%s-%d", prefix, 10*i+j)
				if _, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(value)}); err != nil {
					return err
				}
			}
			end := p.AbortTxn
			if prefix == "c" {
				end = p.CommitTxn
			}
			if err := end(); err != nil {
				return err
			}
		}
	}
	if err := p.Close(); err != nil {
		return err
	}
	return copyAll(ctx, topic, copied)
}

func copyAll(ctx context.Context, topic, copied string) error {
	c := config()
	c.Consumer.IsolationLevel = sarama.ReadCommitted
	c.Consumer.Offsets.AutoCommit.Enable = false
	g, err := sarama.NewConsumerGroup(brokers, copied, c)
	if err != nil {
		return err
	}
	p, err := transactional(copied)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	h := &copier{producer: p, topic: copied, done: stop}
	for ctx.Err() == nil {
		if err := g.Consume(ctx, []string{topic}, h); err != nil {
			return err
		}
	}
	return errors.Join(h.err, p.Close(), g.Close())
}

// copier copies each record in a transaction with its offset.
type copier struct {
	mu       sync.Mutex
	producer sarama.SyncProducer
	topic    string
	copied   int
	done     func()
	err      error
}

func (*copier) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (*copier) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (h *copier) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	for {
		select {
		case m, ok := <-c.Messages():
			if !ok {
				return nil
			}
			h.copy(m)
		case <-s.Context().Done():
			return nil
		}
	}
}

func (h *copier) copy(m *sarama.ConsumerMessage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.producer.BeginTxn()
	if err == nil {
		_, _, err = h.producer.SendMessage(&sarama.ProducerMessage{Topic: h.topic, Value: sarama.ByteEncoder(m.Value)})
	}
	if err == nil {
		err = h.producer.AddMessageToTxn(m, h.topic, nil)
	}
	if err == nil {
		err = h.producer.CommitTxn()
	}
	if h.copied++; err != nil || h.copied == txnRecords {
		h.err = err
		h.done()
	}
}

// handler is a member of a consumer group.
type handler struct{ topic string }

func (h handler) Setup(s sarama.ConsumerGroupSession) error {
	var list []string
	for _, p := range s.Claims()[h.topic] {
		list = append(list, strconv.Itoa(int(p)))
	}
	fmt.Println("assigned", strings.Join(list, ","))
	return nil
}

func (h handler) Cleanup(sarama.ConsumerGroupSession) error {
	fmt.Println("assigned")
	return nil
}

func (h handler) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	for {
		select {
		case m, ok := <-c.Messages():
			if !ok {
				return nil
			}
			fmt.Println("record", string(m.Value))
			s.MarkMessage(m, "")
		case <-s.Context().Done():
			return nil
		}
	}
}

func member(ctx context.Context, topic, group string) error {
	g, err := sarama.NewConsumerGroup(brokers, group, config())
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := g.Consume(ctx, []string{topic}, handler{topic}); err != nil && !errors.Is(err, sarama.ErrClosedConsumerGroup) {
			fmt.Fprintln(os.Stderr, "consuming:", err)
			time.Sleep(100 * time.Millisecond)
		}
	}
	return g.Close()
}

func writer(ctx context.Context, topic, prefix string) error {
	p, err := sarama.NewAsyncProducer(brokers, config())
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		for {
			select {
			case m, ok := <-p.Successes():
				if !ok {
					done <- nil
					return
				}
				fmt.Println("acked", m.Metadata)
			case err, ok := <-p.Errors():
				if ok {
					done <- err
					return
				}
			}
		}
	}()
	for i := 0; ctx.Err() == nil; i++ {
		value := fmt.Sprintf("%s-%d", prefix, i)
		p.Input() <- &sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(value), Value: sarama.StringEncoder(value), Metadata: value}
		time.Sleep(5 * time.Millisecond)
	}
	p.AsyncClose()
	return <-done
}
