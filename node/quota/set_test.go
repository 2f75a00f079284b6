// SPDX-License-Identifier: Apache-2.0

package quota

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// drawEntity draws one of few entities, so that they meet.
func drawEntity(t *rapid.T) Entity {
	names := []Name{"", Default, Named("a"), Named("b")}
	draw := func(what string) Name { return rapid.SampledFrom(names).Draw(t, what) }
	if rapid.IntRange(0, 4).Draw(t, "address") == 0 {
		return Entity{IP: rapid.SampledFrom([]Name{Default, Named("10.0.0.1")}).Draw(t, "ip")}
	}
	e := Entity{User: draw("user")}
	if e.Client = draw("client"); e == (Entity{}) {
		e.Client = Default
	}
	return e
}

// A set is what the changes left of a plain table of values.
func TestSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type cell struct {
			Entity
			key string
		}
		model, s := make(map[cell]float64), NewSet(nil)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			var changes []Change
			for range rapid.IntRange(1, 3).Draw(t, "changes") {
				c := Change{Entity: drawEntity(t)}
				for k, name := range keyNames {
					if (Key(k) == Connections) != (c.IP != "") || rapid.Bool().Draw(t, "leave") {
						continue
					}
					op := Op{Value: Value{Key: name}, Remove: rapid.Bool().Draw(t, "remove")}
					if delete(model, cell{c.Entity, name}); !op.Remove {
						op.Value.Value = float64(rapid.IntRange(1, 9).Draw(t, "value"))
						model[cell{c.Entity, name}] = op.Value.Value
					}
					c.Ops = append(c.Ops, op)
				}
				if wrong := c.Check(); wrong != "" {
					t.Fatal(wrong)
				}
				changes = append(changes, c)
			}
			before, kept := s.Quotas(), slices.Clone(s.Quotas())
			s.Apply(changes)
			if diff := cmp.Diff(kept, before); diff != "" {
				t.Fatal("a list that was given out has changed:", diff)
			}
			if err := s.Check(); err != nil {
				t.Fatal(err)
			}
			got := make(map[cell]float64)
			for _, q := range s.Quotas() {
				for _, v := range q.Values {
					got[cell{q.Entity, v.Key}] = v.Value
				}
			}
			if !maps.Equal(model, got) {
				t.Fatalf("%v, want %v", got, model)
			}
		}
	})
}
