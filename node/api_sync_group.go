// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// SyncGroup, versions 0 to 5: gives the leader's assignment and takes one's own part.
//
//	v3  static members
//	v4  flexible
//	v5  protocol, to be checked
func (n *Node) handleSyncGroup(r *request, m kmsg.Request) {
	req := m.(*kmsg.SyncGroupRequest)
	parts := make(map[string][]byte)
	n.each(r, len(req.GroupAssignment), func(i int) {
		parts[req.GroupAssignment[i].MemberID] = req.GroupAssignment[i].MemberAssignment
	}, func() {
		g, err := n.groupOf(req.Group, kerr.UnknownMemberID)
		if err != nil {
			r.reply(failedSync(r.code(err)))
			return
		}
		g.classic.syncGroup(r, req, parts)
	})
}
