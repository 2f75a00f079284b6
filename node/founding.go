// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The founders of a cluster begin its catalog independently: each with a checkpoint that lists them all. If their lists
// differed, a founder that lists only itself would lead a cluster of its own, under the same name as that of the others.
// So a founder takes no part in the catalog's group until each of the others has told it the same list. A contradiction is
// reported with both lists, and no founder that met one begins a cluster.

// founding is what a founder knows about the others' lists.
type founding struct {
	list []BrokerID      // of this broker, ascending; empty: it isn't known, or nothing is to be founded
	open bool            // not all others have told the same list yet; until then the catalog's group stands still
	said []contradiction // reported to the operator, the oldest first
	ends error           // others wait for this broker, which lists only itself; see endFounding
}

// contradiction is a broker whose list differs, and what was said of it.
type contradiction struct {
	from BrokerID
	text string
	at   Time
}

// maxContradictions bounds those that are remembered.
const maxContradictions = 16

// beginFounding finds out whether this broker has yet to agree with the others. One that has voted, or has entries, did.
func (n *Node) beginFounding() {
	n.founding.list = n.catalog.founders
	st, _ := n.log.State(0)
	n.founding.open = len(n.founding.list) > 1 && n.cfg.Incarnation == founder && st.Last == 1 && st.Term == 1 && st.Vote == 0
}

// Founding reports whether this broker waits for the other founders' lists.
func (n *Node) Founding() bool { return n.founding.open }

// tickFounding tells the other founders this broker's list until all have told theirs.
func (n *Node) tickFounding() {
	if !n.founding.open {
		return
	}
	for _, id := range n.founding.list {
		if p := n.peer(id); p != nil {
			n.tellFounders(p)
		}
	}
}

func (n *Node) tellFounders(p *peer) {
	b := append(p.begin(), itemFounders, 1)
	if n.founding.open {
		b[len(b)-1] = 0
	}
	b = binary.AppendUvarint(b, uint64(len(n.founding.list)))
	for _, id := range n.founding.list {
		b = binary.AppendUvarint(b, uint64(id))
	}
	p.envelope = b
}

// founders reads what tellFounders wrote: whether the sender's cluster is founded, and its list.
func (r *reader) founders() (founded bool, list []BrokerID) {
	founded = r.byte() == 1
	for range r.count(1) {
		list = append(list, BrokerID(r.uvarint()))
	}
	return founded, list
}

// receiveFounders compares another broker's list with this one's, and answers who has yet to found.
func (n *Node) receiveFounders(from BrokerID, founded bool, list []BrokerID) {
	mine := n.founding.list
	p := n.peer(from)
	if len(mine) == 0 || len(list) == 0 {
		return // it joins or joined, or its catalog was begun by an earlier release
	}
	if !founded && p != nil && !n.founding.open {
		n.tellFounders(p)
	}
	if !slices.Equal(list, mine) {
		n.contradicted(from, founded, list)
		return
	}
	if p == nil || !n.founding.open {
		return
	}
	p.founds = true
	if !founded && slices.ContainsFunc(mine, func(id BrokerID) bool { return id != n.self && !n.founds(id) }) {
		return
	}
	n.founding.open = false
	for _, p := range n.peers {
		if !p.founds { // it agreed with the one that tells; the process that was heard here may be one before
			p.start = start{}
		}
	}
}

// founds reports whether another founder has told the same list.
func (n *Node) founds(id BrokerID) bool {
	p := n.peer(id)
	return p != nil && p.founds
}

// meet notes which process of another broker speaks. A broker that looks for the other founders, or for a cluster to
// join, knows nothing that anybody has answered for: a process with an emptied folder may follow one that was told the
// wrong list.
func (p *peer) meet(s start) {
	if !s.sameProcess(p.start) {
		p.founds = false
	}
	p.start = s
}

// contradicted tells both lists, when they change and once a minute.
func (n *Node) contradicted(from BrokerID, founded bool, list []BrokerID) {
	text := fmt.Sprintf("broker %d founds a cluster of the brokers %s, this broker one of %s: they can't be one cluster. %s",
		from, listBrokers(list), listBrokers(n.founding.list), n.contradictionAdvice(from, founded))
	n.tellContradiction(contradiction{from, text, n.now})
	if len(n.founding.list) == 1 && slices.Contains(list, n.self) {
		n.founding.ends = fmt.Errorf("the broker stopped, because its members list only itself, and broker %d lists it as a founder of the cluster of the brokers %s, which waits for it. "+
			"Nothing was written here. If it belongs to them, empty its data folder, write the same members as there, and run: broker format -config FILE. If not, mend the members of broker %d",
			from, listBrokers(list), from)
	}
}

// endFounding ends a broker that lists only itself and for which others wait, unless it holds something. This is decided at
// the end of the step that hears of them, because the same step may answer a client.
func (n *Node) endFounding() {
	if n.founding.ends != nil && !n.Holds() {
		n.endFor(EndFounders, n.founding.ends)
	}
	n.founding.ends = nil
}

func (n *Node) contradictionAdvice(from BrokerID, founded bool) string {
	switch {
	case founded:
		return fmt.Sprintf("Broker %d has founded its cluster already. To join it, empty the data folder of this broker, name broker %d in its members, and run: broker start -join -config FILE. "+
			"If nothing in it is to be kept, stop broker %d instead, empty its data folder, write the same members on all founders, and run broker format there again", from, from, from)
	case !n.founding.open:
		return fmt.Sprintf("This broker's cluster is founded already. To let broker %d join it, empty that one's data folder, name this broker in its members, and run there: broker start -join -config FILE", from)
	}
	return "Stop the broker whose members are wrong, empty its data folder, write the same members on all founders, and run broker format there again"
}

func (n *Node) tellContradiction(c contradiction) {
	i := slices.IndexFunc(n.founding.said, func(o contradiction) bool { return o.from == c.from })
	switch {
	case i >= 0 && n.founding.said[i].text == c.text && c.at.Sub(n.founding.said[i].at) < contradictionsToldEvery:
		return
	case i >= 0:
		n.founding.said = slices.Delete(n.founding.said, i, i+1)
	case len(n.founding.said) == maxContradictions:
		n.founding.said = slices.Delete(n.founding.said, 0, 1)
	}
	n.founding.said = append(n.founding.said, c)
	n.event(Event{Kind: EventFoundersDiffer, N: int64(c.from), Text: c.text})
}

const contradictionsToldEvery = time.Minute

// Holds reports whether a client may rely on something that it got from this broker's cluster. What an earlier process has
// given to clients isn't known.
func (n *Node) Holds() bool {
	c := n.catalog
	return c.nextGroup > 1 || n.producerIDs.given || len(c.brokers) > 1 || len(c.configured) > 0 || n.process.epoch > 1
}

func listBrokers(list []BrokerID) string {
	texts := make([]string, len(list))
	for i, id := range list {
		texts[i] = strconv.Itoa(int(id))
	}
	return strings.Join(texts, ", ")
}
