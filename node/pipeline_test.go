// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"testing"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"chronik/wal"
)

// TestHoldRule shows why the hold rule exists. Broker 1 wins term 1 with the votes of the others
// while its own disk is slow, and replicates "A" to broker 2. It loses power before its term is on
// the disk, wins term 1 again with the vote of broker 3, which had voted for it, and replicates "B"
// at the same index. Raft compares (index, term), so broker 2 keeps "A" and applies it.
func TestHoldRule(t *testing.T) {
	for _, hold := range []bool{false, true} {
		t.Run(fmt.Sprintf("hold=%v", hold), func(t *testing.T) {
			c := newTrio(hold)
			c.elect(1, 2, 3) // broker 1 leads with nothing on its disk
			c.propose(1, "A")
			for range 2 { // raft sends its first entry alone, and the rest when that is answered
				c.deliver(1, 2)
				c.sync(2)
				c.deliver(2, 1)
			}

			c.powerLoss(1)
			c.elect(1, 3)
			c.sync(1)
			c.propose(1, "B")
			for range 20 {
				for id := range 3 {
					c.sync(id + 1)
				}
				c.deliver(1, 2)
				c.deliver(2, 1)
				c.deliver(1, 3)
				c.deliver(3, 1)
				c.nodes[1].rn.Tick()
				c.drain(1)
			}
			two, three := c.nodes[2].applied, c.nodes[3].applied
			if len(two) == 0 || len(three) == 0 {
				t.Fatalf("nothing was applied: broker 2 %q, broker 3 %q", two, three)
			}
			if same := slices.Equal(two, three); same != hold {
				t.Errorf("state machines equal: %v, want %v: broker 2 applied %q, broker 3 %q", same, hold, two, three)
			}
		})
	}
}

// trio is three raft nodes with slow disks, driven by hand.
type trio struct {
	hold  bool
	nodes [4]*trioNode
	links map[[2]int][]*pb.Message
}

type trioNode struct {
	rn      *raft.RawNode
	disk    *raft.MemoryStorage // durable
	pipe    pipeline
	writes  []*pb.Message // MsgStorageAppend under way
	end     wal.LSN
	applied []string
}

func newTrio(hold bool) *trio {
	c := &trio{hold: hold, links: make(map[[2]int][]*pb.Message)}
	for id := 1; id <= 3; id++ {
		disk := raft.NewMemoryStorage()
		snap := &pb.Snapshot{Metadata: &pb.SnapshotMetadata{ConfState: &pb.ConfState{Voters: []uint64{1, 2, 3}}, Index: new(uint64(1)), Term: new(uint64(0))}}
		if err := disk.ApplySnapshot(snap); err != nil {
			panic(err)
		}
		c.nodes[id] = &trioNode{disk: disk}
		c.start(id)
	}
	return c
}

func (c *trio) start(id int) {
	n := c.nodes[id]
	rn, err := raft.NewRawNode(&raft.Config{
		ID: uint64(id), ElectionTick: 10, HeartbeatTick: 1, Storage: n.disk, AsyncStorageWrites: true,
		MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 64, Logger: raftLogger{},
	})
	if err != nil {
		panic(err)
	}
	hs, _, _ := n.disk.InitialState()
	*n = trioNode{rn: rn, disk: n.disk, pipe: pipeline{durableTerm: hs.GetTerm()}}
}

// powerLoss forgets everything that isn't durable, and what is on its way from the broker.
func (c *trio) powerLoss(id int) {
	c.start(id)
	for to := range 4 {
		c.links[[2]int{id, to}] = nil
	}
}

func (c *trio) elect(id int, voters ...int) {
	_ = c.nodes[id].rn.Campaign()
	c.drain(id)
	if c.hold {
		c.sync(id) // the candidate's messages wait for its disk, so the election does
	}
	for _, v := range voters {
		if v != id {
			c.deliver(id, v, pb.MsgVote)
			c.sync(v)
			c.deliver(v, id, pb.MsgVoteResp)
		}
	}
}

func (c *trio) propose(id int, data string) {
	_ = c.nodes[id].rn.Propose([]byte(data))
	c.drain(id)
}

