// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"
)

// Status is where the transaction of an id stands. The numbers are Kafka's, and part of the format of checkpoints.
type Status byte

const (
	Empty          Status = 0
	Ongoing        Status = 1
	PrepareCommit  Status = 2
	PrepareAbort   Status = 3
	CompleteCommit Status = 4
	CompleteAbort  Status = 5
)

var statusNames = []string{"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort"}

// String returns the name that Kafka gives it.
func (s Status) String() string { return statusNames[s] }

// Transaction is one transactional id and its newest transaction. It never changes: what becomes of it is a new value. So a
// checkpoint can be written while commands are applied.
type Transaction struct {
	Name     string
	Producer Producer
	// Replaced is the producer in whose place Producer came, on request of its own client: that client may ask again, and
	// is answered alike. None if there is no such client.
	Replaced  Producer
	TimeoutMs int32
	Status    Status
	// Groups are the raft groups that take part, in the order in which they were added, while the transaction is ongoing or
	// its markers are under way.
	Groups []uint64
	// Marker is what the markers carry while they are under way, otherwise None: the epoch is the one that writes of this
	// transaction are fenced with.
	Marker Producer
	// Began is the entry with which the newest transaction began, and Number the one that decided the newest that was decided. Numbers
	// rise, so a marker that comes late can be told from that of a later transaction.
	Began, Number uint64
	Touched       uint64 // the newest entry that changed any of this
	// Started is when the newest transaction began, and Changed when anything did, in ms by the leader's clock.
	Started, Changed int64
}

// Deciding reports whether a decision was made whose markers may be under way.
func (t *Transaction) Deciding() bool { return t.Status == PrepareCommit || t.Status == PrepareAbort }

// Commits reports whether the newest decision was to commit.
func (t *Transaction) Commits() bool { return t.Status == PrepareCommit || t.Status == CompleteCommit }

// Idle reports whether nothing is under way.
func (t *Transaction) Idle() bool { return t.Status != Ongoing && !t.Deciding() }

// Has reports whether a group takes part in the transaction.
func (t *Transaction) Has(group uint64) bool { return slices.Contains(t.Groups, group) }

// State is all transactional ids of a coordinator.
type State struct {
	all []*Transaction // ascending by name
}

// All returns the transactional ids, ascending. The list must not be changed, and is good until the next command.
func (s *State) All() []*Transaction { return s.all }

// Len returns how many there are.
func (s *State) Len() int { return len(s.all) }

func (s *State) position(name string) int {
	return sort.Search(len(s.all), func(i int) bool { return s.all[i].Name >= name })
}

// Find returns a transactional id, nil if it isn't known.
func (s *State) Find(name string) *Transaction {
	if i := s.position(name); i < len(s.all) && s.all[i].Name == name {
		return s.all[i]
	}
	return nil
}

// Next returns the first one after a name, nil if there is none.
func (s *State) Next(name string) *Transaction {
	i := s.position(name)
	if i < len(s.all) && s.all[i].Name == name {
		i++
	}
	if i == len(s.all) {
		return nil
	}
	return s.all[i]
}

// put replaces what is known of a name; nil: nothing any more.
func (s *State) put(name string, t *Transaction) {
	i := s.position(name)
	there := i < len(s.all) && s.all[i].Name == name
	switch {
	case t == nil && there:
		s.all = slices.Delete(s.all, i, i+1)
	case t == nil:
	case there:
		s.all[i] = t
	default:
		s.all = slices.Insert(s.all, i, t)
	}
}

// stateVersion begins a state.
const stateVersion = 1

var errState = errors.New("malformed state of a coordinator of transactions")

// Snapshot returns the state as it is now, in pieces: each call appends one and reports whether there are more.
func (s *State) Snapshot() func(b []byte) ([]byte, bool) {
	all, head := slices.Clone(s.all), true
	return func(b []byte) ([]byte, bool) {
		if head {
			head = false
			b = binary.AppendUvarint(append(b, stateVersion), uint64(len(all)))
		} else {
			b = all[0].append(b)
			all = all[1:]
		}
		return b, len(all) > 0
	}
}

func (t *Transaction) append(b []byte) []byte {
	b = appendString(b, t.Name)
	b = appendProducer(b, t.Producer)
	b = appendProducer(b, t.Replaced)
	b = binary.AppendUvarint(b, uint64(t.TimeoutMs))
	b = append(b, byte(t.Status))
	b = appendProducer(b, t.Marker)
	b = binary.AppendUvarint(b, t.Began)
	b = binary.AppendUvarint(b, t.Number)
	b = binary.AppendUvarint(b, t.Touched)
	b = binary.AppendVarint(b, t.Started)
	b = binary.AppendVarint(b, t.Changed)
	return appendGroups(b, t.Groups)
}

// Restore replaces the state by one that Snapshot returned.
func (s *State) Restore(b []byte) error {
	r := reader{b: b}
	if v := r.byte(); v != stateVersion {
		return fmt.Errorf("%w: version %d, this broker knows %d; start a newer release", errState, v, stateVersion)
	}
	var all []*Transaction
	for range r.upTo(uint64(len(r.b))) {
		t := &Transaction{Name: r.string(), Producer: r.producer(), Replaced: r.producer(), TimeoutMs: int32(r.upTo(1<<31 - 1))}
		t.Status, t.Marker = Status(r.byte()), r.producer()
		t.Began, t.Number, t.Touched, t.Started, t.Changed, t.Groups = r.uvarint(), r.uvarint(), r.uvarint(), r.varint(), r.varint(), r.groups()
		if r.bad {
			break
		}
		if err := t.check(); err != nil {
			return fmt.Errorf("%w: transactional id %.60q: %w", errState, t.Name, err)
		}
		if n := len(all); n > 0 && all[n-1].Name >= t.Name {
			return fmt.Errorf("%w: transactional id %.60q is out of order", errState, t.Name)
		}
		all = append(all, t)
	}
	if r.bad || len(r.b) > 0 {
		return fmt.Errorf("%w: it doesn't end where its numbers say", errState)
	}
	s.all = all
	return nil
}
