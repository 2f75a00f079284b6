// SPDX-License-Identifier: Apache-2.0

package host

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"chronik/node"
	"chronik/wal"
)

// metrics measures the loop and the node. Three files belong together: here is what is measured
// while the broker works; metrics_list.go is the list of all that is read when somebody asks;
// metrics_http.go answers those who ask.
//
// The number of series is bounded: labels are brokers, kinds of requests and Kafka's error codes, and
// the groups are summed up in two, the catalog and all partitions.
type metrics struct {
	self     node.BrokerID
	registry *prometheus.Registry
	own      prometheus.Registerer // for what is measured of this broker
	asked    chan func(*node.Node) // questions for the loop

	stepTime     prometheus.Histogram
	stepItems    prometheus.Histogram
	flushBytes   prometheus.Histogram
	flushRecords prometheus.Histogram
	coldTime     prometheus.Histogram

	// The loop's alone.
	coldSince map[uint64]node.Time // reads under way, by operation
	elections uint64               // that this broker called
	longest   stepTimes
}

// newMetrics makes those of one broker. If there are others in the process, all series have its id.
func newMetrics(self node.BrokerID, others bool) *metrics {
	m := &metrics{
		self:      self,
		registry:  prometheus.NewRegistry(),
		asked:     make(chan func(*node.Node)),
		coldSince: make(map[uint64]node.Time),
		stepTime: newHistogram("chronik_step_duration_seconds",
			"Time of one step of the loop; everything waits for it.", prometheus.ExponentialBuckets(10e-6, 2, 18)),
		stepItems: newHistogram("chronik_step_items",
			"Requests, messages and disk results that one step took from the mailbox.", prometheus.ExponentialBuckets(1, 2, 14)),
		flushBytes: newHistogram("chronik_log_flush_bytes",
			"Bytes of one group commit: one write and one fsync.", prometheus.ExponentialBuckets(256, 4, 8)),
		flushRecords: newHistogram("chronik_log_flush_records",
			"Records of the log in one group commit.", prometheus.ExponentialBuckets(1, 2, 14)),
		coldTime: newHistogram("chronik_raft_wal_fallback_duration_seconds",
			"Time from a look-up that missed memory until the entries were read from the log's files and given to the node.", diskBuckets()),
	}
	m.own = m.registry
	if others {
		m.own = prometheus.WrapRegistererWith(prometheus.Labels{"broker_id": decimal(self)}, m.registry)
	}
	m.own.MustRegister(m.stepTime, m.stepItems, m.flushBytes, m.flushRecords, m.coldTime)
	return m
}

// ofProcess adds what is measured of the process.
func (m *metrics) ofProcess() {
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewBuildInfoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

func newHistogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
}

// diskBuckets are for what waits for a disk: 50 us to 1.6 s.
func diskBuckets() []float64 { return prometheus.ExponentialBuckets(50e-6, 2, 16) }

// around returns the node's Step with measurements around it, and answers a question after it.
func (m *metrics) around(n *node.Node) func(*node.Input) *node.Output {
	return func(in *node.Input) *node.Output {
		var out *node.Output
		took := m.longest.measure(func() { out = n.Step(in) })
		m.stepTime.Observe(took.Seconds())
		m.stepItems.Observe(float64(len(in.Requests) + len(in.Messages) + len(in.Results) + len(in.Done)))
		m.noteReads(in, out, n)
		for i := range out.Events {
			if e := &out.Events[i]; e.Kind == node.EventVoted && node.BrokerID(e.N) == m.self {
				m.elections++
			}
		}
		select {
		case question := <-m.asked:
			question(n)
		default:
		}
		return out
	}
}

// noteReads measures what passes between the node and the disk.
func (m *metrics) noteReads(in *node.Input, out *node.Output, n *node.Node) {
	for i := range in.Results {
		id := in.Results[i].Op.ID
		if since, ok := m.coldSince[id]; ok {
			m.coldTime.Observe(in.Now.Sub(since).Seconds())
			delete(m.coldSince, id)
		}
	}
	for i := range out.Ops {
		switch op := &out.Ops[i]; {
		case op.Kind == wal.OpWrite:
			m.flushBytes.Observe(float64(len(op.Data)))
			m.flushRecords.Observe(float64(op.N))
		case op.Kind == wal.OpRead && n.IsColdRead(op.ID):
			m.coldSince[op.ID] = in.Now
		}
	}
}

// ask has the loop call f after a step, and waits for it. It returns false if the loop has not come
// to that in time.
func (m *metrics) ask(limit time.Duration, f func(*node.Node)) bool {
	done := make(chan struct{})
	select {
	case m.asked <- func(n *node.Node) { f(n); close(done) }:
		<-done
		return true
	case <-time.After(limit):
		return false
	}
}

// requestMeter measures client requests by kind: a position in node.APIs, one past the last for
// what is none of them.
type requestMeter struct {
	names    []string
	fetch    int // position of Fetch
	received []atomic.Int64
	times    []prometheus.Observer
	vec      *prometheus.HistogramVec

	bytesIn, bytesOut  atomic.Int64 // with the length bytes
	accepted, overfull atomic.Int64 // connections; the latter were closed at once
}

func newRequestMeter() *requestMeter {
	m := &requestMeter{names: append(node.APIs(), "other")}
	m.fetch = slices.Index(m.names, "Fetch")
	m.received = make([]atomic.Int64, len(m.names))
	m.vec = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "chronik_request_duration_seconds",
		Help:    "Time from when a whole request was read until its answer was written to the socket. Fetch waits for records as long as its client says.",
		Buckets: prometheus.ExponentialBuckets(200e-6, 2, 16),
	}, []string{"api"})
	for _, name := range m.names {
		m.times = append(m.times, m.vec.WithLabelValues(name))
	}
	return m
}

// openRequest is a request that the node has not answered, or whose answer is not written yet.
type openRequest struct {
	size int // bytes of the frame
	held claim
	api  int // position in requestMeter.names
	at   time.Time

	fetch bool
}

// read notes a frame that was read.
func (m *requestMeter) read(frame []byte) openRequest {
	api := node.APIOf(frame)
	if api < 0 {
		api = len(m.names) - 1
	}
	m.received[api].Add(1)
	m.bytesIn.Add(int64(len(frame)) + 4)
	return openRequest{size: len(frame), api: api, at: time.Now(), fetch: api == m.fetch}
}

// wrote notes answers that were written.
func (m *requestMeter) wrote(answers []answer, bytes int, now time.Time) {
	m.bytesOut.Add(int64(bytes))
	for i := range answers {
		r := &answers[i].request
		m.times[r.api].Observe(now.Sub(r.at).Seconds())
	}
}

// timedFS measures the fsyncs of a log's directory.
type timedFS struct {
	wal.FS
	time prometheus.Observer
}

type timedFile struct {
	wal.File
	time prometheus.Observer
}

func (f timedFS) Open(name string) (wal.File, error) {
	file, err := f.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return timedFile{file, f.time}, nil
}

func (f timedFile) Sync() error {
	start := time.Now()
	err := f.File.Sync()
	f.time.Observe(time.Since(start).Seconds())
	return err
}
