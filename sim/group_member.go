// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node"
	"chronik/sim/keyed"
	"chronik/sim/plan"
)

// member is one consumer of a consumer group. Like a real one it keeps one connection to its
// coordinator, over which it joins, says that it lives, and commits, and others to the leaders of the
// partitions that it owns. It fetches them from their committed offsets on.
//
// The process is client; each start makes a new one.
type member struct {
	world  *world
	spec   *plan.Member
	topics []string // of spec, without those that somebody deletes
	lives  int      // starts
	draws  uint64
	client *client // nil while the process is down

	paused bool
	resume node.Time
	held   []event // arrived while it is paused

	coordinator int // broker; 0: unknown
	conn        *conn
	finding     *conn     // over which it was asked for
	busy        bool      // a call of the group protocol is under way
	retryAt     node.Time // no call before
	phase       phase
	leaving     bool
	id          string // member id; "": none yet
	epoch       int32  // generation, or KIP-848's member epoch
	beatAt      node.Time

	leads    bool // classic: this member assigns
	sharing  []kmsg.JoinGroupResponseMember
	target   []string  // KIP-848: what the coordinator wants it to own
	revokeAt node.Time // until when it works on what it gives up
	full     bool      // KIP-848: the next heartbeat says everything

	owned      []*owned // ascending by name
	serial     int      // counts changes of owned
	reading    bool     // an OffsetFetch is under way
	readAt     node.Time
	stray      int // broker that is asked, whoever the coordinator is; 0: none chosen
	strayAt    node.Time
	committing bool
	commitAt   node.Time
	stale      *staleCommit
	fetching   [plan.MaxBrokers + 1]bool
}

// phase is what a member does next.
type phase int

const (
	phaseJoin phase = iota // tell the coordinator that it wants to be a member
	phaseSync              // classic: get its part of the assignment
	phaseMember
	phaseLeaving // it has said that it leaves
)

// owned is a partition that a member owns.
type owned struct {
	name      string
	topic     *topicView
	partition int32
	position  int64 // next offset to fetch; -1: the committed one isn't known yet
	acked     int64 // the offset that was last committed
	retryAt   node.Time
}

func (w *world) newMembers() {
	for i := range w.plan.Members {
		m := &member{world: w, spec: &w.plan.Members[i]}
		for _, t := range m.spec.Topics {
			if !w.doomed[t] {
				m.topics = append(m.topics, t)
			}
		}
		w.consumers = append(w.consumers, m)
	}
	for i := range w.plan.Turns {
		w.schedule(event{at: at(w.plan.Turns[i].At), kind: evTurn, index: i})
	}
}

func (m *member) String() string { return fmt.Sprintf("member %d of %s", m.spec.ID, m.spec.Group) }

// draw makes the member's next decision.
func (m *member) draw() keyed.Draw {
	m.draws++
	return m.world.seed.Draw(domainMember, uint64(m.spec.ID), m.draws)
}

// turn carries out a turn of the plan, or what comes after it.
func (w *world) turn(index int) {
	t := &w.plan.Turns[index]
	i := slices.IndexFunc(w.consumers, func(m *member) bool { return m.spec.ID == t.Member })
	if m := w.consumers[i]; !w.healing {
		m.turn(t)
	}
}

func (m *member) turn(t *plan.Turn) {
	w := m.world
	m.tracef("%s, back in %v", t.Kind, t.For)
	w.hash.word(uint64(t.ID))
	switch {
	case t.Kind == plan.TurnStart:
		m.start()
		return
	case m.client == nil:
	case t.Kind == plan.TurnPause:
		m.paused, m.resume = true, max(m.resume, w.now+at(t.For))
		w.schedule(event{at: m.resume, kind: evResume, index: m.spec.ID})
		return
	case t.Kind == plan.TurnLeave:
		m.leaving = true
		m.client.advance()
	default:
		m.stop(t.Kind == plan.TurnCrash)
	}
	if t.For > 0 {
		w.schedule(event{at: w.now + at(t.For), kind: evResume, index: m.spec.ID})
	}
}

