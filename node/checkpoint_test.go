// SPDX-License-Identifier: Apache-2.0

package node

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

func TestOpenFromCheckpoints(t *testing.T) {
	c := newMany(t, 1, small)
	c.create("t", 1)
	vs, want := values(0, 300)
	c.produce("t", vs...)
	for range 2 {
		c.kill(1)
		c.start(1)
		c.until("it leads again", func() bool { return c.leader("t") == 1 })
		if diff := cmp.Diff(want, c.read("t", 0)); diff != "" {
			t.Fatal(diff)
		}
	}
	if n := c.nodes[1].events[EventCheckpoint]; n < 10 {
		t.Errorf("%d checkpoints", n)
	}
}

// TestFollowerBehindTheLogStart cuts a broker off while the log moves beyond what it has. It gets
// the state at the log's start, in pieces, and then the entries; the producer's window is in it.
func TestFollowerBehindTheLogStart(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { small(cfg); cfg.ReplicationBytes = 100 })
	c.create("t", 1, 2, 3)
	req := produceRequest("t", -1, batch(7, 0, 0, "first"))
	c.ask(c.leader("t"), req)
	behind := c.leader("t")%3 + 1
	c.nodes[behind].cut = true
	vs, want := values(1, 200)
	c.produce("t", vs...)
	c.deleteRecords("t", 150)
	vs, more := values(201, 50)
	c.produce("t", vs...)
	want = append(want, more...)
	c.nodes[behind].cut = false
	c.until("the broker has caught up", func() bool {
		v, _ := c.view(behind, "t")
		return v.HighWatermark == 251
	})
	if c.nodes[behind].events[EventSnapshotInstalled] == 0 {
		t.Error("it caught up without a checkpoint")
	}
	for _, other := range []BrokerID{1, 2, 3} { // it has to lead on its own knowledge
		if other != behind {
			c.nodes[other].cut = other == c.leader("t") && other != behind
		}
	}
	c.until("another leads", func() bool { return c.leader("t") > 0 })
	if diff := cmp.Diff(want[149:], c.read("t", 150)); diff != "" {
		t.Error(diff)
	}
	if p := c.ask(c.leader("t"), fetchRequest("t", 149)).(*kmsg.FetchResponse).Topics[0].Partitions[0]; p.ErrorCode != kerr.OffsetOutOfRange.Code || p.LogStartOffset != 150 {
		t.Errorf("below the start: %s, log start %d", kafka.CodeName(p.ErrorCode), p.LogStartOffset)
	}
	p := c.ask(c.leader("t"), produceRequest("t", -1, batch(7, 0, 0, "first"))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	if p.BaseOffset != 0 || p.ErrorCode != 0 {
		t.Errorf("a retry after everything: offset %d, %s; want its old offset 0", p.BaseOffset, kafka.CodeName(p.ErrorCode))
	}
}
