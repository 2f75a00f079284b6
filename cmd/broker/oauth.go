// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	"chronik/host"
	"chronik/host/bearer"
)

// oauthSettings are about the tokens of OAUTHBEARER.
type oauthSettings struct {
	KeysFile, KeysURL, CAFile  string
	RefreshMs, SkewMs          int64
	Issuer, Audience           string
	Principal, ScopeAt, Scopes string
}

func (s *settings) oauthFlags(fs *flag.FlagSet) {
	o := &s.OAuth
	fs.StringVar(&o.KeysFile, "oauth-jwks-file", "", "a file with the keys by which tokens of OAUTHBEARER are signed (JWKS); reread when it changes")
	fs.StringVar(&o.KeysURL, "oauth-jwks-url", "", "an https address with these keys, instead of a file (sasl.oauthbearer.jwks.endpoint.url)")
	fs.StringVar(&o.CAFile, "oauth-jwks-ca-file", "", "a file (PEM) with the authorities of the certificate at oauth_jwks_url; empty: those that this machine trusts")
	number(fs, &o.RefreshMs, "oauth-jwks-refresh-ms", hour, millis(1000, 30*day), "milliseconds after which oauth_jwks_url is asked again; sooner if a token names a key that isn't known")
	fs.StringVar(&o.Issuer, "oauth-issuer", "", "who must have issued a token, by its claim iss (sasl.oauthbearer.expected.issuer)")
	fs.StringVar(&o.Audience, "oauth-audience", "", "for whom a token must be, by its claim aud; one of several, with commas between them (sasl.oauthbearer.expected.audience)")
	fs.StringVar(&o.Principal, "oauth-principal-claim", "sub", "the claim with the user's name (sasl.oauthbearer.sub.claim.name)")
	fs.StringVar(&o.ScopeAt, "oauth-scope-claim", "scope", "the claim with the scopes of a token (sasl.oauthbearer.scope.claim.name)")
	fs.StringVar(&o.Scopes, "oauth-scopes", "", "scopes that a token must have, with spaces between them")
	number(fs, &o.SkewMs, "oauth-clock-skew-ms", 30000, millis(0, hour), "milliseconds by which the issuer's clock may differ from this machine's (sasl.oauthbearer.clock.skew.seconds)")
}

// addOAuth puts into the configuration which tokens count.
func (s *settings) addOAuth(cfg *host.Config) error {
	o := &s.OAuth
	if o.KeysFile == "" && o.KeysURL == "" {
		for _, key := range []string{"oauth_issuer", "oauth_audience", "oauth_scopes", "oauth_jwks_ca_file"} {
			if place, given := s.given[key]; given {
				return fmt.Errorf("%s is set, but neither oauth_jwks_file nor oauth_jwks_url, without which no token can be checked", place)
			}
		}
		for _, l := range cfg.Node.Listeners {
			if slices.Contains(l.Mechanisms, "OAUTHBEARER") {
				return errors.New("sasl names OAUTHBEARER, but there are no keys to check tokens with: set oauth_jwks_file or oauth_jwks_url")
			}
		}
		return nil
	}
	audiences := strings.FieldsFunc(o.Audience, func(r rune) bool { return r == ',' || r == ' ' })
	switch {
	case o.KeysFile != "" && o.KeysURL != "":
		return fmt.Errorf("%s and %s are both set; name one place of the keys", s.where("oauth_jwks_file"), s.where("oauth_jwks_url"))
	case o.Issuer == "" || len(audiences) == 0:
		return errors.New("oauth_issuer or oauth_audience is missing: without both, tokens that were issued for something else would let their owners in here")
	case o.Principal == "" || o.ScopeAt == "":
		return errors.New("oauth_principal_claim and oauth_scope_claim can't be empty")
	case o.CAFile != "" && o.KeysURL == "":
		return fmt.Errorf("%s is set, but not oauth_jwks_url, for which it is", s.where("oauth_jwks_ca_file"))
	}
	cfg.OAuth = &host.OAuth{
		Rules: bearer.Rules{
			Issuer: o.Issuer, Audiences: audiences, PrincipalClaim: o.Principal, ScopeClaim: o.ScopeAt, Scopes: strings.Fields(o.Scopes), ClockSkew: ms(o.SkewMs),
		},
		Source: bearer.Source{File: o.KeysFile, URL: o.KeysURL, CAFile: o.CAFile, Refresh: ms(o.RefreshMs)},
	}
	if err := cfg.OAuth.Check(); err != nil {
		key := "oauth_jwks_file"
		if o.KeysURL != "" {
			key = "oauth_jwks_url"
		}
		return fmt.Errorf("%s: %w", s.where(key), err)
	}
	return nil
}
