// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/anishathalye/porcupine"
)

// Verdict is what a search for a linearization found.
type Verdict string

// The verdicts. Undecided means that time ran out: it proves nothing and is no pass.
const (
	Linearizable Verdict = "linearizable"
	Broken       Verdict = "broken"
	Undecided    Verdict = "undecided"
)

// Operations of unknown outcome return never; stale ones were called before everything.
const (
	forever     = math.MaxInt64 / 2
	beforeWorld = math.MinInt64 / 2
)

func verdict(m porcupine.Model, ops []porcupine.Operation, timeout time.Duration) Verdict {
	switch porcupine.CheckOperationsTimeout(m, ops, timeout) {
	case porcupine.Ok:
		return Linearizable
	case porcupine.Illegal:
		return Broken
	default:
		return Undecided
	}
}

// CheckCatalog searches for a linearization of the calls on each topic, within timeout for each (0:
// as long as it takes). It returns the first violation and the topics that it could not decide.
// Topics don't exist at first.
func CheckCatalog(calls []CatalogCall, timeout time.Duration) (bad *Violation, undecided []string) {
	place := map[string]int{} // of a topic in the slices
	var topics []string
	var ops [][]porcupine.Operation
	var ids [][]CallID
	for i, c := range calls {
		if c.Outcome == Failed {
			continue
		}
		n, ok := place[c.Topic]
		if !ok {
			n = len(topics)
			place[c.Topic] = n
			topics, ops, ids = append(topics, c.Topic), append(ops, nil), append(ids, nil)
		}
		ops[n] = append(ops[n], c.operation())
		ids[n] = append(ids[n], CallID{KindCatalog, i})
	}
	for n, topic := range topics {
		switch verdict(topicModel, ops[n], timeout) {
		case Broken:
			return violation(NotLinearizable, ids[n], "the %d calls that create and delete topic %q have answers that no order of them explains", len(ops[n]), topic), undecided
		case Undecided:
			undecided = append(undecided, topic)
		}
	}
	return nil, undecided
}

func (c CatalogCall) operation() porcupine.Operation {
	op := porcupine.Operation{ClientId: int(c.Client), Input: c, Call: c.Call, Return: c.Return}
	if c.Outcome != OK {
		if op.Return = forever; c.Until > 0 {
			op.Return = max(c.Until, c.Return)
		}
	}
	return op
}

// A topic exists, or it doesn't, or either may be so.
const (
	absent = 1 << iota
	present
)

// topicModel is one topic: whether it exists. A call of unknown outcome, which must come before its time is over, did
// it, found it done, or never arrived.
var topicModel = porcupine.Model{
	Init: func() any { return absent },
	Step: func(state, input, _ any) (bool, any) {
		may, c := state.(int), input.(CatalogCall)
		before, after := absent, present
		if c.Op == DeleteTopic {
			before, after = present, absent
		}
		switch {
		case c.Outcome != OK:
			return true, may | after
		case c.Refused:
			return may&after != 0, after
		default:
			return may&before != 0, after
		}
	},
	DescribeOperation: func(input, _ any) string {
		c := input.(CatalogCall)
		return fmt.Sprintf("%s %s: %s, refused %t", c.Op, c.Topic, c.Outcome, c.Refused)
	},
}

// SearchPartition judges a partition as CheckPartition does with a truth that starts at offset 0,
// but by search: it is for small histories, and to check the checker. It knows nothing of leader
// epochs and of the order of a producer's batches, and takes every producer as idempotent.
func SearchPartition(h *History, truth *Truth, opt LogOptions, timeout time.Duration) Verdict {
	var ops []porcupine.Operation
	last := int64(0)
	add := func(s Span, input any) {
		last = max(last, s.Return)
		ops = append(ops, porcupine.Operation{ClientId: int(s.Client), Input: input, Call: s.Call, Return: s.Return})
	}
	for _, p := range h.Produces {
		switch p.Outcome {
		case OK:
			add(p.Span, p)
		case Unknown:
			add(p.Span, p)
			ops[len(ops)-1].Return = forever
		}
	}
	for _, f := range h.Fetches {
		add(f.Span, f)
		ops[len(ops)-1].Call = beforeWorld
		if opt.MaxStaleness > 0 {
			ops[len(ops)-1].Call = f.Call - opt.MaxStaleness
		}
	}
	for _, e := range h.Ends {
		add(e.Span, e)
	}
	add(Span{Call: last + 1, Return: last + 2}, truth)
	return verdict(logModel, ops, timeout)
}

// logModel is a partition: its state is the values of its records, eight bytes each, in a string.
var logModel = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		log := state.(string)
		end := int64(len(log) / 8)
		switch in := input.(type) {
		case Produce:
			fits := in.Outcome != OK || in.BaseOffset < 0 || in.BaseOffset == end
			return fits, log + encode(in.Values)
		case End:
			return in.Offset == end, log
		case Fetch:
			return in.HighWatermark == end && reads(log, in), log
		default:
			return log == encodeTruth(in.(*Truth)), log
		}
	},
}

// reads reports whether the records of a fetch are what the log holds from where it asked.
func reads(log string, f Fetch) bool {
	for i, r := range f.Records {
		if i == 0 && r.Offset > f.Offset || i > 0 && r.Offset != f.Records[i-1].Offset+1 {
			return false
		}
		if r.Offset < 0 || r.Offset >= int64(len(log)/8) || log[8*r.Offset:8*r.Offset+8] != encode([]RecordID{r.Value}) {
			return false
		}
	}
	return true
}

func encode(values []RecordID) string {
	var b []byte
	for _, v := range values {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	return string(b)
}

// encodeTruth returns the state that has these records, or none that is reachable if their offsets
// are not 0, 1, 2, ...
func encodeTruth(t *Truth) string {
	values := make([]RecordID, len(t.Records))
	for i, r := range t.Records {
		if r.Offset != int64(i) {
			return "holes"
		}
		values[i] = r.Value
	}
	return encode(values)
}
