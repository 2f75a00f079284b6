// SPDX-License-Identifier: Apache-2.0

package node

import (
	"maps"
	"strings"
	"testing"
)

// TestForeignLog gives brokers each other's logs, and those of another cluster and folder.
func TestForeignLog(t *testing.T) {
	c := newMany(t, 3, nil)
	one, two := c.nodes[1], c.nodes[2]
	cluster, folder := one.cfg, one.cfg
	cluster.ClusterID = "other"
	folder.Members = append([]Member(nil), one.cfg.Members...)
	for i := range folder.Members {
		folder.Members[i].Folder = "0123456789abcdef"
	}
	for want, cfg := range map[string]Config{
		"was written by broker 1:":                               two.cfg,
		"was written by broker 1 of another cluster":             cluster,
		"was written by this broker's id in another data folder": folder,
	} {
		if _, err := Open(cfg, maps.Clone(one.dir), 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
