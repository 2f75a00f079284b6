// SPDX-License-Identifier: Apache-2.0

package node

import "github.com/twmb/franz-go/pkg/kmsg"

// A request of few bytes can ask for an answer of very many: all topics, all offsets of a group, all its members. Such an
// answer takes memory while it is made, and thousands may be asked for at once. So what it will take is estimated before the
// request begins, and charged like a large request (large.go): a request that doesn't fit waits as the bytes it came in.

// Bytes that parts of answers take, about, with their part of the frame.
const (
	partitionBytes  = 256
	configsBytes    = 10 << 10 // of all configurations of a resource
	memberBytes     = 256
	modernBytes     = 1024 // of a member, with what it owns and shall own
	offsetBytes     = 256
	groupNameBytes  = 192
	producerBytes   = 128
	replicaBytes    = 128
	ruleBytes       = 256
	quotaBytes      = 512
	mostTopicConfig = 1000 // of how many new topics the configurations are answered
)

// answerBytes estimates what the answer to a request takes, if that may be much more than the request does.
func (n *Node) answerBytes(m kmsg.Request) int64 {
	all := int64(len(n.catalog.topics)+len(n.catalog.byGroup)) * partitionBytes
	switch req := m.(type) {
	case *kmsg.MetadataRequest:
		return n.metadataBytes(req, all)
	case *kmsg.DescribeConfigsRequest:
		return int64(len(req.Resources)) * configsBytes
	case *kmsg.CreateTopicsRequest:
		return int64(min(len(req.Topics), mostTopicConfig)) * configsBytes
	case *kmsg.DescribeLogDirsRequest:
		if req.Topics == nil {
			return int64(len(n.groups)) * replicaBytes
		}
	case *kmsg.ElectLeadersRequest:
		if req.Topics == nil {
			return all
		}
	case *kmsg.ListPartitionReassignmentsRequest:
		if req.Topics == nil {
			return all
		}
	case *kmsg.ListConfigResourcesRequest:
		return int64(len(n.catalog.topics)) * groupNameBytes
	case *kmsg.DescribeACLsRequest:
		return int64(len(n.catalog.rules.Rules())) * ruleBytes
	case *kmsg.DescribeClientQuotasRequest:
		return int64(len(n.catalog.quotas.Quotas())) * quotaBytes
	case *kmsg.DescribeUserSCRAMCredentialsRequest:
		if len(req.Users) == 0 {
			return int64(len(n.catalog.users)) * groupNameBytes
		}
	case *kmsg.DescribeProducersRequest:
		return n.producersBytes(req)
	}
	return n.groupsBytes(m)
}

func (n *Node) metadataBytes(req *kmsg.MetadataRequest, all int64) (sum int64) {
	if req.Topics == nil || req.Version == 0 && len(req.Topics) == 0 {
		return all
	}
	n.out.Work.Parts += len(req.Topics) / 32
	for i := range req.Topics {
		t := n.catalog.byID[req.Topics[i].TopicID]
		if name := req.Topics[i].Topic; name != nil {
			t = n.catalog.byName[*name]
		}
		if t != nil {
			sum += int64(1+len(t.Partitions)) * partitionBytes
		}
	}
	return min(sum, all)
}

func (n *Node) producersBytes(req *kmsg.DescribeProducersRequest) (sum int64) {
	for i := range req.Topics {
		n.out.Work.Parts += len(req.Topics[i].Partitions) / 32
		for _, index := range req.Topics[i].Partitions {
			meta := n.catalog.partition(req.Topics[i].Topic, index)
			if meta == nil {
				continue
			}
			if p := n.partitions[meta.Group]; p != nil {
				sum += int64(len(p.producers.byID)) * producerBytes
			} else if c := n.coordinators[meta.Group]; c != nil {
				sum += int64(len(c.txns.byID)) * producerBytes
			}
		}
	}
	return sum
}

