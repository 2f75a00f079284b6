// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	"chronik/node"
)

// worldEvents are the events that anchors can name beside those of the node.
var worldEvents = []string{
	"write issued", // an OpWrite went to the disk and is not synced yet
	"write synced", // it was carried out, and the node was not told yet
	"restarted",    // a broker recovered
	"replied",      // a reply to a client went out
}

const (
	WorldWriteIssued = iota
	WorldWriteSynced
	WorldRestarted
	WorldReplied
)

// AnchorIndex numbers the events that anchors can name: the node's, then the world's.
func AnchorIndex(name string) (int, bool) {
	names := AnchorNames()
	i := slices.Index(names, name)
	return i, i >= 0
}

func anchorKnown(name string) bool {
	_, ok := AnchorIndex(name)
	return ok
}

// AnchorNames lists the node's events by number, then the world's.
func AnchorNames() []string { return append(EventNames(), worldEvents...) }

// EventNames lists the node's event kinds by number; index 0 is invalid.
func EventNames() []string {
	names := []string{"invalid"}
	for k := node.EventInvalid + 1; k < node.EventKinds; k++ {
		names = append(names, k.String())
	}
	return names
}
