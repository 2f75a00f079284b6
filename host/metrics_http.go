// SPDX-License-Identifier: Apache-2.0

package host

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"chronik/host/console"
	"chronik/node"
)

// openAdmin prepares what the metrics port and the profiler's have in common: TLS, and who their clients are.
func (h *Host) openAdmin() (err error) {
	if h.httpTLS, err = h.cfg.MetricsTLS.open("metrics", h.cfg.Log); err != nil {
		return err
	}
	tokens, err := openTokens(h.cfg.MetricsTokenFile, h.cfg.Log)
	if err != nil {
		return err
	}
	h.doorman = newDoorman(&h.cfg, h.metrics, tokens)
	h.doorman.certificates = h.httpTLS
	if h.process != nil {
		h.metrics.own.MustRegister(h, h.clients.meter.vec, h.disk.fsync)
		h.process.enter(h)
	}
	if h.cfg.Metrics != "" {
		if err := h.serveMetrics(h.cfg.Metrics); err != nil {
			return err
		}
	}
	if h.cfg.Pprof != "" {
		return h.servePprof(h.cfg.Pprof)
	}
	return nil
}

// overTLS puts TLS on a port, if the metrics port has a certificate.
func (h *Host) overTLS(l net.Listener) (bound net.Listener, scheme string) {
	if h.httpTLS == nil {
		return l, "http"
	}
	return tls.NewListener(inTurns{l, h.clients.turns}, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if !hello.Conn.(*turned).begin(hello.Context().Done()) {
			return nil, net.ErrClosed
		}
		return h.httpTLS.config.Load(), nil
	}}), "https"
}

// serveMetrics binds addr and answers there, over HTTP, or HTTPS if it has a certificate. Who must log in for what is the
// doorman's business:
//
//	/metrics  for Prometheus
//	/livez    does the loop answer, or recover; for whoever would start the process again
//	/healthz  one line: is this broker ready, and what does it lead
//	/readyz   the same, and are its replicas in sync, so that another broker may be stopped
//	/groups   one line per raft group, those with the greatest lag first
//	/steps    (POST) the longest steps since it was last asked for
//	/console/ for people: what package console serves, to a person whom whoIs knows
//	/check    (POST) does what the broker has noted agree with what it summarises; see Config.CheckOnRequest
//
// It answers from before the log is recovered until the broker has ended.
func (h *Host) serveMetrics(addr string) error {
	l, err := listen(addr, "metrics", "metrics")
	if err != nil {
		return err
	}
	h.metrics.ofProcess()
	if h.process == nil {
		h.metrics.own.MustRegister(h, h.clients.meter.vec, h.disk.fsync)
	}
	mux := http.NewServeMux()
	metrics := &page{make: promhttp.HandlerFor(h.gatherer(), promhttp.HandlerOpts{
		ErrorLog:           slog.NewLogLogger(h.cfg.Log.Handler(), slog.LevelWarn),
		DisableCompression: true, // it takes several times the CPU of everything else in a scrape
	}).ServeHTTP}
	health, ready := &page{make: h.each((*Host).serveHealth)}, &page{make: h.each((*Host).serveReady)}
	for path, at := range map[string]struct {
		from   AdminLogin
		change bool
		page   http.Handler
	}{
		"GET /metrics": {LoginForPages, false, metrics},
		"GET /healthz": {LoginForAll, false, health},
		"GET /livez":   {LoginForAll, false, &page{make: h.each((*Host).serveLife)}},
		"GET /readyz":  {LoginForAll, false, ready},
		"GET /groups":  {LoginForPages, false, &page{make: h.each((*Host).serveGroups)}},
		"POST /steps":  {LoginForChanges, true, h.each((*Host).serveSteps)},
		"POST /check":  {LoginForChanges, true, &page{make: h.each((*Host).serveCheck)}},
	} {
		mux.Handle(path, h.doorman.door(at.from, at.change, at.page))
	}
	h.console = console.New(h, selfSeed)
	mux.Handle("/console/", h.console.Handler(h.whoIs))
	mux.Handle("GET /{$}", http.RedirectHandler("/console/", http.StatusFound))
	h.http = &http.Server{
		Handler:           http.NewCrossOriginProtection().Handler(mux), // a browser's other pages must not change anything
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(h.cfg.Log.Handler(), slog.LevelDebug),
	}
	h.httpAddr = l.Addr()
	bound, scheme := h.overTLS(Bound(l))
	h.cfg.Log.Info("serving metrics", "url", scheme+"://"+l.Addr().String()+"/metrics")
	go h.http.Serve(bound) // until close
	return nil
}

// serveHealth answers 200 if this broker can do its part, and 503 otherwise. That a quorum is missing
// is in the text only: it is no reason to restart this broker or to send its clients away.
func (h *Host) serveHealth(w http.ResponseWriter, _ *http.Request) {
	v, ok := h.look()
	status, state := health(&v, ok, h.recovered.Load())
	h.writeHealth(w, &v, ok, status, state)
}

// serveReady answers 200 once another broker may be stopped as far as this one is concerned: it is ready, and in sync in all its partitions.
// A partition without a leader counts only until this broker has been in sync everywhere once: later it is no fault of this one's.
func (h *Host) serveReady(w http.ResponseWriter, _ *http.Request) {
	v, ok := h.look()
	status, state := health(&v, ok, h.recovered.Load())
	if status == http.StatusOK {
		behind := v.Partitions.Behind
		if !h.wasInSync.Load() {
			behind += v.Partitions.Unheard
		}
		if behind > 0 {
			status, state = http.StatusServiceUnavailable, fmt.Sprintf("catching up in %d partitions", behind)
		} else {
			h.wasInSync.Store(true)
		}
	}
	h.writeHealth(w, &v, ok, status, state)
}

