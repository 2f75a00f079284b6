// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"

	"chronik/checker"
	"chronik/node"
	"chronik/sim/matrix"
	"chronik/sim/plan"
)

// Result is what came of one run.
type Result struct {
	Seed     uint64
	Profile  string
	Hash     uint64   // of everything that happened, in order
	Failure  *Failure // nil: passed
	Virtual  node.Time
	Steps    int64
	Ops      int64 // calls of clients that were answered
	Acked    int64 // records
	Kept     int64 // batches that kept their offsets
	Crashes  int64
	Messages int64
	DiskOps  int64
	// Undecided counts topics for whose creations and deletions no order was found in time. It depends
	// on the machine and is in no hash.
	Undecided int64
	Draws     uint64       // of the raft library from crypto/rand
	Faults    []FaultCount // in the order of plan.FaultKinds
	Asks      int64        // that were sent
	Lies      int64        // messages that no broker sent
	Lists     ListCount
	Attacks   []FaultCount // by the order of attackKinds; one that got answers mattered
	Events    []int64      // node events seen, by node.EventKind
	Checks    []checker.Evaluation
	Features  []string      `json:",omitempty"` // if they were asked for, see features.go
	Cells     []matrix.Cell // that clients reached
	Unlisted  []string      // outcomes that no cell is for
}

// ListCount says what became of wrong lists of members.
type ListCount struct {
	Emptied int64 // the founder's folder was emptied
	Joined  int64 // the other founders joined one that listed only itself
	Ended   int64 // one that listed only itself ended
	Kept    int64 // the list was mended, the folder stayed
}

// FaultCount says how often a kind of fault happened, and how often it could make a difference as
// far as that is cheap to know: a crash of a broker that was up, a power loss with something
// unsynced, a cut that lost a message.
type FaultCount struct {
	Kind     plan.FaultKind
	Fired    int64
	Mattered int64
}

// Failure is a broken promise of the cluster, or of the code.
type Failure struct {
	Check string    // the name of the check; "panic" for a broken assertion
	Text  string    // what contradicts what
	At    node.Time // virtual
	Stack string    // panics: where; differs from process to process
}

func (f *Failure) String() string {
	return fmt.Sprintf("%s at %v: %s", f.Check, plan.Duration(f.At), f.Text)
}

// stop ends a run from anywhere inside it, by panic; Run catches it.
type stop struct{ failure *Failure }

// fail ends the run. A promise that this world can't keep is no failure of it.
func (w *world) fail(check, format string, args ...any) {
	if w.plan.Beyond() && !keptBeyond(check) {
		if w.tracing() {
			w.tracef("%s is given up: %s", check, fmt.Sprintf(format, args...))
		}
		panic(stop{})
	}
	panic(stop{&Failure{Check: check, Text: fmt.Sprintf(format, args...), At: w.now}})
}

// violated ends the run if v is a violation, unless the world is beyond what a cluster survives.
func (w *world) violated(v *checker.Violation) {
	switch {
	case v == nil:
	case w.plan.Beyond():
		if w.tracing() {
			w.tracef("%s is given up: %s", v.Check, violationText(v))
		}
	default:
		w.fail(v.Check, "%s", violationText(v))
	}
}

func violationText(v *checker.Violation) string {
	if v.Partition == "" {
		return v.Text
	}
	return v.Partition + ": " + v.Text
}
