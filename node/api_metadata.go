// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node/acl"
)

// Metadata, versions 0 to 13.
//
//	v0  no topics means all; from v1 null means all and empty none
//	v4  allow_auto_topic_creation; before, topics are created
//	v5  offline replicas
//	v7  leader epochs
//	v9  flexible
//	v8  authorized operations, up to v10 also those on the cluster
//	v10 topic ids (KIP-516)
//	v12 topics can be asked for by id
//	v13 an error of the whole, which there never is
//
// The answer is what this broker knows; it may lag behind the catalog by one replication round.
// An unknown topic is created first if the request and the configuration allow it.
func (n *Node) handleMetadata(r *request, m kmsg.Request) {
	req := m.(*kmsg.MetadataRequest)
	if !req.AllowAutoTopicCreation || !n.cfg.AutoCreateTopics || n.joining() {
		n.answerMetadata(r, req, nil)
		return
	}
	var missing []string
	n.each(r, len(req.Topics), func(i int) {
		if name := req.Topics[i].Topic; name != nil && len(missing) < maxAutoCreate && n.canCreate(*name) && !slices.Contains(missing, *name) && r.permitted(acl.Describe, acl.Topic, *name) && r.mayCreate(*name) {
			missing = append(missing, *name)
		}
	}, func() { n.createMissing(r, req, missing) })
}

// createMissing makes topics that are asked for, and answers when they are there or the time for it is over.
func (n *Node) createMissing(r *request, req *kmsg.MetadataRequest, missing []string) {
	left, answering := len(missing), false
	refused := make(map[string]error)
	answer := func() {
		if !answering {
			answering = true
			n.answerMetadata(r, req, refused)
		}
	}
	if left == 0 {
		answer()
		return
	}
	r.expireAfter(autoCreateTimeout, answer)
	for _, name := range missing {
		n.autoCreate(r, name, func(err error) {
			if code(err) == kerr.PolicyViolation.Code {
				refused[name] = err
			}
			if left--; left == 0 {
				answer()
			}
		})
	}
}

// autoCreateTimeout bounds how long a metadata request waits for a topic that it creates. After it
// the topic is answered as unknown, which clients retry.
const autoCreateTimeout = 5 * time.Second

// maxAutoCreate bounds the topics that one request creates by asking for them. The others are answered as unknown; a
// client that means it asks again.
const maxAutoCreate = 20

// canCreate reports whether a topic doesn't exist, and has a name that clients may give one.
func (n *Node) canCreate(name string) bool {
	return n.catalog.byName[name] == nil && checkTopicName(name) == nil && !isBrokersOwn(name)
}

// autoCreate makes a topic. A limit that refuses it is told to the operator, since the answer to the client has no room for
// words.
func (n *Node) autoCreate(r *request, name string, done func(error)) {
	finish := func(err error) {
		if c := code(err); c == kerr.PolicyViolation.Code || c == kerr.ThrottlingQuotaExceeded.Code {
			n.event(Event{Kind: EventCreationRefused, Text: fmt.Sprintf("topic %s: %v", name, err)})
		}
		done(err)
	}
	placement, err := n.place(n.cfg.DefaultPartitions, n.defaultReplicas())
	if err == nil && !n.autoCreated.take(n.now, n.cfg.AutoCreateTopicsPerSecond, autoCreateBurst) {
		err = n.errAutoCreateRate()
	}
	if err != nil { // a limit, or too few brokers are there now; clients ask again
		finish(err)
		return
	}
	if err := r.takeMutations(len(placement), 0); err != nil {
		finish(err)
		return
	}
	n.commands.submitFor(r, command{CreateTopic: &createTopic{Name: name, Replicas: placement, Distinct: true}},
		func(res commandResult) { // created, or by somebody else in the meantime
			t := n.catalog.byName[name]
			if res.err == nil {
				r.tellAudit(EventAudited, fmt.Sprintf("topic %.249s", name), 0)
			}
			if t == nil {
				finish(res.err)
				return
			}
			n.whenLed(r, t.Partitions, func() { done(nil) })
		})
}

