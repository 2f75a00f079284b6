// SPDX-License-Identifier: Apache-2.0

// Package transactions holds a cluster of real brokers against what franz-go's transactional clients did to it, in both
// protocols.
package transactions

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"chronik/tests/rig"
)

// start runs three brokers until the test ends.
func start(t *testing.T) (context.Context, *rig.Cluster) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and starts brokers")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	c, err := rig.Start(ctx, rig.Options{Brokers: 3, Dir: t.TempDir(), Port: 21000, Settings: map[string]string{"group_initial_delay_ms": "0", "auto_create_topics": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return ctx, c
}

// protocols are the two that a client may speak: the older one is what it speaks if it doesn't know EndTxn 5 and Produce 12.
var protocols = map[string]func() []kgo.Opt{
	"v2": func() []kgo.Opt { return nil },
	"v1": func() []kgo.Opt {
		v := kversion.Stable()
		v.SetMaxKeyVersion(int16(kmsg.Produce), 11)
		v.SetMaxKeyVersion(int16(kmsg.EndTxn), 4)
		v.SetMaxKeyVersion(int16(kmsg.TxnOffsetCommit), 4)
		return []kgo.Opt{kgo.MaxVersions(v)}
	},
}

func topics(t *testing.T, ctx context.Context, cl *kgo.Client, partitions int32, names ...string) {
	t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	for _, n := range names {
		one := kmsg.NewCreateTopicsRequestTopic()
		one.Topic, one.NumPartitions, one.ReplicationFactor = n, partitions, 3
		req.Topics = append(req.Topics, one)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range resp.Topics {
		if r.ErrorCode != 0 {
			t.Fatal(r.Topic, *r.ErrorMessage)
		}
	}
}

func client(t *testing.T, c *rig.Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.Bootstrap()...)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// committed reads so many records of a topic as a read_committed consumer.
func committed(t *testing.T, ctx context.Context, c *rig.Cluster, topic string, n int) map[string]int {
	t.Helper()
	cl := client(t, c, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	seen := map[string]int{}
	for len(seen) < n {
		fs := cl.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			t.Fatalf("%v after %d records of %d", err, len(seen), n)
		}
		for _, r := range fs.Records() {
			seen[string(r.Value)]++
		}
	}
	return seen
}

// TestCommitAndAbort writes transactions of which every third is aborted, over two topics.
func TestCommitAndAbort(t *testing.T) {
	ctx, c := start(t)
	for _, name := range slices.Sorted(maps.Keys(protocols)) {
		t.Run(name, func(t *testing.T) {
			a, b := "a-"+name, "b-"+name
			cl := client(t, c, append(protocols[name](), kgo.TransactionalID("tx-"+name), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))...)
			topics(t, ctx, cl, 3, a, b)
			want := map[string]map[string]int{a: {}, b: {}}
			for i := range 30 {
				if err := cl.BeginTransaction(); err != nil {
					t.Fatal(err)
				}
				commit := kgo.TransactionEndTry(i%3 != 2)
				for _, topic := range []string{a, b} {
					for k := range 4 {
						v := fmt.Sprintf("%d/%d %v", i, k, commit)
						cl.Produce(ctx, &kgo.Record{Topic: topic, Value: []byte(v)}, func(_ *kgo.Record, err error) {
							if err != nil {
								t.Error(err)
							}
						})
						if commit {
							want[topic][v]++
						}
					}
				}
				if err := cl.Flush(ctx); err != nil {
					t.Fatal(err)
				}
				if err := cl.EndTransaction(ctx, commit); err != nil {
					t.Fatal(err)
				}
			}
			for _, topic := range []string{a, b} {
				if got := committed(t, ctx, c, topic, len(want[topic])); !maps.Equal(got, want[topic]) {
					t.Errorf("%s: %d values, want %d", topic, len(got), len(want[topic]))
				}
			}
		})
	}
}

// TestFenced: a second client with the same transactional id ends the first one's transaction.
func TestFenced(t *testing.T) {
	ctx, c := start(t)
	for _, name := range slices.Sorted(maps.Keys(protocols)) {
		t.Run(name, func(t *testing.T) {
			topic := "f-" + name
			one := client(t, c, append(protocols[name](), kgo.TransactionalID(name))...)
			topics(t, ctx, one, 1, topic)
			if err := one.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			if err := one.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("fenced")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			two := client(t, c, append(protocols[name](), kgo.TransactionalID(name))...)
			if err := two.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			if err := two.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("ok")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if err := two.EndTransaction(ctx, kgo.TryCommit); err != nil {
				t.Fatal(err)
			}
			if err := one.EndTransaction(ctx, kgo.TryCommit); err == nil {
				t.Error("the first one committed")
			}
			if got := committed(t, ctx, c, topic, 1); got["ok"] != 1 || len(got) != 1 {
				t.Errorf("%v", got)
			}
		})
	}
}

