// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeAcls, CreateAcls and DeleteAcls, versions 0 to 3: nobody is authorized to anything, as
// everybody may do everything. Tools ask once, and understand the answer.
func (n *Node) handleDescribeACLs(r *request, _ kmsg.Request) {
	resp := kmsg.NewPtrDescribeACLsResponse()
	resp.ErrorCode, resp.ErrorMessage = kerr.SecurityDisabled.Code, &noACLs
	r.reply(resp)
}

func (n *Node) handleCreateACLs(r *request, m kmsg.Request) {
	resp := kmsg.NewPtrCreateACLsResponse()
	count := len(m.(*kmsg.CreateACLsRequest).Creations)
	resp.Results = make([]kmsg.CreateACLsResponseResult, 0, count)
	n.each(r, count, func(int) {
		out := kmsg.NewCreateACLsResponseResult()
		out.ErrorCode, out.ErrorMessage = kerr.SecurityDisabled.Code, &noACLs
		resp.Results = append(resp.Results, out)
	}, func() { r.reply(resp) })
}

func (n *Node) handleDeleteACLs(r *request, m kmsg.Request) {
	resp := kmsg.NewPtrDeleteACLsResponse()
	count := len(m.(*kmsg.DeleteACLsRequest).Filters)
	resp.Results = make([]kmsg.DeleteACLsResponseResult, 0, count)
	n.each(r, count, func(int) {
		out := kmsg.NewDeleteACLsResponseResult()
		out.ErrorCode, out.ErrorMessage = kerr.SecurityDisabled.Code, &noACLs
		resp.Results = append(resp.Results, out)
	}, func() { r.reply(resp) })
}

var noACLs = "there is no authorizer: every client may do everything"
