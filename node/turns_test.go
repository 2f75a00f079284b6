// SPDX-License-Identifier: Apache-2.0

package node

import (
	"testing"

	"chronik/kafka"
)

// A group that has more to do in each step than a step may do doesn't keep groups behind it waiting.
func TestBusyGroupsTakeTurns(t *testing.T) {
	o := newOne(t, func(c *Config) { c.StepBudget = 200 })
	busy := []string{"a", "b", "c", "d", "e", "f"}
	for _, topic := range busy {
		o.create(topic)
	}
	o.create("second")
	turn := 0
	flood := func(conn ConnID) Request {
		turn++
		req := produceRequest(busy[turn%len(busy)], acksAll, nil)
		p := req.Topics[0].Partitions[0]
		req.Topics[0].Partitions = nil
		for range 50 {
			p.Records = batch(-1, -1, -1, "a")
			req.Topics[0].Partitions = append(req.Topics[0].Partitions, p)
		}
		return Request{Conn: conn, Frame: kafka.AppendRequest(nil, 1, "flood", req)}
	}
	for range 60 {
		o.tick(Input{Requests: []Request{flood(2), flood(3)}})
	}
	o.replies = nil
	asked := Request{Conn: 1, Frame: kafka.AppendRequest(nil, 1, "test", produceRequest("second", acksAll, batch(-1, -1, -1, "b")))}
	in := Input{Requests: []Request{asked, flood(2), flood(3)}}
	for steps := range 300 {
		o.tick(in)
		for _, r := range o.replies {
			if r.Conn == 1 {
				t.Logf("answered after %d steps", steps)
				return
			}
		}
		in = Input{Requests: []Request{flood(2), flood(3)}}
	}
	t.Fatal("300 steps without an answer, while another partition has too much to do")
}
