// SPDX-License-Identifier: Apache-2.0

package host

import (
	"sync"

	"chronik/node"
)

// taskClasses are checks of producers' batches, and everything else: searches and compaction.
const taskClasses = 2

// tasks does the node's work on bytes: on as many goroutines as read old entries, so that at most half of the
// CPUs are busy with it. Classes take turns, so that no flood of one makes the other wait for more than the
// task in hand. The node bounds how many there are.
type tasks struct {
	mail *mailbox
	wg   sync.WaitGroup

	mu     sync.Mutex
	some   sync.Cond
	queues [taskClasses][]node.Task
	turn   int // the class that goes first
	closed bool
}

func newTasks(mail *mailbox) *tasks {
	t := &tasks{mail: mail}
	t.some.L = &t.mu
	return t
}

func (t *tasks) start() {
	for range readers() {
		t.wg.Go(t.work)
	}
}

// do queues tasks.
func (t *tasks) do(list []node.Task) {
	if len(list) == 0 {
		return
	}
	t.mu.Lock()
	for _, task := range list {
		class := 1
		if task.Kind == node.TaskCheck {
			class = 0
		}
		t.queues[class] = append(t.queues[class], task)
	}
	t.mu.Unlock()
	t.some.Broadcast()
}

func (t *tasks) work() {
	for {
		task, ok := t.pop()
		if !ok {
			return
		}
		t.mail.done(task.Do())
	}
}

// pop waits for a task; false when the queue is closed.
func (t *tasks) pop() (node.Task, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		if t.closed {
			return node.Task{}, false
		}
		for range taskClasses {
			q := &t.queues[t.turn]
			t.turn = (t.turn + 1) % taskClasses
			if len(*q) > 0 {
				task := (*q)[0]
				(*q)[0] = node.Task{}
				*q = (*q)[1:]
				return task, true
			}
		}
		t.some.Wait()
	}
}

// close lets the tasks under way finish and drops those that have not begun.
func (t *tasks) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.some.Broadcast()
	t.wg.Wait()
}
