// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"chronik/node"
	"chronik/node/quota"
)

// rates bounds how fast new connections come (KIP-612), measured as all quotas are: over all and of a listener, by settings, and of each
// address, by the quotas that clients set. Over all and of a listener, the next one isn't accepted before its time. One of an address that makes too many
// is accepted and closed, after as long as the address should have waited, or its client would try again at once.
type rates struct {
	all   float64 // in a second; 0: any number
	begun time.Time

	mu     sync.Mutex
	meters quota.Meters
	each   float64 // of an address without a quota of its own; 0: any number
	of     map[netip.Addr]float64
	closed int // connections that will be
}

const (
	longestRest = time.Second // as in Kafka
	everybody   = "all"       // who is no address
	byListener  = "listener " // before the name of one, which is none either
	mostClosed  = 1024        // connections that wait to be closed; further ones are closed at once
)

// update takes the quotas of addresses.
func (r *rates) update(now *node.ConnectionRates) {
	of := make(map[netip.Addr]float64, len(now.Of))
	for text, rate := range now.Of {
		if a, err := netip.ParseAddr(text); err == nil {
			of[a.Unmap()] = rate
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.each, r.of = now.Default, of
}

// over counts a new connection of somebody with a limit, and returns how long it comes too early. One that is served nevertheless counts.
func (r *rates) over(who string, limit float64, served bool) time.Duration {
	now := time.Since(r.begun).Milliseconds()
	r.meters.Forget(now)
	m := r.meters.Of(quota.Share{Key: quota.Connections, Client: who}, now)
	m.Record(now, limit, 1)
	wait := m.Wait(now, limit)
	if wait > 0 && !served {
		m.Record(now, limit, -1)
	}
	return min(longestRest, time.Duration(wait)*time.Millisecond)
}

// rest is how long no connection is accepted by a port after this one.
func (r *rates) rest(p *port) (rest time.Duration) {
	if r.all == 0 && p.rate == 0 {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all > 0 {
		rest = r.over(everybody, r.all, true)
	}
	if p.rate > 0 {
		rest = max(rest, r.over(byListener+p.name, p.rate, true))
	}
	return rest
}

// refuses reports whether an address makes too many connections, and closes this one later.
func (r *rates) refuses(sock net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.each == 0 && len(r.of) == 0 {
		return false
	}
	from, err := netip.ParseAddrPort(sock.RemoteAddr().String())
	if err != nil {
		return false
	}
	addr := from.Addr().Unmap().WithZone("")
	limit, own := r.of[addr]
	if !own {
		limit = r.each
	}
	if limit == 0 {
		return false
	}
	wait := r.over(addr.String(), limit, false)
	if wait == 0 {
		return false
	}
	if r.closed == mostClosed {
		sock.Close()
		return true
	}
	r.closed++
	time.AfterFunc(wait, func() {
		sock.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.closed--
	})
	return true
}
