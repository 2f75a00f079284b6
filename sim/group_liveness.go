// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"

	"chronik/checker"
	"chronik/sim/plan"
)

// healMembers lets members that stand still go on, and starts one of each group of which none is up. Of
// static members with one name one remains: they would take each other's place for ever.
func (w *world) healMembers() {
	up := make(map[string]bool)
	for _, m := range w.consumers {
		name := m.spec.Group + "/" + m.spec.Instance
		switch {
		case m.client == nil || m.leaving:
		case m.spec.Instance != "" && up[name]:
			m.stop(true)
		default:
			up[m.spec.Group], up[name] = true, true
		}
	}
	for _, m := range w.consumers {
		switch {
		case m.paused:
			m.goOn()
		case !up[m.spec.Group] && m.client == nil:
			up[m.spec.Group] = true
			m.start()
		}
	}
}

// settleMembers demands that soon every group is stable, owns all partitions, and has come to the end
// of each and committed that.
func (w *world) settleMembers() {
	if len(w.consumers) == 0 {
		w.settleWatchers()
		return
	}
	longest := w.plan.Knobs.GroupSession + w.plan.Knobs.GroupDelay
	for _, m := range w.consumers {
		longest = max(longest, m.spec.Session+m.spec.Rebalance+w.plan.Knobs.GroupDelay)
	}
	why := ""
	if !w.runUntil(w.now+2*w.patience()+3*at(longest), w.afterAnswers(func() bool {
		why = w.unsettled()
		return why == ""
	})) {
		w.fail("liveness", "%s, though all faults had ended %v before", why, plan.Duration(w.now-w.healedAt))
	}
	w.finalOffsets()
	w.settleWatchers()
}

// unsettled says what a group still lacks; "" if nothing.
func (w *world) unsettled() string {
	done := make(map[string]bool)
	for _, m := range w.consumers {
		if name := m.spec.Group; !done[name] {
			done[name] = true
			if why := w.groupLacks(name); why != "" {
				return fmt.Sprintf("group %s: %s", name, why)
			}
		}
	}
	return ""
}

func (w *world) groupLacks(name string) string {
	owners, up := make(map[string]*owned), 0
	var topics []string
	for _, m := range w.consumers {
		if m.spec.Group != name || m.client == nil {
			continue
		}
		up++
		topics = append(topics, m.topics...)
		if m.phase != phaseMember || m.leaving {
			return fmt.Sprintf("%v is no member", m)
		}
		for _, o := range m.owned {
			if owners[o.name] != nil {
				return fmt.Sprintf("%s has two owners", o.name)
			}
			owners[o.name] = o
		}
	}
	if up == 0 {
		w.healMembers()
		return "no member is up"
	}
	for _, t := range w.verifier.topics {
		for p := range t.partitions {
			name, end := partitionName(t.plan.Name, int32(p)), t.partitions[p].end
			if !slices.Contains(topics, t.plan.Name) || w.doomed[t.plan.Name] {
				continue
			}
			switch o := owners[name]; {
			case o == nil:
				return name + " has no owner"
			case o.position < end:
				return fmt.Sprintf("the owner of %s has come to offset %d of %d", name, o.position, end)
			case o.acked < o.position && o.position > 0:
				return fmt.Sprintf("offset %d of %s isn't committed, only %d", o.position, name, o.acked)
			}
		}
	}
	return ""
}

// finalOffsets lets a member of each group read all committed offsets once more.
func (w *world) finalOffsets() {
	began := w.now
	for _, m := range w.consumers {
		if m.client != nil {
			m.readAt = 0
			m.client.advance()
		}
	}
	read := func() bool {
		return !slices.ContainsFunc(w.consumers, func(m *member) bool {
			reads := w.judge.consumers(m).Reads
			return m.client != nil && len(m.topics) > 0 && (len(reads) == 0 || reads[len(reads)-1].Call < int64(began))
		})
	}
	if !w.runUntil(w.now+w.patience(), read) {
		w.fail("liveness", "members can't read what is committed within %v", plan.Duration(w.now-began))
	}
}

// judgeGroups hands what members saw to the checkers.
func (w *world) judgeGroups() {
	h := &w.judge.histories
	for i := range h.Groups {
		g := &h.Groups[i]
		w.violated(checker.CheckConsumerGroup(g))
		for _, p := range w.subscribed(g.Group) {
			if truth := h.Truths[p]; truth != nil {
				w.violated(checker.CheckDelivered(g, p, truth))
			}
		}
	}
}

// subscribed lists the partitions of all topics that living members of a group subscribe to.
func (w *world) subscribed(group string) (partitions []string) {
	for _, t := range w.plan.Topics {
		if !slices.ContainsFunc(w.consumers, func(m *member) bool {
			return m.spec.Group == group && m.client != nil && slices.Contains(m.topics, t.Name)
		}) {
			continue
		}
		for p := range t.Partitions {
			partitions = append(partitions, partitionName(t.Name, p))
		}
	}
	return partitions
}
