// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The recipe of docs/SECURITY.md is run as it stands there, but for the ports. At its end all three brokers are there, and nobody without
// a certificate is served.
func TestRecipeOfASecuredCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts brokers")
	}
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl isn't installed")
	}
	text, err := os.ReadFile("../../docs/SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, recipe, _ := strings.Cut(string(text), "## From nothing to a secured cluster")
	_, recipe, _ = strings.Cut(recipe, "```sh\n")
	recipe, _, ok := strings.Cut(recipe, "```\n")
	if !ok {
		t.Fatal("docs/SECURITY.md has no recipe")
	}
	base := 10 + rand.IntN(20) // thousands of ports
	recipe = strings.ReplaceAll(recipe, "127.0.0.1:18", fmt.Sprint("127.0.0.1:", base))
	bin, dir := t.TempDir(), t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(bin, "broker"), ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	stranger := fmt.Sprintf("\nif broker admin -bootstrap 127.0.0.1:%d091 -tls-ca ca.crt status; then echo SERVED A STRANGER; fi\n", base)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", "set -e\ntrap 'kill $(jobs -p); wait' EXIT\n"+recipe+stranger)
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH")), 10*time.Second
	out, err := cmd.CombinedOutput()
	said := string(out)
	for _, want := range []string{"formatted", "made the cluster secret", "broker 3"} {
		if !strings.Contains(said, want) {
			t.Errorf("it doesn't say %q", want)
		}
	}
	if strings.Contains(said, "SERVED A STRANGER") {
		t.Error("a stranger is served")
	}
	if err != nil || t.Failed() {
		logs, _ := exec.Command("bash", "-c", "tail -n 20 "+dir+"/*/log").Output()
		t.Errorf("%v:\n%s\n%s", err, said, logs)
	}
}
