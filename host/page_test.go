// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

func TestPagesAreMadeSeldom(t *testing.T) {
	made := 0
	p := &page{make: func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header) > 0 {
			t.Errorf("the handler sees %v", r.Header)
		}
		made++
		w.Header().Set("Content-Type", "text/x")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "page %d", made)
	}}
	var last *httptest.ResponseRecorder
	begin := time.Now()
	for range 1000 {
		r := httptest.NewRequest("GET", "/x", nil)
		r.Header.Set("Accept", "anything")
		last = httptest.NewRecorder()
		p.ServeHTTP(last, r)
	}
	may := pagesAtOnce + 1 + int(time.Since(begin).Seconds()*pagesPerSecond)
	if made < pagesAtOnce || made > may {
		t.Errorf("1000 requests made %d pages; at most %d were due", made, may)
	}
	if want := fmt.Sprintf("page %d", made); last.Code != 503 || last.Body.String() != want || last.Header().Get("Content-Type") != "text/x" {
		t.Errorf("the last answer is %d %q %v, want the last page %q", last.Code, last.Body, last.Header(), want)
	}
}

func TestPageIsDue(t *testing.T) {
	p, now, due := page{}, time.Unix(1000, 0), 0
	for range 40 { // ten seconds, four times a second
		now = now.Add(time.Second / 4)
		for range 5 {
			if p.due(now) {
				due++
			}
		}
	}
	if due < 40+pagesAtOnce-2 || due > 40+pagesAtOnce {
		t.Errorf("%d pages in ten seconds, want four a second and %d more", due, pagesAtOnce)
	}
}

// Whoever waits while a page is made gets that one: if the loop is stuck, a page takes a second, and many that ask would
// wait one after the other.
func TestPageIsSharedByThoseWhoWait(t *testing.T) {
	begun, finish, made := make(chan struct{}), make(chan struct{}), 0
	p := &page{make: func(w http.ResponseWriter, _ *http.Request) {
		if made++; made == 1 {
			close(begun)
			<-finish
		}
	}}
	var wg sync.WaitGroup
	ask := func() { p.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/x", nil)) }
	wg.Go(ask)
	<-begun
	for range 5 {
		wg.Go(ask)
	}
	time.Sleep(50 * time.Millisecond) // they wait
	close(finish)
	wg.Wait()
	if made != 1 {
		t.Errorf("six that asked at once made %d pages", made)
	}
}