func (c *trio) drain(id int) {
	n := c.nodes[id]
	for n.rn.HasReady() {
		for _, m := range n.rn.Ready().Messages {
			switch m.GetTo() {
			case raft.LocalAppendThread:
				n.end++
				n.writes = append(n.writes, m)
				n.pipe.append(n.end, m.GetTerm(), m.Responses)
			case raft.LocalApplyThread:
				for _, e := range m.Entries {
					if len(e.GetData()) > 0 {
						n.applied = append(n.applied, string(e.GetData()))
					}
				}
				for _, r := range m.Responses {
					_ = n.rn.Step(r)
				}
			default:
				if !c.hold || !n.pipe.hold(m) {
					c.send(id, m)
				}
			}
		}
	}
}

func (c *trio) send(from int, m *pb.Message) {
	link := [2]int{from, int(m.GetTo())}
	c.links[link] = append(c.links[link], proto.Clone(m).(*pb.Message))
}

// sync makes everything durable that a broker has written.
func (c *trio) sync(id int) {
	n := c.nodes[id]
	for len(n.writes) > 0 {
		m := n.writes[0]
		n.writes = n.writes[1:]
		if m.Term != nil {
			_ = n.disk.SetHardState(&pb.HardState{Term: m.Term, Vote: m.Vote, Commit: m.Commit})
		}
		_ = n.disk.Append(m.Entries)
		released, responses, _ := n.pipe.durable(n.end - wal.LSN(len(n.writes)))
		for _, r := range append(released, responses...) {
			if int(r.GetTo()) == id {
				_ = n.rn.Step(r)
			} else {
				c.send(id, r)
			}
		}
		c.drain(id)
	}
}

// deliver hands over what is on a link; if kinds are named only those, and the rest is delayed.
func (c *trio) deliver(from, to int, kinds ...pb.MessageType) {
	link := [2]int{from, to}
	msgs := c.links[link]
	c.links[link] = nil
	for _, m := range msgs {
		if len(kinds) > 0 && !slices.Contains(kinds, m.GetType()) {
			c.links[link] = append(c.links[link], m)
			continue
		}
		_ = c.nodes[to].rn.Step(m)
	}
	c.drain(to)
}

// TestPipelineProperties checks the pipeline against what it promises, for any order of writes,
// messages and completions.
func TestPipelineProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var (
			p         pipeline
			term      uint64
			end, disk wal.LSN
			sent      []uint64 // ids of messages asked to be sent, in order
			left      []uint64 // ids of messages that left
			id        uint64
			ends      = map[uint64]wal.LSN{} // response id: position it waits for
		)
		message := func() *pb.Message {
			id++
			return &pb.Message{Type: pb.MsgApp.Enum(), Term: new(term), Index: new(id)}
		}
		leave := func(m *pb.Message) {
			if m.GetTerm() > p.durableTerm {
				t.Fatalf("message of term %d left while term %d is durable", m.GetTerm(), p.durableTerm)
			}
			left = append(left, m.GetIndex())
		}
		finish := func() {
			for {
				released, responses, ok := p.durable(disk)
				if !ok {
					return
				}
				for _, m := range released {
					leave(m)
				}
				for _, r := range responses {
					if ends[r.GetIndex()] > disk {
						t.Fatalf("response %d waits for %d, durable is %d", r.GetIndex(), ends[r.GetIndex()], disk)
					}
					delete(ends, r.GetIndex())
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"new term": func(t *rapid.T) {
				term++
				end += wal.LSN(rapid.IntRange(1, 10).Draw(t, "bytes"))
				p.append(end, term, nil)
			},
			"append": func(t *rapid.T) {
				end += wal.LSN(rapid.IntRange(0, 10).Draw(t, "bytes"))
				r := message()
				ends[r.GetIndex()] = end
				p.append(end, 0, []*pb.Message{r})
			},
			"send": func(t *rapid.T) {
				m := message()
				sent = append(sent, m.GetIndex())
				if !p.hold(m) {
					leave(m)
				}
			},
			"sync": func(t *rapid.T) {
				disk += wal.LSN(rapid.IntRange(0, 20).Draw(t, "bytes"))
				disk = min(disk, end)
				finish()
			},
		})
		disk = end
		finish()
		if !slices.Equal(sent, left) {
			t.Fatalf("messages sent %v, left %v", sent, left)
		}
		if len(ends) > 0 {
			t.Fatalf("responses never given: %v", ends)
		}
	})
}
