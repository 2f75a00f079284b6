// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHistoriesText(t *testing.T) {
	h := &Histories{Truths: map[string]*Truth{}}
	for seed, name := range []string{"t-1", "t-0"} {
		r := newRightHistory(uint64(seed), 20)
		r.h.Partition = name
		*h.Partition(name) = r.h
		h.Truths[name] = &r.truth
	}
	h.Catalog = []CatalogCall{{Span{1, 2, 3}, CreateTopic, "t", OK, true, 0}}
	if h.Partitions[0].Partition != "t-0" {
		t.Error("partitions are not sorted")
	}
	var text bytes.Buffer
	if err := h.Write(&text); err != nil {
		t.Fatal(err)
	}
	back, err := Read(bytes.NewReader(text.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	if err := back.Write(&again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text.String(), again.String()); diff != "" {
		t.Error(diff)
	}
	for i := range back.Partitions {
		p := &back.Partitions[i]
		if bad := CheckPartition(p, back.Truths[p.Partition], rightOptions); bad != nil {
			t.Error(bad)
		}
	}
}

// The text form is what other programs write; nobody should have to change this.
func TestHistoriesLiteral(t *testing.T) {
	const text = `{"partition":"t-0","produce":{"client":1,"call":10,"return":20,"outcome":"ok","values":[18446744073709551615],"base_offset":5,"idempotent":true}}
{"partition":"t-0","fetch":{"client":2,"call":30,"return":40,"offset":5,"leader_epoch":3,"records":[{"offset":5,"value":18446744073709551615,"leader_epoch":3}],"high_watermark":6,"log_start":0}}
{"partition":"t-0","end":{"client":2,"call":50,"return":60,"offset":6}}
{"partition":"t-0","truth":{"start":5,"records":[{"offset":5,"value":18446744073709551615,"leader_epoch":3}]}}
{"catalog":{"client":1,"call":1,"return":2,"op":"create","topic":"t","outcome":"unknown","refused":false}}
`
	h, err := Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var back strings.Builder
	if err := h.Write(&back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text, back.String()); diff != "" {
		t.Error(diff)
	}
	if bad := CheckPartition(&h.Partitions[0], h.Truths["t-0"], LogOptions{}); bad != nil {
		t.Error(bad)
	}
}

func TestReadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{"partition":"t-0"}`:            "object 1: no call",
		`{}`:                             "neither a partition, a catalog call, a consumer group nor transactions",
		`{"catalog":{}} {"partition":1}`: "object 2",
		`{"partition":"t-0","end":`:      "unexpected EOF",
	} {
		if _, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v doesn't say %q", text, err, want)
		}
	}
}
