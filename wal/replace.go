// SPDX-License-Identifier: Apache-2.0

package wal

import "fmt"

// Replace puts other data in the place of a committed entry that is durable; its index, term and kind
// stay. It is for callers whose entries may shrink without a change of what they mean, as in Kafka's
// log compaction, and is written as a move is: until the new record is durable, reads return the old
// one, and a crash leaves either.
func (l *Log) Replace(g GroupID, e Entry) {
	gr := l.groups[g]
	if gr == nil {
		panic(fmt.Sprintf("wal: group %d: it has no entry %d to replace", g, e.Index))
	}
	r, k, ok := gr.locate(e.Index)
	switch term, _ := gr.term(e.Index); {
	case !ok || e.Index > gr.state.Commit || r.seg.lsn(r.at[k])+LSN(r.at[k].size) > l.durable:
		panic(fmt.Sprintf("wal: group %d: entry %d is replaced before it is committed and durable", g, e.Index))
	case e.Term != term:
		panic(fmt.Sprintf("wal: group %d: entry %d of term %d is replaced by one of term %d", g, e.Index, term, e.Term))
	}
	l.moveEntry(item{group: gr, index: e.Index, at: r.at[k]}, r.seg, e)
	l.retire()
}
