// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// What a broker asks another one for on behalf of a client ends with the client's request. So the message carries its end,
// and who gets it later drops it. The end is a time of the receiver's own monotonic clock, which brokers tell each other
// beside their wall clocks: no two clocks have to agree, and a jump of a wall clock changes nothing. A time that was told is
// past when it is heard. So an end that is worked out from it is early by that, never late.
//
// A time is that clock plus a number that each process draws (start.nonce). Read by the next process of a broker,
// an end lies far in the past or in the future, and neither is believed.

// longestAhead is how far ahead an end may be. A request that lasts longer is sent again meanwhile.
const longestAhead = 2 * time.Second

// ownTime is what this broker tells others.
func (n *Node) ownTime() uint64 { return n.process.nonce + uint64(n.now) }

// receiveTime notes another broker's time. Only the last one counts: clocks may run at different speeds.
func (n *Node) receiveTime(from BrokerID, told uint64) {
	if p := n.peer(from); p != nil {
		p.timeOffset, p.timeAt, p.timeNonce = told-uint64(n.now), n.now, p.start.nonce
	}
}

// endIn is a time of the peer's after d, at most longestAhead; false if its clock isn't known.
func (p *peer) endIn(d time.Duration) (uint64, bool) {
	return p.timeOffset + uint64(p.node.now) + uint64(min(d, longestAhead)), p.timeAt != 0 && p.timeNonce == p.start.nonce
}

// isOver reports whether an end that another broker worked out has passed here. It may be a little further ahead than
// longestAhead, if this clock is slow.
func (n *Node) isOver(end uint64) bool {
	left := int64(end - n.ownTime())
	return left < 0 || left > 2*int64(longestAhead)
}

// endHandOver lets a leader's request to take over end like that of a client: the leader itself gives it up after an election
// timeout. Else a replica that gets it much later would depose the leader that went on.
func (p *peer) endHandOver(m *pb.Message) {
	if end, known := p.endIn(longestAhead); known {
		m.Context = binary.LittleEndian.AppendUint64(nil, end)
	}
}

// isLateHandOver reports whether such a request has ended. Earlier releases set no end.
func (n *Node) isLateHandOver(m *pb.Message) bool {
	end := m.GetContext()
	return len(end) == 8 && n.isOver(binary.LittleEndian.Uint64(end))
}

// appendElect asks for the preferred replica of a group to lead, until an end.
func appendElect(b []byte, g GroupID, end uint64) []byte {
	b = binary.AppendUvarint(append(b, itemElect), uint64(g))
	return binary.LittleEndian.AppendUint64(b, end)
}

// uint64 reads what is not a varint.
func (r *reader) uint64() uint64 { return uint64(r.uint32()) | uint64(r.uint32())<<32 }
