// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node/acl"
)

// DeleteGroups, versions 0 to 2: removes groups without members, with their offsets. v2 is flexible. One that
// is named twice is removed once, as in Kafka.
func (n *Node) handleDeleteGroups(r *request, m kmsg.Request) {
	req := m.(*kmsg.DeleteGroupsRequest)
	resp := kmsg.NewPtrDeleteGroupsResponse()
	resp.Groups = make([]kmsg.DeleteGroupsResponseGroup, 0, len(req.Groups))
	w := waitFor(r, resp, 0)
	named := make(map[string]bool)
	n.each(r, len(req.Groups), func(i int) {
		id := req.Groups[i]
		if named[id] {
			return
		}
		named[id] = true
		w.left++
		resp.Groups = append(resp.Groups, kmsg.NewDeleteGroupsResponseGroup())
		out := &resp.Groups[len(resp.Groups)-1]
		out.Group, out.ErrorCode = id, kerr.CoordinatorNotAvailable.Code // until it is committed
		done := thenWith(r, func(err error) {
			out.ErrorCode = r.code(err)
			w.done()
		})
		if !r.may(acl.Delete, acl.Group, id) {
			done(errGroupRight)
		} else if g, err := n.groupToDelete(id); err != nil {
			done(err)
		} else {
			g.remove(done)
		}
	}, func() { w.begin(int32(coordinatorTimeout.Milliseconds())) })
}

func (n *Node) groupToDelete(id string) (*consumerGroup, error) {
	g, err := n.groupOf(id, kerr.GroupIDNotFound)
	switch {
	case err != nil:
		return nil, err
	case g.classic.state == groupDead:
		return nil, kerr.GroupIDNotFound
	case !g.idle():
		return nil, kerr.NonEmptyGroup
	}
	return g, nil
}
