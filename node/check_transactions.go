// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"fmt"

	"chronik/node/txn"
)

// check compares what the leader notes of transactions with the state.
func (m *txnCoordinator) check() error {
	if err := m.ids.Check(); err != nil {
		return err
	}
	if !m.leads {
		return cmp.Or(
			differ("transactions that a replica is to end that doesn't lead", int64(len(m.live)+len(m.decided)+m.unmarked), 0),
			broken(!m.loads, "only a leader makes its transactions ready"),
		)
	}
	live, decided, unmarked := 0, 0, 0
	for _, t := range m.ids.All() {
		l := m.live[t.Name]
		if l == nil {
			if !m.loads && !t.Idle() {
				return fmt.Errorf("transactional id %q is in status %v, and nothing is to happen with it", t.Name, t.Status)
			}
			continue
		}
		live++
		if err := l.check(t); err != nil {
			return fmt.Errorf("transactional id %q: %w", t.Name, err)
		}
		decided += btoi(l.number != 0)
		unmarked += btoi(len(l.left) > 0)
	}
	return cmp.Or(
		differ("transactions that aren't over", int64(len(m.live)), int64(live)),
		differ("decisions whose markers are under way", int64(len(m.decided)), int64(decided)),
		differ("decisions with a group that lacks its marker", int64(m.unmarked), int64(unmarked)),
	)
}

func (l *liveTransaction) check(t *txn.Transaction) error {
	if t.Status == txn.Ongoing {
		return cmp.Or(
			broken(l.began == t.Began && l.number == 0, "what is ongoing is known as what it is"),
			broken(len(l.left) == 0 && !l.resend.Waits() && !l.idle.Waits() && l.waiting.len() == 0, "what is ongoing has no markers"),
		)
	}
	for _, g := range l.groups {
		if l.left[g] && !t.Has(g) {
			return fmt.Errorf("group %d is to get a marker and doesn't take part", g)
		}
	}
	return cmp.Or(
		broken(t.Deciding() && l.number == t.Number && l.of.decided[t.Number] == l, "what is decided is known as what it is"),
		broken(!l.timeout.Waits(), "what is decided isn't ended by a time-out"),
		broken(len(l.left) == 0 || l.sending || l.resend.Waits(), "markers that aren't acknowledged are sent again"),
		broken(len(l.left) > 0 || l.waiting.len() == 0, "nobody waits for markers that are acknowledged"),
	)
}

// overdue names a transaction that should have gone on; "" if there is none.
func (m *txnCoordinator) overdue() string {
	for _, t := range m.ids.All() {
		if l := m.live[t.Name]; m.serves() && !t.Idle() && l == nil {
			return fmt.Sprintf("transactional id %s is in status %v, and nobody ends it", t.Name, t.Status)
		}
	}
	return m.parkedFetches.overdue()
}
