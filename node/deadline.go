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
	fire func()
}

func (d *deadlines) add(at Time, fire func()) *deadline {
	d.seq++
	dl := &deadline{at: at, seq: d.seq, fire: fire}
	heap.Push(&d.heap, dl)
	return dl
}

// cancel takes a deadline out if it hasn't fired.
func (d *deadlines) cancel(dl *deadline) {
	if dl != nil && dl.pos >= 0 {
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

// expireDeadlines fires what is due, at least one, until the step's budget is spent. The rest is due in the next step:
// clients can let very many members, sessions and waits end at once.
func (n *Node) expireDeadlines() {
	for first := true; n.deadlines.next() <= n.now && (first || !n.spent(1)); first = false {
		n.out.Work.Names++
		heap.Pop(&n.deadlines.heap).(*deadline).fire()
	}
}

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
