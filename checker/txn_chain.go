// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// inputKey says which inputs of which chain.
type inputKey struct {
	group, partition string
}

func (k inputKey) String() string { return fmt.Sprintf("group %s, %s", k.group, k.partition) }

func compareInputs(a, b inputKey) int {
	return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.partition, b.partition))
}

// offsetID says which offset of which transaction.
type offsetID struct{ txn, offset int }

// checkOffsets demands that committed offsets are those of committed transactions, of no others, and never fall. Chains commit rising
// offsets only, so each is a register that rises.
func (t *txns) checkOffsets() *Violation {
	commits := map[int64]offsetID{}
	for i := range t.h.Txns {
		for j := range t.h.Txns[i].Offsets {
			commits[t.h.Txns[i].Offsets[j].ID] = offsetID{i, j}
		}
	}
	reads, stable := map[inputKey][]timed{}, map[inputKey][]timed{}
	for i := range t.h.OffsetReads {
		r := &t.h.OffsetReads[i]
		k, op := inputKey{r.Group, r.Partition}, timed{r.Offset, r.Call, r.Return, CallID{Index: i}}
		reads[k] = append(reads[k], op)
		if r.Stable {
			stable[k] = append(stable[k], op)
		}
		if v := t.checkOffset(r, commits); v != nil {
			return v
		}
	}
	for _, k := range sortedInputs(reads) {
		if lower, higher, ok := sweep(reads[k]); !ok {
			return violation(TxnOffsetBack, nil, "%v: offset %d was committed at %s, and offset %d in an answer to what was asked at %s", k, higher.position, seconds(higher.returned), lower.position, seconds(lower.call))
		}
	}
	return t.checkOffsetsThere(stable)
}

// checkOffsetsThere demands that who reads stable offsets after a commit was acknowledged sees those of its transaction, or later ones.
func (t *txns) checkOffsetsThere(reads map[inputKey][]timed) *Violation {
	for i := range t.h.Txns {
		x := &t.h.Txns[i]
		for j := range x.Offsets {
			o := &x.Offsets[j]
			if k := (inputKey{o.Group, o.Partition}); t.fates[i] == fateCommitted && x.Outcome == OK && reads[k] != nil {
				reads[k] = append(reads[k], timed{o.Offset, x.Call, x.Return, CallID{Kind: KindProduce, Index: i}})
			}
		}
	}
	for _, k := range sortedInputs(reads) {
		lower, higher, ok := sweep(reads[k])
		switch {
		case ok:
		case lower.id.Kind == KindProduce:
			return violation(TxnOffsetBack, nil, "%v: offset %d was committed at %s, and later offset %d in %s", k, higher.position, seconds(higher.returned), lower.position, t.name(lower.id.Index))
		default:
			return violation(OffsetsTorn, nil, "%v: offset %d is read%s, though %s committed offset %d", k, lower.position, t.h.OffsetReads[lower.id.Index].span(), t.name(higher.id.Index), higher.position)
		}
	}
	return nil
}

func sortedInputs[T any](m map[inputKey]T) []inputKey {
	return slices.SortedFunc(maps.Keys(m), compareInputs)
}

// checkOffset judges one read of a committed offset.
func (t *txns) checkOffset(r *TxnOffsetRead, commits map[int64]offsetID) *Violation {
	id, ok := commits[r.ID]
	if !ok {
		if r.ID != 0 || r.Offset != -1 {
			return violation(OffsetsTorn, nil, "group %s, %s: offset %d, commit %d%s, is of nobody", r.Group, r.Partition, r.Offset, r.ID, r.span())
		}
		return nil
	}
	x := &t.h.Txns[id.txn]
	o := &x.Offsets[id.offset]
	switch {
	case o.Offset != r.Offset || o.Group != r.Group || o.Partition != r.Partition:
		return violation(OffsetsTorn, nil, "group %s, %s: offset %d, commit %d%s, can't be of %s", r.Group, r.Partition, r.Offset, r.ID, r.span(), t.name(id.txn))
	case t.fates[id.txn] == fateAborted || !x.Commit || x.Asked == 0 || x.Outcome == Failed:
		return violation(OffsetsTorn, nil, "group %s, %s: offset %d is read%s, which was committed in %s, which is not committed", r.Group, r.Partition, r.Offset, r.span(), t.name(id.txn))
	case x.Asked > r.Return:
		return violation(PrecommittedRead, nil, "group %s, %s: offset %d is read%s, before the commit was asked for: %s", r.Group, r.Partition, r.Offset, r.span(), t.name(id.txn))
	}
	if t.fates[id.txn] == fateNone {
		t.fates[id.txn] = fateCommitted // an offset says so
	}
	return nil
}

