// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"fmt"
)

// tally is what requests hold by the truth: summed over a connection, an address, or all.
type tally struct {
	conns, begun               int
	held, waits, large, parked int64
	sessions                   int64
	commands                   commandShare
}

// checkRequests compares what connections, addresses and the broker count with the requests, and looks for requests that wait
// for nothing.
func (n *Node) checkRequests() error {
	if why := n.stale(); why != "" {
		return fmt.Errorf("%s: one is there that nobody waits for, or one is not counted", why)
	}
	commands, err := n.checkCommands()
	if err != nil {
		return err
	}
	all, from := tally{}, make(map[*source]*tally)
	//det:ok a sum has no order
	for id, c := range n.conns {
		if c.id != id {
			return fmt.Errorf("connection %d is noted as %d", c.id, id)
		}
		if err := c.check(n, commands[c]); err != nil {
			return fmt.Errorf("connection %d: %w", id, err)
		}
		if from[c.from] == nil {
			from[c.from] = &tally{}
		}
		for _, t := range []*tally{&all, from[c.from]} {
			t.conns++
			t.begun += len(c.queue)
			t.held += c.heldBytes
			t.waits += c.waits
			if c.session != nil {
				t.sessions += c.session.bytes
			}
			t.commands.add(c.commands.count, c.commands.bytes)
			for _, r := range c.queue {
				t.large += r.charge
				if r.fetch != nil && r.fetch.waits {
					t.parked += r.size
				}
			}
		}
	}
	//det:ok whether all are right has no order
	for s, t := range from {
		if err := s.check(n, t); err != nil {
			return fmt.Errorf("address %s: %w", s.host, err)
		}
	}
	return cmp.Or(
		differ("addresses", int64(len(n.sources)), int64(len(from))),
		differ("requests under way", int64(n.begun), int64(all.begun)),
		differ("bytes of answers that wait for an earlier one", n.heldBytes, all.held),
		differ("partitions that are waited for", n.waits.used, all.waits),
		differ("memory of large requests", n.large.memory.used-n.large.orphans, all.large),
		differ("bytes of fetches that wait for records", n.parkedBytes.used, all.parked),
		n.checkQueued(), n.checkFetches(), n.checkSessions(), n.checkArrivals(), n.checkTurns(), n.checkWaiters(),
		n.deferred.check(), n.patient.check(), n.large.waiting.check(), n.commands.queue.clients.check(),
	)
}

// check compares what a connection counts with its requests.
func (c *conn) check(n *Node, commands commandShare) error {
	held, encoding, parked := int64(0), 0, 0
	for _, r := range c.queue {
		bytes, err := r.fetch.check()
		if err != nil {
			return err
		}
		parked += btoi(bytes > 0)
		if r.settled && r.encoding == 0 {
			held += int64(r.frame.Len())
		}
		encoding += btoi(r.encoding != 0)
		if r.left || r.gone || r.conn != c {
			return fmt.Errorf("a request that is answered, or isn't of this connection, waits for its answer")
		}
	}
	first := len(c.queue) > 0 && c.queue[0].settled && c.queue[0].encoding == 0
	deferred := n.deferred.of(c) + n.patient.of(c) + encoding
	return cmp.Or(
		differ("bytes of answers that wait for an earlier one", c.heldBytes, held),
		broken(!first || c.closing, "an answer that is next in line is handed out"),
		differ("fetches that wait for records", int64(c.parked), int64(parked)),
		bounded("requests that are cut into pieces", int64(c.deferred-deferred), 1), // one is parsed, or waits for memory
		differ("commands for the catalog", c.commands.count, commands.count),
		differ("bytes of commands for the catalog", c.commands.bytes, commands.bytes),
		broken(c.queued || c.closing || len(c.frames) == 0 || len(c.queue) > 0 || n.isUnsure(c) || c.unmute != nil, "a connection with requests and none under way is to be served"),
		broken(c.unmute == nil || c.unmute.Waits(), "a muted connection is going to be served again"),
	)
}

