// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"
	//det:ok only the stack of a failed run is taken, which is shown and neither hashed nor compared
	"runtime/debug"

	"chronik/kafka"
	"chronik/node"
	"chronik/sim/keyed"
	"chronik/sim/plan"
	"chronik/wal"
)

// world is a run under way: one thread, one heap of events, one virtual clock.
type world struct {
	plan    *plan.Plan
	seed    keyed.Seed
	options Options
	result  *Result

	now       node.Time
	heap      eventHeap
	hash      hasher
	random    raftRandom
	net       network
	brokers   []*broker
	extra     []*broker // second processes with the id of one of them
	clients   []*client
	consumers []*member
	attackers []*attacker
	watchers  []*watcher
	conns     uint64 // made so far

	doomed      map[string]bool // topics that some call deletes, or gives more partitions: their records may go any time
	clocksRight bool            // of most brokers, all the time

	secondStarts uint64
	held         []hold // by time

	rotten   []rotten
	armed    []armed
	anchored [][]int // by plan.AnchorIndex: faults that wait for such an event
	healing  bool    // the liveness phase: no more faults
	emptied  bool    // all records were deleted, because the disks were full
	healedAt node.Time
	verifier *client // of the liveness phase
	asked    int     // calls given to it
	judge    *judge

	// Of a soak. Other runs have one epoch.
	epoch                 int
	epochBegan            node.Time
	hotReads, cachedReads int64 // of brokers that are down
}

// Options of a run that do not change it.
type Options struct {
	Trace func(line string) // is given one line for each event; nil: no trace
}

// Run carries out a plan. It never fails itself: whatever goes wrong inside, panics included, is the
// Failure of the result. It replaces crypto/rand.Reader while it runs.
func Run(p *plan.Plan, opt Options) *Result {
	if err := p.Validate(); err != nil {
		return &Result{Seed: p.Seed, Profile: p.Profile, Failure: &Failure{Check: "plan", Text: err.Error()}}
	}
	w := newWorld(p, opt)
	defer w.random.install()()
	w.result.Failure = w.protect(func() {
		w.start()
		w.runUntil(at(p.Safety), func() bool { return false })
		w.settle()
	})
	w.finish()
	return w.result
}

// protect runs f and turns a panic into a failure.
func (w *world) protect(f func()) (failure *Failure) {
	defer func() {
		w.random.inTurn = false
		switch r := recover().(type) {
		case nil:
		case stop:
			failure = r.failure
		default:
			failure = &Failure{Check: "panic", Text: fmt.Sprint(r), At: w.now, Stack: string(debug.Stack())}
		}
		if failure != nil && w.tracing() {
			w.tracef("FAIL  %v", failure)
		}
	}()
	f()
	return nil
}

func newWorld(p *plan.Plan, opt Options) *world {
	s := keyed.Seed(p.Seed)
	w := &world{
		plan: p, seed: s, options: opt, hash: 1,
		random: raftRandom{seed: s},
		net: network{
			seed: s, latency: p.Knobs.LinkLatency, inOrder: p.Knobs.LinkInOrder, brokers: p.Brokers,
		},
		doomed: make(map[string]bool),

		clocksRight: p.RightClocks(),

		anchored: make([][]int, len(plan.AnchorNames())),
		result: &Result{
			Seed: p.Seed, Profile: p.Profile,
			Faults: make([]FaultCount, len(plan.FaultKinds)),
			Events: make([]int64, len(plan.EventNames())),

			Attacks: make([]FaultCount, len(plan.AttackKinds)),
		},
	}
	for i, k := range plan.FaultKinds {
		w.result.Faults[i].Kind = k
	}
	for i, k := range plan.AttackKinds {
		w.result.Attacks[i].Kind = plan.FaultKind(k)
	}
	for i := range p.Calls {
		if c := &p.Calls[i]; c.Kind == plan.CallDelete || c.Kind == plan.CallGrow {
			w.doomed[c.Topic] = true
		}
	}
	for i := range p.Brokers {
		b := &broker{number: i + 1, disk: newDisk(s, uint64(i+1)), clock: p.Clocks[i], wake: node.Never}
		if i < p.FounderCount() {
			b.diskNumber = 1
		}
		w.brokers = append(w.brokers, b)
	}
	w.judge = newJudge(w)
	return w
}

