// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// told runs a story in a bubble of fake time and returns the lines that were written, without their time.
func told(t *testing.T, story func(*teller)) (lines []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		plain := slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
				return slog.Attr{}
			}
			return a
		}})
		tell := &teller{log: slog.New(plain)}
		story(tell)
		tell.stop()
		lines = strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	})
	return lines
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("lines:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTellerRepeats(t *testing.T) {
	lines := told(t, func(tell *teller) {
		for range 301 { // 300 s
			tell.tell(slog.LevelWarn, "refused", "too many")
			time.Sleep(time.Second)
		}
	})
	if n := len(lines); n < 5 || n > 6 || lines[0] != `msg=refused err="too many"` || !strings.HasPrefix(lines[1], `msg=refused err="too many" left_out=5`) {
		t.Errorf("300 s of one line a second became %d lines: %q", n, lines)
	}
}

func TestTellerTellsChangesAtOnce(t *testing.T) {
	lines := told(t, func(tell *teller) {
		tell.tell(slog.LevelWarn, "no connection", "refused")
		tell.tell(slog.LevelWarn, "no connection", "refused")
		tell.tell(slog.LevelWarn, "no connection", "EOF")
		tell.tell(slog.LevelWarn, "connected", "")
		tell.tell(slog.LevelWarn, "no connection", "EOF")
	})
	wantLines(t, lines, `msg="no connection" err=refused`, `msg="no connection" err=EOF left_out=1`, `msg=connected`, `msg="no connection" err=EOF`)
}

// Who chooses the text can't fill the log with it.
func TestTellerBoundsChanges(t *testing.T) {
	lines := told(t, func(tell *teller) {
		for i := range 100_000 {
			tell.tell(slog.LevelInfo, "closed", fmt.Sprint("bad byte ", i))
		}
		time.Sleep(59 * time.Second)
		tell.tell(slog.LevelInfo, "closed", "the last")
		time.Sleep(time.Hour)
	})
	if len(lines) != tellChanges+1 || lines[tellChanges] != `msg=closed err="the last" left_out=99995` {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

// What was left out is told in the end, even if nothing comes after it.
func TestTellerHasALastWord(t *testing.T) {
	lines := told(t, func(tell *teller) {
		tell.tell(slog.LevelInfo, "closed", "a")
		tell.tell(slog.LevelInfo, "closed", "a")
		tell.tell(slog.LevelInfo, "closed", "a")
		time.Sleep(10 * time.Minute)
		tell.tell(slog.LevelInfo, "closed", "a")
	})
	wantLines(t, lines, `msg=closed err=a`, `msg=closed err=a left_out=1`, `msg=closed err=a`)
}

// Connections that are refused and frames that are none leave a few lines, however many there are.
func TestStrangersCantFillTheLog(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	s := serveAndLog(t, log, Limits{Conns: 1, AddressConns: 1, FrameBytes: 1000}, echo)
	mustEnd := func(c net.Conn) {
		if n, err := c.Read(make([]byte, 1)); err == nil {
			t.Fatalf("%d bytes came", n)
		}
		c.Close()
	}
	held := dial(t, s)
	held.Write(frame([]byte("x")))
	mustRead(t, held)
	for range 300 {
		mustEnd(dial(t, s))
	}
	held.Close()
	for i := range 300 {
		waitFor(t, "room", func() bool { return len(s.list()) == 0 })
		c := dial(t, s)
		c.Write(binary.BigEndian.AppendUint32(nil, uint32(1_000_000+i)))
		mustEnd(c)
	}
	s.stop()
	if n := strings.Count(out.String(), "\n"); n < 2 || n > 2*tellChanges {
		t.Errorf("600 bad connections left %d lines:\n%s", n, out.String())
	}
}
