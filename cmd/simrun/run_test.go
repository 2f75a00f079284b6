// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// An interrupted campaign says what it has run, and doesn't pass.
func TestInterruptedRun(t *testing.T) {
	program := filepath.Join(t.TempDir(), "simrun")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var out bytes.Buffer
	cmd := exec.Command(program, "run", "-seeds", "1..1000000", "-profile", "tiny")
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != exitBroken {
		t.Errorf("it ends with %v", err)
	}
	match := regexp.MustCompile(`(?m)^(\d+) seeds \(1\.\.(\d+)\) of profile tiny, 0 failed`).FindSubmatch(out.Bytes())
	if match == nil {
		t.Fatalf("it says %q", out.String())
	}
	if n, _ := strconv.Atoi(string(match[1])); n == 0 || string(match[1]) != string(match[2]) {
		t.Errorf("it counts %s seeds, to seed %s", match[1], match[2])
	}
}

func TestProgressLine(t *testing.T) {
	s := &summary{Seeds: 250, Failed: 1}
	for limit, want := range map[time.Duration]string{
		0:         "50s: 250 of 1000 seeds, 1 failed, 5.0 a second, about 2m30s to go",
		time.Hour: "50s of 1h0m0s: 250 seeds, 1 failed, 5.0 a second",
	} {
		p := &runProgress{limit: limit, total: 1000}
		if got := p.line(s, 50*time.Second); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}
