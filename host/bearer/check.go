// SPDX-License-Identifier: Apache-2.0

package bearer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Rules are what a token must fulfil. Its signature must be by a key of the issuer, and it must expire some time.
type Rules struct {
	Issuer         string   // its claim iss
	Audiences      []string // one of which is in its claim aud
	PrincipalClaim string   // the claim with the name of who it is for
	ScopeClaim     string   // the claim with its scopes: a list, or a text with spaces between them
	Scopes         []string // that must be among them
	ClockSkew      time.Duration
}

// Claims are what a token says that is right.
type Claims struct {
	Subject string
	Lasts   time.Duration // from now on
}

// ErrScope says that a token is right, and not for this.
var ErrScope = errors.New("the token lacks a scope")

// errUnknownKey says that the issuer may have a new key.
var errUnknownKey = errors.New("no key of the issuer fits the token")

// longest is how long a token is taken to last at most: much longer than any should, and no overflow.
const longest = 10 * 365 * 24 * time.Hour

// maxTried is how many keys are tried for a token that doesn't name its own.
const maxTried = 8

// check has no part of the token in its errors but the names of an algorithm and a key: they are logged.
func (r *Rules) check(token string, keys []key, now time.Time) (Claims, error) {
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(
		jwt.WithValidMethods(algorithms), jwt.WithIssuer(r.Issuer), jwt.WithAudience(r.Audiences...), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(r.ClockSkew), jwt.WithStrictDecoding(), jwt.WithTimeFunc(func() time.Time { return now }),
	)
	_, err := parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) { return pick(t, keys) })
	if err != nil {
		return Claims{}, explain(err)
	}
	name, isText := claims[r.PrincipalClaim].(string)
	if !isText || name == "" {
		return Claims{}, fmt.Errorf("its claim %.60q is no text", r.PrincipalClaim)
	}
	if len(r.Scopes) > 0 {
		has := scopesOf(claims[r.ScopeClaim])
		for _, s := range r.Scopes {
			if !slices.Contains(has, s) {
				return Claims{}, ErrScope
			}
		}
	}
	expires, _ := claims.GetExpirationTime() // it was checked
	return Claims{Subject: name, Lasts: min(expires.Sub(now), longest) + r.ClockSkew}, nil
}

// pick finds the keys that a token can be signed with.
func pick(t *jwt.Token, keys []key) (any, error) {
	var set jwt.VerificationKeySet
	id, named := t.Header["kid"].(string)
	if _, critical := t.Header["crit"]; critical {
		return nil, errors.New("its header has something that must be understood (crit)")
	}
	for _, k := range keys {
		if slices.Contains(k.algorithms, t.Method.Alg()) && (!named || k.id == id) && len(set.Keys) < maxTried {
			set.Keys = append(set.Keys, k.public)
		}
	}
	if len(set.Keys) == 0 {
		return nil, errUnknownKey
	}
	return set, nil
}

// explain says what is wrong without the token's own words.
func explain(err error) error {
	for _, known := range []error{
		errUnknownKey, jwt.ErrTokenExpired, jwt.ErrTokenNotValidYet, jwt.ErrTokenUsedBeforeIssued, jwt.ErrTokenInvalidIssuer, jwt.ErrTokenInvalidAudience,
		jwt.ErrTokenRequiredClaimMissing, jwt.ErrTokenSignatureInvalid, jwt.ErrTokenMalformed, jwt.ErrTokenUnverifiable,
	} {
		if errors.Is(err, known) {
			return known
		}
	}
	return errors.New("the token isn't right")
}

func scopesOf(claim any) (list []string) {
	switch c := claim.(type) {
	case string:
		return strings.Fields(c)
	case []any:
		for _, s := range c {
			if text, isText := s.(string); isText {
				list = append(list, text)
			}
		}
	}
	return list
}
