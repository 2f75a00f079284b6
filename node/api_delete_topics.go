// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// DeleteTopics, versions 0 to 6, on any broker. v6 can name topics by id.
func (n *Node) handleDeleteTopics(r *request, m kmsg.Request) {
	req := m.(*kmsg.DeleteTopicsRequest)
	if req.Version >= 6 {
		n.deleteTopics(r, req)
		return
	}
	n.each(r, len(req.TopicNames), func(i int) {
		req.Topics = append(req.Topics, kmsg.DeleteTopicsRequestTopic{Topic: &req.TopicNames[i]})
	}, func() { n.deleteTopics(r, req) })
}

func (n *Node) deleteTopics(r *request, req *kmsg.DeleteTopicsRequest) {
	onceEach(r, req.Topics, deletedTopic, func(once []kmsg.DeleteTopicsRequestTopic, twice map[string]bool) {
		req.Topics = once
		n.deleteEach(r, req, twice)
	})
}

func (n *Node) deleteEach(r *request, req *kmsg.DeleteTopicsRequest, twice map[string]bool) {
	resp := kmsg.NewPtrDeleteTopicsResponse()
	resp.Topics = make([]kmsg.DeleteTopicsResponseTopic, len(req.Topics))
	w := waitFor(r, resp, len(req.Topics))
	n.each(r, len(req.Topics), func(i int) {
		in, out := &req.Topics[i], &resp.Topics[i]
		*out = kmsg.NewDeleteTopicsResponseTopic()
		out.Topic, out.TopicID = in.Topic, in.TopicID
		if t := n.catalog.byID[in.TopicID]; t != nil {
			out.Topic = &t.Name
		}
		cmd := &deleteTopic{}
		finish := func(err error) {
			if out.ErrorCode = code(err); err != nil {
				out.ErrorMessage = errorText(err)
			} else {
				copy(out.TopicID[:], cmd.ID)
			}
			w.done()
		}
		switch {
		case twice[deletedTopic(in)]:
			finish(kafka.Errorf(kerr.InvalidRequest, "the topic is named twice in the request"))
			return
		case in.Topic == nil && in.TopicID == noTopicID:
			finish(kafka.Errorf(kerr.InvalidRequest, "name the topic or give its id"))
			return
		case in.Topic == nil:
			cmd.ID = in.TopicID[:]
		case in.TopicID == noTopicID:
			cmd.Name = *in.Topic
		default:
			finish(kafka.Errorf(kerr.InvalidRequest, "name the topic or give its id, not both"))
			return
		}
		if err := r.deletionRight(in, out); err != nil {
			finish(err)
			return
		}
		if err := r.takeMutations(n.partitionsOf(cmd), 5); err != nil {
			finish(err)
			return
		}
		out.ErrorCode = kerr.RequestTimedOut.Code // until it is applied
		n.deleteTopic(r, cmd, finish)
	}, func() { w.begin(req.TimeoutMillis) })
}

// deletionRight returns the error for a topic that may not be deleted. Of one that may not be described, an answer to its id
// doesn't tell the name; and a name gets the same answer whether there is such a topic or not.
func (r *request) deletionRight(in *kmsg.DeleteTopicsRequestTopic, out *kmsg.DeleteTopicsResponseTopic) error {
	if out.Topic == nil { // there is none of this id
		return nil
	}
	may, knows := r.mayDelete(*out.Topic)
	switch {
	case may && knows:
		return nil
	case in.Topic == nil && may:
		return nil
	case in.Topic == nil && !knows:
		out.Topic = nil
	case in.Topic != nil && knows && r.node.catalog.byName[*in.Topic] == nil:
		return nil // which is told
	}
	return errTopicRight
}

// deletedTopic is what is deleted, as a key.
func deletedTopic(t *kmsg.DeleteTopicsRequestTopic) string {
	if t.Topic == nil {
		return "id " + string(t.TopicID[:])
	}
	return *t.Topic
}

// partitionsOf is how many partitions a topic has that is to be deleted, as far as it is known here.
func (n *Node) partitionsOf(cmd *deleteTopic) int {
	t := n.catalog.byName[cmd.Name]
	if cmd.ID != nil {
		t = n.catalog.byID[[16]byte(cmd.ID)]
	}
	if t == nil {
		return 0
	}
	return len(t.Partitions)
}

// deleteTopic sends the command with the topic's id, so that a copy of it that comes late can't delete another
// topic that got the name meanwhile. A topic that isn't known here may exist all the same: the command, with no
// id, says so without deleting it, and by then it is known.
func (n *Node) deleteTopic(r *request, cmd *deleteTopic, finish func(error)) {
	if cmd.Name != "" {
		cmd.ID = noTopicID[:]
		if t := n.catalog.byName[cmd.Name]; t != nil {
			cmd.ID = t.uuid[:]
		}
	}
	n.commands.submitFor(r, command{DeleteTopic: cmd}, func(res commandResult) {
		if res.err == errOutdated {
			n.deleteTopic(r, cmd, finish)
			return
		}
		finish(res.err)
	})
}
