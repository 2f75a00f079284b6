// SPDX-License-Identifier: Apache-2.0

package node

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRetention(t *testing.T) {
	c := newMany(t, 1, func(cfg *Config) { small(cfg); cfg.RetentionMs = 5000 })
	c.create("t", 1)
	vs, _ := values(0, 200)
	c.produce("t", vs...)
	for range 1300 { // 6.5 s
		c.round()
	}
	vs, want := values(200, 100)
	c.produce("t", vs...)
	c.until("old records are gone", func() bool { v, _ := c.view(1, "t"); return v.LogStart == 200 })
	if diff := cmp.Diff(want, c.read("t", 200)); diff != "" {
		t.Error(diff)
	}
	if v, _ := c.view(1, "t"); v.FirstIndex < 150 {
		t.Errorf("the log still begins at entry %d", v.FirstIndex)
	}
}

func TestRetentionBytes(t *testing.T) {
	c := newMany(t, 1, func(cfg *Config) { small(cfg); cfg.RetentionBytes = 100_000 })
	c.create("t", 1)
	vs, _ := values(0, 600)
	c.produce("t", vs...)
	for range 300 {
		c.round()
	}
	v, _ := c.view(1, "t")
	if kept := (600 - v.LogStart) * 670; kept < 100_000 || kept > 180_000 {
		t.Errorf("about %d bytes are kept, from offset %d on", kept, v.LogStart)
	}
}
