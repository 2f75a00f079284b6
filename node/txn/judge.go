// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"errors"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
)

// Result is what became of a command.
type Result struct {
	// Err is the error for the client: one of Kafka's, or ErrFresh.
	Err error
	// Producer is who the client is from now on, after an Init or an End.
	Producer Producer
}

// ErrFresh says that the command needs a producer id that nobody has, and brought none.
var ErrFresh = errors.New("the command needs a new producer id")

const (
	// LastEpoch is the last that a producer gets. The one above it is for the markers that fence it.
	LastEpoch = math.MaxInt16 - 1
	// MaxGroups is how many raft groups may take part in a transaction: each gets a marker.
	MaxGroups = 1 << 13
)

// Apply applies the command of an entry, and returns what its transactional id was before and is now; nil is unknown.
func (s *State) Apply(index uint64, c *Command) (before, after *Transaction, r Result) {
	before, after, r = s.Judge(index, c)
	if after != before {
		s.put(c.Name, after)
	}
	return before, after, r
}

// Judge says what would become of a command, and changes nothing.
func (s *State) Judge(index uint64, c *Command) (before, after *Transaction, r Result) {
	before = s.Find(c.Name)
	t := before
	if t != nil && t.Deciding() && t.Number == c.Number {
		t = t.completed()
	}
	j := judgement{s, index, c}
	switch c.Kind {
	case Init:
		after, r = j.init(t)
	case Add:
		after, r = j.add(t)
	case End:
		after, r = j.end(t)
	case Timeout:
		after, r = j.timeout(t)
	case Complete:
		after = t
	case Expire:
		after = t
		if t != nil && t == before && t.Idle() && t.Touched == c.Of {
			after = nil
		}
	}
	if after != nil && after != before {
		after.Touched, after.Changed = index, max(after.Changed, c.At)
	}
	return before, after, r
}

// completed returns a transaction all of whose markers were acknowledged.
func (t *Transaction) completed() *Transaction {
	n := *t
	n.Status += CompleteCommit - PrepareCommit
	n.Groups, n.Marker = nil, None
	return &n
}

// judgement is a command that meets a state.
type judgement struct {
	state *State
	index uint64
	*Command
}

func refused(t *Transaction, err error) (*Transaction, Result) {
	return t, Result{Err: err, Producer: None}
}

// init gives a producer to a client. Whoever had one of this transactional id before is fenced; if a transaction of his is
// ongoing, it is aborted first, and the client asks again.
func (j judgement) init(t *Transaction) (*Transaction, Result) {
	if t == nil {
		return j.first()
	}
	again := j.Producer != None && j.Producer == t.Replaced
	switch {
	case j.Producer != None && j.Producer != t.Producer && !again, again && t.Status == Ongoing:
		return refused(t, kerr.ProducerFenced)
	case t.Deciding():
		return refused(t, kerr.ConcurrentTransactions)
	case t.Status == Ongoing:
		return j.decide(t, false, true, j.Producer, Result{Err: kerr.ConcurrentTransactions, Producer: None})
	}
	n := *t
	n.TimeoutMs = j.TimeoutMs
	if again {
		if n.TimeoutMs == t.TimeoutMs {
			return t, Result{Producer: t.Producer}
		}
		return &n, Result{Producer: t.Producer}
	}
	raised, ok := t.raised(j.Fresh)
	if !ok {
		return refused(t, ErrFresh)
	}
	n.Producer, n.Replaced, n.Status = raised, j.Producer, Empty
	return &n, Result{Producer: raised}
}

// first begins with a transactional id.
func (j judgement) first() (*Transaction, Result) {
	switch {
	case j.Most > 0 && j.state.Len() >= j.Most:
		return refused(nil, kafka.Errorf(kerr.PolicyViolation, "the coordinator has %d transactional ids, the most that it takes (setting max_transactional_ids_per_coordinator)", j.state.Len()))
	case j.Fresh < 0:
		return refused(nil, ErrFresh)
	}
	t := &Transaction{Name: j.Name, Producer: Producer{j.Fresh, 0}, Replaced: None, TimeoutMs: j.TimeoutMs, Marker: None}
	return t, Result{Producer: t.Producer}
}

// raised returns the producer that comes after this one: the next epoch, or if it was the last, a new id.
func (t *Transaction) raised(fresh int64) (Producer, bool) {
	if t.Producer.Epoch < LastEpoch {
		return Producer{t.Producer.ID, t.Producer.Epoch + 1}, true
	}
	return Producer{fresh, 0}, fresh >= 0
}

