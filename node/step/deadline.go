// SPDX-License-Identifier: Apache-2.0

package step

import (
	"container/heap"
	"fmt"
)

// Deadlines calls functions at a time, ordered by (time, order of arrival).
type Deadlines struct {
	heap deadlineHeap
	seq  uint64
}

// Deadline is one call to come. A request that is answered takes its own out: answered requests
// outnumber expired ones by far, and each would keep its answer in memory until its time.
type Deadline struct {
	At   Time
	seq  uint64
	pos  int // in the heap, -1 outside
	call func()
}

// Add lets a function be called at a time.
func (d *Deadlines) Add(at Time, fire func()) *Deadline {
	d.seq++
	dl := &Deadline{At: at, seq: d.seq, call: fire}
	heap.Push(&d.heap, dl)
	return dl
}

// Cancel takes a deadline out if it hasn't fired.
func (d *Deadlines) Cancel(dl *Deadline) {
	if dl.Waits() {
		heap.Remove(&d.heap, dl.pos)
	}
}

// Next returns when the earliest deadline is due, Never if there is none.
func (d *Deadlines) Next() Time {
	if len(d.heap) == 0 {
		return Never
	}
	return d.heap[0].At
}

// Len returns how many are to come.
func (d *Deadlines) Len() int { return len(d.heap) }

// Fire takes the earliest deadline out and calls its function.
func (d *Deadlines) Fire() { heap.Pop(&d.heap).(*Deadline).call() }

// Waits reports whether the deadline is still to come.
func (d *Deadline) Waits() bool { return d != nil && d.pos >= 0 }

// deadlineHeap implements heap.Interface.
type deadlineHeap []*Deadline

func (h deadlineHeap) Len() int { return len(h) }

func (h deadlineHeap) Less(i, j int) bool {
	return h[i].At < h[j].At || h[i].At == h[j].At && h[i].seq < h[j].seq
}

func (h deadlineHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}

func (h *deadlineHeap) Push(x any) {
	d := x.(*Deadline)
	d.pos = len(*h)
	*h = append(*h, d)
}

func (h *deadlineHeap) Pop() any {
	old := *h
	d := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	d.pos = -1
	return d
}

// Check looks at the order of deadlines, and whether each knows its place.
func (d *Deadlines) Check() error {
	for i, dl := range d.heap {
		if dl.pos != i || i > 0 && d.heap.Less(i, (i-1)/2) {
			return fmt.Errorf("the deadline at position %d says %d, and is due at %d", i, dl.pos, dl.At)
		}
	}
	return nil
}
