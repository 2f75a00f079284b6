// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"chronik/host"
	"chronik/node"
)

// listener is one of [[listeners]]: a further port for Kafka clients, beside the one of listen and advertise, which has no
// name. Its clients are told the addresses that the brokers advertise for a listener of this name.
type listener struct {
	Name, Listen, Advertise string
	Sasl                    string
	TLS                     tlsSettings
	MaxConnections          int // 0: as many as the broker's
	ConnRate                int // 0: any number

	at    string            // where it was given, and
	given map[string]string // each of its settings, for errors
}

// fields are the settings of a listener.
func (l *listener) fields() map[string]*string {
	all := map[string]*string{"name": &l.Name, "listen": &l.Listen, "advertise": &l.Advertise, "sasl": &l.Sasl}
	for _, f := range l.TLS.fields() {
		all[f.key] = f.to
	}
	return all
}

// numbers are those of them that are numbers.
func (l *listener) numbers() map[string]*int {
	return map[string]*int{"max_connections": &l.MaxConnections, "max_connection_creation_rate": &l.ConnRate}
}

// listeners takes the [[listeners]] of a file.
func (f *file) listeners(value any) error {
	return f.tables("listeners", "name and listen for each listener", value, func(table map[string]any, line int) error {
		l, err := f.listener(table, line)
		f.to.Listeners = append(f.to.Listeners, l)
		return err
	})
}

// listener takes one listener, whose table begins at a line.
func (f *file) listener(table map[string]any, line int) (l listener, err error) {
	l.at, l.given = fmt.Sprintf("%s:%d: [[listeners]]", f.path, line), make(map[string]string)
	fields, numbers := l.fields(), l.numbers()
	keys := append(slices.Sorted(maps.Keys(fields)), slices.Sorted(maps.Keys(numbers))...)
	slices.Sort(keys)
	for _, key := range slices.Sorted(mapKeys(table)) {
		place := fmt.Sprintf("%s:%d", f.path, cmp.Or(f.lineAfter(key, line), line))
		field := fields[key]
		if field == nil && numbers[key] == nil {
			return l, fmt.Errorf("%s: there is no setting \"listeners.%s\"; did you mean %q?", place, key, nearest(key, keys))
		}
		l.given[key] = place + ": listeners." + key
		if to := numbers[key]; to != nil {
			if *to, err = countOf(table[key]); err != nil {
				return l, fmt.Errorf("%s = %v %w", l.given[key], table[key], err)
			}
			continue
		}
		text, isText := table[key].(string)
		if !isText {
			return l, fmt.Errorf("%s = %v is %s; write a text in quotes", l.given[key], table[key], kindOf(table[key]))
		}
		*field = text
	}
	for _, key := range []string{"name", "listen"} {
		if *fields[key] == "" {
			return l, fmt.Errorf("%s has no %s; write name and listen for each listener", l.at, key)
		}
	}
	if wrong := node.CheckListenerName(l.Name); wrong != "" {
		return l, fmt.Errorf("%s: %s", l.given["name"], wrong)
	}
	l.Advertise = cmp.Or(l.Advertise, l.Listen)
	absolute(filepath.Dir(f.path), l.TLS.fields())
	return l, nil
}

// countOf takes a number of connections.
func countOf(value any) (int, error) {
	n, isNumber := value.(int64)
	switch {
	case !isNumber:
		return 0, fmt.Errorf("is %s; write a number", kindOf(value))
	case n < 1 || n > 1_000_000:
		return 0, errors.New("is out of range; use 1 to 1000000")
	}
	return int(n), nil
}

// checkListeners finds listeners of one name, and addresses that nobody can connect to.
func (s *settings) checkListeners() error {
	for i, l := range s.Listeners {
		for _, o := range s.Listeners[:i] {
			if o.Name == l.Name {
				return fmt.Errorf("%s and %s are both %q; give every listener a name of its own", o.given["name"], l.given["name"], l.Name)
			}
		}
		if _, _, err := splitAddr(l.Advertise); err != nil {
			return fmt.Errorf("%s: %w", cmp.Or(l.given["advertise"], l.given["listen"]), adviseListener(err))
		}
	}
	return nil
}

// adviseListener names the setting of a listener instead of the one without a name.
func adviseListener(err error) error {
	text := strings.Replace(err.Error(), "set advertise (for clients) or this member's peer (for brokers)", "set this listener's advertise", 1)
	return fmt.Errorf("%s", text)
}

// where names a setting of a listener.
func (l *listener) where(key string) string { return cmp.Or(l.given[key], l.at+": "+key) }

// addListeners puts the listeners into the host's configuration.
func (s *settings) addListeners(cfg *host.Config) (err error) {
	if cfg.TLS, err = s.TLS.host(s.where); err != nil {
		return err
	}
	slices.SortFunc(s.Listeners, func(a, b listener) int { return cmp.Compare(a.Name, b.Name) })
	self := slices.IndexFunc(cfg.Node.Members, func(m node.Member) bool { return m.ID == cfg.Node.BrokerID })
	for _, l := range s.Listeners {
		name, port, _ := splitAddr(l.Advertise) // checked before
		secure, err := l.TLS.host(l.where)
		if err != nil {
			return err
		}
		cfg.Listeners = append(cfg.Listeners, host.Listener{Name: l.Name, Listen: l.Listen, TLS: secure, Conns: l.MaxConnections, ConnRate: float64(l.ConnRate)})
		cfg.Node.Listeners = append(cfg.Node.Listeners, node.Listener{Name: l.Name})
		cfg.Node.Members[self].Listeners = append(cfg.Node.Members[self].Listeners, node.Address{Listener: l.Name, Host: name, Port: port})
	}
	return nil
}

// portsOf names the ports of a broker for Kafka clients.
func portsOf(cfg *host.Config) string {
	all := cfg.Listen
	for _, l := range cfg.Listeners {
		all += ", " + l.Listen + " (" + l.Name + ")"
	}
	return all
}

// checkStrangers refuses to serve clients who don't prove who they are where other machines may reach the broker, unless that is
// what the operator wants.
func (s *settings) checkStrangers(cfg *host.Config) error {
	if s.AllowStrangers {
		return nil
	}
	type place struct {
		where, name, addr string
		tls               *host.TLS
	}
	all := []place{{s.where("listen"), "", s.Listen, cfg.TLS}}
	for i, l := range s.Listeners {
		all = append(all, place{l.where("listen"), l.Name, l.Listen, cfg.Listeners[i].TLS})
	}
	for _, l := range all {
		asks := l.tls != nil && l.tls.Clients == host.ClientCertsRequired || slices.ContainsFunc(cfg.Node.Listeners, func(o node.Listener) bool {
			return o.Name == l.name && len(o.Mechanisms) > 0
		})
		if !asks && !onLoopback(l.addr) {
			return fmt.Errorf("%s is %s, which other machines may reach, and clients don't have to prove there who they are: whoever connects may do everything. "+
				"Set sasl = \"SCRAM-SHA-512\", or tls_client_auth = \"required\" with its files (docs/SECURITY.md), or a loopback address; or set allow_strangers = true, if only those can connect whom you trust", l.where, l.addr)
		}
	}
	return nil
}

// onLoopback reports whether only this machine reaches an address.
func onLoopback(addr string) bool {
	name, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(name)
	return err == nil && (name == "localhost" || ip != nil && ip.IsLoopback())
}
