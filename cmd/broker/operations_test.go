// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The table of settings in docs/OPERATIONS.md is what the program declares.
func TestEverySettingIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| --- | --- | --- | --- |\n| `advertise`")
	table, _, _ = strings.Cut("| `advertise`"+table, "\n\n")
	documented := strings.Split(table, "\n")
	var want []string
	fs, _ := newFlags()
	fs.VisitAll(func(f *flag.Flag) {
		if f.Name != "config" {
			want = append(want, fmt.Sprintf("| `%s` | %s | %s | %s |", keyOf(f.Name), f.DefValue, rangeOf(f), f.Usage))
		}
	})
	want = append(want, documented[len(documented)-2:]...) // members and listeners
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("the rows of settings should be (-program +docs/OPERATIONS.md):\n%s", diff)
	}
}
