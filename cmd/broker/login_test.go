// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// loginCase is an attempt to log in.
type loginCase struct {
	user, file, mechanism string
	in                    bool
}

// loginCases are those of a user with the password of all mechanisms, of one with that of one, and of nobody.
func loginCases(secret, other, wrong string) []loginCase {
	return []loginCase{
		{"alice", other, "PLAIN", true},
		{"alice", other, "SCRAM-SHA-256", true},
		{"alice", other, "SCRAM-SHA-512", true},
		{"admin", secret, "PLAIN", true},
		{"admin", secret, "SCRAM-SHA-256", false}, // there is only one password of it
		{"alice", wrong, "PLAIN", false},
		{"alice", wrong, "SCRAM-SHA-512", false},
		{"nobody", wrong, "SCRAM-SHA-256", false},
	}
}

// runAs runs broker admin as a user.
func runAs(ctx context.Context, address, user, passwordFile, mechanism string, words ...string) (string, int) {
	var said, errs bytes.Buffer
	args := []string{"admin", "-bootstrap", address, "-user", user, "-password-file", passwordFile, "-mechanism", mechanism}
	code := run(ctx, append(args, words...), &said, &errs)
	return said.String() + errs.String(), code
}

// A cluster begins with one user, who makes another; each logs in by every mechanism that it has a password for.
func TestLogins(t *testing.T) {
	dir, port := t.TempDir(), freePorts(t, 1)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secret, other, wrong := write("admin.pw", "top secret\n"), write("alice.pw", "häschen=,\n"), write("wrong.pw", "wrong\n")
	file := write("broker.toml", fmt.Sprintf(`
		listen = "127.0.0.1:%d"
		metrics = ""
		log_level = "error"
		sasl = "SCRAM-SHA-512, SCRAM-SHA-256, PLAIN"
		authorize = false
		session_lifetime_ms = 60000
		first_user = "admin"
		first_user_password_file = "admin.pw"`, port))
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	lines, out := io.Pipe()
	code := make(chan int)
	go func() { code <- run(ctx, []string{"-config", file}, out, os.Stderr) }()
	lines.Read(make([]byte, 200))

	admin := func(user, password, mechanism string, words ...string) (string, int) {
		return runAs(ctx, fmt.Sprintf("127.0.0.1:%d", port), user, password, mechanism, words...)
	}
	for said, code := admin("admin", secret, "PLAIN", "user", "list"); !strings.Contains(said, "admin"); said, code = admin("admin", secret, "PLAIN", "user", "list") {
		if ctx.Err() != nil {
			t.Fatalf("the first user can't log in: %s (%d)", said, code)
		}
	}
	if said, code := admin("admin", secret, "SCRAM-SHA-512", "user", "add", "-password-file", other, "-iterations", "5000", "alice"); code != 0 {
		t.Fatalf("user add: %s", said)
	}
	for _, c := range loginCases(secret, other, wrong) {
		said, code := admin(c.user, c.file, c.mechanism, "user", "list")
		if (code == 0) != c.in || c.in && !strings.Contains(said, "alice  SCRAM-SHA-256 (5000 iterations)  SCRAM-SHA-512 (5000 iterations)\n") {
			t.Errorf("%+v: exit code %d, %s", c, code, said)
		}
		if strings.Contains(said, "häschen") || strings.Contains(said, "top secret") {
			t.Errorf("a password is in %q", said)
		}
	}
	if said, code := admin("admin", secret, "", "user", "delete", "alice"); code != 0 {
		t.Errorf("user delete: %s", said)
	}
	if said, code := admin("alice", other, "", "status"); code == 0 {
		t.Errorf("a user that was deleted is in: %s", said)
	}
	stop()
	if c := <-code; c != 0 {
		t.Errorf("exit code %d", c)
	}
}

// Settings of logins that can't be meant are refused, with the place where they were given.
func TestMistakesAboutLogins(t *testing.T) {
	for settings, want := range map[string]string{
		`sasl = "SCRAM-SHA-521"`: "broker.toml:1: sasl names the SASL mechanism \"SCRAM-SHA-521\"; did you mean SCRAM-SHA-512?",
		`sasl = "plain"`:         "did you mean PLAIN?",
		`first_user = "admin"`:   "first_user and first_user_password_file belong together",
		"[[listeners]]\nname='x'\nlisten='a:1'\nsasl = 'GSSAPI'": "broker.toml:4: listeners.sasl names the SASL mechanism \"GSSAPI\"",
		"first_user = 'admin'\nfirst_user_password_file = '.'":   "can't read the password",
	} {
		s, err := loadSettings([]string{"-config", writeFile(t, "broker.toml", settings)}, nil, io.Discard)
		if err == nil {
			_, err = s.hostConfig()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", settings, err, want)
		}
	}
}
