// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// sendFunc sends a caller's request, which was due then, and sees to it that done is called once,
// when the caller has room for another.
type sendFunc func(caller int, due time.Time, done func())

// load is the callers of one step that send requests.
type load struct {
	cfg      config
	window   window
	begin    time.Time
	answers  *recorder
	wakes    *recorder // how late the callers woke up; nil in a closed loop
	send     sendFunc
	stopping chan struct{}
	callers  sync.WaitGroup
	mu       sync.Mutex
	unsent   int64 // due in the measured time, and never sent
}

func newLoad(cfg config, begin time.Time, w window, answers *recorder, send sendFunc) *load {
	return &load{cfg: cfg, begin: begin, window: w, answers: answers, send: send, stopping: make(chan struct{})}
}

func (l *load) start() {
	for i := range l.cfg.Concurrency {
		l.callers.Go(func() { l.call(i) })
	}
}

// stop ends the sending; answers may still be under way.
func (l *load) stop() {
	close(l.stopping)
	l.callers.Wait()
}

// call is one caller: it has up to --async requests under way. Without --rate-limit a request is
// due when there is room for it; with it they are due at fixed times, and one that waits for room
// is late.
func (l *load) call(caller int) {
	room := make(chan struct{}, l.cfg.Async)
	done := func() { <-room }
	for k := int64(0); ; k++ {
		due := l.due(caller, k)
		if !due.Before(l.window.to) {
			return
		}
		slept, stopped := l.sleepUntil(due)
		if stopped {
			return
		}
		if slept && l.wakes != nil {
			l.wakes.latency(caller, due, time.Now())
		}
		select {
		case room <- struct{}{}:
		case <-l.stopping:
			l.countUnsent(caller, k)
			return
		}
		if l.cfg.Rate == 0 {
			due = time.Now()
		}
		select {
		case <-l.stopping: // there was room and the end at once
			l.countUnsent(caller, k)
			return
		default:
			l.send(caller, due, done)
		}
	}
}

// due is when a caller's k-th request is due: the callers take turns. Without a rate it is at once.
func (l *load) due(caller int, k int64) time.Time {
	if l.cfg.Rate == 0 {
		return l.begin
	}
	turn := k*int64(l.cfg.Concurrency) + int64(caller)
	whole, part := turn/int64(l.cfg.Rate), turn%int64(l.cfg.Rate)
	return l.begin.Add(time.Duration(whole)*time.Second + time.Duration(part)*time.Second/time.Duration(l.cfg.Rate))
}

// sleepUntil says whether it had to sleep, and whether the load stopped meanwhile.
func (l *load) sleepUntil(due time.Time) (slept, stopped bool) {
	wait := time.Until(due)
	if wait <= 0 {
		return false, false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true, false
	case <-l.stopping:
		return true, true
	}
}

