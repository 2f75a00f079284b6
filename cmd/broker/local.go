// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/BurntSushi/toml"

	"chronik/host"
	"chronik/node"
)

// stopTime is how long the brokers of a local cluster may take to stop; each gives itself up
// before.
const stopTime = 15 * time.Second

// local runs a whole cluster on this machine, each broker in a process of its own.
func local(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("local", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	count := fs.Int("brokers", 3, "")
	dir := fs.String("dir", "local", "")
	port := fs.Int("port", 9092, "")
	loops := fs.Int("loops", 1, "")
	if err := fs.Parse(args); err != nil {
		return wrongUse{explainFlag(fs, err)}
	}
	if fs.NArg() > 0 {
		return wrongUse{fmt.Errorf("unexpected argument %q", fs.Arg(0))}
	}
	if *count < 1 || *count > 100 || *loops < 1 || *loops > 8 || *count**loops > 100 || *port < 1 || *port+2000+*count**loops > 65535 {
		return wrongUse{errors.New("use 1 to 100 brokers, 1 to 8 loops of each process, and a port from 1 to 63000")}
	}
	files, err := prepareLocal(*dir, localMembers(*count, *port, *loops), *loops)
	if err != nil {
		return err
	}
	return newCluster(files, *loops, stdout, stderr).run(ctx)
}

// localMembers lists the first brokers of n processes: clients on consecutive ports, peers a thousand above. Each process takes as many
// ids and ports as it has loops.
func localMembers(n, port, loops int) []member {
	members := make([]member, n)
	for i := range members {
		members[i] = member{
			ID:    i*loops + 1,
			Kafka: net127(port + i*loops),
			Peer:  net127(port + 1000 + i*loops),
		}
	}
	return members
}

// metricsAddr is where a broker of a local cluster serves its metrics: two thousand above its clients.
func metricsAddr(m member) string {
	_, port, _ := splitAddr(m.Kafka) // made by localMembers
	return net127(int(port) + 2000)
}

func net127(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// localSecret is the file with the secret of a local cluster's brokers, in the folder of all.
const localSecret = "peer.secret"

// localFile is the configuration that local writes for one broker.
type localFile struct {
	ClusterID string   `toml:"cluster_id"`
	BrokerID  int      `toml:"broker_id"`
	Join      bool     `toml:"join"` // for the day when the folder is lost
	Dir       string   `toml:"dir"`
	Listen    string   `toml:"listen"`
	Metrics   string   `toml:"metrics"`
	Secret    string   `toml:"peer_secret_file"`
	CPUs      int      `toml:"cpus"`
	Loops     int      `toml:"loops,omitzero"`
	Members   []member `toml:"members"`
}

// prepareLocal makes the brokers' folders, or checks that those there are of the same cluster. It
// returns the configuration files.
func prepareLocal(dir string, members []member, loops int) ([]string, error) {
	clusterID, err := existingCluster(dir, members, loops)
	if err != nil {
		return nil, err
	}
	if clusterID == "" {
		clusterID = host.NewClusterID()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if _, err := host.MakeSecret(filepath.Join(dir, localSecret)); err != nil {
		return nil, err
	}
	var files []string
	for _, m := range members {
		file := filepath.Join(dir, strconv.Itoa(m.ID), "broker.toml")
		files = append(files, file)
		if _, err := os.Stat(file); err == nil {
			continue
		}
		cfg := localFile{ClusterID: clusterID, BrokerID: m.ID, Join: len(members) > 1, Dir: ".", Listen: m.Kafka, Metrics: metricsAddr(m), Secret: filepath.Join("..", localSecret), CPUs: max(loops, runtime.NumCPU()/len(members)), Members: members}
		if loops > 1 {
			cfg.Loops, cfg.Join = loops, true
		}
		if err := writeLocal(file, cfg); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// existingCluster returns the cluster id of the folders in dir, "" if there are none. They must
// have been made for the same brokers on the same ports.
func existingCluster(dir string, members []member, loops int) (string, error) {
	found, err := filepath.Glob(filepath.Join(dir, "*", "broker.toml"))
	if err != nil {
		return "", err
	}
	id := ""
	for _, file := range found {
		var have localFile
		if _, err := toml.DecodeFile(file, &have); err != nil {
			return "", wrongUse{fmt.Errorf("%s: %w", file, err)}
		}
		if fmt.Sprint(have.Members) != fmt.Sprint(members) || max(1, have.Loops) != loops {
			return "", wrongUse{fmt.Errorf("%s was made for other brokers, loops or ports (%s): give the same -brokers, -loops and -port again, or another -dir",
				dir, describe(have.Members))}
		}
		id = have.ClusterID
	}
	return id, nil
}

func describe(members []member) string {
	var addrs []string
	for _, m := range members {
		addrs = append(addrs, m.Kafka)
	}
	return fmt.Sprintf("%d brokers: %s", len(members), strings.Join(addrs, ","))
}

// writeLocal formats a new broker's folder and then writes its configuration, so that a folder
// with a configuration is always formatted.
func writeLocal(file string, cfg localFile) error {
	dir := filepath.Dir(file)
	if _, err := os.Stat(filepath.Join(dir, "meta.json")); errors.Is(err, os.ErrNotExist) {
		meta := host.Meta{ClusterID: cfg.ClusterID, BrokerID: node.BrokerID(cfg.BrokerID)}
		if err := host.Format(dir, meta); err != nil {
			return err
		}
	}
	var text bytes.Buffer
	text.WriteString("# Written by `broker local`. All settings: broker help\n\n")
	if err := toml.NewEncoder(&text).Encode(cfg); err != nil {
		return err
	}
	return os.WriteFile(file, text.Bytes(), 0o644)
}

// cluster is the brokers of this machine, each a child process.
type cluster struct {
	files  []string
	loops  int // brokers of each process
	stdout io.Writer
	stderr io.Writer
	mu     sync.Mutex // of both writers
}

func newCluster(files []string, loops int, stdout, stderr io.Writer) *cluster {
	return &cluster{files: files, loops: loops, stdout: stdout, stderr: stderr}
}

// child is one process that this one has started: a broker, or several.
type child struct {
	id    int
	file  string
	cmd   *exec.Cmd
	ready chan struct{} // closed at its ready line
	ended chan struct{} // closed when the process is gone
	err   error         // how it ended; valid after ended
}

// run starts the brokers and waits for ctx; then it stops those that are left.
func (c *cluster) run(ctx context.Context) error {
	runtime.LockOSThread() // children get a signal when the thread that started them ends
	defer runtime.UnlockOSThread()
	program, err := os.Executable()
	if err != nil {
		return err
	}
	var children []*child
	defer func() { c.stop(children) }()
	for i, file := range c.files {
		ch, err := c.start(program, i*c.loops+1, file)
		if err != nil {
			return err
		}
		children = append(children, ch)
	}
	for _, ch := range children {
		select {
		case <-ch.ready:
		case <-ch.ended:
			return fmt.Errorf("broker %d did not start: %w; its lines above say why", ch.id, errOf(ch))
		case <-ctx.Done():
			return nil
		}
	}
	c.say(c.stdout, "ready: %d brokers; bootstrap servers %s", len(children)*c.loops, c.bootstrap())
	for _, ch := range children {
		go c.watch(ctx, ch)
	}
	<-ctx.Done()
	return nil
}

func errOf(ch *child) error {
	if ch.err == nil {
		return errors.New("it stopped")
	}
	return ch.err
}

// start starts one broker. Its lines come out with its id in front.
func (c *cluster) start(program string, id int, file string) (*child, error) {
	ch := &child{
		id: id, file: file,
		ready: make(chan struct{}), ended: make(chan struct{}),
		cmd: exec.Command(program, "start", "-config", file),
	}
	ch.cmd.SysProcAttr = childAttr()
	out, err := ch.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	errs, err := ch.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := ch.cmd.Start(); err != nil {
		return nil, err
	}
	var pipes sync.WaitGroup
	pipes.Go(func() { c.copyLines(c.stdout, out, ch, true) })
	pipes.Go(func() { c.copyLines(c.stderr, errs, ch, false) })
	go func() {
		pipes.Wait()
		ch.err = ch.cmd.Wait()
		close(ch.ended)
	}()
	return ch, nil
}

// copyLines copies a child's lines, and watches for the ready line of each of its brokers.
func (c *cluster) copyLines(to io.Writer, from io.Reader, ch *child, watch bool) {
	lines, left := bufio.NewReader(from), c.loops
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			c.say(to, "[%d] %s", ch.id, strings.TrimSuffix(line, "\n"))
		}
		if watch && strings.HasPrefix(line, "ready:") {
			if left--; left == 0 {
				close(ch.ready)
			}
		}
		if err != nil {
			return
		}
	}
}

func (c *cluster) say(to io.Writer, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(to, format+"\n", args...)
}

// watch says when a broker ends although nobody asked for it.
func (c *cluster) watch(ctx context.Context, ch *child) {
	<-ch.ended
	switch {
	case ctx.Err() != nil:
	case ch.cmd.ProcessState.ExitCode() == exitOut:
		c.say(c.stdout, "broker %d ended, because it is out of the cluster; the line above says more", ch.id)
	default:
		c.say(c.stdout, "broker %d ended (%v); bring it back with: broker start -config %s", ch.id, errOf(ch), ch.file)
	}
}

// stop asks all brokers at once to stop cleanly and kills those that don't.
func (c *cluster) stop(children []*child) {
	for _, ch := range children {
		ch.cmd.Process.Signal(syscall.SIGTERM)
	}
	deadline := time.After(stopTime)
	for _, ch := range children {
		select {
		case <-ch.ended:
		case <-deadline:
			ch.cmd.Process.Kill()
			c.say(c.stderr, "broker %d did not stop within %v and was killed", ch.id, stopTime)
			deadline = time.After(0)
		}
	}
}

func (c *cluster) bootstrap() string {
	var have localFile
	toml.DecodeFile(c.files[0], &have) // read before by existingCluster or written by us
	var addrs []string
	for _, m := range have.Members {
		addrs = append(addrs, m.Kafka)
	}
	return strings.Join(addrs, ",")
}
