// SPDX-License-Identifier: Apache-2.0

// Command release builds what a release consists of, from a commit: programs, archives, Debian packages and container images for each
// architecture, a list of what is in them (CycloneDX), and checksums. Two runs for the same commit give the same bytes.
//
//	go -C tools run ./release -out ../dist
//
// It needs git and the Go module proxy, and no docker and no registry. See docs/RELEASING.md.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	repository := flag.String("repository", "..", "the repository")
	commit := flag.String("commit", "HEAD", "commit or tag to release")
	out := flag.String("out", "", "a new folder for what is made")
	archs := flag.String("arch", "amd64,arm64", "architectures")
	flag.Parse()
	if *out == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "release: -out is missing, or there is a word too many")
		os.Exit(2)
	}
	if err := run(ctx, *repository, *commit, *out, strings.Split(*archs, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// source is a commit in a clone of its own, so that nothing that lies around gets into a build, and the compiler notes the commit.
type source struct {
	dir     string
	commit  string
	version string    // v1.2.3, or v0.0.0-TIME-COMMIT where the commit has no tag
	time    time.Time // of the commit; what is made bears it
}

func run(ctx context.Context, repository, commit, out string, archs []string) error {
	if err := os.Mkdir(out, 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "release")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	src, err := clone(ctx, repository, commit, filepath.Join(temp, "source"))
	if err != nil {
		return err
	}
	for _, arch := range archs {
		fmt.Printf("chronik %s for linux/%s\n", src.version, arch)
		program := filepath.Join(temp, "broker-"+arch)
		if err := compile(ctx, src, arch, program); err != nil {
			return err
		}
		if err := src.makeAll(program, arch, out); err != nil {
			return err
		}
	}
	return writeSums(out)
}

// makeAll makes everything of one architecture.
func (src *source) makeAll(program, arch, out string) error {
	name := func(form string) string {
		return filepath.Join(out, fmt.Sprintf(form, strings.TrimPrefix(src.version, "v"), arch))
	}
	if err := src.writeArchive(program, name("chronik_%s_linux_%s.tar.gz")); err != nil {
		return fmt.Errorf("the archive: %w", err)
	}
	if err := src.writeDebian(program, arch, name("chronik_%s_%s.deb")); err != nil {
		return fmt.Errorf("the Debian package: %w", err)
	}
	if err := src.writeImage(program, arch, name("chronik_%s_linux_%s.image.tar")); err != nil {
		return fmt.Errorf("the image: %w", err)
	}
	if err := src.writeBill(program, name("chronik_%s_linux_%s.cdx.json")); err != nil {
		return fmt.Errorf("the bill of materials: %w", err)
	}
	return nil
}

func clone(ctx context.Context, repository, commit, dir string) (*source, error) {
	src := &source{dir: dir}
	repository, err := filepath.Abs(repository)
	if err != nil {
		return nil, err
	}
	if src.commit, err = output(ctx, repository, "git", "rev-parse", "--verify", commit+"^{commit}"); err != nil {
		return nil, err
	}
	if _, err = output(ctx, repository, "git", "clone", "--quiet", "--no-checkout", repository, dir); err != nil {
		return nil, err
	}
	if _, err = output(ctx, dir, "git", "checkout", "--quiet", "--detach", src.commit); err != nil {
		return nil, err
	}
	seconds, err := output(ctx, dir, "git", "log", "-1", "--format=%ct")
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return nil, err
	}
	src.time = time.Unix(n, 0).UTC()
	if src.version, err = output(ctx, dir, "git", "describe", "--tags", "--exact-match", "--match", "v*"); err != nil {
		src.version = fmt.Sprintf("v0.0.0-%s-%.12s", src.time.Format("20060102150405"), src.commit)
	}
	return src, nil
}

// compile builds a static program without paths of this machine. The compiler notes version and commit by itself.
func compile(ctx context.Context, src *source, arch, program string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w", "-o", program, "./cmd/broker")
	cmd.Dir, cmd.Env = src.dir, append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOFLAGS=", "GOWORK=off", "GOAMD64=v1", "GOARM64=v8.0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building for %s: %w\n%s", arch, err, out)
	}
	return nil
}

func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var said strings.Builder
	cmd.Dir, cmd.Stderr = dir, &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, &said)
	}
	return strings.TrimSpace(string(out)), nil
}

// writeSums writes what `sha256sum -c SHA256SUMS` checks.
func writeSums(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var lines []string
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		lines = append(lines, hex.EncodeToString(sum[:])+"  "+f.Name()+"\n")
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[66:], b[66:]) })
	return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), []byte(strings.Join(lines, "")), 0o644)
}
