// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"regexp"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// api is one kind of request: what ApiVersions says of it and who handles it.
type api struct {
	key      kmsg.Key
	min, max int16
	// served is the first version that is served, where clients need a lower one advertised.
	served int16
	handle func(*Node, *request, kmsg.Request)
}

// apiTable is everything that this broker serves, by key. Minimum versions matter as much as maximum
// ones: raising one breaks old clients in silence. Produce is advertised from 0 because librdkafka
// before 2.11.1 asks for that before it compresses (KAFKA-18659); versions 0 to 2 are refused.
func apiTable() []api {
	return []api{
		{key: kmsg.Produce, min: 0, max: 13, served: 3, handle: (*Node).handleProduce},
		{key: kmsg.Fetch, min: 4, max: 18, handle: (*Node).handleFetch},
		{key: kmsg.ListOffsets, min: 1, max: 11, handle: (*Node).handleListOffsets},
		{key: kmsg.Metadata, min: 0, max: 13, handle: (*Node).handleMetadata},
		{key: kmsg.OffsetCommit, min: 2, max: 10, handle: (*Node).handleOffsetCommit},
		{key: kmsg.OffsetFetch, min: 1, max: 10, handle: (*Node).handleOffsetFetch},
		{key: kmsg.FindCoordinator, min: 0, max: 6, handle: (*Node).handleFindCoordinator},
		{key: kmsg.JoinGroup, min: 0, max: 9, handle: (*Node).handleJoinGroup},
		{key: kmsg.Heartbeat, min: 0, max: 4, handle: (*Node).handleHeartbeat},
		{key: kmsg.LeaveGroup, min: 0, max: 5, handle: (*Node).handleLeaveGroup},
		{key: kmsg.SyncGroup, min: 0, max: 5, handle: (*Node).handleSyncGroup},
		{key: kmsg.DescribeGroups, min: 0, max: 6, handle: (*Node).handleDescribeGroups},
		{key: kmsg.ListGroups, min: 0, max: 5, handle: (*Node).handleListGroups},
		{key: kmsg.SASLHandshake, min: 0, max: 1, handle: (*Node).handleSaslHandshake},
		{key: kmsg.ApiVersions, min: 0, max: 4, handle: (*Node).handleApiVersions},
		{key: kmsg.CreateTopics, min: 0, max: 7, handle: (*Node).handleCreateTopics},
		{key: kmsg.DeleteTopics, min: 0, max: 6, handle: (*Node).handleDeleteTopics},
		{key: kmsg.DeleteRecords, min: 0, max: 2, handle: (*Node).handleDeleteRecords},
		{key: kmsg.InitProducerID, min: 0, max: 5, handle: (*Node).handleInitProducerID},
		{key: kmsg.AddPartitionsToTxn, min: 0, max: 3, handle: (*Node).handleAddPartitionsToTxn},
		{key: kmsg.AddOffsetsToTxn, min: 0, max: 4, handle: (*Node).handleAddOffsetsToTxn},
		{key: kmsg.EndTxn, min: 0, max: 5, handle: (*Node).handleEndTxn},
		{key: kmsg.TxnOffsetCommit, min: 0, max: 5, handle: (*Node).handleTxnOffsetCommit},
		{key: kmsg.OffsetForLeaderEpoch, min: 2, max: 4, handle: (*Node).handleOffsetForLeaderEpoch},
		{key: kmsg.WriteTxnMarkers, min: 1, max: 2, handle: (*Node).handleWriteTxnMarkers},
		{key: kmsg.DescribeACLs, min: 0, max: 3, handle: (*Node).handleDescribeACLs},
		{key: kmsg.CreateACLs, min: 0, max: 3, handle: (*Node).handleCreateACLs},
		{key: kmsg.DeleteACLs, min: 0, max: 3, handle: (*Node).handleDeleteACLs},
		{key: kmsg.DescribeConfigs, min: 0, max: 4, handle: (*Node).handleDescribeConfigs},
		{key: kmsg.AlterConfigs, min: 0, max: 2, handle: (*Node).handleAlterConfigs},
		{key: kmsg.AlterReplicaLogDirs, min: 1, max: 2, handle: (*Node).handleAlterReplicaLogDirs},
		{key: kmsg.DescribeLogDirs, min: 1, max: 5, handle: (*Node).handleDescribeLogDirs},
		{key: kmsg.SASLAuthenticate, min: 0, max: 2, handle: (*Node).handleSaslAuthenticate},
		{key: kmsg.CreatePartitions, min: 0, max: 3, handle: (*Node).handleCreatePartitions},
		{key: kmsg.ElectLeaders, min: 0, max: 2, handle: (*Node).handleElectLeaders},
		{key: kmsg.IncrementalAlterConfigs, min: 0, max: 1, handle: (*Node).handleIncrementalAlterConfigs},
		{key: kmsg.AlterPartitionAssignments, min: 0, max: 1, handle: (*Node).handleAlterReassignments},
		{key: kmsg.ListPartitionReassignments, min: 0, max: 0, handle: (*Node).handleListReassignments},
		{key: kmsg.DeleteGroups, min: 0, max: 2, handle: (*Node).handleDeleteGroups},
		{key: kmsg.OffsetDelete, min: 0, max: 0, handle: (*Node).handleOffsetDelete},
		{key: kmsg.DescribeClientQuotas, min: 0, max: 1, handle: (*Node).handleDescribeClientQuotas},
		{key: kmsg.AlterClientQuotas, min: 0, max: 1, handle: (*Node).handleAlterClientQuotas},
		{key: kmsg.DescribeUserSCRAMCredentials, min: 0, max: 0, handle: (*Node).handleDescribeUserScramCredentials},
		{key: kmsg.AlterUserSCRAMCredentials, min: 0, max: 0, handle: (*Node).handleAlterUserScramCredentials},
		{key: kmsg.DescribeQuorum, min: 0, max: 2, handle: (*Node).handleDescribeQuorum},
		{key: kmsg.UpdateFeatures, min: 0, max: 2, handle: (*Node).handleUpdateFeatures},
		{key: kmsg.UnregisterBroker, min: 0, max: 0, handle: (*Node).handleUnregisterBroker},
		{key: kmsg.ConsumerGroupHeartbeat, min: 0, max: 1, handle: (*Node).handleConsumerGroupHeartbeat},
		{key: kmsg.ConsumerGroupDescribe, min: 0, max: 1, handle: (*Node).handleConsumerGroupDescribe},
		{key: kmsg.DescribeCluster, min: 0, max: 2, handle: (*Node).handleDescribeCluster},
		{key: kmsg.DescribeProducers, min: 0, max: 0, handle: (*Node).handleDescribeProducers},
		{key: kmsg.DescribeTransactions, min: 0, max: 0, handle: (*Node).handleDescribeTransactions},
		{key: kmsg.ListTransactions, min: 0, max: 2, handle: (*Node).handleListTransactions},
		{key: kmsg.ListConfigResources, min: 0, max: 1, handle: (*Node).handleListConfigResources},
		{key: kmsg.DescribeTopicPartitions, min: 0, max: 0, handle: (*Node).handleDescribeTopicPartitions},
	}
}

