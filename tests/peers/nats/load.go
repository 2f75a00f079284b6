// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// load is what clients do, and what came of it.
type load struct {
	url                  string
	clients, async, size int
	warmup, duration     time.Duration
	subject              string
	begin, end           time.Time // of the measured time
	next                 atomic.Uint64
	mu                   sync.Mutex
	latencies            []time.Duration // of what was answered in the measured time
	acknowledged         map[uint64]struct{}
}

// runLoad writes for some time, reads everything back, and prints what it measured.
func runLoad(ctx context.Context, args []string) error {
	l := &load{subject: fmt.Sprintf("bench-%d", time.Now().UnixNano()), acknowledged: make(map[uint64]struct{})}
	fs := flag.NewFlagSet("load", flag.ExitOnError)
	fs.StringVar(&l.url, "url", nats.DefaultURL, "a server")
	fs.IntVar(&l.clients, "clients", 1, "connections")
	fs.IntVar(&l.async, "async", 1, "messages that each keeps in flight")
	fs.IntVar(&l.size, "size", 256, "bytes of a message")
	fs.DurationVar(&l.warmup, "warmup", 2*time.Second, "before the measured time")
	fs.DurationVar(&l.duration, "duration", 8*time.Second, "the measured time")
	pids := fs.String("server-pids", "", "`PID,...` of the servers")
	fs.Parse(args)
	js, err := l.prepare(ctx)
	if err != nil {
		return err
	}
	l.begin = time.Now().Add(l.warmup)
	l.end = l.begin.Add(l.duration)
	used := make(chan []usage, 1)
	go func() { used <- watch(*pids, l.begin, l.end) }()
	var wg sync.WaitGroup
	failures := make(chan error, l.clients)
	for range l.clients {
		wg.Go(func() {
			if err := l.client(ctx); err != nil {
				failures <- err
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failures:
		return err
	default:
	}
	if err := l.readBack(ctx, js); err != nil {
		return err
	}
	if err := js.DeleteStream(ctx, l.subject); err != nil {
		return err
	}
	return l.print(<-used)
}

// prepare makes the stream, as soon as the servers have a leader.
func (l *load) prepare(ctx context.Context) (jetstream.JetStream, error) {
	nc, err := nats.Connect(l.url)
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	for range 60 {
		_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: l.subject, Subjects: []string{l.subject}, Storage: jetstream.FileStorage, Replicas: 3})
		if err == nil {
			return js, nil
		}
		time.Sleep(500 * time.Millisecond)
	}
	return nil, fmt.Errorf("no stream of three replicas: %w", err)
}

// client writes until the end.
func (l *load) client(ctx context.Context) error {
	nc, err := nats.Connect(l.url)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(l.async+1))
	if err != nil {
		return err
	}
	type sent struct {
		id  uint64
		at  time.Time
		ack jetstream.PubAckFuture
	}
	var flight []sent
	text := make([]byte, l.size)
	for i := range text {
		text[i] = byte(rand.UintN(256))
	}
	wait := func() error {
		s := flight[0]
		flight = flight[1:]
		select {
		case <-s.ack.Ok():
			l.note(s.id, s.at)
			return nil
		case err := <-s.ack.Err():
			return fmt.Errorf("a message was refused: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(30 * time.Second):
			return errors.New("a message without an answer for 30 s")
		}
	}
	for time.Now().Before(l.end) {
		if len(flight) == l.async {
			if err := wait(); err != nil {
				return err
			}
		}
		data := slices.Clone(text)
		id := l.next.Add(1)
		binary.BigEndian.PutUint64(data, id)
		at := time.Now()
		ack, err := js.PublishAsync(l.subject, data)
		if err != nil {
			return err
		}
		flight = append(flight, sent{id, at, ack})
	}
	for len(flight) > 0 {
		if err := wait(); err != nil {
			return err
		}
	}
	return nil
}

// note takes an answer.
func (l *load) note(id uint64, at time.Time) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acknowledged[id] = struct{}{}
	if !now.Before(l.begin) && now.Before(l.end) {
		l.latencies = append(l.latencies, now.Sub(at))
	}
}

// readBack demands that each acknowledged message is there once.
func (l *load) readBack(ctx context.Context, js jetstream.JetStream) error {
	c, err := js.OrderedConsumer(ctx, l.subject, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	s, err := js.Stream(ctx, l.subject)
	if err != nil {
		return err
	}
	info, err := s.Info(ctx)
	if err != nil {
		return err
	}
	missing := l.acknowledged
	messages, err := c.Messages(jetstream.PullMaxMessages(10_000))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for range info.State.Msgs {
		m, err := messages.Next(jetstream.NextMaxWait(30 * time.Second))
		if err != nil {
			return fmt.Errorf("reading back: %w", err)
		}
		delete(missing, binary.BigEndian.Uint64(m.Data()))
	}
	if len(missing) > 0 {
		return fmt.Errorf("%d acknowledged messages are not there", len(missing))
	}
	return nil
}

// usage is what a server used in the measured time.
type usage struct {
	PID int           `json:"pid"`
	CPU time.Duration `json:"cpu_ns"`
	RSS int64         `json:"rss_bytes"`
}

// watch measures processes from one time to another.
func watch(pids string, from, to time.Time) (all []usage) {
	if pids == "" {
		return nil
	}
	time.Sleep(time.Until(from))
	for _, p := range strings.Split(pids, ",") {
		pid, _ := strconv.Atoi(p)
		cpu, _ := look(pid)
		all = append(all, usage{PID: pid, CPU: cpu})
	}
	time.Sleep(time.Until(to))
	for i := range all {
		cpu, rss := look(all[i].PID)
		all[i].CPU, all[i].RSS = cpu-all[i].CPU, rss
	}
	return all
}

// look reads what a process has used, from Linux' /proc, and its resident bytes.
func look(pid int) (cpu time.Duration, rss int64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0
	}
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	number := func(i int) int64 {
		n, _ := strconv.ParseInt(f[i], 10, 64)
		return n
	}
	return time.Duration(number(11)+number(12)) * 10 * time.Millisecond, number(21) * int64(os.Getpagesize())
}

// print prints one step of bench.
func (l *load) print(servers []usage) error {
	slices.Sort(l.latencies)
	at := func(share float64) int64 {
		if len(l.latencies) == 0 {
			return 0
		}
		return l.latencies[min(len(l.latencies)-1, int(share*float64(len(l.latencies))))].Microseconds()
	}
	type row struct {
		Name      string           `json:"name"`
		Count     int              `json:"count"`
		PerSecond float64          `json:"per_second"`
		Latency   map[string]int64 `json:"latency_us"`
	}
	n := len(l.latencies)
	return json.NewEncoder(os.Stdout).Encode([]any{map[string]any{
		"seconds": l.duration.Seconds(),
		"measured": []row{{
			"acknowledged", n, float64(n) / l.duration.Seconds(),
			map[string]int64{"count": int64(n), "p50": at(0.5), "p99": at(0.99), "p99.9": at(0.999), "max": at(1)},
		}},
		"servers": servers,
	}})
}
