// SPDX-License-Identifier: Apache-2.0

package quota

// Filter is which quotas a client asks about: of entities that have these parts and, if it is strict, no others.
type Filter struct {
	Parts  []FilterPart
	Strict bool
}

// FilterPart is a part that an entity must have: this one, the default, or any.
type FilterPart struct {
	Type string
	Name Name // "": any
}

// Has reports whether the filter names a type.
func (f *Filter) Has(kind string) bool {
	for _, p := range f.Parts {
		if p.Type == kind {
			return true
		}
	}
	return false
}

// Matches reports whether an entity is meant.
func (f *Filter) Matches(e Entity) bool {
	if f.Strict && len(e.Parts()) != len(f.Parts) {
		return false
	}
	for _, p := range f.Parts {
		if have := *e.part(p.Type); have == "" || p.Name != "" && have != p.Name {
			return false
		}
	}
	return true
}