// serveLife answers 503 only if the loop doesn't answer although it has recovered. No lack of others is a reason to end this process.
func (h *Host) serveLife(w http.ResponseWriter, _ *http.Request) {
	if h.recovered.Load() && !h.metrics.ask(answerTime, func(*node.Node) {}) {
		http.Error(w, "stuck or stopped", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "alive")
}

func (h *Host) writeHealth(w http.ResponseWriter, v *view, ok bool, status int, state string) {
	if status != http.StatusOK {
		w.WriteHeader(status)
	}
	meta := h.folder.meta
	fmt.Fprintf(w, "%s: broker %d of cluster %s", state, meta.BrokerID, meta.ClusterID)
	if ok {
		fmt.Fprintf(w, " leads %d of its %d groups, %d of them with replicas that are not in sync; %d have no leader; the catalog's leader is %s",
			v.Catalog.Leading+v.Partitions.Leading, v.Catalog.Groups+v.Partitions.Groups, v.Partitions.OutOfSync,
			v.Catalog.Leaderless+v.Partitions.Leaderless, brokerName(v.CatalogLeader))
	}
	fmt.Fprintln(w)
}

func health(v *view, answers, recovered bool) (status int, state string) {
	switch {
	case !recovered:
		return http.StatusServiceUnavailable, "recovering"
	case !answers:
		return http.StatusServiceUnavailable, "stuck or stopped"
	case v.Stopping:
		return http.StatusServiceUnavailable, "stopping"
	case !v.Ready:
		return http.StatusServiceUnavailable, "starting"
	default:
		return http.StatusOK, "ready"
	}
}

// maxGroups is how many groups serveGroups lists.
const maxGroups = 100

func (h *Host) serveGroups(w http.ResponseWriter, _ *http.Request) {
	all, ok := h.views()
	if !ok {
		http.Error(w, "the loop does not answer: it recovers, is stuck, or has ended", http.StatusServiceUnavailable)
		return
	}
	slices.SortStableFunc(all, func(a, b node.View) int { return cmp.Compare(groupLag(&b), groupLag(&a)) })
	fmt.Fprintf(w, "%-8s %-30s %-8s %8s %-7s %12s %12s %12s\n", "GROUP", "PARTITION", "ROLE", "TERM", "LEADER", "LAST", "COMMITTED", "APPLIED")
	for i := range all[:min(len(all), maxGroups)] {
		v := &all[i]
		name := "catalog"
		if v.Topic != "" {
			name = fmt.Sprintf("%s-%d", v.Topic, v.Partition)
		}
		fmt.Fprintf(w, "%-8d %-30s %-8s %8d %-7s %12d %12d %12d\n",
			v.Group, name, roleNames[v.Role], v.Term, brokerName(v.Lead), v.LastIndex, v.Commit, v.Applied)
	}
	if left := len(all) - maxGroups; left > 0 {
		fmt.Fprintf(w, "and %d more\n", left)
	}
}

// serveCheck has the loop compare everything that the node has noted. Nothing else happens meanwhile.
func (h *Host) serveCheck(w http.ResponseWriter, _ *http.Request) {
	if !h.cfg.CheckOnRequest {
		http.Error(w, "not allowed: the broker does nothing else meanwhile. Set check_on_request = true and restart it", http.StatusForbidden)
		return
	}
	var wrong error
	groups, began := 0, time.Now()
	ok := h.metrics.ask(answerTime, func(n *node.Node) {
		began = time.Now()
		wrong, groups = n.Check(true), len(n.Groups())
	})
	switch took := time.Since(began).Round(time.Microsecond); {
	case !ok:
		http.Error(w, "the loop does not answer: it recovers, is stuck, or has ended", http.StatusServiceUnavailable)
	case wrong != nil:
		h.cfg.Log.Error("what the broker has noted is wrong (a bug)", "what", wrong)
		http.Error(w, "wrong, which is a bug: "+wrong.Error(), http.StatusInternalServerError)
	default:
		fmt.Fprintf(w, "right: %d groups and all that waits, in %v\n", groups, took)
	}
}

// groupsAtOnce is how many groups the loop looks at after one step, about a quarter of a millisecond.
const groupsAtOnce = 2048

// views describes all groups, some of them in each step of the loop; false if the loop doesn't answer.
func (h *Host) views() (all []node.View, ok bool) {
	var ids []node.GroupID
	ok = h.metrics.ask(answerTime, func(n *node.Node) { ids = n.Groups() })
	for part := range slices.Chunk(ids, groupsAtOnce) {
		ok = ok && h.metrics.ask(answerTime, func(n *node.Node) {
			for _, id := range part {
				if v, known := n.Inspect(id); known {
					all = append(all, v)
				}
			}
		})
	}
	return all, ok
}

// groupLag orders groups by what is wrong with them.
func groupLag(v *node.View) uint64 {
	lag := v.LastIndex - min(v.LastIndex, v.Applied)
	if v.Lead < 0 {
		lag += 1 << 62 // nobody leads it
	}
	return lag
}

var roleNames = [...]string{
	node.Follower: "follower", node.PreCandidate: "asks", node.Candidate: "runs", node.Leader: "leader",
}

func brokerName(b node.BrokerID) string {
	if b < 0 {
		return "none"
	}
	return decimal(b)
}
