// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// experiment is one step: a load, a warm-up, a measured time, and the reading back.
type experiment struct {
	cfg       config
	topic     *topic
	live      io.Writer // nil: no line about the progress
	begin     time.Time
	window    window
	recorders []*recorder
	servers   *servers
	result    result
}

// result is what came of a step. The measured time of Seconds begins after the warm-up.
type result struct {
	Config      config        `json:"config"`
	Partitions  int           `json:"partitions"` // of the topic
	Replicas    int           `json:"replicas"`
	Begin       time.Time     `json:"begin"`
	Seconds     float64       `json:"seconds"`
	Interrupted bool          `json:"interrupted,omitempty"`
	Measured    []measurement `json:"measured"` // the first is what CPU per message counts
	Failures    []failure     `json:"failures"`
	Unsent      int64         `json:"unsent"` // due in the measured time and never sent
	Verdicts    []verdict     `json:"verdicts,omitempty"`
	ClientCPU   time.Duration `json:"client_cpu_ns"`
	Servers     []usage       `json:"servers,omitempty"`
}

// measurement is what a recorder counted.
type measurement struct {
	Name      string      `json:"name"`
	Count     int64       `json:"count"`
	Bytes     int64       `json:"bytes"` // of record values; of whole answers for fetch requests
	PerSecond float64     `json:"per_second"`
	Latency   percentiles `json:"latency_us"`
	Series    []second    `json:"series"`
}

// second is one second of the measured time, or the rest of the last one.
type second struct {
	Seconds float64     `json:"seconds"`
	Count   int64       `json:"count"`
	Bytes   int64       `json:"bytes"`
	Errors  int64       `json:"errors"`
	Latency percentiles `json:"latency_us"`
}

// failed says whether anything went wrong, or nothing went at all.
func (r *result) failed() bool {
	return len(r.Failures) > 0 || r.Measured[0].Count == 0 || slices.ContainsFunc(r.Verdicts, func(v verdict) bool { return v.failed() })
}

// perMessage is a share of CPU time, in microseconds, per message of the first row; 0 if there was
// none.
func (r *result) perMessage(cpu time.Duration) float64 {
	if r.Measured[0].Count == 0 {
		return 0
	}
	return float64(cpu.Nanoseconds()) / 1e3 / float64(r.Measured[0].Count)
}

// measure carries out one step. The end of ctx ends the measured time, not the reading back.
func measure(ctx context.Context, cfg config, t *topic, live io.Writer) (result, error) {
	watched, err := watchServers(cfg.ServerPIDs)
	if err != nil {
		return result{}, err
	}
	e := &experiment{cfg: cfg, topic: t, live: live, servers: watched}
	switch cfg.Mode {
	case modeConsume:
		err = e.consume(ctx)
	case modeMetadata:
		err = e.ask(ctx)
	default:
		err = e.produce(ctx)
	}
	if err != nil {
		return result{}, err
	}
	e.conclude()
	return e.result, nil
}

// clock starts the time of the experiment.
func (e *experiment) clock() {
	e.begin = time.Now()
	from := e.begin.Add(e.cfg.Warmup)
	e.window = window{from, from.Add(e.cfg.Duration)}
}

// record returns a new recorder; each is a row of the table.
func (e *experiment) record(name string) *recorder {
	r := newRecorder(name, e.window)
	e.recorders = append(e.recorders, r)
	e.result.Measured = append(e.result.Measured, measurement{Name: name})
	return r
}

// produce is the modes that write.
func (e *experiment) produce(ctx context.Context) error {
	from, err := e.topic.offsets(ctx, atEnd)
	if err != nil {
		return err
	}
	if e.cfg.TransactionalID != "" {
		return e.transact(ctx, from)
	}
	e.clock()
	p, err := newProducers(e.cfg, e.record("acknowledged"))
	if err != nil {
		return err
	}
	seen := newReading(p.ledger, e.topic.partitions)
	var follower *tail
	if e.cfg.Mode != modeProduce {
		if follower, err = e.follow(p, seen, from); err != nil {
			return err
		}
	}
	e.underLoad(ctx, p.acks, p.send)
	p.finish(e.cfg.Timeout)
	e.judge(context.WithoutCancel(ctx), p.ledger, seen, follower, from)
	return nil
}

// transact is mode produce with transactions.
func (e *experiment) transact(ctx context.Context, from []int64) error {
	e.clock()
	t, err := newTransactors(e.cfg, e.record("committed"))
	if err != nil {
		return err
	}
	e.underLoad(ctx, t.commits, t.send)
	t.close()
	e.judge(context.WithoutCancel(ctx), t.ledger, newReading(t.ledger, e.topic.partitions), nil, from)
	return nil
}

// judge compares what the producers were told with what the follower read (nil: there is none),
// and with --validate with what is read once more. What can't be read is a finding: the figures
// measured are kept.
func (e *experiment) judge(ctx context.Context, l *ledger, seen *reading, follower *tail, from []int64) {
	to, err := e.topic.offsets(ctx, atEnd)
	if follower != nil {
		unread := follower.finish(to, e.cfg.Timeout)
		e.result.Verdicts = append(e.result.Verdicts, seen.judge("read while written", errors.Join(err, unread)))
	}
	if e.cfg.Validate {
		again := newReading(l, e.topic.partitions)
		if err == nil {
			err = readBack(e.cfg, e.topic, again, from, to)
		}
		e.result.Verdicts = append(e.result.Verdicts, again.judge("read back", err))
	}
}

