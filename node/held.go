// SPDX-License-Identifier: Apache-2.0

package node

import "slices"

// Held is how much of clients' a broker holds. When nobody asks for anything any more, all of it is 0 but
// the connections that are open.
type Held struct {
	Conns    int // that sent a request and didn't hang up
	Requests int // of those connections, not answered yet
	Commands int // for the catalog, not applied yet

	Stale string // a queue with something for a request that is answered or whose connection is gone; "" if there is none
	Over  string // a bound that is exceeded; "" if none is
}

// Held counts what the broker holds.
func (n *Node) Held() Held {
	h := Held{Conns: len(n.conns), Commands: n.commands.queue.waiting() + btoi(n.commands.underWay != nil), Stale: n.stale(), Over: n.overBounds()}
	//det:ok a sum has no order
	for _, c := range n.conns {
		h.Requests += len(c.frames) + len(c.queue)
	}
	return h
}

// stale names a queue that holds something which nobody waits for; "" if none does.
func (n *Node) stale() string {
	waiting, parked, count, bytes, large := int64(0), int64(0), int64(0), int64(0), n.large.orphans
	//det:ok a sum has no order
	for _, c := range n.conns {
		waiting += c.waits
		parked += int64(c.parked)
		count += c.commands.count
		bytes += c.commands.bytes
		for _, r := range c.queue {
			large += r.charge
		}
	}
	if why := n.staleSource(); why != "" {
		return why
	}
	switch {
	case count != n.commands.queue.count.used || bytes != n.commands.queue.bytes.used:
		return "commands of connections"
	case waiting != n.waits.used:
		return "waits of connections"
	case parked == 0 && n.parkedBytes.used > 0:
		return "bytes of fetches that wait for records"
	case large != n.large.memory.used:
		return "memory of large requests"
	case n.large.stale():
		return "a large request that waits for memory"
	case n.producerIDs.waiting.stale():
		return "requests for producer ids"
	case n.seekers[0].waiting.stale(), n.seekers[1].waiting.stale(), n.catalog.leaving.stale():
		return "requests that wait for the catalog"
	case n.staleLane():
		return "batches that are being checked"
	}
	for _, g := range n.groups {
		if why := g.stale(); why != "" {
			return why
		}
	}
	return ""
}

// stale reports whether a request waits for memory that is over.
func (l *large) stale() bool {
	//det:ok whether there is any has no order
	for _, line := range l.waiting.lines {
		for _, c := range line.order {
			for _, a := range line.items[c] {
				if a.request.over() {
					return true
				}
			}
		}
	}
	return false
}

// staleSource compares what addresses hold with what their connections do.
func (n *Node) staleSource() string {
	sum := source{}
	//det:ok a sum has no order
	for _, s := range n.sources {
		sum.conns += s.conns
		sum.begun += s.begun
		sum.parked += s.parked
		sum.waits += s.waits
		sum.sessions += s.sessions
		sum.large += s.large
		sum.commands.add(s.commands.count, s.commands.bytes)
	}
	q := &n.commands.queue
	switch {
	case sum.conns != len(n.conns):
		return "addresses without connections"
	case sum.begun != n.begun:
		return "requests of addresses"
	case sum.parked != n.parkedBytes.used, sum.waits != n.waits.used, sum.sessions != n.sessions.memory.used:
		return "waits of addresses"
	case sum.large != n.large.memory.used-n.large.orphans:
		return "memory of addresses"
	case sum.commands != commandShare{q.count.used, q.bytes.used}:
		return "commands of addresses"
	}
	return ""
}

func (n *Node) staleLane() bool {
	//det:ok whether there is any has no order
	for _, queue := range n.arrivals {
		if slices.ContainsFunc(queue, func(a *arrival) bool { return a.request.over() && !a.orphan && a.raw != nil }) {
			return true
		}
	}
	return false
}

// stale is the same for what waits in one group.
func (g *group) stale() string {
	for _, w := range slices.Concat(g.reads.asked, g.reads.waiting) {
		if w.done != nil && w.request != nil && w.request.over() {
			return "reads that wait for a majority"
		}
	}
	switch m := g.machine.(type) {
	case *partition:
		if m.parkedFetches.stale() || m.stable.stale() {
			return "fetches that wait for records"
		}
	case *coordinator:
		if m.parkedFetches.stale() {
			return "fetches that wait for records of __consumer_offsets"
		}
		for _, of := range m.groups {
			if of.modern != nil && of.modern.waiting.stale() {
				return "heartbeats"
			}
		}
	case *txnCoordinator:
		if m.parkedFetches.stale() {
			return "fetches that wait for records of __transaction_state"
		}
	case *catalog:
	default:
		panic(unknownMachine(m))
	}
	return ""
}

// stale reports whether a fetch is in it that nobody waits for.
func (w *parkedFetches) stale() bool {
	for e := w.parked.Front(); e != nil; e = e.Next() {
		if e.Value.(*parking).fetch.request.over() {
			return true
		}
	}
	return false
}

// overBounds names a bound that is exceeded; "" if none is.
func (n *Node) overBounds() string {
	begun := 0
	//det:ok a sum has no order
	for _, c := range n.conns {
		begun += len(c.queue)
		if c.parked > 1 {
			return "a connection has two fetches that wait for records"
		}
	}
	switch {
	case begun != n.begun:
		return "requests under way are not counted"
	case begun > n.cfg.MaxRequests+len(n.conns):
		return "requests under way"
	case n.parkedBytes.used > n.parkedBytes.limit:
		return "bytes of fetches that wait for records"
	case n.commands.queue.count.used > n.commands.queue.count.limit+int64(len(n.conns)):
		return "commands that wait"
	case n.commands.queue.bytes.used > n.commands.queue.bytes.limit+smallCommand*int64(len(n.conns)):
		return "bytes of commands that wait"
	case n.waits.used > n.waits.limit:
		return "partitions that are waited for"
	}
	//det:ok whether there is any has no order
	for _, c := range n.coordinators {
		if why := c.over(); why != "" {
			return why
		}
	}
	return ""
}

// over names a bound that a coordinator's groups exceed; "" if none do.
func (c *coordinator) over() string {
	if !c.serves() {
		return ""
	}
	cfg := &c.node.cfg
	if len(c.groups) > cfg.MaxGroups {
		return "consumer groups of a coordinator"
	}
	for _, g := range c.groups {
		if len(g.classic.members)+len(g.classic.promised) > cfg.GroupMaxSize || g.stored.modern != nil && len(g.stored.modern.members) > cfg.GroupMaxSize {
			return "members of a group"
		}
	}
	return ""
}
