// SPDX-License-Identifier: Apache-2.0

package node

import (
	"strconv"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Old entries are sent to followers under a rate limit, so that catching up leaves disk, network and CPU to new
// records (ADR 8). Entries count as old if they are applied: a majority has them, and only a follower that lags
// behind asks for them. One limit holds for all groups of the broker. Node.catchUpAt is the time up to which it is
// used: sending moves it forward, new writes move it back.

// leaderThrottleConfig is the configuration of a broker by which clients make the limit lower, and minThrottle the lowest
// that they can ask for. A large batch would keep the others waiting for minutes otherwise.
const (
	leaderThrottleConfig = "leader.replication.throttled.rate"
	minThrottle          = 64 << 10
)

// catchUpBurst is how far ahead of now the limit may be used.
const catchUpBurst = 10 * time.Millisecond

// hasTurn reports whether the rate limit allows old entries to be sent now, whether or not they are in memory.
// If not, the group tries again when it does.
func (v *logView) hasTurn() bool {
	n := v.group.node
	if n.catchUpAt <= n.now.Add(catchUpBurst) {
		return true
	}
	if !v.waits {
		v.waits = true
		n.deadlines.Add(n.catchUpAt, func() {
			v.waits = false
			v.group.kick()
		})
	}
	return false
}

// spend charges entries that are sent to the rate limit.
func (v *logView) spend(ents []*pb.Entry) {
	n := v.group.node
	n.catchUpAt = max(n.catchUpAt, n.now).Add(n.catchUpTime(ents))
}

// earn credits the rate limit with twice the new entries of a group that this broker leads. So a follower that
// lags behind comes closer however much is written meanwhile.
func (v *logView) earn(ents []*pb.Entry) {
	n := v.group.node
	n.catchUpAt = n.catchUpAt.Add(-2 * n.catchUpTime(ents))
}

// catchUpTime is how long the rate limit takes for entries: the operator's, or a lower one that a client asked for.
func (n *Node) catchUpTime(ents []*pb.Entry) time.Duration {
	rate := n.cfg.CatchUpBytesPerSecond
	n.overrides() // if they changed, so may the throttle
	if n.throttle > 0 && (rate <= 0 || n.throttle < rate) {
		rate = n.throttle
	}
	if rate <= 0 {
		return 0
	}
	bytes := int64(0)
	for _, e := range ents {
		bytes += entryBytes(e)
	}
	return time.Duration(int64(time.Second) * bytes / rate)
}

// throttleAt takes the rate that a client asked for. What was sent at another one is forgotten.
func (n *Node) throttleAt(o *overrides) {
	asked := int64(0)
	if v, ok := o.value(leaderThrottleConfig); ok {
		asked, _ = strconv.ParseInt(v, 10, 64)
		asked = max(asked, minThrottle) // another release may take less
	}
	if asked != n.throttle {
		n.throttle, n.catchUpAt = asked, min(n.catchUpAt, n.now)
	}
}