// start boots the brokers, begins the calls and arms the faults.
func (w *world) start() {
	for _, b := range w.brokers[:w.plan.FounderCount()] {
		if late := w.ahead(b); late > 0 {
			w.schedule(event{at: at(late), kind: evRestart, broker: b})
		} else {
			w.boot(b)
		}
	}
	for i := range w.plan.Clients {
		w.clients = append(w.clients, newClient(w, &w.plan.Clients[i]))
	}
	w.newMembers()
	if w.plan.Watcher != nil {
		w.watch("one who watches "+watchedTopic, w.plan.Watcher)
	}
	w.beginEpoch()
}

// beginEpoch begins the calls of an epoch and arms its faults.
func (w *world) beginEpoch() {
	for i := range w.plan.Calls {
		c := &w.plan.Calls[i]
		w.schedule(event{at: w.epochBegan + at(c.At), kind: evCall, index: i, client: w.clientByID(c.Client)})
	}
	for i := range w.plan.Lies {
		w.schedule(event{at: w.epochBegan + at(w.plan.Lies[i].At), kind: evLie, index: i})
	}
	for i := range w.plan.Lists {
		w.schedule(event{at: at(w.plan.Lists[i].For), kind: evList, index: i})
	}
	for i := range w.plan.Attacks {
		w.schedule(event{at: w.epochBegan + at(w.plan.Attacks[i].At), kind: evAttack, index: i})
	}
	w.arm()
}

func (w *world) clientByID(id int) *client {
	for _, c := range w.clients {
		if c.spec.ID == id {
			return c
		}
	}
	panic("a valid plan knows the clients of its calls")
}

func (w *world) schedule(e event) { w.heap.push(e) }

// runUntil lets the world run until done says so or a time has come; it says whether done did.
func (w *world) runUntil(end node.Time, done func() bool) bool {
	for !done() {
		b, t := w.nextBroker()
		if h := w.heap.next(); h <= t { // deliver everything that is due before anybody steps
			if h > end {
				break
			}
			w.now = max(w.now, h)
			w.handle(w.heap.pop())
			continue
		}
		if t > end {
			break
		}
		w.now = max(w.now, t)
		w.step(b)
	}
	if done() {
		return true
	}
	w.now = end
	return false
}

// nextBroker returns the broker that steps next, and when.
func (w *world) nextBroker() (*broker, node.Time) {
	var next *broker
	at := node.Never
	for _, all := range [...][]*broker{w.brokers, w.extra} {
		for _, b := range all {
			if t := b.nextStep(w.now); t < at {
				next, at = b, t
			}
		}
	}
	return next, at
}

func (w *world) handle(e event) {
	if m := e.member(); m != nil && m.hold(e) {
		return
	}
	if e.conn != nil && e.conn.attacker != nil && (e.kind == evReply || e.kind == evConnLost) {
		w.attackRead(e)
		return
	}
	switch e.kind {
	case evMessage:
		w.deliver(e)
	case evOp:
		w.finishOp(e)
	case evRequest, evHangup:
		w.arrive(e)
	case evReply:
		w.receive(e)
	case evConnLost:
		e.conn.client.connLost(e.conn)
	case evTimer:
		e.client.timer(e.at)
	case evCall:
		e.client.begin(&w.plan.Calls[e.index])
	case evFault:
		w.fire(e.index, e.broker)
	case evFaultEnd:
		w.end(e.index, e.broker)
	case evLost:
		w.hearLost(e)
	case evRestart:
		w.restart(e)
	case evTurn:
		w.turn(e.index)
	case evResume:
		w.resumed(e.index)
	case evAttack:
		w.beginAttack(&w.plan.Attacks[e.index])
	case evAttackNext:
		w.attackNext(e.conn.attacker, e.conn)
	case evAttackEnd:
		w.endAttack(e.attacker)
	case evLie:
		w.tell(e.index, e.nth)
	case evTask:
		w.finishTask(e)
	case evList:
		w.mendList(&w.plan.Lists[e.index])
	case evOperated:
		w.operated(e.broker)
	}
}

// member is the member of a consumer group whose process an event concerns, nil if none.
func (e *event) member() *member {
	switch {
	case e.conn != nil && e.conn.client == nil:
	case e.kind == evReply || e.kind == evConnLost:
		return e.conn.client.member
	case e.kind == evTimer:
		return e.client.member
	}
	return nil
}

