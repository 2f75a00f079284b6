// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/sim/keyed"
)

// strangeSession makes a third of an attacker's fetches ones of a session (KIP-227) that isn't there, is another client's, or
// is at another epoch; that forget what they never named; or that open or end one. Brokers number sessions from 1 on, so a
// low number is often that of a polite client.
func strangeSession(d keyed.Draw, req *kmsg.FetchRequest) {
	if !d.Ratio(1, 3) {
		return
	}
	d = d.Next()
	kind := d.Below(6)
	d = d.Next()
	req.SessionID, req.SessionEpoch = int32(d.Between(1, 8)), int32(d.Next().Between(1, 4))
	switch kind {
	case 0: // opens one
		req.SessionID, req.SessionEpoch = 0, 0
	case 1: // in place of one
		req.SessionEpoch = 0
	case 2: // ends one
		req.SessionEpoch = -1
	case 3: // numbers from the edge
		req.SessionID, req.SessionEpoch = math.MinInt32, math.MaxInt32
		if d.Ratio(1, 2) {
			req.SessionID, req.SessionEpoch = math.MaxInt32, math.MinInt32
		}
	}
	if kind < 3 || len(req.Topics) == 0 {
		return
	}
	t := kmsg.NewFetchRequestForgottenTopic()
	t.Topic, t.Partitions = req.Topics[0].Topic, []int32{-1, 0, 0, math.MaxInt32}
	req.ForgottenTopics = append(req.ForgottenTopics, t)
	if d.Next().Next().Ratio(1, 2) {
		req.Topics = nil
	}
}
