// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"chronik/tests/rig"
)

// An attack runs in a process of its own, which gets a CPU only while neither a broker nor the polite want it (rig.Aside):
// as if it came from another machine. What is measured is what it costs the brokers.
//
//	attacks strike      orders come on its standard input; then "ready", "go", and a report
const strikeCommand = "strike"

// orders say what to attack.
type orders struct {
	Attack               string
	Kafka, Peer, Metrics []string // addresses of the brokers
	Secret               string   // of the cluster
	Program, Dir         string   // the broker program, a folder for the attacker
	Guarded              *guarded // nil if the brokers aren't
	Quick                bool
	Limit                time.Duration
}

// report is what became of an attack.
type report struct {
	Done  int64
	Parts []part
	Error string
}

// part is one of several things that an attack does one after the other.
type part struct {
	Name  string
	Steps rig.Steps
}

// target is what an attack is aimed at.
type target struct {
	orders
	kafka string // broker 1's address for clients
	topic string // of the polite: one partition, which broker 1 leads
	done  atomic.Int64
	parts []part
}

// strike is the process. It returns its exit code.
func strike(ctx context.Context, in io.Reader, out io.Writer) (code int) {
	lines := bufio.NewReader(in)
	text, err := lines.ReadBytes('\n')
	t := &target{topic: politeTopic}
	if err == nil {
		err = json.Unmarshal(text, &t.orders)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "strike:", err)
		return 2
	}
	t.kafka = t.Kafka[0]
	run, err := find(t.Attack).prepare(ctx, t)
	if err != nil {
		fmt.Fprintln(out, err)
		return 1
	}
	fmt.Fprintln(out, "ready")
	if _, err := lines.ReadString('\n'); err != nil { // nobody wants it any more
		return 1
	}
	ctx, cancel := context.WithTimeout(ctx, t.Limit)
	defer cancel()
	r := report{Error: text1(run(ctx))}
	r.Done, r.Parts = t.done.Load(), t.parts
	if err := json.NewEncoder(out).Encode(r); err != nil {
		return 1
	}
	return 0
}

func text1(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func find(name string) *attack {
	for _, kind := range attacks() {
		for i := range kind {
			if kind[i].name == name {
				return &kind[i]
			}
		}
	}
	panic("no attack is called " + name)
}

// now is an attack that needs no preparation.
func now(run func(context.Context, *target) error) func(context.Context, *target) (func(context.Context) error, error) {
	return func(_ context.Context, t *target) (func(context.Context) error, error) {
		return func(ctx context.Context) error { return run(ctx, t) }, nil
	}
}

// begin ends the part before, which so gets its own longest step, and begins another.
func (t *target) begin(ctx context.Context, name string) error {
	steps, err := t.Guarded.longestSteps(ctx, t.Metrics)
	if err != nil {
		return err
	}
	if n := len(t.parts); n > 0 {
		t.parts[n-1].Steps = steps
	}
	t.parts = append(t.parts, part{Name: name})
	return nil
}

// longestSteps are the longest of all brokers since they were last asked for.
func (g *guarded) longestSteps(ctx context.Context, metrics []string) (longest rig.Steps, err error) {
	client, scheme, err := g.web()
	if err != nil {
		return longest, err
	}
	for _, addr := range metrics {
		steps, err := rig.LongestStepsBy(ctx, client, scheme+addr)
		if err != nil {
			return longest, err
		}
		longest = rig.Steps{Clock: max(longest.Clock, steps.Clock), CPU: max(longest.CPU, steps.CPU)}
	}
	return longest, nil
}

// attacker is the other end of a process that attacks.
type attacker struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startAttacker returns when the attack is prepared.
func startAttacker(ctx context.Context, o orders) (*attacker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	words := rig.Aside(self, strikeCommand)
	a := &attacker{cmd: exec.CommandContext(ctx, words[0], words[1:]...)}
	a.cmd.Stderr = os.Stderr
	rig.Tie(a.cmd)
	if a.in, err = a.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	a.out = bufio.NewReader(out)
	if err := a.cmd.Start(); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(a.in).Encode(o); err != nil {
		return nil, errors.Join(err, a.close())
	}
	if line, err := a.out.ReadString('\n'); err != nil || line != "ready\n" {
		return nil, errors.Join(fmt.Errorf("the attack can't be prepared: %s", line), err, a.close())
	}
	return a, nil
}

// strike lets the attack begin and returns what became of it.
func (a *attacker) strike() (r report, err error) {
	if _, err := io.WriteString(a.in, "go\n"); err != nil {
		return r, err
	}
	return r, json.NewDecoder(a.out).Decode(&r)
}

func (a *attacker) close() error {
	a.in.Close()
	a.cmd.Process.Kill()
	a.cmd.Wait()
	return nil
}
