// SPDX-License-Identifier: Apache-2.0

package checker

import "testing"

// TestCheckCompacted keeps records 10 to 13 at offsets 0 to 3; even ones have key 0, odd ones key 1.
func TestCheckCompacted(t *testing.T) {
	truth := func(offsets ...int64) *Truth {
		tr := &Truth{}
		for _, o := range offsets {
			tr.Records = append(tr.Records, Record{Offset: o, Value: RecordID(10 + o)})
		}
		return tr
	}
	for _, c := range []struct {
		name   string
		want   string
		truths []*Truth
		change func(*History)

		aborted map[RecordID]bool
	}{
		{"all is there", "", []*Truth{truth(0, 1, 2, 3)}, nil, nil},
		{"only the newest are there", "", []*Truth{truth(2, 3), truth(0, 1, 2, 3), truth(1, 2, 3)}, nil, nil},
		{"below the start of the log", "", []*Truth{{Start: 3, Records: []Record{{Offset: 3, Value: 13}}}}, nil, nil},
		{"a newest one is gone from one replica", NewestLost, []*Truth{truth(0, 1, 2, 3), truth(0, 1, 3)}, nil, nil},
		{"acknowledged and nowhere", NewestLost, []*Truth{truth(0, 1, 2)}, nil, nil},
		{"came after one replica was read", "", []*Truth{truth(2, 3), truth(2, 3, 4)}, func(h *History) {
			h.Produces = append(h.Produces, Produce{Outcome: Unknown, Values: []RecordID{14}, BaseOffset: -1})
		}, nil},
		{"the newest before one that came later is gone", NewestLost, []*Truth{truth(0, 3), truth(2, 3, 4)}, func(h *History) {
			h.Produces = append(h.Produces, Produce{Outcome: Unknown, Values: []RecordID{14}, BaseOffset: -1})
		}, nil},
		{"another record at the offset", OneRecordAtOffset, []*Truth{{Records: []Record{{Offset: 3, Value: 12}}}}, nil, nil},
		{"out of order", FetchOrder, []*Truth{truth(3, 2)}, nil, nil},
		{"nobody sent it", NeverSent, []*Truth{truth(2, 3, 4)}, nil, nil},
		{"refused", RefusedAppended, []*Truth{truth(2, 3, 4)}, func(h *History) {
			h.Produces = append(h.Produces, Produce{Outcome: Failed, Values: []RecordID{14}, BaseOffset: -1})
		}, nil},
		{"twice", Duplicate, []*Truth{truth(2, 3, 4)}, func(h *History) {
			h.Fetches = append(h.Fetches, Fetch{Records: []Record{{Offset: 7, Value: 14}}})
			h.Produces = append(h.Produces, Produce{Outcome: Unknown, Values: []RecordID{14}, BaseOffset: -1, Idempotent: true})
		}, nil},
		{"the newest that isn't aborted is gone", NewestLost, []*Truth{truth(2, 3), truth(0, 1)}, nil, map[RecordID]bool{12: true}},
		{"what is aborted is gone", "", []*Truth{truth(0, 3)}, nil, map[RecordID]bool{12: true}},
		{"markers are no records", "", []*Truth{{Records: []Record{{Offset: 2, Value: 12}, {Offset: 3, Value: 13}, {Offset: 4, Value: 99, Marker: true}}}}, nil, nil},
	} {
		h := &History{Partition: "t/0", Produces: []Produce{
			{Outcome: OK, Values: []RecordID{10, 11}, BaseOffset: 0, Idempotent: true},
			{Outcome: OK, Values: []RecordID{12, 13}, BaseOffset: 2, Idempotent: true},
		}}
		if c.change != nil {
			c.change(h)
		}
		got := ""
		if bad := CheckCompacted(h, c.truths, func(v RecordID) int { return int(v % 2) }, c.aborted); bad != nil {
			got = bad.Check
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
