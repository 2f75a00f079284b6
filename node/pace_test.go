// SPDX-License-Identifier: Apache-2.0

package node

import (
	"strings"
	"testing"
	"time"
)

// TestCatchUpIsPaced lets a follower catch up on 300 KB at 100 KB a second, which the leader has in memory or
// reads back.
func TestCatchUpIsPaced(t *testing.T) {
	for _, hot := range []int{10, 1000} {
		c, behind := newBehind(t, hot)
		before := c.now
		c.until("it has caught up", func() bool { v, _ := c.view(behind, "t"); return v.HighWatermark == 450 })
		if took := c.now.Sub(before); took < 2*time.Second || took > 5*time.Second {
			t.Errorf("with %d entries in memory it took %v, want about 3 s", hot, took)
		}
	}
}

// TestCatchUpUnderLoad lets a follower catch up although more is written than the pace of catching up, half
// a megabyte a second.
func TestCatchUpUnderLoad(t *testing.T) {
	for _, hot := range []int{10, 1000} {
		c, behind := newBehind(t, hot)
		begin := c.now
		for next := int64(450); ; next++ {
			v, _ := c.view(behind, "t")
			if v.HighWatermark >= next-20 { // twice what is in memory
				break
			}
			if c.now.Sub(begin) > 10*time.Second {
				t.Fatalf("with %d entries in memory: after 10 s the follower lacks %d of %d records", hot, next-v.HighWatermark, next)
			}
			c.produce("t", strings.Repeat("x", 6000))
		}
	}
}

// newBehind is three brokers one of which lacks 300 KB, which it gets at 100 KB a second.
func newBehind(t *testing.T, hotEntries int) (c *many, behind BrokerID) {
	c = newMany(t, 3, func(cfg *Config) {
		cfg.HotEntries, cfg.ColdReadBytes, cfg.CatchUpBytesPerSecond = hotEntries, 100_000, 100_000
	})
	c.create("t", 1, 2, 3)
	behind = c.leader("t")%3 + 1
	c.nodes[behind].cut = true
	vs, _ := values(0, 450)
	c.produce("t", vs...)
	c.nodes[behind].cut = false
	return c, behind
}
