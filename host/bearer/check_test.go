// SPDX-License-Identifier: Apache-2.0

package bearer

import (
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// right are the claims of a token that is.
func right() jwt.MapClaims {
	now := time.Now()
	return jwt.MapClaims{"iss": "https://issuer", "aud": "kafka", "sub": "alice", "exp": now.Add(time.Minute).Unix(), "iat": now.Unix(), "scope": "a produce b"}
}

// token signs right claims with some changes; a nil takes one away.
func (s *signer) token(changes map[string]any) string {
	claims := right()
	maps.Copy(claims, changes)
	for name, value := range claims {
		if value == nil {
			delete(claims, name)
		}
	}
	t := jwt.NewWithClaims(s.method, claims)
	t.Header["kid"] = s.id
	text, err := t.SignedString(s.key)
	if err != nil {
		panic(err)
	}
	return text
}

var rules = Rules{Issuer: "https://issuer", Audiences: []string{"kafka", "other"}, PrincipalClaim: "sub", ScopeClaim: "scope", Scopes: []string{"produce"}, ClockSkew: 10 * time.Second}

func keysOf(t *testing.T, jwks ...map[string]string) []key {
	t.Helper()
	keys, err := parseKeys(set(jwks...))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// Each kind of key checks what it signed, and nothing that another one signed or another algorithm.
func TestSignatures(t *testing.T) {
	for name, s := range signers() {
		keys := keysOf(t, s.jwk())
		claims, err := rules.check(s.token(nil), keys, time.Now())
		if err != nil || claims.Subject != "alice" || claims.Lasts < time.Minute || claims.Lasts > 70*time.Second {
			t.Errorf("%s: %+v, %v", name, claims, err)
		}
		for other, o := range signers() {
			forged := *o
			forged.id = s.id
			if _, err := rules.check(forged.token(nil), keys, time.Now()); o.id != s.id && err == nil {
				t.Errorf("a key of %s takes what one of %s has signed", name, other)
			}
		}
		parts := strings.Split(s.token(nil), ".")
		claimed, _ := json.Marshal(map[string]any{"iss": "https://issuer", "aud": "kafka", "sub": "root", "exp": time.Now().Add(time.Hour).Unix(), "scope": "produce"})
		for _, token := range []string{
			parts[0] + "." + b64(claimed) + "." + parts[2], parts[0] + "." + parts[1] + ".", parts[0] + "." + parts[1], parts[0] + "." + parts[1] + "." + parts[2] + "." + parts[2],
			strings.Join(parts, ".") + "=", "", "..", "a.b.c",
		} {
			if _, err := rules.check(token, keys, time.Now()); err == nil {
				t.Errorf("%s: %.40q... is taken", name, token)
			}
		}
	}
}

// A token can't choose how it is checked: not at all, with a public key as a secret, or with another key.
func TestAlgorithms(t *testing.T) {
	s := signers()["RS256"]
	keys := keysOf(t, s.jwk(), signers()["ES256"].jwk())
	public, _ := json.Marshal(s.jwk())
	modulus := s.key.Public().(*rsa.PublicKey).N.Bytes()
	for _, secret := range [][]byte{public, modulus, set(s.jwk()), {}} {
		for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS512} {
			forged := jwt.NewWithClaims(method, right())
			forged.Header["kid"] = "r"
			text, _ := forged.SignedString(secret)
			if _, err := rules.check(text, keys, time.Now()); err == nil {
				t.Errorf("%s with a public key is taken", method.Alg())
			}
		}
	}
	none := jwt.NewWithClaims(jwt.SigningMethodNone, right())
	text, _ := none.SignedString(jwt.UnsafeAllowNoneSignatureType)
	for _, alg := range []string{"none", "None", "NONE"} {
		head := b64(fmt.Appendf(nil, `{"alg":%q,"kid":"r"}`, alg))
		_, rest, _ := strings.Cut(text, ".")
		if _, err := rules.check(head+"."+rest, keys, time.Now()); err == nil {
			t.Errorf("%s is taken", alg)
		}
	}
	only := s.jwk()
	only["alg"] = "RS512"
	if _, err := rules.check(s.token(nil), keysOf(t, only), time.Now()); !errors.Is(err, errUnknownKey) {
		t.Errorf("a key for RS512 takes RS256: %v", err)
	}
	other := *s
	other.id = "unknown"
	if _, err := rules.check(other.token(nil), keys, time.Now()); !errors.Is(err, errUnknownKey) {
		t.Errorf("a key by another name: %v", err)
	}
	unnamed := jwt.NewWithClaims(s.method, right())
	text, _ = unnamed.SignedString(s.key)
	if _, err := rules.check(text, keys, time.Now()); err != nil {
		t.Errorf("a token that names no key: %v", err)
	}
	critical := jwt.NewWithClaims(s.method, right())
	critical.Header["crit"] = []string{"x"}
	text, _ = critical.SignedString(s.key)
	if _, err := rules.check(text, keys, time.Now()); err == nil {
		t.Error("a header that must be understood is passed over")
	}
}

// Each claim is looked at, with the skew of clocks that is allowed.
func TestClaims(t *testing.T) {
	s := signers()["ES256"]
	keys := keysOf(t, s.jwk())
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	for _, c := range []struct {
		claims map[string]any
		wrong  error
	}{
		{map[string]any{}, nil},
		{map[string]any{"aud": []string{"x", "other"}}, nil},
		{map[string]any{"aud": "x"}, jwt.ErrTokenInvalidAudience},
		{map[string]any{"aud": nil}, jwt.ErrTokenRequiredClaimMissing},
		{map[string]any{"iss": "https://issuer/"}, jwt.ErrTokenInvalidIssuer},
		{map[string]any{"iss": nil}, jwt.ErrTokenRequiredClaimMissing},
		{map[string]any{"exp": nil}, jwt.ErrTokenRequiredClaimMissing},
		{map[string]any{"exp": at(-5 * time.Second)}, nil},
		{map[string]any{"exp": at(-12 * time.Second)}, jwt.ErrTokenExpired},
		{map[string]any{"exp": "soon"}, errors.New("")},
		{map[string]any{"nbf": at(8 * time.Second)}, nil},
		{map[string]any{"nbf": at(13 * time.Second)}, jwt.ErrTokenNotValidYet},
		{map[string]any{"iat": at(13 * time.Second)}, jwt.ErrTokenUsedBeforeIssued},
		{map[string]any{"sub": nil}, errors.New("")},
		{map[string]any{"sub": ""}, errors.New("")},
		{map[string]any{"sub": 7}, errors.New("")},
		{map[string]any{"scope": []string{"x", "produce"}}, nil},
		{map[string]any{"scope": "producer"}, ErrScope},
		{map[string]any{"scope": nil}, ErrScope},
		{map[string]any{"exp": 1e300}, errors.New("any")},
	} {
		claims, err := rules.check(s.token(c.claims), keys, time.Now())
		switch {
		case c.wrong != nil && c.wrong.Error() == "any":
			if err == nil && claims.Lasts <= 0 {
				t.Errorf("%v lasts %v", c.claims, claims.Lasts)
			}
		case (err == nil) != (c.wrong == nil), err != nil && c.wrong.Error() != "" && !errors.Is(err, c.wrong):
			t.Errorf("%v: %v, want %v", c.claims, err, c.wrong)
		case err == nil && claims.Lasts <= 0:
			t.Errorf("%v lasts %v", c.claims, claims.Lasts)
		}
		if err != nil && strings.Contains(err.Error(), "alice") {
			t.Errorf("the token is in %q", err)
		}
	}
	named := rules
	named.PrincipalClaim, named.Scopes = "email", nil
	if claims, err := named.check(s.token(map[string]any{"email": "a@b", "scope": nil}), keys, time.Now()); err != nil || claims.Subject != "a@b" {
		t.Errorf("by another claim: %+v, %v", claims, err)
	}
}
