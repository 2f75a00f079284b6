// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"testing"
	"time"

	"chronik/kafka"
	"chronik/wal"
)

// BenchmarkProduce measures what the nodes of a cluster of three cost per request: 64 connections,
// one batch of one 256-byte record in flight each, network and disk for nothing.
func BenchmarkProduce(b *testing.B) {
	c := newMany(&testing.T{}, 3, func(cfg *Config) { cfg.Log = wal.Options{}; cfg.HotEntries = 1000 })
	c.create("t", 1, 2, 3)
	leader := c.nodes[c.leader("t")]
	batch := plain(fmt.Sprintf("%0256d", 7))
	var frames [64][]byte
	for i := range frames {
		frames[i] = kafka.AppendRequest(nil, int32(i), "bench", produceRequest("t", -1, batch))
	}
	leader.replies, c.noDisk = nil, true
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += len(frames) {
		for i := range frames {
			leader.in.Requests = append(leader.in.Requests, Request{Conn: ConnID(i + 10), Frame: append([]byte(nil), frames[i]...)})
		}
		for len(leader.replies) < len(frames) {
			c.now = c.now.Add(-4 * time.Millisecond) // ticks are not what is measured
			c.round()
		}
		leader.replies = leader.replies[:0]
	}
}
