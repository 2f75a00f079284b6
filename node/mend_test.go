// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chronik/wal"
)

// remains is what a stopped broker leaves.
func (c *many) remains(id BrokerID) *Remains {
	m := c.nodes[id]
	r := &Remains{Cluster: m.cfg.ClusterID, LogCluster: m.cfg.LogCluster, Broker: id, Incarnation: m.cfg.Incarnation, Files: m.dir}
	for _, o := range m.cfg.Members {
		if o.ID == id {
			r.Folder = o.Folder
		}
	}
	return r
}

func (c *many) plan(skip []SkippedEntry, ids ...BrokerID) *Mending {
	c.t.Helper()
	var left []*Remains
	for _, id := range ids {
		left = append(left, c.remains(id))
	}
	plan, err := PlanMending(left, "mended", skip, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return plan
}

// mend carries a plan out on the brokers whose folders are left, and starts them.
func (c *many) mend(plan *Mending) {
	c.t.Helper()
	for _, b := range plan.Brokers {
		if err := Mend(plan, c.remains(b.Broker)); err != nil {
			c.t.Fatal(err)
		}
	}
	for _, b := range plan.Brokers {
		m := c.nodes[b.Broker]
		m.cfg.ClusterID, m.cfg.LogCluster = plan.NewCluster, plan.Cluster
		c.start(b.Broker)
	}
}

// killAll kills all brokers.
func (c *many) killAll() {
	for _, id := range c.ids {
		c.kill(id)
	}
}

// holds reports whether some brokers have everything up to an offset.
func (c *many) holds(topic string, end int64, ids ...BrokerID) bool {
	return !slices.ContainsFunc(ids, func(id BrokerID) bool {
		v, ok := c.view(id, topic)
		return !ok || v.HighWatermark < end
	})
}

// allVote reports whether all brokers have a replica of a group that votes.
func (c *many) allVote(group GroupID) bool {
	return !slices.ContainsFunc(c.ids, func(id BrokerID) bool { return c.nodes[id].node.group(group) == nil || !c.votes(id, group) })
}

// TestMendAfterTheLossOfAMajority loses two of three disks. The third goes on with all that the plan says, in later leader
// epochs; an old disk is refused; and the two others come back as after the loss of one.
func TestMendAfterTheLossOfAMajority(t *testing.T) {
	c := newMany(t, 3, small)
	c.create("t", 1, 2, 3)
	c.create("other", 2, 3)
	wrote, want := values(0, 60)
	c.produce("t", wrote...)
	c.until("broker 1 has all", func() bool { return c.holds("t", 60, 1) })
	before, _ := c.view(1, "t")
	c.killAll()
	plan := c.plan(nil, 1)
	if diff := cmp.Diff([]BrokerID{2, 3}, plan.Lost); diff != "" || plan.Catalog.Quorum || len(plan.Partitions) != 2 {
		t.Fatalf("%s %+v", diff, plan)
	}
	if other, p := plan.Partitions[0], plan.Partitions[1]; other.From != -1 || p.From != 1 || p.End != 60 || p.Start != 0 || p.Committed > 60 {
		t.Fatalf("%+v", plan.Partitions)
	}
	c.mend(plan)
	c.until("broker 1 leads", func() bool { return c.leader("t") == 1 })
	if diff := cmp.Diff(want, c.read("t", 0)); diff != "" {
		t.Fatal(diff)
	}
	if after, _ := c.view(1, "t"); after.Term < before.Term+mendTerms || len(after.Voters) != 1 {
		t.Fatalf("%+v, then %+v", before, after)
	}
	c.nodes[3].mayEnd = true
	c.start(3)
	c.until("an old disk is refused", func() bool { return c.nodes[3].end != nil })
	for id := BrokerID(2); id <= 3; id++ {
		c.add(id, 1, 7)
	}
	more, wantMore := values(60, 20)
	c.produce("t", more...)
	group := c.nodes[1].node.catalog.partition("t", 0).Group
	c.until("there are three replicas again", func() bool { return c.allVote(group) && c.allVote(0) })
	c.kill(1)
	if diff := cmp.Diff(append(want, wantMore...), c.read("t", 0)); diff != "" {
		t.Fatal(diff)
	}
}

// TestMendKeepsTheNewestReplica leaves two of five disks, of which one has missed what the other has.
func TestMendKeepsTheNewestReplica(t *testing.T) {
	c := newMany(t, 5, small)
	c.create("t", 1, 2, 3, 4, 5)
	early, want := values(0, 10)
	c.produce("t", early...)
	c.kill(1)
	late, wantLate := values(10, 30)
	c.produce("t", late...)
	c.until("broker 2 has all", func() bool { return c.holds("t", 40, 2) })
	c.killAll()
	plan := c.plan(nil, 1, 2)
	if p := plan.Partitions[0]; p.From != 2 || p.End != 40 || len(p.Others) != 1 || plan.Catalog.From != 2 {
		t.Fatalf("%+v", plan)
	}
	c.mend(plan)
	c.until("broker 1 has all", func() bool { return c.holds("t", 40, 1) })
	if diff := cmp.Diff(append(want, wantLate...), c.read("t", 0)); diff != "" {
		t.Fatal(diff)
	}
}

// TestMendRefuses lists what mending refuses.
func TestMendRefuses(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 1, 2, 3)
	c.produce("t", "a")
	c.killAll()
	if _, err := PlanMending([]*Remains{c.remains(1), c.remains(2)}, "mended", nil, nil); !errors.Is(err, ErrWhole) {
		t.Error(err)
	}
	for want, left := range map[string][]*Remains{
		"two of the folders are of broker 1": {c.remains(1), c.remains(1)},
		"name the data folders":              nil,
	} {
		if _, err := PlanMending(left, "mended", nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, not %q", err, want)
		}
	}
	plan := c.plan(nil, 1)
	if err := Mend(plan, c.remains(2)); err == nil || !strings.Contains(err.Error(), "not about this data folder") {
		t.Error(err)
	}
	c.start(1)
	c.start(2)
	c.produce("t", "b")
	c.until("broker 1 has it", func() bool { return c.holds("t", 2, 1) })
	if err := Mend(plan, c.remains(1)); err == nil || !strings.Contains(err.Error(), "make a new plan") {
		t.Error(err)
	}
}

