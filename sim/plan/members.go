// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
)

// Member is one consumer of a consumer group: a machine on which a consumer's process is started,
// stopped and started again.
type Member struct {
	ID       int      `json:"id"` // from 1, unique among members
	Group    string   `json:"group"`
	Modern   bool     `json:"modern,omitempty"`   // speaks KIP-848; all members of a group do or none
	Instance string   `json:"instance,omitempty"` // static: its name (KIP-345)
	Topics   []string `json:"topics"`             // that it subscribes to; those that some call deletes are left out
	// Session and Rebalance are the member's time-outs. In KIP-848 the session is the brokers' to say.
	Session   Duration `json:"session"`
	Rebalance Duration `json:"rebalance"`
	Beat      Duration `json:"beat"`    // between heartbeats
	Commit    Duration `json:"commit"`  // between commits
	Timeout   Duration `json:"timeout"` // of one request on the wire
	Home      int      `json:"home"`    // the broker that is asked first

	Versions string `json:"versions,omitempty"` // of its group's requests, in the classic protocol; as Client.Versions
}

// Kinds of Turn.
const (
	TurnStart  = "start"  // the process starts
	TurnLeave  = "leave"  // it leaves the group and ends
	TurnCrash  = "crash"  // it ends, its connections are closed
	TurnVanish = "vanish" // it ends and nobody closes its connections
	TurnPause  = "pause"  // it stands still for For
)

// Turn is something that happens to a member. After For it is started again, unless For is 0.
type Turn struct {
	ID     int      `json:"id"` // from 1, unique
	At     Duration `json:"at"`
	Member int      `json:"member"`
	Kind   string   `json:"kind"`
	For    Duration `json:"for,omitempty"`
}

// ShortestSession is the least that members may ask for in a simulated cluster.
const ShortestSession = second

func (p *Plan) validateMembers() error {
	ids, modern := make(map[int]bool), make(map[string]bool)
	for _, m := range p.Members {
		if !slices.Contains(versions, m.Versions) {
			return fmt.Errorf("member %d: versions must be one of %q", m.ID, versions)
		}
		if m.ID < 1 || ids[m.ID] || m.Group == "" || m.Session < ShortestSession || m.Rebalance < millisecond || m.Beat < millisecond ||
			m.Commit < millisecond || m.Timeout < millisecond || m.Home < 1 || m.Home > p.Brokers {
			return fmt.Errorf("member %d: id must be unique and positive, group not empty, session at least %v, the other times at least 1ms, home a broker", m.ID, ShortestSession)
		}
		ids[m.ID] = true
		if other, ok := modern[m.Group]; ok && other != m.Modern {
			return fmt.Errorf("member %d: all members of group %s must speak the same protocol", m.ID, m.Group)
		}
		modern[m.Group] = m.Modern
		for _, t := range m.Topics {
			if p.Topic(t) == nil {
				return fmt.Errorf("member %d: no topic %q in the plan", m.ID, t)
			}
		}
		if !slices.IsSorted(m.Topics) {
			return fmt.Errorf("member %d: topics must be sorted", m.ID)
		}
	}
	turns := make(map[int]bool)
	for _, t := range p.Turns {
		if t.ID < 1 || turns[t.ID] || !ids[t.Member] || t.At < 0 || t.For < 0 {
			return fmt.Errorf("turn %d: id must be unique and positive, member known, at and for not negative", t.ID)
		}
		turns[t.ID] = true
		switch t.Kind {
		case TurnStart, TurnLeave, TurnCrash, TurnVanish, TurnPause:
		default:
			return fmt.Errorf("turn %d: unknown kind %q", t.ID, t.Kind)
		}
	}
	return nil
}
