// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/checker"
	"chronik/node"
	"chronik/sim/plan"
)

// A call may take as long as messages, syncs, tasks and steps take, whatever this world draws for them, and no longer. So while
// somebody waits something must be under way: a message, a request, an operation of a disk, a task, or work that a step left.
// When nothing is, the world is at rest until a clock moves it: a tick, a heartbeat, the end of a time-out. Whoever waits then
// was forgotten, and is served much later, or never (check late). This bound is exact in every world. A slow world is seldom at
// rest.
//
// A message that nothing but a clock has caused, a heartbeat or its answer, isn't counted as under way: in slow worlds some
// always are. After a disturbance brokers have to wait for clocks: they elect, and send again what was lost. So then nothing is
// demanded for an election timeout, and nothing as long as a fault is on.
type rest struct {
	underWay  int            // events to come that bring something
	idle      int            // messages to come that only clocks have caused
	news      bool           // something happened since the world was last found at rest
	at        bool           // the world is at rest now
	total     node.Time      // for so long it was at rest
	quietAt   node.Time      // what the last disturbance led to is over then
	lastAt    node.Time      // that was then
	disturbed int            // so often
	sound     bool           // no fault was on when it was last found at rest
	changed   []node.GroupID // since it was last looked who lags, each once
}

// brings says that an event is a part of what somebody waits for, and not only the work of a clock.
func (e *event) brings() bool {
	switch e.kind {
	case evMessage:
		return !e.idle
	case evOp, evTask, evRequest, evHangup, evReply, evConnLost, evLost, evRestart, evOperated:
		return true
	}
	return false
}

// disturbed notes that for a while brokers have to wait for clocks.
func (w *world) disturbed() { w.disturbedTill(w.now) }

// disturbedTill notes that this while begins at a time to come.
func (w *world) disturbedTill(t node.Time) {
	k := &w.plan.Knobs
	w.rest.quietAt = max(w.rest.quietAt, t+node.Time(k.Tick)*node.Time(k.ElectionTicks))
	w.rest.news, w.rest.lastAt = true, max(w.rest.lastAt, t)
	w.rest.disturbed++
}

// isQuiet says that whatever disturbed brokers should be over.
func (w *world) isQuiet() bool { return w.now >= w.rest.quietAt }

// stir notes that something happens which isn't the work of a clock.
func (w *world) stir() { w.rest.news, w.rest.at = true, false }

// pass lets time pass until next.
func (w *world) pass(next node.Time) {
	r := &w.rest
	if next <= w.now {
		return
	}
	if r.news && r.underWay == 0 && w.isAtRest() {
		r.at = true
		sound, paces := w.isSound(), w.paces()
		if sound && !r.sound { // it may have become so just now
			w.disturbed()
		}
		r.sound = sound
		r.news = !sound || paces || !w.isQuiet() // looks again
		if sound && !paces {
			if w.plan.Knobs.CatchUpRate == 0 { // with a low rate limit nothing is under way between two entries
				w.lookWhoLags()
			}
			if !r.news && len(r.changed) == 0 { // who lags and may can't answer
				w.lookWhoWaits()
			}
		}
	}
	if r.at {
		r.total += next - w.now
	}
	w.now = next
}

// isAtRest says that no broker has anything to do before its clock says so. Nothing is under way.
func (w *world) isAtRest() bool {
	for _, all := range [...][]*broker{w.brokers, w.extra} {
		for _, b := range all {
			if b.node != nil && (!b.mail.empty() || b.unfinished || b.stopBy != 0) {
				return false
			}
		}
	}
	return true
}

// isSound says that no fault is on, and no disk full: all brokers serve and hear each other. When all is healed some may be dead.
func (w *world) isSound() bool {
	if len(w.extra) > 0 || w.storm.on > 0 || w.straying() || w.founding() || w.net.troubled() {
		return false
	}
	return !slices.ContainsFunc(w.brokers, func(b *broker) bool {
		if b.node == nil {
			return !w.healing && b.diskNumber > 0 && !b.away
		}
		return !b.node.Ready() || b.disk.full || b.failReads > 0 || !w.isHeard(b) || b.node.KeepsOut()
	})
}

