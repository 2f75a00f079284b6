// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"chronik/checker"
)

// This file is the part of the judge that listens to transactional clients, and to those who read what they commit.

func (j *judge) readCommitted(r checker.CommittedRead) {
	if t := j.histories.Truths[r.Partition]; t != nil { // more may have come than the verifier saw
		r.Next = min(r.Next, max(t.End(), r.Offset))
	}
	j.histories.Txns.Reads = append(j.histories.Txns.Reads, r)
	w := j.at.world
	w.result.Ops++
	w.hash.word(uint64(r.Client)<<48 ^ uint64(r.Stable)<<16 ^ uint64(len(r.Records)))
	if w.tracing() {
		w.tracef("client %d reads what is committed of %s, offset %d to %d: %d records, stable offset %d, high watermark %d", r.Client, r.Partition, r.Offset, r.Next, len(r.Records), r.Stable, r.HighWatermark)
	}
}

func (j *judge) stableEnd(e checker.StableEnd) {
	j.histories.Txns.Ends = append(j.histories.Txns.Ends, e)
	w := j.at.world
	w.result.Ops++
	w.hash.word(uint64(e.Client)<<48 ^ uint64(e.Offset))
	if w.tracing() {
		w.tracef("client %d is told that the last stable offset of %s is %d", e.Client, e.Partition, e.Offset)
	}
}
