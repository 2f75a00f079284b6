// SPDX-License-Identifier: Apache-2.0

package checker

// NewestLost is the check that a compacted partition keeps the newest record of each key.
const NewestLost = "newest-record-lost"

// CheckCompacted judges a partition whose older records of a key may be dropped. truths are what fresh
// clients read from each of its replicas, one after another: replicas compact on their own, so they
// may differ in what is dropped, but in nothing else. Records below a truth's start are gone rightly. key
// names the key of a record; the records of aborted transactions don't count for it (AbortedRecords).
func CheckCompacted(h *History, truths []*Truth, key func(RecordID) int, aborted map[RecordID]bool) *Violation {
	c := compacted{h: h, at: map[int64]RecordID{}, acked: map[int64]bool{}, key: key, aborted: aborted}
	bad := c.gather(truths)
	if bad == nil {
		bad = c.checkSent()
	}
	for _, t := range truths {
		if bad == nil {
			bad = c.checkNewest(t)
		}
	}
	if bad != nil {
		bad.Partition = h.Partition
	}
	return bad
}

type compacted struct {
	h       *History
	key     func(RecordID) int
	aborted map[RecordID]bool
	at      map[int64]RecordID // every record that anybody saw
	order   []int64            // their offsets, as they were seen first
	acked   map[int64]bool     // offsets of acknowledged records
}

// see notes that a record is, or was, at an offset.
func (c *compacted) see(offset int64, value RecordID, what string) *Violation {
	old, known := c.at[offset]
	switch {
	case known && old != value:
		return violation(OneRecordAtOffset, nil, "%s has record %d at offset %d, where record %d is or was", what, value, offset, old)
	case known:
		return nil
	}
	c.at[offset] = value
	c.order = append(c.order, offset)
	return nil
}

// gather takes what clients were told.
func (c *compacted) gather(truths []*Truth) *Violation {
	for i := range c.h.Produces {
		p := &c.h.Produces[i]
		if p.Outcome != OK || p.BaseOffset < 0 {
			continue
		}
		for j, v := range p.Values {
			if bad := c.see(p.BaseOffset+int64(j), v, "an acknowledgement"); bad != nil {
				return bad
			}
			c.acked[p.BaseOffset+int64(j)] = true
		}
	}
	for i := range c.h.Fetches {
		if bad := c.read(c.h.Fetches[i].Records, "a fetch"); bad != nil {
			return bad
		}
	}
	for _, t := range truths {
		if bad := c.read(t.Records, "a replica"); bad != nil {
			return bad
		}
	}
	return nil
}

func (c *compacted) read(records []Record, what string) *Violation {
	for i, r := range records {
		if i > 0 && r.Offset <= records[i-1].Offset {
			return violation(FetchOrder, nil, "%s has offset %d after offset %d", what, r.Offset, records[i-1].Offset)
		}
		if r.Marker {
			continue
		}
		if bad := c.see(r.Offset, r.Value, what); bad != nil {
			return bad
		}
	}
	return nil
}

// checkSent demands that each record was sent, wasn't refused, and is there once if its producer is
// idempotent.
func (c *compacted) checkSent() *Violation {
	from, places := map[RecordID]int{}, map[RecordID]int64{}
	for i := range c.h.Produces {
		for _, v := range c.h.Produces[i].Values {
			from[v] = i
		}
	}
	for _, offset := range c.order {
		v := c.at[offset]
		i, sent := from[v]
		other, twice := places[v]
		switch {
		case !sent:
			return violation(NeverSent, nil, "offset %d holds record %d, which no client sent", offset, v)
		case c.h.Produces[i].Outcome == Failed:
			return violation(RefusedAppended, produces(i), "record %d at offset %d was refused", v, offset)
		case twice && c.h.Produces[i].Idempotent:
			return violation(Duplicate, produces(i), "record %d is at offset %d and at offset %d", v, other, offset)
		}
		places[v] = offset
	}
	return nil
}

// checkNewest demands that what a replica has includes the newest record of each key. What isn't
// acknowledged may have come after the replica was read.
func (c *compacted) checkNewest(t *Truth) *Violation {
	has := map[int64]bool{}
	for _, r := range t.Records {
		has[r.Offset] = true
	}
	newest := map[int]int64{}
	for _, offset := range c.order {
		if k := c.key(c.at[offset]); c.was(t, offset) {
			newest[k] = max(newest[k], offset)
		}
	}
	for _, offset := range c.order {
		k := c.key(c.at[offset])
		if offset >= t.Start && c.was(t, offset) && newest[k] == offset && !has[offset] {
			return violation(NewestLost, nil, "record %d at offset %d is the newest of key %d, and a replica doesn't have it any more", c.at[offset], offset, k)
		}
	}
	return nil
}

// was reports whether a record counts that must have been there when a replica was read.
func (c *compacted) was(t *Truth, offset int64) bool {
	return !c.aborted[c.at[offset]] && (offset < t.End() || c.acked[offset])
}
