// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// made is what is built once for all tests: the commit that is checked out, for this machine's architecture.
func made(t *testing.T) (dir string) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a release")
	}
	dir = filepath.Join(t.TempDir(), "dist")
	if err := run(t.Context(), "../..", "HEAD", dir, []string{runtime.GOARCH}); err != nil {
		t.Fatal(err)
	}
	return dir
}

func only(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	return found[0]
}

func TestRelease(t *testing.T) {
	dir := made(t)
	t.Run("the same again", func(t *testing.T) {
		sums, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
		if err != nil {
			t.Fatal(err)
		}
		again, err := os.ReadFile(filepath.Join(made(t), "SHA256SUMS"))
		if err != nil || !bytes.Equal(sums, again) {
			t.Errorf("%v: a second build differs:\n%s\n%s", err, sums, again)
		}
		if lines := bytes.Count(sums, []byte("\n")); lines != 4 {
			t.Errorf("%d files in\n%s", lines, sums)
		}
		check := exec.Command("sha256sum", "-c", "SHA256SUMS")
		if check.Dir = dir; check.Run() != nil {
			t.Error("sha256sum doesn't confirm the sums")
		}
	})
	t.Run("bill of materials", func(t *testing.T) { billIsWhole(t, only(t, dir, "*.cdx.json")) })
	t.Run("Debian package", func(t *testing.T) { packageIsWhole(t, only(t, dir, "*.deb")) })
	t.Run("image", func(t *testing.T) { imageRuns(t, only(t, dir, "*.image.tar")) })
}

// billIsWhole compares it with what the product's go.mod requires directly.
func billIsWhole(t *testing.T, file string) {
	var bill struct {
		BOMFormat  string
		Components []component
	}
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &bill)
	}
	if err != nil || bill.BOMFormat != "CycloneDX" {
		t.Fatalf("%v, %q", err, bill.BOMFormat)
	}
	listed := make(map[string]string)
	for _, c := range bill.Components {
		listed[c.Name] = c.Version
	}
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go.etcd.io/raft/v3", "github.com/twmb/franz-go", "github.com/prometheus/client_golang", "google.golang.org/protobuf"} {
		m := regexp.MustCompile(`(?m)^\t` + regexp.QuoteMeta(name) + ` (\S+)`).FindSubmatch(mod)
		if m == nil || listed[name] != string(m[1]) {
			t.Errorf("%s is %q in the bill, %q in go.mod", name, listed[name], m)
		}
	}
	if listed["std"] == "" {
		t.Error("the standard library isn't listed")
	}
}

// imageRuns looks at the image and runs it as its configuration says: not as root, with a root that nobody can write to.
func imageRuns(t *testing.T, file string) {
	img, err := tarball.ImageFromPath(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := cfg.Config
	if c.User != "65532:65532" || c.Healthcheck == nil || c.Labels["org.opencontainers.image.revision"] == "" {
		t.Errorf("the configuration is %+v", c)
	}
	root := t.TempDir()
	unpack(t, mutate.Extract(img), root)
	if os.Geteuid() != 0 || exec.Command("unshare", "--mount", "true").Run() != nil {
		t.Skip("no root, or no namespaces: the image isn't run")
	}
	chroot, err := exec.LookPath("chroot")
	if err != nil {
		t.Skip(err)
	}
	data := t.TempDir()
	if err := os.Chown(data, userID, userID); err != nil {
		t.Fatal(err)
	}
	inside := func(ctx context.Context, env []string, words ...string) *exec.Cmd {
		script := `mount --bind "$1" "$1" && mount --bind "$2" "$1/data" && mount -o remount,bind,ro "$1" && shift 2 && exec "$@"`
		args := append([]string{"--mount", "sh", "-c", script, "sh", root, data, "env", "-i"}, append(c.Env, env...)...)
		args = append(args, chroot, "--userspec="+c.User, "--groups=", root)
		cmd := exec.CommandContext(ctx, "unshare", append(args, words...)...)
		return cmd
	}
	env := []string{"CHRONIK_ALLOW_STRANGERS=true", "CHRONIK_ADVERTISE=127.0.0.1:23411", "CHRONIK_LISTEN=0.0.0.0:23411", "CHRONIK_METRICS=0.0.0.0:23412"}
	if out, err := inside(t.Context(), []string{"CHRONIK_ADVERTISE=127.0.0.1:23411"}, append(append([]string{}, c.Entrypoint...), c.Cmd...)...).CombinedOutput(); err == nil || !strings.Contains(string(out), "allow_strangers") {
		t.Errorf("it lets strangers in without being told to: %v\n%s", err, out)
	}
	var said lockedBuffer
	broker := inside(t.Context(), env, append(append([]string{}, c.Entrypoint...), c.Cmd...)...)
	broker.Stdout, broker.Stderr = &said, &said
	if err := broker.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- broker.Wait() }()
	health := func() ([]byte, error) { return inside(t.Context(), env, c.Healthcheck.Test[1:]...).CombinedOutput() }
	out, err := health()
	for range 100 {
		if err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
		out, err = health()
	}
	if err != nil || !strings.HasPrefix(string(out), "ready: broker 1") {
		t.Errorf("the health check: %v %s\n%s", err, out, said.String())
	}
	if uid := ownerOf(t, filepath.Join(data, "meta.json")); uid != userID {
		t.Errorf("it runs as %d", uid)
	}
	if _, err := os.Stat(filepath.Join(root, "usr/local/bin/broker")); err != nil {
		t.Error(err)
	}
	broker.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("it ended with %v\n%s", err, said.String())
		}
	case <-time.After(20 * time.Second):
		broker.Process.Kill()
		t.Error("it doesn't stop")
	}
}

// lockedBuffer is what a process prints, which may be read meanwhile.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func ownerOf(t *testing.T, file string) uint32 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Uid
}

func unpack(t *testing.T, from io.ReadCloser, root string) {
	t.Helper()
	defer from.Close()
	for r := tar.NewReader(from); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(root, h.Name)
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o755)
		} else {
			data, readErr := io.ReadAll(r)
			err = errors.Join(readErr, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, os.FileMode(h.Mode)))
			if strings.HasPrefix(string(data), "\x7fELF") && bytes.Contains(data[:min(len(data), 4096)], []byte("ld-linux")) {
				t.Errorf("%s isn't static", h.Name)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
