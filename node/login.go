// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node/sasl"
	"chronik/node/step"
)

// anonymous is who a client is that has said nothing (Kafka's KafkaPrincipal.ANONYMOUS).
const anonymous = "User:ANONYMOUS"

// login is where a connection stands that must log in.
type login struct{}

// checkListeners refuses listeners that nobody could mean.
func (c *Config) checkListeners() error {
	for i, l := range c.Listeners {
		if slices.ContainsFunc(c.Listeners[:i], func(o Listener) bool { return o.Name == l.Name }) {
			return fmt.Errorf("listener %q is there twice; give each a name of its own", l.Name)
		}
		for _, m := range l.Mechanisms {
			if !slices.Contains(sasl.Mechanisms(), m) {
				return fmt.Errorf("listener %q asks for the SASL mechanism %q; use %v", l.Name, m, sasl.Mechanisms())
			}
		}
	}
	return nil
}

// listener returns the one that a connection came in by.
func (n *Node) listener(name string) *Listener {
	i := slices.IndexFunc(n.cfg.Listeners, func(l Listener) bool { return l.Name == name })
	if i < 0 {
		step.Assert(len(n.cfg.Listeners) == 0, "a connection came in by %q, which is no listener", name)
		return &Listener{Name: name}
	}
	return &n.cfg.Listeners[i]
}

// identify notes who the client of a new connection is, by what its transport proved, or that it must log in.
func (c *conn) identify(proved string) {
	switch {
	case len(c.listener.Mechanisms) > 0:
		c.login = &login{}
	case proved != "":
		c.principal = proved
	default:
		c.principal = anonymous
	}
}

// mayAsk reports whether a client may ask for an API: before it has logged in, only what is served.
func (c *conn) mayAsk(key int16) bool {
	return c.login == nil || key == kmsg.ApiVersions.Int16()
}
