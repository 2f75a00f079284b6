// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"encoding/binary"
)

// No release has a second feature level yet. So that the rules of level.go hold when there is one, worlds of the simulator run brokers that
// support one, and this is what it consists of: an item of envelopes, a command in the logs of partitions, and another version of partitions'
// checkpoints. None of them does anything. Whoever meets one although the level isn't his notes it, and the simulator fails.

const (
	trialLevel = 2

	trialWord = "something of level 2" // what is damaged on its way isn't taken for an item of this kind

	partitionTrialVersion = 1000 // of a partition's checkpoint
)

// Trial counts what a broker did with what belongs to level 2, if its release has that.
type Trial struct {
	Sent, Taken, Applied, Saved int64
	Early                       string // what it met although it isn't at that level; "" if nothing
}

// Trial is what this broker has met of level 2 since it opened.
func (n *Node) Trial() Trial { return n.trial }

// meets notes something of level 2.
func (n *Node) meets(count *int64, what string) {
	*count++
	if n.acts() < trialLevel && n.trial.Early == "" {
		n.trial.Early = what
	}
}

// tickTrial says something of level 2 to all other brokers, and lets partitions that this broker leads have it in their logs.
func (n *Node) tickTrial() {
	if n.acts() < trialLevel || n.cfg.Levels.Newest > trialLevel || n.ticks%uint64(max(1, n.cfg.HeartbeatTicks)) != 0 {
		return
	}
	for _, p := range n.peers {
		p.envelope = appendBytes(append(p.begin(), itemTrial), []byte(trialWord))
		n.trial.Sent++
	}
	for _, g := range n.awake {
		if p := n.partitions[g.id]; p != nil {
			p.tryLevel()
		}
	}
}

func (n *Node) receiveTrial(r *reader) {
	if string(r.bytes()) == trialWord {
		n.meets(&n.trial.Taken, "an item of an envelope")
	}
}

// trialMark stands before a partition's checkpoint at level 2.
func (p *partition) trialMark(b []byte) []byte {
	if p.node.acts() < trialLevel {
		return b
	}
	return binary.AppendUvarint(b, partitionTrialVersion)
}

// withoutMarks returns checkpoints without what stands before them at level 2.
func (p *partition) withoutMarks(checkpoints [][]byte) [][]byte {
	for i, b := range checkpoints {
		mark := binary.AppendUvarint(nil, partitionTrialVersion)
		if p.node.cfg.Levels.Newest < trialLevel || !bytes.HasPrefix(b, mark) {
			continue
		}
		checkpoints[i] = b[len(mark):]
		if p.node.catalog != nil { // a checkpoint that a task decodes belongs to no broker
			p.node.meets(&p.node.trial.Saved, "a checkpoint of a partition")
		}
	}
	return checkpoints
}

// tryLevel lets a partition's leader write something of level 2, once while it leads.
func (p *partition) tryLevel() {
	if n := p.node; n.acts() >= trialLevel && p.tried != p.group.term && p.leads() && !n.log.Full() {
		p.tried = p.group.term
		p.group.propose([]byte{commandTrial}, func(any, error) {})
	}
}
