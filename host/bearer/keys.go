// SPDX-License-Identifier: Apache-2.0

// Package bearer checks tokens that an issuer has signed (JWT, RFC 7519): by its keys, which come from a file or from the issuer,
// and by what the token says of itself. It knows nothing of Kafka.
package bearer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

const (
	maxKeys = 100
	minRSA  = 2048 // bits, by RFC 7518
	maxRSA  = 8192 // what takes longer to check isn't worth it
)

// key is a public key of the issuer, and the algorithms that it may be used for. A key never goes with an algorithm of another kind:
// a public key that were taken for the secret of an HMAC would let everybody sign.
type key struct {
	id         string
	public     crypto.PublicKey
	algorithms []string
}

var (
	rsaAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	curves        = map[string]struct {
		curve     elliptic.Curve
		algorithm string
	}{
		"P-256": {elliptic.P256(), "ES256"}, "P-384": {elliptic.P384(), "ES384"}, "P-521": {elliptic.P521(), "ES512"},
	}
)

// algorithms are all that are served.
var algorithms = append(slices.Clone(rsaAlgorithms), "ES256", "ES384", "ES512", "EdDSA")

// jwk is a key as RFC 7517 and 7518 write it.
type jwk struct {
	Kty string `json:"kty"`
	Use string `json:"use"`
	Kid string `json:"kid"`
	Alg string `json:"alg"`
	N   string `json:"n"`
	E   string `json:"e"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Y   string `json:"y"`
}

// parseKeys reads a set of keys (JWKS). Those that aren't for signatures, or of kinds that aren't served, are left out.
func parseKeys(text []byte) (keys []key, err error) {
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("this is no set of keys in JSON (JWKS): %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("there are %d keys in the set; at most %d are taken", len(set.Keys), maxKeys)
	}
	var wrong error
	for i, in := range set.Keys {
		if in.Use != "" && in.Use != "sig" {
			continue
		}
		k, err := in.key()
		switch {
		case err != nil:
			wrong = fmt.Errorf("key %d of the set (%.60q): %w", i+1, in.Kid, err)
		case len(k.algorithms) > 0:
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errors.Join(errors.New("the set has no key for signatures by RSA, ECDSA or Ed25519"), wrong)
	}
	return keys, nil
}

func (in *jwk) key() (key, error) {
	k := key{id: in.Kid}
	var err error
	switch in.Kty {
	case "RSA":
		k.algorithms = rsaAlgorithms
		k.public, err = in.rsa()
	case "EC":
		k.algorithms = []string{curves[in.Crv].algorithm}
		k.public, err = in.ecdsa()
	case "OKP":
		k.algorithms = []string{"EdDSA"}
		k.public, err = in.ed25519()
	default:
		return key{}, fmt.Errorf("keys of kind %.20q aren't served", in.Kty)
	}
	if in.Alg != "" && err == nil {
		if !slices.Contains(k.algorithms, in.Alg) {
			return key{}, fmt.Errorf("a key of kind %s can't be for the algorithm %.20q", in.Kty, in.Alg)
		}
		k.algorithms = []string{in.Alg}
	}
	return k, err
}

func (in *jwk) rsa() (*rsa.PublicKey, error) {
	n, err1 := number(in.N)
	e, err2 := number(in.E)
	switch {
	case err1 != nil || err2 != nil:
		return nil, errors.Join(err1, err2)
	case n.BitLen() < minRSA || n.BitLen() > maxRSA:
		return nil, fmt.Errorf("an RSA key of %d bits; %d to %d are served", n.BitLen(), minRSA, maxRSA)
	case n.Bit(0) == 0 || !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 || e.Bit(0) == 0:
		return nil, errors.New("this is no RSA key")
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

func (in *jwk) ecdsa() (*ecdsa.PublicKey, error) {
	c, known := curves[in.Crv]
	if !known {
		return nil, fmt.Errorf("the curve %.20q isn't served", in.Crv)
	}
	size := (c.curve.Params().BitSize + 7) / 8
	x, err1 := bytesOf(in.X)
	y, err2 := bytesOf(in.Y)
	if err1 != nil || err2 != nil || len(x) != size || len(y) != size {
		return nil, errors.New("this is no point of its curve")
	}
	return ecdsa.ParseUncompressedPublicKey(c.curve, slices.Concat([]byte{4}, x, y))
}

func (in *jwk) ed25519() (ed25519.PublicKey, error) {
	x, err := bytesOf(in.X)
	if in.Crv != "Ed25519" || err != nil || len(x) != ed25519.PublicKeySize {
		return nil, errors.New("this is no key of Ed25519")
	}
	return x, nil
}

func bytesOf(text string) ([]byte, error) { return base64.RawURLEncoding.Strict().DecodeString(text) }

func number(text string) (*big.Int, error) {
	b, err := bytesOf(text)
	if err != nil || len(b) > maxRSA/8+1 {
		return nil, errors.New("this is no number of a key")
	}
	return new(big.Int).SetBytes(b), nil
}