// answerMetadata says what there is, and why topics were not created that should have been.
func (n *Node) answerMetadata(r *request, req *kmsg.MetadataRequest, refused map[string]error) {
	resp := kmsg.NewPtrMetadataResponse()
	resp.ClusterID = &n.cfg.ClusterID
	listener := r.conn.listener.Name
	resp.ControllerID = n.controllerFor(listener)
	live := n.liveBrokers()
	resp.Brokers = make([]kmsg.MetadataResponseBroker, 0, len(live))
	for _, m := range live {
		name, port, ok := m.at(listener)
		if !ok {
			continue
		}
		b := kmsg.NewMetadataResponseBroker()
		b.NodeID, b.Host, b.Port = int32(m.ID), name, port
		if rack := m.Rack; rack != "" { // a copy: members change while answers are encoded
			b.Rack = &rack
		}
		resp.Brokers = append(resp.Brokers, b)
	}
	if req.IncludeClusterAuthorizedOperations {
		resp.AuthorizedOperations = r.clusterOperations()
	}
	n.describeTopics(r, req, resp, refused)
}

// describeTopics describes one partition after the other.
func (n *Node) describeTopics(r *request, req *kmsg.MetadataRequest, resp *kmsg.MetadataResponse, refused map[string]error) {
	list, count := []*topicMeta(nil), len(req.Topics)
	if req.Topics == nil {
		list = slices.Clone(n.catalog.topics)
		count = len(list)
	}
	resp.Topics = make([]kmsg.MetadataResponseTopic, 0, count) // growing it would copy megabytes in a step
	type topicKey struct {
		name string
		id   [16]byte
	}
	var named map[topicKey]bool // one that is named twice is answered once, as in Kafka
	if len(req.Topics) > 1 {
		named = make(map[topicKey]bool)
	}
	var t *topicMeta
	n.eachPart(r, count, func(i int) int {
		var out kmsg.MetadataResponseTopic
		if req.Topics == nil {
			if t = list[i]; !r.permitted(acl.Describe, acl.Topic, t.Name) {
				return 0
			}
		} else {
			key := topicKey{id: req.Topics[i].TopicID}
			if name := req.Topics[i].Topic; name != nil {
				key.name = *name
			}
			if named[key] {
				return 0
			}
			if named != nil {
				named[key] = true
			}
			if t, out = n.askedTopic(r, req, &req.Topics[i]); t == nil && refused[key.name] != nil {
				out.ErrorCode = code(refused[key.name])
			}
		}
		parts := 0
		if t != nil {
			out, parts = describeTopic(t), len(t.Partitions)
		}
		if req.IncludeTopicAuthorizedOperations && out.ErrorCode != kerr.TopicAuthorizationFailed.Code {
			out.AuthorizedOperations = n.topicOperations(r, &out)
		}
		resp.Topics = append(resp.Topics, out)
		return parts
	}, func(_, j int) {
		out := &resp.Topics[len(resp.Topics)-1]
		out.Partitions = append(out.Partitions, n.describePartitionFor(r, t.Partitions[j]))
	}, func() { r.reply(resp) })
}

// topicOperations are those on a topic that is described, which may not exist.
func (n *Node) topicOperations(r *request, out *kmsg.MetadataResponseTopic) int32 {
	name := ""
	if out.Topic != nil {
		name = *out.Topic
	}
	return r.operations(acl.Topic, name)
}

// askedTopic finds a topic that is asked for, unless the client may not describe it. That topics have certain ids is no secret,
// only what they are called; of a name nothing is told.
func (n *Node) askedTopic(r *request, req *kmsg.MetadataRequest, in *kmsg.MetadataRequestTopic) (*topicMeta, kmsg.MetadataResponseTopic) {
	t, out := n.metadataTopic(req, in)
	switch {
	case !n.cfg.Authorize || out.ErrorCode == kerr.InvalidRequest.Code:
	case in.Topic == nil:
		if t != nil && !r.may(acl.Describe, acl.Topic, t.Name) {
			t, out.ErrorCode = nil, kerr.TopicAuthorizationFailed.Code
		}
	case !r.may(acl.Describe, acl.Topic, *in.Topic),
		t == nil && req.AllowAutoTopicCreation && n.cfg.AutoCreateTopics && !r.mayCreate(*in.Topic):
		t, out.TopicID, out.ErrorCode = nil, noTopicID, kerr.TopicAuthorizationFailed.Code
	}
	return t, out
}

