// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node"
	"chronik/sim/plan"
)

// Where a plan has a rollout, brokers are of one of two releases. Nothing of feature level 2 may exist before an operator has raised the level,
// which takes that all brokers support it; no broker may refuse another one before. Afterwards a process of the older release must not come to serve,
// nor meet anything of level 2: it says that it is too old, and its operator starts the newer one.

var (
	olderRelease = node.Levels{Oldest: 1, Newest: 1}
	newerRelease = node.Levels{Oldest: 1, Newest: 2}
)

// rollout is how far one is.
type rollout struct {
	upgrader *upgrader
	asked    bool // to raise the level
	raised   bool
	raisedAt node.Time
}

func (w *world) newRollout() {
	r := w.plan.Rollout
	if r == nil {
		return
	}
	c := newClient(w, &plan.Client{ID: upgradeClient, InFlight: 1, Timeout: 3 * second, GiveUp: 3 * second, Home: 1})
	w.rollout = &rollout{upgrader: &upgrader{client: c}}
	c.upgrader = w.rollout.upgrader
	for _, b := range r.Newer {
		w.brokers[b-1].newer = true
	}
	for i := range r.Rolls {
		w.schedule(event{at: at(r.Rolls[i].At), kind: evRoll, index: i})
	}
	if r.Raise > 0 {
		w.schedule(event{at: at(r.Raise), kind: evRoll, index: len(r.Rolls)})
	}
}

const upgradeClient = 1<<22 + 251

// levels are those that a broker's release supports, when it is started now. Somebody who puts an older copy of a folder back, or starts a
// second process, takes the newer release.
func (w *world) levels(b *broker) node.Levels {
	switch {
	case w.rollout == nil:
		return node.Levels{}
	case b.newer || b.stray:
		return newerRelease
	}
	return olderRelease
}

// roll begins one of the plan's, or the attempts to raise the level.
func (w *world) roll(i int) {
	rolls := w.plan.Rollout.Rolls
	if w.healing || w.straying() {
		return
	}
	if i == len(rolls) {
		w.rollout.upgrader.begin()
		return
	}
	r := &rolls[i]
	b := w.brokers[r.Broker-1]
	b.newer = r.Newer
	w.disturbed()
	if b.diskNumber == 0 || b.leaving || b.node == nil {
		return
	}
	if r.Kill {
		w.crash(b, false, at(r.For))
	} else {
		w.beginStop(b, at(r.For))
	}
}

// unfit takes it that a process says that its release doesn't support the level. Its operator starts the newer one.
func (w *world) unfit(b *broker, err error) {
	if r := w.rollout; r == nil || !r.raised || b.runs != olderRelease {
		w.fail("level", "broker %d, which supports %v, ends for the level, which no other is: %v", b.number, b.runs, err)
	}
	if w.tracing() {
		w.tracef("%s  is too old: %v", w.column(b), err)
	}
	b.newer = true
	if b.node != nil {
		w.crash(b, false, node.Time(second))
		return
	}
	w.schedule(event{at: w.now + node.Time(second), kind: evRestart, broker: b, incarnation: b.incarnation})
}

// waitsTooOld reports whether a broker that waits says that its release is too old for a level that was raised. One of the older release that no
// cluster had taken in by then knows the level from what others say, which isn't enough to end for: it waits, and says why.
func (w *world) waitsTooOld(b *broker, text string) bool {
	return w.rollout != nil && w.rollout.raised && b.runs == olderRelease && strings.Contains(text, "it is too old. Start a newer release")
}

// checkLevel looks at what a step did with levels.
func (w *world) checkLevel(b *broker) {
	r := w.rollout
	if r == nil || b.node == nil {
		return
	}
	if early := b.node.Trial().Early; early != "" {
		w.fail("level", "broker %d, which supports %v and is at level %d, has met %s of level 2", b.number, b.runs, b.node.Level(), early)
	}
	if b.node.Level() > 1 && !r.raised {
		r.raised, r.raisedAt = true, w.now
		if !r.asked {
			w.fail("level", "broker %d is at level %d, and nobody asked for it", b.number, b.node.Level())
		}
		for _, o := range w.brokers {
			if o.node != nil && o.node.Ready() && o.runs == olderRelease && !o.stray && !o.leaving && o.removed != o.diskNumber {
				w.fail("level", "the level is raised, and broker %d, which serves, doesn't support that", o.number)
			}
		}
	}
	if r.raised && b.runs == olderRelease && b.node.Ready() && b.bootedAt > r.raisedAt {
		w.fail("level", "broker %d comes to serve, though it is too old for the level", b.number)
	}
}

