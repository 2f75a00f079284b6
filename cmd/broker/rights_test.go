// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"slices"
	"strings"
	"testing"
)

// Rights are on where clients prove who they are, and somebody has to be able to grant them.
func TestRightsComeWithLogins(t *testing.T) {
	first := "first_user = 'admin'\nfirst_user_password_file = 'gone'\n"
	for _, c := range []struct {
		settings string
		on       bool
		super    []string
		refused  string
	}{
		{"", false, nil, ""},
		{"authorize = true\nsuper_users = 'User:a; User:CN=b,O=c'", true, []string{"User:a", "User:CN=b,O=c"}, ""},
		{"authorize = true", false, nil, "as authorize says, and nobody could make the first rule: set super_users"},
		{"sasl = 'PLAIN'\n" + first, true, []string{"User:admin"}, ""},
		{"sasl = 'PLAIN'\nsuper_users = 'User:ops'\n" + first, true, []string{"User:ops"}, ""},
		{"sasl = 'PLAIN'\nsuper_users = ''", true, nil, ""},
		{"sasl = 'PLAIN'", false, nil, "as they prove who they are, and nobody could make the first rule"},
		{"sasl = 'PLAIN'\nauthorize = false", false, nil, ""},
		{first + "[[listeners]]\nname = 'x'\nlisten = '127.0.0.1:1'\nsasl = 'SCRAM-SHA-512'", true, []string{"User:admin"}, ""},
	} {
		s, err := loadSettings([]string{"-config", writeFile(t, "broker.toml", c.settings)}, nil, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := s.hostConfig()
		if c.refused != "" {
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%q: %v, want %q", c.settings, err, c.refused)
			}
			continue
		}
		if err != nil || cfg.Node.Authorize != c.on || !slices.Equal(cfg.Node.SuperUsers, c.super) {
			t.Errorf("%q: rights %v, super users %q, %v", c.settings, cfg.Node.Authorize, cfg.Node.SuperUsers, err)
		}
	}
}
