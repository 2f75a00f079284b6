// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// history is what was seen of a coordinator, to judge it by.
type history struct {
	state   State
	old     State // a replica that began with a checkpoint
	index   uint64
	added   map[string][]uint64   // groups that were acknowledged as part of the transaction
	decided map[Producer]uint64   // the decision about a producer's transaction; in the newer protocol there is one at most
	given   map[Producer]Producer // who got a producer by an Init: the one it said it was
	newest  map[int64]int16       // epochs of a producer id never go back
	number  map[string]uint64
	fresh   int64
}

// TestProtocol sends commands in any order, again and late, and looks at what the protocol promises. The clients speak the newer
// protocol.
func TestProtocol(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{added: map[string][]uint64{}, decided: map[Producer]uint64{}, given: map[Producer]Producer{}, newest: map[int64]int16{}, number: map[string]uint64{}, fresh: 100}
		var sent []Command
		for range rapid.IntRange(1, 80).Draw(t, "commands") {
			var c Command
			if len(sent) > 0 && rapid.IntRange(0, 2).Draw(t, "again") == 0 {
				if c = rapid.SampledFrom(sent).Draw(t, "which"); c.Fresh >= 0 { // the coordinator draws it for each entry
					h.fresh++
					c.Fresh = h.fresh
				}
			} else {
				c = h.draw(t)
				sent = append(sent, c)
			}
			h.apply(t, c)
		}
	})
}

// draw makes a command that somebody might send now.
func (h *history) draw(t *rapid.T) Command {
	c := Command{
		Kind: rapid.SampledFrom([]Kind{Init, Add, Add, Add, End, End, Timeout, Complete, Expire}).Draw(t, "kind"),
		Name: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name"), Producer: None, Fresh: -1, At: int64(h.index), V2: true,
	}
	known := h.state.Find(c.Name)
	if known != nil {
		c.Producer, c.Of = known.Producer, known.Began
		if rapid.Bool().Draw(t, "completes") {
			c.Number = known.Number
		}
		if known.Producer.Epoch < 3 && rapid.IntRange(0, 20).Draw(t, "used up") == 0 {
			known.Producer.Epoch, known.Replaced, known.Status, known.Groups, known.Marker = LastEpoch-1, None, Empty, nil, None
			h.old.Find(c.Name).Producer.Epoch = LastEpoch - 1 // and restored below
			if err := h.old.Restore(whole(&h.state)); err != nil {
				t.Fatal(err)
			}
			delete(h.added, c.Name)
		}
	}
	switch c.Kind {
	case Init:
		if rapid.Bool().Draw(t, "says nothing") {
			c.Producer = None
		}
	case Add:
		c.Groups = rapid.SliceOfN(rapid.Uint64Range(1, 6), 1, 3).Draw(t, "groups")
	case End:
		c.Commit = rapid.Bool().Draw(t, "commit")
	case Expire:
		if known != nil {
			c.Of = known.Touched
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "fresh") > 0 {
		h.fresh++
		c.Fresh = h.fresh
	}
	return c
}

func (h *history) apply(t *rapid.T, c Command) {
	h.index++
	parsed, err := Parse(c.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	before, after, r := h.state.Apply(h.index, parsed)
	h.old.Apply(h.index, parsed)
	state := whole(&h.state)
	if err := h.state.Check(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(state, whole(&h.old)) {
		t.Fatal("two replicas differ")
	}
	if err := h.old.Restore(state); err != nil || !bytes.Equal(state, whole(&h.old)) {
		t.Fatalf("a state isn't what it was: %v", err)
	}
	if after == nil {
		return
	}
	p := after.Producer
	if e, ok := h.newest[p.ID]; ok && e > p.Epoch && e < LastEpoch-1 {
		t.Fatalf("producer %v after epoch %d", p, e)
	}
	h.newest[p.ID] = p.Epoch
	if c.Kind == Init && r.Err == nil {
		if who, ok := h.given[r.Producer]; ok && (who != c.Producer || who == None) {
			t.Fatalf("%v was given to %v and to %v", r.Producer, who, c.Producer)
		}
		h.given[r.Producer] = c.Producer
	}
	h.follow(t, c, before, after, r)
}

// follow looks at transactions: who may end one, and which groups get a marker.
func (h *history) follow(t *rapid.T, c Command, before, after *Transaction, r Result) {
	if c.Kind == Add && r.Err == nil {
		if before.Status != Ongoing {
			h.added[c.Name] = nil
		}
		h.added[c.Name] = append(h.added[c.Name], c.Groups...)
	}
	if !after.Deciding() || before.Deciding() && before.Number == after.Number {
		return
	}
	if after.Number <= h.number[c.Name] {
		t.Fatalf("decision %d after %d", after.Number, h.number[c.Name])
	}
	h.number[c.Name] = after.Number
	for _, g := range h.added[c.Name] {
		if !after.Has(g) {
			t.Fatalf("group %d was added, and %v are to get markers", g, after.Groups)
		}
	}
	by := before.Producer
	if n, ok := h.decided[by]; ok && by.Epoch < LastEpoch-1 {
		t.Fatalf("two decisions, %d and %d, about transactions of %v", n, after.Number, by)
	}
	h.decided[by] = after.Number
	if c.Kind == End && c.Producer != by {
		t.Fatalf("%v ended the transaction of %v", c.Producer, by)
	}
	if after.Producer == by || after.Marker.ID != by.ID || after.Marker.Epoch != by.Epoch+1 {
		t.Fatalf("the transaction of %v was ended with markers of %v, and the producer is %v", by, after.Marker, after.Producer)
	}
}
