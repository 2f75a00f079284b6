// SPDX-License-Identifier: Apache-2.0

package main

import "fmt"

// most findings per kind; after them only the number matters.
const mostFindings = 5

// judge compares what producers were told with what a consumer read, both per partition. It
// demands: offsets 0, 1, 2, ...; each record at most once, acknowledged or not; those of one
// producer in the order in which it wrote them; each acknowledged one there, at the offset that
// was acknowledged.
func judge(acked, read [][]record) (found verdict) {
	for p := range acked {
		var j partitionJudge
		j.readInOrder(read[p])
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
	at    map[recordID]int64 // offset of each record that was read
	found map[string]verdict // by kind
}

func (j *partitionJudge) report(kind, format string, args ...any) {
	j.found[kind] = append(j.found[kind], fmt.Sprintf(format, args...))
}

func (j *partitionJudge) readInOrder(read []record) {
	j.at, j.found = make(map[recordID]int64), make(map[string]verdict)
	newest := make(map[int]int64) // by producer
	for i, r := range read {
		if r.offset != int64(i) {
			j.report("gap", "record %d of the partition has offset %d", i, r.offset)
		}
		id := recordID{r.producer, r.n}
		if first, ok := j.at[id]; ok {
			j.report("duplicate", "producer %d's record %d is at offsets %d and %d", r.producer, r.n, first, r.offset)
			continue
		}
		j.at[id] = r.offset
		if before, ok := newest[r.producer]; ok && r.n < before {
			j.report("order", "producer %d's record %d is at offset %d, behind its record %d", r.producer, r.n, r.offset, before)
		}
		newest[r.producer] = max(newest[r.producer], r.n)
	}
}

func (j *partitionJudge) ackedAreThere(acked []record) {
	for _, a := range acked {
		at, ok := j.at[recordID{a.producer, a.n}]
		switch {
		case !ok:
			j.report("lost", "producer %d's record %d was acknowledged at offset %d", a.producer, a.n, a.offset)
		case at != a.offset:
			j.report("moved", "producer %d's record %d was acknowledged at offset %d and is at %d", a.producer, a.n, a.offset, at)
		}
	}
}
