// SPDX-License-Identifier: Apache-2.0

package sasl

import (
	"context"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"pgregory.net/rapid"
)

func TestBearer(t *testing.T) {
	for message, want := range map[string][2]string{
		"n,,^auth=Bearer a.b-c_d.e~+/==^^":             {"", "a.b-c_d.e~+/=="},
		"n,,^auth=bEARER   abc^^":                      {"", "abc"},
		"n,a=alice,^auth=Bearer abc^^":                 {"alice", "abc"},
		"n,a=a=2Cb=3D,^auth=Bearer abc^^":              {"a,b=", "abc"},
		"n,,^host=h^auth=Bearer abc^port=9^^":          {"", "abc"},
		"n,,^auth=Bearer abc^logicalCluster=lkc-1 2^^": {"", "abc"},
		"n,a=,^auth=Bearer abc^^":                      {},
		"n,a=a=b,^auth=Bearer abc^^":                   {},
		"n,b=alice,^auth=Bearer abc^^":                 {},
		"y,,^auth=Bearer abc^^":                        {},
		"p=tls-unique,,^auth=Bearer abc^^":             {},
		"n,^auth=Bearer abc^^":                         {},
		"n,,auth=Bearer abc^^":                         {},
		"n,,^auth=Bearer abc^":                         {},
		"n,,^auth=Bearer abc":                          {},
		"n,,^auth=Bearer ^^":                           {},
		"n,,^auth=Bearer^^":                            {},
		"n,,^auth=Basic abc^^":                         {},
		"n,,^auth=Bearer a b^^":                        {},
		"n,,^auth=Bearer abc^auth=Bearer def^^":        {},
		"n,,^auth=Bearer abc^1=2^^":                    {},
		"n,,^auth=Bearer abc^x=^^":                     {},
		"n,,^auth=Bearer abc^x^^":                      {},
		"n,,^auth=Bearer abc^x=\xc3\xa4^^":             {},
		"n,,^^^":                                       {},
		"n,,^^":                                        {},
		"^":                                            {},
		"":                                             {},
		"n,a=\xff,^auth=Bearer abc^^":                  {},
		"n,,^auth=Bearer a\x00b^^":                     {},
	} {
		authzid, token, err := ParseBearer([]byte(strings.ReplaceAll(message, "^", "\x01")))
		if got := [2]string{authzid, token}; got != want || (err == nil) != (want != [2]string{}) {
			t.Errorf("%q: %q, %v, want %q", message, got, err, want)
		}
	}
}

// What franz-go's client sends is understood.
func TestBearerOfAClient(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		auth := oauth.Auth{Token: rapid.StringMatching(`[a-zA-Z0-9._~+/-]{1,40}=?`).Draw(t, "token"), Zid: rapid.StringMatching(`[a-z]{0,9}`).Draw(t, "zid")}
		auth.Extensions = rapid.MapOfN(rapid.StringMatching(`[b-z]{1,5}`), rapid.StringMatching(`[ -~]{1,9}`), 0, 4).Draw(t, "extensions")
		_, message, err := auth.AsMechanism().Authenticate(context.Background(), "")
		if err != nil {
			t.Fatal(err)
		}
		zid, token, err := ParseBearer(message)
		if err != nil || zid != auth.Zid || token != auth.Token {
			t.Fatalf("%q: %q, %q, %v", message, zid, token, err)
		}
	})
}
