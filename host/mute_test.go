// SPDX-License-Identifier: Apache-2.0

package host

import (
	"sync/atomic"
	"testing"
	"time"

	"chronik/node"
)

// A muted connection isn't read from until its time is over; others are.
func TestAMutedConnectionIsNotReadFrom(t *testing.T) {
	const mute = 300 * time.Millisecond
	var requests atomic.Int64
	s := serve(t, Limits{}, func(in *node.Input, out *node.Output) {
		echo(in, out)
		for i := range out.Replies {
			if frame := in.Requests[i].Frame; frame[0] == 'm' {
				out.Replies[i].Mute = mute
			}
		}
		requests.Add(int64(len(in.Requests)))
	})
	muted, other := dial(t, s), dial(t, s)
	muted.Write(frame([]byte("mute")))
	mustRead(t, muted)
	begun := time.Now()
	for range 5 {
		muted.Write(frame([]byte("again")))
		other.Write(frame([]byte("other")))
		mustRead(t, other)
	}
	if n := requests.Load(); n != 6 && time.Since(begun) < mute {
		t.Errorf("%d requests were read", n)
	}
	for range 5 {
		mustRead(t, muted)
	}
	if took := time.Since(begun); took < mute-50*time.Millisecond {
		t.Errorf("it was read from after %v", took)
	}
	muted.Write(frame([]byte("mute")))
	mustRead(t, muted)
	muted.Close()
}
