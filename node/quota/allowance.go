// SPDX-License-Identifier: Apache-2.0

package quota

// Allowance is what one client is held to, as it was last looked up. A connection keeps it, so that a request costs no look-up.
type Allowance struct {
	set          *Set
	changes      uint64
	user, client string
	limits       [keys]float64
	shares       [keys]Share
	meters       [keys]*Meter // nil: not looked up yet
}

// Of returns the meter and the limit of a key; 0: there is none. Anything of the client or of the quotas may have changed.
func (a *Allowance) Of(k Key, s *Set, m *Meters, user, client string, now int64) (*Meter, float64) {
	if a.set != s || a.changes != s.changes || a.user != user || a.client != client {
		*a = Allowance{set: s, changes: s.changes, user: user, client: client}
		for k := range keys {
			if k != Connections && s.Has(k) {
				a.shares[k], a.limits[k] = s.For(k, user, client)
			}
		}
	}
	if a.limits[k] == 0 {
		return nil, 0
	}
	if a.meters[k] == nil || a.meters[k].gone {
		a.meters[k] = m.Of(a.shares[k], now)
	}
	return a.meters[k], a.limits[k]
}
