// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"strconv"

	"chronik/kafka"
	"chronik/node"
	"chronik/sim/keyed"
	"chronik/sim/plan"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// client is one simulated Kafka client. It speaks to brokers in bytes only and behaves as the real
// ones do: it finds leaders by Metadata, says ApiVersions on each connection, drops a connection
// whose answer is late, and retries with the same sequence until it is answered or gives up.
//
// advance is called after whatever happens to the client and starts what can be started.
type client struct {
	world *world
	spec  *plan.Client
	usual bool // one of the plan's clients, which makes calls
	conns [plan.MaxBrokers + 1]*conn
	draws uint64

	topics     []*topicView
	controller int       // broker that takes CreateTopics, as far as known; 0: unknown
	asked      int       // broker that is asked for metadata; 0: none
	askAgain   node.Time // metadata is not asked for before
	nextBroker int       // who is asked next

	producer producerState
	lanes    []*lane // one per partition produced to

	lingerUntil node.Time // a joint client waits for more batches; 0: it doesn't

	serial   serialState
	moving   string      // a partition that is on the move, as the verifier was told
	member   *member     // of a consumer group, whose process this is; nil: an ordinary client, or the process ended
	watcher  *watcher    // that this is; nil: another client
	txn      *txnProcess // with a transactional id, that this is; nil: another client, or it ended
	reader   *txnReader  // that this is; nil: another client
	asks     *asks       // of one that makes the plan's asks; nil: another client
	visitor  *visitor    // that this is; nil: another client
	hasty    *hasty      // that this is; nil: another client
	upgrader *upgrader   // that this is; nil: another client
	admin    *administrator

	timerAt node.Time // the earliest timer in the heap; node.Never if none
	left    int       // calls begun and not finished
	backoff uint64    // retries so far, keys their delays
	advancing,
	again bool
}

// topicView is what the client knows of a topic.
type topicView struct {
	plan       *plan.Topic
	id         [16]byte // noTopicID: not known
	stale      bool     // to be asked for
	partitions []partitionView
}

// partitionView is what the client knows of a partition.
type partitionView struct {
	leader   int   // broker; 0: unknown
	epoch    int32 // leader epoch, never back (KIP-320); -1: unknown
	position int64 // next offset to fetch
	end      int64 // as the verifier was told
	nearest  int   // broker from which the leader wants it read; 0: the leader
}

func newClient(w *world, spec *plan.Client) *client {
	c := &client{world: w, spec: spec, nextBroker: spec.Home, timerAt: node.Never}
	for i := range w.plan.Topics {
		t := &w.plan.Topics[i]
		v := &topicView{plan: t, stale: true}
		for range t.Partitions {
			v.partitions = append(v.partitions, partitionView{epoch: -1})
		}
		c.topics = append(c.topics, v)
	}
	return c
}

// begin starts a call of the plan.
func (c *client) begin(call *plan.Call) {
	c.left++
	if call.Kind == plan.CallProduce {
		c.enqueue(call)
	} else {
		c.serial.queue = append(c.serial.queue, &pendingCall{call: call, wish: -1})
	}
	c.advance()
}

// finished notes that a call came to its end, answered or given up.
func (c *client) finished() { c.left-- }

func (c *client) topic(name string) *topicView {
	for _, t := range c.topics {
		if t.plan.Name == name {
			return t
		}
	}
	panic("a valid plan knows the topics of its calls")
}

// draw makes the client's next decision.
func (c *client) draw() keyed.Draw {
	c.draws++
	return c.world.seed.Draw(domainClient, uint64(c.spec.ID), c.draws)
}

// advance starts whatever can be started now.
func (c *client) advance() {
	if c.advancing {
		c.again = true
		return
	}
	c.advancing = true
	for {
		c.again = false
		c.expireRequests()
		c.askMetadata()
		c.produce()
		c.runSerial()
		if c.member != nil {
			c.member.advance()
		}
		if c.watcher != nil {
			c.watcher.fetch()
		}
		if c.asks != nil {
			c.advanceAsks()
		}
		if c.txn != nil {
			c.txn.advance()
		}
		if c.reader != nil {
			c.reader.advance()
		}
		if c.admin != nil {
			c.admin.advance()
		}
		if c.visitor != nil {
			c.visitor.advance()
		}
		if c.hasty != nil {
			c.hasty.advance()
		}
		if c.upgrader != nil {
			c.upgrader.advance()
		}
		if !c.again {
			break
		}
	}
	c.advancing = false
}

