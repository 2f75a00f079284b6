// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Heartbeat, versions 0 to 4: v3 has static members, v4 is flexible.
func (n *Node) handleHeartbeat(r *request, m kmsg.Request) {
	req := m.(*kmsg.HeartbeatRequest)
	g, err := n.groupOf(req.Group, kerr.UnknownMemberID)
	if err == nil {
		err = g.classic.heartbeat(req)
	}
	resp := kmsg.NewPtrHeartbeatResponse()
	resp.ErrorCode = r.code(err)
	r.reply(resp)
}