// levelBytes is what a broker says of levels, and of level 2.
func (w *world) levelBytes(s *spent, most int) int {
	if w.rollout == nil {
		return 0
	}
	return 4*s.envelopes + 22*most
}

// settleRollout brings all brokers to one release, and raises the level, or doesn't.
func (w *world) settleRollout() {
	r := w.rollout
	if r == nil {
		return
	}
	back := w.plan.Rollout.Back
	w.joined()
	for _, b := range w.brokers {
		b.newer = !back
		if b.node != nil && !b.leaving && b.runs.Newest > 1 == back {
			w.crash(b, false, node.Time(millisecond))
			w.joined()
		}
	}
	if back {
		if r.raised {
			w.fail("level", "the level is raised, and nobody asked for it")
		}
		return
	}
	r.upgrader.begin()
	if !w.runUntil(w.now+w.patience(), func() bool { return r.upgrader.done && w.allRaised() }) {
		w.fail("liveness", "the level isn't raised everywhere, though all brokers support it, %v after all faults ended", plan.Duration(w.now-w.healedAt))
	}
}

func (w *world) allRaised() bool {
	for _, b := range w.brokers {
		if b.node != nil && !b.leaving && b.node.Level() < 2 {
			return false
		}
	}
	return true
}

// upgrader is who raises the level: again and again, until he is told that it is done.
type upgrader struct {
	client *client
	begun  bool
	asking int // broker; 0: none
	again  node.Time
	done   bool
}

func (u *upgrader) begin() {
	u.begun, u.again = true, 0
	u.client.advance()
}

func (u *upgrader) due() node.Time {
	if !u.begun || u.done {
		return node.Never
	}
	return u.client.sooner(node.Never, u.again)
}

func (u *upgrader) advance() {
	c := u.client
	w := c.world
	if !u.begun || u.done || u.asking != 0 {
		return
	}
	if w.now < u.again {
		c.wakeAt(u.again)
		return
	}
	cn := c.conn(c.nextBroker)
	if cn == nil {
		return
	}
	u.asking = cn.broker.number
	w.rollout.asked = true
	req := kmsg.NewPtrUpdateFeaturesRequest()
	req.Version, req.TimeoutMillis = 1, 2000
	f := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	f.Feature, f.MaxVersionLevel, f.UpgradeType = "chronik.version", 2, 1
	req.FeatureUpdates = append(req.FeatureUpdates, f)
	cn.ask(w, req, func(resp kmsg.Response) { u.answered(cn, resp.(*kmsg.UpdateFeaturesResponse)) })
}

func (u *upgrader) answered(cn *conn, resp *kmsg.UpdateFeaturesResponse) {
	w, code := u.client.world, resp.Results[0].ErrorCode
	if w.tracing() {
		w.tracef("the operator is answered %s by broker %d", kafka.CodeName(code), cn.broker.number)
	}
	switch {
	case code == 0:
		if u.asking, u.done = 0, true; !w.rollout.raised {
			w.fail("level", "broker %d says that the level is raised, and it isn't", cn.broker.number)
		}
		u.client.goAway()
	case code == kerr.InvalidUpdateVersion.Code, code == kerr.ThrottlingQuotaExceeded.Code, retriable(code):
		u.retry()
	default:
		w.fail("unexpected-error", "broker %d answers the operator who raises the level with %s", cn.broker.number, kafka.CodeName(code))
	}
}

// retry asks again, elsewhere.
func (u *upgrader) retry() {
	c := u.client
	u.asking = 0
	c.nextBroker = c.nextBroker%len(c.world.brokers) + 1
	u.again = c.world.now + c.retryDelay()
	c.wakeAt(u.again)
}

// lost is called when the connection to a broker is gone.
func (u *upgrader) lost(broker int) {
	if u.asking == broker {
		u.retry()
	} else if u.begun && !u.done {
		u.again = max(u.again, u.client.world.now+u.client.retryDelay())
		u.client.wakeAt(u.again)
	}
}
