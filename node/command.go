// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.etcd.io/raft/v3"

	"chronik/kafka"
	"chronik/node/acl"
	"chronik/node/step"
)

// commands is this broker's queue of commands for the catalog. One is under way at a time. It is sent to the leader of
// group 0 repeatedly until its entry is applied here, and that gives its result. So any broker can accept an
// administrative request, and has applied its effect when it answers.
type commands struct {
	node     *Node
	session  uint64
	seq      uint64
	queue    commandQueue
	underWay *pendingCommand // nil if there is none
	retryAt  Time
	wait     time.Duration // for the next retry
	sentIn   uint64        // term of group 0 in which it was last sent
}

type pendingCommand struct {
	command
	size    int64  // while it waits
	bytes   []byte // when it is under way
	done    func(commandResult)
	request *request // of a client that waits for it; nil if the broker itself wants it
	plan    plan     // works it out again; nil: nothing of the catalog's state is in it
	planned uint64   // entry of group 0 after which it was worked out
}

// plan works a command out from the state of the catalog; false if that can't be done, and its client was told why.
type plan func() (cmd command, ok bool)

// abandoned reports whether nobody waits for the command any more: its client got an answer, or is gone.
func (p *pendingCommand) abandoned() bool {
	return p.request != nil && p.request.over()
}

var errTooManyCommands = kafka.Errorf(kerr.ThrottlingQuotaExceeded, "too many changes of the catalog wait already, of this connection or of all; wait for some, then try again")

// A command is sent again when the leader of group 0 hasn't applied it in this time, first and at
// most: each copy becomes an entry.
const (
	commandRetry    = 300 * time.Millisecond
	commandRetryMax = 3 * time.Second
)

var (
	errOutcomeUnknown = kafka.Errorf(kerr.RequestTimedOut, "the outcome is unknown; look before you try again")
	errRemovedBroker  = kafka.Errorf(kerr.RequestTimedOut, "this broker was removed from the cluster, so nothing is changed; ask another broker")
	errNoRoomToGrow   = kafka.Errorf(kerr.KafkaStorageError, "the disks of a majority of the brokers are full; delete topics or records, or shorten their retention, then try again")
)

// submit queues a command. done is called when it is applied here, or at once with an error if it can't be queued. It is
// never called if the command is queued and never applied: whoever waits needs a deadline of its own.
func (c *commands) submit(cmd command, done func(commandResult)) {
	c.enqueue(cmd, nil, nil, done)
}

// submitFor does the same for a client's request. Once the request is answered with a time-out, or its connection is gone,
// the command isn't sent any more: its effect would come when nobody expects it.
// done isn't called if it is applied all the same.
func (c *commands) submitFor(r *request, cmd command, done func(commandResult)) {
	c.enqueue(cmd, nil, r, thenWith(r, done))
}

// submitPlan does the same for a command that names the state of the catalog from which it was worked out, and that is
// refused if that state has changed. It is worked out again when its turn comes. Otherwise, of many queued changes of one
// topic, each would be refused once for every one before it.
func (c *commands) submitPlan(r *request, plan plan, done func(commandResult)) {
	if cmd, ok := plan(); ok {
		c.enqueue(cmd, plan, r, thenWith(r, done))
	}
}

// prepare fills in what all commands of this broker say, and checks one.
func (c *commands) prepare(cmd *command) error {
	cmd.Origin, cmd.Session = c.node.self, c.session
	if cmd.grows() && !cmd.ofBrokers() {
		cmd.MostReplicas = c.node.cfg.MaxPartitionsPerBroker
	}
	if err := cmd.check(); err != nil { // it would never be proposed, and those after it neither
		return kafka.Errorf(kerr.InvalidRequest, "%v", err)
	}
	return nil
}

