// SPDX-License-Identifier: Apache-2.0

package node

import (
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// pass lets a time go by.
func (c *many) pass(d time.Duration) {
	for end := c.now.Add(d); c.now < end; {
		c.round()
	}
}

// aged makes a cluster with a topic whose records live for a minute, and writes some.
func aged(t *testing.T) *many {
	c := newMany(t, 3, func(cfg *Config) { cfg.RetentionMs, cfg.ClockPatience = time.Minute.Milliseconds(), 20*time.Second })
	c.create("t", 1, 2, 3)
	c.produce("t", "a", "b", "c")
	return c
}

// kept reports how many records can be read.
func (c *many) kept() int {
	v, _ := c.view(c.leader("t"), "t")
	return len(c.read("t", v.LogStart))
}

// One clock that is wrong deletes nothing, by however much and for however long, be it the leader's; and what it
// stamped goes when its time has come.
func TestOneClockIsNotBelieved(t *testing.T) {
	for _, ahead := range []time.Duration{time.Minute, 8 * 24 * time.Hour, 100 * 365 * 24 * time.Hour, -8 * 24 * time.Hour} {
		for _, lasts := range []time.Duration{4 * time.Second, 45 * time.Second} {
			c := aged(t)
			c.nodes[c.leader("t")].aheadMs = ahead.Milliseconds()
			c.pass(2 * time.Second)
			c.produce("t", "d")
			c.pass(lasts)
			if got := c.kept(); got != 4 {
				t.Errorf("a clock %v off for %v left %d of 4 records", ahead, lasts, got)
			}
			for _, m := range c.nodes {
				m.aheadMs = 0
			}
			c.pass(3 * time.Minute)
			if got := c.kept(); got != 0 {
				t.Errorf("a clock %v off for %v keeps %d records beyond their time", ahead, lasts, got)
			}
		}
	}
}

// A wrong clock is not believed because others can't be heard: with one broker of three away, the two others
// contradict each other, and what is written meanwhile lives as long as it should.
func TestWrongClockAndBrokerAway(t *testing.T) {
	for _, off := range []time.Duration{-8 * 24 * time.Hour, 8 * 24 * time.Hour} {
		c := aged(t)
		leader := c.leader("t")
		wrong, away := leader%3+1, (leader+1)%3+1
		c.nodes[wrong].aheadMs = off.Milliseconds()
		c.kill(away)
		c.pass(50 * time.Second) // longer than it takes to believe a jump
		c.produce("t", "d")
		c.start(away)
		c.pass(50 * time.Second)
		if c.kept() == 0 { // the index is sparse, so the older ones may be there, too
			t.Errorf("a clock %v off and a broker away left no record, not even that of the last minute", off)
		}
		c.pass(time.Minute)
		if got := c.kept(); got != 0 {
			t.Errorf("a clock %v off and a broker away keep %d records beyond their time", off, got)
		}
	}
}

// A restart while most clocks are wrong is no shorter way to be believed.
func TestRestartAmongWrongClocks(t *testing.T) {
	c := aged(t)
	c.pass(30 * time.Second)
	for _, id := range c.ids {
		c.nodes[id].aheadMs = (24 * time.Hour).Milliseconds()
		c.kill(id)
	}
	for _, id := range c.ids {
		c.start(id)
	}
	c.until("there is a leader", func() bool { return c.leader("t") >= 0 })
	c.pass(5 * time.Second)
	if got := c.kept(); got != 3 {
		t.Errorf("%d of 3 records are left", got)
	}
}

// A jump that a majority shows is believed once it has lasted.
func TestJumpOfMostClocks(t *testing.T) {
	c := aged(t)
	for _, id := range []BrokerID{1, 2} {
		c.nodes[id].aheadMs = (24 * time.Hour).Milliseconds()
	}
	c.pass(10 * time.Second)
	if got := c.kept(); got != 3 {
		t.Errorf("%d of 3 records after 10 s of a wrong time", got)
	}
	c.pass(20 * time.Second)
	if got := c.kept(); got != 0 {
		t.Errorf("%d records although most clocks agreed for half a minute", got)
	}
}

// A wrong clock makes no records too old or too new: of two brokers, or of three while one is away, and in the first hour, in
// which most clocks are believed at once.
func TestWrongClockRefusesNoRecord(t *testing.T) {
	for _, off := range []int64{math.MinInt64 / 2, -50 * 365 * 24 * 3_600_000, 50 * 365 * 24 * 3_600_000, math.MaxInt64 / 2} {
		for brokers := 2; brokers <= 3; brokers++ {
			c := newMany(t, brokers, func(cfg *Config) { cfg.TimestampBeforeMaxMs = 24 * 3_600_000 })
			c.create("t", 1, 2)
			leader := c.leader("t")
			c.nodes[3-leader].aheadMs = off
			if brokers == 3 {
				c.kill(3)
			}
			send := func(ms int64) string {
				spec := kafka.NewBatchSpec(kafka.Record{Value: []byte("v")})
				spec.FirstTimestamp = ms
				p := c.ask(leader, produceRequest("t", -1, kafka.AppendBatch(nil, spec))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
				return kafka.CodeName(p.ErrorCode)
			}
			for range 30 {
				c.pass(200 * time.Millisecond)
				if code := send(c.unixMs); code != "NONE" {
					t.Fatalf("of %d brokers one has a clock %d ms off, and a record of now is answered %s", brokers, off, code)
				}
			}
			c.nodes[3-leader].aheadMs = 0
			c.pass(4 * time.Second)
			for _, ms := range []int64{c.unixMs - 2*24*3_600_000, c.unixMs + 2*3_600_000} {
				if code := send(ms); code != "INVALID_TIMESTAMP" {
					t.Errorf("with right clocks a record of %d ms later is answered %s", ms-c.unixMs, code)
				}
			}
		}
	}
}

// A broker that has just started, and whose clock is wrong, leads a partition that only it has before it hears of other clocks.
func TestWrongClockRefusesNoRecordAtStart(t *testing.T) {
	for _, off := range []int64{-50 * 365 * 24 * 3_600_000, 50 * 365 * 24 * 3_600_000} {
		c := newMany(t, 3, func(cfg *Config) { cfg.TimestampBeforeMaxMs = 24 * 3_600_000 })
		c.create("t", 1)
		c.kill(1)
		c.nodes[1].aheadMs, c.nodes[1].cut = off, true
		c.start(1)
		g := c.groupOf("t")
		c.until("it leads t", func() bool { v := c.nodes[1].node.partitions[g]; return v != nil && v.leads() })
		spec := kafka.NewBatchSpec(kafka.Record{Value: []byte("v")})
		spec.FirstTimestamp = c.unixMs
		p := c.ask(1, produceRequest("t", -1, kafka.AppendBatch(nil, spec))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if p.ErrorCode != 0 {
			t.Errorf("with a clock %d ms off a record of now is answered %s", off, kafka.CodeName(p.ErrorCode))
		}
	}
}

// A broker that isn't registered says nothing about the time: the majority is one of those that are.
func TestClocksOfStrangers(t *testing.T) {
	o := newOne(t, nil)
	o.pass(5e9)
	want := o.node.clock.earliest.offset
	o.node.addPeer(2)
	for range 100 {
		o.node.receiveClock(2, 1e15)
		o.pass(1e8)
	}
	if got := o.node.clock; got.earliest.offset != want || got.latest.offset != want {
		t.Errorf("the time was %d, and is %d to %d", want, got.earliest.offset, got.latest.offset)
	}
}
