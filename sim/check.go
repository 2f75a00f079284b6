// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"

	"chronik/node"
)

// allEvery is after how many steps, in the mean, everything that a broker has noted is compared with what it summarises.
const allEvery = 256

// checkNotes compares what a broker keeps beside the truth with the truth: after each step what the step changed, after some
// of them everything.
func (w *world) checkNotes(b *broker, out *node.Output) {
	if out.End != nil {
		return // it doesn't put in order what it leaves
	}
	all := w.seed.Draw(domainCheck, uint64(b.number), b.steps).Ratio(1, allEvery)
	if err := b.node.Check(all); err != nil {
		w.fail("bookkeeping", "broker %d: %v", b.number, err)
	}
	if !all {
		return
	}
	if err := b.disk.check(); err != nil {
		panic(fmt.Sprintf("the simulated disk of broker %d: %v", b.number, err))
	}
}

// checkAllNotes does so once more for everything, at the end of a run.
func (w *world) checkAllNotes() {
	for _, b := range w.brokers {
		if b.node == nil {
			continue
		}
		if err := b.node.Check(true); err != nil {
			w.fail("bookkeeping", "broker %d, in the end: %v", b.number, err)
		}
	}
	w.checkLinks()
}

// check compares the lists of unsynced pages with the pages.
func (d *disk) check() error {
	for _, names := range [][]dirent{d.cached, d.durable} {
		for i, e := range names {
			if i > 0 && names[i-1].name >= e.name {
				return fmt.Errorf("file %s comes after %s", e.name, names[i-1].name)
			}
			if err := e.file.check(); err != nil {
				return fmt.Errorf("file %s: %w", e.name, err)
			}
		}
	}
	return nil
}

func (f *file) check() error {
	dirty := 0
	for i, is := range f.dirty {
		if is != slices.Contains(f.dirtyPages, i) {
			return fmt.Errorf("page %d is unsynced: %v", i, is)
		}
		if is {
			dirty++
		}
	}
	if dirty != len(f.dirtyPages) || len(f.dirty) != len(f.pages) || f.size > int64(len(f.pages))*pageBytes || f.durableSize > int64(len(f.durable))*pageBytes {
		return fmt.Errorf("%d bytes in %d pages, %d of them unsynced (%d are noted); durable are %d bytes in %d pages", f.size, len(f.pages), dirty, len(f.dirtyPages), f.durableSize, len(f.durable))
	}
	return nil
}

// checkLinks compares the messages under way that links count with those that are.
func (w *world) checkLinks() {
	var there [len(w.net.links)][len(w.net.links)]int
	for _, k := range w.heap.keys {
		if e := &w.heap.slab[k.slot]; e.kind == evMessage {
			there[e.from][e.broker.number]++
		}
	}
	for from := range there {
		for to, n := range there[from] {
			if queued := w.net.links[from][to].queued; queued != n {
				panic(fmt.Sprintf("link %d-%d counts %d messages under way, there are %d", from, to, queued, n))
			}
		}
	}
}
