// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// issuer signs tokens for a test, and writes its key to a file.
func issuer(t *testing.T, file string) func(changes jwt.MapClaims) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := fmt.Sprintf(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","x":"%s"}]}`, base64.RawURLEncoding.EncodeToString(public))
	if err := os.WriteFile(file, []byte(keys), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(changes jwt.MapClaims) string {
		claims := jwt.MapClaims{"iss": "https://issuer", "aud": "kafka", "sub": "admin", "exp": time.Now().Add(time.Minute).Unix()}
		for name, value := range changes {
			claims[name] = value
		}
		token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
		token.Header["kid"] = "1"
		text, err := token.SignedString(private)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
}

// Who has a token of the issuer is served by the Kafka port and by the admin port; who has another isn't, and no token is in the log.
func TestBearerTokens(t *testing.T) {
	dir, port := t.TempDir(), freePorts(t, 1)
	sign := issuer(t, filepath.Join(dir, "keys.json"))
	file := writeFile(t, "broker.toml", fmt.Sprintf(`
		listen = "127.0.0.1:%d"
		dir = %q
		metrics = "127.0.0.1:%d"
		metrics_login = "all"
		log_level = "debug"
		sasl = "OAUTHBEARER"
		super_users = "User:admin"
		oauth_jwks_file = %q
		oauth_issuer = "https://issuer"
		oauth_audience = "other, kafka"`, port, filepath.Join(dir, "data"), port+1000, filepath.Join(dir, "keys.json")))
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var out said
	code := make(chan int)
	go func() { code <- run(ctx, []string{"-config", file}, &out, &out) }()
	as := func(token string, words ...string) (string, int) { return runWith(ctx, t, port, token, words...) }
	good := sign(nil)
	for _, code := as(good, "user", "list"); code != 0 && ctx.Err() == nil; _, code = as(good, "user", "list") {
		time.Sleep(50 * time.Millisecond)
	}
	for what, c := range map[string]struct {
		token          string
		in, authorized bool
	}{
		"right":             {good, true, true},
		"of somebody else":  {sign(jwt.MapClaims{"sub": "alice"}), true, false},
		"expired":           {sign(jwt.MapClaims{"exp": time.Now().Add(-time.Hour).Unix()}), false, false},
		"for somebody else": {sign(jwt.MapClaims{"aud": "web"}), false, false},
		"of somebody":       {sign(jwt.MapClaims{"iss": "https://elsewhere"}), false, false},
		"changed":           {good[:len(good)-10] + "AAAAAAAAAA", false, false},
		"unsigned":          {"eyJhbGciOiJub25lIn0." + strings.Split(good, ".")[1] + ".", false, false},
	} {
		text, code := as(c.token, "user", "list")
		if (code == 0) != c.authorized || strings.Contains(text, "unexpected data") == c.in {
			t.Errorf("%s: exit code %d, %s", what, code, text)
		}
		status := adminStatus(t, port+1000, c.token)
		if want := map[[2]bool]int{{false, false}: 401, {true, false}: 403, {true, true}: 200}[[2]bool{c.in, c.authorized}]; status != want {
			t.Errorf("%s: the admin port answers %d, want %d", what, status, want)
		}
		if strings.Contains(out.String(), c.token) {
			t.Errorf("%s: the token is in the log", what)
		}
	}
	for _, want := range []string{"token is expired", "token has invalid audience", "token has invalid issuer", "token signature is invalid", "resource=OAUTHBEARER"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log doesn't say %q", want)
		}
	}
	stop()
	if c := <-code; c != exitClean {
		t.Errorf("exit code %d:\n%s", c, out.String())
	}
}

// runWith runs broker admin with a token.
func runWith(ctx context.Context, t *testing.T, port int, token string, words ...string) (string, int) {
	t.Helper()
	var text bytes.Buffer
	args := append([]string{"admin", "-bootstrap", net127(port), "-token-file", writeFile(t, "token", token)}, words...)
	code := run(ctx, args, &text, &text)
	return text.String(), code
}

// adminStatus is how the admin port answers somebody with a token.
func adminStatus(t *testing.T, port int, token string) int {
	t.Helper()
	req, _ := http.NewRequest("GET", fmt.Sprintf("http://127.0.0.1:%d/metrics", port), nil)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode
}

// Settings of tokens that can't be meant are refused.
func TestMistakesAboutTokens(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys.json")
	issuer(t, keys)
	file := "oauth_jwks_file = '" + keys + "'\n"
	who := "oauth_issuer = 'i'\noauth_audience = 'a'\n"
	for settings, want := range map[string]string{
		"sasl = 'OAUTHBEARER'\nauthorize = false": "there are no keys to check tokens with",
		"oauth_issuer = 'i'":                      "oauth_issuer is set, but neither",
		file:                                      "oauth_issuer or oauth_audience is missing",
		file + "oauth_issuer = 'i'":               "oauth_issuer or oauth_audience is missing",
		file + who + "oauth_jwks_url = 'https://x/'":                         "are both set",
		file + who + "oauth_principal_claim = ''":                            "can't be empty",
		file + who + "oauth_jwks_ca_file = 'x'":                              "but not oauth_jwks_url",
		"oauth_jwks_file = 'gone'\n" + who:                                   "no such file",
		"oauth_jwks_url = 'http://issuer.example.com/'\n" + who:              "isn't https",
		file + who + "sasl = 'OAUTHBEARER'\nauthorize = false":               "",
		"oauth_jwks_url = 'https://x/'\n" + who + "oauth_scopes = 'kafka x'": "",
	} {
		s, err := loadSettings([]string{"-config", writeFile(t, "broker.toml", settings)}, nil, io.Discard)
		if err == nil {
			_, err = s.hostConfig()
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", settings, err, want)
		}
	}
}
