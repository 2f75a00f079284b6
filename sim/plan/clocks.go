// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// A wall clock this close to virtual time is right. Monotonic clocks may not run much too fast on any broker: each
// counts for how long it has held a record.
const (
	rightOffsetMs = 500
	rightDriftPPM = 1000
)

// right says that a broker's wall clock is never far from virtual time.
func (p *Plan) right(broker int) bool {
	jumps := func(f Fault) bool { return (f.Kind == FaultClockJump || f.Kind == FaultFreeze) && !f.spares(broker) }
	offset := p.Clocks[broker-1].OffsetMs
	return max(offset, -offset) <= rightOffsetMs && !slices.ContainsFunc(p.Faults, jumps)
}

// spares says that a fault can't hit a broker.
func (f *Fault) spares(broker int) bool {
	n, named := f.Target.Broker()
	return named && n != broker
}

// ClocksAgree says that no wall clock is ever far from another.
func (p *Plan) ClocksAgree() bool {
	for b := range p.Brokers {
		if !p.right(b + 1) {
			return false
		}
	}
	return true
}

// RightClocks says that most wall clocks are right, so that in any majority of the brokers one is, and that time
// passes alike on all.
func (p *Plan) RightClocks() bool {
	drifts := func(c Clock) bool { return max(c.DriftPPM, -c.DriftPPM) > rightDriftPPM }
	right := 0
	for b := range p.Brokers {
		if p.right(b + 1) {
			right++
		}
	}
	leaves := func(c Call) bool { return c.Kind == CallRemove }
	return right > p.Brokers/2 && !slices.ContainsFunc(p.Clocks, drifts) && p.FounderCount() == p.Brokers && !slices.ContainsFunc(p.Calls, leaves)
}
