// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"chronik/tests/rig"
)

// process is a system that runs; what it prints is in a file.
type process struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
}

// start starts a system.
func (b *bench) start(name string, cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, log: filepath.Join(b.dir, b.name(name)+".log"), ended: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	rig.Tie(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait() // why it ended is in its lines
		close(p.ended)
	}()
	return p, nil
}

// kill ends a system, and what it started, at once.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may have ended
	<-p.ended
}

// stop asks a system to end, and waits until it has.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		return nil
	case <-time.After(30 * time.Second):
		p.kill()
		return errors.New("it doesn't end when it is asked to" + p.last())
	}
}

// last is the end of what a system printed, for people.
func (p *process) last() string {
	text, _ := os.ReadFile(p.log) // it may have printed nothing
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return "; its last lines:\n  " + strings.Join(lines[max(0, len(lines)-6):], "\n  ")
}

// explain adds a system's last lines to an error.
func (p *process) explain(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w%s", err, p.last())
}

// until asks again and again until there is no error, or for long enough.
func until(ctx context.Context, ask func() error) error {
	for begin := time.Now(); ; {
		err := ask()
		if err == nil || time.Since(begin) > patience {
			return err
		}
		if waited := rig.Pause(ctx, 500*time.Millisecond); waited != nil {
			return errors.Join(err, waited)
		}
	}
}

// freePort is one of this machine's that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
