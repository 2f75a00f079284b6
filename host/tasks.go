// SPDX-License-Identifier: Apache-2.0

package host

import (
	"sync"

	"chronik/node"
)

// Classes of tasks: checks of producers' batches that aren't quick; large requests and answers; searches and compaction; what
// may take long at once; and checks that nobody has looked at.
const (
	taskChecks = iota
	taskFrames
	taskOthers
	taskLong
	taskQuick
	taskClasses
)

func classOf(k node.TaskKind) int {
	switch k {
	case node.TaskCheck:
		return taskQuick
	case node.TaskParse, node.TaskEncode:
		return taskFrames
	case node.TaskAssign, node.TaskPack, node.TaskRepack, node.TaskDecode:
		return taskLong
	default:
		return taskOthers
	}
}

// tasks does the node's work on bytes: on as many goroutines as read old entries, so that at most half of the
// CPUs are busy with it. Classes take turns, so that no flood of one makes the other wait for more than the
// task in hand. What may take long has a goroutine of its own. The node bounds how many there are.
//
// All that is done in the background but for the check of an ordinary producer's batch, which takes less than a
// millisecond, and which on a busy machine would wait longest of all.
type tasks struct {
	mail *mailbox
	wg   sync.WaitGroup

	mu     sync.Mutex
	some   [3]sync.Cond // one for each kind of worker: those in the background aren't woken for nothing
	queues [taskClasses][]node.Task
	turn   int // which of the classes before taskLong goes first
	closed bool
}

func newTasks(mail *mailbox) *tasks {
	t := &tasks{mail: mail}
	for i := range t.some {
		t.some[i].L = &t.mu
	}
	return t
}

func (t *tasks) start() {
	for range readers() {
		t.wg.Go(t.checkQuickly)
		t.wg.Go(func() { inBackground(func() { t.work(shortWorker) }) })
	}
	t.wg.Go(func() { inBackground(func() { t.work(longWorker) }) })
}

// The kinds of workers.
const (
	shortWorker = iota
	longWorker
	quickWorker
)

func workerFor(class int) int {
	switch class {
	case taskLong:
		return longWorker
	case taskQuick:
		return quickWorker
	default:
		return shortWorker
	}
}

// do queues tasks.
func (t *tasks) do(list []node.Task) {
	for _, task := range list {
		t.put(classOf(task.Kind), task)
	}
}

func (t *tasks) put(class int, task node.Task) {
	t.mu.Lock()
	t.queues[class] = append(t.queues[class], task)
	t.mu.Unlock()
	t.some[workerFor(class)].Signal()
}

func (t *tasks) work(worker int) {
	var tools node.Tools
	for {
		task, ok := t.pop(worker)
		if !ok {
			return
		}
		task.Tools = &tools
		t.mail.done(task.Do())
	}
}

// checkQuickly checks batches, and leaves to others those that take long.
func (t *tasks) checkQuickly() {
	var tools node.Tools
	for {
		task, ok := t.pop(quickWorker)
		if !ok {
			return
		}
		task.Tools = &tools
		if res, done := task.DoQuickly(); done {
			t.mail.done(res)
		} else {
			task.Tools = nil
			t.put(taskChecks, task)
		}
	}
}

// pop waits for a worker's next task; false when the queue is closed.
func (t *tasks) pop(worker int) (node.Task, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		if t.closed {
			return node.Task{}, false
		}
		if task, ok := t.next(worker); ok {
			return task, true
		}
		t.some[worker].Wait()
	}
}

// next takes a worker's oldest task, of those of short ones from the next class in turn.
func (t *tasks) next(worker int) (task node.Task, ok bool) {
	switch worker {
	case longWorker:
		return t.take(taskLong)
	case quickWorker:
		return t.take(taskQuick)
	}
	for range taskLong {
		class := t.turn
		t.turn = (t.turn + 1) % taskLong
		if task, ok = t.take(class); ok {
			break
		}
	}
	return task, ok
}

// take takes the oldest task of a class.
func (t *tasks) take(class int) (task node.Task, ok bool) {
	q := &t.queues[class]
	if len(*q) == 0 {
		return task, false
	}
	task, (*q)[0] = (*q)[0], task
	*q = (*q)[1:]
	return task, true
}

// close lets the tasks under way finish and drops those that have not begun.
func (t *tasks) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	for i := range t.some {
		t.some[i].Broadcast()
	}
	t.wg.Wait()
}
