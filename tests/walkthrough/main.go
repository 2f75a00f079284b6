// SPDX-License-Identifier: Apache-2.0

// Command walkthrough does what docs/OPERATIONS.md tells somebody who has a clean clone and nothing else: the commands of its chapter "From
// a clean clone to a cluster that runs", as they stand there but for the ports, in one shell. It stops at the first that fails, holds what
// they print against what they should, and says how long each part took. Then it asks for what nobody but the administrator may have.
//
// What is in the working tree but not committed isn't in the clone. Parts whose program isn't installed (kcat, prometheus) are left out, and it says so.
// The exit code is 0 if all is well, 1 if something failed, 2 if it could not be run.
package main

import (
	"bufio"
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

const chapter = "## From a clean clone to a cluster that runs\n"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ports := flag.Int("ports", 17, "thousands of the ports that are used; in the document they are 17")
	flag.Parse()
	failed, err := run(ctx, *ports)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "walkthrough:", err)
		os.Exit(2)
	case failed != "":
		fmt.Fprintln(os.Stderr, "walkthrough: FAILED:", failed)
		os.Exit(1)
	}
}

// part is one block of commands.
type part struct{ name, commands string }

var (
	block = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	bold  = regexp.MustCompile(`\*\*([^*]+)\*\*`)
)

// parts takes the blocks out of the chapter. Each is called after the last words in bold before it.
func parts(text string) (found []part, err error) {
	_, text, ok := strings.Cut(text, chapter)
	text, _, more := strings.Cut(text, "\n## ")
	if !ok || !more {
		return nil, errors.New("docs/OPERATIONS.md has no such chapter")
	}
	name, from := "", 0
	for _, at := range block.FindAllStringSubmatchIndex(text, -1) {
		if m := bold.FindAllStringSubmatch(text[from:at[0]], -1); m != nil {
			name = strings.Trim(m[len(m)-1][1], ".")
		}
		found, from = append(found, part{name, text[at[2]:at[3]]}), at[1]
	}
	return found, nil
}

// wanted is what parts print if all is well, by their names.
var wanted = map[string]string{
	"Build it":                            "feature level",
	"Configure and start":                 "ready: broker 3 of cluster walk",
	"A user, what it may do, and a topic": "moves under way: 0",
	"The first backup":                    "is whole: 1 topics, 6 partitions, 1000 offsets",
	"A rolling upgrade":                   "the cluster is at level 1",
}

// strangers is no part of the document: what must not work.
const strangers = `
if broker admin -bootstrap 127.0.0.1:17091 -tls-ca ca.crt status; then echo SERVED A STRANGER; exit 1; fi
if broker admin -bootstrap 127.0.0.1:17091 -tls-ca ca.crt -user alice -password-file alice.pw topics create secret; then echo ALICE MAY TOO MUCH; exit 1; fi
if broker admin -bootstrap 127.0.0.1:17091 -user admin -password-file admin.pw status; then echo SERVED WITHOUT TLS; exit 1; fi
if curl --fail --silent --cacert ca.crt https://127.0.0.1:17291/metrics; then echo SHOWED METRICS TO A STRANGER; exit 1; fi
`

// optional are programs that a part needs and that may be missing.
var optional = []string{"kcat", "prometheus"}

// leaveOut names the program that isn't there for a part.
func (p part) leaveOut() string {
	for _, program := range optional {
		if _, err := exec.LookPath(program); err != nil && regexp.MustCompile(`(?m)(^|\| )`+program+` `).MatchString(p.commands) {
			return program
		}
	}
	return ""
}

// script is all parts, with a line before each that says its number.
func script(all []part, ports int) string {
	var b strings.Builder
	b.WriteString("set -e -o pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n")
	for i, p := range all {
		if missing := p.leaveOut(); missing != "" {
			p.commands = withoutLines(p.commands, missing)
		}
		fmt.Fprintf(&b, "echo '%s%d'\n%s\n", mark, i, p.commands)
	}
	return strings.ReplaceAll(b.String(), "127.0.0.1:17", fmt.Sprint("127.0.0.1:", ports))
}

const mark = "=== part "

// withoutLines leaves out the lines that run a program that isn't there, and a part that begins with it as a whole.
func withoutLines(commands, program string) string {
	if strings.HasPrefix(commands, program) {
		return "echo left out: there is no " + program
	}
	var kept []string
	for _, line := range strings.Split(commands, "\n") {
		if !regexp.MustCompile(`(^|\| )` + program + ` `).MatchString(line) {
			kept = append(kept, line)
		}
	}
	return strings.Join(append(kept, "echo left out: there is no "+program), "\n")
}

func run(ctx context.Context, ports int) (failed string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "walkthrough")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	clone := filepath.Join(dir, "clone")
	if out, err := exec.CommandContext(ctx, "git", "clone", "--quiet", ".", clone).CombinedOutput(); err != nil {
		return "", fmt.Errorf("git clone: %w\n%s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(clone, "docs", "OPERATIONS.md"))
	if err != nil {
		return "", err
	}
	all, err := parts(string(text))
	if err != nil {
		return "", err
	}
	all = append(all, part{"What must not work", strangers})
	said, took, err := play(ctx, clone, script(all, ports), len(all))
	total := time.Duration(0)
	for i, p := range all {
		fmt.Printf("%-40s %6.1f s\n", p.name, took[i].Seconds())
		total += took[i]
	}
	fmt.Printf("%-40s %6.1f s\n", "All of it", total.Seconds())
	if err != nil {
		logs, _ := exec.Command("bash", "-c", "tail -n 20 "+clone+"/cluster/*/log").Output()
		return fmt.Sprintf("%v\n%s", err, logs), nil
	}
	printed := make(map[string]string)
	for i, p := range all {
		printed[p.name] += said[i]
	}
	for name, want := range wanted {
		if !strings.Contains(printed[name], want) {
			return fmt.Sprintf("%s: it doesn't print %q", name, want), nil
		}
	}
	return "", nil
}

// play runs the script, and returns what each part printed and how long it took.
func play(ctx context.Context, dir, script string, n int) (said []string, took []time.Duration, err error) {
	said, took = make([]string, n), make([]time.Duration, n)
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir, cmd.WaitDelay = dir, 10*time.Second
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	out, err := cmd.StdoutPipe()
	if err != nil {
		return said, took, err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return said, took, err
	}
	at, began := -1, time.Now()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := lines.Text()
		fmt.Println(line)
		if strings.HasPrefix(line, mark) {
			if at >= 0 {
				took[at] = time.Since(began)
			}
			at, began = at+1, time.Now()
		} else if at >= 0 {
			said[at] += line + "\n"
		}
	}
	if at >= 0 {
		took[at] = time.Since(began)
	}
	return said, took, errors.Join(lines.Err(), cmd.Wait())
}
