// SPDX-License-Identifier: Apache-2.0

package node

import (
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// catchUpBurst is how much of the pace of catching up may be used at once.
const catchUpBurst = 10 * time.Millisecond

// hasTurn reports whether the pace of catching up allows to send old entries now, be they in memory or not.
// If it doesn't, the group tries again when it does.
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

// spend notes what is sent of the pace of catching up.
func (v *logView) spend(ents []*pb.Entry) {
	n := v.group.node
	n.catchUpAt = max(n.catchUpAt, n.now).Add(n.cfg.catchUpTime(ents))
}

// earn adds new entries of a group that this broker leads to the pace of catching up, twice: whoever is
// behind must come closer, however much is written meanwhile.
func (v *logView) earn(ents []*pb.Entry) {
	n := v.group.node
	n.catchUpAt = n.catchUpAt.Add(-2 * n.cfg.catchUpTime(ents))
}

// catchUpTime is how long the pace of catching up takes for entries.
func (c *Config) catchUpTime(ents []*pb.Entry) time.Duration {
	if c.CatchUpBytesPerSecond <= 0 {
		return 0
	}
	bytes := int64(0)
	for _, e := range ents {
		bytes += entryBytes(e)
	}
	return time.Duration(int64(time.Second) * bytes / c.CatchUpBytesPerSecond)
}
