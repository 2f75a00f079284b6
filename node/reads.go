// SPDX-License-Identifier: Apache-2.0

package node

import (
	"chronik/node/step"
	"chronik/wal"
)

// reads are the reads of the log under way, and what each is for.
type reads struct {
	ops  []wal.Op                    // to be handed to the world in this step
	took map[uint64]func(wal.Result) // takes the result, by operation
}

func (r *reads) start(op wal.Op, took func(wal.Result)) {
	r.ops = append(r.ops, op)
	r.took[op.ID] = took
}

// takeResult takes the result of one disk operation.
func (n *Node) takeResult(res wal.Result) {
	switch res.Op.Kind {
	case wal.OpRead:
		took, ok := n.reads.took[res.Op.ID]
		step.Assert(ok, "a read has one result, operation %d", res.Op.ID)
		delete(n.reads.took, res.Op.ID)
		took(res)
	case wal.OpScrub:
		n.scrubbed(res)
	default:
		if err := n.log.Done(res); err != nil {
			n.endFor(EndDisk, err)
		}
		n.retryAppends()
		n.repair(n.log.Damages())
	}
}
