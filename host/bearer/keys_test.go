// SPDX-License-Identifier: Apache-2.0

package bearer

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// signer is a private key of a test's issuer.
type signer struct {
	id     string
	method jwt.SigningMethod
	key    crypto.Signer
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// jwk is the public key as the issuer shows it.
func (s *signer) jwk() map[string]string {
	k := map[string]string{"kid": s.id, "use": "sig"}
	switch p := s.key.Public().(type) {
	case *rsa.PublicKey:
		k["kty"], k["n"], k["e"] = "RSA", b64(p.N.Bytes()), "AQAB"
	case *ecdsa.PublicKey:
		point, _ := p.Bytes()
		size := len(point) / 2
		k["kty"], k["crv"], k["x"], k["y"] = "EC", p.Curve.Params().Name, b64(point[1:1+size]), b64(point[1+size:])
	case ed25519.PublicKey:
		k["kty"], k["crv"], k["x"] = "OKP", "Ed25519", b64(p)
	}
	return k
}

func set(keys ...map[string]string) []byte {
	text, _ := json.Marshal(map[string]any{"keys": keys})
	return text
}

// signers are one of each kind.
var signers = sync.OnceValue(func() map[string]*signer {
	r, _ := rsa.GenerateKey(rand.Reader, 2048)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	curve := func(c elliptic.Curve) crypto.Signer { k, _ := ecdsa.GenerateKey(c, rand.Reader); return k }
	return map[string]*signer{
		"RS256": {"r", jwt.SigningMethodRS256, r}, "PS512": {"r", jwt.SigningMethodPS512, r}, "EdDSA": {"ed", jwt.SigningMethodEdDSA, ed},
		"ES256": {"e256", jwt.SigningMethodES256, curve(elliptic.P256())}, "ES384": {"e384", jwt.SigningMethodES384, curve(elliptic.P384())}, "ES512": {"e521", jwt.SigningMethodES512, curve(elliptic.P521())},
	}
})

// Keys that can't be are refused, those of other kinds left out.
func TestParseKeys(t *testing.T) {
	change := func(name, field, value string) map[string]string {
		k := signers()[name].jwk()
		if k[field] = value; value == "" {
			delete(k, field)
		}
		return k
	}
	small, _ := rsa.GenerateKey(rand.Reader, 1024)
	good := signers()["ES256"].jwk()
	for what, k := range map[string]map[string]string{
		"HMAC":           {"kty": "oct", "k": "c2VjcmV0"},
		"encryption":     change("RS256", "use", "enc"),
		"short":          {"kty": "RSA", "n": b64(small.N.Bytes()), "e": "AQAB"},
		"no exponent":    change("RS256", "e", ""),
		"exponent of 1":  change("RS256", "e", "AQ"),
		"even":           change("RS256", "n", b64(append([]byte{1}, make([]byte, 255)...))),
		"huge":           change("RS256", "n", b64(bytes.Repeat([]byte{255}, 4096))),
		"off the curve":  change("ES256", "x", b64(make([]byte, 32))),
		"another curve":  change("ES256", "crv", "secp256k1"),
		"wrong curve":    change("ES256", "crv", "P-384"),
		"wrong alg":      change("ES256", "alg", "RS256"),
		"alg of HMAC":    change("RS256", "alg", "HS256"),
		"no Edwards":     change("EdDSA", "crv", "X25519"),
		"short Edwards":  change("EdDSA", "x", "AAAA"),
		"nothing at all": {},
	} {
		if keys, err := parseKeys(set(k)); err == nil {
			t.Errorf("%s: %+v", what, keys)
		}
		if keys, err := parseKeys(set(k, good)); err != nil || len(keys) != 1 || keys[0].id != good["kid"] {
			t.Errorf("%s beside a good key: %+v, %v", what, keys, err)
		}
	}
	many := make([]map[string]string, maxKeys+1)
	for i := range many {
		many[i] = good
	}
	for _, text := range [][]byte{nil, []byte("{}"), []byte("[]"), []byte("<html>"), set(), set(many...)} {
		if _, err := parseKeys(text); err == nil {
			t.Errorf("%.60q is taken", text)
		}
	}
}
