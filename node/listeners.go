// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"fmt"
	"slices"

	"chronik/node/sasl"
	"chronik/node/step"
)

// A broker may listen for clients on several ports, say on a plain one within a data center and on one with TLS outside.
// Each port is a listener, and clients of a listener are told the addresses that belong to it, of all brokers. A broker has
// one listener without a name, whose address is Member.Host and Port, and further ones that have a name.

// Listener is a port of this broker for clients.
type Listener struct {
	Name string // "": the one without a name
	// Mechanisms are the SASL mechanisms of which clients must use one to log in; none: no login is asked for.
	Mechanisms []string
}

// Address is where the clients of a listener with a name reach a broker.
type Address struct {
	Listener string
	Host     string
	Port     int32
}

const (
	maxListeners    = 16 // with a name, of a broker
	maxListenerName = 64
)

// CheckListenerName says what is wrong with the name of a listener; "" if nothing is.
func CheckListenerName(name string) string {
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	}
	if name == "" || len(name) > maxListenerName || slices.ContainsFunc([]rune(name), odd) {
		return fmt.Sprintf("%.80q is no name of a listener: use 1 to %d letters, digits, dots, hyphens and underscores", name, maxListenerName)
	}
	return ""
}

// checkListeners reports what is wrong with the addresses of a broker by listener. They ascend by name.
func (m *Member) checkListeners() string {
	if len(m.Listeners) > maxListeners {
		return fmt.Sprintf("broker %d has %d listeners, the most is %d", m.ID, len(m.Listeners), maxListeners)
	}
	for i, a := range m.Listeners {
		switch wrong := CheckListenerName(a.Listener); {
		case wrong != "":
			return wrong
		case i > 0 && m.Listeners[i-1].Listener >= a.Listener:
			return fmt.Sprintf("the listeners of broker %d are there twice or out of order", m.ID)
		case a.Host == "" || a.Port < 1 || a.Port > 1<<16-1 || len(a.Host) > maxMemberText:
			return fmt.Sprintf("broker %d has no address for listener %s", m.ID, a.Listener)
		}
	}
	return ""
}

// at returns where clients of a listener reach the broker; false if they don't.
func (m *Member) at(listener string) (host string, port int32, ok bool) {
	if listener == "" {
		return m.Host, m.Port, true
	}
	i, ok := slices.BinarySearchFunc(m.Listeners, listener, func(a Address, name string) int { return cmp.Compare(a.Listener, name) })
	if !ok {
		return "", -1, false
	}
	return m.Listeners[i].Host, m.Listeners[i].Port, true
}

// reachable reports whether clients of a listener can be sent to a broker.
func (n *Node) reachable(id BrokerID, listener string) bool {
	if listener == "" {
		return true
	}
	m := n.member(id)
	if m == nil {
		return false
	}
	_, _, ok := m.at(listener)
	return ok
}

func (m *Member) equal(o *Member) bool {
	return m.ID == o.ID && m.Host == o.Host && m.Port == o.Port && m.Rack == o.Rack && m.Machine == o.Machine && m.Peer == o.Peer && m.Folder == o.Folder &&
		slices.Equal(m.Listeners, o.Listeners)
}

// unnamed is the listener without a name, if it isn't configured.
var unnamed Listener

// listener returns what is configured for the listener that a connection came in by.
func (n *Node) listener(name string) *Listener {
	for i := range n.cfg.Listeners {
		if n.cfg.Listeners[i].Name == name {
			return &n.cfg.Listeners[i]
		}
	}
	if name == "" {
		return &unnamed
	}
	step.Assert(len(n.cfg.Listeners) == 0, "a connection came in by %q, which isn't configured: nobody knows whether its clients must log in", name)
	return &Listener{Name: name}
}

// checkListeners refuses listeners that nobody could mean.
func (c *Config) checkListeners() error {
	for i, l := range c.Listeners {
		if wrong := CheckListenerName(l.Name); l.Name != "" && wrong != "" {
			return fmt.Errorf("listeners: %s", wrong)
		}
		if slices.ContainsFunc(c.Listeners[:i], func(o Listener) bool { return o.Name == l.Name }) {
			return fmt.Errorf("listener %q is there twice; give every listener its own name", l.Name)
		}
		for _, m := range l.Mechanisms {
			switch {
			case m == sasl.Bearer && c.Tokens == nil:
				return fmt.Errorf("listener %q asks for %s, and nothing checks tokens", l.Name, m)
			case m != sasl.Bearer && !slices.Contains(sasl.Mechanisms(), m):
				return fmt.Errorf("listener %q asks for the SASL mechanism %q; use %s or %v", l.Name, m, sasl.Bearer, sasl.Mechanisms())
			}
		}
	}
	return nil
}
