// SPDX-License-Identifier: Apache-2.0

// Package rig is for tests on the real thing: a cluster of broker processes, a network between them
// that can be cut, producers that never pause, and a judge of what can be read back.
package rig

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Limits of what a broker may take.
const (
	readyTime = 20 * time.Second
	stopTime  = 20 * time.Second
)

// Options of a cluster.
type Options struct {
	Brokers  int
	Dir      string                    // a new folder; broker 1 lives in its folder 1
	Port     int                       // the first of 200 ports, see the addresses below; a later one if some are taken
	Program  string                    // the broker program; if empty it is built from this tree
	Settings map[string]string         // of every broker, beside those that it needs; values as in TOML
	Own      map[int]map[string]string // settings of one broker
	Cuttable bool                      // brokers reach each other through Cluster.Net
	Files    int                       // what `ulimit -n` says to brokers, if not 0
	// Aside are brokers that run as if they had a machine of their own (see Aside), with settings of their own.
	Aside map[int]map[string]string
}

func (o *Options) kafkaAddr(id int) string   { return local(o.Port + id - 1) }
func (o *Options) metricsAddr(id int) string { return local(o.Port + 50 + id - 1) }
func (o *Options) peerAddr(id int) string    { return local(o.Port + 100 + id - 1) } // what others connect to
func (o *Options) behindAddr(id int) string  { return local(o.Port + 150 + id - 1) } // behind Net

// findPorts moves Port on to the next 200 that are free.
func (o *Options) findPorts() error {
	for range 20 {
		free := true
		for offset := 0; offset < 200 && free; offset += 50 {
			for id := range 10 {
				l, err := net.Listen("tcp", local(o.Port+offset+id))
				if free = err == nil; !free {
					break
				}
				l.Close()
			}
		}
		if free {
			return nil
		}
		o.Port += 200
	}
	return fmt.Errorf("no 200 free ports below %d", o.Port)
}

func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// Cluster is brokers, each a process of its own.
type Cluster struct {
	Net *Network // nil unless Cuttable

	o       Options
	id      string
	members []int            // that clients may find the cluster by
	running map[int]*process // by broker id
	own     map[int]string   // programs of brokers that run another one than the others
}

// Use has a broker run a program from its next start on.
func (c *Cluster) Use(id int, program string) {
	if c.own == nil {
		c.own = make(map[int]string)
	}
	c.own[id] = program
}

// process is a child, running or ended.
type process struct {
	cmd   *exec.Cmd
	ready chan struct{} // closed at its ready line
	ended chan struct{} // closed when it is gone
	err   error         // how it ended; valid after ended
}

// Start founds a cluster and waits until every broker is ready.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	c := &Cluster{o: o, id: "rig", running: make(map[int]*process)}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	if c.o.Program == "" {
		c.o.Program = filepath.Join(o.Dir, "broker")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", c.o.Program, "chronik/cmd/broker").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building the broker: %w\n%s", err, out)
		}
	}
	if err := c.o.findPorts(); err != nil {
		return nil, err
	}
	if o.Cuttable {
		c.Net = newNetwork()
	}
	var founders []int
	for id := range o.Brokers {
		founders = append(founders, id+1)
	}
	for _, id := range founders {
		if err := c.prepare(id, founders, false); err != nil {
			return nil, err
		}
		if out, err := exec.CommandContext(ctx, c.o.Program, "format", "-config", c.config(id)).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("formatting broker %d: %w\n%s", id, err, out)
		}
	}
	if err := c.RestartAll(ctx, founders); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Add starts a broker that is new to the cluster, and waits until it is ready.
func (c *Cluster) Add(ctx context.Context, id int, knows ...int) error {
	if err := c.prepare(id, append(slices.Clone(knows), id), true); err != nil {
		return err
	}
	return c.Restart(ctx, id)
}

