// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// configResources are the types that Kafka has.
var configResources = []kmsg.ConfigResourceType{
	kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger, 16 /* client metrics */, configGroup,
}

// ListConfigResources, versions 0 and 1 (KIP-1142): what has configurations.
//
//	v0  client metrics (KIP-714): there are none
//	v1  the types that are asked for; none means all
func (n *Node) handleListConfigResources(r *request, m kmsg.Request) {
	req := m.(*kmsg.ListConfigResourcesRequest)
	resp := kmsg.NewPtrListConfigResourcesResponse()
	for _, t := range req.ResourceTypes {
		if !slices.Contains(configResources, kmsg.ConfigResourceType(t)) {
			resp.ErrorCode = kerr.UnsupportedVersion.Code // as Kafka says it
			r.reply(resp)
			return
		}
	}
	add := func(t kmsg.ConfigResourceType, name string) {
		out := kmsg.NewListConfigResourcesResponseConfigResource()
		out.Name, out.Type = name, int8(t)
		resp.ConfigResources = append(resp.ConfigResources, out)
	}
	wants := func(t kmsg.ConfigResourceType) bool {
		return req.Version >= 1 && (len(req.ResourceTypes) == 0 || slices.Contains(req.ResourceTypes, int8(t)))
	}
	var topics []*topicMeta
	if wants(kmsg.ConfigResourceTypeTopic) {
		topics = slices.Clone(n.catalog.topics)
	}
	var groups []*configured
	if wants(configGroup) {
		from, _ := n.catalog.findConfigured(configGroup, "") // no group has this name
		groups = slices.Clone(n.catalog.configured[from:])
	}
	name := func(i int) {
		if i < len(topics) {
			add(kmsg.ConfigResourceTypeTopic, topics[i].Name)
		} else {
			add(configGroup, groups[i-len(topics)].Name)
		}
	}
	n.each(r, len(topics)+len(groups), name, func() {
		if wants(kmsg.ConfigResourceTypeBroker) {
			for _, b := range n.members() {
				n.out.Work.Names++
				add(kmsg.ConfigResourceTypeBroker, strconv.Itoa(int(b.ID)))
			}
		}
		r.reply(resp)
	})
}
