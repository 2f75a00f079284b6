// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// peer is something that is compared, three processes of it.
type peer struct {
	name  string
	jvm   bool
	nats  bool // it speaks NATS, not Kafka's protocol
	build func(context.Context, *comparison) error
	start func(ctx context.Context, c *comparison, dir string) (*cluster, error)
}

func (p *peer) takes(s *shape) bool { return !p.nats || len(s.nats) > 0 }

// cluster is the processes of a peer that run.
type cluster struct {
	of      *comparison
	pids    []int // of the servers
	started []*exec.Cmd
	stderr  []*bytes.Buffer
}

func (c *comparison) cluster() *cluster { return &cluster{of: c} }

// Ports of a peer's processes, 1 to 3: for clients, and among themselves.
func (c *comparison) clientPort(id int) int { return c.port + id }
func (c *comparison) innerPort(id int) int  { return c.port + 100 + id }

func peerNames() (names []string) {
	for _, p := range allPeers(new(comparison)) {
		names = append(names, p.name)
	}
	return names
}

func allPeers(c *comparison) []peer {
	ours := func(name, program string, build func(context.Context, *comparison) error) peer {
		return peer{name: name, build: build, start: func(ctx context.Context, c *comparison, dir string) (*cluster, error) {
			if program == "" {
				return startOurs(ctx, c, filepath.Join(c.folder, "broker"), dir)
			}
			return startOurs(ctx, c, program, dir)
		}}
	}
	kafka := func(name string, lines ...string) peer {
		return peer{name: name, jvm: true, build: buildKafka, start: func(ctx context.Context, c *comparison, dir string) (*cluster, error) {
			return startKafka(ctx, c, dir, lines)
		}}
	}
	nats := func(name string, args ...string) peer {
		return peer{name: name, nats: true, build: buildNATS, start: func(ctx context.Context, c *comparison, dir string) (*cluster, error) {
			return startNATS(ctx, c, dir, args)
		}}
	}
	peers := []peer{ours("chronik", "", buildOurs)}
	if c.other != "" {
		peers = append(peers, ours("other", c.other, func(context.Context, *comparison) error { return nil }))
	}
	return append(peers,
		kafka("kafka"), kafka("kafka-flush", "log.flush.interval.messages=1"),
		nats("nats"), nats("nats-always", "-sync-always"))
}

// goBuild builds a package, or a module of its own.
func goBuild(ctx context.Context, c *comparison, in, pkg, program string) error {
	return command(ctx, filepath.Join(c.source, in), "go", "build", "-o", filepath.Join(c.folder, program), pkg)
}

// command runs a program to its end; its output is in the error.
func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}

func buildOurs(ctx context.Context, c *comparison) error {
	return goBuild(ctx, c, ".", "./cmd/broker", "broker")
}

func startOurs(ctx context.Context, of *comparison, program, dir string) (*cluster, error) {
	c := of.cluster()
	if err := c.launch(ctx, program, "local", "-brokers", "3", "-dir", dir, "-port", strconv.Itoa(of.clientPort(1))); err != nil {
		return c, err
	}
	c.pids = nil // the launcher's; the brokers' are in files
	for id := range 3 {
		text, err := retry(ctx, 20*time.Second, func() ([]byte, error) {
			text, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(id+1), "pid"))
			if err == nil && len(bytes.TrimSpace(text)) == 0 {
				err = errors.New("it is empty")
			}
			return text, err
		})
		if err != nil {
			return c, err
		}
		pid, err := strconv.Atoi(string(bytes.TrimSpace(text)))
		if err != nil {
			return c, err
		}
		c.pids = append(c.pids, pid)
	}
	return c, c.reachable(ctx)
}

func buildNATS(ctx context.Context, c *comparison) error {
	return goBuild(ctx, c, "tests/peers/nats", ".", "nats")
}

