// SPDX-License-Identifier: Apache-2.0

package node

import "container/heap"

// deadlines calls functions at a time, ordered by (time, order of arrival).
type deadlines struct {
	heap deadlineHeap
	seq  uint64
}

// deadline is one call to come. A request that is answered takes its own out: answered requests
// outnumber expired ones by far, and each would keep its answer in memory until its time.
type deadline struct {
	at   Time
	seq  uint64
	pos  int // in the heap, -1 outside
	call func()
}

func (d *deadlines) add(at Time, fire func()) *deadline {
	d.seq++
	dl := &deadline{at: at, seq: d.seq, call: fire}
	heap.Push(&d.heap, dl)
	return dl
}

// cancel takes a deadline out if it hasn't fired.
func (d *deadlines) cancel(dl *deadline) {
	if dl.waits() {
		heap.Remove(&d.heap, dl.pos)
	}
}

// next returns when the earliest deadline is due, Never if there is none.
func (d *deadlines) next() Time {
	if len(d.heap) == 0 {
		return Never
	}
	return d.heap[0].at
}

// len returns how many are to come.
func (d *deadlines) len() int { return len(d.heap) }

// fire takes the earliest deadline out and calls its function.
func (d *deadlines) fire() { heap.Pop(&d.heap).(*deadline).call() }

// waits reports whether the deadline is still to come.
func (d *deadline) waits() bool { return d != nil && d.pos >= 0 }

// deadlineHeap implements heap.Interface.
type deadlineHeap []*deadline

func (h deadlineHeap) Len() int { return len(h) }

func (h deadlineHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}

func (h deadlineHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}

func (h *deadlineHeap) Push(x any) {
	d := x.(*deadline)
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
