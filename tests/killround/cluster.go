// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// readyTime is how long a broker or cluster may take until it is ready.
const readyTime = 20 * time.Second

// cluster is a `broker local` and the brokers that were brought back by hand.
type cluster struct {
	dir       string
	program   string
	bootstrap []string
	log       *os.File // all lines of all processes
	local     *process
	back      map[int]*process // by broker id
}

// process is a child whose ready line was seen.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

func startCluster(ctx context.Context, o options) (*cluster, error) {
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return nil, err
	}
	c := &cluster{dir: o.dir, program: o.broker, back: make(map[int]*process)}
	if c.program == "" {
		c.program = filepath.Join(o.dir, "broker")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", c.program, "chronik/cmd/broker").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building the broker: %w\n%s", err, out)
		}
	}
	for i := range o.brokers {
		c.bootstrap = append(c.bootstrap, fmt.Sprintf("127.0.0.1:%d", o.port+i))
	}
	var err error
	if c.log, err = os.Create(filepath.Join(o.dir, "lines.log")); err != nil {
		return nil, err
	}
	c.local, err = c.start(ctx, "ready: "+strconv.Itoa(o.brokers)+" brokers", "local", "-brokers", strconv.Itoa(o.brokers),
		"-dir", o.dir, "-port", strconv.Itoa(o.port))
	return c, err
}

// start runs the broker program and waits for a line that begins with ready.
func (c *cluster) start(ctx context.Context, ready string, args ...string) (*process, error) {
	cmd := exec.Command(c.program, args...)
	cmd.Stderr = c.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	isReady := make(chan struct{})
	go func() {
		watch(out, c.log, ready, isReady)
		cmd.Wait()
		close(p.ended)
	}()
	select {
	case <-isReady:
		return p, nil
	case <-p.ended:
		err = fmt.Errorf("broker %s: ended before it was ready (%v)", strings.Join(args, " "), cmd.ProcessState)
	case <-time.After(readyTime):
		err = fmt.Errorf("broker %s: not ready after %v", strings.Join(args, " "), readyTime)
	case <-ctx.Done():
		err = ctx.Err()
	}
	cmd.Process.Kill()
	return nil, err
}

// watch copies lines until the end and closes isReady at the first that begins with ready.
func watch(from io.Reader, to io.Writer, ready string, isReady chan struct{}) {
	once := sync.OnceFunc(func() { close(isReady) })
	for lines := bufio.NewScanner(from); lines.Scan(); {
		fmt.Fprintln(to, lines.Text())
		if strings.HasPrefix(lines.Text(), ready) {
			once()
		}
	}
}

// kill ends a broker with SIGKILL, whoever started it, and waits until it is gone.
func (c *cluster) kill(id int) error {
	text, err := os.ReadFile(filepath.Join(c.dir, strconv.Itoa(id), "pid"))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("broker %d (pid %d) is not alive: %w", id, pid, err)
	}
	if p := c.back[id]; p != nil {
		<-p.ended
	}
	return nil
}

// restart brings a killed broker back and waits until it is ready.
func (c *cluster) restart(ctx context.Context, id int) (err error) {
	config := filepath.Join(c.dir, strconv.Itoa(id), "broker.toml")
	c.back[id], err = c.start(ctx, "ready:", "start", "-config", config)
	return err
}

// stop ends all processes, cleanly if they can.
func (c *cluster) stop() {
	all := []*process{c.local}
	for _, p := range c.back {
		if p != nil {
			all = append(all, p)
		}
	}
	for _, p := range all {
		p.cmd.Process.Signal(syscall.SIGTERM)
	}
	for _, p := range all {
		select {
		case <-p.ended:
		case <-time.After(readyTime):
			p.cmd.Process.Kill()
			<-p.ended
		}
	}
	c.log.Close()
}
