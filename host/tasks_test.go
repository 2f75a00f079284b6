// SPDX-License-Identifier: Apache-2.0

package host

import (
	"testing"

	"chronik/node"
)

// However many searches wait, a check is the next or the one after.
func TestNoClassOfTasksStarvesTheOther(t *testing.T) {
	q := newTasks(newMailbox())
	var list []node.Task
	for id := range uint64(100) {
		list = append(list, node.Task{ID: id, Kind: node.TaskFind})
	}
	q.do(list)
	q.pop(q.short)
	q.do([]node.Task{{ID: 1000, Kind: node.TaskCheck}, {ID: 1001, Kind: node.TaskCheck}})
	var got []uint64
	for range 4 {
		task, _ := q.pop(q.short)
		got = append(got, task.ID)
	}
	checks := 0
	for _, id := range got {
		if id >= 1000 {
			checks++
		}
	}
	if checks != 2 {
		t.Errorf("of the next four tasks %d are checks, want 2: %v", checks, got)
	}
}

func TestTasksAreDone(t *testing.T) {
	m := newMailbox()
	q := newTasks(m)
	q.start()
	q.do([]node.Task{{ID: 7, Kind: node.TaskCheck, Batch: []byte("no batch"), Limit: 100}})
	in := m.take(newClock(), node.Never)
	if len(in.Done) != 1 || in.Done[0].ID != 7 || in.Done[0].Err == nil {
		t.Errorf("%+v", in.Done)
	}
	q.close()
}