func (c *commands) enqueue(cmd command, plan plan, r *request, done func(commandResult)) {
	if cmd.grows() && !c.node.catalog.group.hasRoom() {
		done(commandResult{err: errNoRoomToGrow})
		return
	}
	if err := c.prepare(&cmd); err != nil {
		done(commandResult{err: err})
		return
	}
	p := &pendingCommand{command: cmd, size: cmd.size(), done: done, request: r, plan: plan, planned: c.node.catalog.group.applied}
	if r != nil && (r.gone || !c.queue.take(r.conn, p.size)) {
		done(commandResult{err: errTooManyCommands})
		return
	}
	c.queue.add(p)
	if c.underWay == nil {
		c.begin()
	}
}

// finish ends the command under way.
func (c *commands) finish(res commandResult) {
	p := c.underWay
	c.underWay = nil
	c.queue.leave(p)
	p.done(res)
}

// forget removes the commands that nobody waits for. The one under way may still take effect, until a later command of
// this broker is applied.
func (c *commands) forget() {
	c.queue.forget()
	if p := c.underWay; p != nil && p.abandoned() {
		c.underWay = nil
		c.queue.leave(p)
	}
	c.begin()
}

// hangUp removes the commands of a connection that is gone.
func (c *commands) hangUp(gone *conn) {
	c.queue.hangUp(gone)
	if c.underWay != nil && c.underWay.abandoned() {
		c.forget()
	}
}

// begin sends the next command for the first time, unless one is under way. Its number is given now: the catalog refuses
// one that comes after a larger one.
func (c *commands) begin() {
	for c.underWay == nil {
		p := c.queue.next()
		if p == nil {
			return
		}
		if !c.fits(p) { // disks became full meanwhile, and what makes room may wait behind it
			c.queue.leave(p)
			p.done(commandResult{err: errNoRoomToGrow})
			continue
		}
		if !c.renew(p) {
			c.queue.leave(p)
			continue
		}
		c.seq++
		p.Seq = c.seq
		var err error
		p.bytes, err = json.Marshal(&p.command)
		step.Assert(err == nil, "a command can be encoded: %v", err)
		c.underWay = p
		c.wait = commandRetry
		c.node.event(Event{Kind: EventCommandSent, N: int64(p.Seq)})
		c.send()
	}
}

// renew works a command out again if the catalog has changed since it was; false if its client has been told why that
// can't be done.
func (c *commands) renew(p *pendingCommand) bool {
	if p.plan == nil || p.abandoned() || p.planned == c.node.catalog.group.applied {
		return true
	}
	c.node.out.Work.Names++
	cmd, ok := p.plan()
	if !ok {
		return false
	}
	if err := c.prepare(&cmd); err != nil {
		p.done(commandResult{err: err})
		return false
	}
	p.command = cmd
	return true
}

// grows reports whether a command makes something that needs room on the brokers' disks.
func (c *command) grows() bool {
	return c.CreateTopic != nil || c.AddPartitions != nil || c.Reassign != nil || c.Configure != nil && c.Configure.Kind == configGroup
}

// fits reports whether a command may begin: while disks are full, the leader accepts none that needs room.
func (c *commands) fits(p *pendingCommand) bool {
	return !p.grows() || c.node.catalog.group.hasRoom()
}

// send gives the command under way to the leader of group 0, which may be this broker.
func (c *commands) send() {
	n := c.node
	c.retryAt = n.now.Add(c.wait)
	if n.founding.open {
		return // a founder of another cluster would take it
	}
	c.wait = min(2*c.wait, commandRetryMax)
	c.sentIn = n.catalog.group.term
	bytes := c.underWay.copyFor(c.sentIn)
	leader := brokerOf(n.catalog.group.lead)
	if leader == n.self {
		n.receiveCommand(bytes)
	} else if p := n.peer(leader); p != nil {
		p.envelope = appendCommand(p.begin(), bytes)
	} else { // ask around: a new broker can't know the leader
		for _, p := range n.peers {
			p.envelope = appendCommand(p.begin(), bytes)
		}
	}
}