// dyingFS fails after some bytes, as a process that is killed leaves a disk.
type dyingFS struct {
	memDir
	left *int
}

var errKilled = errors.New("killed")

func (d dyingFS) Open(name string) (wal.File, error)   { return d.file(d.memDir.Open(name)) }
func (d dyingFS) Create(name string) (wal.File, error) { return d.file(d.memDir.Create(name)) }

func (d dyingFS) file(f wal.File, err error) (wal.File, error) { return dyingFile{f, d.left}, err }

type dyingFile struct {
	wal.File
	left *int
}

func (f dyingFile) WriteAt(p []byte, off int64) (int, error) {
	if n := *f.left; len(p) > n {
		*f.left = 0
		_, _ = f.File.WriteAt(p[:n], off)
		return 0, errKilled
	}
	*f.left -= len(p)
	return f.File.WriteAt(p, off)
}

// restoreFrom gives a broker a copy of a disk, from before it was mended.
func (m *member) restoreFrom(was memDir) {
	m.dir, m.cfg.ClusterID, m.cfg.LogCluster = memDir{}, "test", ""
	for name, f := range was {
		m.dir[name] = &memFile{b: slices.Clone(f.b)}
	}
}

// TestMendAgainAfterACrash kills it after each so many bytes.
func TestMendAgainAfterACrash(t *testing.T) {
	c := newMany(t, 3, small)
	c.create("t", 1, 2, 3)
	wrote, want := values(0, 30)
	c.produce("t", wrote...)
	c.until("broker 1 has all", func() bool { return c.holds("t", 30, 1) })
	c.killAll()
	plan, was, cut := c.plan(nil, 1), c.nodes[1].dir, 0
	for bytes := 0; ; bytes += 64 {
		c.nodes[1].restoreFrom(was)
		r, left := c.remains(1), bytes
		r.Files = dyingFS{c.nodes[1].dir, &left}
		if Mend(plan, r) == nil {
			break
		}
		cut++
		if bytes%256 == 0 { // and once more
			left = bytes / 2
			_ = Mend(plan, r)
		}
		c.mend(plan)
		c.until("broker 1 leads", func() bool { return c.leader("t") == 1 })
		if diff := cmp.Diff(want, c.read("t", 0)); diff != "" {
			t.Fatalf("after %d bytes: %s", bytes, diff)
		}
		c.kill(1)
	}
	if cut < 10 {
		t.Fatalf("only %d crashes", cut)
	}
}

// TestMendWithoutAnEntry leaves out an entry.
func TestMendWithoutAnEntry(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 1, 2, 3)
	c.produce("t", "a", "b", "c")
	c.until("all have all", func() bool { return c.holds("t", 3, c.ids...) })
	v, _ := c.view(1, "t")
	c.killAll()
	for _, bad := range []uint64{v.LastIndex + 1, 0} {
		if _, err := PlanMending([]*Remains{c.remains(1), c.remains(2)}, "mended", []SkippedEntry{{Group: v.Group, Index: bad}}, nil); err == nil {
			t.Errorf("entry %d was left out", bad)
		}
	}
	plan := c.plan([]SkippedEntry{{Group: v.Group, Index: v.LastIndex - 1}}, 1, 2, 3)
	if len(plan.Lost) > 0 || len(plan.Partitions) != 1 {
		t.Fatalf("%+v", plan)
	}
	c.mend(plan)
	c.until("somebody leads", func() bool { return c.leader("t") > 0 })
	if got := fmt.Sprint(c.read("t", 0)); got != "[0=a 1=c]" {
		t.Fatal(got)
	}
	c.until("there are three replicas again", func() bool { return c.allVote(v.Group) })
}

