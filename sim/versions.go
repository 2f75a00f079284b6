// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node"
	"chronik/sim/plan"
)

// served is which versions brokers serve, by key.
var served = func() (byKey []node.VersionRange) {
	for _, r := range node.Versions() {
		for len(byKey) <= int(r.Key) {
			byKey = append(byKey, node.VersionRange{})
		}
		byKey[r.Key] = r
	}
	return byKey
}()

// newestVersion is the newest version of each kind of request that this client's code knows, by key; -1: it knows none.
var newestVersion = func() (byKey []int16) {
	for key := range int16(kmsg.MaxKey + 1) {
		byKey = append(byKey, -1)
		if req := kmsg.RequestForKey(key); req != nil {
			byKey[key] = req.MaxVersion()
		}
	}
	return byKey
}()

// checkVersions demands that brokers promise no version that there isn't, and tell features to who can read them.
func (c *client) checkVersions(cn *conn, resp *kmsg.ApiVersionsResponse) {
	for _, k := range resp.ApiKeys {
		if k.MinVersion < 0 || k.MinVersion > k.MaxVersion || int(k.ApiKey) >= len(newestVersion) || k.MaxVersion > newestVersion[k.ApiKey] {
			c.world.fail("protocol", "broker %d promises versions %d to %d of %s; there are those to %d", cn.broker.number, k.MinVersion, k.MaxVersion, kmsg.NameForKey(k.ApiKey), newestVersion[k.ApiKey])
		}
	}
	if told := len(resp.FinalizedFeatures); (told > 0) != (resp.Version >= 3) {
		c.world.fail("protocol", "broker %d tells %d features in version %d of ApiVersions", cn.broker.number, told, resp.Version)
	}
}

// version is that of the client's next request of a kind: usual, unless the client speaks others, and at least so much.
func (c *client) version(key kmsg.Key, usual, least int16) int16 {
	r := served[key]
	switch c.spec.Versions {
	case plan.VersionsOldest:
		return max(r.First, least)
	case plan.VersionsNewest:
		return r.Last
	case plan.VersionsAny:
		return int16(c.draw().Between(int64(max(r.First, least)), int64(r.Last)))
	}
	return usual
}

// version is that of a member's next request about its group. Static members need the versions that have their names.
func (m *member) version(key kmsg.Key, usual, withName int16) int16 {
	r := served[key]
	if m.spec.Instance != "" {
		r.First = withName
	}
	switch m.spec.Versions {
	case plan.VersionsOldest:
		return r.First
	case plan.VersionsNewest:
		return r.Last
	case plan.VersionsAny:
		return int16(m.client.draw().Between(int64(r.First), int64(r.Last)))
	}
	return usual
}

// zstd says that all versions of Produce that the client speaks have zstd.
func (c *client) zstd() bool {
	switch c.spec.Versions {
	case "":
		return c.produceVersion() >= 7
	case plan.VersionsNewest:
		return true
	}
	return false
}

// noTopicID is the id of a topic whose id isn't known.
var noTopicID [16]byte

// The first versions that name topics by their ids.
const (
	produceByID = 13
	fetchByID   = 13
)

// byName is a version that names topics, if the id of one isn't known.
func byName(version, byID int16, topics ...*topicView) int16 {
	for _, t := range topics {
		if t.id == noTopicID {
			return min(version, byID-1)
		}
	}
	return version
}

// learnID takes a topic's id. It changes only if the topic is deleted and made again: then everything begins anew.
func (c *client) learnID(t *topicView, id [16]byte) {
	if id == noTopicID || id == t.id {
		return
	}
	if t.id != noTopicID {
		if !c.world.doomed[t.plan.Name] {
			c.world.fail("metadata", "client %d: topic %s has id %x, and had %x, though nobody deletes it", c.spec.ID, t.plan.Name, id, t.id)
		}
		for i := range t.partitions {
			t.partitions[i] = partitionView{epoch: -1}
		}
		c.world.noteIDs(t.id, id)
	}
	t.id = id
}

// noteIDs notes that a topic had one id and has another, as somebody learned; from whom says nothing about their order.
func (w *world) noteIDs(ids ...[16]byte) {
	for _, id := range ids {
		if !slices.Contains(w.seenIDs, id) {
			w.seenIDs = append(w.seenIDs, id)
		}
	}
}

// sentTo is to which topics a produce call was sent that named them by id.
type sentTo struct {
	ids   [][16]byte
	named bool // an attempt named the topic, and so whichever had that name
}

// produces notes where an attempt of a produce call goes.
func (j *judge) produces(c *client, call int, id [16]byte) {
	if c.spec.Versions == "" {
		return
	}
	s := j.sent[call]
	if s == nil {
		s = &sentTo{}
		j.sent[call] = s
	}
	s.ids, s.named = append(s.ids, id), s.named || id == noTopicID
}

// checkTopic demands that what is read from the topic with an id was sent to it.
func (c *client) checkTopic(id [16]byte, call int) {
	s := c.world.judge.sent[call]
	if id == noTopicID || s == nil || s.named {
		return
	}
	for _, o := range s.ids {
		if o == id {
			return
		}
	}
	c.world.fail("wrong-topic", "client %d reads from the topic with id %x a record of call %d, which was sent to the topics with ids %x only", c.spec.ID, id, call, s.ids)
}