// copyFor returns the bytes of a copy that is sent in a term of group 0. A registration names none: a broker that joins
// knows none, and registering late does no harm.
func (p *pendingCommand) copyFor(term uint64) []byte {
	if p.Register != nil || term == 0 {
		return p.bytes
	}
	end := len(p.bytes) - 1 // the closing brace
	return fmt.Appendf(p.bytes[:end:end], `,"Term":%d}`, term)
}

// isLate reports whether a copy of a command was sent in another term of group 0 than the one in which it is proposed or
// applied. Such a copy has no effect; its origin sends another as long as somebody waits for it. So a copy can't survive
// the leadership in which it was sent, wherever it was held up: in a queue, on the network, or by a broker that was away.
// The order of the catalog decides that, not a clock. Commands of earlier releases don't name a term.
func (c *command) isLate(term uint64) bool { return c.Term != 0 && c.Term != term }

// tick sends the command under way again, in case it was lost or its leader failed.
func (c *commands) tick() {
	c.forget()
	if c.underWay != nil && !c.fits(c.underWay) {
		c.finish(commandResult{err: errOutcomeUnknown})
		c.begin()
	}
	g := c.node.catalog.group
	if c.underWay != nil && (c.node.now >= c.retryAt || c.sentIn != g.term && g.lead != raft.None) {
		c.send()
	}
}

// receiveCommand proposes a command, from this broker or another, if this one leads group 0. What can't be a command
// of this release never reaches the log.
func (n *Node) receiveCommand(bytes []byte) {
	cmd, err := parseCommand(bytes)
	if err != nil {
		n.event(Event{Kind: EventCommandRefused, N: int64(cmd.Origin), Text: err.Error()})
		return
	}
	if cmd.isLate(n.catalog.group.term) {
		return
	}
	if cmd.Register != nil && n.isTaken(&cmd) {
		return
	}
	n.catalog.group.propose(bytes, func(any, error) {})
}

// relayCommand takes a command from another broker. A joining broker may know only followers of group 0. A follower
// forwards its commands by one hop, and sends it the member list once it knows its address.
func (n *Node) relayCommand(from BrokerID, bytes []byte) {
	leader := brokerOf(n.catalog.group.lead)
	p := n.peer(leader)
	if p == nil || leader == from {
		n.receiveCommand(bytes)
		return
	}
	var cmd command
	if err := json.Unmarshal(bytes, &cmd); err == nil && cmd.Origin == from {
		p.envelope = appendCommand(p.begin(), bytes)
	}
	if p := n.peer(from); p != nil {
		p.envelope = appendMembers(p.begin(), n.correspondents()) // one that was removed may still lead group 0
	}
}

// applied tells whoever submitted a command its result, and sends the next.
func (c *commands) applied(cmd *command, res commandResult) {
	if cmd.Origin != c.node.self || cmd.Session != c.session || c.underWay == nil || c.underWay.Seq != cmd.Seq {
		return
	}
	c.finish(res)
	c.begin()
}

// disowned tells a client that its command is refused because this broker was removed: none of its commands counts any more.
// It may lead group 0 for some time yet, and so see them applied. What the broker asks for itself it needs no more.
func (c *commands) disowned(cmd *command, origin *brokerMeta) {
	if origin != nil && origin.Removed && c.underWay != nil && c.underWay.request != nil {
		c.applied(cmd, commandResult{err: errRemovedBroker})
	}
}

// skipped ends the command under way if it was applied in what a received checkpoint stands for: its
// result is not known.
func (c *commands) skipped(b *brokerMeta) {
	if b != nil && b.Session == c.session && c.underWay != nil && c.underWay.Seq <= b.Seq {
		c.finish(commandResult{err: errOutcomeUnknown})
		c.begin()
	}
}

// register tells the cluster this broker's address. It is the first command of a session.
func (c *commands) register() {
	c.submit(command{Register: c.node.registration()}, func(commandResult) {
		c.node.isReady()
		c.node.producerIDs.reserve()
		c.node.makeFirstUser()
	})
}