// TestWhatIsLeft reads what a stopped broker's folder holds, to its end and as far as it is known to be committed.
func TestWhatIsLeft(t *testing.T) {
	c := newMany(t, 3, small)
	c.create("t", 1, 2, 3)
	wrote, _ := values(0, 40)
	c.produce("t", wrote...)
	c.until("broker 1 has all", func() bool { return c.holds("t", 40, 1) })
	v, _ := c.view(1, "t")
	c.killAll()
	files := len(c.nodes[1].dir)
	e, err := examine(c.remains(1), nil)
	if err != nil || e.wrong != nil {
		t.Fatal(err, e.wrong)
	}
	if err := e.readPartitions(e.catalog, nil); err != nil {
		t.Fatal(err)
	}
	r := e.found[v.Group]
	if r.wrong != nil || r.self != v.Self || r.state.Last != v.LastIndex || r.committed > 40 || r.end != 40 || len(r.conf.Voters) != 3 {
		t.Errorf("%+v", r)
	}
	r.on.Incarnation = 7
	if err := e.readPartitions(e.catalog, nil); err == nil {
		t.Error("a folder that the broker had before counts")
	}
	if len(c.nodes[1].dir) != files {
		t.Error("the folder was changed")
	}
}

// An entry that breaks an invariant when it is applied is named, so that it can be left out.
func TestMendNamesAnEntryThatStopsBrokers(t *testing.T) {
	n := newMany(t, 1, nil).nodes[1].node
	_, err := n.tryGroup(func() (*group, error) {
		n.opening = &group{id: 12, applied: 3455}
		panic("broken invariant")
	})
	if err == nil || err.Error() != "entry 3456 of group 12 stops the broker that applies it (broken invariant)" {
		t.Fatal(err)
	}
	m := &Mending{Partitions: []MendedPartition{{Topic: "t", Damaged: []string{"broker 1: " + err.Error()}}}}
	if !strings.Contains(m.hopeless().Error(), "entry 3456 of group 12") {
		t.Fatal(m.hopeless())
	}
}

// spoilCatalog changes a byte in each record about the catalog in segments that have ended.
func spoilCatalog(t *testing.T, dir memDir) {
	t.Helper()
	newest := uint64(0)
	spoiled := func(change bool) {
		for name := range dir {
			var at []wal.Place
			h, _, err := wal.Dump(dir, name, func(p wal.Place, rec *wal.Record) error {
				if rec.Group == 0 && (rec.Type == wal.RecordCheckpoint || rec.Type == wal.RecordEntry) {
					at = append(at, p)
				}
				return nil
			})
			if errors.Is(err, wal.ErrMissing) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range at {
				if change && h.Sequence < newest {
					dir[name].b[p.Off+int64(p.Size)/2] ^= 1
				}
			}
			newest = max(newest, h.Sequence)
		}
	}
	spoiled(false)
	spoiled(true)
}

// TestMendWithACatalogThatCantBeRead takes the catalog from one broker, where it can be read, and a partition from the other.
func TestMendWithACatalogThatCantBeRead(t *testing.T) {
	c := newMany(t, 3, small)
	c.create("t", 1, 2, 3)
	end := 0
	for ; end < 600; end++ {
		vs, _ := values(end, 1)
		c.produce("t", vs...)
		was := c.nodes[1].dir
		c.nodes[1].restoreFrom(was)
		spoilCatalog(t, c.nodes[1].dir)
		if e, err := examine(c.remains(1), nil); err == nil && e.wrong != nil && c.holds("t", int64(end+1), 1) {
			break
		}
		c.nodes[1].dir = was
	}
	if end == 600 {
		t.Fatal("the newest segment always had the catalog")
	}
	_, want := values(0, end+1)
	c.killAll()
	plan := c.plan(nil, 1, 2)
	if plan.Catalog.From != 2 || plan.Brokers[0].Wrong == "" || plan.Brokers[1].Wrong != "" || plan.Whole != 1 {
		t.Fatalf("%+v", plan)
	}
	c.mend(plan)
	c.until("somebody leads", func() bool { return c.leader("t") > 0 })
	if diff := cmp.Diff(want, c.read("t", 0)); diff != "" {
		t.Fatal(diff)
	}
}
