// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"chronik/host"
)

// members takes the [[members]] of a file.
func (f *file) members(value any) error {
	return f.tables("members", "id, kafka and peer for each broker", value, func(table map[string]any, line int) error {
		m, err := f.member(table, line)
		f.to.Members = append(f.to.Members, m)
		return err
	})
}

// tables takes an array of tables one by one, each with the line at which it begins.
func (f *file) tables(key, what string, value any, take func(table map[string]any, line int) error) error {
	tables, ok := value.([]map[string]any)
	if list, inline := value.([]any); inline {
		ok = true
		for _, v := range list {
			t, isTable := v.(map[string]any)
			tables, ok = append(tables, t), ok && isTable
		}
	}
	if !ok {
		return fmt.Errorf("%s:%d: %s is %s; write a table [[%s]] with %s", f.path, f.line(key), key, kindOf(value), key, what)
	}
	at := 0
	for i, t := range tables {
		at = cmp.Or(f.lineAfter(key, at), at, f.line(key))
		if err := take(t, at); err != nil {
			return fmt.Errorf("%w (number %d of [[%s]])", err, i+1, key)
		}
	}
	return nil
}

// member takes one broker, whose table begins at a line.
func (f *file) member(table map[string]any, line int) (m member, err error) {
	place := func(key string) string {
		return fmt.Sprintf("%s:%d: members.%s", f.path, cmp.Or(f.lineAfter(key, line), line), key)
	}
	for _, key := range slices.Sorted(mapKeys(table)) {
		value := table[key]
		text, isText := value.(string)
		n, isNumber := value.(int64)
		switch {
		case key == "id" && isNumber && n >= 0 && n <= 65535:
			m.ID = int(n)
		case key == "id":
			return m, fmt.Errorf("%s = %#v: write a whole number, 0 to 65535", place(key), value)
		case key != "kafka" && key != "peer" && key != "rack" && key != "machine":
			return m, fmt.Errorf("%s: there is no setting \"members.%s\"; did you mean %q?", strings.TrimSuffix(place(key), ": members."+key), key, nearest(key, []string{"id", "kafka", "peer", "rack", "machine"}))
		case !isText:
			return m, fmt.Errorf("%s = %v is %s; write a text in quotes", place(key), value, kindOf(value))
		case key == "kafka":
			m.Kafka, m.kafkaAt = text, place(key)
		case key == "peer":
			m.Peer, m.peerAt = text, place(key)
		case key == "machine":
			m.Machine = text
		default:
			m.Rack = text
		}
	}
	m.at = fmt.Sprintf("%s:%d: [[members]]", f.path, line)
	for _, key := range []string{"id", "kafka"} {
		if _, ok := table[key]; !ok {
			return m, fmt.Errorf("%s has no %s; write id, kafka and peer for each broker", m.at, key)
		}
	}
	return m, nil
}

func mapKeys(m map[string]any) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// complete fills in what follows from other settings and finds what can't work.
func (s *settings) complete() error {
	if len(s.Members) == 0 {
		s.Members = []member{{
			ID: s.BrokerID, Kafka: s.Listen, Peer: s.PeerListen, Rack: s.Rack, Machine: s.Machine,
			kafkaAt: s.where("listen"), peerAt: s.where("peer_listen"),
		}}
	}
	if err := s.checkAddresses(); err != nil {
		return err
	}
	i := slices.IndexFunc(s.Members, func(m member) bool { return m.ID == s.BrokerID })
	if i < 0 {
		return fmt.Errorf("%s is %d, but broker %d is not in members, which lists %s: add it there, or set broker_id to one of them", s.where("broker_id"), s.BrokerID, s.BrokerID, s.memberIDs())
	}
	self := &s.Members[i]
	if s.Advertise != "" {
		self.Kafka, self.kafkaAt = s.Advertise, s.where("advertise")
	}
	if err := s.placeSelf(self); err != nil {
		return err
	}
	if s.PeerListen == "" {
		s.PeerListen = self.Peer
	}
	if s.PeerListen == "" && len(s.Members) == 1 && !s.Join {
		return s.checkMembers(false)
	}
	if self.Peer == "" {
		self.Peer, self.peerAt = s.PeerListen, s.where("peer_listen")
	}
	if s.Join && len(s.Members) == 1 {
		return errors.New(s.where("join") + " is set, but members lists no other broker: list some of the cluster that this one is to join, and this one")
	}
	if s.ClusterID == "" {
		return errors.New(s.where("cluster_id") + " is missing: give every broker of a cluster the same one, for example " + host.NewClusterID())
	}
	return s.checkMembers(true)
}

