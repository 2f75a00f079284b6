// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
)

// Who restores a backup writes batches that keep their offsets (ADR 26). A produce request says so by its acks, which no other
// client sends: each of its batches is appended at its base offset, or refused. Offsets without records are a batch
// without records. Such a batch looks in the log as one that compaction has left, so nothing is new there. Who is refused because the log
// ends elsewhere is told where, as base offset.
//
// The leader decides, once nothing else is on its way: then the log ends where its own copy does, whatever becomes of
// the proposal. Entries of earlier terms are applied before a leader serves, and nobody else writes in its term. So a
// batch that is sent again after an answer was lost finds the end moved, and is refused.

var (
	errOthersUnderway = kafka.Errorf(kerr.NotEnoughReplicas, "other records are on their way into the partition; try again when they are there")
	errKeptRight      = kafka.Errorf(kerr.ClusterAuthorizationFailed, "batches that keep their offsets need the right to alter the cluster")
)

// placesKept reports why a batch can't be appended at its base offset now, nil if it can.
func (p *partition) placesKept(b *kafka.Batch) error {
	g := p.group
	switch {
	case !p.leads():
		return errNotLeader
	case len(g.pending)+len(g.proposed)+len(g.ordered) > 0:
		return errOthersUnderway
	case b.BaseOffset != p.highWatermark:
		return kafka.Errorf(kerr.OffsetOutOfRange, "the partition ends at offset %d, and the batch is to be at %d", p.highWatermark, b.BaseOffset)
	}
	return nil
}
