// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// pods are brokers that run as the StatefulSet says, but as processes of this machine: each has an address of its own instead of a name.
type pods struct {
	t       *testing.T
	program string
	dir     string
	running map[int]*pod
}

type pod struct {
	cmd   *exec.Cmd
	said  said
	ended chan struct{}
}

// said is what a process prints.
type said struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

const podTime = 60 * time.Second

func address(n int) string { return fmt.Sprintf("127.0.77.%d", n+1) }

func (p *pods) folder(n int) string { return filepath.Join(p.dir, fmt.Sprintf("data-%d", n)) }

// begin runs the init steps of a pod, and then its broker.
func (p *pods) begin(c *cluster, n int) {
	p.t.Helper()
	replace := []string{"0.0.0.0", address(n), "/etc/chronik-secret", p.dir, ":9092", ":23592", ":9192", ":23692", ":9644", ":23744"}
	for other := range 3 {
		replace = append(replace, fmt.Sprintf("chronik-%d.chronik.chronik.svc", other), address(other))
	}
	file := filepath.Join(p.dir, fmt.Sprintf("broker-%d.toml", n))
	text := strings.NewReplacer(replace...).Replace(c.config.Data["broker.toml"])
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
	spec := &c.set.Spec.Template.Spec
	command := func(args []string) *exec.Cmd {
		cmd := exec.Command(p.program, args...)
		cmd.Args[len(cmd.Args)-1] = file
		for _, e := range spec.Containers[0].Env {
			switch {
			case e.ValueFrom != nil:
				e.Value = fmt.Sprint(n)
			case e.Name == "CHRONIK_DIR":
				e.Value = p.folder(n)
			}
			cmd.Env = append(cmd.Env, e.Name+"="+e.Value)
		}
		return cmd
	}
	for _, init := range spec.InitContainers {
		if out, err := command(init.Args).CombinedOutput(); err != nil {
			p.t.Fatalf("pod %d, %s: %v\n%s", n, init.Name, err, out)
		}
	}
	b := &pod{cmd: command(spec.Containers[0].Args), ended: make(chan struct{})}
	b.cmd.Stdout, b.cmd.Stderr = &b.said, &b.said
	if err := b.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() { b.cmd.Wait(); close(b.ended) }()
	p.running[n] = b
	p.t.Cleanup(func() { b.cmd.Process.Kill(); <-b.ended })
}

// wait waits for the readiness probe.
func (p *pods) wait(c *cluster, n int) {
	p.t.Helper()
	probe := c.set.Spec.Template.Spec.Containers[0].ReadinessProbe.HTTPGet
	for deadline := time.Now().Add(podTime); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get("http://" + address(n) + ":23744" + probe.Path)
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
	}
	p.t.Fatalf("pod %d isn't ready in %v:\n%s", n, podTime, p.running[n].said.String())
}

func (p *pods) stop(n int) {
	p.t.Helper()
	b := p.running[n]
	b.cmd.Process.Signal(syscall.SIGTERM)
	p.waitForEnd(n)
	if code := b.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Errorf("pod %d stopped with exit code %d:\n%s", n, code, b.said.String())
	}
}

func (p *pods) waitForEnd(n int) {
	p.t.Helper()
	select {
	case <-p.running[n].ended:
	case <-time.After(podTime):
		p.t.Fatalf("pod %d doesn't end:\n%s", n, p.running[n].said.String())
	}
}

// TestPods founds a cluster as the manifests do, restarts a pod, and loses its volume, without the component founded and with it.
func TestPods(t *testing.T) {
	if testing.Short() {
		t.Skip("runs brokers")
	}
	founding, founded := render(t), render(t, "founded")
	p := &pods{t: t, program: broker(t), dir: t.TempDir(), running: make(map[int]*pod)}
	if err := os.WriteFile(filepath.Join(p.dir, "peer.secret"), []byte(secret), 0o400); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		p.begin(founding, n)
	}
	for n := range 3 {
		p.wait(founding, n)
	}
	p.stop(2)
	p.begin(founding, 2) // the folder is formatted already
	p.wait(founding, 2)

	lose := func() {
		t.Helper()
		if err := os.RemoveAll(p.folder(2)); err != nil {
			t.Fatal(err)
		}
	}
	p.stop(2)
	lose()
	p.begin(founding, 2)
	p.waitForEnd(2)
	if text := p.running[2].said.String(); p.running[2].cmd.ProcessState.ExitCode() == 0 || !strings.Contains(text, "as if the cluster were new") {
		t.Errorf("a founder that lost its volume says\n%s", text)
	}
	lose()
	p.begin(founded, 2)
	p.wait(founded, 2)
	for n := range 3 {
		p.wait(founded, n)
		p.stop(n)
	}
}
