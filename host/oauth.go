// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"log/slog"

	"chronik/host/bearer"
	"chronik/node"
)

// OAuth says which tokens of OAUTHBEARER are right.
type OAuth struct {
	Rules  bearer.Rules
	Source bearer.Source
}

// Check says what is wrong with it, but doesn't ask an issuer.
func (o *OAuth) Check() error {
	_, err := bearer.New(o.Rules, o.Source, slog.New(slog.DiscardHandler))
	return err
}

// issuer is what the node asks about tokens.
type issuer struct{ *bearer.Checker }

// Check implements node.TokenChecker.
func (i issuer) Check(token string) (node.TokenClaims, error) {
	claims, err := i.Checker.Check(token)
	if errors.Is(err, bearer.ErrScope) {
		err = node.ErrTokenScope
	}
	return node.TokenClaims{User: claims.Subject, Lasts: claims.Lasts}, err
}

// openIssuer prepares the check of tokens. Keys that an issuer has to be asked for come later.
func (h *Host) openIssuer() (err error) {
	if h.cfg.OAuth == nil {
		return nil
	}
	h.bearer, err = bearer.New(h.cfg.OAuth.Rules, h.cfg.OAuth.Source, h.cfg.Log)
	h.cfg.Node.Tokens = issuer{h.bearer}
	return err
}
