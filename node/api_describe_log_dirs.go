// SPDX-License-Identifier: Apache-2.0

package node

import "github.com/twmb/franz-go/pkg/kmsg"

// DescribeLogDirs, versions 1 to 5 (KIP-113): the replicas on this broker and their sizes. A broker
// has one folder; how large its volume is, the node doesn't know.
//
//	v2  flexible
//	v3  an error of the whole
//	v4  size of the volume: -1, unknown
//	v5  whether new replicas are kept away from the folder (KIP-1066): that can't be asked for
func (n *Node) handleDescribeLogDirs(r *request, m kmsg.Request) {
	req := m.(*kmsg.DescribeLogDirsRequest)
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir, dir.TotalBytes, dir.UsableBytes = n.cfg.LogDir, -1, -1
	n.eachAsked(r, req.Topics == nil, len(req.Topics), func(i int) (string, []int32) {
		return req.Topics[i].Topic, req.Topics[i].Partitions
	}, func(_ namedPartition, p *partitionMeta) {
		if p == nil || n.group(p.Group) == nil {
			return
		}
		if last := len(dir.Topics) - 1; last < 0 || dir.Topics[last].Topic != p.Topic.Name {
			out := kmsg.NewDescribeLogDirsResponseDirTopic()
			out.Topic = p.Topic.Name
			dir.Topics = append(dir.Topics, out)
		}
		g, out := n.group(p.Group), kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		out.Partition, out.Size, out.OffsetLag = p.Index, n.replicaBytes(g), n.lagOf(p, g)
		t := &dir.Topics[len(dir.Topics)-1]
		t.Partitions = append(t.Partitions, out)
	}, func() {
		resp := kmsg.NewPtrDescribeLogDirsResponse()
		resp.Dirs = append(resp.Dirs, dir)
		r.reply(resp)
	})
}

// replicaBytes is the size of a partition's record batches, or of the entries that a coordinator's
// log still has beyond its state.
func (n *Node) replicaBytes(g *group) int64 {
	p := n.partitions[g.id]
	if p == nil {
		return g.bytesBefore + g.bytesSince
	}
	n.out.Work.Parts += p.places() / 64
	return p.bytes()
}