// check compares what an address counts with its connections.
func (s *source) check(n *Node, t *tally) error {
	return cmp.Or(
		broken(n.sources[s.host] == s, "an address with connections is known"),
		differ("connections", int64(s.conns), int64(t.conns)),
		differ("requests under way", int64(s.begun), int64(t.begun)),
		differ("partitions that are waited for", s.waits, t.waits),
		differ("memory of large requests", s.large, t.large),
		differ("commands for the catalog", s.commands.count, t.commands.count),
		differ("bytes of commands for the catalog", s.commands.bytes, t.commands.bytes),
		differ("bytes of fetches that wait for records", s.parked, t.parked),
		differ("bytes of sessions of fetches", s.sessions, t.sessions),
	)
}

// checkCommands returns what connections have in the queue of commands, and looks at the broker's own.
func (n *Node) checkCommands() (map[*conn]commandShare, error) {
	shares, c := make(map[*conn]commandShare), &n.commands
	note := func(p *pendingCommand) {
		if p.request != nil {
			s := shares[p.request.conn]
			s.add(1, p.size)
			shares[p.request.conn] = s
		}
	}
	c.queue.clients.each(note)
	if c.underWay != nil {
		note(c.underWay)
	}
	count, bytes := int64(0), int64(0)
	//det:ok a sum has no order
	for _, s := range shares {
		count, bytes = count+s.count, bytes+s.bytes
	}
	return shares, cmp.Or(
		differ("commands of connections", c.queue.count.used, count),
		differ("bytes of commands of connections", c.queue.bytes.used, bytes),
	)
}

// checkWaiters looks for requests that wait for a command which nobody has given.
func (n *Node) checkWaiters() error {
	p := &n.producerIDs
	return cmp.Or(
		broken(p.waiting.len() == 0 || p.asked && p.next == p.end && len(p.spare) == 0, "who waits for a producer id waits for the catalog"),
		broken(n.seekers[0].waiting.len() == 0 || n.seekers[0].making, "who waits for the topic of groups waits for its command"),
		broken(n.seekers[1].waiting.len() == 0 || n.seekers[1].making, "who waits for the topic of transactions waits for its command"),
	)
}

// checkQueued compares the lines of those that are to be served with the flags.
func (n *Node) checkQueued() error {
	there, seen, lines := 0, make(map[*conn]bool), make(map[*source]bool)
	for _, s := range n.queued {
		if len(s.queued) == 0 || lines[s] {
			return fmt.Errorf("address %s is to be served twice, or has nothing", s.host)
		}
		lines[s] = true
		for _, c := range s.queued {
			if !c.queued || c.from != s || seen[c] {
				return fmt.Errorf("connection %d is to be served twice, or isn't noted", c.id)
			}
			seen[c] = true
			there += btoi(n.conns[c.id] == c)
		}
	}
	flags := 0
	//det:ok a sum has no order
	for _, c := range n.conns {
		flags += btoi(c.queued)
	}
	return differ("connections to be served", int64(flags), int64(there))
}

// checkFetches looks whether what waits for records of a group is a fetch that knows of it.
func (n *Node) checkFetches() error {
	look := func(w *parkedFetches, what string, id GroupID) error {
		for e := w.parked.Front(); e != nil; e = e.Next() {
			if p := e.Value.(*parking); !p.fetch.waits || p.place != e || p.at != w {
				return fmt.Errorf("a fetch waits for records of %s %d, and doesn't know", what, id)
			}
		}
		return nil
	}
	for _, g := range n.groups {
		var err error
		switch m := g.machine.(type) {
		case *partition:
			err = cmp.Or(look(&m.parkedFetches, "partition", g.id), look(&m.stable, "partition", g.id))
		case *coordinator:
			err = look(&m.parkedFetches, "coordinator", g.id)
		case *txnCoordinator:
			err = look(&m.parkedFetches, "coordinator of transactions", g.id)
		case *catalog:
		default:
			panic(unknownMachine(m))
		}
		if err != nil {
			return err
		}
	}
	tried := make(map[*fetch]bool, len(n.woken))
	for _, f := range n.woken {
		if !f.woken || tried[f] {
			return fmt.Errorf("a fetch is to be tried again twice")
		}
		tried[f] = true
	}
	return nil
}

