// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"chronik/node"
	"chronik/sim/keyed"
	"chronik/sim/plan"
)

// network is the links between brokers, one for each ordered pair.
//
// Injected: latency (exponential, one message in 40 ten times as slow), heavy tail of seconds, loss,
// duplication, reordering (each message has a latency of its own, unless the plan wants links in
// order), symmetric and one-way partitions (one broker, one link, two halves, the leader, a ring, two parts
// that one broker joins), clogs that end in a burst, at once or link by link, and links that carry few bytes. A link holds
// at most linkCap messages; further ones are lost. A message that arrives damaged shows it by its checksum: it is lost, and
// both ends hear that the connection broke (world.deliver).
//
// Never injected: changed bytes that nobody notices, messages to the wrong broker, messages that nobody sent.
//
// Connections of clients are in conn.go: they are in order and lose nothing while they last.
type network struct {
	seed    keyed.Seed
	latency plan.Duration // mean, one way
	inOrder bool
	brokers int
	links   [plan.MaxBrokers + 1][plan.MaxBrokers + 1]link

	lossRate, dupRate, tailRate int64 // of 1000 messages, summed over the faults that are on
}

const linkCap = 256

type link struct {
	sent     uint64
	queued   int       // under way
	cut      int       // so many faults cut it
	clogs    int       // so many faults clog it
	clogEnd  node.Time // the last of them ends then
	last     node.Time // arrival of the last message, for links in order
	lost     uint64    // by cuts
	overflow uint64
	narrow   int64     // bytes in a millisecond that it carries; 0: any number
	narrows  int       // so many faults keep it narrow
	free     node.Time // when it has carried what was sent before
	torn     uint64    // counts what may have been damaged
}

// mostDelayed bounds how long a message waits for a narrow link.
const mostDelayed = node.Time(4 * second)

// arrivals decides the fate of a message that is sent now: when it arrives, and when once more.
func (n *network) arrivals(now node.Time, from, to, size int) (first, second node.Time) {
	l := &n.links[from][to]
	l.sent++
	d := n.seed.Draw(domainLink, keyed.Pair(from, to), l.sent)
	switch {
	case l.cut > 0:
		l.lost++
		return node.Never, node.Never
	case l.queued >= linkCap:
		l.overflow++
		return node.Never, node.Never
	case n.lossRate > 0 && d.Ratio(n.lossRate, 1000):
		return node.Never, node.Never
	}
	if l.narrows > 0 {
		l.free = max(now, l.free) + node.Time(int64(size)*int64(millisecond)/l.narrow)
		now += min(l.free-now, mostDelayed)
	}
	first = n.arrival(now, l, d.Next())
	second = node.Never
	l.queued++
	if n.dupRate > 0 {
		if d := n.seed.Draw(domainDuplicate, keyed.Pair(from, to), l.sent); d.Ratio(n.dupRate, 1000) {
			second = n.arrival(now, l, d.Next())
			l.queued++
		}
	}
	return first, second
}

func (n *network) arrival(now node.Time, l *link, d keyed.Draw) node.Time {
	mean := n.latency
	if d.Next().Ratio(1, 40) {
		mean *= 10
	}
	t := now + span(d, mean) + 1
	if n.tailRate > 0 && d.Next().Next().Ratio(n.tailRate, 1000) {
		t += node.Time(d.Next().Next().Next().LogUniform(int64(millisecond), int64(4*second)))
	}
	if l.clogs > 0 {
		t = max(t, l.clogEnd)
	}
	if n.inOrder {
		t = max(t, l.last)
		l.last = t
	}
	return t
}

// change switches a fault on (+1) or off (-1). b is its broker.
func (n *network) change(f *plan.Fault, b *broker, by int, end node.Time) {
	switch f.Kind {
	case plan.FaultLoss:
		n.lossRate += int64(by) * f.Rate
	case plan.FaultDup:
		n.dupRate += int64(by) * f.Rate
	case plan.FaultTail:
		n.tailRate += int64(by) * f.Rate
	case plan.FaultLink:
		n.cut(b.number, f.Peer, by)
		n.cut(f.Peer, b.number, by)
	case plan.FaultHalves:
		n.halves(f.Rate, by, 0)
	case plan.FaultBridge:
		n.halves(f.Rate, by, f.Peer)
	case plan.FaultRing:
		n.ring(by)
	case plan.FaultNarrow, plan.FaultClogs:
		n.each(f, b.number, by, end)
	case plan.FaultIsolate, plan.FaultSends, plan.FaultReceives, plan.FaultClog:
		for o := 1; o <= n.brokers; o++ {
			if f.Kind == plan.FaultClog {
				n.links[b.number][o].clog(by, end)
				continue
			}
			if f.Kind != plan.FaultReceives {
				n.cut(b.number, o, by)
			}
			if f.Kind != plan.FaultSends {
				n.cut(o, b.number, by)
			}
		}
	default:
		panic("not a fault of the network: " + string(f.Kind))
	}
}

func (n *network) cut(from, to, by int) { n.links[from][to].cut += by }

func (l *link) clog(by int, end node.Time) {
	l.clogs += by
	if by > 0 {
		l.clogEnd = max(l.clogEnd, end)
	}
}

// each makes the links of a broker narrow, or clogs those that lead away from it, each until a time of its own.
func (n *network) each(f *plan.Fault, b, by int, end node.Time) {
	for o := 1; o <= n.brokers; o++ {
		if f.Kind == plan.FaultClogs {
			d := n.seed.Draw(domainClogs, keyed.Pair(b, o), uint64(f.ID))
			n.links[b][o].clog(by, end-node.Time(d.Below(max(int64(f.For), 1))))
			continue
		}
		for _, l := range []*link{&n.links[b][o], &n.links[o][b]} {
			l.narrow, l.free = f.Rate, 0
			l.narrows += by
		}
	}
}

// ring cuts all links but those of neighbours.
func (n *network) ring(by int) {
	for a := 1; a <= n.brokers; a++ {
		for b := 1; b <= n.brokers; b++ {
			if d := max(a-b, b-a); d > 1 && d < n.brokers-1 {
				n.cut(a, b, by)
			}
		}
	}
}

// halves cuts all links between the brokers in the set (a bit per broker) and the others, but for those of one broker that
// reaches both (0: none).
func (n *network) halves(set int64, by, bridge int) {
	in := func(b int) bool { return set>>(b-1)&1 == 1 }
	for a := 1; a <= n.brokers; a++ {
		for b := 1; b <= n.brokers; b++ {
			if in(a) != in(b) && a != bridge && b != bridge {
				n.cut(a, b, by)
			}
		}
	}
}

// heal ends all faults, and returns when the last of the messages arrives that they have held up; those behind it wait, too.
func (n *network) heal() (last node.Time) {
	for a := range n.links {
		for b := range n.links[a] {
			l := &n.links[a][b]
			l.cut, l.clogs, l.narrows = 0, 0, 0
			last = max(last, l.clogEnd, l.last)
		}
	}
	n.lossRate, n.dupRate, n.tailRate = 0, 0, 0
	return last
}
