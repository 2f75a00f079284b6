// SPDX-License-Identifier: Apache-2.0

package host

import (
	"runtime"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"chronik/wal"
)

// readers is how many goroutines read old entries: at most half of the CPUs are busy with that.
func readers() int { return min(max(1, runtime.NumCPU()/2), 4) }

// disk carries out a log's operations: one goroutine writes, so that a group commit never waits
// behind a slow read; some read for followers and consumers; one does what the log needs itself, such as
// preparing the next segment, which must not wait behind many reads either.
type disk struct {
	fs     wal.FS
	mail   *mailbox
	writes opQueue
	reads  opQueue
	upkeep opQueue
	fsync  prometheus.Histogram // of group commits
	wg     sync.WaitGroup
}

func newDisk(fs wal.FS, mail *mailbox) *disk {
	d := &disk{fs: fs, mail: mail}
	d.fsync = newHistogram("chronik_log_fsync_duration_seconds",
		"Time of the fsync of one group commit.", diskBuckets())
	d.writes.init()
	d.reads.init()
	d.upkeep.init()
	return d
}

func (d *disk) start() {
	d.wg.Go(func() { d.work(&d.writes, timedFS{d.fs, d.fsync}) })
	d.wg.Go(func() { d.work(&d.upkeep, d.fs) })
	for range readers() {
		d.wg.Go(func() { d.work(&d.reads, d.fs) })
	}
}

// do queues operations. Their number is bounded by the node, which asks for them.
func (d *disk) do(ops []wal.Op) {
	for _, op := range ops {
		switch op.Kind {
		case wal.OpWrite:
			d.writes.push(op)
		case wal.OpRead:
			d.reads.push(op)
		default:
			d.upkeep.push(op)
		}
	}
}

func (d *disk) work(q *opQueue, fs wal.FS) {
	for {
		op, ok := q.pop()
		if !ok {
			return
		}
		d.mail.result(wal.Do(fs, op))
	}
}

// close lets the operations under way finish and drops those that have not begun.
func (d *disk) close() {
	d.writes.close()
	d.reads.close()
	d.upkeep.close()
	d.wg.Wait()
}

// opQueue is a queue for one kind of worker.
type opQueue struct {
	mu     sync.Mutex
	some   sync.Cond
	ops    []wal.Op
	closed bool
}

func (q *opQueue) init() { q.some.L = &q.mu }

func (q *opQueue) push(op wal.Op) {
	q.mu.Lock()
	q.ops = append(q.ops, op)
	q.mu.Unlock()
	q.some.Signal()
}

// pop waits for the oldest operation; false when the queue is closed.
func (q *opQueue) pop() (wal.Op, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ops) == 0 && !q.closed {
		q.some.Wait()
	}
	if q.closed {
		return wal.Op{}, false
	}
	op := q.ops[0]
	q.ops[0] = wal.Op{}
	if q.ops = q.ops[1:]; len(q.ops) == 0 {
		q.ops = nil
	}
	return op, true
}

func (q *opQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.some.Broadcast()
}
