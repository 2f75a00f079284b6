// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"chronik/cmd/broker/admin"
	"chronik/host"
	"chronik/node"
)

// saslMechanisms are those that a broker can ask for.
var saslMechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"}

// mechanisms takes a list of SASL mechanisms apart; where says where it was given.
func mechanisms(list, where string) (all []string, err error) {
	if strings.TrimSpace(list) == "" {
		return nil, nil
	}
	for m := range strings.SplitSeq(list, ",") {
		name := nearest(strings.ToUpper(strings.TrimSpace(m)), saslMechanisms)
		if name != strings.TrimSpace(m) {
			return nil, fmt.Errorf("%s names the SASL mechanism %q; did you mean %s?", where, strings.TrimSpace(m), name)
		}
		all = append(all, name)
	}
	return all, nil
}

// addLogins puts into the configuration who must log in, and the first user.
func (s *settings) addLogins(cfg *host.Config) error {
	list, err := mechanisms(s.Sasl, s.where("sasl"))
	if err != nil {
		return err
	}
	if list != nil {
		cfg.Node.Listeners = append(cfg.Node.Listeners, node.Listener{Mechanisms: list})
	}
	for _, l := range s.Listeners {
		i := slices.IndexFunc(cfg.Node.Listeners, func(of node.Listener) bool { return of.Name == l.Name })
		if cfg.Node.Listeners[i].Mechanisms, err = mechanisms(l.Sasl, l.where("sasl")); err != nil {
			return err
		}
	}
	if (s.FirstUser == "") != (s.FirstPasswordFile == "") {
		return errors.New("first_user and first_user_password_file belong together: set both, or none")
	}
	if s.FirstUser == "" {
		return nil
	}
	password, err := admin.ReadPassword(s.FirstPasswordFile, strings.NewReader(""))
	switch {
	case errors.Is(err, fs.ErrNotExist): // it may be removed when it has served
		return nil
	case err != nil:
		return fmt.Errorf("can't read the password of first_user: %w", err)
	}
	var random [17]byte
	rand.Read(random[:])
	cfg.Node.FirstUser = node.NewFirstUser(s.FirstUser, password, random)
	return nil
}
