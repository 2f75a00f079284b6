// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// logged is what a broker has written into its log.
type logged struct {
	sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.text.Write(p)
}

// with returns the lines of a broker's log, JSON objects all of them, that say something.
func (l *logged) with(t *testing.T, msg string) (lines []map[string]any) {
	t.Helper()
	l.Lock()
	defer l.Unlock()
	for text := range strings.Lines(l.text.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if line["msg"] == msg && line["api"] != "ApiVersions" { // by which each client learns which versions there are
			lines = append(lines, line)
		}
	}
	return lines
}

// The level of a broker's log is asked for and set while it runs, and at debug the log says which errors clients get.
func TestAdminSetsTheLogLevel(t *testing.T) {
	at, log := net127(freePorts(t, 1)), new(logged)
	out, in := io.Pipe()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"-dir", t.TempDir(), "-listen", at, "-metrics", "", "-log-format", "json", "-auto-create-topics=false"}, in, log)
	}()
	if _, err := out.Read(make([]byte, 200)); err != nil {
		t.Fatal(err)
	}
	provoke := func() {
		c, err := kgo.NewClient(kgo.SeedBrokers(at), kgo.ClientID("app"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := kadm.NewClient(c).DeleteTopics(ctx, "none"); err != nil {
			t.Fatal(err)
		}
	}
	const told, set = "a client gets an error", "the level of this log was set, until the broker ends"
	provoke()
	admin := []string{"-bootstrap", at}
	tryAdmin(t, admin, []adminCase{
		{"log-level", 0, []string{"broker level", "1 info"}},
		{"log-level debug", 0, []string{"broker 1 logs at level debug until it ends"}},
		{"log-level -json", 0, []string{`"level": "debug"`}},
	})
	if lines := log.with(t, told); len(lines) > 0 {
		t.Errorf("at the level info: %v", lines)
	}
	provoke()
	lines := log.with(t, told)
	for ; len(lines) == 0 && ctx.Err() == nil; lines = log.with(t, told) { // the answer goes out before the line is written
		time.Sleep(10 * time.Millisecond)
	}
	if len(lines) != 1 || fmt.Sprint(lines[0]["error"], lines[0]["api"], lines[0]["client_id"], lines[0]["level"]) != "UNKNOWN_TOPIC_OR_PARTITIONDeleteTopicsappDEBUG" || lines[0]["reason"] == "" {
		t.Errorf("at the level debug: %v", lines)
	}
	tryAdmin(t, admin, []adminCase{
		{"log-level -broker 1 warn", 0, []string{"broker 1 logs at level warn"}},
		{"log-level -broker 1", 0, []string{"1 warn"}},
		{"log-level loud", 1, []string{`broker 1: INVALID_CONFIG: the level of root must be DEBUG, INFO, WARN or ERROR, not "LOUD"`}},
		{"log-level warn info", 2, []string{"wrong number of words"}},
		{"log-level -broker 7", 1, []string{"broker 7"}},
	})
	provoke()
	if lines := log.with(t, told); len(lines) != 1 {
		t.Errorf("at the level warn again: %v", lines)
	}
	if lines := log.with(t, set); len(lines) != 2 || lines[1]["was"] != "DEBUG" || lines[1]["is"] != "WARN" {
		t.Errorf("%v", lines)
	}
	stop()
	if c := <-code; c != exitClean {
		t.Errorf("exit code %d", c)
	}
}
