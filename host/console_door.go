// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net"
	"net/http"

	"chronik/host/console"
)

// The console's door. Who comes through it is known, and may do there what a Kafka client of that name may, since the console
// asks for everything as one. Where nobody is asked for a login it must not give away what the listeners for Kafka clients don't:
// it is open on loopback addresses, and only if Kafka clients prove nothing either.

// closedConsole says why the console is closed to everybody and what to do about that; "" if it isn't.
func (h *Host) closedConsole() string {
	host, _, _ := net.SplitHostPort(h.httpAddr.String())
	switch {
	case h.cfg.MetricsLogin != LoginForNothing:
		return ""
	case h.asksLogins():
		return `the console is closed: clients of this broker must say who they are, and those of this port aren't asked. Set metrics_login = "changes", "pages" or "all" and restart the broker`
	case !net.ParseIP(host).IsLoopback():
		return `the console is closed: other machines may reach this port, and nobody is asked for a login here. Set metrics_login = "changes", "pages" or "all", or metrics to a loopback address, and restart the broker`
	}
	return ""
}

// asksLogins reports whether the clients of any listener must say who they are, or have rights.
func (h *Host) asksLogins() bool {
	for _, l := range h.cfg.Node.Listeners {
		if len(l.Mechanisms) > 0 {
			return true
		}
	}
	for _, p := range h.cfg.clientPorts() {
		if p.TLS != nil && p.TLS.Clients != NoClientCerts {
			return true
		}
	}
	return h.cfg.Node.Authorize
}

// whoIs tells the console who its client is. It answers a client itself that it doesn't let in.
func (h *Host) whoIs(w http.ResponseWriter, r *http.Request) (who console.Person, in bool) {
	if why := h.closedConsole(); why != "" {
		http.Error(w, why, http.StatusForbidden)
		return who, false
	}
	if h.cfg.MetricsLogin != LoginForNothing {
		v, _, in := h.doorman.login(w, r, false)
		return console.Person{Principal: v.principal, Host: v.host}, in
	}
	// Another site's name may lead here, too: then its pages would be of the same origin.
	name, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		name = r.Host
	}
	if ip := net.ParseIP(name); name != "localhost" && !ip.IsLoopback() {
		http.Error(w, "the console is open by the names of this machine alone: localhost or 127.0.0.1", http.StatusForbidden)
		return who, false
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return console.Person{Principal: "User:ANONYMOUS", Host: host}, true
}
