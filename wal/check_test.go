// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"strings"
	"testing"
)

// TestCheckFindsWhatDrifts makes one field wrong at a time, of a log with entries in several segments, a checkpoint, a copy
// that isn't durable and a read under way.
func TestCheckFindsWhatDrifts(t *testing.T) {
	for name, drift := range map[string]func(*Log){
		"live bytes of a segment":      func(l *Log) { l.segs[0].live++ },
		"dead segments":                func(l *Log) { l.dead++ },
		"order of segments":            func(l *Log) { l.segs[0], l.segs[1] = l.segs[1], l.segs[0] },
		"groups of a segment":          func(l *Log) { l.segs[0].groups = nil },
		"bytes of a table":             func(l *Log) { l.cur.table = 0 },
		"reads of a segment":           func(l *Log) { l.segs[0].readers-- },
		"groups":                       func(l *Log) { l.order[0].position++ },
		"a group that isn't found":     func(l *Log) { delete(l.groups, 1) },
		"the last entry":               func(l *Log) { l.groups[1].state.Last++ },
		"the first entry":              func(l *Log) { l.groups[1].state.First-- },
		"a term":                       func(l *Log) { l.groups[1].runs[0].term = 99 },
		"a place":                      func(l *Log) { l.groups[1].runs[0].at[0].off++ },
		"bytes of a checkpoint":        func(l *Log) { l.groups[1].checkpoints[0].size++ },
		"what is buffered":             func(l *Log) { l.chunks = l.chunks[1:] },
		"what is durable":              func(l *Log) { l.durable-- },
		"a sync beyond the end":        func(l *Log) { l.want = l.End() + 1 },
		"a file that is used twice":    func(l *Log) { l.free = append(l.free, l.cur.slot) },
		"an origin that is forgotten":  func(l *Log) { clear(l.copies.from) },
		"a checkpoint without a piece": func(l *Log) { l.stages = []*stage{{group: 1}} },
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			l := logToDrift(t)
			if err := l.Check(); err != nil {
				t.Fatalf("before anything is wrong: %v", err)
			}
			drift(l)
			if l.Check() == nil {
				t.Error("it isn't found")
			}
		})
	}
}

func logToDrift(t *testing.T) *Log {
	fs := newDisk()
	l, _ := mustOpen(t, fs, Options{SegmentBytes: 4096})
	for i := uint64(1); i <= 20; i++ {
		l.Append(1, []Entry{entry(i, 1, 500)})
	}
	l.SetCommit(1, 15)
	l.Release(1, 5)
	l.AddCheckpoint(1, Checkpoint{Index: 10, Term: 1, Data: []byte("state")})
	mustFlush(t, l, fs)
	if _, err := l.Read(1, 7, 9, 1<<20); err != nil {
		t.Fatal(err)
	}
	l.Replace(1, entry(12, 1, 10))
	l.Append(2, []Entry{entry(1, 1, 100)})
	return l
}
