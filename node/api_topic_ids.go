// SPDX-License-Identifier: Apache-2.0

package node

import (
	"crypto/sha256"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
)

// topicID returns the id that clients know a topic by (KIP-516), which a topic that is created again
// doesn't share: what a client asks by the old id is answered with UNKNOWN_TOPIC_ID, never with the
// new topic's records. It is drawn from the topic's first group, which is never reused, so that
// every broker comes to the same id; its form is that of a UUID of version 8 (RFC 9562).
func topicID(cluster, name string, first GroupID) (id [16]byte) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %s", first, name, cluster))
	copy(id[:], sum[:])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// noTopicID says in the protocol that there is none.
var noTopicID [16]byte

// addTopic makes a topic known by its name and its id.
func (c *catalog) addTopic(t *topicMeta) {
	t.uuid = topicID(c.node.cfg.ClusterID, t.Name, t.id())
	c.byName[t.Name], c.byID[t.uuid] = t, t
}

// topicName returns the name of a topic that a request names by its name, or from a version on by
// its id.
func (n *Node) topicName(byID bool, name string, id [16]byte) (string, error) {
	if !byID {
		return name, nil
	}
	if t := n.catalog.byID[id]; t != nil {
		return t.Name, nil
	}
	return "", kafka.Errorf(kerr.UnknownTopicID, "no topic has the id %x", id)
}