// prepare writes a broker's configuration and connects it to the network.
func (c *Cluster) prepare(id int, members []int, join bool) error {
	if c.Net != nil {
		if err := c.Net.serve(id, c.o.peerAddr(id), c.o.behindAddr(id)); err != nil {
			return err
		}
	}
	c.members = append(c.members, id)
	var b strings.Builder
	fmt.Fprintf(&b, "cluster_id = %q\nbroker_id = %d\njoin = %v\ndir = \".\"\nlisten = %q\nmetrics = %q\n", c.id, id, join, c.o.kafkaAddr(id), c.o.metricsAddr(id))
	if c.Net != nil {
		fmt.Fprintf(&b, "peer_listen = %q\n", c.o.behindAddr(id))
	}
	settings := maps.Clone(c.o.Settings)
	maps.Copy(settings, c.o.Own[id])
	maps.Copy(settings, c.o.Aside[id])
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "%s = %s\n", key, settings[key])
	}
	for _, m := range members {
		fmt.Fprintf(&b, "[[members]]\nid = %d\nkafka = %q\npeer = %q\n", m, c.o.kafkaAddr(m), c.o.peerAddr(m))
	}
	if err := os.MkdirAll(c.Folder(id), 0o755); err != nil {
		return err
	}
	return os.WriteFile(c.config(id), []byte(b.String()), 0o644)
}

// Folder is where a broker's data is.
func (c *Cluster) Folder(id int) string { return filepath.Join(c.o.Dir, fmt.Sprint(id)) }

func (c *Cluster) config(id int) string { return filepath.Join(c.Folder(id), "broker.toml") }

// Lines is the file with what a broker printed.
func (c *Cluster) Lines(id int) string {
	return filepath.Join(c.o.Dir, fmt.Sprintf("lines-%d.log", id))
}

// lastLine is the last of what a broker said; empty if it said nothing.
func (c *Cluster) lastLine(id int) string {
	said, _ := os.ReadFile(c.Lines(id)) // it may have said nothing yet
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	return lines[len(lines)-1]
}

// Bootstrap lists the addresses by which clients find the cluster.
func (c *Cluster) Bootstrap() (addrs []string) {
	for _, id := range c.members {
		addrs = append(addrs, c.o.kafkaAddr(id))
	}
	return addrs
}

// Consoles are where the brokers serve people.
func (c *Cluster) Consoles() (urls []string) {
	for _, id := range c.members {
		urls = append(urls, "http://"+c.o.metricsAddr(id)+"/console/")
	}
	return urls
}

// Restart starts a broker that isn't running and waits until it is ready.
func (c *Cluster) Restart(ctx context.Context, id int) error { return c.RestartAll(ctx, []int{id}) }

