// SPDX-License-Identifier: Apache-2.0

package host

import (
	"os"
	"sync"
)

// glance lets Go's scheduler look whether sockets have become readable. A thread looks only when nothing else is ready to run,
// and a loop that always has something left to do is always ready. If no other thread may run Go code (setting cpus), or all that
// may are busy, what clients and other brokers send is noticed every ten milliseconds, by the runtime's monitor. So the loop
// waits, now and then, for something that only such a look can bring: a byte that comes through a pipe.
type glance struct {
	r, w  *os.File
	again chan struct{}
	done  sync.WaitGroup
}

func newGlance() (*glance, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	g := &glance{r: r, w: w, again: make(chan struct{}, 1)}
	g.done.Go(g.write)
	return g, nil
}

// write sends a byte each time. It runs when the loop is about to wait, since the loop holds the thread until then.
func (g *glance) write() {
	b := []byte{0}
	for range g.again {
		if _, err := g.w.Write(b); err != nil {
			return
		}
	}
}

// look returns when the scheduler has looked, and all that it found ready before has run.
func (g *glance) look() {
	g.again <- struct{}{}
	var b [1]byte
	_, _ = g.r.Read(b[:]) // which fails only when it is closed
}

// close ends it. Nobody looks any more.
func (g *glance) close() {
	close(g.again)
	g.done.Wait()
	g.w.Close()
	g.r.Close()
}