// registration is what this broker says of itself.
func (n *Node) registration() *register {
	self := &register{Member: n.cfg.selfMember(), Incarnation: n.cfg.Incarnation, Start: n.process.nonce, Began: uint64(n.process.began)}
	if l := n.cfg.Levels; l != (Levels{}).said() {
		self.Levels = l
	}
	return self
}

// command is one entry of group 0. Exactly one of the pointers is set.
type command struct {
	Origin  BrokerID // who wants to know the result
	Session uint64
	Seq     uint64
	// Term is that of group 0 when this copy was sent, as far as its sender knew; see isLate.
	Term uint64 `json:",omitempty"`
	// MostReplicas is how many replicas a broker takes; see limits.go. 0: any number.
	MostReplicas int `json:",omitempty"`

	Register      *register          `json:",omitempty"`
	CreateTopic   *createTopic       `json:",omitempty"`
	DeleteTopic   *deleteTopic       `json:",omitempty"`
	AddPartitions *addPartitions     `json:",omitempty"`
	AlterConfigs  *alterConfigs      `json:",omitempty"`
	Configure     *configure         `json:",omitempty"`
	ChangeUser    *changeUser        `json:",omitempty"`
	ProducerIDs   *allocateProducers `json:",omitempty"`
	Reassign      *reassign          `json:",omitempty"`
	Reassigned    *reassigned        `json:",omitempty"`
	Remove        *removeBroker      `json:",omitempty"`
	Replace       *replaceReplica    `json:",omitempty"`
	CreateRules   *createRules       `json:",omitempty"`
	DeleteRules   *deleteRules       `json:",omitempty"`
	ChangeQuotas  *changeQuotas      `json:",omitempty"`
	SetLevel      *setLevel          `json:",omitempty"`
}

// register makes a broker known, or tells its new address or incarnation.
type register struct {
	Member
	Incarnation uint32
	Start       uint64 `json:",omitempty"` // see brokerMeta
	Began       uint64 `json:",omitempty"`
	Levels      Levels `json:",omitzero"`
}

// reassign says where the replicas of a partition should be; nowhere new if Replicas is empty, which
// ends a move that is under way.
type reassign struct {
	Topic     string
	Partition int32
	Replicas  []BrokerID
	From      *moveFrom `json:",omitempty"` // commands of earlier releases don't say
}

// moveFrom is what a move was planned from: it is refused when that has changed, so that a copy that comes late
// undoes no later move. It is empty if the sender doesn't know the partition.
type moveFrom struct {
	Group GroupID
	Moves uint64
}

// reassigned is the group's leader reporting that the replicas are where they should be.
type reassigned struct {
	Group    GroupID
	Replicas []replicaMeta
	Move     uint64 `json:",omitempty"` // partitionMeta.Moves
}

// createTopic carries the placement: it is decided by the broker that was asked, so that replicas
// of the catalog needn't agree on anything that isn't in the command.
type createTopic struct {
	Name     string
	Replicas [][]BrokerID // per partition
	Configs  []configValue
	Internal bool `json:",omitempty"`
	// Distinct refuses a name that collides with another topic's. Commands of before that was a rule don't say so.
	Distinct bool `json:",omitempty"`
}

// deleteTopic names a topic by its 16 bytes of id, and also by its name if the client did. Commands of earlier
// releases have the name alone.
type deleteTopic struct {
	Name string
	ID   []byte `json:",omitempty"`
}

// allocateProducers reserves a block of producer ids for one broker.
type allocateProducers struct{ Count int64 }

// commandResult is what the origin of a command is told when it is applied.
type commandResult struct {
	err   error
	first int64       // ProducerIDs: first id of the block
	rules []*acl.Rule // DeleteRules: what was deleted
	more  bool        // DeleteRules: the filter means others, too
}