// wakeAt makes sure that advance is called at t.
func (c *client) wakeAt(t node.Time) {
	if t >= c.timerAt {
		return
	}
	c.timerAt = t
	c.world.schedule(event{at: max(t, c.world.now), kind: evTimer, client: c})
}

// timer is called by events of wakeAt; those that were overtaken by an earlier one find nothing new.
func (c *client) timer(t node.Time) {
	if t >= c.timerAt {
		c.timerAt = node.Never
	}
	c.advance()
	c.rearm()
}

// rearm looks for the next thing that is due by itself. What is due already waits for a connection
// or an answer, which will come or be lost.
func (c *client) rearm() {
	next := node.Never
	for _, cn := range c.conns {
		if cn != nil && cn.open && len(cn.asked) > 0 {
			next = c.sooner(next, cn.asked[0].deadline)
		}
	}
	next = c.sooner(next, c.askAgain)
	next = c.sooner(next, c.producer.retryAt)
	next = c.sooner(next, c.lingerUntil)
	for _, l := range c.lanes {
		if len(l.batches) > 0 {
			next = c.sooner(next, l.batches[0].began+at(c.spec.GiveUp))
			next = c.sooner(next, l.retryAt)
		}
	}
	if s := &c.serial; len(s.queue) > 0 {
		next = c.sooner(next, s.queue[0].began+at(c.spec.GiveUp))
		next = c.sooner(next, s.retryAt)
	}
	if c.member != nil {
		next = min(next, c.member.due())
	}
	if c.watcher != nil {
		next = min(next, c.watcher.due())
	}
	if c.txn != nil {
		next = min(next, c.txn.due())
	}
	if c.reader != nil {
		next = min(next, c.reader.due())
	}
	if c.admin != nil {
		next = min(next, c.admin.due())
	}
	if c.visitor != nil {
		next = min(next, c.visitor.due())
	}
	if c.hasty != nil {
		next = min(next, c.hasty.due())
	}
	if c.upgrader != nil {
		next = min(next, c.upgrader.due())
	}
	if next != node.Never {
		c.wakeAt(next)
	}
}

// sooner returns the earlier of two times, but none that has passed.
func (c *client) sooner(a, b node.Time) node.Time {
	if b <= c.world.now {
		return a
	}
	return min(a, b)
}

// retryDelay is the pause before something is tried again.
func (c *client) retryDelay() node.Time {
	c.backoff++
	if c.storms() {
		return node.Time(millisecond)
	}
	return node.Time(c.draw().Between(int64(20*millisecond), int64(200*millisecond)))
}

// timeout is how long the client waits for an answer. When all is healed it becomes patient: one
// that drops requests faster than a slow broker serves them would keep it busy for ever.
func (c *client) timeout() plan.Duration {
	if c.world.healing {
		return max(c.spec.Timeout, plan.Duration(c.world.patience())/4)
	}
	return c.spec.Timeout
}

// storm is on while usual clients lose patience soon and ask again at once.
type storm struct {
	on       int // so many faults
	patience plan.Duration
}

// storms says that the client takes part in a storm that is on: it is one of the plan's.
func (c *client) storms() bool { return c.usual && c.world.storm.on > 0 }

// patience is how long the client waits for an answer to most requests.
func (c *client) patience() plan.Duration {
	if c.storms() {
		return min(c.timeout(), c.world.storm.patience)
	}
	return c.timeout()
}

// mostWait is how long a fetch waits for records at most, in ms. Where sessions end it is a part of one: what stands behind a fetch on
// its connection would come after the end again and again.
func (c *client) mostWait() int32 {
	ms := int32(c.timeout() / millisecond / 2)
	if s := c.world.secure; s != nil && s.spec.Lifetime > 0 {
		ms = min(ms, int32(s.spec.Lifetime/millisecond/4))
	}
	return ms
}

