// SPDX-License-Identifier: Apache-2.0

// Command console tests the page that brokers serve to people, in a headless Chromium, against three broker processes under load of
// which one is killed on the way. It clicks through every page and every action, holds what it sees against the cluster, asks axe
// whether the pages can be used by everybody, and takes the pictures of the documents with -pictures.
//
// node, npm and a Chromium have to be there (CHROMIUM names it, or it is called chromium); puppeteer-core and axe-core are installed
// into a cache folder outside of the tree. The exit code is 0 if all is well, 1 if something failed, 2 if the test could not be run.
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"chronik/tests/rig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	pictures := flag.String("pictures", "", "folder for pictures of the pages; default: none are taken")
	port := flag.Int("port", 31092, "the first broker's port for clients; later ones are tried too")
	warm := flag.Duration("warm", 25*time.Second, "how long the load runs before the pages are looked at")
	flag.Parse()
	failed, err := run(ctx, *pictures, *port, *warm)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "console:", err)
		os.Exit(2)
	case failed:
		os.Exit(1)
	}
}

// run reports whether a test failed.
func run(ctx context.Context, pictures string, port int, warm time.Duration) (failed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	cache, err := install(ctx)
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "console")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	c, err := rig.Start(ctx, rig.Options{Brokers: 3, Dir: dir, Port: port})
	if err != nil {
		return false, err
	}
	defer c.Close()
	l, err := startLoad(ctx, c.Bootstrap())
	if err != nil {
		return false, err
	}
	defer l.stop()
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case <-time.After(warm):
	}
	return browse(ctx, c, cache, pictures)
}

// packages are what the test needs of npm.
var packages = []string{"puppeteer-core@25", "axe-core@4"}

// install returns the folder in which the packages are.
func install(ctx context.Context) (string, error) {
	user, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache := filepath.Join(user, "chronik-console")
	if _, err := os.Stat(filepath.Join(cache, "node_modules", "axe-core")); err == nil {
		return cache, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	npm := exec.CommandContext(ctx, "npm", append([]string{"install", "--prefix", cache, "--no-audit", "--no-fund"}, packages...)...)
	if out, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("installing %s: %w\n%s", strings.Join(packages, " and "), err, out)
	}
	return cache, nil
}

// browse runs the browser's half, and kills and starts brokers when it says so: a line "broker 2 kill" or "broker 2 start".
func browse(ctx context.Context, c *rig.Cluster, cache, pictures string) (failed bool, err error) {
	chromium, err := exec.LookPath(cmp.Or(os.Getenv("CHROMIUM"), "chromium"))
	if err != nil {
		return false, fmt.Errorf("%w; install it, or set CHROMIUM to one", err)
	}
	setup, err := json.Marshal(map[string]any{"urls": c.Consoles(), "chromium": chromium, "cache": cache, "pictures": pictures})
	if err != nil {
		return false, err
	}
	node := exec.CommandContext(ctx, "node", filepath.Join("tests", "console", "browser.mjs"), string(setup))
	node.Stderr = os.Stderr
	rig.Tie(node)
	in, err := node.StdinPipe()
	if err != nil {
		return false, err
	}
	out, err := node.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := node.Start(); err != nil {
		return false, err
	}
	if err := obey(ctx, c, out, in); err != nil {
		node.Process.Kill()
		return false, errors.Join(err, node.Wait())
	}
	err = node.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		return true, nil
	}
	return false, err
}

// obey does what the lines say, answers each with one, and prints the others.
func obey(ctx context.Context, c *rig.Cluster, lines io.Reader, answers io.Writer) error {
	for in := bufio.NewScanner(lines); in.Scan(); {
		id, what := 0, ""
		if n, _ := fmt.Sscanf(in.Text(), "broker %d %s", &id, &what); n != 2 {
			fmt.Println(in.Text())
			continue
		}
		act := func() error { return c.Kill(id) }
		if what == "start" {
			act = func() error { return c.Restart(ctx, id) }
		}
		if err := act(); err != nil {
			return err
		}
		fmt.Fprintln(answers, "done")
	}
	return nil
}
