// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"chronik/node"
)

// process is what the brokers of one process share: the metrics port of the first, which speaks for all. Each has a loop, a log and
// ports of its own, and they talk to each other as brokers of other machines do.
type process struct {
	brokers int // that there are to be

	mu    sync.Mutex
	hosts []*Host // open ones, ascending by broker
}

// ServeAll runs several brokers in one process, as Serve runs one. When ctx ends, all hand their leaderships over and stop. When one can't go
// on, all do, except that one which the cluster has removed leaves the others running.
func ServeAll(ctx context.Context, cfgs []Config) error {
	if len(cfgs) == 1 {
		return Serve(ctx, cfgs[0])
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	shared, errs := &process{brokers: len(cfgs)}, make([]error, len(cfgs))
	var all sync.WaitGroup
	for i, cfg := range cfgs {
		all.Go(func() {
			errs[i] = serveIn(ctx, shared, cfg)
			if end, ok := errors.AsType[*node.End](errs[i]); ok && end.OutOfCluster() {
				cfg.Log.Error("this broker ended, and the others of the process go on; set loops to as many as are left", "why", end.Error())
				return
			}
			stop()
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (s *process) enter(h *Host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts = append(s.hosts, h)
	slices.SortFunc(s.hosts, func(a, b *Host) int { return int(a.cfg.Node.BrokerID) - int(b.cfg.Node.BrokerID) })
}

func (s *process) leave(h *Host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts = slices.DeleteFunc(s.hosts, func(o *Host) bool { return o == h })
}

func (s *process) open() []*Host {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.hosts)
}

// Gather implements prometheus.Gatherer: the metrics of all brokers, each with the label broker_id.
func (s *process) Gather() ([]*dto.MetricFamily, error) {
	var all prometheus.Gatherers
	for _, h := range s.open() {
		all = append(all, h.metrics.registry)
	}
	return all.Gather()
}

// gatherer has the metrics of all brokers of this process.
func (h *Host) gatherer() prometheus.Gatherer {
	if h.process != nil {
		return h.process
	}
	return h.metrics.registry
}

// each makes a page out of those of all brokers of this process, one after the other. Its status is the worst of theirs.
func (h *Host) each(serve func(*Host, http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if h.process == nil {
			serve(h, w, r)
			return
		}
		all, status := h.process.open(), http.StatusOK
		var text bytes.Buffer
		for _, o := range all {
			one := &answerOf{header: http.Header{}, status: http.StatusOK}
			serve(o, one, r)
			status = max(status, one.status)
			fmt.Fprintf(&text, "# broker %d\n%s", o.cfg.Node.BrokerID, one.text.Bytes())
		}
		if missing := h.process.brokers - len(all); missing > 0 {
			status = max(status, http.StatusServiceUnavailable)
			fmt.Fprintf(&text, "%d of the %d brokers of this process don't run\n", missing, h.process.brokers)
		}
		w.WriteHeader(status)
		w.Write(text.Bytes())
	}
}

// answerOf is what one broker says.
type answerOf struct {
	header http.Header
	status int
	text   bytes.Buffer
}

func (a *answerOf) Header() http.Header         { return a.header }
func (a *answerOf) WriteHeader(status int)      { a.status = status }
func (a *answerOf) Write(b []byte) (int, error) { return a.text.Write(b) }
