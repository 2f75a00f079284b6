// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"errors"
	"slices"

	"chronik/node"
	"chronik/sim/plan"
	"chronik/wal"
)

// step tells a broker what happened and does what it wants.
func (w *world) step(b *broker) {
	b.steps++
	w.brokersDid++
	w.result.Steps++
	in := b.fill(w.stepLimit(b))
	in.Now, in.UnixMs, in.Stop = b.local(w.now), b.unixMs(w.now), b.stopBy != 0
	b.stirred = b.isStirred(in)
	b.wake = node.Never
	w.random.turn(b)
	out := b.node.Step(in)
	w.random.done(b)
	w.checkNotes(b, out)
	w.note(0, b, uint64(in.Now))
	if w.tracing() {
		w.traceStep(b, in, out)
	}
	b.unfinished = out.Wake <= in.Now || b.node.TakesBreak()
	// A clock may let a request begin that waited for the end of another one, or entries be sent that the rate limit held back.
	if b.stirred = b.stirred || out.Work.Requests+out.Work.Sent > 0; b.stirred {
		w.stir()
	}
	b.wake = max(b.virtual(out.Wake), w.now+1)
	b.busyUntil = w.now + span(w.seed.Draw(domainStep, uint64(b.number), b.steps), w.plan.Knobs.StepCost*plan.Duration(1+b.stepRate))
	b.spent.add(in, out)
	b.cost += int64(out.Work.Cost())
	b.named += out.Work.Names + out.Work.Parts
	if !out.Work.Within(b.budget) {
		w.fail("step-budget", "broker %d did more in one step than its budget allows: %+v, in all %d of %d", b.number, out.Work, out.Work.Cost(), b.budget)
	}
	w.carryOut(b, out)
}

// stepLimit is how much of each sort the next step takes: all, or as little as the plan says.
func (w *world) stepLimit(b *broker) int {
	limit := w.plan.Knobs.StepItems
	return int(w.seed.Draw(domainCut, uint64(b.number), b.steps).Between(int64(limit+1)/2, int64(limit)))
}

// carryOut does what a step wants done, then looks at what it changed.
func (w *world) carryOut(b *broker, out *node.Output) {
	w.dial(b, out.Members)
	w.noteHeld(b)
	for _, m := range out.Messages {
		if m.Back != 0 {
			w.sendBack(b, m)
			continue
		}
		w.send(b, m)
	}
	for _, op := range out.Ops {
		w.startOp(b, op)
	}
	for _, t := range out.Tasks {
		w.startTask(b, t)
	}
	for _, r := range out.Replies {
		w.reply(b, r)
	}
	if b.first == nil {
		w.checkLevel(b)
	}
	if !b.stray {
		w.judge.observe(w, b, out)
		w.noteChanged(out.Changed)
		if out.Work.Placed > 0 {
			w.disturbed()
		}
	}
	var tooOld error
	for _, e := range out.Events {
		if b.first != nil {
			break
		}
		w.result.Events[e.Kind]++
		if e.Kind == node.EventNotReady && w.waitsTooOld(b, e.Text) {
			tooOld = errors.New(e.Text)
		}
		if w.features != nil {
			w.features.event(b, &e)
		}
		if e.Kind == node.EventBrokerRemoved && e.N > 0 && int(e.N) <= len(w.brokers) {
			o := w.brokers[e.N-1]
			o.removed = max(o.removed, uint32(e.Term))
		}
		w.observe(int(e.Kind), b)
	}
	switch {
	case b.first != nil && out.End != nil:
		w.secondEnded(b, out.End)
	case b.first != nil:
		w.stepped(b)
	case out.End != nil:
		w.ended(b, out.End)
	case tooOld != nil:
		w.unfit(b, tooOld)
	case b.stopBy != 0 && (out.Stopped || w.now >= b.stopBy):
		w.crash(b, false, b.downAfter)
	}
}

// ended ends a broker that says that it is at its end, as the host does. After a failure of its disk it starts again.
func (w *world) ended(b *broker, end *node.End) {
	if b.stray {
		w.strayEnded(b, end)
		return
	}
	if end.Kind == node.EndLevel {
		w.unfit(b, end)
		return
	}
	if w.plan.Beyond() {
		w.refused(b, end.Error())
		return
	}
	if end.Kind == node.EndTaken && w.mayBeTaken(b) {
		w.crash(b, false, node.Time(second))
		return
	}
	if end.OutOfCluster() {
		w.outOfCluster(b, end)
		return
	}
	if end.Kind == node.EndFounders {
		w.founderEnded(b, end)
		return
	}
	if !b.diskFault {
		w.fail("fatal", "broker %d ended without a disk fault: %v", b.number, end)
	}
	d := w.seed.Draw(domainRestart, uint64(b.number), b.crashes)
	w.crash(b, d.Ratio(1, 2), node.Time(d.Next().LogUniform(int64(10*millisecond), int64(5*second))))
}