// isHeard says that all others listen to a broker. Who comes back while the others don't know yet that it died is taken for a
// second process with its id at first.
func (w *world) isHeard(b *broker) bool {
	return !slices.ContainsFunc(w.brokers, func(o *broker) bool { return o != b && o.node != nil && !o.node.Hears(node.BrokerID(b.number)) })
}

// paces says that a follower waits for old entries because others are not to be disturbed; requests may need it for a majority.
func (w *world) paces() bool {
	return slices.ContainsFunc(w.brokers, func(b *broker) bool { return b.node != nil && b.node.Paces() })
}

// lookWhoWaits demands that brokers owe no answer and have nothing to do.
func (w *world) lookWhoWaits() {
	for _, b := range w.brokers {
		if b.node == nil {
			continue
		}
		if why := b.node.Overdue(); why != "" {
			w.fail("late", "nothing is under way, and broker %d could go on: %s", b.number, why)
		}
		if b.node.Crowded() {
			continue
		}
		for _, cn := range b.conns {
			if why := cn.overdue(w); why != "" {
				w.fail("late", "nothing is under way, and broker %d owes an answer: %s", b.number, why)
			}
		}
	}
}

// overdue names the request of a connection that should be answered; "" if there is none. It is the first one that waits.
func (cn *conn) overdue(w *world) string {
	if cn.client == nil || !cn.open || len(cn.asked) == 0 || cn.client.member != nil && cn.client.member.paused || cn.client.txn != nil && cn.client.txn.paused {
		return ""
	}
	a := &cn.asked[0]
	key := a.resp.Key()
	if w.now <= cn.mutedTill {
		return ""
	}
	if w.rest.total-a.rested < mayRest(key)+w.resent() || (asksCatalog(key) || inTransaction(a.req)) && w.now < w.rest.lastAt+node.Time(sentAgain) {
		return ""
	}
	return fmt.Sprintf("client %d asked for %s at %v", cn.client.spec.ID, kmsg.NameForKey(a.resp.Key()), plan.Duration(a.at))
}

// sentAgain is how long after a disturbance brokers may wait before they repeat a command for the catalog that was lost, or a question
// to the coordinator of a transaction, by the slowest of their clocks. Commands behind it wait as well.
const sentAgain = 5 * second

// inTransaction says that a request's broker may have to ask the coordinator of a transaction.
func inTransaction(req kmsg.Request) bool {
	r, ok := req.(*kmsg.ProduceRequest)
	return ok && r.TransactionID != nil
}

// asksCatalog says that a request may need a command for the catalog, or of a coordinator of transactions.
func asksCatalog(key int16) bool {
	switch kmsg.Key(key) {
	case kmsg.Produce, kmsg.ListOffsets, kmsg.OffsetCommit, kmsg.OffsetFetch, kmsg.Heartbeat, kmsg.LeaveGroup, kmsg.ConsumerGroupHeartbeat, kmsg.ApiVersions:
		return false
	}
	return true
}

// mayRest is how long a request may wait for clocks. Those that wait for records or for other members are the broker's to judge
// (Overdue); a broker leaves in steps that its leaders take at ticks. Those that make partitions wait for their leaders, and replicas wait some ticks before they campaign.
func mayRest(key int16) node.Time {
	switch kmsg.Key(key) {
	case kmsg.Fetch, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.UnregisterBroker:
		return node.Never / 2
	case kmsg.SASLHandshake, kmsg.SASLAuthenticate: // a failed login is answered late
		return node.Time(second)
	case kmsg.ElectLeaders: // is looked at every 50 ms, and the leader may not have heard of the replica that is to lead since it has everything
		return node.Time(second)
	case kmsg.Metadata, kmsg.FindCoordinator, kmsg.CreateTopics, kmsg.CreatePartitions:
		return node.Time(2 * second)
	}
	return 0
}

// noteChanged notes groups in which something happened.
func (w *world) noteChanged(groups []node.GroupID) {
	for _, g := range groups {
		if !slices.Contains(w.rest.changed, g) {
			w.rest.changed = append(w.rest.changed, g)
		}
	}
}

// lookWhoLags demands that replicas have what their leaders have, unless a message of a clock is under way.
func (w *world) lookWhoLags() {
	if w.rest.idle == 0 {
		w.rest.changed = slices.DeleteFunc(w.rest.changed, func(g node.GroupID) bool { return !w.lags(g) })
	}
}