func (n *Node) api(key int16) *api {
	for i := range n.apis {
		if n.apis[i].key.Int16() == key {
			return &n.apis[i]
		}
	}
	return nil
}

// dispatch parses a frame and calls its handler. What can't be understood closes the connection, as
// in Kafka, but for ApiVersions: its answer in the form of version 0 tells a newer client what is
// spoken here (KIP-511).
func (n *Node) dispatch(r *request, frame []byte) {
	h, body, err := kafka.ParseHeader(frame)
	r.header = h
	a := n.api(h.Key)
	switch {
	case !r.conn.mayAsk(h.Key, len(frame), n.now):
		r.refuse(r.conn.errNotLoggedIn(h))
		return
	case a == nil && err != nil:
		r.refuse(fmt.Sprintf("request header: %v", err))
		return
	case a == nil:
		r.refuse(fmt.Sprintf("%v is not served", h))
		return
	case h.Version < a.min || h.Version > a.max:
		n.refuseVersion(r, a)
		return
	case err != nil:
		r.refuse(fmt.Sprintf("request header: %v", err))
		return
	case h.Version < a.served:
		r.refuse(fmt.Sprintf("%v: versions below %d are no longer served; upgrade the client", h, a.served))
		return
	}
	req, elements, err := kafka.ParseWithin(h, body, n.cfg.LargeElements)
	if err == kafka.ErrLarge {
		n.parseLater(r, a, body)
		return
	}
	n.out.Work.Elements += elements
	if err == nil {
		if charge := n.answerBytes(req); charge > int64(n.cfg.LargeElements)*elementBytes {
			n.handleCharged(r, a, body, req, charge)
			return
		}
	}
	n.handle(r, a, req, err)
}

// handle serves a request that is parsed; err says that it can't be.
func (n *Node) handle(r *request, a *api, req kmsg.Request, err error) {
	if err != nil {
		r.refuse(fmt.Sprintf("%v: %v", r.header, err))
		return
	}
	if n.auditors[a.key] != nil {
		r.asked = req
	}
	if n.logLevel <= LogDebug {
		r.noteSubject(req)
	}
	if !r.canWait() {
		n.breaks.wanted()
	}
	clocked := n.startClock(r)
	if n.authorized(r, a, req) {
		a.handle(n, r, req)
	}
	if clocked {
		n.stopClock()
	}
}

func (n *Node) refuseVersion(r *request, a *api) {
	if a.key != kmsg.ApiVersions {
		r.refuse(fmt.Sprintf("%v: versions %d to %d are served", r.header, a.min, a.max))
		return
	}
	r.header.Version = 0
	resp := n.apiVersions()
	resp.ErrorCode = kerr.UnsupportedVersion.Code
	r.reply(resp)
}

// handleApiVersions serves ApiVersions 0 to 4: what is served here. Version 3 adds flexible fields
// (KIP-482); its answer's header stays at version 0.
func (n *Node) handleApiVersions(r *request, m kmsg.Request) {
	resp, req := n.apiVersions(), m.(*kmsg.ApiVersionsRequest)
	n.addFeatures(resp, req.Version)
	if req.Version >= 3 && !(softwareName.MatchString(req.ClientSoftwareName) && softwareName.MatchString(req.ClientSoftwareVersion)) {
		resp.ErrorCode = kerr.InvalidRequest.Code
	}
	r.reply(resp)
}

// softwareName is what a client may call itself and its version (KIP-511).
var softwareName = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?$`)

func (n *Node) apiVersions() *kmsg.ApiVersionsResponse {
	resp := kmsg.NewPtrApiVersionsResponse()
	for _, a := range n.apis {
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MinVersion, k.MaxVersion = a.key.Int16(), a.min, a.max
		resp.ApiKeys = append(resp.ApiKeys, k)
	}
	return resp
}
