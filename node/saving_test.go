// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"slices"
	"testing"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"pgregory.net/rapid"

	"chronik/kafka"
	"chronik/wal"
)

// The pieces of a state are of the state when the first one was asked for, whatever is applied in between; and what is
// applied counts.
func TestProducersAreWrittenInPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, plain := newRecords(), newProducers()
		base := int64(0)
		change := func() {
			id := rapid.Int64Range(1, 8).Draw(t, "id")
			if w := p.producers.byID[id]; w != nil && rapid.IntRange(0, 3).Draw(t, "forget") == 0 {
				p.producers.forget(id, w.last().base)
				plain.forget(id, w.last().base)
				return
			}
			base += rapid.Int64Range(1, 3).Draw(t, "records")
			p.producers.addFor(id, base, int32(base))
			plain.addFor(id, base, int32(base))
		}
		for range rapid.IntRange(0, 20).Draw(t, "before") {
			change()
		}
		for range 2 {
			want, got := p.state(0), []byte(nil)
			for next, more := p.snapshot(0), true; more; {
				got, more = next(got)
				for range rapid.IntRange(0, 2).Draw(t, "between") {
					change()
				}
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("% x, want % x", got, want)
			}
			if !slices.Equal(p.producers.ids(), plain.ids()) || !bytes.Equal(p.producers.appendTo(nil), plain.appendTo(nil)) {
				t.Fatalf("producers %v, want %v", p.producers.ids(), plain.ids())
			}
			if w := p.producers.oldest; w != nil && w.gone {
				t.Fatal("what was written is still in the list")
			}
		}
	})
}

func TestCatalogIsWrittenInPieces(t *testing.T) {
	o := newOne(t, nil)
	c := o.node.catalog
	if got, want := c.snapshot(0).whole(), c.state(0); !bytes.Equal(got, want) {
		t.Errorf("without topics: %s, want %s", got, want)
	}
	for _, topic := range []string{"a", "b", "c"} {
		o.createPartitions(topic, 3)
	}
	changes := []func(){
		func() { c.renumber(c.topics[1].Partitions[0], 1) },
		func() {
			err := c.alterConfigs(&alterConfigs{Topic: "c", ID: c.byName["c"].id(), Configs: []configValue{{"retention.ms", "1"}}})
			if err != nil {
				t.Error(err)
			}
		},
		func() { c.appendPartitions(c.topics[0], [][]BrokerID{{1}}) },
		func() { c.topics = slices.Delete(c.topics, 1, 2) },
		func() { c.brokers[0].Seq++ },
	}
	want, got, i := c.state(0), []byte(nil), 0
	for next, more := c.snapshot(0), true; more; i++ {
		got, more = next(got)
		if i < len(changes) {
			changes[i]()
		}
	}
	if !bytes.Equal(got, want) || i < 12 {
		t.Errorf("%d pieces: %s, want %s", i, got, want)
	}
	if got, want := c.snapshot(0).whole(), c.state(0); !bytes.Equal(got, want) {
		t.Errorf("later: %s, want %s", got, want)
	}
	if err := newCatalog(o.node).restore([][]byte{got}); err != nil {
		t.Error(err)
	}
}

// partitionOf returns the group and the partition of a topic with one partition.
func (o *one) partitionOf(topic string) (*group, *partition) {
	p := o.node.partitions[o.node.catalog.partition(topic, 0).Group]
	return p.group, p
}

