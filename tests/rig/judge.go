// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"strings"
)

// Verdict is what is wrong with the cluster, one line per finding.
type Verdict []string

func (v Verdict) Error() string { return strings.Join(v, "\n") }

// Data is what a topic's partitions hold.
type Data struct {
	Start   []int64 // offset of the first record of each partition
	Records [][]Record
}

// mostFindings is per kind; after them only the number matters.
const mostFindings = 5

// Judge compares what producers were told with what a consumer read, both per partition. It
// demands: offsets without a gap from the partition's start; each record at most once, acknowledged or
// not; those of one producer in the order in which it wrote them; each acknowledged one that is not
// below the start there, at the offset that was acknowledged.
func Judge(acked [][]Record, read Data) (found Verdict) {
	for p := range acked {
		j := partitionJudge{start: read.Start[p]}
		j.readInOrder(read.Records[p])
		j.ackedAreThere(acked[p])
		for _, kind := range []string{"gap", "duplicate", "order", "lost", "moved"} {
			lines := j.found[kind]
			for _, line := range lines[:min(len(lines), mostFindings)] {
				found = append(found, fmt.Sprintf("partition %d: %s: %s", p, kind, line))
			}
			if len(lines) > mostFindings {
				found = append(found, fmt.Sprintf("partition %d: %s: %d in all", p, kind, len(lines)))
			}
		}
	}
	return found
}

type recordID struct {
	producer int
	n        int64
}

type partitionJudge struct {
	start int64
	at    map[recordID]int64 // offset of each record that was read
	found map[string]Verdict // by kind
}

func (j *partitionJudge) report(kind, format string, args ...any) {
	j.found[kind] = append(j.found[kind], fmt.Sprintf(format, args...))
}

func (j *partitionJudge) readInOrder(read []Record) {
	j.at, j.found = make(map[recordID]int64), make(map[string]Verdict)
	newest := make(map[int]int64) // by producer
	for i, r := range read {
		if want := j.start + int64(i); r.Offset != want {
			j.report("gap", "offset %d where %d is due", r.Offset, want)
		}
		id := recordID{r.Producer, r.N}
		if first, ok := j.at[id]; ok {
			j.report("duplicate", "producer %d's record %d is at offsets %d and %d", r.Producer, r.N, first, r.Offset)
			continue
		}
		j.at[id] = r.Offset
		if before, ok := newest[r.Producer]; ok && r.N < before {
			j.report("order", "producer %d's record %d is at offset %d, behind its record %d", r.Producer, r.N, r.Offset, before)
		}
		newest[r.Producer] = max(newest[r.Producer], r.N)
	}
}

func (j *partitionJudge) ackedAreThere(acked []Record) {
	for _, a := range acked {
		at, ok := j.at[recordID{a.Producer, a.N}]
		switch {
		case !ok && a.Offset < j.start:
		case !ok:
			j.report("lost", "producer %d's record %d was acknowledged at offset %d", a.Producer, a.N, a.Offset)
		case at != a.Offset:
			j.report("moved", "producer %d's record %d was acknowledged at offset %d and is at %d", a.Producer, a.N, a.Offset, at)
		}
	}
}