// RestartAll starts brokers at the same time, and waits until all are ready.
func (c *Cluster) RestartAll(ctx context.Context, ids []int) error {
	for _, id := range ids {
		p, err := c.launch(id)
		if err != nil {
			return err
		}
		c.running[id] = p
	}
	limit := time.After(readyTime)
	for _, id := range ids {
		p := c.running[id]
		select {
		case <-p.ready:
		case <-p.ended:
			return fmt.Errorf("broker %d ended before it was ready: %w; its last line is %q, see %s", id, errOf(p), c.lastLine(id), c.Lines(id))
		case <-limit:
			return fmt.Errorf("broker %d is not ready after %v; see %s", id, readyTime, c.Lines(id))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Begin starts a broker and doesn't wait for it.
func (c *Cluster) Begin(id int) error {
	p, err := c.launch(id)
	if err == nil {
		c.running[id] = p
	}
	return err
}

func (c *Cluster) launch(id int) (*process, error) {
	log, err := os.OpenFile(c.Lines(id), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own
	command := []string{cmp.Or(c.own[id], c.o.Program), "start", "-config", c.config(id)}
	if _, yes := c.o.Aside[id]; yes {
		command = Aside(command...)
	}
	if c.o.Files > 0 {
		command = append([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$@"`, c.o.Files), "sh"}, command...)
	}
	p := &process{
		cmd:   exec.Command(command[0], command[1:]...),
		ready: make(chan struct{}), ended: make(chan struct{}),
	}
	p.cmd.SysProcAttr, p.cmd.Stderr = childAttr(), log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		watch(out, p.ready)
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// Tie has a process killed when this one dies.
func Tie(cmd *exec.Cmd) { cmd.SysProcAttr = childAttr() }

func errOf(p *process) error {
	if p.err == nil {
		return errors.New("it stopped with exit code 0")
	}
	return p.err
}

// watch reads lines to the end and closes ready at the ready line.
func watch(from io.Reader, ready chan struct{}) {
	once := sync.OnceFunc(func() { close(ready) })
	for lines := bufio.NewScanner(from); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "ready:") {
			once()
		}
	}
}

// Running lists the brokers that run, ascending.
func (c *Cluster) Running() (ids []int) {
	for id, p := range c.running {
		select {
		case <-p.ended:
		default:
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (c *Cluster) signal(id int, sig syscall.Signal) error {
	p := c.running[id]
	if p == nil {
		return fmt.Errorf("broker %d was never started", id)
	}
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("broker %d: %w (it ended with: %v); see %s", id, err, p.err, c.Lines(id))
	}
	return nil
}

// Kill ends brokers at once, with SIGKILL, and waits until they are gone.
func (c *Cluster) Kill(ids ...int) error {
	for _, id := range ids {
		if err := c.signal(id, syscall.SIGKILL); err != nil {
			return err
		}
	}
	for _, id := range ids {
		<-c.running[id].ended
	}
	return nil
}

// Stop asks a broker to stop, with SIGTERM, and returns how long that took. It must end with exit
// code 0.
func (c *Cluster) Stop(id int) (time.Duration, error) {
	begin := time.Now()
	if err := c.signal(id, syscall.SIGTERM); err != nil {
		return 0, err
	}
	if err := c.WaitForEnd(id, stopTime); err != nil {
		return 0, fmt.Errorf("broker %d did not stop cleanly: %w; see %s", id, err, c.Lines(id))
	}
	return time.Since(begin), nil
}

// WaitForEnd waits until a process has ended, and returns how.
func (c *Cluster) WaitForEnd(id int, limit time.Duration) error {
	p := c.running[id]
	select {
	case <-p.ended:
		return p.err
	case <-time.After(limit):
		return fmt.Errorf("broker %d still runs after %v", id, limit)
	}
}

// Pause freezes a broker with SIGSTOP until Resume.
func (c *Cluster) Pause(id int) error { return c.signal(id, syscall.SIGSTOP) }

// Resume lets a paused broker go on.
func (c *Cluster) Resume(id int) error { return c.signal(id, syscall.SIGCONT) }

// LoseDisk removes the data of a broker that isn't running, so that its next start makes a new replica.
func (c *Cluster) LoseDisk(id int) error {
	text, err := os.ReadFile(c.config(id))
	if err != nil {
		return err
	}
	joins := bytes.Replace(text, []byte("join = false"), []byte("join = true"), 1)
	if err := os.WriteFile(c.config(id), joins, 0o644); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(filepath.Join(c.Folder(id), "log")), os.Remove(filepath.Join(c.Folder(id), "meta.json")))
}

// Forget tells that clients can't find the cluster by a broker any more.
func (c *Cluster) Forget(id int) {
	c.members = slices.DeleteFunc(c.members, func(m int) bool { return m == id })
}

// Admin runs a command of broker admin and returns what it printed.
func (c *Cluster) Admin(ctx context.Context, args ...string) (string, error) {
	words := append([]string{"admin", "-bootstrap", strings.Join(c.Bootstrap(), ",")}, args...)
	out, err := exec.CommandContext(ctx, c.o.Program, words...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("broker admin %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// Close ends all processes, cleanly if they can.
func (c *Cluster) Close() {
	if c.Net != nil {
		c.Net.Heal()
	}
	for _, p := range c.running {
		p.cmd.Process.Signal(syscall.SIGCONT)
		p.cmd.Process.Signal(syscall.SIGTERM)
	}
	for id, p := range c.running {
		if c.WaitForEnd(id, stopTime) != nil {
			p.cmd.Process.Kill()
			<-p.ended
		}
	}
	if c.Net != nil {
		c.Net.close()
	}
}
