// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"
)

// TestScript looks whether the chapter is as the program expects it. To run it takes a machine with systemd.
func TestScript(t *testing.T) {
	document, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	script, err := scriptOf(string(document))
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, want := range []string{"chronik@.service", "format -config", "enable --now", "backup verify", "during-$i", "systemctl restart chronik@$n", "kill -9"} {
		i := strings.Index(script[at:], want)
		if i < 0 {
			t.Fatalf("no %q after the first %d bytes of\n%s", want, at, script)
		}
		at += i
	}
	if _, err := scriptOf(strings.Replace(string(document), chapter, "", 1)); err == nil {
		t.Error("a document without the chapter was taken")
	}
}
