// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"math"
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
	q.pop(shortWorker)
	for id := range uint64(2) {
		q.put(taskChecks, node.Task{ID: 1000 + id, Kind: node.TaskCheck})
	}
	var got []uint64
	for range 4 {
		task, _ := q.pop(shortWorker)
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

// A producer's ordinary batch is checked while batches that unfold to much, or have much, are at work or wait.
func TestShortChecksPassLongOnes(t *testing.T) {
	m := newMailbox()
	q := newTasks(m)
	check := func(id uint64, batch []byte) node.Task {
		task := node.Task{ID: id, Kind: node.TaskCheck, Batch: batch}
		task.Demands.Unfold, task.Demands.Newest = 16<<20, math.MaxInt64
		return task
	}
	var list []node.Task
	long := gzipBatch(15 << 20)
	for id := range uint64(50) {
		list = append(list, check(id, long))
	}
	list = append(list, check(100, gzipBatch(10<<10)))
	q.do(list)
	q.start()
	defer q.close()
	before := 0
	for {
		for _, res := range m.take(newClock(), node.Never).Done {
			if res.Err != nil {
				t.Errorf("task %d: %v", res.ID, res.Err)
			}
			if res.ID == 100 {
				if before > 25 {
					t.Errorf("%d long checks were done before the short one", before)
				}
				return
			}
			before++
		}
	}
}

// gzipBatch is a batch of one record with a value of n bytes, which fold to little.
func gzipBatch(n int) []byte {
	body := []byte{0, 0, 0, 1} // attributes, timestamp, offset, no key
	body = append(binary.AppendVarint(body, int64(n)), make([]byte, n+1)...)
	var raw bytes.Buffer
	raw.Write(make([]byte, 61))
	zip := gzip.NewWriter(&raw)
	zip.Write(binary.AppendVarint(nil, int64(len(body))))
	zip.Write(body)
	zip.Close()
	b := raw.Bytes()
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	b[16], b[22], b[60] = 2, 1, 1 // format, codec, count
	return b
}
