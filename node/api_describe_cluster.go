// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeCluster, versions 0 to 2 (KIP-700).
//
//	v1  endpoint type: there are no controllers apart from the brokers
//	v2  brokers that are dead (fenced), if they are asked for
func (n *Node) handleDescribeCluster(r *request, m kmsg.Request) {
	req := m.(*kmsg.DescribeClusterRequest)
	resp := kmsg.NewPtrDescribeClusterResponse()
	resp.ClusterID, resp.ControllerID = n.cfg.ClusterID, -1
	if req.Version >= 1 && req.EndpointType != endpointBrokers {
		resp.ErrorCode, resp.EndpointType = kerr.MismatchedEndpointType.Code, endpointBrokers
		r.reply(resp)
		return
	}
	listener := r.conn.listener.Name
	resp.ControllerID = n.controllerFor(listener)
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = r.clusterOperations()
	}
	live := make(map[BrokerID]bool)
	for _, m := range n.liveBrokers() {
		live[m.ID] = true
	}
	for _, m := range n.members() {
		n.out.Work.Names++
		fenced := !live[m.ID]
		name, port, ok := m.at(listener)
		if !ok || fenced && !req.IncludeFencedBrokers {
			continue
		}
		b := kmsg.NewDescribeClusterResponseBroker()
		b.NodeID, b.Host, b.Port, b.IsFenced = int32(m.ID), name, port, fenced
		if m.Rack != "" {
			b.Rack = &m.Rack
		}
		resp.Brokers = append(resp.Brokers, b)
	}
	r.reply(resp)
}

// endpointBrokers is KIP-919's endpoint type of addresses that clients of brokers use.
const endpointBrokers = 1
