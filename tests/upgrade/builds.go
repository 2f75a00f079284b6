// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// programs are brokers of several releases.
type programs struct {
	last, present string
	next          string // the present tree with one more version of the peer protocol and one more feature level
	stranger      string // one that speaks only later versions of the peer protocol
	tooNew        string // one that supports only later feature levels
	newest        int    // feature level of the present tree
}

func build(ctx context.Context, dir, release string) (p programs, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return p, err
	}
	if p.last, err = buildRelease(ctx, dir, release); err != nil {
		return p, err
	}
	p.present = filepath.Join(dir, "present")
	if err = compile(ctx, ".", p.present); err != nil {
		return p, err
	}
	spoken, err := found("host/versions.go", `peerVersions = versions\{(\d+), (\d+)\}`)
	if err != nil {
		return p, err
	}
	levels, err := found("node/level.go", `newestLevel = (\d+)`)
	if err != nil {
		return p, err
	}
	p.newest = levels[0]
	change := func(file, from, to string, args ...any) edit { return edit{file, from, fmt.Sprintf(to, args...)} }
	for _, b := range []struct {
		name  string
		into  *string
		edits []edit
	}{
		{"next", &p.next, []edit{
			change("host/versions.go", fmt.Sprintf("versions{%d, %d}", spoken[0], spoken[1]), "versions{%d, %d}", spoken[0], spoken[1]+1),
			change("node/level.go", fmt.Sprintf("newestLevel = %d", p.newest), "newestLevel = %d", p.newest+1),
		}},
		{"stranger", &p.stranger, []edit{
			change("host/versions.go", fmt.Sprintf("versions{%d, %d}", spoken[0], spoken[1]), "versions{%d, %d}", spoken[1]+1, spoken[1]+2),
		}},
		{"too-new", &p.tooNew, []edit{
			change("node/level.go", "return Levels{firstLevel, newestLevel}", "return Levels{newestLevel + 1, newestLevel + 2}"),
		}},
	} {
		*b.into = filepath.Join(dir, b.name)
		if err := compileEdited(ctx, dir, b.name, b.edits); err != nil {
			return p, err
		}
	}
	return p, nil
}

// buildRelease builds the broker of a commit.
func buildRelease(ctx context.Context, dir, commit string) (string, error) {
	source, program := filepath.Join(dir, "last-source"), filepath.Join(dir, "last")
	if err := os.MkdirAll(source, 0o755); err != nil {
		return "", err
	}
	tar := exec.CommandContext(ctx, "sh", "-c", `git archive "$1" | tar -x -C "$2"`, "sh", commit, source)
	if out, err := tar.CombinedOutput(); err != nil {
		return "", fmt.Errorf("taking %s out of the history: %w\n%s", commit, err, out)
	}
	return program, compile(ctx, source, program)
}

// compile builds the broker in a tree.
func compile(ctx context.Context, tree, program string, flags ...string) error {
	args := append([]string{"build", "-buildvcs=false", "-o", program}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "./cmd/broker")...)
	cmd.Dir = tree
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", program, err, out)
	}
	return nil
}

// edit is a change of a file for one build.
type edit struct{ file, from, to string }

// compileEdited builds the present tree as if files had been changed.
func compileEdited(ctx context.Context, dir, name string, edits []edit) error {
	overlay := struct{ Replace map[string]string }{make(map[string]string)}
	for i, e := range edits {
		text, err := os.ReadFile(e.file)
		if err != nil {
			return err
		}
		if strings.Count(string(text), e.from) != 1 {
			return fmt.Errorf("%q isn't in %s once; adapt tests/upgrade", e.from, e.file)
		}
		file, err := filepath.Abs(e.file)
		if err != nil {
			return err
		}
		edited := filepath.Join(dir, fmt.Sprintf("%s-%d.go", name, i))
		if err := os.WriteFile(edited, []byte(strings.Replace(string(text), e.from, e.to, 1)), 0o644); err != nil {
			return err
		}
		overlay.Replace[file] = edited
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		return err
	}
	list := filepath.Join(dir, name+".json")
	if err := os.WriteFile(list, text, 0o644); err != nil {
		return err
	}
	return compile(ctx, ".", filepath.Join(dir, name), "-overlay", list)
}

// found returns the numbers of a pattern in a file.
func found(file, pattern string) (numbers []int, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	m := regexp.MustCompile(pattern).FindStringSubmatch(string(text))
	if m == nil {
		return nil, fmt.Errorf("%q isn't in %s; adapt tests/upgrade", pattern, file)
	}
	for _, digits := range m[1:] {
		n, err := strconv.Atoi(digits)
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}
