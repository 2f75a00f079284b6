// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"fmt"
	"sync"
	"time"
)

// progress says from time to time how far a job is.
type progress struct {
	until map[partitionKey]int64 // by partition, where a backup ends
	all   int64                  // of what is counted
	say   func(format string, args ...any)
	what  string

	mu    sync.Mutex
	did   int64
	bytes int64
	began time.Time
	told  time.Time
}

const tellEvery = 2 * time.Second

func (j *job) begin(what string) {
	j.what, j.began, j.told, j.say = what, time.Now(), time.Now(), j.o.Say
}

// done counts what was done.
func (p *progress) done(n, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.did, p.bytes = p.did+n, p.bytes+bytes
	if now := time.Now(); now.Sub(p.told) >= tellEvery {
		p.told = now
		took := now.Sub(p.began)
		p.say("%d of %d %s, %s, %.1f MiB/s%s", p.did, p.all, p.what, mib(p.bytes), float64(p.bytes)/(1<<20)/took.Seconds(), left(p.did, p.all, took))
	}
}

func (p *progress) end() {
	p.say("%d of %d %s, %s, in %v", p.did, p.all, p.what, mib(p.bytes), time.Since(p.began).Round(10*time.Millisecond))
}

// left is how long the rest takes if it goes on as it went.
func left(did, all int64, took time.Duration) string {
	if did <= 0 || did >= all {
		return ""
	}
	return fmt.Sprintf(", about %v left", time.Duration(float64(took)/float64(did)*float64(all-did)).Round(time.Second))
}
