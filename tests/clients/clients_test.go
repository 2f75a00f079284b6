// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

// The short form of `go run ./tests/clients`: the clients that need nothing but Go.
func TestGoClients(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real processes for about 20 s")
	}
	t.Chdir("../..")
	var out strings.Builder
	failed, err := run(t.Context(), options{
		only: "franz-go,sarama,segmentio/kafka-go", features: "zstd,admin,group", cache: t.TempDir(), dir: t.TempDir(), port: 24092,
	}, &out)
	t.Log("\n" + out.String())
	if err != nil || failed {
		t.Error("see the table; ", err)
	}
}

// The column secure by one client, which needs no more than Go either.
func TestSecure(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real processes for about 15 s")
	}
	t.Chdir("../..")
	var out strings.Builder
	failed, err := run(t.Context(), options{only: "franz-go", features: "secure", cache: t.TempDir(), dir: t.TempDir(), port: 24092}, &out)
	t.Log("\n" + out.String())
	if err != nil || failed {
		t.Error("see the table; ", err)
	}
}
