// SPDX-License-Identifier: Apache-2.0

package node

import "github.com/twmb/franz-go/pkg/kmsg"

// LeaveGroup, versions 0 to 5: v3 takes many members and static ones by name, v4 is flexible, v5 has
// a reason, which is ignored.
func (n *Node) handleLeaveGroup(r *request, m kmsg.Request) {
	req := m.(*kmsg.LeaveGroupRequest)
	resp := kmsg.NewPtrLeaveGroupResponse()
	g, err := n.groupOf(req.Group, nil)
	if err != nil {
		resp.ErrorCode = r.code(err)
		r.reply(resp)
		return
	}
	if g == nil {
		g = &consumerGroup{classic: &classicGroup{node: n}} // nobody is in it
	}
	live, out := g.classic, make(map[*groupMember]string) // it may be another broker's before all is done: then live is dead
	if req.Version < 3 {
		resp.ErrorCode = r.code(live.leave(out, req.MemberID, nil))
	}
	resp.Members = make([]kmsg.LeaveGroupResponseMember, 0, len(req.Members))
	n.each(r, len(req.Members), func(i int) {
		in := &req.Members[i]
		member := kmsg.NewLeaveGroupResponseMember()
		member.MemberID, member.InstanceID = in.MemberID, in.InstanceID
		member.ErrorCode = r.code(live.leave(out, in.MemberID, in.InstanceID))
		resp.Members = append(resp.Members, member)
	}, func() {
		live.dismiss(out)
		r.reply(resp)
	})
}