// placeSelf says in which rack and on which machine this broker is.
func (s *settings) placeSelf(self *member) error {
	if s.Rack != "" && self.Rack != "" && s.Rack != self.Rack {
		return fmt.Errorf("%s is %q, but broker %d stands in %q by %s: write it once, or both alike", s.where("rack"), s.Rack, self.ID, self.Rack, self.at)
	}
	if s.Machine != "" && self.Machine != "" && s.Machine != self.Machine {
		return fmt.Errorf("%s is %q, but broker %d stands on %q by %s: write it once, or both alike", s.where("machine"), s.Machine, self.ID, self.Machine, self.at)
	}
	self.Rack, self.Machine = cmp.Or(self.Rack, s.Rack), cmp.Or(self.Machine, s.Machine)
	if s.Loops > 1 && self.Machine == "" {
		self.Machine = fmt.Sprintf("machine of broker %d", self.ID)
	}
	return nil
}

func (s *settings) memberIDs() string {
	var ids []string
	for _, m := range s.Members {
		ids = append(ids, strconv.Itoa(m.ID))
	}
	return strings.Join(ids, ", ")
}

// checkMembers finds brokers and addresses that are there twice, and addresses that nobody can connect to.
func (s *settings) checkMembers(peers bool) error {
	ids, seen := make(map[int]bool), make(map[string]string)
	for _, m := range s.Members {
		if ids[m.ID] {
			return fmt.Errorf("%s: broker %d is there twice; give every broker an id of its own", m.at, m.ID)
		}
		ids[m.ID] = true
		addrs := [][2]string{{m.Kafka, cmp.Or(m.kafkaAt, m.at)}, {m.Peer, cmp.Or(m.peerAt, m.at)}}
		for i, a := range addrs {
			if i == 1 && !peers {
				continue
			}
			if _, _, err := splitAddr(a[0]); err != nil {
				return s.wrongAddress(m, []string{"kafka", "peer"}[i], err)
			}
			if other, ok := seen[a[0]]; ok {
				return fmt.Errorf("%s and %s are both %s; every port needs an address of its own", other, a[1], a[0])
			}
			seen[a[0]] = a[1]
		}
	}
	return nil
}

// wrongAddress says where an address was given that nobody can connect to.
func (s *settings) wrongAddress(m member, key string, err error) error {
	place := m.kafkaAt
	if key == "peer" {
		place = m.peerAt
	}
	if place == "" {
		return fmt.Errorf("%s: broker %d has no %s address; write for example %s = \"10.0.0.5:9092\"", m.at, m.ID, key, key)
	}
	return fmt.Errorf("%s: %w", place, err)
}

// checkAddresses looks at the addresses to listen on.
func (s *settings) checkAddresses() error {
	seen := make(map[string]string)
	type place struct{ where, addr string }
	all := []place{{s.where("listen"), s.Listen}}
	for _, l := range s.Listeners {
		all = append(all, place{l.given["listen"], l.Listen})
	}
	for _, l := range []place{{"peer_listen", s.PeerListen}, {"metrics", s.Metrics}, {"pprof", s.Pprof}} {
		if l.addr != "" {
			all = append(all, place{s.where(l.where), l.addr})
		}
	}
	for _, l := range all {
		_, port, err := net.SplitHostPort(l.addr)
		if err != nil {
			return fmt.Errorf("%s: %w", l.where, noHostPort(l.addr, err))
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return fmt.Errorf("%s: %q has no port from 1 to 65535", l.where, l.addr)
		}
		if other, ok := seen[l.addr]; ok && port != "0" {
			return fmt.Errorf("%s and %s are both %s; every port needs an address of its own", other, l.where, l.addr)
		}
		seen[l.addr] = l.where
	}
	return s.checkListeners()
}

// noHostPort says what is wrong with an address.
func noHostPort(addr string, err error) error {
	switch {
	case strings.Contains(addr, "://"):
		return fmt.Errorf("%q is no host:port: leave out %s", addr, addr[:strings.Index(addr, "://")+3])
	case strings.Contains(addr, ","):
		return fmt.Errorf("%q is no host:port: give one address", addr)
	case strings.Contains(err.Error(), "too many colons"):
		return fmt.Errorf("%q is no host:port: put an IPv6 address into brackets, [::1]:9092", addr)
	case strings.Contains(err.Error(), "missing port"):
		return fmt.Errorf("%q is no host:port: the port is missing", addr)
	}
	return fmt.Errorf("%q is no host:port", addr)
}

// splitAddr takes apart an address that others are told to connect to.
func splitAddr(addr string) (string, int32, error) {
	name, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, noHostPort(addr, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("%q has no port from 1 to 65535", addr)
	}
	if strings.ContainsAny(name, " \t\r\n/") {
		return "", 0, fmt.Errorf("%q: %q is no name of a machine", addr, name)
	}
	if ip := net.ParseIP(name); name == "" || (ip != nil && ip.IsUnspecified()) {
		return "", 0, fmt.Errorf("%q means every address of this machine, which nobody else can connect to; set advertise (for clients) or this member's peer (for brokers) to a name or address that they can use", addr)
	}
	return name, int32(n), nil
}
