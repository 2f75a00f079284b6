// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"errors"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
)

// log is a coordinator's log in a test.
type log struct {
	t     *testing.T
	state State
	index uint64
	at    int64
}

func newLog(t *testing.T) *log { return &log{t: t, at: 1000} }

// do applies a command to the transactional id "a", after it went through its bytes.
func (l *log) do(c Command) Result {
	l.t.Helper()
	l.index++
	l.at++
	c.Name, c.At = "a", l.at
	parsed, err := Parse(c.Append(nil))
	if err != nil {
		l.t.Fatal(err)
	}
	_, judged, before := l.state.Judge(l.index, parsed)
	_, after, r := l.state.Apply(l.index, parsed)
	if before.Producer != r.Producer || kafka.Code(before.Err) != kafka.Code(r.Err) || (judged == nil) != (after == nil) {
		l.t.Fatalf("judged %v, and then it was %v", before, r)
	}
	if err := l.state.Check(); err != nil {
		l.t.Fatal(err)
	}
	return r
}

// want looks at a result.
func (l *log) want(r Result, err error, p Producer) {
	l.t.Helper()
	if kafka.Code(r.Err) != kafka.Code(err) || errors.Is(r.Err, ErrFresh) != errors.Is(err, ErrFresh) || r.Producer != p {
		l.t.Fatalf("%v, error %v; want %v, %v", r.Producer, r.Err, p, err)
	}
}

// is looks at the state.
func (l *log) is(s Status, p, marker Producer, groups ...uint64) *Transaction {
	l.t.Helper()
	t := l.state.Find("a")
	if t == nil || t.Status != s || t.Producer != p || t.Marker != marker || !slices.Equal(t.Groups, groups) {
		l.t.Fatalf("it is %+v; want %v of %v, markers %v, groups %v", t, s, p, marker, groups)
	}
	return t
}

func (l *log) init(p Producer, fresh int64) Result {
	l.t.Helper()
	return l.do(Command{Kind: Init, Producer: p, Fresh: fresh, TimeoutMs: 5})
}

func (l *log) add(p Producer, groups ...uint64) Result {
	l.t.Helper()
	number := uint64(0)
	if t := l.state.Find("a"); t != nil {
		number = t.Number
	}
	return l.do(Command{Kind: Add, Producer: p, Fresh: -1, Groups: groups, Number: number})
}

func (l *log) end(p Producer, commit, v2 bool) Result {
	l.t.Helper()
	return l.do(Command{Kind: End, Producer: p, Fresh: -1, Commit: commit, V2: v2})
}

func (l *log) complete() {
	l.t.Helper()
	l.do(Command{Kind: Complete, Producer: None, Fresh: -1, Number: l.state.Find("a").Number})
}

func TestNewerProtocol(t *testing.T) {
	l := newLog(t)
	l.want(l.init(None, 7), nil, Producer{7, 0})
	l.want(l.add(Producer{7, 0}, 3), nil, Producer{7, 0})
	l.want(l.add(Producer{7, 0}, 5, 3, 5), nil, Producer{7, 0})
	l.is(Ongoing, Producer{7, 0}, None, 3, 5)
	l.want(l.end(Producer{7, 0}, true, true), nil, Producer{7, 1})
	first := l.is(PrepareCommit, Producer{7, 1}, Producer{7, 1}, 3, 5).Number

	// The answer was lost: the same again, another outcome, and what comes late.
	l.want(l.end(Producer{7, 0}, true, true), nil, Producer{7, 1})
	l.want(l.end(Producer{7, 0}, false, true), kerr.InvalidTxnState, None)
	l.want(l.add(Producer{7, 0}, 9), kerr.ProducerFenced, None)
	l.is(CompleteCommit, Producer{7, 1}, None) // add said that the markers were acknowledged
	l.want(l.end(Producer{7, 0}, true, true), nil, Producer{7, 1})

	l.want(l.add(Producer{7, 1}, 3), nil, Producer{7, 1})
	l.want(l.end(Producer{7, 0}, true, true), kerr.ProducerFenced, None) // it isn't the end of this one
	l.is(Ongoing, Producer{7, 1}, None, 3)
	l.want(l.end(Producer{7, 1}, false, true), nil, Producer{7, 2})
	if second := l.is(PrepareAbort, Producer{7, 2}, Producer{7, 2}, 3).Number; second <= first {
		t.Errorf("decision %d after decision %d", second, first)
	}
	l.want(l.end(Producer{7, 2}, false, true), kerr.ConcurrentTransactions, None)
	l.want(l.do(Command{Kind: Add, Producer: Producer{7, 2}, Fresh: -1, Groups: []uint64{1}, Number: first}), kerr.ConcurrentTransactions, None)
	l.complete()
	l.want(l.end(Producer{7, 2}, true, true), kerr.InvalidTxnState, None) // nothing was added
	l.want(l.end(Producer{7, 2}, false, true), nil, Producer{7, 3})
	l.want(l.end(Producer{7, 2}, false, true), nil, Producer{7, 3})
	l.is(CompleteAbort, Producer{7, 3}, None)
}

