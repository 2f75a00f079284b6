// SPDX-License-Identifier: Apache-2.0

package node

// Work counts what one step handled. A step has a budget: what a client can ask for at once may be any
// amount, and everybody else waits for the end of the step. So requests wait in the node's queue, large
// ones are served piece by piece (see each), and so are committed entries and fetches that are woken.
type Work struct {
	Requests int   // begun
	Names    int   // topics, configurations and the like that were named in a request, or listed
	Parts    int   // partitions that were looked at or described
	Elements int   // of arrays that were parsed or encoded
	Entries  int   // applied
	Walked   int   // groups that were looked at because all of them are: see backgroundWork
	Advanced int   // times that a group's raft had something to do
	Placed   int   // groups that were opened or closed
	Saved    int   // pieces of states that were encoded or decoded for checkpoints
	Bytes    int64 // of requests, answers, messages, results and applied entries

	// What there is to be done, which costs nothing by itself.
	Ticked   int // groups of a tick, each to be looked at once
	Owed     int // copies of entries that this broker appended as a leader: one for each follower
	Appended int // entries

	Breaks int // that began, see breaks.go

	Sent int // copies of entries; they cost nothing by themselves either
}

// StepBudget is the default of Config.StepBudget. The unit is about a microsecond. A produced batch may meet such a step
// on its leader, on a follower, and on the leader again.
const StepBudget = 2_500

// mostGiven bounds what the world may give to a step, in units of Cost: some megabytes of each kind of input.
const mostGiven = 10_000

// Cost is the work as one number.
func (w Work) Cost() int {
	return 10*w.Requests + 5*w.Names + 2*w.Parts + w.Elements + 5*w.Entries + w.Saved + w.Walked + 5*w.Advanced + placeCost*w.Placed + int(w.Bytes>>10)
}

// Within reports whether a step kept to a budget. A piece is begun while anything is left, so the last may go
// beyond; and what the world gave (messages, results) is taken whole, the world bounds its bytes. The broker's own work
// keeps to its share of even a small budget, and so do states; its last piece may close a group and open its successor.
func (w Work) Within(budget int) bool {
	own := budget / ownShare
	return w.Cost() <= 2*max(budget, mostGiven) && w.Walked <= own+1 && w.Placed <= own/placeCost+2 &&
		w.Saved <= max(1, budget/savingShare)
}

// spent reports whether this step has done what it may, or a part of that.
func (n *Node) spent(share int) bool { return n.out.Work.Cost() >= n.cfg.StepBudget/share }

// deferredWork is the rest of a request that is too large for a step.
type deferredWork struct {
	request *request
	more    func() bool // does the next piece, and says whether there are more
	then    func()
	share   int // of the budget: the whole in the step of its request, later one in two
}

// each calls do for 0 to count-1 and then then, unless the request is answered before: as much of it in this
// step as the budget allows, and the rest in the next ones, between requests of other connections.
func (n *Node) each(r *request, count int, do func(i int), then func()) {
	i := 0
	n.inPieces(r, func() bool {
		if i < count {
			n.out.Work.Names++
			i++
			do(i - 1)
		}
		return i < count
	}, then)
}

// eachPart does the same for things that have parts: begin says how many parts the i-th has, and do is called for
// each of them before the next thing begins.
func (n *Node) eachPart(r *request, count int, begin func(i int) (parts int), do func(i, part int), then func()) {
	i, part, parts := -1, 0, 0
	n.inPieces(r, func() bool {
		switch {
		case part < parts:
			n.out.Work.Parts++
			part++
			do(i, part-1)
		case i+1 < count:
			n.out.Work.Names++
			i++
			part, parts = 0, begin(i)
		}
		return part < parts || i+1 < count
	}, then)
}

// inPieces calls more until it says that nothing is left, and then then.
func (n *Node) inPieces(r *request, more func() bool, then func()) {
	c := deferredWork{r, more, then, 1}
	if n.breaks.paused && r.canWait() {
		c.share = 2
	}
	if n.work(&c) {
		return
	}
	rest := c
	rest.share = 2
	r.conn.deferred++
	n.deferredFor(r).add(r.conn, &rest)
}

// deferredFor is where the rest of a request waits.
func (n *Node) deferredFor(r *request) *rota[*deferredWork] {
	if r.canWait() {
		return &n.patient
	}
	return &n.deferred
}