// checkChains demands that each input has exactly one output, and that offsets say which inputs have one.
func (t *txns) checkChains() *Violation {
	last := map[inputKey]*TxnOffsetRead{} // the read that was called last
	for i := range t.h.OffsetReads {
		r := &t.h.OffsetReads[i]
		k := inputKey{r.Group, r.Partition}
		if l := last[k]; l == nil || r.Call >= l.Call {
			last[k] = r
		}
	}
	outputs, v := t.outputs()
	if v != nil {
		return v
	}
	gone := t.goneOutputs()
	for _, k := range sortedInputs(last) {
		if v := t.checkChain(k, last[k], outputs[k], gone); v != nil {
			return v
		}
	}
	return nil
}

// outputs lists for each chain which transaction has the output of which input.
func (t *txns) outputs() (map[inputKey]map[int64]int, *Violation) {
	all := map[inputKey]map[int64]int{}
	for i := range t.h.Txns {
		x := &t.h.Txns[i]
		for j := range x.Sends {
			s := &x.Sends[j]
			if s.Input == nil || t.sendFates[i][j] != fateCommitted {
				continue
			}
			k := inputKey{s.Input.Group, s.Input.Partition}
			if all[k] == nil {
				all[k] = map[int64]int{}
			}
			if other, ok := all[k][s.Input.Offset]; ok {
				return nil, violation(InputTwice, nil, "%v: the record at offset %d was processed twice: in %s and in %s", k, s.Input.Offset, t.name(other), t.name(i))
			}
			all[k][s.Input.Offset] = i
			l := t.logs[s.Input.Partition]
			if l == nil || s.Input.Offset < l.Start || s.Input.Offset >= l.end() {
				continue
			}
			if at := s.Input.Offset - l.Start; l.Records[at].Marker || l.fates[at] != fateCommitted {
				return nil, violation(AbortedRead, nil, "%v: the record at offset %d isn't committed, but %s processed it", k, s.Input.Offset, t.name(i))
			}
		}
	}
	return all, nil
}

// goneOutputs lists the inputs whose outputs may have been deleted from the start of a log.
func (t *txns) goneOutputs() map[Input]bool {
	gone := map[Input]bool{}
	for i := range t.h.Txns {
		x := &t.h.Txns[i]
		for j := range x.Sends {
			if s := &x.Sends[j]; s.Input != nil && t.sendFates[i][j] == fateNone && t.logs[s.Partition] != nil && t.logs[s.Partition].Start > 0 {
				gone[*s.Input] = true
			}
		}
	}
	return gone
}

// checkChain compares the inputs of one chain with its outputs.
func (t *txns) checkChain(k inputKey, last *TxnOffsetRead, outputs map[int64]int, gone map[Input]bool) *Violation {
	if !last.Stable {
		return nil
	}
	l := t.logs[k.partition]
	if l == nil {
		return nil
	}
	for offset := l.Start; offset < min(last.Offset, l.end()); offset++ {
		r, f := &l.Records[offset-l.Start], l.fates[offset-l.Start]
		if _, ok := outputs[offset]; !ok && !r.Marker && f == fateCommitted && !gone[Input{k.group, k.partition, offset}] {
			return violation(InputLost, nil, "%v: offset %d is committed%s, but the record at offset %d has no output", k, last.Offset, last.span(), offset)
		}
	}
	beyond := never
	//det:ok the smallest
	for offset := range outputs {
		if offset >= last.Offset {
			beyond = min(beyond, offset)
		}
	}
	if beyond != never && t.h.Txns[outputs[beyond]].Return < last.Call {
		return violation(OffsetsTorn, nil, "%v: the record at offset %d was processed in %s, but offset %d is committed%s", k, beyond, t.name(outputs[beyond]), last.Offset, last.span())
	}
	return nil
}