// lag is how a replica that is behind its leader comes closer.
type lag struct {
	since     node.Time // it was behind while nothing was under way; 0: it isn't
	goal      uint64    // what its leader had then
	disturbed int       // rest.disturbed then
	last      uint64    // entry that it has, when last looked at
	offers    node.Time // when its leader was last seen to offer a checkpoint
	steps     int       // it had come closer so often while it was looked at and nothing was under way, and
	moved     node.Time // when that was last seen
}

// mostSteps is how many of them there may be: raft needs some heartbeats to find out what a replica has. Where messages overtake
// each other, each that is refused for that may cost one more.
func (w *world) mostSteps() int {
	if w.plan.Knobs.LinkInOrder {
		return 6
	}
	return 20
}

// lags says that a replica of a group lags behind its leader, as it may for a while. It may not know yet that an entry is
// committed: a heartbeat tells it.
func (w *world) lags(g node.GroupID) bool {
	leader := w.leader(g)
	if leader == nil || w.judge.gone[g] {
		return false
	}
	v, _ := leader.node.Inspect(g)
	if w.plan.Profile == "calm" && w.isQuiet() && w.resent() == 0 && (v.Commit != v.LastIndex || v.Applied != v.LastIndex) {
		w.fail("late", "nothing is under way, and broker %d, which leads group %d, has entries to %d, commit index %d, applied %d", leader.number, g, v.LastIndex, v.Commit, v.Applied)
	}
	lags := false
	for _, id := range append(replicaIDs(v.Voters), replicaIDs(v.Learners)...) {
		b := w.brokers[id.Broker()-1]
		if r := w.judge.find(b, g); b.node != nil && r != nil {
			lags = w.lagsBehind(b, id, r, &v) || lags
		}
	}
	return lags
}

// resent is how long it takes at most until entries are sent again that seem to be under way. Where messages overtake each other a
// follower may refuse some, raft may take that for an older refusal, and finds out by its heartbeats.
func (w *world) resent() node.Time {
	if w.plan.Knobs.LinkInOrder {
		return 0
	}
	return w.heartbeats()
}

func (w *world) heartbeats() node.Time {
	k := &w.plan.Knobs
	return node.Time(k.Tick) * node.Time(4*k.HeartbeatTicks)
}

// lagsBehind looks at one replica. It may lag for some heartbeats, and not longer. An offered checkpoint that doesn't arrive, or that changes while it is fetched, is given up
// after four election timeouts, and some heartbeats later entries are sent instead.
func (w *world) lagsBehind(b *broker, id checker.ReplicaID, r *seenReplica, v *node.View) bool {
	o, ok := b.node.Inspect(v.Group)
	if !ok || o.Self != uint64(id) || o.Closed || o.LastIndex == v.LastIndex {
		r.lag = lag{}
		return false
	}
	if l := &r.lag; l.since == 0 || l.disturbed != w.rest.disturbed || o.LastIndex >= l.goal { // it may always lack what is new
		*l = lag{since: w.now, goal: v.LastIndex, disturbed: w.rest.disturbed}
	} else if l.last < o.LastIndex {
		l.steps++
		l.moved = w.now
	}
	if r.lag.last = o.LastIndex; r.lag.steps > w.mostSteps() {
		w.fail("late", "broker %d lacks entries of group %d, has those to %d of %d, and goes on only when a clock moves it: %d times since %v", b.number, v.Group, o.LastIndex, v.LastIndex, r.lag.steps, plan.Duration(r.lag.since))
	}
	may, from := w.heartbeats(), max(r.lag.since, r.lag.offers) // a read of old entries may come too early for the pace
	if !w.plan.Knobs.LinkInOrder {                              // each message that was overtaken may cost a heartbeat
		from = max(from, r.lag.moved)
	}
	if o.LastIndex+1 < v.FirstIndex || v.Offers {
		may, from = 5*node.Time(w.plan.Knobs.Tick)*node.Time(w.plan.Knobs.ElectionTicks), r.lag.since
		r.lag.offers = w.now
	}
	if w.isQuiet() && w.now-from >= may {
		w.fail("late", "nothing is under way, and since %v broker %d lacks entries of group %d: it has those to %d, its leader to %d", plan.Duration(r.lag.since), b.number, v.Group, o.LastIndex, v.LastIndex)
	}
	return true
}
