// SPDX-License-Identifier: Apache-2.0

package host

import (
	"log/slog"
	"net/http"
	"net/http/pprof"
	"time"
)

// servePprof serves Go's profiler on a port of its own, under the TLS and the logins of the metrics port.
func (h *Host) servePprof(addr string) error {
	l, err := listen(addr, "the profiler", "pprof")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	for path, page := range map[string]http.HandlerFunc{
		"/debug/pprof/": pprof.Index, "/debug/pprof/cmdline": pprof.Cmdline, "/debug/pprof/profile": pprof.Profile,
		"/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace,
	} {
		mux.Handle(path, h.doorman.door(LoginForChanges, true, page))
	}
	h.pprofAddr = l.Addr()
	// A profile takes half a minute or more, so there is no time-out for answers.
	h.pprof = &http.Server{
		Handler: mux, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(h.cfg.Log.Handler(), slog.LevelDebug),
	}
	bound, scheme := h.overTLS(Bound(l))
	h.cfg.Log.Info("serving the profiler", "url", scheme+"://"+l.Addr().String()+"/debug/pprof/")
	go h.pprof.Serve(bound) // until close
	return nil
}
