// SPDX-License-Identifier: Apache-2.0

package node

import "github.com/twmb/franz-go/pkg/kmsg"

// What a client gets that may not do what the whole of its request asks for, where answers have no error for the whole, or
// also one for each part.

func (n *Node) refuseCoordinators(r *request, req *kmsg.FindCoordinatorRequest, err error) {
	resp := kmsg.NewPtrFindCoordinatorResponse()
	if req.Version < 4 {
		resp.ErrorCode, resp.ErrorMessage, resp.NodeID, resp.Port = r.code(err), errorText(err), -1, -1
		r.reply(resp)
		return
	}
	n.each(r, len(req.CoordinatorKeys), func(i int) {
		out := kmsg.NewFindCoordinatorResponseCoordinator()
		out.Key, out.NodeID, out.Port, out.ErrorCode, out.ErrorMessage = req.CoordinatorKeys[i], -1, -1, r.code(err), errorText(err)
		resp.Coordinators = append(resp.Coordinators, out)
	}, func() { r.reply(resp) })
}

func (n *Node) refuseCommit(r *request, req *kmsg.OffsetCommitRequest, err error) {
	resp := kmsg.NewPtrOffsetCommitResponse()
	n.eachPart(r, len(req.Topics), func(i int) int {
		t := kmsg.NewOffsetCommitResponseTopic()
		t.Topic, t.TopicID = req.Topics[i].Topic, req.Topics[i].TopicID
		resp.Topics = append(resp.Topics, t)
		return len(req.Topics[i].Partitions)
	}, func(i, j int) {
		p := kmsg.NewOffsetCommitResponseTopicPartition()
		p.Partition, p.ErrorCode = req.Topics[i].Partitions[j].Partition, r.code(err)
		resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, p)
	}, func() { r.reply(resp) })
}

func (n *Node) refuseTxnCommit(r *request, req *kmsg.TxnOffsetCommitRequest, err error) {
	resp := kmsg.NewPtrTxnOffsetCommitResponse()
	n.eachPart(r, len(req.Topics), func(i int) int {
		t := kmsg.NewTxnOffsetCommitResponseTopic()
		t.Topic = req.Topics[i].Topic
		resp.Topics = append(resp.Topics, t)
		return len(req.Topics[i].Partitions)
	}, func(i, j int) {
		p := kmsg.NewTxnOffsetCommitResponseTopicPartition()
		p.Partition, p.ErrorCode = req.Topics[i].Partitions[j].Partition, r.code(err)
		resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, p)
	}, func() { r.reply(resp) })
}

func (n *Node) refuseAddPartitions(r *request, req *kmsg.AddPartitionsToTxnRequest, err error) {
	resp := kmsg.NewPtrAddPartitionsToTxnResponse()
	n.eachPart(r, len(req.Topics), func(i int) int {
		t := kmsg.NewAddPartitionsToTxnResponseTopic()
		t.Topic = req.Topics[i].Topic
		resp.Topics = append(resp.Topics, t)
		return len(req.Topics[i].Partitions)
	}, func(i, j int) {
		p := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
		p.Partition, p.ErrorCode = req.Topics[i].Partitions[j], r.code(err)
		resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, p)
	}, func() { r.reply(resp) })
}

func (n *Node) refuseMarkers(r *request, req *kmsg.WriteTxnMarkersRequest, err error) {
	resp := kmsg.NewPtrWriteTxnMarkersResponse()
	n.eachPart(r, len(req.Markers), func(i int) int {
		m := kmsg.NewWriteTxnMarkersResponseMarker()
		m.ProducerID = req.Markers[i].ProducerID
		resp.Markers = append(resp.Markers, m)
		return len(req.Markers[i].Topics)
	}, func(i, j int) {
		in, t := &req.Markers[i].Topics[j], kmsg.NewWriteTxnMarkersResponseMarkerTopic()
		t.Topic = in.Topic
		n.out.Work.Parts += len(in.Partitions) / 8
		for _, index := range in.Partitions {
			p := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
			p.Partition, p.ErrorCode = index, r.code(err)
			t.Partitions = append(t.Partitions, p)
		}
		resp.Markers[i].Topics = append(resp.Markers[i].Topics, t)
	}, func() { r.reply(resp) })
}

func (n *Node) refuseRules(r *request, req *kmsg.CreateACLsRequest, err error) {
	resp := kmsg.NewPtrCreateACLsResponse()
	n.each(r, len(req.Creations), func(int) {
		out := kmsg.NewCreateACLsResponseResult()
		out.ErrorCode, out.ErrorMessage = r.code(err), errorText(err)
		resp.Results = append(resp.Results, out)
	}, func() { r.reply(resp) })
}

