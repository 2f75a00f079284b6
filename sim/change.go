// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/sim/plan"
)

// Changes of the catalog that leave the records alone: what is checked is when they take effect (late.go).

// harmlessConfig is one that a broker takes and that changes nothing.
const harmlessConfig = "flush.ms"

func (c *client) sendConfigure(cn *conn, p *pendingCall) {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version = c.version(kmsg.IncrementalAlterConfigs, 0, 0)
	rr := kmsg.NewIncrementalAlterConfigsRequestResource()
	rr.ResourceType, rr.ResourceName = kmsg.ConfigResourceTypeTopic, p.call.Topic
	rc := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	rc.Name, rc.Op, rc.Value = harmlessConfig, kmsg.IncrementalAlterConfigOpSet, kmsg.StringPtr(strconv.FormatInt(p.call.Offset, 10))
	rr.Configs = append(rr.Configs, rc)
	req.Resources = append(req.Resources, rr)
	cn.ask(c.world, req, c.answered(p, func(resp kmsg.Response) {
		r := resp.(*kmsg.IncrementalAlterConfigsResponse)
		if len(r.Resources) != 1 {
			c.world.fail("protocol", "one topic to be configured is answered with %d", len(r.Resources))
		}
		c.hasChanged(p, r.Resources[0].ErrorCode)
	}))
}

func (c *client) sendGrow(cn *conn, p *pendingCall) {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Version = c.version(kmsg.CreatePartitions, 0, 0)
	req.TimeoutMillis = int32(c.timeout() / millisecond)
	rt := kmsg.NewCreatePartitionsRequestTopic()
	rt.Topic, rt.Count = p.call.Topic, int32(p.call.Offset)
	req.Topics = append(req.Topics, rt)
	cn.ask(c.world, req, c.answered(p, func(resp kmsg.Response) {
		r := resp.(*kmsg.CreatePartitionsResponse)
		if len(r.Topics) != 1 {
			c.world.fail("protocol", "one topic to get partitions is answered with %d", len(r.Topics))
		}
		c.hasChanged(p, r.Topics[0].ErrorCode)
	}))
}

// hasChanged takes the answer to one of these.
func (c *client) hasChanged(p *pendingCall, code int16) {
	switch {
	case code == 0, p.call.Kind == plan.CallGrow && code == kerr.InvalidPartitions.Code: // it has as many
		c.world.judge.answered(c.world, c, p, int64(code))
		c.endSerial(p)
	case retriable(code), code == kerr.InvalidReplicationFactor.Code, code == kerr.InvalidReplicaAssignment.Code:
		c.unanswered(p)
		c.retryElsewhere(p)
	default:
		c.unexpected(p.call, code, p.call.Kind)
	}
}