func TestOlderProtocol(t *testing.T) {
	l := newLog(t)
	l.init(None, 7)
	l.want(l.end(Producer{7, 0}, false, false), kerr.InvalidTxnState, None)
	l.want(l.add(Producer{8, 0}, 1), kerr.InvalidProducerIDMapping, None)
	l.want(l.add(Producer{7, 1}, 1), kerr.ProducerFenced, None)
	l.add(Producer{7, 0}, 1)
	l.want(l.end(Producer{7, 0}, true, false), nil, Producer{7, 0})
	l.is(PrepareCommit, Producer{7, 0}, Producer{7, 0}, 1)
	l.want(l.end(Producer{7, 0}, true, false), nil, Producer{7, 0})
	l.want(l.end(Producer{7, 0}, false, false), kerr.InvalidTxnState, None)
	l.complete()
	l.want(l.end(Producer{7, 0}, true, false), nil, Producer{7, 0})
	l.add(Producer{7, 0}, 2)
	l.is(Ongoing, Producer{7, 0}, None, 2)
}

func TestFencing(t *testing.T) {
	l := newLog(t)
	l.want(l.do(Command{Kind: Init, Producer: None, Fresh: -1}), ErrFresh, None)
	l.init(None, 7)
	l.add(Producer{7, 0}, 1)
	l.want(l.init(None, -1), kerr.ConcurrentTransactions, None) // and the one before is fenced
	l.is(PrepareAbort, Producer{7, 1}, Producer{7, 1}, 1)
	l.want(l.init(None, -1), kerr.ConcurrentTransactions, None)
	l.want(l.end(Producer{7, 0}, true, true), kerr.ProducerFenced, None)
	l.complete()
	l.want(l.init(None, -1), nil, Producer{7, 2})
	l.want(l.init(Producer{7, 1}, -1), kerr.ProducerFenced, None)

	// One that says who it was gets the next epoch, once.
	l.want(l.init(Producer{7, 2}, -1), nil, Producer{7, 3})
	l.want(l.init(Producer{7, 2}, -1), nil, Producer{7, 3})
	l.want(l.end(Producer{7, 2}, true, true), kerr.ProducerFenced, None) // that was no end
	l.add(Producer{7, 3}, 1)
	l.want(l.init(Producer{7, 2}, -1), kerr.ProducerFenced, None) // whoever writes as its successor isn't it
	l.want(l.init(Producer{7, 3}, -1), kerr.ConcurrentTransactions, None)
	l.complete()
	l.want(l.init(Producer{7, 3}, -1), nil, Producer{7, 4})
	l.want(l.init(Producer{7, 3}, -1), nil, Producer{7, 4})
}

func TestTimeout(t *testing.T) {
	l := newLog(t)
	l.init(None, 7)
	l.add(Producer{7, 0}, 1)
	began := l.state.Find("a").Began
	timeout := func(of uint64) Result {
		return l.do(Command{Kind: Timeout, Producer: None, Fresh: -1, Of: of})
	}
	l.want(timeout(began-1), kerr.InvalidTxnState, None)
	l.is(Ongoing, Producer{7, 0}, None, 1)
	l.end(Producer{7, 0}, true, true)
	l.want(timeout(began), kerr.InvalidTxnState, None) // it is decided
	l.is(PrepareCommit, Producer{7, 1}, Producer{7, 1}, 1)
	l.add(Producer{7, 1}, 2)
	l.want(timeout(began), kerr.InvalidTxnState, None) // that was an earlier one
	l.want(timeout(l.state.Find("a").Began), nil, Producer{7, 2})
	l.is(PrepareAbort, Producer{7, 2}, Producer{7, 2}, 2)
	l.want(l.end(Producer{7, 1}, true, true), kerr.InvalidTxnState, None)
	l.want(l.end(Producer{7, 1}, true, false), kerr.ProducerFenced, None)
	l.want(l.end(Producer{7, 1}, false, true), nil, Producer{7, 2}) // the producer learns that it is aborted, and goes on
}

