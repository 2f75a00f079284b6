// SPDX-License-Identifier: Apache-2.0

package node

// Work counts what one step handled. A step has a budget: what a client can ask for at once may be any
// amount, and everybody else waits for the end of the step. So requests wait in the node's queue, large
// ones are served piece by piece (see each), and so are committed entries and fetches that are woken.
type Work struct {
	Requests int   // begun
	Names    int   // topics, configurations and the like that were named in a request, or listed
	Parts    int   // partitions that were looked at or described
	Entries  int   // applied
	Bytes    int64 // of requests, answers, messages, results and applied entries
}

// StepBudget is the default of Config.StepBudget. The unit is about a microsecond.
const StepBudget = 10_000

// Cost is the work as one number.
func (w Work) Cost() int {
	return 10*w.Requests + 5*w.Names + 2*w.Parts + 5*w.Entries + int(w.Bytes>>10)
}

// Within reports whether a step kept to a budget. A piece is begun while anything is left, so the last may go
// beyond; and what the world gave (messages, results) is taken whole, the world bounds its bytes.
func (w Work) Within(budget int) bool { return w.Cost() <= 2*max(budget, StepBudget) }

// spent reports whether this step has done what it may, or a part of that.
func (n *Node) spent(share int) bool { return n.out.Work.Cost() >= n.cfg.StepBudget/share }

// chore is the rest of a request that is too large for a step.
type chore struct {
	request *request
	next    int
	count   int
	do      func(i int)
	then    func()
	share   int // of the budget: the whole in the step of its request, later one in two
}

// each calls do for 0 to count-1 and then then, unless the request is answered before: as much of it in this
// step as the budget allows, and the rest in the next ones, between other requests.
func (n *Node) each(r *request, count int, do func(i int), then func()) {
	c := &chore{r, 0, count, do, then, 1}
	if !n.work(c) {
		c.share = 2
		n.chores = append(n.chores, c)
	}
}

// work does a piece of a chore, at least one call, and reports whether it is done with.
func (n *Node) work(c *chore) bool {
	for first := true; c.next < c.count; first = false {
		if c.request.done || c.request.gone {
			return true
		}
		if !first && n.spent(c.share) {
			return false
		}
		n.out.Work.Names++
		c.do(c.next)
		c.next++
	}
	if !c.request.done && !c.request.gone && c.then != nil {
		c.then()
	}
	return true
}

// resume goes on with chores, in turn, for half of the budget; the other half is for new requests.
func (n *Node) resume() {
	for turns := len(n.chores); turns > 0 && !n.spent(2); turns-- {
		c := n.chores[0]
		n.chores[0] = nil
		n.chores = n.chores[1:]
		if !n.work(c) {
			n.chores = append(n.chores, c)
		}
	}
}

// serveQueued serves requests in the order of arrival until the budget is spent. One is always served.
func (n *Node) serveQueued() {
	n.resume()
	for first := true; len(n.requests) > 0 && (first || !n.spent(1)); first = false {
		in := n.requests[0]
		n.requests[0] = Request{}
		n.requests = n.requests[1:]
		n.serve(in)
	}
}

// dropQueued forgets the requests of connections that are gone.
func (n *Node) dropQueued(gone []ConnID) {
	if len(gone) == 0 || len(n.requests) == 0 {
		return
	}
	set := make(map[ConnID]bool, len(gone))
	for _, id := range gone {
		set[id] = true
	}
	rest := n.requests[:0]
	for _, r := range n.requests {
		if !set[r.Conn] {
			rest = append(rest, r)
		}
	}
	clear(n.requests[len(rest):])
	n.requests = rest
}

// busy reports whether there is work that this step left.
func (n *Node) busy() bool {
	return len(n.requests)+len(n.chores)+len(n.dirty)+len(n.woken) > 0
}
