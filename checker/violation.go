// SPDX-License-Identifier: Apache-2.0

package checker

import "fmt"

// Violation is a broken promise.
type Violation struct {
	Check     string   `json:"check"`               // which promise; the same name for the same kind of failure
	Partition string   `json:"partition,omitempty"` // for histories
	Text      string   `json:"text"`                // what contradicts what
	Witnesses []CallID `json:"witnesses,omitempty"` // the calls that contradict each other
}

// Error returns the check's name, the partition and the text.
func (v *Violation) Error() string {
	if v.Partition == "" {
		return fmt.Sprintf("%s: %s", v.Check, v.Text)
	}
	return fmt.Sprintf("%s: %s: %s", v.Check, v.Partition, v.Text)
}

// CallKind names one of the slices of a History.
type CallKind string

// The kinds of calls.
const (
	KindProduce CallKind = "produce"
	KindFetch   CallKind = "fetch"
	KindEnd     CallKind = "end"
	KindCatalog CallKind = "catalog"
)

// CallID is the place of a call in its history.
type CallID struct {
	Kind  CallKind `json:"kind"`
	Index int      `json:"index"`
}
