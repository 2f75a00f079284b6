// SPDX-License-Identifier: Apache-2.0

package wal

// Tail returns the first of a group's newest entries: as many as there are within a number of entries and
// of bytes on the disk, whichever is reached first. It is one past the last entry if none is within.
func (l *Log) Tail(g GroupID, entries uint64, bytes int64) uint64 {
	gr := l.groups[g]
	if gr == nil {
		return 1
	}
	first := gr.state.Last + 1
	for n := len(gr.runs) - 1; n >= 0; n-- {
		r := &gr.runs[n]
		for k := len(r.at) - 1; k >= 0; k-- {
			if bytes -= int64(r.at[k].size); bytes < 0 || entries == 0 {
				return first
			}
			n := min(max(1, r.packed), entries)
			entries -= n
			first -= n
		}
	}
	return first
}
