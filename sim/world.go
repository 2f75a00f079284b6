// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	//det:ok only the stack of a failed run is taken, which is shown and neither hashed nor compared
	"runtime/debug"
	"slices"

	"chronik/kafka"
	"chronik/node"
	"chronik/sim/keyed"
	"chronik/sim/matrix"
	"chronik/sim/plan"
	"chronik/wal"
)

// world is a run under way: one thread, one heap of events, one virtual clock.
type world struct {
	plan    *plan.Plan
	seed    keyed.Seed
	options Options
	result  *Result
	cells   *matrix.Counter

	now       node.Time
	storm     storm
	heap      eventHeap
	hash      hasher
	random    raftRandom
	codecs    kafka.Compressor
	tools     node.Tools
	scratch   wal.Scratch
	packer    node.Packer
	net       network
	brokers   []*broker
	extra     []*broker // second processes with the id of one of them
	clients   []*client
	consumers []*member
	attackers []*attacker
	watchers  []*watcher
	askers    []*client
	topicIDs  map[string][16]byte // as askers know them; look-up only
	simple    []simpleWrite       // by asks
	settings  []settingWrite      // likewise
	seenIDs   [][16]byte          // that topics had which were made again, old ones and new ones
	readings  map[string]*reading // by partition, of the verifier; look-up only
	conns     uint64              // made so far

	doomed      map[string]bool // topics that some call deletes, or gives more partitions: their records may go any time
	clocksRight bool            // of most brokers, all the time
	clocksAgree bool            // of all brokers
	compacts    bool            // some topic is compacted

	secondStarts uint64
	held         []hold // by time

	rotten   []rotten
	armed    []armed
	anchored [][]int // by plan.AnchorIndex: faults that wait for such an event
	healing  bool    // the liveness phase: no more faults
	emptied  bool    // all records were deleted, because the disks were full
	healedAt node.Time

	compacted   map[compactedKey]int64 // up to which offset; look-up only
	compactedTo int64                  // the sum
	verifier    *client                // of the liveness phase
	asked       int                    // calls given to it
	judge       *judge
	txnWorld
	secure   *security // nil: nobody asks for logins
	rollout  *rollout  // nil: all brokers are of one release
	differs  int       // the group, by judge.groups, that was last seen to differ between replicas
	features *features // nil: nobody wants them

	// Counts of what can change brokers (steps, starts, ends), the bytes on disks, and clients.
	brokersDid, disksDid, clientsDid int64
	rest                             rest

	// Of a soak. Other runs have one epoch.
	epoch                 int
	epochBegan            node.Time
	hotReads, cachedReads int64 // of brokers that are down
}

// Options of a run that do not change it.
type Options struct {
	Features bool              // say in the result what the run was like
	Trace    func(line string) // is given one line for each event; nil: no trace
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
		w.checkWork()
		w.settle()
		w.empty()
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
		plan: p, seed: s, options: opt, hash: 1, cells: matrix.New(),
		random: raftRandom{seed: s},
		net: network{
			seed: s, latency: p.Knobs.LinkLatency, inOrder: p.Knobs.LinkInOrder, brokers: p.Brokers,
		},
		doomed:    make(map[string]bool),
		compacted: make(map[compactedKey]int64),
		txnWorld:  txnWorld{transactional: make(map[string]bool), drained: make(map[string]bool)},
		readings:  make(map[string]*reading),

		clocksRight: p.RightClocks(),
		clocksAgree: p.ClocksAgree(),
		compacts:    slices.ContainsFunc(p.Topics, func(t plan.Topic) bool { return t.Keys > 0 }),

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
	w.newSecurity()
	if opt.Features {
		w.features = newFeatures()
	}
	return w
}

