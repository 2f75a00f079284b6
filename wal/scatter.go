// SPDX-License-Identifier: Apache-2.0

package wal

import "sort"

// maxStretches bounds the stretches of one read.
const maxStretches = 256

// scatter is what a read is to bring, and the stretches of the file which that takes. A group's records lie between those
// of others, which are not read unless there are few bytes of them.
type scatter struct {
	max       int64 // bytes to read, unless one record is larger
	through   int64 // so many bytes between two records are read with them
	parts     []part
	stretches []Stretch
	n         int64 // bytes in the stretches
}

// add adds a record that lies behind the others; false if that is too much for one read.
func (s *scatter) add(p part) bool {
	size, joins := int64(p.at.size), false
	var last *Stretch
	if len(s.stretches) > 0 {
		last = &s.stretches[len(s.stretches)-1]
		if gap := int64(p.at.off) - last.Off - last.N; gap <= s.through {
			size, joins = size+gap, true
		}
		if s.n+size > s.max || !joins && len(s.stretches) == maxStretches {
			return false
		}
	}
	if joins {
		last.N += size
	} else {
		s.stretches = append(s.stretches, Stretch{int64(p.at.off), size})
	}
	s.n += size
	p.from = s.n - int64(p.at.size)
	s.parts = append(s.parts, p)
	return true
}

// beside adds to a read what lies after its first record.
func (l *Log) beside(g *group, s *scatter, hi uint64, seg *segment) {
	durable := int64(l.durable - seg.base)
	last := s.parts[0]
	n := sort.Search(len(g.runs), func(n int) bool { return g.runs[n].end() > last.first })
	for term := g.runs[n].term; n < len(g.runs) && g.runs[n].seg == seg && g.runs[n].term == term; n++ {
		r := &g.runs[n]
		for i := max(r.first, last.last+1); i < min(hi, r.end()); i++ {
			p := r.partAt(i)
			if p.at.end() > durable || p.at.off < last.at.off || !s.add(p) {
				return
			}
			last, i = p, p.last
		}
	}
}