// countUnsent notes the requests from the k-th on that were due by now and will never be sent:
// each has waited at least until now. To leave them out would make a slow server look fast.
func (l *load) countUnsent(caller int, k int64) {
	if l.cfg.Rate == 0 {
		return
	}
	now, n := time.Now(), int64(0)
	for ; ; k++ {
		due := l.due(caller, k)
		if due.After(now) || !due.Before(l.window.to) {
			break
		}
		if l.window.has(due) {
			l.answers.latency(caller, due, now)
			n++
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unsent += n
}

// producers write records and keep the ledger.
type producers struct {
	cfg     config
	clients []*kgo.Client // one, or one per caller
	ledger  *ledger
	acks    *recorder
	open    sync.WaitGroup // records without an answer

	// In mode round-trip a caller's room is free when its record has been read: awaited holds what
	// frees it, by record.
	mu      sync.Mutex
	awaited map[recordKey]func()
}

type recordKey struct {
	producer int
	seq      uint64
}

func newProducers(cfg config, acks *recorder) (*producers, error) {
	p := &producers{
		cfg: cfg, acks: acks, ledger: newLedger(rand.Uint64(), cfg.Concurrency), awaited: make(map[recordKey]func()),
	}
	callers := cfg.Concurrency // of a client
	n := 1
	if cfg.Clients == "own" {
		callers, n = 1, cfg.Concurrency
	}
	for range n {
		cl, err := kgo.NewClient(producerOptions(cfg, callers)...)
		if err != nil {
			return nil, fmt.Errorf("can't make a client: %w", err)
		}
		p.clients = append(p.clients, cl)
	}
	return p, nil
}

func producerOptions(cfg config, callers int) []kgo.Opt {
	acks := acksOptions[cfg.Acks]
	opts := append(
		cfg.connect(),
		kgo.ClientID("bench"),
		kgo.DefaultProduceTopic(cfg.Topic),
		kgo.RequiredAcks(acks),
		kgo.ProducerBatchCompression(codecs[cfg.Compression]),
		kgo.ProducerLinger(time.Duration(cfg.LingerMs)*time.Millisecond),
		kgo.MaxBufferedRecords(2*callers*cfg.Async+1000), // how many are under way is the callers' affair
		kgo.RecordDeliveryTimeout(cfg.Timeout),
		kgo.MetadataMinAge(100*time.Millisecond), // 5 s by default, for which a moved leader would stay unknown
	)
	if acks != kgo.AllISRAcks() {
		// As many as an idempotent producer may have, and Kafka's default.
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(5))
	}
	return opts
}

// send writes one record. done is called when it is answered; in mode round-trip when it is read,
// or has failed.
func (p *producers) send(caller int, due time.Time, done func()) {
	seq := p.ledger.next(caller)
	key := recordKey{caller, seq}
	if p.cfg.Mode == modeRoundTrip {
		p.mu.Lock()
		p.awaited[key] = done
		p.mu.Unlock()
		done = func() {}
	}
	s := stamp{run: p.ledger.run, producer: uint32(caller), seq: seq, due: unixNanos(due)}
	value := s.value(p.cfg.MessageSize)
	client := p.clients[caller%len(p.clients)]
	p.open.Add(1)
	client.Produce(context.Background(), &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
		defer p.open.Done()
		now := time.Now()
		if err != nil {
			p.acks.error(caller, err)
			p.ledger.answered(caller, seq, failed)
			p.wasRead(key)
		} else {
			f := acked
			if p.acks.event(caller, due, now, p.cfg.MessageSize) {
				f |= measured
			}
			p.ledger.answered(caller, seq, f)
		}
		done()
	})
}

// wasRead frees the room of a record that a caller waits for, if one does.
func (p *producers) wasRead(key recordKey) {
	p.mu.Lock()
	done := p.awaited[key]
	delete(p.awaited, key)
	p.mu.Unlock()
	if done != nil {
		done()
	}
}

// finish waits for all answers; what is unanswered after the timeout fails.
func (p *producers) finish(timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var wg sync.WaitGroup
	for _, cl := range p.clients {
		wg.Go(func() {
			_ = cl.Flush(ctx) // closing fails what is left, and that is counted
			cl.Close()
		})
	}
	wg.Wait()
	p.open.Wait() // a closed client may still be calling
}

// questions are the requests of mode metadata.
type questions struct {
	topic   *topic
	clients []*kgo.Client
	answers *recorder
	timeout time.Duration
}

func newQuestions(cfg config, t *topic, answers *recorder) (*questions, error) {
	q := &questions{topic: t, answers: answers, timeout: cfg.Timeout}
	n := 1
	if cfg.Clients == "own" {
		n = cfg.Concurrency
	}
	for range n {
		cl, err := kgo.NewClient(append(cfg.connect(), kgo.ClientID("bench"))...)
		if err != nil {
			return nil, fmt.Errorf("can't make a client: %w", err)
		}
		q.clients = append(q.clients, cl)
	}
	return q, nil
}

// send asks and waits for the answer.
func (q *questions) send(caller int, due time.Time, done func()) {
	defer done()
	ctx, cancel := context.WithTimeout(context.Background(), q.timeout)
	defer cancel()
	res, err := q.topic.metadata().RequestWith(ctx, q.clients[caller%len(q.clients)])
	now := time.Now()
	if err == nil && (len(res.Topics) != 1 || len(res.Topics[0].Partitions) != q.topic.partitions) {
		err = fmt.Errorf("the answer does not have the topic's partitions")
	}
	if err != nil {
		q.answers.error(caller, err)
		return
	}
	q.answers.event(caller, due, now, 0)
}

func (q *questions) close() {
	for _, cl := range q.clients {
		cl.Close()
	}
}
