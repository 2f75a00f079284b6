// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"chronik/tests/rig"
)

// meter asks a cluster. After the first error it does nothing.
type meter struct {
	ctx     context.Context
	cluster *rig.Cluster
	topics  []string
	made    int // partitions
	err     error
}

func (m *meter) note(err error) {
	if m.err == nil {
		m.err = err
	}
}

func (m *meter) time(do func()) time.Duration {
	begun := time.Now()
	do()
	return time.Since(begun)
}

func (m *meter) pause(d time.Duration) { m.note(rig.Pause(m.ctx, d)) }

// atOnce is how many partitions a topic gets.
const atOnce = 2000

// make makes partitions, and waits until each of them has a leader on all brokers.
func (m *meter) make(n int) {
	for n > 0 && m.err == nil {
		topic := fmt.Sprintf("idle-%d", len(m.topics))
		m.topics = append(m.topics, topic)
		m.note(rig.CreateTopic(m.ctx, m.cluster.Bootstrap(), topic, min(n, atOnce), brokers))
		m.made += min(n, atOnce)
		n -= atOnce
	}
	for id := 1; id <= brokers; id++ {
		m.waitLed(id)
	}
}

// waitLed waits until a broker has all replicas and knows the leader of each.
func (m *meter) waitLed(id int) {
	for m.err == nil {
		there, err := m.cluster.Metric(m.ctx, id, "chronik_raft_groups", `groups="partitions"`)
		m.note(err)
		without, err := m.cluster.Metric(m.ctx, id, "chronik_raft_groups_leaderless", `groups="partitions"`)
		if m.note(err); int(there) == m.made && without == 0 {
			return
		}
		m.pause(20 * time.Millisecond)
	}
}

func (m *meter) drop() {
	for _, topic := range m.topics {
		if m.err == nil {
			m.note(rig.DeleteTopic(m.ctx, m.cluster.Bootstrap(), topic))
		}
	}
}

// each asks all brokers.
func (m *meter) each(ask func(id int) error) {
	for id := 1; id <= brokers && m.err == nil; id++ {
		m.note(ask(id))
	}
}

// steps returns the longest step of a broker, of CPU time, since it was last asked.
func (m *meter) steps() (longest time.Duration) {
	m.each(func(id int) error {
		s, err := rig.LongestSteps(m.ctx, m.cluster.MetricsAddr(id))
		longest = max(longest, s.CPU)
		return err
	})
	return longest
}

// cpu returns the seconds of CPU time that each broker has used.
func (m *meter) cpu() []float64 {
	used := make([]float64, brokers)
	m.each(func(id int) (err error) {
		used[id-1], err = m.cluster.Metric(m.ctx, id, "process_cpu_seconds_total")
		return err
	})
	return used
}

// memory returns the most bytes of memory that a broker has now.
func (m *meter) memory() (most int64) {
	m.each(func(id int) error {
		bytes, err := m.cluster.Metric(m.ctx, id, "process_resident_memory_bytes")
		most = max(most, int64(bytes))
		return err
	})
	return most
}
