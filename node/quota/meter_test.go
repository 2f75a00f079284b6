// SPDX-License-Identifier: Apache-2.0

package quota

import (
	"testing"

	"pgregory.net/rapid"
)

// precedence is the order of Kafka's documentation (KIP-55): the first entity that has a limit counts.
func precedence(user, client string) []Entity {
	u, c := Named(user), Named(client)
	return []Entity{
		{User: u, Client: c},
		{User: u, Client: Default},
		{User: u},
		{User: Default, Client: c},
		{User: Default, Client: Default},
		{User: Default},
		{Client: c},
		{Client: Default},
	}
}

func TestPrecedence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, limits := NewSet(nil), make(map[Entity]float64)
		key := rapid.SampledFrom([]Key{Fetch, Mutations, Produce, Request}).Draw(t, "key")
		for i := range rapid.IntRange(0, 12).Draw(t, "quotas") {
			c := Change{Entity: drawEntity(t), Ops: []Op{{Value: Value{key.String(), float64(i + 1)}}}}
			if c.IP != "" {
				continue
			}
			if rapid.IntRange(0, 3).Draw(t, "other") == 0 { // of another key, which doesn't count
				c.Ops[0].Key = ((key + 1) % 4).String()
				if c.Ops[0].Key == Connections.String() {
					c.Ops[0].Key = Request.String()
				}
			}
			if c.Check() == "" {
				s.Apply([]Change{c})
				if c.Ops[0].Key == key.String() {
					limits[c.Entity] = float64(i + 1)
				}
			}
		}
		user, client := rapid.SampledFrom([]string{"a", "b", "x"}).Draw(t, "user"), rapid.SampledFrom([]string{"a", "b", "x"}).Draw(t, "client")
		share, got := s.For(key, user, client)
		for _, e := range precedence(user, client) {
			want := limits[e]
			if want == 0 {
				continue
			}
			with := Share{key, user, client}
			if e.User == "" {
				with.User = ""
			} else if e.Client == "" {
				with.Client = ""
			}
			if got != want || share != with {
				t.Fatalf("%v %v of %v, want %v of %v", share, got, e, with, want)
			}
			return
		}
		if got != 0 {
			t.Fatalf("%v %v, and nothing counts", share, got)
		}
	})
}

// A client without a client id is held to none of client ids, even where that of its user with any client id comes first.
func TestWithoutClientID(t *testing.T) {
	set := func(quotas ...Quota) *Set {
		s := NewSet(nil)
		for _, q := range quotas {
			c := Change{Entity: q.Entity}
			for _, v := range q.Values {
				c.Ops = append(c.Ops, Op{Value: v})
			}
			s.Apply([]Change{c})
		}
		return s
	}
	of := func(e Entity, v float64) Quota { return Quota{e, []Value{{"producer_byte_rate", v}}} }
	a := Named("a")
	for what, c := range map[string]struct {
		set   *Set
		share Share
		limit float64
	}{
		"the default client id":  {set(of(Entity{Client: Default}, 1)), Share{}, 0},
		"a user's default":       {set(of(Entity{User: a, Client: Default}, 1)), Share{}, 0},
		"the user itself":        {set(of(Entity{User: a, Client: Default}, 1), of(Entity{User: a}, 2)), Share{Produce, "a", ""}, 2},
		"the default user":       {set(of(Entity{User: a, Client: Default}, 1), of(Entity{User: Default}, 3)), Share{Produce, "a", ""}, 3},
		"not that of an address": {set(of(Entity{IP: Default}, 1)), Share{}, 0},
	} {
		if share, limit := c.set.For(Produce, "a", ""); share != c.share || limit != c.limit {
			t.Errorf("%s: %v %v", what, share, limit)
		}
	}
}

// A meter is kept while it says anything, and not longer.
func TestForget(t *testing.T) {
	m := &Meters{}
	quiet, busy := m.Of(Share{Produce, "a", ""}, 0), m.Of(Share{Produce, "b", ""}, 0)
	full, owed := m.Of(Share{Mutations, "a", ""}, 0), m.Of(Share{Mutations, "b", ""}, 0)
	quiet.Record(0, 1, 100)
	busy.Record(1000, 1, 100)
	full.Record(0, 10, 100)
	owed.Record(0, 1, 100)
	m.Forget(10_999)
	if quiet.Gone() || busy.Gone() {
		t.Error("forgotten too early")
	}
	m.Forget(11_000)
	if !quiet.Gone() || busy.Gone() || !full.Gone() || owed.Gone() {
		t.Errorf("gone: quiet %v, busy %v, full %v, owed %v", quiet.Gone(), busy.Gone(), full.Gone(), owed.Gone())
	}
	if again := m.Of(Share{Produce, "a", ""}, 11_000); again == quiet || m.Of(Share{Produce, "b", ""}, 11_000) != busy {
		t.Error("the meter of a share is another one")
	}
	m.Forget(101_000)
	if !owed.Gone() || m.Len() != 0 {
		t.Errorf("%d are left", m.Len())
	}
}

// However many client ids there are, there are so many meters; those that come then share one.
func TestMetersAreBounded(t *testing.T) {
	m, name := &Meters{}, func(i int) string { return string([]rune{'a' + rune(i%1000), 'a' + rune(i/1000)}) }
	for i := range mostMeters {
		m.Of(Share{Produce, "", name(i)}, 0)
	}
	one := m.Of(Share{Produce, "", "one more"}, 0)
	if m.Of(Share{Produce, "", "two more"}, 0) != one || m.Of(Share{Produce, "", name(7)}, 0) == one || m.Of(Share{Fetch, "", "one more"}, 0) == one {
		t.Error("which meter is shared")
	}
	if m.Len() > mostMeters+2 {
		t.Errorf("%d meters", m.Len())
	}
	for range mostMeters {
		m.Forget(memoryMs)
	}
	if m.Len() != 0 {
		t.Errorf("%d are left", m.Len())
	}
}

// What a connection remembers is what it would look up.
func TestAllowance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, m, a, now := NewSet(nil), &Meters{}, &Allowance{}, int64(0)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				c := Change{Entity: drawEntity(t), Ops: []Op{{Value: Value{Produce.String(), float64(rapid.IntRange(1, 9).Draw(t, "limit"))}, Remove: rapid.Bool().Draw(t, "remove")}}}
				if c.IP == "" {
					s.Apply([]Change{c})
				}
			case 1:
				now += rapid.Int64Range(0, 12_000).Draw(t, "ms")
				m.Forget(now)
			case 2: // as from another broker
				s = NewSet(s.Quotas())
			}
			user, client := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "user"), rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "client")
			meter, limit := a.Of(Produce, s, m, user, client, now)
			share, want := s.For(Produce, user, client)
			if limit != want || (meter == nil) != (want == 0) || meter != nil && meter != m.Of(share, now) {
				t.Fatalf("a limit of %v (%v), want %v", limit, meter, want)
			}
			if meter != nil {
				meter.Record(now, limit, 1)
			}
		}
	})
}
