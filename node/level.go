// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
)

// The cluster has a feature level, kept in the catalog (ADR 24). What a release brings that others can't read, on disk or in messages,
// belongs to a level, and nobody writes it before an operator has raised the cluster to that level. That is possible once all registered
// brokers support it. Until then brokers of the release before can take part, and a broker can go back to it.
//
// A broker that restarts may be of another release than the one that it registered with, and one that is behind doesn't know the level
// yet. So each envelope says which level its sender knows and which ones it supports. Where that doesn't fit, only what is about the
// catalog is taken: a broker holds nothing of a level before it has applied, in its own copy of the catalog, that the cluster is at that
// level. Its log has both in this order. So whoever doesn't support the level finds that in the catalog first, and ends before it meets
// anything else.

// Levels is a range of feature levels that a broker supports.
type Levels struct{ Oldest, Newest int16 }

// The levels that this release supports. Those that it doesn't name itself were registered, or sent, by a release that knew only the first.
const (
	firstLevel  = 1
	newestLevel = 1
)

// ReleaseLevels are the levels that this release supports.
func ReleaseLevels() Levels { return Levels{firstLevel, newestLevel} }

func (l Levels) has(level int16) bool { return l.Oldest <= level && level <= l.Newest }

// said is the range that stands in a registration; none stands there for the first level alone.
func (l Levels) said() Levels {
	if l == (Levels{}) {
		return Levels{firstLevel, firstLevel}
	}
	return l
}

func (l Levels) String() string {
	if l.Oldest == l.Newest {
		return fmt.Sprintf("level %d", l.Oldest)
	}
	return fmt.Sprintf("levels %d to %d", l.Oldest, l.Newest)
}

func (l Levels) check() string {
	if l = l.said(); l.Oldest < firstLevel || l.Newest < l.Oldest {
		return fmt.Sprintf("feature levels %d to %d", l.Oldest, l.Newest)
	}
	return ""
}

// LevelError says that a broker is of a release that doesn't support the cluster's feature level.
type LevelError struct {
	Broker  BrokerID
	Level   int16 // the cluster's
	Support Levels
}

func (e *LevelError) Error() string {
	if e.Level > e.Support.Newest {
		return fmt.Sprintf("the cluster is at feature level %d, and this release of broker %d supports %v: it is too old. Start a newer release, with the same data folder; a level can't be lowered", e.Level, e.Broker, e.Support)
	}
	return fmt.Sprintf("the cluster is at feature level %d, and this release of broker %d supports %v: it is too new. Start a release that supports both, on all brokers, then run: broker admin raise", e.Level, e.Broker, e.Support)
}

// misfit is nil if a broker supports a level.
func misfit(id BrokerID, level int16, support Levels) error {
	if support.has(level) {
		return nil
	}
	return &LevelError{id, level, support}
}

// setLevel raises the cluster's feature level.
type setLevel struct{ Level int16 }

func (s *setLevel) check() string {
	if s.Level <= firstLevel {
		return fmt.Sprintf("feature level %d", s.Level)
	}
	return ""
}

// currentLevel is the cluster's feature level, as far as this broker knows.
func (c *catalog) currentLevel() int16 { return max(firstLevel, c.level) }

// Level is the cluster's feature level, as far as this broker knows.
func (n *Node) Level() int16 { return n.catalog.currentLevel() }

// acts is the level by which this broker acts: the one that it knew when the step began. It doesn't change within one, since what is
// written then goes into envelopes that have named a level already.
func (n *Node) acts() int16 { return max(firstLevel, n.level) }

// raisable reports why the cluster can't be at a level, nil if it can.
func (c *catalog) raisable(level int16) error {
	if now := c.currentLevel(); level < now {
		return kafka.Errorf(kerr.InvalidUpdateVersion, "%s is %d and can't be lowered", levelFeature, now)
	}
	var lack []string
	for _, b := range c.brokers {
		if s := b.Levels.said(); !b.Removed && !s.has(level) {
			lack = append(lack, fmt.Sprintf("broker %d supports %v", b.ID, s))
		}
	}
	if len(lack) > 0 {
		return kafka.Errorf(kerr.InvalidUpdateVersion, "%s can't be %d: %s. Upgrade these brokers first, or take those out of the cluster that are gone for good",
			levelFeature, level, strings.Join(lack[:min(len(lack), 10)], ", "))
	}
	return nil
}