func startNATS(ctx context.Context, of *comparison, dir string, args []string) (*cluster, error) {
	c := of.cluster()
	for id := 1; id <= 3; id++ {
		all := append([]string{
			"serve", "-id", fmt.Sprint(id), "-dir", filepath.Join(dir, fmt.Sprint(id)), "-port", fmt.Sprint(of.clientPort(id)),
			"-peers", fmt.Sprintf("%d,%d,%d", of.innerPort(1), of.innerPort(2), of.innerPort(3)),
		}, args...)
		if err := c.launch(ctx, filepath.Join(of.folder, "nats"), all...); err != nil {
			return c, err
		}
	}
	return c, c.reachable(ctx)
}

// portsFree fails if something else uses a peer's ports: it would be measured instead.
func (c *comparison) portsFree() error {
	for id := 1; id <= 3; id++ {
		for _, port := range []int{c.clientPort(id), c.innerPort(id)} {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				return fmt.Errorf("port %d is needed: %w; end what uses it", port, err)
			}
			l.Close()
		}
	}
	return nil
}

// launch starts a process that ends with the cluster.
func (c *cluster) launch(ctx context.Context, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	said := new(bytes.Buffer)
	cmd.Stderr, cmd.Stdout = said, io.Discard
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	if err := cmd.Start(); err != nil {
		return err
	}
	c.started, c.stderr, c.pids = append(c.started, cmd), append(c.stderr, said), append(c.pids, cmd.Process.Pid)
	return nil
}

// stop ends all processes. They were told to, so how they end doesn't matter.
func (c *cluster) stop() error {
	for _, cmd := range c.started {
		_ = cmd.Process.Signal(syscall.SIGTERM)
	}
	for _, cmd := range c.started {
		_ = cmd.Wait()
	}
	return nil
}

// reachable waits until all three take connections.
func (c *cluster) reachable(ctx context.Context) error {
	for id := 1; id <= 3; id++ {
		_, err := retry(ctx, 60*time.Second, func() (net.Conn, error) {
			conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", c.of.clientPort(id)))
			if err == nil {
				conn.Close()
			}
			return conn, err
		})
		if err != nil {
			return fmt.Errorf("process %d: %w\n%s", id, err, c.said())
		}
	}
	return nil
}

// said is the end of what the processes wrote to their standard error.
func (c *cluster) said() string {
	var all strings.Builder
	for _, b := range c.stderr {
		text := b.String()
		all.WriteString(text[max(0, len(text)-2000):])
	}
	return all.String()
}

// retry calls do until it succeeds, for so long.
func retry[T any](ctx context.Context, limit time.Duration, do func() (T, error)) (T, error) {
	for begun := time.Now(); ; {
		v, err := do()
		if err == nil || ctx.Err() != nil || time.Since(begun) > limit {
			return v, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// load runs a shape on a cluster, and returns what bench, or NATS' load, writes as JSON.
func (p *peer) load(ctx context.Context, c *comparison, on *cluster, s *shape, each time.Duration) ([]byte, error) {
	var pids []string
	for _, pid := range on.pids {
		pids = append(pids, strconv.Itoa(pid))
	}
	servers := strings.Join(pids, ",")
	if p.nats {
		args := append([]string{"load", "-url", fmt.Sprintf("nats://127.0.0.1:%d", c.clientPort(1)), "-warmup", c.warmup.String(), "-duration", each.String(), "-server-pids", servers}, s.nats...)
		cmd := exec.CommandContext(ctx, filepath.Join(c.folder, "nats"), args...)
		var said bytes.Buffer
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(said.Bytes()))
		}
		return out, nil
	}
	file := filepath.Join(c.folder, "result.json")
	args := append(append([]string(nil), s.args...), "--brokers", fmt.Sprintf("127.0.0.1:%d", c.clientPort(1)),
		"--duration", each.String(), "--warmup-duration", c.warmup.String(), "--server-pids", servers, "--json-output", file)
	if err := command(ctx, ".", c.self, args...); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
}
