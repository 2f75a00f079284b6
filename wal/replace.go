// SPDX-License-Identifier: Apache-2.0

package wal

import "fmt"

// Replace puts other data in the place of a committed entry that is durable; its index, term and kind
// stay. It is for callers whose entries may shrink without a change of what they mean, as in Kafka's
// log compaction, and is written as a move is: until the new record is durable, reads return the old
// one, and a crash leaves either. A read under way that has the old data when the new one counts fails
// with ErrMissing.
func (l *Log) Replace(g GroupID, e Entry) {
	gr := l.groups[g]
	if gr == nil {
		panic(fmt.Sprintf("wal: group %d: it has no entry %d to replace", g, e.Index))
	}
	r, k, ok := gr.locate(e.Index)
	if !ok || e.Index > gr.state.Commit || e.Term != r.term {
		panic(fmt.Sprintf("wal: group %d: entry %d of term %d replaces none that is committed (commit index %d)", g, e.Index, e.Term, gr.state.Commit))
	}
	if _, _, ok := l.durableCopy(r.seg, r.at[k]); !ok {
		panic(fmt.Sprintf("wal: group %d: entry %d is replaced before it is durable", g, e.Index))
	}
	l.copyEntry(gr, e, origin{r.seg, r.at[k], true})
	l.outdate(gr, e.Index)
	l.retire()
}

// outdate cuts entry i, and what follows it, out of the reads under way.
func (l *Log) outdate(g *group, i uint64) {
	//det:ok order does not matter because each read is changed for itself
	for _, r := range l.reads {
		if r.group == g && r.lo <= i && i-r.lo < uint64(len(r.at)) {
			r.at = r.at[:i-r.lo]
		}
	}
}