// groupsBytes is the part of requests about consumer groups.
func (n *Node) groupsBytes(m kmsg.Request) (sum int64) {
	if ids, bytes := groupsAsked(m); len(ids) > 0 {
		return n.eachGroup(ids, bytes)
	}
	switch req := m.(type) {
	case *kmsg.ListGroupsRequest:
		for _, c := range n.ownCoordinators() {
			sum += int64(len(c.groups)) * groupNameBytes
		}
	case *kmsg.JoinGroupRequest: // the leader's, again
		return n.eachGroup([]string{req.Group}, func(g *consumerGroup) int64 {
			if g.classic.state != groupCompleting || req.MemberID != g.classic.leader {
				return 0
			}
			return g.classic.answerBytes()
		})
	}
	return sum
}

// groupsAsked returns the groups that a request wants described, maybe some of them twice, and what the answer about one takes.
func groupsAsked(m kmsg.Request) (ids []string, bytes func(*consumerGroup) int64) {
	switch req := m.(type) {
	case *kmsg.DescribeGroupsRequest:
		return req.Groups, func(g *consumerGroup) int64 { return g.classic.answerBytes() }
	case *kmsg.ConsumerGroupDescribeRequest:
		return req.Groups, func(g *consumerGroup) int64 { return int64(g.members()) * modernBytes }
	case *kmsg.OffsetFetchRequest:
		if req.Topics == nil && req.Version >= 2 && req.Version < 8 {
			return []string{req.Group}, (*consumerGroup).offsetsBytes
		}
		for i := range req.Groups {
			if req.Groups[i].Topics == nil {
				ids = append(ids, req.Groups[i].Group)
			}
		}
		return ids, (*consumerGroup).offsetsBytes
	}
	return nil, nil
}

// answerBytesInPieces does the same as answerBytes for a large request, in as many steps as it takes.
func (n *Node) answerBytesInPieces(r *request, m kmsg.Request, then func(bytes int64)) {
	ids, bytes := groupsAsked(m)
	if len(ids) == 0 {
		then(n.answerBytes(m))
		return
	}
	sum, add := int64(0), n.addGroups(bytes)
	n.each(r, len(ids), func(i int) { sum += add(ids[i]) }, func() { then(sum) })
}

// eachGroup adds up something of different groups that this broker coordinates.
func (n *Node) eachGroup(ids []string, bytes func(*consumerGroup) int64) (sum int64) {
	n.out.Work.Parts += len(ids) / 16
	add := n.addGroups(bytes)
	for _, id := range ids {
		sum += add(id)
	}
	return sum
}

// addGroups returns what says something of a group that this broker coordinates, once for each.
func (n *Node) addGroups(bytes func(*consumerGroup) int64) func(id string) int64 {
	named := make(map[string]bool) // only those that there are: it must not grow with the request
	return func(id string) int64 {
		g, err := n.groupOf(id, nil)
		if err != nil || g == nil || named[id] {
			return 0
		}
		named[id] = true
		return bytes(g)
	}
}

// answerBytes is about what an answer that lists the members takes.
func (g *classicGroup) answerBytes() int64 {
	return int64(len(g.members)*memberBytes + g.bytes)
}

func (g *consumerGroup) offsetsBytes() int64 { return int64(g.stored.offsets()) * offsetBytes }

// members is how many the log says that there are.
func (g *consumerGroup) members() int {
	switch {
	case g.stored.modern != nil:
		return len(g.stored.modern.members)
	case g.stored.metadata != nil:
		return len(g.stored.metadata.Members)
	}
	return 0
}

// answerShare is how much of what AnswerBytes leaves an answer may be, and leastAnswer how much it always may be: clients who
// take nothing must not keep the others from reading.
const (
	answerShare = 8
	leastAnswer = 64 << 10
)

// largestAnswer is how many bytes of record batches a new answer may have.
func (n *Node) largestAnswer() int64 {
	return min(n.cfg.FetchMaxBytes, max(leastAnswer, (n.cfg.AnswerBytes-n.unread)/answerShare))
}
