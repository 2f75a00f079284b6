// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The log of a stopped broker is whole until a byte of an entry is changed, and both commands say what they find.
func TestLogCommands(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	serveOnce(t, dir)
	code, out, errs := ran("log", "verify", "-dir", dir)
	if code != exitClean || !strings.Contains(out, "the log is whole") {
		t.Fatalf("%d %s %s", code, out, errs)
	}
	code, out, errs = ran("log", "dump", "-dir", dir, "-json", "-data", "-group", "0", "0001.wal")
	if code != exitClean {
		t.Fatalf("%d %s", code, errs)
	}
	var last, register dumped
	for line := range strings.Lines(out) {
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if strings.Contains(last.What, "Register 1") {
			register = last
		}
	}
	if register.Type != "entry" || !strings.Contains(string(register.Data), "Register") || register.Offset == 0 {
		t.Fatalf("%+v in\n%s", register, out)
	}
	name := filepath.Join(dir, "log", "0001.wal")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[register.Offset+60] ^= 1
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	code, out, errs = ran("log", "verify", "-dir", dir)
	if code != exitFailed || !strings.Contains(errs, "log is corrupt: 0001.wal, offset") {
		t.Errorf("%d %s %s", code, out, errs)
	}
	code, out, _ = ran("log", "dump", "-dir", dir)
	if code != exitClean || !strings.Contains(out, "0001.wal") || !strings.Contains(out, "0002.wal is free") {
		t.Errorf("%d %s", code, out)
	}
	for _, args := range [][]string{{"log"}, {"log", "look"}, {"log", "verify", "-json"}, {"log", "verify", "-dir", dir, "more"}} {
		if code, _, errs := ran(args...); code != exitUsage || errs == "" {
			t.Errorf("%v: %d %s", args, code, errs)
		}
	}
}

// ran carries out a command.
func ran(args ...string) (code int, out, errs string) {
	var o, e strings.Builder
	code = run(context.Background(), args, &o, &e)
	return code, o.String(), e.String()
}

// serveOnce runs a broker until it is ready, and asks it for its log meanwhile, which it doesn't give away.
func serveOnce(t *testing.T, dir string) {
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	lines, out := io.Pipe()
	code := make(chan int)
	go func() {
		code <- run(ctx, []string{"-dir", dir, "-listen", "127.0.0.1:23395", "-metrics", "", "-log-level", "error"}, out, io.Discard)
	}()
	lines.Read(make([]byte, 200))
	if code, _, errs := ran("log", "verify", "-dir", dir); code != exitFailed || !strings.Contains(errs, "another process") {
		t.Errorf("%d %s", code, errs)
	}
	stop()
	if c := <-code; c != exitClean {
		t.Fatalf("exit code %d", c)
	}
}
