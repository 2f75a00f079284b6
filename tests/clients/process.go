// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a member of a group or a writer, and what it has said so far.
type process struct {
	name  string
	cmd   *exec.Cmd
	parse func(p *process, line string)
	ended chan struct{}
	stdin io.WriteCloser // if the process reads what it is to write

	mu       sync.Mutex
	assigned []string // partitions
	records  []string // values, in the order in which they came
	acked    []string // values
	others   []string // the first lines that tell of errors
	last     []string // lines, for people
	err      error
	stopping bool
}

// start runs a process whose lines are parsed.
func start(name string, cmd *exec.Cmd, parse func(*process, string)) (*process, error) {
	p := &process{name: name, cmd: cmd, parse: parse, ended: make(chan struct{})}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var read sync.WaitGroup
	read.Go(func() { p.read(stdout) })
	read.Go(func() { p.read(stderr) })
	go func() {
		read.Wait()
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.mu.Lock()
		p.parse(p, lines.Text())
		if p.last = append(p.last, lines.Text()); len(p.last) > 20 {
			p.last = p.last[1:]
		}
		p.mu.Unlock()
	}
}

// parseLines understands the lines of the matrix's own programs.
func parseLines(p *process, line string) {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "assigned":
		p.assigned = nil
		if rest != "" {
			p.assigned = strings.Split(rest, ",")
		}
	case "record":
		p.records = append(p.records, rest)
	case "acked":
		p.acked = append(p.acked, rest)
	default:
		if troubled.MatchString(line) && len(p.others) < 10 {
			p.others = append(p.others, line)
		}
	}
}

func (p *process) partitions() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.assigned)
}

func (p *process) got() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.records[:len(p.records):len(p.records)]
}

func (p *process) written() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acked[:len(p.acked):len(p.acked)]
}

// alive says why a process is gone that should be there.
func (p *process) alive() error {
	select {
	case <-p.ended:
		return fmt.Errorf("the %s ended (%v); its last lines:\n%s", p.name, p.err, strings.Join(p.last, "\n"))
	default:
		return nil
	}
}

// endedWell reports whether a process that was asked to end did so by itself.
func endedWell(err error) bool {
	var exit *exec.ExitError
	return err == nil || errors.As(err, &exit) && exit.ExitCode() == 143 // a JVM, after its shutdown hooks
}

// stop asks a process to end, and waits until it has.
func (p *process) stop() error {
	p.stopping = true
	if p.stdin != nil {
		p.stdin.Close()
	} else {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
		return fmt.Errorf("the %s doesn't end; its last lines:\n%s", p.name, strings.Join(p.last, "\n"))
	}
}

// kill ends a process that is left over.
func (p *process) kill() {
	if p != nil {
		_ = p.cmd.Process.Kill()
	}
}

// until waits for a condition while processes live.
func until(ctx context.Context, limit time.Duration, what string, living []*process, ok func() bool) error {
	for end := time.Now().Add(limit); !ok(); time.Sleep(50 * time.Millisecond) {
		for _, p := range living {
			if err := p.alive(); err != nil {
				return err
			}
		}
		if ctx.Err() != nil || time.Now().After(end) {
			text := fmt.Sprintf("in %v it didn't come about that %s", limit, what)
			for _, p := range living {
				p.mu.Lock()
				text += fmt.Sprintf("\n  %s: partitions %v, %d records, %d acknowledged; last lines:\n    %s", p.name, p.assigned, len(p.records), len(p.acked), strings.Join(p.last[max(0, len(p.last)-5):], "\n    "))
				p.mu.Unlock()
			}
			return fmt.Errorf("%s", text)
		}
	}
	return nil
}