func (c *catalog) raise(cmd *setLevel) error {
	if err := c.raisable(cmd.Level); err != nil {
		return err
	}
	c.level = cmd.Level
	c.learnLevel()
	return nil
}

// learnLevel ends a broker whose release doesn't support the level that the catalog now says.
func (c *catalog) learnLevel() {
	if err := misfit(c.node.self, c.currentLevel(), c.node.cfg.Levels); err != nil {
		c.node.endFor(EndLevel, err)
	}
}

// notAdmitted ends this broker if its own registration was refused because of the level. Other reasons are told in other ways.
func (c *catalog) notAdmitted(cmd *command) {
	if cmd.Origin == c.node.self && cmd.Session == c.node.commands.session {
		if err := misfit(cmd.Origin, c.currentLevel(), cmd.Register.Levels.said()); err != nil {
			c.node.endFor(EndLevel, err)
		}
	}
}

// isUnfit reports that this broker ends because of the level: it applies nothing after the entry that said so.
func (n *Node) isUnfit() bool { return n.ended != nil && n.ended.Kind == EndLevel }

// checkLevel refuses to open a data folder of a cluster whose level this release doesn't support. A broker that has yet to learn of the cluster
// doesn't know the level either.
func (n *Node) checkLevel() error {
	level := n.catalog.currentLevel()
	if level == firstLevel && !n.catalog.knowsThisIncarnation() {
		return nil
	}
	return misfit(n.self, level, n.cfg.Levels)
}

// appendLevel says which level this broker knows and which ones it supports, unless that is what is taken for granted.
func (n *Node) appendLevel(b []byte) []byte {
	level, l := n.acts(), n.cfg.Levels
	if level == firstLevel && l == (Levels{}).said() {
		return b
	}
	b = append(b, itemLevel)
	for _, v := range [...]int16{level, l.Oldest, l.Newest} {
		b = binary.AppendUvarint(b, uint64(v))
	}
	return b
}

// levelsTold is what another broker says of levels.
type levelsTold struct {
	level   int16
	support Levels
}

func (r *reader) levels() levelsTold {
	t := levelsTold{firstLevel, (Levels{}).said()}
	if len(r.b) == 0 || r.b[0] != itemLevel {
		return t
	}
	r.byte()
	for _, v := range [...]*int16{&t.level, &t.support.Oldest, &t.support.Newest} {
		x := r.uvarint()
		if *v = int16(x); x < firstLevel || x > math.MaxInt16 {
			r.fail()
		}
	}
	return t
}

// misfitTold is how often an operator is told of a broker whose level doesn't fit.
const misfitTold = 10 * time.Second

// meetLevel reads what an envelope says of levels, and restricts what is taken from it if that doesn't fit.
func (n *Node) meetLevel(from BrokerID, r *reader) {
	t, own, p := r.levels(), n.acts(), n.peer(from)
	if r.narrow = t.level > own || !t.support.has(own); r.bad || p == nil {
		return
	}
	p.levels = t
	wrong := misfit(n.self, t.level, n.cfg.Levels)
	if wrong == nil || t.level < own {
		wrong = misfit(from, max(own, t.level), t.support)
	}
	if wrong != nil && (p.misfitTold == 0 || n.now.Sub(p.misfitTold) >= misfitTold) {
		p.misfitTold = n.now
		n.refuseEnvelope(Message{From: from}, wrong.Error())
	}
}

// unfit says that a broker that this one hears of is in a cluster whose level this release doesn't support; nil if none is.
func (n *Node) unfit() error {
	for _, p := range n.peers {
		if t := p.levels; t.level != 0 && n.alive(p.id) && n.waitsToo(p) == 0 {
			if err := misfit(n.self, t.level, n.cfg.Levels); err != nil {
				return err
			}
		}
	}
	return nil
}

// bars reports whether what is about a group isn't to be taken from this envelope.
func (r *reader) bars(g GroupID) bool { return r.narrow && g != 0 }

// skip passes over an item that isn't to be taken, and reports whether it was one.
func (r *reader) skip(item byte) bool {
	switch {
	case item >= firstSized && (r.narrow || item != itemTrial):
		r.bytes()
		return true
	case !r.narrow:
		return false
	}
	switch item {
	case itemLeads:
		r.leads()
	case itemInSync:
		r.inSync()
	case itemFull:
		r.byte()
	case itemElect:
		r.uvarint()
		r.uint64()
	default:
		return false
	}
	return true
}
