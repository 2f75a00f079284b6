// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
)

// Lie is a series of messages that no broker sends, in the name of a broker or of a stranger: what a member whose memory
// is bad says, or somebody who has got hold of the cluster secret. Their bytes follow from the plan's seed, ID and number.
//
// All of them must be refused. Raft isn't safe against a member that lies about what may be true: one that grants a vote
// twice, acknowledges entries that it hasn't, speaks as the leader of the next term, or sends a command that
// an operator might send. None of that is here. What is here, single messages can show to be wrong; only what a broker that has no
// replica hears of leaders is wrong until they say what is right.
type Lie struct {
	ID    int      `json:"id"` // from 1, unique
	At    Duration `json:"at"`
	Kind  LieKind  `json:"kind"`
	From  int      `json:"from"` // a broker's number, or a larger one: a stranger's
	To    int      `json:"to"`
	Count int      `json:"count"` // messages
	Every Duration `json:"every"` // between two of them
}

// LieKind names a kind of lie.
type LieKind string

// The kinds of lies.
const (
	LieGarbage  LieKind = "garbage"  // an envelope of noise, of another version, with items cut short or absurd counts
	LieTerm     LieKind = "term"     // raft messages of terms to which no group can have come
	LieIndex    LieKind = "index"    // raft messages of the present term with indexes beyond every log, or entries that can't be
	LieSender   LieKind = "sender"   // raft messages in the name of a replica on another broker
	LieCommand  LieKind = "command"  // commands that don't parse, that no release knows, or that name what can't be
	LieBrokers  LieKind = "brokers"  // brokers that there aren't
	LieLeads    LieKind = "leads"    // that it leads everything, and who is in sync, in terms that can't be
	LieMayLead  LieKind = "may-lead" // the same in terms that may be: who believes it must come back to the truth
	LieClock    LieKind = "clock"    // a wall clock at the end of all times
	LieRemoved  LieKind = "removed"  // that the receiver was removed
	LieSnapshot LieKind = "snapshot" // checkpoints that can't be, and pieces of some that nobody asked for
)

var lieKinds = []LieKind{LieGarbage, LieTerm, LieIndex, LieSender, LieCommand, LieBrokers, LieLeads, LieClock, LieRemoved, LieSnapshot, LieMayLead}

func (p *Plan) validateLies() error {
	ids := make(map[int]bool)
	for _, l := range p.Lies {
		if l.ID < 1 || ids[l.ID] || l.At < 0 || l.Count < 1 || l.Every < 0 || l.From < 1 || l.To < 1 || l.To > p.Brokers || l.From == l.To || !slices.Contains(lieKinds, l.Kind) {
			return fmt.Errorf("lie %d: id must be unique and positive, kind one of %v, count positive, to a broker and not from", l.ID, lieKinds)
		}
		ids[l.ID] = true
	}
	return nil
}

// ClockLies reports whether some broker lies about its clock: with one away, or of two, nobody can be sure of the time.
func (p *Plan) ClockLies() bool {
	return slices.ContainsFunc(p.Lies, func(l Lie) bool { return l.Kind == LieClock && l.From <= p.Brokers })
}

// Misleads reports whether some broker may be believed that it leads, in a term to which the group hasn't come.
func (p *Plan) Misleads() bool {
	return slices.ContainsFunc(p.Lies, func(l Lie) bool { return l.Kind == LieMayLead || l.Kind == LieGarbage })
}

// lies draws what one broker, or one stranger, says that isn't so.
func (g *generator) lies() {
	p := g.plan
	if g.prof.lies == 0 || p.Brokers < 2 || !g.chance(g.prof.lies, 100) {
		return
	}
	from := 1 + int(g.pick(int64(p.Brokers)))
	if g.chance(1, 3) {
		from = 100
	}
	for range g.wide(1, 12) {
		to := 1 + int(g.pick(int64(p.Brokers)))
		if to == from {
			continue
		}
		p.Lies = append(p.Lies, Lie{
			ID: len(p.Lies) + 1, At: Duration(g.upTo(int64(p.Safety)) / 1000 * 1000), Kind: lieKinds[g.pick(int64(len(lieKinds)))],
			From: from, To: to, Count: int(g.wide(1, 64)), Every: g.span(millisecond, second),
		})
	}
}
