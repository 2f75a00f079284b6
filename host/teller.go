// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"
)

// A line that says what the one before it said is written at most once in tellEvery. One that says something else is
// written at once, but at most tellChanges in that time: a stranger chooses what is wrong with what he sends.
const (
	tellEvery   = time.Minute
	tellChanges = 5
)

// teller writes lines of one kind, whose cause may come as often as somebody else likes. What it leaves out is
// counted, and the newest of it is told when its time has come, even if nothing comes after it.
type teller struct {
	log *slog.Logger

	mu      sync.Mutex
	last    string    // what the newest line said
	begun   time.Time // the present tellEvery
	written int       // in it
	left    int       // lines that were left out since the newest one
	newest  line      // of them
	timer   *time.Timer
}

// line is a text that is always the same, what it is about, and what changes.
type line struct {
	level slog.Level
	text  string
	why   string
	attrs []slog.Attr
}

// tell writes a line, or counts it. why is what makes it another line than the last; the attributes don't.
func (t *teller) tell(level slog.Level, text, why string, attrs ...slog.Attr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if now.Sub(t.begun) >= tellEvery {
		t.begin(now)
	}
	news := text+why != t.last
	l := line{level, text, why, attrs}
	if t.written == 0 || news && t.written < tellChanges {
		t.write(l)
		return
	}
	t.left++
	t.newest = l
	if t.timer == nil {
		t.timer = time.AfterFunc(t.begun.Add(tellEvery).Sub(now), t.catchUp)
	}
}

func (t *teller) begin(now time.Time) { t.begun, t.written = now, 0 }

func (t *teller) write(l line) {
	attrs := l.attrs[:len(l.attrs):len(l.attrs)]
	if l.why != "" {
		attrs = append(attrs, slog.String("err", l.why))
	}
	if t.left > 0 {
		attrs = append(attrs, slog.Int("left_out", t.left))
	}
	t.log.LogAttrs(context.Background(), l.level, l.text, attrs...)
	t.last, t.left, t.newest = l.text+l.why, 0, line{}
	t.written++
}

// catchUp tells the newest of what was left out.
func (t *teller) catchUp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer = nil
	if t.left == 0 {
		return
	}
	t.begin(time.Now())
	t.left-- // the one that is written now
	t.write(t.newest)
}

// from is who caused a line.
func from(sock net.Conn) slog.Attr { return slog.Any("from", sock.RemoteAddr()) }

// stop writes nothing any more by itself.
func (t *teller) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer != nil {
		t.timer.Stop()
	}
}