// The state of very many producers is written in many steps, none of which does more than its share, while records go on
// being applied; and a start finds all of them.
func TestLargeStatesTakeManySteps(t *testing.T) {
	const ids = 100_000
	o := newOne(t, func(c *Config) { c.CheckpointEntries, c.CheckStates, c.Log.SegmentBytes = 8, true, 16<<20 })
	o.byHand = true
	o.create("t")
	g, p := o.partitionOf("t")
	for id := range int64(ids) {
		p.producers.addFor(1000+id, p.highWatermark, 0)
		p.highWatermark++
	}
	before, steps, most := o.events[EventCheckpoint], 0, 0
	g.checkpoint()
	for id := int64(0); o.events[EventCheckpoint] == before || g.saving != nil; id++ {
		if id > 0 && id < 20 { // their windows are in the checkpoint, some of them written and some not
			o.tick(Input{Requests: []Request{{Conn: 1, Frame: kafka.AppendRequest(nil, 1, "test", produceRequest("t", 1, batch(1000+id*ids/20, 0, 1, "x")))}}})
		} else {
			o.tick(Input{})
		}
		if w := o.node.out.Work; !w.Within(StepBudget) {
			t.Fatalf("a step did %+v", w)
		}
		most = max(most, o.node.out.Work.Saved)
		if steps++; steps > 10_000 {
			t.Fatal("no checkpoint")
		}
	}
	if steps < ids*savingShare/StepBudget || most < StepBudget/savingShare/2 {
		t.Errorf("%d steps, at most %d pieces in one", steps, most)
	}
	for id := int64(0); id < 20; id++ {
		o.tick(Input{Requests: []Request{{Conn: 1, Frame: kafka.AppendRequest(nil, 1, "test", produceRequest("t", 1, batch(10+id, 0, 1, "x")))}}})
	}
	if n := o.events[EventCheckpoint] - before; n != 1 {
		t.Errorf("%d checkpoints, want the one that was due", n)
	}
	o.node.log.RequestSync()
	for range 10 {
		o.step(Input{})
	}
	want := p.producers.appendTo(nil)
	o.restart()
	if _, p = o.partitionOf("t"); !bytes.Equal(p.producers.appendTo(nil), want) {
		t.Error("the producers are others after a start")
	}
}

// A large state isn't written again for a few entries.
func TestLargeStatesAreWrittenLessOften(t *testing.T) {
	o := newOne(t, func(c *Config) { c.CheckpointEntries, c.CheckpointBytes = 10, 64<<10 })
	o.create("t")
	g, _ := o.partitionOf("t")
	for _, c := range []struct {
		entries    uint64
		bytes      int64
		stateBytes int64
		want       bool
	}{
		{9, 0, 0, false},
		{10, 0, 0, true},
		{0, 64 << 10, 0, true},
		{10, 64 << 10, 64 << 10, true},
		{10, 64 << 10, 64<<10 + 1<<20, false},
		{1<<15 - 1, 4<<20 - 1, 64<<10 + 1<<20, false},
		{1 << 15, 0, 64<<10 + 1<<20, true},
		{0, 4 << 20, 64<<10 + 1<<20, true},
	} {
		g.applied, g.checkpointed, g.bytesSince, g.stateBytes = 1<<20, 1<<20-c.entries, c.bytes, c.stateBytes
		if g.isDue() != c.want {
			t.Errorf("%+v: due %v", c, !c.want)
		}
	}
}

// What another broker sends is decoded by a task if it is large, and refused if it is no state.
func TestLargeSnapshotsAreDecodedByATask(t *testing.T) {
	for _, c := range []struct {
		ids  int64
		task bool
		bad  bool
	}{{10, false, false}, {50_000, true, false}, {10, false, true}, {50_000, true, true}} {
		o := newOne(t, func(c *Config) { c.Log.SegmentBytes, c.Log.PieceBytes = 64<<20, 8<<20 })
		o.create("t")
		g, _ := o.partitionOf("t")
		state := manyProducers(c.ids, 2).state(0)
		if c.bad {
			state = state[:len(state)-1]
		}
		data := o.node.packer.encodeCheckpoint(checkpoint{conf: g.conf, state: state})
		index, term := uint64(1000), g.term
		message := &pb.Message{
			Type: pb.MsgSnap.Enum(), From: &g.self, To: &g.self, Term: &term,
			Snapshot: &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: &index, Term: &term, ConfState: g.conf}},
		}
		in := &incoming{from: 9, size: uint64(len(data)), sum: crc32.Checksum(data, castagnoli), message: message}
		g.incoming = in
		piece := appendBytes([]byte{byte(g.id), 0xe8, 0x07, 0}, data)
		o.node.begin(&Input{Now: o.now})
		o.node.receivePiece(9, newReader(piece))
		tasks := slices.Clone(o.node.out.Tasks)
		if len(tasks) != btoi(c.task) || !o.node.out.Work.Within(StepBudget) {
			t.Fatalf("%+v: %d tasks, %+v", c, len(tasks), o.node.out.Work)
		}
		for i := range tasks {
			o.node.did(tasks[i].Do())
		}
		if refused := len(g.decoded) == 0; g.incoming != nil || refused != c.bad {
			t.Errorf("%+v: refused %v", c, refused)
		}
		if !c.bad && len(g.decoded[0].machine.(*partition).producers.byID) != int(c.ids) {
			t.Errorf("%+v: producers are missing", c)
		}
	}
}