// check looks whether a fetch that waits for records is where it waits, and returns how many bytes it holds there.
func (f *fetch) check() (parked int64, err error) {
	if f == nil || !f.waits {
		return 0, nil
	}
	for i := range f.parked {
		e := f.parked[i].place
		in := e != nil && (e.Prev() != nil || f.parked[i].at.parked.Front() == e)
		if !in && !f.woken {
			return 0, fmt.Errorf("a fetch that waits for records isn't where it waits")
		}
	}
	return f.request.size, nil
}

// checkArrivals looks at batches that are being checked. The first of each queue is, or it would have been proposed.
func (n *Node) checkArrivals() error {
	orphans := int64(0)
	//det:ok a sum has no order
	for key, queue := range n.arrivals {
		if len(queue) == 0 || queue[0].checked && queue[0].asks != askedNow {
			return fmt.Errorf("a batch for group %d is checked, and not proposed", key.group)
		}
		for _, a := range queue {
			if a.admitted || a.request.conn.id != key.conn || a.part.group.id != key.group {
				return fmt.Errorf("a batch for group %d is in the wrong queue, or was proposed", key.group)
			}
			if a.orphan {
				orphans += int64(len(a.raw))
			}
		}
	}
	return differ("bytes of batches whose client is gone", n.orphans, orphans)
}

// checkTurns looks for somebody who waits for a turn although there is one.
func (n *Node) checkTurns() error {
	all := []struct {
		what string
		t    *turns
	}{
		{"checks", &n.tasks.checks},
		{"searches", &n.tasks.finds},
		{"assignments", &n.tasks.assigns},
		{"reads", &n.tasks.colds},
		{"passwords", &n.tasks.logins},
		{"parses", &n.large.parses},
		{"encodings", &n.large.encodes},
	}
	for _, of := range all {
		if of.t.taken < 0 || of.t.taken > of.t.limit || of.t.taken < of.t.limit && of.t.queue.len > 0 || of.t.busy {
			return fmt.Errorf("%s: %d of %d are under way, %d wait", of.what, of.t.taken, of.t.limit, of.t.queue.len)
		}
		if err := of.t.queue.check(); err != nil {
			return fmt.Errorf("%s: %w", of.what, err)
		}
	}
	return broken(!n.large.serving, "requests that wait for memory are served to the end")
}

// check compares the order of those that wait with what they wait for.
func (r *rota[T]) check() error {
	sum, seen, turn := 0, make(map[*source]bool), make(map[*conn]bool)
	for _, from := range r.order {
		line := r.lines[from]
		if line == nil || len(line.order) == 0 || len(line.order) != len(line.items) || seen[from] {
			return fmt.Errorf("address %s has its turn twice, or for nothing", from.host)
		}
		seen[from] = true
		for _, c := range line.order {
			if len(line.items[c]) == 0 || turn[c] {
				return fmt.Errorf("connection %d has its turn twice, or for nothing", c.id)
			}
			turn[c] = true
			sum += len(line.items[c])
		}
	}
	return cmp.Or(
		differ("addresses that wait for a turn", int64(len(r.order)), int64(len(r.lines))),
		differ("what waits for a turn", int64(r.len), int64(sum)),
	)
}

// each calls do with all that waits.
func (r *rota[T]) each(do func(T)) {
	for _, from := range r.order {
		for _, c := range r.lines[from].order {
			for _, item := range r.lines[from].items[c] {
				do(item)
			}
		}
	}
}

// of returns how much a connection waits for.
func (r *rota[T]) of(c *conn) int {
	if line := r.lines[c.from]; line != nil {
		return len(line.items[c])
	}
	return 0
}