// note adds an event to the trace hash.
func (w *world) note(kind eventKind, b *broker, x uint64) {
	w.hash.word(uint64(w.now))
	w.hash.word(uint64(kind)<<56 | uint64(b.number)<<48 ^ x)
}

// deliver puts a message into a broker's mailbox.
func (w *world) deliver(e event) {
	b := e.broker
	w.net.links[e.from][b.number].queued--
	data := kafka.Frame(e.pieces).Bytes()
	if hashOf(data) != e.hash {
		w.fail("aliasing", "bytes that broker %d sent to broker %d were changed after sending: somebody writes into a shared slice", e.from, b.number)
	}
	w.note(evMessage, b, e.hash)
	if b.node == nil || len(b.mail.messages) >= mailCap {
		return
	}
	b.mail.messages = append(b.mail.messages, node.Message{From: node.BrokerID(e.from), Via: e.incarnation, Data: data})
}

func (w *world) hearLost(e event) {
	if b := e.broker; b.node != nil {
		w.note(evLost, b, uint64(e.from))
		b.mail.lost = append(b.mail.lost, node.BrokerID(e.from))
	}
}

// step tells a broker what happened and does what it wants.
func (w *world) step(b *broker) {
	b.steps++
	w.result.Steps++
	in := b.fill(w.stepLimit(b))
	in.Now, in.UnixMs, in.Stop = b.local(w.now), b.unixMs(w.now), b.stopBy != 0
	b.wake = node.Never
	w.random.turn(b)
	out := b.node.Step(in)
	w.random.done(b)
	w.note(0, b, uint64(in.Now))
	if w.tracing() {
		w.traceStep(b, in, out)
	}
	b.wake = max(b.virtual(out.Wake), w.now+1)
	b.busyUntil = w.now + span(w.seed.Draw(domainStep, uint64(b.number), b.steps), w.plan.Knobs.StepCost)
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
	if !b.stray {
		w.judge.observe(w, b, out)
	}
	for _, e := range out.Events {
		if b.first != nil {
			break
		}
		w.result.Events[e.Kind]++
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
	first, second := w.net.arrivals(w.now, from, to)
	w.note(evMessage, b, h^uint64(first))
	for _, t := range [...]node.Time{first, second} {
		if t != node.Never {
			w.schedule(event{at: t, kind: evMessage, broker: w.brokers[to-1], from: from, incarnation: way, pieces: m.Pieces, hash: h})
		}
	}
}

func hashOfPieces(pieces [][]byte) uint64 { return hashOf(kafka.Frame(pieces).Bytes()) }

// startOp lets an operation take its time at the disk.
func (w *world) startOp(b *broker, op wal.Op) {
	b.opCount++
	w.result.DiskOps++
	h := hashOf(op.Data)
	w.note(evOp, b, h^op.ID<<8^uint64(op.Kind))
	b.ops = append(b.ops, op)
	mean := w.plan.Knobs.WriteLatency
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
	w.schedule(event{at: end, kind: evOp, broker: b, incarnation: b.incarnation, op: op, hash: h})
	if op.Kind == wal.OpWrite {
		w.observe(w.anchor(plan.WorldWriteIssued), b)
	}
}

// anchor numbers an event of the world as plan.AnchorIndex does.
func (w *world) anchor(worldEvent int) int { return len(w.result.Events) + worldEvent }

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
	for i := range b.ops {
		if b.ops[i].ID == e.op.ID {
			b.ops = slices.Delete(b.ops, i, i+1)
			break
		}
	}
	if hashOf(e.op.Data) != e.hash {
		w.fail("aliasing", "broker %d changed the bytes of write %d while it was under way", b.number, e.op.ID)
	}
	if b.disk.failSyncs > 0 || b.disk.failWrites > 0 {
		b.diskFault = true
	}
	res := wal.Do(b.disk, e.op)
	w.note(evOp, b, hashOf(res.Data)^e.op.ID)
	b.mail.results = append(b.mail.results, res)
	if e.op.Kind != wal.OpWrite || b.stray {
		return
	}
	w.judge.written(w, b, e.op)
	if res.Err == nil {
		b.lastFile = e.op.File
		w.observe(w.anchor(plan.WorldWriteSynced), b)
	}
}
