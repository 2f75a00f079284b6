// SPDX-License-Identifier: Apache-2.0

package node

import (
	"strings"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
)

// checkNotes compares what a node has noted after a step: after some steps everything, unless it has very much.
func checkNotes(t testing.TB, n *Node, out *Output) {
	t.Helper()
	if out.End != nil {
		return
	}
	if err := n.Check(n.ticks%4 == 0 && len(n.groups)+len(n.conns) < 50); err != nil {
		t.Fatalf("what the node has noted is wrong: %v", err)
	}
}

// TestCheckFindsWhatDrifts makes one field wrong at a time, of a broker with a topic, a group and a fetch that waits.
func TestCheckFindsWhatDrifts(t *testing.T) {
	for name, drift := range map[string]func(*Node, *partition, *conn){
		"bytes of hot entries":         func(n *Node, p *partition, _ *conn) { p.group.view.hotBytes++ },
		"all bytes of hot entries":     func(n *Node, _ *partition, _ *conn) { n.hotBytes-- },
		"hot groups":                   func(n *Node, p *partition, _ *conn) { p.group.hot = nil },
		"groups":                       func(n *Node, p *partition, _ *conn) { p.group.position++ },
		"bytes under way":              func(n *Node, _ *partition, _ *conn) { n.underway++ },
		"what was admitted":            func(n *Node, _ *partition, _ *conn) { n.admitted.large++ },
		"groups to be advanced":        func(n *Node, p *partition, _ *conn) { p.group.dirty = true },
		"requests under way":           func(n *Node, _ *partition, _ *conn) { n.begun++ },
		"of an address":                func(_ *Node, _ *partition, c *conn) { c.from.begun-- },
		"held bytes":                   func(_ *Node, _ *partition, c *conn) { c.heldBytes++ },
		"waits":                        func(n *Node, _ *partition, _ *conn) { n.waits.used++ },
		"bytes of fetches":             func(n *Node, _ *partition, _ *conn) { n.parkedBytes.used++ },
		"a fetch that waits nowhere":   func(_ *Node, p *partition, _ *conn) { p.parked.Init() },
		"connections to be served":     func(_ *Node, _ *partition, c *conn) { c.queued = true },
		"requests in pieces":           func(_ *Node, _ *partition, c *conn) { c.deferred = 2 },
		"turns":                        func(n *Node, _ *partition, _ *conn) { n.tasks.finds.taken = -1 },
		"commands":                     func(n *Node, _ *partition, _ *conn) { n.commands.queue.count.used++ },
		"partitions to be looked at":   func(n *Node, p *partition, _ *conn) { n.placing.in[p.group.id] = true },
		"replicas on a broker":         func(n *Node, _ *partition, _ *conn) { n.catalog.hosted[1]++ },
		"topics by name":               func(n *Node, _ *partition, _ *conn) { delete(n.catalog.byName, "t") },
		"partitions by group":          func(n *Node, p *partition, _ *conn) { delete(n.catalog.byGroup, p.group.id) },
		"names of metrics":             func(n *Node, _ *partition, _ *conn) { n.catalog.unified["t"]++ },
		"the order of topics":          func(n *Node, _ *partition, _ *conn) { n.catalog.topics[0].Name = "zz" },
		"the newest checkpoint":        func(_ *Node, p *partition, _ *conn) { p.group.stateBytes++ },
		"brokers with replicas":        func(_ *Node, p *partition, _ *conn) { p.group.peers = append(p.group.peers, 9) },
		"the ISR":                      func(_ *Node, p *partition, _ *conn) { p.group.inSync.missing = true },
		"reads that wait for no round": func(_ *Node, p *partition, _ *conn) { p.group.reads.waiting = []*indexRead{{}} },
		"a message held for ever":      func(_ *Node, p *partition, _ *conn) { p.group.pipe.held = []*pb.Message{{Term: new(uint64(99))}} },
		"a vote that the log lacks":    func(_ *Node, p *partition, _ *conn) { p.group.term++ },
		"the offset after the last":    func(_ *Node, p *partition, _ *conn) { p.highWatermark++ },
		"an epoch that begins later":   func(_ *Node, p *partition, _ *conn) { p.epochs[0].start = 99 },
		"a producer":                   func(_ *Node, p *partition, _ *conn) { delete(p.producers.byID, 7) },
		"a producer's last batch":      func(_ *Node, p *partition, _ *conn) { p.producers.byID[7].batches[0].base = 99 },
		"bytes of the cache":           func(n *Node, _ *partition, _ *conn) { n.cold.bytes++ },
		"a reader that nobody wakes":   func(n *Node, p *partition, _ *conn) { n.coldFor[p.group.id] = []*entryWait{{}} },
		"checkpoints that are fetched": func(n *Node, _ *partition, _ *conn) { n.snapshotsIn++ },
		"bytes of offsets":             func(n *Node, _ *partition, _ *conn) { coordinatorWithGroup(n).offsetBytes++ },
		"places of the log of groups":  func(n *Node, _ *partition, _ *conn) { coordinatorWithGroup(n).log.count++ },
		"bytes of members":             func(n *Node, _ *partition, _ *conn) { coordinatorWithGroup(n).groups[0].classic.bytes++ },
		"members that wait":            func(n *Node, _ *partition, _ *conn) { coordinatorWithGroup(n).groups[0].classic.joining++ },
		"a member's session": func(n *Node, _ *partition, _ *conn) {
			n.deadlines.Cancel(coordinatorWithGroup(n).groups[0].classic.members[0].timer)
		},
		"a group of another coordinator": func(n *Node, _ *partition, _ *conn) { coordinatorWithGroup(n).groups[0].coordinator = nil },
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			n, p, c := brokerToDrift(t)
			if err := n.Check(true); err != nil {
				t.Fatalf("before anything is wrong: %v", err)
			}
			drift(n, p, c)
			if n.Check(true) == nil {
				t.Error("it isn't found")
			}
		})
	}
}

// brokerToDrift returns a broker that has something of everything, one of its partitions, and a connection with a fetch
// that waits.
func brokerToDrift(t *testing.T) (*Node, *partition, *conn) {
	o := newGroups(t, nil)
	if _, e := o.produce("t", batch(7, 0, 0, "a")); e != "NONE" {
		t.Fatal(e)
	}
	o.consumer(11).join()
	o.begin(12, fetchRequest("t", 1))
	p := o.node.partitions[o.node.catalog.byName["t"].Partitions[0].Group]
	if p.parked.Len() != 1 {
		t.Fatal("no fetch waits")
	}
	return o.node, p, o.node.conns[12]
}

func coordinatorWithGroup(n *Node) *coordinator {
	for _, c := range n.coordinators {
		if len(c.groups) > 0 {
			return c
		}
	}
	return nil
}
