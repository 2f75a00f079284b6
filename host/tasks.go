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
	case node.TaskAssign:
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
	some   sync.Cond
	queues [taskClasses][]node.Task
	turn   int // which of the classes before taskLong goes first
	closed bool
}

func newTasks(mail *mailbox) *tasks {
	t := &tasks{mail: mail}
	t.some.L = &t.mu
	return t
}

func (t *tasks) start() {
	for range readers() {
		t.wg.Go(t.checkQuickly)
		t.wg.Go(func() { inBackground(func() { t.work(t.short) }) })
	}
	t.wg.Go(func() { inBackground(func() { t.work(t.long) }) })
}

// do queues tasks.
func (t *tasks) do(list []node.Task) {
	if len(list) == 0 {
		return
	}
	t.mu.Lock()
	for _, task := range list {
		class := classOf(task.Kind)
		t.queues[class] = append(t.queues[class], task)
	}
	t.mu.Unlock()
	t.some.Broadcast()
}

func (t *tasks) work(next func() (node.Task, bool)) {
	for {
		task, ok := t.pop(next)
		if !ok {
			return
		}
		t.mail.done(task.Do())
	}
}

// checkQuickly checks batches, and leaves to others those that take long.
func (t *tasks) checkQuickly() {
	for {
		task, ok := t.pop(func() (node.Task, bool) { return t.take(taskQuick) })
		if !ok {
			return
		}
		if res, done := task.DoQuickly(); done {
			t.mail.done(res)
		} else {
			t.put(taskChecks, task)
		}
	}
}

func (t *tasks) put(class int, task node.Task) {
	t.mu.Lock()
	t.queues[class] = append(t.queues[class], task)
	t.mu.Unlock()
	t.some.Broadcast()
}

// pop waits for the next task; false when the queue is closed.
func (t *tasks) pop(next func() (node.Task, bool)) (node.Task, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		if t.closed {
			return node.Task{}, false
		}
		if task, ok := next(); ok {
			return task, true
		}
		t.some.Wait()
	}
}

func (t *tasks) short() (task node.Task, ok bool) {
	for range taskLong {
		class := t.turn
		t.turn = (t.turn + 1) % taskLong
		if task, ok = t.take(class); ok {
			break
		}
	}
	return task, ok
}

func (t *tasks) long() (node.Task, bool) { return t.take(taskLong) }

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
	t.some.Broadcast()
	t.wg.Wait()
}
