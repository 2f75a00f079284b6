// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Cache is the folder that keeps what a test installs: the named one, or one in the user's cache folder.
func Cache(named, test string) (string, error) {
	if named != "" {
		return named, nil
	}
	user, err := os.UserCacheDir()
	return filepath.Join(user, "chronik-"+test), err
}

// Install runs steps that fill a folder, once for each text of what it is to hold. A folder whose steps failed is filled anew.
func Install(dir, text string, steps func(dir string) error) error {
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
	stamp := filepath.Join(dir, "installed")
	if was, err := os.ReadFile(stamp); err == nil && string(was) == sum {
		return nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := steps(dir); err != nil {
		return err
	}
	return os.WriteFile(stamp, []byte(sum), 0o644)
}

// Call runs a command to its end; its error holds the last of what it printed.
func Call(cmd *exec.Cmd) (string, error) {
	out, err := cmd.CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return string(out), fmt.Errorf("%w: %s", err, strings.Join(lines[max(0, len(lines)-12):], "\n"))
	}
	return string(out), nil
}