// metadataTopic finds a topic that is asked for. If there is none, the answer says why.
func (n *Node) metadataTopic(req *kmsg.MetadataRequest, in *kmsg.MetadataRequestTopic) (*topicMeta, kmsg.MetadataResponseTopic) {
	out := kmsg.NewMetadataResponseTopic()
	out.Topic, out.TopicID = in.Topic, in.TopicID
	if (in.Topic == nil || in.TopicID != noTopicID) && req.Version < 12 {
		out.ErrorCode = kerr.InvalidRequest.Code // the fields are there from v10 on, their use is not
		none := ""
		out.Topic = &none
		return nil, out
	}
	if in.Topic == nil {
		out.ErrorCode = kerr.UnknownTopicID.Code
		return n.catalog.byID[in.TopicID], out
	}
	if t := n.catalog.byName[*in.Topic]; t != nil {
		return t, out
	}
	if err := checkTopicName(*in.Topic); err != nil {
		out.ErrorCode = code(err)
		return nil, out
	}
	out.ErrorCode = kerr.UnknownTopicOrPartition.Code
	if req.AllowAutoTopicCreation && n.cfg.AutoCreateTopics && n.catalog.checkCollision(*in.Topic) != nil {
		out.ErrorCode = kerr.InvalidTopicException.Code // it won't be created either, so it is no use to ask again
	}
	return nil, out
}

// describeTopic describes a topic, but for its partitions.
func describeTopic(t *topicMeta) kmsg.MetadataResponseTopic {
	out := kmsg.NewMetadataResponseTopic()
	out.Topic, out.TopicID, out.IsInternal = &t.Name, t.uuid, t.Internal
	out.Partitions = make([]kmsg.MetadataResponseTopicPartition, 0, len(t.Partitions))
	return out
}

// describePartitionFor describes a partition to a client. Brokers that it can't reach by its listener are offline to it, as in
// Kafka, and can't lead.
func (n *Node) describePartitionFor(r *request, p *partitionMeta) kmsg.MetadataResponseTopicPartition {
	out, listener := n.describePartition(p), r.conn.listener.Name
	if listener == "" {
		return out
	}
	for _, b := range out.Replicas {
		if !n.reachable(BrokerID(b), listener) && !slices.Contains(out.OfflineReplicas, b) {
			out.OfflineReplicas = append(out.OfflineReplicas, b)
		}
	}
	if out.Leader >= 0 && !n.reachable(BrokerID(out.Leader), listener) {
		out.Leader, out.ErrorCode = -1, kerr.ListenerNotFound.Code
		if r.header.Key == int16(kmsg.Metadata) && r.header.Version < 6 {
			out.ErrorCode = kerr.LeaderNotAvailable.Code
		}
	}
	return out
}

func (n *Node) describePartition(p *partitionMeta) kmsg.MetadataResponseTopicPartition {
	out := kmsg.NewMetadataResponseTopicPartition()
	out.Partition = p.Index
	leader, epoch := n.leaderOf(p)
	out.Leader, out.LeaderEpoch = int32(leader), epoch
	if leader < 0 {
		out.ErrorCode = kerr.LeaderNotAvailable.Code
	}
	inSync := n.inSyncOf(p, leader, epoch)
	out.Replicas = make([]int32, 0, len(p.Replicas))
	out.ISR = make([]int32, 0, len(p.Replicas))
	for _, r := range p.Replicas {
		b := r.Broker
		out.Replicas = append(out.Replicas, int32(b))
		alive := b == leader || n.alive(b)
		if alive && slices.Contains(inSync, b) {
			out.ISR = append(out.ISR, int32(b))
		}
		if !alive {
			out.OfflineReplicas = append(out.OfflineReplicas, int32(b))
		}
	}
	return out
}