func (n *Node) refuseFilters(r *request, req *kmsg.DeleteACLsRequest, err error) {
	resp := kmsg.NewPtrDeleteACLsResponse()
	n.each(r, len(req.Filters), func(int) {
		out := kmsg.NewDeleteACLsResponseResult()
		out.ErrorCode, out.ErrorMessage = r.code(err), errorText(err)
		resp.Results = append(resp.Results, out)
	}, func() { r.reply(resp) })
}

func (n *Node) refuseLogDirs(r *request, req *kmsg.AlterReplicaLogDirsRequest, err error) {
	resp := kmsg.NewPtrAlterReplicaLogDirsResponse()
	n.eachPart(r, len(req.Dirs), func(i int) int { return len(req.Dirs[i].Topics) }, func(i, j int) {
		in, t := &req.Dirs[i].Topics[j], kmsg.NewAlterReplicaLogDirsResponseTopic()
		t.Topic = in.Topic
		n.out.Work.Parts += len(in.Partitions) / 8
		for _, index := range in.Partitions {
			p := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
			p.Partition, p.ErrorCode = index, r.code(err)
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}, func() { r.reply(resp) })
}

func (n *Node) refuseElection(r *request, req *kmsg.ElectLeadersRequest, err error) {
	resp := kmsg.NewPtrElectLeadersResponse()
	resp.ErrorCode = r.code(err)
	n.eachPart(r, len(req.Topics), func(i int) int {
		t := kmsg.NewElectLeadersResponseTopic()
		t.Topic = req.Topics[i].Topic
		resp.Topics = append(resp.Topics, t)
		return len(req.Topics[i].Partitions)
	}, func(i, j int) {
		p := kmsg.NewElectLeadersResponseTopicPartition()
		p.Partition, p.ErrorCode, p.ErrorMessage = req.Topics[i].Partitions[j], r.code(err), errorText(err)
		resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, p)
	}, func() { r.reply(resp) })
}

func (n *Node) refuseMoves(r *request, req *kmsg.AlterPartitionAssignmentsRequest, err error) {
	resp := kmsg.NewPtrAlterPartitionAssignmentsResponse()
	resp.ErrorCode, resp.ErrorMessage = r.code(err), errorText(err)
	n.eachPart(r, len(req.Topics), func(i int) int {
		t := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		t.Topic = req.Topics[i].Topic
		resp.Topics = append(resp.Topics, t)
		return len(req.Topics[i].Partitions)
	}, func(i, j int) {
		p := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
		p.Partition, p.ErrorCode, p.ErrorMessage = req.Topics[i].Partitions[j].Partition, r.code(err), errorText(err)
		resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, p)
	}, func() { r.reply(resp) })
}

// refuseUsers names each user once.
func (n *Node) refuseUsers(r *request, req *kmsg.AlterUserSCRAMCredentialsRequest, err error) {
	resp, named := kmsg.NewPtrAlterUserSCRAMCredentialsResponse(), make(map[string]bool)
	n.each(r, len(req.Deletions)+len(req.Upsertions), func(i int) {
		out := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
		if i < len(req.Deletions) {
			out.User = req.Deletions[i].Name
		} else {
			out.User = req.Upsertions[i-len(req.Deletions)].Name
		}
		if out.ErrorCode, out.ErrorMessage = r.code(err), errorText(err); !named[out.User] {
			named[out.User] = true
			resp.Results = append(resp.Results, out)
		}
	}, func() { r.reply(resp) })
}

// refuseQuotas names each entity as the request does.
func (n *Node) refuseQuotas(r *request, req *kmsg.AlterClientQuotasRequest, err error) {
	resp := kmsg.NewPtrAlterClientQuotasResponse()
	n.each(r, len(req.Entries), func(i int) {
		out := kmsg.NewAlterClientQuotasResponseEntry()
		out.ErrorCode, out.ErrorMessage = r.code(err), errorText(err)
		for _, p := range req.Entries[i].Entity[:min(len(req.Entries[i].Entity), maxEntityParts)] {
			out.Entity = append(out.Entity, kmsg.AlterClientQuotasResponseEntryEntity{Type: p.Type, Name: p.Name})
		}
		resp.Entries = append(resp.Entries, out)
	}, func() { r.reply(resp) })
}
