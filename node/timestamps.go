// SPDX-License-Identifier: Apache-2.0

package node

import (
	"math"

	"chronik/kafka"
)

// demands returns what the records of a producer's batch have to keep to. Their timestamps may lie only so far from
// now (message.timestamp.before.max.ms and message.timestamp.after.max.ms, KIP-937), unless they get the broker's time. A
// doubt about the time refuses none: a producer gives up a record that is refused. Nor does a broker that knows only its own
// clock, since it has just started.
func (p *partition) demands() kafka.Demands {
	t, n := p.meta.Topic, p.node
	d := kafka.Demands{Unfold: n.unfoldLimit(t), Keyed: p.compacts(), Newest: kafka.AnyTime}
	if n.usesAppendTime(t) || !n.clock.heard {
		return d
	}
	d.Oldest = max(n.earliestMs()-n.topicNumber(t, timestampBeforeConfig), 0)
	now := n.stampMs()
	if after := n.topicNumber(t, timestampAfterConfig); after <= math.MaxInt64-now {
		d.Newest = now + after
	}
	return d
}