// resumed is called when a member shall go on: after a pause, or with a new process. When all is healed
// who is down stays down.
func (w *world) resumed(id int) {
	m := w.consumers[slices.IndexFunc(w.consumers, func(m *member) bool { return m.spec.ID == id })]
	switch {
	case m.client == nil && !w.healing:
		m.start()
	case m.paused && (m.resume <= w.now || w.healing):
		m.goOn()
	}
}

// hold keeps an event for a process that stands still.
func (m *member) hold(e event) bool {
	if m.paused {
		m.held = append(m.held, e)
	}
	return m.paused
}

func (m *member) goOn() {
	m.paused = false
	held := m.held
	m.held = nil
	for _, e := range held {
		m.world.handle(e)
	}
	if c := m.client; c != nil {
		c.advance()
		c.rearm()
	}
}

// start starts the process. A dynamic member begins without an id, and with nothing.
func (m *member) start() {
	if m.client != nil {
		return
	}
	m.lives++
	id := memberClients + m.spec.ID*1000 + m.lives
	spec := &plan.Client{ID: id, InFlight: 1, Timeout: m.spec.Timeout, GiveUp: m.spec.Timeout, Home: m.spec.Home}
	m.client = newClient(m.world, spec)
	m.client.member = m
	*m = member{
		world: m.world, spec: m.spec, topics: m.topics, lives: m.lives, draws: m.draws, client: m.client,
		commitAt: m.world.now + at(m.spec.Commit), readAt: m.world.now + at(m.spec.Commit), strayAt: m.world.now + at(m.spec.Commit),
	}
	if m.spec.Modern {
		m.id, m.full = fmt.Sprintf("m%d-%d", m.spec.ID, m.lives), true
	}
	m.client.advance()
}

// memberClients is where the ids of the clients begin that members are.
const memberClients = 1 << 22

// stop ends the process. closes says whether anybody hears of it.
func (m *member) stop(closes bool) {
	for _, cn := range append(m.client.conns[:], m.conn) {
		switch {
		case cn == nil || !cn.open:
		case closes:
			cn.hangUp(m.world)
		default:
			cn.open, cn.asked = false, nil
		}
	}
	m.client.member = nil
	m.client, m.conn, m.paused, m.held = nil, nil, false, nil
	m.owned = nil
}

// advance does what can be done now.
func (m *member) advance() {
	if m.paused {
		return
	}
	w := m.world
	if cn := m.conn; cn != nil && cn.open && len(cn.asked) > 0 && cn.asked[0].deadline <= w.now {
		cn.hangUp(w)
		m.coordinatorLost()
	}
	if m.client != nil {
		m.protocol()
	}
	if m.client == nil {
		return
	}
	m.readOffsets()
	m.readElsewhere()
	m.commit()
	m.fetch()
	if next := m.due(); next != node.Never {
		m.client.wakeAt(next)
	}
}

// due is when something has to be done next, if nothing happens before.
func (m *member) due() node.Time {
	next := node.Never
	for _, t := range []node.Time{m.retryAt, m.beatAt, m.readAt, m.strayAt, m.commitAt, m.revokeAt} {
		next = m.client.sooner(next, t)
	}
	for _, o := range m.owned {
		next = m.client.sooner(next, o.retryAt)
	}
	if cn := m.conn; cn != nil && cn.open && len(cn.asked) > 0 {
		next = m.client.sooner(next, cn.asked[0].deadline)
	}
	return next
}

// protocol makes the next call of the group protocol.
func (m *member) protocol() {
	switch {
	case m.leaving:
		m.leave()
	case m.busy || m.world.now < m.retryAt:
	case m.coordinator == 0:
		m.find()
	case m.spec.Modern:
		m.beatModern()
	default:
		m.stepClassic()
	}
}

// find asks any broker for the coordinator.
func (m *member) find() {
	c := m.client
	cn := c.conn(c.nextBroker)
	if cn == nil {
		return
	}
	c.nextBroker = c.nextBroker%len(c.world.brokers) + 1
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.Version = [...]int16{3, 4, 1, 6}[m.spec.ID%4]
	req.CoordinatorKey, req.CoordinatorKeys = m.spec.Group, []string{m.spec.Group}
	m.busy, m.finding = true, cn
	cn.ask(c.world, req, func(resp kmsg.Response) { m.found(resp.(*kmsg.FindCoordinatorResponse)) })
}

