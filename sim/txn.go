// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"

	"chronik/node"
	"chronik/sim/keyed"
	"chronik/sim/plan"
)

// txnWorld is the part of a world that is about transactions.
type txnWorld struct {
	transactors   []*transactor
	readers       []*txnReader
	transactional map[string]bool // topics of transactors; look-up only
	doubles       []double
	abandons      []leftTxn       // whose processes have ended
	ghost         *client         // who sends them; nil: nobody did yet
	txnRecords    int             // so far
	txnOffsets    int64           // so far
	committed     int64           // transactions, as clients know
	lastEnd       int64           // as the verifier was told
	drained       map[string]bool // inputs of chains, by name and group, of which all is processed; look-up only
}

// transactor is a machine of the plan. What runs on it are processes, normally one at a time. A process may end between any two of
// its requests. Or another one starts while it goes on: then it is a zombie, and must be fenced.
type transactor struct {
	world     *world
	spec      *plan.Transactor
	draws     uint64
	starts    int
	begun     int           // transactions
	processes []*txnProcess // that run, oldest first
	final     bool          // when all is healed: what starts now is its last process
	done      bool          // which has done all that it had to
	loose     bool          // a request that fences may arrive at any time, after it was answered or given up
}

// txnProcess is one process. It makes one request at a time but for batches, which it sends to all leaders at once.
type txnProcess struct {
	machine *transactor
	world   *world
	client  *client
	dead    bool
	final   bool // started when all was healed
	paused  bool
	held    []event // arrived while it is paused

	coordinators [2]int // brokers: of the transactional id, and of the group; 0: unknown
	call         *txnCall
	calls        uint64

	rival    bool // another process has asked for a producer id since it did, or at the same time
	ready    bool // it has its producer id and epoch
	bump     bool // it wants the next epoch first
	producer int64
	epoch    int16

	member txnMember // of its group; unused if it has its inputs for itself
	parts  []*txnPart
	inputs []*txnInput
	input  int // which is fetched next
	txn    *transaction
	nextAt node.Time // no transaction is begun before
	ended  int       // transactions
}

// txnPart is a partition that a process writes to.
type txnPart struct {
	topic     *topicView
	partition int32
	sequence  int32 // of the next batch
	added     bool  // to the transaction
	acked     int64 // the newest offset of the transaction that is known; -1: none
	ackedAt   node.Time
}

func (t *txnPart) name() string { return partitionName(t.topic.plan.Name, t.partition) }

// Where the ids of clients begin that run on transactors and as readers.
const (
	transactorClients = 1 << 23
	readerClients     = 1 << 24
	ghostClient       = 1<<24 - 1
)

// transact handles an event of a transactor.
func (w *world) transact(e event) {
	switch e.kind {
	case evTransactor:
		w.transactors[e.index].start()
	case evTransactorResumes:
		e.client.txn.goOn()
	case evDouble:
		w.sendDouble(e.index)
	case evAbortDue:
		w.checkAborted(e.index)
	}
}

func (w *world) newTransactors() {
	for i := range w.plan.Transactors {
		m := &transactor{world: w, spec: &w.plan.Transactors[i]}
		w.transactors = append(w.transactors, m)
		w.schedule(event{at: at(m.spec.At), kind: evTransactor, index: i})
	}
	for i := range w.plan.Readers {
		w.newReader(&w.plan.Readers[i])
	}
	for _, name := range w.plan.Transactional() {
		w.transactional[name] = true
	}
}

// draw makes the machine's next decision.
func (m *transactor) draw() keyed.Draw {
	m.draws++
	return m.world.seed.Draw(domainTransactor, uint64(m.spec.ID), m.draws)
}

// startLater lets another process start.
func (m *transactor) startLater(within plan.Duration) {
	m.world.schedule(event{at: m.world.now + at(plan.Duration(m.draw().LogUniform(int64(millisecond), int64(within)))), kind: evTransactor, index: m.spec.ID - 1})
}

// mostProcesses bounds those that run on one machine at a time.
const mostProcesses = 3

// start starts a process, unless enough run.
func (m *transactor) start() {
	w := m.world
	if len(m.processes) >= mostProcesses && !m.final || w.healing && (!m.final || m.done) {
		return
	}
	m.starts++
	s := m.spec
	c := newClient(w, &plan.Client{ID: transactorClients + s.ID*10_000 + m.starts, InFlight: 1, Timeout: s.Timeout, GiveUp: s.Timeout, Home: s.Home})
	p := &txnProcess{machine: m, world: w, client: c, final: m.final, producer: -1, epoch: -1}
	for _, name := range s.Topics {
		t := c.topic(name)
		for i := range t.partitions {
			p.parts = append(p.parts, &txnPart{topic: t, partition: int32(i)})
		}
	}
	for _, i := range s.Parts {
		p.inputs = append(p.inputs, &txnInput{txnPart: txnPart{topic: c.topic(s.From), partition: i}, position: -1})
	}
	c.txn = p
	m.processes = append(m.processes, p)
	p.tracef("starts")
	c.advance()
}