// conn returns the client's connection to a broker if requests can be sent over it now, and opens
// one if there is none.
func (c *client) conn(broker int) *conn {
	cn := c.conns[broker]
	if cn == nil {
		c.conns[broker] = c.world.connect(c, c.world.brokers[broker-1])
		return nil
	}
	if !cn.usable() {
		return nil
	}
	return cn
}

// hello takes the answer to ApiVersions.
func (c *client) hello(cn *conn, resp *kmsg.ApiVersionsResponse) {
	if resp.ErrorCode != 0 || len(resp.ApiKeys) == 0 {
		c.world.fail("protocol", "broker %d answers ApiVersions v3 with error %s and %d keys", cn.broker.number, kafka.CodeName(resp.ErrorCode), len(resp.ApiKeys))
	}
	c.checkVersions(cn, resp)
	if c.world.secure != nil && (c.visitor == nil || c.visitor.logsIn()) {
		c.logIn(cn, c.identity())
		return
	}
	cn.ready = true
	if cn.then != nil {
		cn.then()
	}
}

// connLost is called when the client learns that a connection is gone.
func (c *client) connLost(cn *conn) {
	if !cn.open {
		return
	}
	cn.open = false
	cn.asked = nil
	c.disconnected(cn)
	c.advance()
}

// expireRequests drops connections whose oldest request is overdue, as real clients do.
func (c *client) expireRequests() {
	for _, cn := range c.conns {
		if cn != nil && cn.open && len(cn.asked) > 0 && cn.asked[0].deadline <= c.world.now {
			if c.storms() {
				c.world.matters(plan.FaultStorm)
			}
			cn.hangUp(c.world)
			c.disconnected(cn)
		}
	}
}

// disconnected makes everything that was under way over cn ready to be tried elsewhere.
func (c *client) disconnected(cn *conn) {
	b := cn.broker.number
	if c.member != nil {
		defer c.member.lostConn(cn)
	}
	if c.conns[b] != cn {
		return
	}
	c.conns[b] = nil
	if c.watcher != nil {
		c.watcher.asking[b] = false
	}
	if c.asked == b {
		c.asked = 0
	}
	if c.nextBroker == b {
		c.nextBroker = b%len(c.world.brokers) + 1
	}
	if c.asks != nil {
		c.dropAsks(b)
	}
	c.refresh(b)
	if c.txn != nil {
		c.txn.lost(b)
	}
	if c.reader != nil {
		c.reader.lost(b)
	}
	if c.admin != nil {
		c.admin.lost(b)
	}
	if c.visitor != nil {
		c.visitor.lost()
	}
	if c.hasty != nil {
		c.hasty.lost()
	}
	if c.upgrader != nil {
		c.upgrader.lost(b)
	}
	c.producerLost(b)
	c.serialLost(b)
}

// retriable says that a call can be made again after the error code, perhaps elsewhere.
func retriable(code int16) bool {
	switch code {
	case kerr.NotLeaderForPartition.Code, kerr.LeaderNotAvailable.Code, kerr.UnknownTopicOrPartition.Code, kerr.UnknownTopicID.Code,
		kerr.RequestTimedOut.Code, kerr.NotEnoughReplicas.Code, kerr.NotEnoughReplicasAfterAppend.Code,
		kerr.OffsetNotAvailable.Code, kerr.UnknownLeaderEpoch.Code, kerr.FencedLeaderEpoch.Code,
		kerr.NotController.Code, kerr.CoordinatorLoadInProgress.Code, kerr.CoordinatorNotAvailable.Code,
		kerr.NetworkException.Code, kerr.BrokerNotAvailable.Code, kerr.KafkaStorageError.Code:
		return true
	}
	return false
}

// unexpected ends the run: no broker should answer that.
func (c *client) unexpected(call *plan.Call, code int16, what string) {
	c.world.fail("unexpected-error", "client %d, call %d (%s %s/%d): %s answered %s", c.spec.ID, call.ID, call.Kind, call.Topic, call.Partition, what, kafka.CodeName(code))
}

// partitionName is how histories name a partition.
func partitionName(topic string, partition int32) string {
	return topic + "/" + strconv.Itoa(int(partition))
}
