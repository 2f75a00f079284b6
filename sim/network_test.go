// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"testing"

	"chronik/node"
	"chronik/sim/plan"
)

func quietNetwork(brokers int) *network {
	return &network{seed: 1, latency: millisecond, brokers: brokers}
}

// send lets n messages leave broker 1 for broker 2 and delivers them at once.
func send(n *network, count int) (arrived, twice int, arrivals []node.Time) {
	for range count {
		first, second := n.arrivals(0, 1, 2, 0)
		if first != node.Never {
			arrived++
			arrivals = append(arrivals, first)
		}
		if second != node.Never {
			twice++
		}
		n.links[1][2].queued = 0
	}
	return arrived, twice, arrivals
}

func TestPartitionsCutTheRightLinks(t *testing.T) {
	one := &broker{number: 1}
	for _, c := range []struct {
		fault plan.Fault
		cut   string // links that are cut, as "from-to"
	}{
		{plan.Fault{Kind: plan.FaultIsolate}, "1-2 1-3 2-1 3-1 "},
		{plan.Fault{Kind: plan.FaultSends}, "1-2 1-3 "},
		{plan.Fault{Kind: plan.FaultReceives}, "2-1 3-1 "},
		{plan.Fault{Kind: plan.FaultLink, Peer: 3}, "1-3 3-1 "},
		{plan.Fault{Kind: plan.FaultHalves, Rate: 0b010}, "1-2 2-1 2-3 3-2 "},
		{plan.Fault{Kind: plan.FaultBridge, Rate: 0b010, Peer: 3}, "1-2 2-1 "},
		{plan.Fault{Kind: plan.FaultRing}, ""}, // three brokers are neighbours all
	} {
		n := quietNetwork(3)
		n.change(&c.fault, one, +1, 0)
		if got := cutLinks(n); got != c.cut {
			t.Errorf("%s cuts %s, want %s", c.fault.Kind, got, c.cut)
		}
		n.change(&c.fault, one, +1, 0) // the same once more, and only one of them ends
		n.change(&c.fault, one, -1, 0)
		if got := cutLinks(n); got != c.cut {
			t.Errorf("%s twice, ended once: cut is %s, want %s", c.fault.Kind, got, c.cut)
		}
		n.change(&c.fault, one, -1, 0)
		if got := cutLinks(n); got != "" {
			t.Errorf("%s ended: still cut is %s", c.fault.Kind, got)
		}
	}
}

func cutLinks(n *network) string {
	s := ""
	for a := 1; a <= n.brokers; a++ {
		for b := 1; b <= n.brokers; b++ {
			if a == b {
				continue
			}
			if first, _ := n.arrivals(0, a, b, 0); first == node.Never {
				s += string(rune('0'+a)) + "-" + string(rune('0'+b)) + " "
			}
		}
	}
	return s
}

func TestLossDuplicationAndTail(t *testing.T) {
	const count = 10_000
	n := quietNetwork(2)
	n.change(&plan.Fault{Kind: plan.FaultLoss, Rate: 300}, nil, +1, 0)
	n.change(&plan.Fault{Kind: plan.FaultDup, Rate: 200}, nil, +1, 0)
	arrived, twice, _ := send(n, count)
	if arrived < 6700 || arrived > 7300 {
		t.Errorf("%d of %d messages arrive at 30 %% loss", arrived, count)
	}
	if twice < 1200 || twice > 1600 {
		t.Errorf("%d of %d arrive twice at 20 %% duplication", twice, arrived)
	}
	n = quietNetwork(2)
	n.change(&plan.Fault{Kind: plan.FaultTail, Rate: 500}, nil, +1, 0)
	_, _, arrivals := send(n, count)
	late := 0
	for _, a := range arrivals {
		if a > node.Time(200*millisecond) {
			late++
		}
	}
	if late < 1000 || late > 3000 {
		t.Errorf("%d of %d messages are later than 200 ms with a tail of half of them", late, count)
	}
}

func TestOrderOfALink(t *testing.T) {
	overtaken := func(inOrder bool) (n int) {
		net := quietNetwork(2)
		net.inOrder = inOrder
		_, _, arrivals := send(net, 1000)
		for i := 1; i < len(arrivals); i++ {
			if arrivals[i] < arrivals[i-1] {
				n++
			}
		}
		return n
	}
	if n := overtaken(true); n != 0 {
		t.Errorf("%d messages overtake on a link in order", n)
	}
	if n := overtaken(false); n < 200 {
		t.Errorf("only %d of 1000 messages overtake on a link without order", n)
	}
}

func TestClogEndsInABurst(t *testing.T) {
	n := quietNetwork(3)
	end := node.Time(second)
	n.change(&plan.Fault{Kind: plan.FaultClog}, &broker{number: 1}, +1, end)
	_, _, arrivals := send(n, 100)
	for _, a := range arrivals {
		if a < end {
			t.Fatalf("a message arrives at %v through a link that is clogged until %v", a, end)
		}
	}
	if first, _ := n.arrivals(0, 2, 1, 0); first >= end {
		t.Error("the other direction is clogged, too")
	}
}

func TestLinksAreBounded(t *testing.T) {
	n := quietNetwork(2)
	arrived := 0
	for range 2 * linkCap {
		if first, _ := n.arrivals(0, 1, 2, 0); first != node.Never {
			arrived++
		}
	}
	if arrived != linkCap {
		t.Errorf("%d messages under way on a link for %d", arrived, linkCap)
	}
}

func TestHealEndsEverything(t *testing.T) {
	n := quietNetwork(3)
	one := &broker{number: 1}
	for _, k := range []plan.FaultKind{plan.FaultIsolate, plan.FaultClog, plan.FaultLoss, plan.FaultDup, plan.FaultTail} {
		n.change(&plan.Fault{Kind: k, Rate: 1000}, one, +1, node.Time(second))
	}
	n.heal()
	arrived, twice, arrivals := send(n, 100)
	if arrived != 100 || twice != 0 || arrivals[99] > node.Time(second) {
		t.Errorf("after healing %d of 100 arrive, %d twice, the last at %v", arrived, twice, arrivals[99])
	}
}