// start boots the brokers, begins the calls and arms the faults.
func (w *world) start() {
	w.newRollout()
	for _, b := range w.brokers[:w.plan.FounderCount()] {
		if late := w.ahead(b); late > 0 {
			w.schedule(event{at: at(late), kind: evRestart, broker: b})
		} else {
			w.boot(b)
		}
	}
	for i := range w.plan.Clients {
		c := newClient(w, &w.plan.Clients[i])
		c.usual = true
		w.clients = append(w.clients, c)
	}
	w.newAdministrator()
	w.newAskers()
	w.newMembers()
	w.newTransactors()
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
	for i := range w.plan.Asks {
		w.schedule(event{at: w.epochBegan + at(w.plan.Asks[i].At), kind: evAsk, index: i})
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

func (w *world) schedule(e event) {
	if e.brings() {
		w.rest.underWay++
		w.stir()
	} else if e.kind == evMessage {
		w.rest.idle++
	}
	w.heap.push(e)
}

// due takes out the next event.
func (w *world) due() event {
	e := w.heap.pop()
	if e.brings() {
		w.rest.underWay--
	} else if e.kind == evMessage {
		w.rest.idle--
	}
	return e
}

// runUntil lets the world run until done says so or a time has come; it says whether done did.
func (w *world) runUntil(end node.Time, done func() bool) bool {
	for !done() {
		b, t := w.nextBroker()
		if h := w.heap.next(); h <= t { // deliver everything that is due before anybody steps
			if h > end {
				break
			}
			w.pass(h)
			w.handle(w.due())
			continue
		}
		if t > end {
			break
		}
		w.pass(t)
		w.step(b)
	}
	if done() {
		return true
	}
	w.pass(end)
	return false
}

// afterSteps makes a condition that depends on nothing but brokers: it is looked at only after one of them did something.
func (w *world) afterSteps(done func() bool) func() bool { return unless(&w.brokersDid, done) }

// afterAnswers is the same for what depends on nothing but clients.
func (w *world) afterAnswers(done func() bool) func() bool { return unless(&w.clientsDid, done) }

// unless looks at a condition again only when a count is another one than then.
func unless(count *int64, done func() bool) func() bool {
	last, was := int64(-1), false
	return func() bool {
		if *count != last {
			last, was = *count, done()
		}
		return was
	}
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
	if e.isHeld() {
		return
	}
	if e.conn != nil && e.conn.attacker != nil && (e.kind == evReply || e.kind == evConnLost) {
		w.attackRead(e)
		return
	}
	w.clientsDid += int64(btoi(e.isOfClients()))
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
	case evAsk:
		w.beginAsk(e.index)
	case evOperated:
		w.operated(e.broker)
	case evRoll:
		w.roll(e.index)
	case evOrder, evVisitor, evHasty:
		w.secure.begin(w, e)
	case evTransactor, evTransactorResumes, evDouble, evAbortDue:
		w.transact(e)
	}
}

// isOfClients says that an event may change something that clients know.
func (e *event) isOfClients() bool {
	switch e.kind {
	case evMessage, evOp, evTask, evRequest, evHangup, evLost:
		return false
	}
	return true
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

// isHeld says that an event waits for a process that stands still.
func (e *event) isHeld() bool {
	m, p := e.member(), e.process()
	return m != nil && m.hold(*e) || p != nil && p.hold(*e)
}

// process is the process with a transactional id that an event concerns, nil if none.
func (e *event) process() *txnProcess {
	switch {
	case e.conn != nil && e.conn.client == nil:
	case e.kind == evReply || e.kind == evConnLost:
		return e.conn.client.txn
	case e.kind == evTimer:
		return e.client.txn
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
	if b.node == nil || len(b.mail.messages) >= mailCap || w.tornOnTheWay(b, e.from) {
		if b.node != nil { // it is lost
			w.disturbed()
		}
		return
	}
	b.mail.message(node.Message{From: node.BrokerID(e.from), Via: e.incarnation, Data: data}, e.idle)
}

func (w *world) hearLost(e event) {
	if b := e.broker; b.node != nil {
		w.note(evLost, b, uint64(e.from))
		b.mail.lost = append(b.mail.lost, node.BrokerID(e.from))
	}
}
