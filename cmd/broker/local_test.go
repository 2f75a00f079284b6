// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// local starts its brokers with the program that it is itself, here the test.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "start" {
		main()
	}
	os.Exit(m.Run())
}

// running is a command under way and the lines that it prints.
type running struct {
	lines *bufio.Scanner
	stop  context.CancelFunc
	code  chan int
}

func begin(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 40*time.Second)
	out, in := io.Pipe()
	r := &running{lines: bufio.NewScanner(out), stop: stop, code: make(chan int, 1)}
	go func() {
		r.code <- run(ctx, args, in, io.Discard)
		in.Close()
	}()
	t.Cleanup(stop)
	return r
}

func (r *running) waitFor(t *testing.T, part string) {
	t.Helper()
	for r.lines.Scan() {
		if strings.Contains(r.lines.Text(), part) {
			return
		}
	}
	t.Fatalf("it never said %q", part)
}

// end asks the command to stop and returns its exit code.
func (r *running) end() int {
	r.stop()
	for r.lines.Scan() {
	}
	return <-r.code
}

// freePorts returns the first of n ports for clients of a local cluster, whose other ports are free too.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	for base := 20500; base < 30000; base += 10 {
		free := true
		for i := range n {
			for _, port := range []int{base + i, base + i + 1000, base + i + 2000} {
				l, err := net.Listen("tcp", net127(port))
				if free = free && err == nil; err == nil {
					l.Close()
				}
			}
		}
		if free {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}

// tryLevels asks for the feature level, and tries to raise it.
func tryLevels(t *testing.T, config string) {
	t.Helper()
	for _, x := range []struct {
		words string
		code  int
		want  string
	}{
		{"features", exitClean, "broker 2 supports levels 1 to 1, and sees the cluster at level 1\n"},
		{"features", exitClean, "the cluster is at level 1, the newest that all these brokers support\n"},
		{"raise", exitClean, "the cluster is at level 1 already\n"},
		{"raise 2", exitFailed, "chronik.version can't be 2: broker 1 supports level 1, broker 2 supports level 1"},
	} {
		var out strings.Builder
		code := run(t.Context(), append([]string{"admin", "-config", config}, strings.Fields(x.words)...), &out, &out)
		if code != x.code || !strings.Contains(out.String(), x.want) {
			t.Errorf("%s: exit code %d, %s", x.words, code, out.String())
		}
	}
}

// A whole cluster on this machine; one of its brokers is killed, loses its data, and comes back by
// itself as a new replica.
func TestLocalClusterAndALostDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir, port := t.TempDir(), freePorts(t, 3)
	cluster := begin(t, "local", "-brokers", "3", "-dir", dir, "-port", fmt.Sprint(port))
	cluster.waitFor(t, "ready: 3 brokers")
	two := filepath.Join(dir, "2")
	config := filepath.Join(two, "broker.toml")
	var pid int
	if text, err := os.ReadFile(filepath.Join(two, "pid")); err != nil {
		t.Fatal(err)
	} else if _, err := fmt.Sscan(string(text), &pid); err != nil {
		t.Fatal(err)
	}
	syscall.Kill(pid, syscall.SIGKILL)
	cluster.waitFor(t, "broker 2 ended (signal: killed); bring it back with: broker start -config "+config)
	for _, name := range []string{"log", "meta.json"} {
		if err := os.RemoveAll(filepath.Join(two, name)); err != nil {
			t.Fatal(err)
		}
	}
	back := begin(t, "start", "-config", config)
	back.waitFor(t, "ready: broker 2 serves Kafka clients on "+net127(port+1))
	var status strings.Builder
	if code := run(t.Context(), []string{"admin", "-config", config, "status"}, &status, &status); code != exitClean {
		t.Errorf("status: exit code %d", code)
	}
	if !strings.Contains(status.String(), net127(port+1)) {
		t.Errorf("broker 2 is not in:\n%s", status.String())
	}
	tryLevels(t, config)
	if code := back.end(); code != exitClean {
		t.Errorf("broker 2 stopped with exit code %d", code)
	}
	if code := cluster.end(); code != exitClean {
		t.Errorf("the cluster stopped with exit code %d", code)
	}
}