// withheld steps a node without time, in which nobody asks whether the replicas are wanted, and holds back the packing of
// checkpoints.
type withheld struct {
	*one
	held []Task
}

func (w *withheld) quiet() {
	w.t.Helper()
	for range 100 {
		out := w.node.Step(&Input{Now: w.now, Results: w.results, Done: w.done})
		w.results, w.done = nil, nil
		for _, task := range out.Tasks {
			if task.Kind == TaskRepack {
				w.held = append(w.held, task)
			} else {
				w.done = append(w.done, task.Do())
			}
		}
		for _, op := range out.Ops {
			w.results = append(w.results, wal.Do(w.dir, op))
		}
		if len(w.results)+len(w.done) == 0 && out.Wake > w.now {
			return
		}
	}
	w.t.Fatal("it doesn't come to rest")
}

func (w *withheld) letGo() {
	for len(w.held) > 0 {
		w.done, w.held = append(w.done, w.held[0].Do()), w.held[1:]
		w.quiet()
	}
}

// A checkpoint for a follower has the replicas of the entry that it names, even if raft asks for it while it applies a
// change of them: whoever takes it skips the changes up to that entry.
func TestPackedReplicasAreOfTheirEntry(t *testing.T) {
	o := newOne(t, func(c *Config) { c.CheckpointEntries, c.RetainEntries, c.StepBudget = 1, 1, 1 })
	o.create("t")
	for i := range 5 {
		o.produce("t", plain(fmt.Sprint(i)))
		o.step(Input{})
	}
	g, _ := o.partitionOf("t")
	g.propose(logStartCommand(4), func(any, error) {})
	for range 10 {
		o.step(Input{})
	}
	if first, _ := g.view.FirstIndex(); first < 3 {
		t.Fatalf("the log begins at %d", first)
	}
	w := &withheld{one: o}
	add := func(id uint64) {
		t.Helper()
		g.proposeConf([]*pb.ConfChangeSingle{change(pb.ConfChangeAddLearnerNode, id)}, pb.ConfChangeTransitionAuto)
		if w.quiet(); !slices.Contains(g.conf.Learners, id) {
			t.Fatalf("replicas %v", g.conf)
		}
	}
	first, second := raftID(7, 1), raftID(8, 1)
	add(first)
	last, none := uint64(0), uint64(0)
	g.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		if id == first {
			last = pr.Next - 1
		}
	})
	g.step(&pb.Message{Type: pb.MsgAppResp.Enum(), From: &first, To: &g.self, Term: &g.term, Index: &last, Reject: new(true), RejectHint: &none, LogTerm: &none})
	if w.quiet(); len(w.held) != 1 {
		t.Fatalf("%d checkpoints are packed", len(w.held))
	}
	add(second)
	w.letGo()
	g.step(&pb.Message{Type: pb.MsgHeartbeatResp.Enum(), From: &second, To: &g.self, Term: &g.term})
	w.quiet()
	w.letGo()
	if g.outgoing == nil || g.outgoing.data == nil {
		t.Fatal("nothing is sent")
	}
	c, err := o.node.packer.decodeCheckpoint(g.outgoing.data)
	if err != nil || c.confIndex != g.confIndex || !slices.Equal(c.conf.Learners, g.conf.Learners) {
		t.Errorf("replicas %v of entry %d, want %v of %d: %v", c.conf, c.confIndex, g.conf, g.confIndex, err)
	}
}

// A small checkpoint of another broker that raft refuses doesn't give up the large one of this broker that is being staged
// meanwhile: its group would never write one again.
func TestARefusedCheckpointLeavesTheOwnOne(t *testing.T) {
	o := newOne(t, func(c *Config) { c.Log.PieceBytes = 100 })
	o.create("t")
	g := o.node.byID[o.node.catalog.byName["t"].Partitions[0].Group]
	term, _ := o.node.log.Term(g.id, g.applied)
	whole := false
	g.stage(wal.Checkpoint{Index: g.applied, Term: term, Data: make([]byte, 2000)}, func() { whole = true })
	g.decoded = []decoded{{index: 1}}
	g.touch()
	for range 100 {
		o.step(Input{})
	}
	if !whole || len(g.decoded) > 0 {
		t.Errorf("staged: %v, and %d of others are left", whole, len(g.decoded))
	}
}