// work does a piece of the rest of a request, at least one call, and reports whether it is done with.
func (n *Node) work(c *deferredWork) bool {
	if n.startClock(c.request) {
		defer n.stopClock()
	}
	if c.request.canWait() {
		before := n.out.Work.Cost()
		defer func() { n.breaks.done += n.out.Work.Cost() - before }()
	}
	for first := true; ; first = false {
		if c.request.over() {
			return true
		}
		if !first && n.spent(c.share) {
			return false
		}
		if !c.more() {
			if c.then != nil {
				c.then()
			}
			return true
		}
	}
}

// later has something done in this step or in the next ones, as the budget allows: answers, for one, that one event makes
// due for thousands of clients.
func (n *Node) later(do func()) { n.due = append(n.due, do) }

// doDue does what was put off, at least one thing.
func (n *Node) doDue() {
	for first := true; len(n.due) > 0 && (first || !n.spent(1)); first = false {
		n.out.Work.Names++
		takeFirst(&n.due)()
	}
}

// resume goes on with deferred work, in turn, for half of the budget; the other half is for new requests.
// One always gets on.
func (n *Node) resume() {
	n.resumeFrom(&n.deferred)
	if !n.breaks.paused {
		n.resumeFrom(&n.patient)
	}
}

func (n *Node) resumeFrom(rest *rota[*deferredWork]) {
	for turns, first := rest.len, true; turns > 0 && (first || !n.spent(2)); turns, first = turns-1, false {
		c, _ := rest.next()
		if !n.work(c) {
			rest.add(c.request.conn, c)
			continue
		}
		c.request.conn.deferred--
		n.queue(c.request.conn)
	}
}

// expireDeadlines fires what is due, at least one, until the step's budget is spent. The rest is due in the next step:
// clients can let very many members, sessions and waits end at once.
func (n *Node) expireDeadlines() {
	for first := true; n.deadlines.Next() <= n.now && (first || !n.spent(1)); first = false {
		n.out.Work.Names++
		n.deadlines.Fire()
	}
}

// arrived takes a frame from a client.
func (n *Node) arrived(in Request) {
	c := n.conns[in.Conn]
	if c == nil {
		c = n.newConn(in)
		n.conns[in.Conn] = c
	}
	if c.closing {
		return
	}
	c.frames = append(c.frames, in.Frame)
	n.queue(c)
}

// queue lets a connection wait for its turn, if it has a request for which it may come.
func (n *Node) queue(c *conn) {
	if !c.queued && len(c.frames) > 0 && n.mayBegin(c) {
		c.queued = true
		if len(c.from.queued) == 0 {
			n.queued = append(n.queued, c.from)
		}
		c.from.queued = append(c.from.queued, c)
	}
}

// serveQueued serves requests until the budget is spent, one of each address in turn and of each of its connections, so that
// one which asks for much waits for itself. A connection's requests are begun in their order: none before what the one before it asks for
// is under way, as far as that is cut into pieces. One is always served.
func (n *Node) serveQueued() {
	n.resume()
	for first := true; len(n.queued) > 0 && (first || !n.spent(1)); first = false {
		c := n.nextQueued()
		if len(c.frames) > 0 && n.mayBegin(c) {
			n.serve(c, c.next())
			n.queue(c)
		}
	}
}

// nextQueued takes out the connection whose turn it is.
func (n *Node) nextQueued() *conn {
	from := takeFirst(&n.queued)
	c := takeFirst(&from.queued)
	if len(from.queued) > 0 {
		n.queued = append(n.queued, from)
	}
	c.queued = false
	return c
}

// dropQueued forgets the requests of connections that are gone.
func (n *Node) dropQueued(gone []ConnID) {
	for _, id := range gone {
		if c := n.conns[id]; c != nil {
			c.frames = nil
		}
	}
}

// busy reports whether there is work that this step left.
func (n *Node) busy() bool {
	return len(n.queued)+n.deferred.len+len(n.background)+len(n.due)+len(n.dirty)+len(n.woken) > 0 || n.hasDurable() || len(n.saves) > 0 && !n.packing
}

// onceEach calls then with the elements without those that name what was named before, and with what is named more than
// once: Kafka answers that once, with INVALID_REQUEST, and does nothing about it. It reuses the array of in.
func onceEach[T any](r *request, in []T, name func(*T) string, then func(once []T, twice map[string]bool)) {
	once, seen, twice := in[:0], make(map[string]bool), make(map[string]bool)
	r.node.each(r, len(in), func(i int) {
		switch k := name(&in[i]); {
		case seen[k]:
			twice[k] = true
		default:
			seen[k] = true
			once = append(once, in[i])
		}
	}, func() { then(once, twice) })
}
