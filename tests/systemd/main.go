// SPDX-License-Identifier: Apache-2.0

// Command systemd does what docs/OPERATIONS.md says of three brokers on one machine with systemd: it boots Debian in a container, with systemd
// as its first process, and runs the commands of that chapter there as they stand, with packages built from two commits. Between them it writes
// records, goes on writing during the upgrade, reads all of them back, and kills a broker.
//
// It needs root, the programs debootstrap and systemd-nspawn, and Debian's archive. The exit code is 0 if all is well, 1 if something
// failed, 2 if it could not be run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := flag.String("root", filepath.Join(os.TempDir(), "chronik-systemd"), "the container's folder; Debian is installed there the first time")
	old := flag.String("old", "HEAD~1", "the commit that is upgraded from")
	flag.Parse()
	missing, err := walk(ctx, *root, *old)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "systemd:", err)
		os.Exit(2)
	case len(missing) > 0:
		fmt.Fprintf(os.Stderr, "systemd: FAILED: it didn't say %q; what was done is in %s\n", missing, filepath.Join(*root, said))
		os.Exit(1)
	}
	fmt.Println("systemd: ok")
}

// said is where in the container the walk writes to.
const said = "root/walk.out"

// limit is how long the walk may take in the container.
const limit = 5 * time.Minute

// walk returns the lines that should have been printed in the container and weren't.
func walk(ctx context.Context, root, old string) (missing []string, err error) {
	document, err := os.ReadFile("docs/OPERATIONS.md")
	if err != nil {
		return nil, fmt.Errorf("%w; run it in the root of the repository", err)
	}
	script, err := scriptOf(string(document))
	if err != nil {
		return nil, err
	}
	if err := prepare(ctx, root); err != nil {
		return nil, err
	}
	for folder, commit := range map[string]string{"old": old, "new": "HEAD"} {
		if err := build(ctx, commit, filepath.Join(root, "root", folder)); err != nil {
			return nil, err
		}
	}
	for file, content := range map[string]string{"root/walk.sh": script, "etc/systemd/system/walk.service": unit} {
		if err := os.WriteFile(filepath.Join(root, file), []byte(content), 0o644); err != nil {
			return nil, err
		}
	}
	out, err := boot(ctx, root)
	if err != nil {
		return nil, err
	}
	for _, line := range expected {
		if !regexp.MustCompile(`(?m)` + line).MatchString(out) {
			missing = append(missing, line)
		}
	}
	return missing, nil
}

// prepare installs Debian with what the walk needs, and removes what a walk before left.
func prepare(ctx context.Context, root string) error {
	if os.Geteuid() != 0 {
		return errors.New("only root can boot a container; run it as root")
	}
	if _, err := os.Stat(filepath.Join(root, "usr/bin/kcat")); err != nil {
		if err := command(ctx, "debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv,dbus,openssl,curl,kcat,ca-certificates", "bookworm", root); err != nil {
			return err
		}
	}
	return command(ctx, "chroot", root, "sh", "-c", `dpkg -P chronik 2>/dev/null
		rm -rf /var/lib/chronik /etc/chronik /var/backups/chronik /root/old /root/new /root/walk.out /etc/systemd/system/chronik@.service
		rm -f /etc/systemd/system/multi-user.target.wants/chronik*
		mkdir -p /etc/systemd/system/multi-user.target.wants
		ln -sf /etc/systemd/system/walk.service /etc/systemd/system/multi-user.target.wants/`)
}

// build makes the Debian package of a commit in a folder.
func build(ctx context.Context, commit, folder string) error {
	made, err := os.MkdirTemp("", "chronik-release")
	if err != nil {
		return err
	}
	defer os.RemoveAll(made)
	if err := command(ctx, "go", "-C", "tools", "run", "./release", "-arch", "amd64", "-commit", commit, "-out", filepath.Join(made, "out")); err != nil {
		return err
	}
	packages, err := filepath.Glob(filepath.Join(made, "out", "*.deb"))
	if err != nil || len(packages) != 1 {
		return fmt.Errorf("%d packages were made of commit %s", len(packages), commit)
	}
	return errors.Join(os.MkdirAll(folder, 0o755), command(ctx, "cp", packages[0], folder))
}

// boot runs the container until the walk is over, and returns what was said in it.
func boot(ctx context.Context, root string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := command(ctx, "systemd-nspawn", "--register=no", "--keep-unit", "-q", "-b", "-D", root); err != nil {
		return "", err
	}
	out, err := os.ReadFile(filepath.Join(root, said))
	return string(out), err
}

// command runs a program; an error has what it printed.
func command(ctx context.Context, name string, args ...string) error {
	fmt.Println("systemd:", name, strings.Join(args[:min(len(args), 8)], " "))
	c := exec.CommandContext(ctx, name, args...)
	c.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}
