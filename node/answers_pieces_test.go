// SPDX-License-Identifier: Apache-2.0

package node

import (
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// What an answer will take is estimated in pieces, too, and a client that leaves meanwhile keeps nobody's turn.
func TestEstimatesInPieces(t *testing.T) {
	o := newCrowded(t)
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Version = 5
	for i := range 100_000 {
		req.Groups = append(req.Groups, strconv.Itoa(i))
	}
	frame := kafka.AppendRequest(nil, 1, "crowd", req)
	for conn := range ConnID(40) {
		o.longest = Work{}
		o.step(Input{Requests: []Request{{Conn: 100 + conn, Frame: frame}}})
		for range 3 + conn {
			o.step(Input{})
		}
		o.step(Input{Hangups: []ConnID{100 + conn}})
		if cost := o.longest.Cost(); cost > 2*StepBudget {
			t.Errorf("a step did %+v, %d of %d", o.longest, cost, StepBudget)
		}
	}
	for range 50 {
		o.step(Input{})
	}
	o.replies = nil
	o.step(Input{Requests: []Request{{Conn: 99, Frame: frame}}})
	for i := 0; len(o.replies) == 0 && i < 1000; i++ {
		o.step(Input{})
	}
	if len(o.replies) == 0 {
		t.Fatal("after clients left while their requests were estimated, no large request is served any more")
	}
}
