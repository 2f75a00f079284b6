// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func packageIsWhole(t *testing.T, file string) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("there is no dpkg-deb here")
	}
	list, err := exec.Command("dpkg-deb", "--contents", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, list)
	}
	for _, want := range []string{
		`-rwxr-xr-x root/root +\d+ .* \./usr/bin/chronik-broker`, `-rw-r--r-- .* \./usr/lib/systemd/system/chronik.service`,
		`-rw-r----- .* \./etc/chronik/broker.toml`, `\./usr/lib/sysusers.d/chronik.conf`,
	} {
		if !regexp.MustCompile(want).Match(list) {
			t.Errorf("no %s in\n%s", want, list)
		}
	}
	root := t.TempDir()
	if out, err := exec.Command("dpkg-deb", "--raw-extract", file, root).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if conf, err := os.ReadFile(filepath.Join(root, "DEBIAN", "conffiles")); err != nil || strings.TrimSpace(string(conf)) != "/etc/chronik/broker.toml" {
		t.Errorf("configuration files: %q, %v", conf, err)
	}
	broker := filepath.Join(root, "usr/bin/chronik-broker")
	check := exec.Command(broker, "check", "-config", filepath.Join(root, "etc/chronik/broker.toml"))
	check.Env = []string{"CHRONIK_PEER_SECRET=0123456789abcdef0123456789abcdef", "CHRONIK_PEER_SECRET_FILE=", "CHRONIK_DIR=" + t.TempDir()}
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("the configuration that it brings: %v\n%s", err, out)
	}
	unitIsHardened(t, filepath.Join(root, "usr/lib/systemd/system/chronik.service"), broker)
}

// mostExposed is what `systemd-analyze security` may say, of 10.
const mostExposed = "15" // 1.5

func unitIsHardened(t *testing.T, unit, broker string) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("there is no systemd-analyze here")
	}
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	here := filepath.Join(t.TempDir(), "chronik.service")
	if err := os.WriteFile(here, bytes.Replace(text, []byte("/usr/bin/chronik-broker"), []byte(broker), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", here).CombinedOutput(); err != nil || strings.Contains(string(out), "chronik.service:") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err := exec.Command("systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold="+mostExposed, here).CombinedOutput()
	if strings.Contains(string(out), "unrecognized option") {
		t.Skip("this systemd-analyze looks at no files")
	}
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out[max(0, len(out)-200):])
	}
}