// follow starts the reader of what is written.
func (e *experiment) follow(p *producers, seen *reading, from []int64) (*tail, error) {
	reads := e.record("read")
	return startTail(e.cfg, e.topic, from, func(kr *kgo.Record, now time.Time) {
		s, first := seen.add(kr)
		if first {
			reads.event(int(s.producer), fromUnixNanos(s.due), now, len(kr.Value))
			p.wasRead(recordKey{int(s.producer), s.seq})
		}
	})
}

// ask is mode metadata.
func (e *experiment) ask(ctx context.Context) error {
	e.clock()
	answers := e.record("answered")
	q, err := newQuestions(e.cfg, e.topic, answers)
	if err != nil {
		return err
	}
	defer q.close()
	e.underLoad(ctx, answers, q.send)
	return nil
}

// underLoad lets the callers send until the measured time is over.
func (e *experiment) underLoad(ctx context.Context, answers *recorder, send sendFunc) {
	l := newLoad(e.cfg, e.begin, e.window, answers, send)
	if e.cfg.Rate > 0 {
		l.wakes = e.record("own delay")
	}
	l.start()
	e.watch(ctx)
	l.stop()
	e.result.Unsent = l.unsent
}

// consume is the mode of that name.
func (e *experiment) consume(ctx context.Context) error {
	from, err := e.topic.offsets(ctx, atStart)
	if err != nil {
		return err
	}
	to, err := e.topic.offsets(ctx, atEnd)
	if err != nil {
		return err
	}
	e.clock()
	consumers, err := newConsumers(e.cfg, e.topic, from, to, e.record("read"), e.record("fetch requests"))
	if err != nil {
		return err
	}
	reading, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, c := range consumers {
		wg.Go(func() { c.run(reading) })
	}
	e.watch(ctx)
	stop()
	wg.Wait()
	for _, c := range consumers {
		c.client.Close()
		if c.check != nil {
			e.result.Verdicts = append(e.result.Verdicts, verdict{Reader: "consumer", findings: c.check.findings})
		}
	}
	if e.cfg.Validate {
		e.result.Verdicts = append(e.result.Verdicts, readOnce(e.cfg, e.topic, from, to))
	}
	return nil
}

// watch waits until the measured time is over, and looks at everything once a second.
func (e *experiment) watch(ctx context.Context) {
	e.seconds(ctx, e.begin, e.window.from, e.progress)
	e.servers.begin()
	before := ownCPU()
	e.seconds(ctx, e.window.from, e.window.to, e.second)
	e.result.ClientCPU = ownCPU() - before
	e.servers.sample()
	clearLine(e.live)
	if now := time.Now(); ctx.Err() != nil && now.Before(e.window.to) {
		e.result.Interrupted = true
		e.window.to = now
		for _, r := range e.recorders {
			r.cut(now)
		}
	}
	e.result.Seconds = max(0, e.window.to.Sub(e.window.from).Seconds())
}

// seconds calls f once a second, and at the end for the rest, with the length of the time since the
// last call.
func (e *experiment) seconds(ctx context.Context, from, to time.Time, f func(length time.Duration)) {
	for from.Before(to) {
		next := from.Add(min(time.Second, to.Sub(from)))
		if !pause(ctx, time.Until(next)) {
			return
		}
		f(next.Sub(from))
		from = next
	}
}

// second notes one second of the measured time.
func (e *experiment) second(length time.Duration) {
	for i, r := range e.recorders {
		c, latencies := r.take()
		m := &e.result.Measured[i]
		m.Series = append(m.Series, second{
			Seconds: length.Seconds(), Count: c.measured, Bytes: c.bytes, Errors: c.errors, Latency: percentilesOf(latencies),
		})
	}
	e.servers.sample()
	if e.live != nil {
		printLive(e.live, time.Since(e.window.from), e.cfg.Duration, e.result.Measured)
	}
}

// progress shows that the warm-up is going on.
func (e *experiment) progress(time.Duration) {
	if e.live != nil {
		printWarmup(e.live, time.Since(e.begin), e.cfg.Warmup)
	}
}

// conclude fills in the totals, when everything has ended.
func (e *experiment) conclude() {
	r := &e.result
	r.Config, r.Partitions, r.Replicas = e.cfg, e.topic.partitions, e.topic.replicas
	r.Begin = e.begin
	for i, rec := range e.recorders {
		rec.take()
		m := &r.Measured[i]
		for _, t := range rec.tallies {
			m.Count += t.counts.measured
			m.Bytes += t.counts.bytes
		}
		if r.Seconds > 0 {
			m.PerSecond = float64(m.Count) / r.Seconds
		}
		m.Latency = percentilesOf(rec.total)
		r.Failures = append(r.Failures, rec.failures()...)
	}
	used, lost := e.servers.result()
	r.Servers = used
	r.Failures = append(r.Failures, lost...)
}