// TestConsumeTransformProduce copies a topic in transactions with the offsets in them; some are aborted and read again.
func TestConsumeTransformProduce(t *testing.T) {
	ctx, c := start(t)
	for _, name := range slices.Sorted(maps.Keys(protocols)) {
		t.Run(name, func(t *testing.T) {
			in, out := "in-"+name, "out-"+name
			plain := client(t, c)
			topics(t, ctx, plain, 2, in, out)
			const n = 200
			for i := range n {
				plain.Produce(ctx, &kgo.Record{Topic: in, Value: fmt.Append(nil, i)}, nil)
			}
			if err := plain.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			s, err := kgo.NewGroupTransactSession(append(protocols[name](), kgo.SeedBrokers(c.Bootstrap()...), kgo.TransactionalID("etl-"+name), kgo.ConsumerGroup("g-"+name),
				kgo.ConsumeTopics(in), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))...)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for done, round := 0, 0; done < n; round++ {
				fs := s.PollRecords(ctx, 37)
				if err := fs.Err(); err != nil {
					t.Fatal(err)
				}
				if err := s.Begin(); err != nil {
					t.Fatal(err)
				}
				count, commit := 0, kgo.TransactionEndTry(round%3 != 1)
				fs.EachRecord(func(r *kgo.Record) {
					count++
					s.Produce(ctx, &kgo.Record{Topic: out, Value: r.Value}, func(_ *kgo.Record, err error) {
						if err != nil && commit == kgo.TryCommit { // else what isn't sent yet is dropped
							t.Error(err)
						}
					})
				})
				ok, err := s.End(ctx, commit)
				if err != nil {
					t.Fatal(err)
				}
				if ok {
					done += count
				}
			}
			got := committed(t, ctx, c, out, n)
			for v, times := range got {
				if times != 1 {
					t.Errorf("%s is there %d times", v, times)
				}
			}
		})
	}
}

// TestKilledBrokers does the same while one broker after the other is killed and started again.
func TestKilledBrokers(t *testing.T) {
	ctx, c := start(t)
	for _, name := range slices.Sorted(maps.Keys(protocols)) {
		t.Run(name, func(t *testing.T) {
			in, out := "kin-"+name, "kout-"+name
			plain := client(t, c)
			topics(t, ctx, plain, 3, in, out)
			const n = 3000
			for i := range n {
				plain.Produce(ctx, &kgo.Record{Topic: in, Value: fmt.Append(nil, i)}, nil)
			}
			if err := plain.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			killing, stop := context.WithCancel(ctx)
			ended := make(chan error, 1)
			go func() { ended <- killInTurn(killing, ctx, c) }()
			seen := map[string]int{}
			for rounds := 0; len(seen) < n; rounds++ {
				copyIn(t, ctx, c, name, in, out, n)
				seen = committed(t, ctx, c, out, n)
			}
			stop()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			for v, times := range seen {
				if times != 1 {
					t.Errorf("%s is there %d times", v, times)
				}
			}
		})
	}
}

// killInTurn kills brokers until it is told to stop.
func killInTurn(until, ctx context.Context, c *rig.Cluster) error {
	for id := 1; ; id = id%3 + 1 {
		select {
		case <-until.Done():
			return nil
		case <-time.After(1500 * time.Millisecond):
		}
		if err := c.Kill(id); err != nil {
			return err
		}
		time.Sleep(500 * time.Millisecond)
		if err := c.Restart(ctx, id); err != nil {
			return err
		}
	}
}

// copyIn copies a topic in transactions until all is copied. A session that fails is followed by another.
func copyIn(t *testing.T, ctx context.Context, c *rig.Cluster, name, in, out string, n int) {
	t.Helper()
	done := 0
	for done < n && ctx.Err() == nil {
		s, err := kgo.NewGroupTransactSession(append(protocols[name](), kgo.SeedBrokers(c.Bootstrap()...), kgo.TransactionalID("ketl-"+name), kgo.ConsumerGroup("kg-"+name),
			kgo.ConsumeTopics(in), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.SessionTimeout(6*time.Second), kgo.FetchMaxWait(500*time.Millisecond))...)
		if err != nil {
			t.Fatal(err)
		}
		done += session(t, ctx, s, out, n-done)
		s.Close()
	}
}

// session copies until so many records are copied or something fails.
func session(t *testing.T, ctx context.Context, s *kgo.GroupTransactSession, out string, n int) (done int) {
	for idle := 0; done < n && idle < 40; {
		polled, cancel := context.WithTimeout(ctx, 250*time.Millisecond)
		fs := s.PollRecords(polled, 20)
		cancel()
		if fs.NumRecords() == 0 {
			idle++
			continue
		}
		idle = 0
		if err := s.Begin(); err != nil {
			t.Log("begin:", err)
			return done
		}
		var failed atomic.Bool
		fs.EachRecord(func(r *kgo.Record) {
			s.Produce(ctx, &kgo.Record{Topic: out, Value: r.Value}, func(_ *kgo.Record, err error) {
				if err != nil && !failed.Swap(true) {
					t.Log("produce:", err)
				}
			})
		})
		if err := s.Client().Flush(ctx); err != nil {
			t.Log("flush:", err)
		}
		ok, err := s.End(ctx, kgo.TransactionEndTry(!failed.Load()))
		if err != nil {
			t.Log("end:", err)
			return done
		}
		if ok {
			done += fs.NumRecords()
		}
		time.Sleep(20 * time.Millisecond) // so that it takes some kills
	}
	return done
}
