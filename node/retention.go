// SPDX-License-Identifier: Apache-2.0

package node

import "time"

// The first offset of a partition moves through its log like everything else: the leader proposes
// the command, and every replica applies it at the same entry. What lies below is no longer
// readable at once; the log lets go of it when a checkpoint lies between (group.release).

// retentionCheck is how often a leader looks for records that are to be deleted.
const retentionCheck = time.Second

// expire lets the leader propose to delete what retention.ms and retention.bytes say.
func (p *partition) expire() {
	p.forgetProducers()
	if p.expiring {
		return
	}
	if to := p.expired(); to > p.start {
		p.expiring = true
		p.group.propose(logStartCommand(to), func(any, error) { p.expiring = false })
	}
}

// expired returns the offset below which a partition's records are too old or too many.
func (p *partition) expired() int64 {
	if !p.deletes() {
		return p.start
	}
	n, t := p.node, p.meta.Topic
	return p.records.expired(n.age(), n.topicNumber(t, retentionMsConfig), n.topicNumber(t, retentionBytesConfig))
}

// age is by what records are judged now.
func (n *Node) age() age { return age{now: n.now, unixMs: n.unixMs, known: n.clock.earliest.known} }

// forgetProducers lets the leader of a partition propose to forget those that were silent for too long.
func (p *partition) forgetProducers() {
	if p.forgetting || p.node.log.Full() {
		return
	}
	if cmd := p.silent(p.node.age(), p.node.cfg.ProducerExpiration.Milliseconds()); cmd != nil {
		p.forgetting = true
		p.group.propose(cmd, func(any, error) { p.forgetting = false })
	}
}
