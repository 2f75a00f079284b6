// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxDescribed bounds a line, in bytes.
const maxDescribed = 300

// text is a part of a line that is worked out only if the line is printed.
type text func() string

func (t text) String() string { return t() }

// shorten makes a text one printable line of at most some bytes, and says how much is left out.
func shorten(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == utf8.RuneError || r == 0x7f {
			return '?'
		}
		return r
	}, s)
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return fmt.Sprintf("%s ... (%d bytes more)", s[:cut], len(s)-cut)
}

// listed joins the first texts of many.
func listed(n, most int, separator string, one func(i int) string) string {
	var parts []string
	for i := range min(n, most) {
		parts = append(parts, one(i))
	}
	if n > most {
		parts = append(parts, fmt.Sprintf("and %d more", n-most))
	}
	return strings.Join(parts, separator)
}
