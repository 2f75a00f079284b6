// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// rot changes a byte of every record of a group's entry on a broker's disk.
func (c *many) rot(id BrokerID, value string) {
	found := false
	for _, f := range c.nodes[id].dir {
		for at := 0; ; {
			i := strings.Index(string(f.b[at:]), value)
			if i < 0 {
				break
			}
			at += i + len(value)
			f.b[at-1] ^= 1
			found = true
		}
	}
	if !found {
		c.t.Fatalf("%q is not on the disk of broker %d", value, id)
	}
}

// TestDamagedReplicaIsReplaced lets a record rot on the leader's disk. A consumer that asks for it
// gets it from another broker, never what is on that disk, and the replica is made whole.
func TestDamagedReplicaIsReplaced(t *testing.T) {
	c := newMany(t, 3, small)
	c.create("t", 1, 2, 3)
	vs, want := values(0, 200)
	c.produce("t", vs...)
	bad := c.leader("t")
	c.rot(bad, "v50      ")
	c.until("everything is read", func() bool {
		if c.leader("t") < 0 {
			return false
		}
		p := c.ask(c.leader("t"), fetchRequest("t", 50)).(*kmsg.FetchResponse).Topics[0].Partitions[0]
		return p.ErrorCode == 0 && len(p.RecordBatches) > 0
	})
	if c.nodes[bad].events[EventReplicaDamaged] == 0 {
		t.Error("the damage wasn't told of")
	}
	if diff := cmp.Diff(want, c.read("t", 0)); diff != "" {
		t.Error(diff)
	}
	c.until("the replica is whole again", func() bool { v, ok := c.view(bad, "t"); return ok && v.HighWatermark == 200 })
	c.until("it leads again, being preferred", func() bool { return bad != 1 || c.leader("t") == bad })
	if diff := cmp.Diff(want, c.read("t", 0)); diff != "" {
		t.Error("from the new replica: ", diff)
	}
}

// TestDamagedLeaderHandsOver lets a record rot on the leader's disk. Another replica leads without waiting for an election timeout,
// and the broker with the damaged one knows which, long before it has another one.
func TestDamagedLeaderHandsOver(t *testing.T) {
	c := newMany(t, 3, small)
	c.create("t", 1, 2, 3)
	vs, _ := values(0, 200)
	c.produce("t", vs...)
	bad := c.leader("t")
	c.rot(bad, "v50      ")
	c.ask(bad, fetchRequest("t", 50))
	n := c.nodes[bad].node
	began := c.now
	c.until("another replica leads", func() bool { l := c.leader("t"); return l >= 0 && l != bad })
	if took := c.now.Sub(began); took > n.electionTimeout()/2 {
		t.Errorf("that took %v", took)
	}
	named := func() BrokerID {
		leader, _ := n.leaderOf(n.catalog.partition("t", 0))
		return leader
	}
	c.until("the broker with the damaged replica knows", func() bool { return named() == c.leader("t") })
	if v, ok := c.view(bad, "t"); !ok || !v.Closed {
		t.Error("it knows it only from its new replica")
	}
}

func TestDamageOfTheOnlyReplica(t *testing.T) {
	c := newMany(t, 1, small)
	c.create("t", 1)
	vs, want := values(0, 200)
	c.produce("t", vs...)
	c.rot(1, "v50      ")
	fetch := func(offset int64) kmsg.FetchResponseTopicPartition {
		return c.ask(1, fetchRequest("t", offset)).(*kmsg.FetchResponse).Topics[0].Partitions[0]
	}
	if p := fetch(50); p.ErrorCode != kerr.KafkaStorageError.Code {
		t.Errorf("the record that is gone: %s with %d bytes", kafka.CodeName(p.ErrorCode), len(p.RecordBatches))
	}
	if p := fetch(49); p.ErrorCode != 0 || p.HighWatermark != 200 || len(p.RecordBatches) == 0 {
		t.Errorf("the record before it: %s with %d bytes", kafka.CodeName(p.ErrorCode), len(p.RecordBatches))
	}
	if diff := cmp.Diff(want[60:], c.read("t", 60)); diff != "" {
		t.Error("what isn't damaged: ", diff)
	}
}

// TestScrub finds rot that nobody has asked for, and repairs it.
func TestScrub(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { small(cfg); cfg.ScrubBytesPerSecond = 1 << 20 })
	c.create("t", 1, 2, 3)
	vs, want := values(0, 400)
	c.produce("t", vs...)
	bad := c.leader("t")%3 + 1
	c.rot(bad, "v50      ")
	for end := c.now.Add(scrubPause); c.now < end; { // the first round is over, since there was nothing yet
		c.round()
	}
	c.until("the rot is found", func() bool { return c.nodes[bad].events[EventReplicaDamaged] > 0 })
	c.until("the replica is whole again", func() bool {
		v, ok := c.view(bad, "t")
		return ok && v.HighWatermark == 400 && c.votes(bad, 1)
	})
	if diff := cmp.Diff(want, c.read("t", 0)); diff != "" {
		t.Error(diff)
	}
}

