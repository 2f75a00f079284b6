// SPDX-License-Identifier: Apache-2.0

package plan

import "errors"

// Watcher reads __consumer_offsets from its start on, as Burrow and kminion do, and keeps the newest record of each key.
// When all is over that has to be what OffsetFetch says. One watches all the time; another one begins when
// all is healed.
type Watcher struct {
	Timeout Duration `json:"timeout"` // of one request on the wire
	Home    int      `json:"home"`    // the broker that is asked first
}

func (p *Plan) validateWatcher() error {
	if v := p.Watcher; v != nil && (v.Timeout < millisecond || v.Home < 1 || v.Home > p.Brokers) {
		return errors.New("watcher: timeout must be at least 1ms, home a broker")
	}
	return nil
}

// watching draws a watcher for some worlds with consumer groups.
func (g *generator) watching() {
	if len(g.plan.Members) > 0 && g.chance(1, 2) {
		g.plan.Watcher = &Watcher{Timeout: g.span(500*millisecond, 3*second), Home: int(g.between(1, int64(g.plan.Brokers)))}
	}
}
