// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The founders of a cluster begin its catalog without a word between them: each with a checkpoint that lists them all.
// If their lists differ, one that lists only itself would lead a cluster of its own beside that of the others, under
// one name. So a founder takes no part in the catalog's group before each of the others has told it the same list. A
// contradiction is told with both lists, and nobody who met one founds anything.

// founding is what a founder knows of the others' lists.
type founding struct {
	list []BrokerID // of this broker, ascending; empty: it isn't known, or nothing is to be founded
	open bool       // the others haven't all told the same; nothing of the catalog's group moves before
	said string     // the last contradiction that was told
}

// beginFounding finds out whether this broker has yet to agree with the others. One that has voted, or has entries, did.
func (n *Node) beginFounding() {
	n.founding.list = n.catalog.founders
	st, _ := n.log.State(0)
	n.founding.open = len(n.founding.list) > 1 && n.cfg.Incarnation == founder && st.Last == 1 && st.Term == 1 && st.Vote == 0
}

// Founding reports whether this broker waits for others to tell that they found the same cluster.
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
		n.contradicted(from, list)
		return
	}
	if p == nil || !n.founding.open {
		return
	}
	p.founds = true
	n.founding.open = !founded && slices.ContainsFunc(mine, func(id BrokerID) bool {
		other := n.peer(id)
		return id != n.self && (other == nil || !other.founds)
	})
}

// contradicted tells both lists, whenever they change.
func (n *Node) contradicted(from BrokerID, list []BrokerID) {
	text := fmt.Sprintf("broker %d founds a cluster of the brokers %s, this broker one of %s: they can't be one cluster. "+
		"Stop the broker whose members are wrong, empty its data folder, write the same members on all founders, and run broker format there again",
		from, listBrokers(list), listBrokers(n.founding.list))
	if text != n.founding.said {
		n.founding.said = text
		n.event(Event{Kind: EventFoundersDiffer, N: int64(from), Text: text})
	}
}

func listBrokers(list []BrokerID) string {
	texts := make([]string, len(list))
	for i, id := range list {
		texts[i] = strconv.Itoa(int(id))
	}
	return strings.Join(texts, ", ")
}
