// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

// A failure is never answered as success.
func TestCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int16
	}{
		{nil, 0},
		{errors.New("anything"), -1},
		{&Error{Text: "without a code"}, -1},
		{Errorf(kerr.CorruptMessage, "byte %d", 7), 2},
		{fmt.Errorf("wrapped: %w", Errorf(kerr.CorruptMessage, "")), 2},
		{kerr.NotLeaderForPartition, 6},
		{fmt.Errorf("wrapped: %w", kerr.NotLeaderForPartition), 6},
		{ErrUnknownKey, -1},
	} {
		if got := Code(c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
}

func TestErrorText(t *testing.T) {
	if got := Errorf(kerr.CorruptMessage, "byte %d", 7).Error(); got != "CORRUPT_MESSAGE: byte 7" {
		t.Error(got)
	}
	for code, want := range map[int16]string{0: "NONE", -1: "UNKNOWN_SERVER_ERROR", 87: "INVALID_RECORD", 9999: "ERROR_9999"} {
		if got := CodeName(code); got != want {
			t.Errorf("%d is %s, want %s", code, got, want)
		}
	}
}