func TestLastEpoch(t *testing.T) {
	l := newLog(t)
	last := Producer{7, LastEpoch}
	l.init(None, 7)
	l.state.all[0].Producer.Epoch = LastEpoch
	l.add(last, 1)
	l.want(l.end(last, true, true), ErrFresh, None)
	l.want(l.do(Command{Kind: End, Producer: last, Fresh: 8, Commit: true, V2: true}), nil, Producer{8, 0})
	l.is(PrepareCommit, Producer{8, 0}, Producer{7, LastEpoch + 1}, 1)
	l.want(l.end(last, true, true), nil, Producer{8, 0})
	l.want(l.end(last, false, true), kerr.InvalidTxnState, None)
	l.want(l.add(last, 1), kerr.InvalidProducerIDMapping, None)
	l.state.all[0].Producer.Epoch = LastEpoch
	l.complete()
	l.want(l.init(None, 9), nil, Producer{9, 0})
}

func TestExpiry(t *testing.T) {
	l := newLog(t)
	l.init(None, 7)
	expire := func(of uint64) { l.do(Command{Kind: Expire, Producer: None, Fresh: -1, Of: of}) }
	touched := l.state.Find("a").Touched
	l.add(Producer{7, 0}, 1)
	expire(touched)
	expire(l.state.Find("a").Touched)
	l.is(Ongoing, Producer{7, 0}, None, 1)
	l.end(Producer{7, 0}, true, false)
	expire(l.state.Find("a").Touched)
	l.is(PrepareCommit, Producer{7, 0}, Producer{7, 0}, 1)
	l.complete()
	expire(touched)
	l.is(CompleteCommit, Producer{7, 0}, None)
	expire(l.state.Find("a").Touched)
	if l.state.Len() != 0 {
		t.Error("it is still known")
	}
	l.want(l.add(Producer{7, 0}, 1), kerr.InvalidProducerIDMapping, None)
	l.want(l.do(Command{Kind: Init, Producer: Producer{7, 0}, Fresh: 9, Most: 1}), nil, Producer{9, 0})
	l.index++
	if _, _, r := l.state.Judge(l.index, &Command{Kind: Init, Name: "b", Fresh: 10, Most: 1}); kafka.Code(r.Err) != kerr.PolicyViolation.Code {
		t.Errorf("one more than there may be: %v", r.Err)
	}
}

func TestManyGroups(t *testing.T) {
	l := newLog(t)
	l.init(None, 7)
	var groups []uint64
	for g := range uint64(MaxGroups) {
		groups = append(groups, g+1)
	}
	l.want(l.add(Producer{7, 0}, groups...), nil, Producer{7, 0})
	l.want(l.add(Producer{7, 0}, groups[5], groups[9]), nil, Producer{7, 0})
	l.want(l.add(Producer{7, 0}, MaxGroups+1), kerr.PolicyViolation, None)
}

func TestMalformed(t *testing.T) {
	good := (&Command{Kind: End, Name: "a", Producer: Producer{7, 1}, Fresh: -1, Commit: true, V2: true, Groups: []uint64{300, 2}}).Append(nil)
	for n := range good {
		if c, err := Parse(good[:n]); err == nil {
			t.Errorf("the first %d bytes are %+v", n, c)
		}
	}
	for i, b := range map[int]byte{0: 2, 1: 9, 2: 0} {
		bad := slices.Clone(good)
		bad[i] = b
		if c, err := Parse(bad); err == nil {
			t.Errorf("with byte %d %d it is %+v", i, b, c)
		}
	}
	l := newLog(t)
	l.init(None, 7)
	l.add(Producer{7, 0}, 300, 2)
	state := whole(&l.state)
	for n := range state {
		if err := new(State).Restore(state[:n]); err == nil {
			t.Errorf("the first %d bytes of %d are a state", n, len(state))
		}
	}
}

func whole(s *State) (b []byte) {
	next := s.Snapshot()
	for more := true; more; {
		b, more = next(b)
	}
	return b
}