func (m *member) found(resp *kmsg.FindCoordinatorResponse) {
	m.busy, m.finding = false, nil
	if resp.Version >= 4 {
		if len(resp.Coordinators) != 1 {
			m.world.fail("protocol", "a question for one coordinator is answered with %d", len(resp.Coordinators))
		}
		r := &resp.Coordinators[0]
		resp.ErrorCode, resp.NodeID = r.ErrorCode, r.NodeID
	}
	switch {
	case resp.ErrorCode == 0 && m.client.brokerNumber(resp.NodeID) > 0:
		m.coordinator = int(resp.NodeID)
	case retriable(resp.ErrorCode) && resp.ErrorCode != 0:
		m.pause()
	default:
		m.unexpected("FindCoordinator", resp.ErrorCode)
	}
}

// coordinatorConn returns the connection to the coordinator when it can be used, and opens one.
func (m *member) coordinatorConn() *conn {
	switch {
	case m.coordinator == 0:
		return nil
	case m.conn == nil:
		m.conn = m.world.connect(m.client, m.world.brokers[m.coordinator-1])
		return nil
	case !m.conn.usable():
		return nil
	}
	return m.conn
}

// lostConn is called when a connection of the member's is gone.
func (m *member) lostConn(cn *conn) {
	if cn == m.conn {
		m.coordinatorLost()
	}
	if m.client == nil {
		return
	}
	m.fetching[cn.broker.number] = m.fetching[cn.broker.number] && m.client.conns[cn.broker.number] != nil
	if cn == m.finding {
		m.busy, m.finding = false, nil
	}
}

// coordinatorLost lets the member look for its coordinator again. Whatever was under way has an
// unknown fate.
func (m *member) coordinatorLost() {
	if m.conn != nil {
		m.conn.hangUp(m.world)
	}
	m.conn, m.coordinator, m.busy, m.reading, m.committing = nil, 0, false, false, false
	m.full = true
	m.pause()
	if m.leaving {
		m.stop(true)
	}
}

// pause puts the next call off.
func (m *member) pause() {
	m.retryAt = m.world.now + m.client.retryDelay()
	m.client.wakeAt(m.retryAt)
}

// trouble takes an error that says that the coordinator is elsewhere or not ready.
func (m *member) trouble(code int16, what string) {
	switch code {
	case kerr.CoordinatorLoadInProgress.Code:
		m.pause()
	case kerr.NotCoordinator.Code, kerr.CoordinatorNotAvailable.Code, kerr.RequestTimedOut.Code:
		m.coordinatorLost()
	default:
		m.unexpected(what, code)
	}
}

func (m *member) tracef(format string, args ...any) {
	if m.world.tracing() {
		m.world.tracef("%v  %s", m, fmt.Sprintf(format, args...))
	}
}

// patience is how long the member waits for an answer that may take a rebalance.
func (m *member) patience() node.Time {
	return at(m.client.timeout()) + at(m.spec.Rebalance) + at(m.world.plan.Knobs.GroupDelay)
}

// instance is the member's name for requests.
func (m *member) instance() *string {
	if m.spec.Instance == "" {
		return nil
	}
	return &m.spec.Instance
}

// owner names who owns partitions, see checker.Sync.
func (m *member) owner() string {
	if m.spec.Instance != "" {
		return m.spec.Instance
	}
	return m.id
}

// ownedNames lists what the member owns.
func (m *member) ownedNames() []string {
	names := make([]string, len(m.owned))
	for i, o := range m.owned {
		names[i] = o.name
	}
	return names
}

// own changes what the member owns. What it owned before keeps its position.
func (m *member) own(names []string) {
	was := m.owned
	m.owned = nil
	m.serial++
	for _, t := range m.client.topics {
		for p := range t.partitions {
			name := partitionName(t.plan.Name, int32(p))
			if !slices.Contains(names, name) {
				continue
			}
			o := &owned{name: name, topic: t, partition: int32(p), position: -1, acked: -1}
			if i := slices.IndexFunc(was, func(o *owned) bool { return o.name == name }); i >= 0 {
				o = was[i]
			}
			m.owned = append(m.owned, o)
		}
	}
	slices.SortFunc(m.owned, func(a, b *owned) int { return compareText(a.name, b.name) })
	m.tracef("owns %v in %d", m.ownedNames(), m.epoch)
}
