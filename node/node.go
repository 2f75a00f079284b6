// SPDX-License-Identifier: Apache-2.0

// Package node is one broker as a function: Open it on a directory, then Step it with what
// happened and do what it answers. It has no goroutine, lock, clock or random source, so the same
// code runs in production (package host) and in the simulator (package sim).
package node

import "chronik/wal"

// Node is one broker. Its methods must not be called concurrently.
type Node struct{}

// Open recovers the broker from its log and blocks while it reads. The error says what an
// operator has to do.
func Open(cfg Config, fs wal.FS, now Time) (*Node, error) { panic("not yet") }

// Step tells the node what happened since the last call and returns what it wants done. It never
// blocks.
func (n *Node) Step(in *Input) *Output { panic("not yet") }

// Groups lists the groups of which this broker has a replica, ascending.
func (n *Node) Groups() []GroupID { panic("not yet") }

// Inspect returns what this broker's replica of a group believes; false if it has none.
func (n *Node) Inspect(g GroupID) (View, bool) { panic("not yet") }

// EntryAt returns the term and payload of an entry that is in memory; false if it isn't. The
// payload must not be changed.
func (n *Node) EntryAt(g GroupID, index uint64) (term uint64, data []byte, ok bool) {
	panic("not yet")
}
