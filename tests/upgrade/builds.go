// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// programs are brokers of several releases.
type programs struct{ last, present string }

func build(ctx context.Context, dir, release string) (p programs, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return p, err
	}
	if p.last, err = buildRelease(ctx, dir, release); err != nil {
		return p, err
	}
	p.present = filepath.Join(dir, "present")
	return p, compile(ctx, ".", p.present)
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
func compile(ctx context.Context, tree, program string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", program, "./cmd/broker")
	cmd.Dir = tree
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", program, err, out)
	}
	return nil
}