// die ends a process; closes says whether anybody hears of it.
func (p *txnProcess) die(closes bool) {
	if p.dead {
		return
	}
	p.tracef("ends")
	p.dead, p.held, p.client.txn = true, nil, nil
	for _, cn := range p.client.conns {
		switch {
		case cn == nil || !cn.open:
		case closes:
			cn.hangUp(p.world)
		default:
			cn.open, cn.asked = false, nil
		}
	}
	m := p.machine
	m.loose = m.loose || p.call != nil && p.call.fences && (p.call.tried || p.call.lost)
	m.processes = slices.DeleteFunc(m.processes, func(o *txnProcess) bool { return o == p })
	p.leaves()
	if len(m.processes) == 0 && !m.done {
		m.startNext()
	}
}

// startNext lets another process start after the last one has ended.
func (m *transactor) startNext() {
	if m.spec.Rest == 0 {
		m.startLater(5 * second)
		return
	}
	m.world.schedule(event{at: m.world.now + at(m.spec.Rest), kind: evTransactor, index: m.spec.ID - 1})
}

// mayEnd says, before a request is sent, that the process doesn't send it now: it ends, or stands still.
func (p *txnProcess) mayEnd() bool {
	m, w := p.machine, p.world
	if w.healing || m.spec.Crashes == 0 || !m.draw().Ratio(m.spec.Crashes, 1000) {
		return false
	}
	what := m.draw().Below(5)
	if m.spec.Rest > 0 {
		what %= 3
	}
	switch what {
	case 0, 1:
		p.die(true)
	case 2:
		p.die(false)
	case 3: // another process starts, and this one doesn't know
		m.startLater(second)
		return false
	case 4:
		p.paused = true
		p.tracef("stands still")
		until := w.now + at(plan.Duration(m.draw().LogUniform(int64(10*millisecond), int64(8*second))))
		w.schedule(event{at: until, kind: evTransactorResumes, client: p.client})
		m.startLater(second)
	}
	return true
}

// hold keeps an event for a process that stands still.
func (p *txnProcess) hold(e event) bool {
	if p.paused {
		p.held = append(p.held, e)
	}
	return p.paused
}

// goOn is called when a process that stood still goes on.
func (p *txnProcess) goOn() {
	if p == nil || !p.paused {
		return
	}
	p.paused = false
	p.tracef("goes on")
	held := p.held
	p.held = nil
	for _, e := range held {
		p.world.handle(e)
	}
	if !p.dead {
		p.client.advance()
		p.client.rearm()
	}
}

func (p *txnProcess) String() string {
	return fmt.Sprintf("process %d of %s", p.client.spec.ID-transactorClients-p.machine.spec.ID*10_000, p.machine.spec.TxnID)
}

func (p *txnProcess) tracef(format string, args ...any) {
	if p.world.tracing() {
		p.world.tracef("%v  %s", p, fmt.Sprintf(format, args...))
	}
}

// advance starts what can be started.
func (p *txnProcess) advance() {
	for !p.dead && !p.paused {
		p.sendBatches()
		if p.dead || p.paused {
			return
		}
		if p.call != nil {
			p.sendCall()
			break
		}
		if !p.next() {
			break
		}
	}
	if !p.dead {
		if next := p.due(); next != node.Never {
			p.client.wakeAt(next)
		}
	}
}

// due is when something has to be done next, if nothing happens before.
func (p *txnProcess) due() node.Time {
	next := p.client.sooner(node.Never, p.nextAt)
	if p.call != nil {
		next = p.client.sooner(next, p.call.retryAt)
	} else if p.txn == nil && p.member.has && p.goesOn() {
		next = p.client.sooner(next, p.member.beatAt)
	}
	if p.txn != nil {
		if p.txn.patient > 0 {
			next = p.client.sooner(next, p.txn.patient)
		}
		for _, b := range p.txn.batches {
			next = p.client.sooner(next, b.retryAt)
		}
	}
	return next
}

// goesOn says that the process begins more transactions.
func (p *txnProcess) goesOn() bool {
	m := p.machine
	return p.final && !m.done || !p.final && !p.world.healing && m.begun < m.spec.Most
}

// staleTopic returns a topic that something waits for and that has to be asked for.
func (p *txnProcess) staleTopic() *topicView {
	for _, t := range p.parts {
		if t.topic.stale {
			return t.topic
		}
	}
	for _, in := range p.inputs {
		if in.topic.stale {
			return in.topic
		}
	}
	return nil
}

func (p *txnProcess) unexpected(what string, code int16) {
	p.world.fail("unexpected-error", "%v: %s is answered with error %d", p, what, code)
}
