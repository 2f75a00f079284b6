// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A broker that doesn't come to serve says what it waits for, and what to do. What it is told by the others counts: if
// they wait as well, nobody will ever take it in.

const (
	waitsLongAfter = 10 * time.Second
	waitsToldEvery = time.Minute
)

// What a broker that isn't registered says of itself.
const (
	waitsToJoin    = 1 // it has an empty disk, and waits for a cluster to take it in
	waitsToBeFound = 2 // it is a founder, and waits for a majority of them
)

// Ready reports whether this broker is part of a cluster, and serves.
func (n *Node) Ready() bool { return n.ready }

// isUnsure reports whether this broker doesn't know yet who the clients of a connection are, or what they may do. One that has just
// started has a catalog of the past, or none: what was denied meanwhile would be allowed, also by a broker that has answered
// the denial, and clients would be told that they have a wrong password. So their requests wait until it has registered. By then it
// has applied whatever the cluster had decided before.
func (n *Node) isUnsure(c *conn) bool { return !n.ready && (n.cfg.Authorize || c.login != nil) }

// isReady serves those who wait for that.
func (n *Node) isReady() {
	n.ready = true
	n.event(Event{Kind: EventReady})
	for _, id := range slices.Sorted(maps.Keys(n.conns)) {
		n.queue(n.conns[id])
	}
}

// tickWaiting tells the others that this broker waits, and now and then its operator.
func (n *Node) tickWaiting() {
	if n.ready {
		return
	}
	for _, p := range n.peers {
		if n.now.Sub(p.waitTold) >= n.electionTimeout() {
			p.waitTold = n.now
			p.envelope = append(p.begin(), itemWaits, n.waitsFor())
		}
	}
	if n.now >= n.waitsTellAt {
		n.waitsTellAt = n.now.Add(waitsToldEvery)
		n.event(Event{Kind: EventNotReady, Text: n.waitingText()})
	}
}

func (n *Node) waitsFor() byte {
	if n.joining() {
		return waitsToJoin
	}
	return waitsToBeFound
}

// receiveWaits notes that another broker waits itself.
func (n *Node) receiveWaits(from BrokerID, what byte) {
	if p := n.peer(from); p != nil {
		p.waits, p.waitsAt = what, n.now
	}
}

// waitsToo returns what another broker waits for itself; 0 if it is in a cluster, or doesn't say.
func (n *Node) waitsToo(p *peer) byte {
	if p.waits != 0 && n.now.Sub(p.waitsAt) < 3*n.electionTimeout() {
		return p.waits
	}
	return 0
}

// waitingText says for whom this broker waits, and what to do.
func (n *Node) waitingText() string {
	var list []string
	silent, join, served, lost := 0, 0, 0, BrokerID(0)
	for _, m := range n.members() {
		p := n.peer(m.ID)
		switch {
		case m.ID == n.self || p == nil:
			continue
		case !n.alive(m.ID) || !p.spoke:
			silent++
			list = append(list, fmt.Sprintf("broker %d at %s is silent", m.ID, m.Peer))
		case n.waitsToo(p) == waitsToJoin:
			join++
			if n.founding.open && slices.Contains(n.founding.list, m.ID) {
				lost = m.ID
			}
			list = append(list, fmt.Sprintf("broker %d waits itself to join a cluster", m.ID))
		case n.waitsToo(p) != 0:
			list = append(list, fmt.Sprintf("broker %d waits itself for a majority", m.ID))
		default:
			served++
			list = append(list, fmt.Sprintf("broker %d is in a cluster", m.ID))
		}
	}
	if len(list) == 0 {
		list = append(list, "members lists no other broker")
	}
	advice := n.waitsAdvice(silent, join, served)
	if lost != 0 {
		advice = fmt.Sprintf("Broker %d is a founder of this cluster, but was started to join it, and a cluster that hasn't begun takes nobody in. "+
			"Stop broker %d, empty its data folder, set join = false and run there: broker format -config FILE", lost, lost)
	}
	if err := n.unfit(); err != nil {
		advice = err.Error()
	}
	return fmt.Sprintf("%s: %s. %s", n.waitsWhat(), strings.Join(list, ", "), advice)
}

func (n *Node) waitsWhat() string {
	if n.joining() {
		return "this broker has an empty disk and waits for a cluster to take it in (join)"
	}
	if n.founding.open {
		return "this broker waits until all founders of the cluster have told each other the same list: " + listBrokers(n.founding.list)
	}
	return "this broker waits for a majority of the brokers"
}

func (n *Node) waitsAdvice(silent, join, served int) string {
	switch {
	case served > 0:
		return "If it lasts, the catalog of that cluster has no leader, or this broker can't be reached by it: see the lines about connections here and there"
	case n.joining() && silent == 0 && join > 0:
		return "Nobody can take anybody in. For a new cluster: stop these brokers, empty their data folders, set join = false and run on each of its first brokers: broker format -config FILE. " +
			"For one that exists: name some of its running brokers in members"
	case silent > 0:
		return "Start those that are silent, or mend their peer addresses in members; lines about connections say which fail"
	case n.joining():
		return "Name some running brokers of the cluster in members"
	}
	return "If it lasts, see the lines about connections, here and on the others"
}
