// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	"chronik/host"
	"chronik/node"
)

// addRights puts into the configuration who may do what. Where clients prove who they are, each may do only what it was granted,
// unless the settings say otherwise; the first user may do everything, so that somebody can grant.
func (s *settings) addRights(cfg *host.Config) error {
	proves := slices.ContainsFunc(cfg.Node.Listeners, func(l node.Listener) bool { return len(l.Mechanisms) > 0 }) ||
		requiresCertificates(cfg.TLS) || slices.ContainsFunc(cfg.Listeners, func(l host.Listener) bool { return requiresCertificates(l.TLS) })
	_, says := s.given["authorize"]
	cfg.Node.Authorize = s.Authorize || !says && proves
	cfg.Node.SuperUsers = s.superUsers()
	if _, given := s.given["super_users"]; !cfg.Node.Authorize || given {
		return nil
	}
	if s.FirstUser == "" {
		return fmt.Errorf("clients may do only what rules allow them, as %s, and nobody could make the first rule: set super_users, such as \"User:admin\"; "+
			"or, if every client may do everything, authorize = false", whyRights(says))
	}
	cfg.Node.SuperUsers = []string{"User:" + s.FirstUser}
	return nil
}

func whyRights(says bool) string {
	if says {
		return "authorize says"
	}
	return "they prove who they are"
}

func requiresCertificates(t *host.TLS) bool {
	return t != nil && t.Clients == host.ClientCertsRequired
}

// superUsers takes the list apart. Names in certificates have commas in them, so as in Kafka semicolons separate.
func (s *settings) superUsers() (list []string) {
	for u := range strings.SplitSeq(s.SuperUsers, ";") {
		if u = strings.TrimSpace(u); u != "" {
			list = append(list, u)
		}
	}
	return list
}