func (w *world) send(b *broker, m node.Envelope) {
	from, to := b.number, int(m.To)
	if to < 1 || to == from {
		w.fail("address", "broker %d sent a message to %d", from, to)
	}
	if to > len(w.brokers) || b.dials[to] != to {
		return // one that somebody invented, or that isn't where it is looked for, and says so
	}
	w.result.Messages++
	h, way := hashOfPieces(m.Pieces), uint64(0)
	if b.first != nil {
		way = b.incarnation
	}
	size := 0
	for _, p := range m.Pieces {
		size += len(p)
	}
	first, second := w.net.arrivals(w.now, from, to, size)
	w.note(evMessage, b, h^uint64(first))
	if first == node.Never {
		w.disturbed()
	}
	for _, t := range [...]node.Time{first, second} {
		if t != node.Never {
			w.schedule(event{at: t, kind: evMessage, broker: w.brokers[to-1], from: from, idle: !b.stirred, incarnation: way, pieces: m.Pieces, hash: h})
		}
	}
}

// startOp lets an operation take its time at the disk.
func (w *world) startOp(b *broker, op wal.Op) {
	b.opCount++
	w.result.DiskOps++
	h := hashOf(op.Data)
	w.note(evOp, b, h^op.ID<<8^uint64(op.Kind))
	b.ops = append(b.ops, op)
	mean := w.plan.Knobs.WriteLatency
	if op.Kind != wal.OpRead {
		b.changedDisk = w.now
	}
	switch op.Kind {
	case wal.OpRead:
		mean = w.plan.Knobs.ReadLatency
	case wal.OpPrepare:
		mean *= 4
	}
	d := w.seed.Draw(domainOp, uint64(b.number), b.opCount)
	if d.Next().Ratio(1, 50) {
		mean *= 10
	}
	end := w.now + span(d, mean*plan.Duration(1+b.slowness)) + 1
	w.schedule(event{at: end, kind: evOp, broker: b, incarnation: b.incarnation, op: op.ID, hash: h, slowness: b.slowness})
	if op.Kind == wal.OpWrite {
		w.checkWrite(b, op)
		w.observe(w.anchor(plan.WorldWriteIssued), b)
	}
}

// anchor numbers an event of the world as plan.AnchorIndex does.
func (w *world) anchor(worldEvent int) int { return len(w.result.Events) + worldEvent }

// do carries an operation out. Those of a process that has too many open files can't begin to read.
func (b *broker) do(op wal.Op) wal.Result {
	if b.failReads > 0 && (op.Kind == wal.OpRead || op.Kind == wal.OpMove || op.Kind == wal.OpScrub) {
		return wal.Result{Op: op, Err: errInjected}
	}
	return wal.Do(b.disk, op)
}

// finishOp carries an operation out and puts its result into the mailbox.
func (w *world) finishOp(e event) {
	b := e.broker
	if b.node == nil || b.incarnation != e.incarnation {
		return
	}
	if w.now < b.stalledUntil {
		e.at = b.stalledUntil + e.at%node.Time(millisecond)
		w.schedule(e)
		return
	}
	i := slices.IndexFunc(b.ops, func(op wal.Op) bool { return op.ID == e.op })
	op := b.ops[i]
	b.ops = slices.Delete(b.ops, i, i+1)
	if hashOf(op.Data) != e.hash {
		w.fail("aliasing", "broker %d changed the bytes of write %d while it was under way", b.number, op.ID)
	}
	if b.disk.failSyncs > 0 || b.disk.failWrites > 0 {
		b.diskFault = true
	}
	b.disk.covered = 0
	w.disksDid++
	res := b.do(op)
	w.checkPrepared(b, op)
	w.note(evOp, b, hashOf(res.Data)^op.ID)
	b.mail.results = append(b.mail.results, res)
	if op.Kind != wal.OpWrite || b.stray {
		return
	}
	w.judge.written(w, b, op)
	if res.Err == nil {
		b.lastFile, b.lastEnd = op.File, op.Off+int64(len(op.Data))
		w.observe(w.anchor(plan.WorldWriteSynced), b)
	}
}