// TestDiskFull lets the leader's disk fill up: another broker takes over and clients go on. Then all
// disks are full: writes are refused and reads go on, until there is room again.
func TestDiskFull(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { cfg.HotEntries = 10 })
	c.create("t", 1, 2, 3)
	first := c.leader("t")
	c.nodes[first].full = true
	var want []string
	for i := 0; c.leader("t") == first || c.leader("t") < 0; i++ {
		vs, more := values(len(want), 1)
		c.produce("t", vs...)
		want = append(want, more...)
		if i > 2000 {
			t.Fatal("the broker with the full disk still leads")
		}
	}
	vs, more := values(len(want), 100)
	c.produce("t", vs...)
	want = append(want, more...)

	for _, m := range c.nodes {
		m.full = true
	}
	var refusal int16
	c.until("writes are refused", func() bool {
		c.until("somebody leads", func() bool { return c.leader("t") > 0 })
		p := c.ask(c.leader("t"), produceRequest("t", -1, plain(strings.Repeat("x", 600)))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if p.ErrorCode == 0 {
			want = append(want, fmt.Sprintf("%d=xxxxxxxxxx", p.BaseOffset))
		}
		refusal = p.ErrorCode
		return refusal == kerr.KafkaStorageError.Code
	})
	got := c.read("t", 0)
	if len(got) > len(want) {
		got = got[:len(want)] // what timed out may be there
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("with full disks: ", diff)
	}
	for _, m := range c.nodes {
		m.full = false
	}
	vs, _ = values(0, 100)
	c.produce("t", vs...)
}

// place returns the file and the offset of a group's entry on a broker's disk.
func (c *many) place(id BrokerID, value string) (f *memFile, at int64) {
	for _, f := range c.nodes[id].dir {
		if i := strings.LastIndex(string(f.b), value); i >= 0 {
			return f, int64(i)
		}
	}
	c.t.Fatalf("%q is not on the disk of broker %d", value, id)
	return nil, 0
}

// TestUnreadableReplicaIsReplaced lets a disk refuse to read a sector, which a scrub meets first. It is told from a read that
// fails for another reason.
func TestUnreadableReplicaIsReplaced(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { small(cfg); cfg.ScrubBytesPerSecond = 1 << 20 })
	c.create("t", 1, 2, 3)
	vs, want := values(0, 200)
	c.produce("t", vs...)
	bad := c.leader("t")%3 + 1
	was, _ := c.view(bad, "t")
	f, at := c.place(bad, "v50      ")
	f.bad = at
	c.rounds(int(scrubPause / (5 * time.Millisecond))) // until the next scrub
	c.until("the replica is replaced", func() bool {
		v, ok := c.view(bad, "t")
		return ok && v.Self != was.Self && v.HighWatermark == 200
	})
	if n := c.nodes[bad].events[EventReplicaDamaged]; n != 1 {
		t.Errorf("the damage was told of %d times", n)
	}
	if diff := cmp.Diff(want, c.read("t", 0)); diff != "" {
		t.Error(diff)
	}
}

// TestUnreadableBeside lets a sector be unreadable that holds entries of another partition. Whoever reads what lies on both sides of it
// keeps its replica, and gets everything.
func TestUnreadableBeside(t *testing.T) {
	c := newMany(t, 3, small)
	c.create("t", 1, 2, 3)
	c.create("other", 1, 2, 3)
	var want []string
	for i := range 20 {
		vs, values := values(10*i, 10)
		c.produce("t", vs...)
		c.produce("other", fmt.Sprintf("beside %d ", i))
		want = append(want, values...)
	}
	lead := c.leader("t")
	f, at := c.place(lead, "beside 5 ")
	f.bad = at
	if diff := cmp.Diff(want, c.read("t", 0)); diff != "" {
		t.Error(diff)
	}
	if n := c.nodes[lead].events[EventReplicaDamaged]; n > 0 || c.leader("t") != lead {
		t.Errorf("%d replicas were given up, broker %d leads", n, c.leader("t"))
	}
}

// TestReadsThatFail lets all reads of all brokers fail for a while, as with too many open files. No replica is given up for that,
// clients are told, and all can be read afterwards.
func TestReadsThatFail(t *testing.T) {
	c := newMany(t, 3, small)
	c.create("t", 1, 2, 3)
	vs, want := values(0, 200)
	c.produce("t", vs...)
	fail := func(err error) {
		for _, n := range c.nodes {
			for _, f := range n.dir {
				f.fail = err
			}
		}
	}
	fail(errors.New("too many open files"))
	for range 20 {
		p := c.ask(c.leader("t"), fetchRequest("t", 50)).(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if p.ErrorCode != kerr.KafkaStorageError.Code {
			t.Fatalf("%s with %d bytes", kafka.CodeName(p.ErrorCode), len(p.RecordBatches))
		}
		c.rounds(10)
	}
	fail(nil)
	c.rounds(400)
	if diff := cmp.Diff(want, c.read("t", 0)); diff != "" {
		t.Error(diff)
	}
	for id, n := range c.nodes {
		if told := n.events[EventReadFailed]; n.events[EventReplicaDamaged] > 0 || id == c.leader("t") && (told < 2 || told > 10) {
			t.Errorf("broker %d: %d damaged, %d reads failed", id, n.events[EventReplicaDamaged], told)
		}
	}
}

// TestDamageEverywhere lets the same record rot on all brokers. Each replica that leads is closed when it is asked for it, but it is
// dropped only while a majority is in sync without it: what is well on the others' disks stays there.
func TestDamageEverywhere(t *testing.T) {
	c := newMany(t, 3, small)
	c.create("t", 1, 2, 3)
	vs, _ := values(0, 200)
	c.produce("t", vs...)
	was := make(map[BrokerID]uint64)
	for id := range c.nodes {
		v, _ := c.view(id, "t")
		was[id] = v.Self
		c.rot(id, "v50      ")
	}
	for range 100 {
		if lead := c.leader("t"); lead > 0 {
			c.ask(lead, fetchRequest("t", 50))
		}
		c.rounds(20)
	}
	dropped := 0
	for id := range c.nodes {
		if v, ok := c.view(id, "t"); !ok || v.Self != was[id] {
			dropped++
		}
	}
	if dropped > 1 {
		t.Errorf("%d of 3 replicas were dropped", dropped)
	}
}
