// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// AlterReplicaLogDirs, versions 1 and 2 (KIP-113). A broker has one folder: its replicas are there
// already, and can't be anywhere else.
func (n *Node) handleAlterReplicaLogDirs(r *request, m kmsg.Request) {
	req := m.(*kmsg.AlterReplicaLogDirsRequest)
	resp := kmsg.NewPtrAlterReplicaLogDirsResponse()
	type place struct{ dir, topic int }
	var places []place
	n.eachPart(r, len(req.Dirs), func(i int) int { return len(req.Dirs[i].Topics) }, func(i, j int) {
		places = append(places, place{i, j})
	}, func() {
		resp.Topics = make([]kmsg.AlterReplicaLogDirsResponseTopic, 0, len(places))
		topic := func(i int) *kmsg.AlterReplicaLogDirsRequestDirTopic {
			return &req.Dirs[places[i].dir].Topics[places[i].topic]
		}
		n.eachPart(r, len(places), func(i int) int {
			out := kmsg.NewAlterReplicaLogDirsResponseTopic()
			out.Topic = topic(i).Topic
			out.Partitions = make([]kmsg.AlterReplicaLogDirsResponseTopicPartition, 0, len(topic(i).Partitions))
			resp.Topics = append(resp.Topics, out)
			return len(topic(i).Partitions)
		}, func(i, j int) {
			p, t := kmsg.NewAlterReplicaLogDirsResponseTopicPartition(), topic(i)
			p.Partition, p.ErrorCode = t.Partitions[j], n.moveToDir(req.Dirs[places[i].dir].Dir, t.Topic, t.Partitions[j])
			resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, p)
		}, func() { r.reply(resp) })
	})
}

func (n *Node) moveToDir(dir, topic string, index int32) int16 {
	switch p := n.catalog.partition(topic, index); {
	case p == nil:
		return kerr.UnknownTopicOrPartition.Code
	case dir != n.cfg.LogDir:
		return kerr.LogDirNotFound.Code
	case n.group(p.Group) == nil:
		return kerr.ReplicaNotAvailable.Code
	}
	return 0
}
