// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"chronik/node"
)

// Tasks take a drawn time, so they may be done in any order and after anything: the batch is unpacked when that
// is over. One in a few is slow, as when the workers have much to do.

func (w *world) startTask(b *broker, t node.Task) {
	b.taskCount++
	h := hashOfTask(&t)
	w.note(evTask, b, h^t.ID<<8^uint64(t.Kind))
	mean := w.plan.Knobs.StepCost + 100*microsecond
	d := w.seed.Draw(domainTask, uint64(b.number), b.taskCount)
	if d.Next().Ratio(1, 10) {
		mean *= 100
	}
	w.schedule(event{at: w.now + span(d, mean) + 1, kind: evTask, broker: b, incarnation: b.incarnation, task: &t, hash: h})
}

// hashOfTask is of what nobody may change before the task is done: its batch or pieces, and the answer that it encodes.
func hashOfTask(t *node.Task) uint64 {
	if t.Kind == node.TaskEncode {
		return hashOfPieces(t.Do().Frame)
	}
	h := hashOf(t.Batch)
	for _, p := range t.Pieces {
		h = h<<1 ^ hashOf(p)
	}
	return h
}

// finishTask does a task and puts what came of it into the mailbox.
func (w *world) finishTask(e event) {
	b := e.broker
	if b.node == nil || b.incarnation != e.incarnation {
		return
	}
	h := uint64(0)
	if e.task.Kind != node.TaskEncode {
		h = hashOfTask(e.task)
	}
	e.task.Tools = &w.tools
	res := e.task.Do()
	if e.task.Kind == node.TaskEncode {
		h = hashOfPieces(res.Frame) // as hashOfTask, without encoding it twice
	}
	if h != e.hash {
		w.fail("aliasing", "broker %d changed what task %d looked at", b.number, e.task.ID)
	}
	w.note(evTask, b, hashOf(res.Batch)^hashOfPieces(res.Frame)^res.ID)
	b.mail.done = append(b.mail.done, res)
}
