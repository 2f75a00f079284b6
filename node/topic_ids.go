// SPDX-License-Identifier: Apache-2.0

package node

import (
	"crypto/sha256"
	"fmt"
	"strings"

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
	c.sizes.version++
	t.uuid = topicID(c.node.cfg.ClusterID, t.Name, t.id())
	c.byName[t.Name], c.byID[t.uuid] = t, t
	c.unified[unifiedName(t.Name)]++
}

// dropTopic is the inverse of addTopic.
func (c *catalog) dropTopic(t *topicMeta) {
	c.sizes.version++
	delete(c.byName, t.Name)
	delete(c.byID, t.uuid)
	if u := unifiedName(t.Name); c.unified[u] > 1 {
		c.unified[u]--
	} else {
		delete(c.unified, u)
	}
}

// unifiedName is what becomes of a topic's name where it is part of a metric's, as in Kafka and in much
// that watches it: topics that differ in nothing else would be counted as one.
func unifiedName(topic string) string { return strings.ReplaceAll(topic, ".", "_") }

// checkCollision refuses the name of a new topic that becomes the same metrics as one that is there.
func (c *catalog) checkCollision(name string) error {
	if c.unified[unifiedName(name)] == 0 {
		return nil
	}
	return kafka.Errorf(kerr.InvalidTopicException, "topic %.60q collides with one that exists: '.' and '_' are the same in names of metrics", name)
}
