// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"math"

	"go.etcd.io/raft/v3"
)

// Terms are Kafka's leader epochs. Those have 31 bits and never wrap around, so a group has 2^31 of them. Elections use
// them up one by one, but raft follows whoever names a higher one. So a replica believes only terms that its group can
// have reached: the term that it had when it was opened, plus freeTerms, plus one for each election timeout since.
//
// Real terms are hardly ever refused, however long a replica was away. An election takes about an election timeout, and
// pre-votes keep a replica that is cut off from raising its term. A broker that lies, or an attacker with the cluster's
// secret, would need decades, or 2,000 restarts of a majority, to use them all up.

const (
	// maxTerm is the last term.
	maxTerm = math.MaxInt32
	// freeTerms is how many terms a group may have used while this broker was down.
	freeTerms = 1 << 20
	// lateTerm is far beyond what elections can have used up. A replica that knows nothing of its group, because it
	// has just joined, believes all terms before; and a group that has passed it tells its operator.
	lateTerm = 1 << 30
)

// beginTerms notes which terms a replica may believe. founding says that it begins with its group.
func (g *group) beginTerms(founding bool) {
	g.openedAt, g.termLimit = g.node.now, g.term+freeTerms
	if g.term == 0 && !founding {
		g.termLimit = lateTerm
	}
}

// lastTerm is the highest term that is believed now.
func (g *group) lastTerm() uint64 {
	return min(maxTerm, g.termLimit+uint64(g.node.now.Sub(g.openedAt)/g.node.electionTimeout()))
}

// checkTerm reports whether a term is one that the group can have come to.
func (g *group) checkTerm(term uint64) string {
	if last := g.lastTerm(); term > last {
		return fmt.Sprintf("term %d in a group at term %d, which can't be beyond term %d; if its other replicas agree on it, start this broker again", term, g.term, last)
	}
	return ""
}

// outOfTerms reports whether elections must no longer be called, because the next term would have no epoch.
func (g *group) outOfTerms() bool { return g.term >= maxTerm && g.role != raft.StateLeader }

// warnOfTerms warns the operator, long before, that a group uses up its terms.
func (g *group) warnOfTerms(before uint64) {
	if before < lateTerm && g.term >= lateTerm {
		g.node.event(Event{Kind: EventTermsRunOut, Group: g.id, Term: g.term, N: int64(maxTerm - min(g.term, maxTerm))})
	}
}

// hint says that a broker leads a partition, in a term: what one without a replica of it goes by.
type hint struct {
	leader BrokerID
	term   uint64
	at     Time // when the leader last said so
}

// plausible reports whether a broker may lead a partition of which this one has no replica, in a term; before is what was
// heard last. Terms go up, so a lower one is an old leader's. But a leader repeats that it leads: what isn't repeated may never
// have been true, and would keep this broker from believing the true leader, for ever.
func (n *Node) plausible(p *partitionMeta, from BrokerID, term uint64, before *hint) bool {
	_, has := p.replica(from)
	old := n.now.Sub(before.at) >= 3*(n.electionTimeout()+visitEvery)
	return has && term <= maxTerm && (before.term == 0 || term <= before.term+freeTerms && (term >= before.term || old))
}