// wrong says why a producer isn't the one that the transactional id has.
func (j judgement) wrong(t *Transaction) error {
	switch {
	case t == nil || j.Producer.ID != t.Producer.ID:
		return kerr.InvalidProducerIDMapping
	case j.Producer.Epoch != t.Producer.Epoch:
		return kerr.ProducerFenced
	}
	return nil
}

// add makes groups part of the transaction.
func (j judgement) add(t *Transaction) (*Transaction, Result) {
	if err := j.wrong(t); err != nil {
		return refused(t, err)
	}
	if t.Deciding() {
		return refused(t, kerr.ConcurrentTransactions)
	}
	n := *t
	if t.Status != Ongoing {
		// Nobody asks for this producer again who was the one before: he has written as this one.
		n.Status, n.Groups, n.Began, n.Started, n.Replaced = Ongoing, nil, j.index, j.At, None
	}
	more := missing(n.Groups, j.Groups)
	switch {
	case len(more) == 0:
		return t, Result{Producer: t.Producer}
	case len(n.Groups)+len(more) > MaxGroups:
		return refused(t, kafka.Errorf(kerr.PolicyViolation, "a transaction can have %d partitions", MaxGroups))
	}
	n.Groups = append(n.Groups, more...)
	return &n, Result{Producer: t.Producer}
}

// missing returns what isn't in a list yet, each once.
func missing(have, want []uint64) (more []uint64) {
	if len(want) == 1 {
		if slices.Contains(have, want[0]) {
			return nil
		}
		return want
	}
	seen := make(map[uint64]bool, len(have)+len(want))
	for _, g := range have {
		seen[g] = true
	}
	for _, g := range want {
		if !seen[g] {
			seen[g] = true
			more = append(more, g)
		}
	}
	return more
}

// end ends the transaction as its producer says. In the newer protocol one who asks again, because he got no answer, is known
// by the epoch that he had, and in the older one he is taken for one who asks for the first time.
func (j judgement) end(t *Transaction) (*Transaction, Result) {
	if j.V2 && t != nil && t.Status != Ongoing && t.Status != Empty && j.Producer == t.Replaced {
		if t.Commits() != j.Commit {
			return refused(t, kerr.InvalidTxnState)
		}
		return t, Result{Producer: t.Producer}
	}
	if err := j.wrong(t); err != nil {
		return refused(t, err)
	}
	switch {
	case t.Status == Ongoing && j.V2:
		return j.decide(t, j.Commit, true, j.Producer, Result{})
	case t.Status == Ongoing:
		return j.decide(t, j.Commit, false, None, Result{})
	case j.V2 && t.Deciding():
		return refused(t, kerr.ConcurrentTransactions)
	case j.V2 && !j.Commit: // nothing was added; the client doesn't know whether anything was
		return j.endNothing(t)
	case t.Status == Empty || j.V2 || t.Commits() != j.Commit:
		return refused(t, kerr.InvalidTxnState)
	}
	return t, Result{Producer: t.Producer}
}

// endNothing aborts a transaction without groups: what may still be on its way of it is fenced.
func (j judgement) endNothing(t *Transaction) (*Transaction, Result) {
	raised, ok := t.raised(j.Fresh)
	if !ok {
		return refused(t, ErrFresh)
	}
	n := *t
	n.Status, n.Producer, n.Replaced = CompleteAbort, raised, t.Producer
	return &n, Result{Producer: raised}
}

// timeout aborts a transaction that has taken too long, if that is the one that is ongoing.
func (j judgement) timeout(t *Transaction) (*Transaction, Result) {
	if t == nil || t.Status != Ongoing || t.Began != j.Of {
		return refused(t, kerr.InvalidTxnState)
	}
	return j.decide(t, false, true, t.Producer, Result{})
}

// decide decides a transaction. With raise its producer gets the next epoch, and markers carry that. by is the producer whose
// client may ask again. r is the result but for the producer.
func (j judgement) decide(t *Transaction, commit, raise bool, by Producer, r Result) (*Transaction, Result) {
	n := *t
	n.Status, n.Number, n.Marker = PrepareAbort, j.index, t.Producer
	if commit {
		n.Status = PrepareCommit
	}
	if raise {
		raised, ok := t.raised(j.Fresh)
		if !ok {
			return refused(t, ErrFresh)
		}
		n.Producer, n.Replaced = raised, by
		n.Marker.Epoch++
	}
	if r.Err == nil {
		r.Producer = n.Producer
	}
	return &n, r
}
