// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"net/http"
	"sync"
	"time"
)

// A page of the admin port is rebuilt at most pagesPerSecond times per second, with bursts of pagesAtOnce. Whoever
// asks more often gets the last one again, so that no crowd keeps the loop and the registry busy.
const (
	pagesPerSecond = 4
	pagesAtOnce    = 8
)

// page serves a handler's answer, or the one that it gave somebody else a moment ago. The handler sees one request at
// a time, without any header, so its answer must not depend on the client.
type page struct {
	make http.HandlerFunc

	mu     sync.Mutex
	made   time.Time // when the page was finished
	spent  time.Time // a new page moves it on by the time that a page stands for, from the past at the earliest
	status int
	header http.Header
	body   bytes.Buffer
}

// ServeHTTP implements http.Handler.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, header, body := p.get(r)
	for name, values := range header {
		w.Header()[name] = values
	}
	w.WriteHeader(status)
	w.Write(body)
}

// get returns the page. Nobody changes it any more.
func (p *page) get(r *http.Request) (int, http.Header, []byte) {
	asked := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.made.After(asked) { // it was made while this request waited; with a stuck loop each page takes a second
		return p.status, p.header, p.body.Bytes()
	}
	if p.due(time.Now()) || p.made.IsZero() {
		plain := r.Clone(r.Context())
		plain.Header = http.Header{}
		p.status, p.header, p.body = http.StatusOK, http.Header{}, bytes.Buffer{}
		p.make((*pageWriter)(p), plain)
		p.made = time.Now()
	}
	return p.status, p.header, p.body.Bytes()
}

// due reports whether the page may be rebuilt, and counts that.
func (p *page) due(now time.Time) bool {
	const each = time.Second / pagesPerSecond
	if first := now.Add(-pagesAtOnce * each); p.spent.Before(first) {
		p.spent = first
	}
	if now.Before(p.spent.Add(each)) {
		return false
	}
	p.spent = p.spent.Add(each)
	return true
}

// pageWriter is the http.ResponseWriter that fills a page.
type pageWriter page

func (p *pageWriter) Header() http.Header         { return p.header }
func (p *pageWriter) WriteHeader(status int)      { p.status = status }
func (p *pageWriter) Write(b []byte) (int, error) { return p.body.Write(b) }
