// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"

	"chronik/host"
)

// One loop uses one core. With the setting loops a process runs several brokers, each with its own: the first is the one that the
// configuration describes, and the others follow from it. Their ids and ports are the next ones, their data is in a folder within that of the
// first, and they join the cluster by themselves. All share the process's memory, and the machine's name, so that no partition has two
// replicas here.

// hostConfigs checks the settings and turns them into the configurations of all brokers of the process.
func (s *settings) hostConfigs() ([]host.Config, error) {
	first, err := s.hostConfig()
	if err != nil {
		return nil, err
	}
	all := []host.Config{first}
	if s.Loops > 1 && s.PeerListen == "" {
		return nil, fmt.Errorf("%s is %d, but this broker has no port for other brokers, and those of a process talk to each other as those of a cluster do: set peer_listen, or peer in members", s.where("loops"), s.Loops)
	}
	for i := 1; i < s.Loops; i++ {
		next, err := s.loop(i)
		if err != nil {
			return nil, err
		}
		cfg, err := next.hostConfig()
		if err != nil {
			return nil, fmt.Errorf("broker %d, loop %d of broker %d: %w", next.BrokerID, i+1, s.BrokerID, err)
		}
		all = append(all, cfg)
	}
	return all, s.checkPorts(all)
}

// loop returns the settings of another broker of the process.
func (s *settings) loop(i int) (*settings, error) {
	next := *s
	next.BrokerID += i
	if slices.ContainsFunc(s.Members, func(m member) bool { return m.ID == next.BrokerID }) {
		return nil, fmt.Errorf("%s is %d, so broker %d is of this process, but members lists it: leave it out there, it joins by itself, or give the other broker another id", s.where("loops"), s.Loops, next.BrokerID)
	}
	self := s.Members[slices.IndexFunc(s.Members, func(m member) bool { return m.ID == s.BrokerID })]
	self.ID = next.BrokerID
	next.Listeners = slices.Clone(s.Listeners)
	addrs := []*string{&next.Listen, &next.PeerListen, &self.Kafka, &self.Peer}
	for k := range next.Listeners {
		addrs = append(addrs, &next.Listeners[k].Listen, &next.Listeners[k].Advertise)
	}
	for _, addr := range addrs {
		moved, err := portAfter(*addr, i)
		if err != nil {
			return nil, fmt.Errorf("%s is %d: %w", s.where("loops"), s.Loops, err)
		}
		*addr = moved
	}
	next.Members = append(slices.Clone(s.Members), self)
	next.Dir = loopDir(s.Dir, next.BrokerID)
	next.Advertise, next.Metrics, next.Pprof, next.Join = "", "", "", true
	return &next, nil
}

// loopDir is where another broker of a process has its data: within the folder of the first.
func loopDir(dir string, id int) string { return filepath.Join(dir, "loops", strconv.Itoa(id)) }

// portAfter is an address with a port that comes later; one that the system chooses stays so.
func portAfter(addr string, by int) (string, error) {
	name, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", noHostPort(addr, err)
	}
	n, err := strconv.Atoi(port)
	if err != nil || n+by > 65535 {
		return "", fmt.Errorf("the port %d after that of %q is not one from 1 to 65535", by, addr)
	}
	if n == 0 {
		return addr, nil
	}
	return net.JoinHostPort(name, strconv.Itoa(n+by)), nil
}

// checkPorts finds ports that two brokers of the process would have.
func (s *settings) checkPorts(all []host.Config) error {
	seen := make(map[string]int)
	for _, cfg := range all {
		addrs := []string{cfg.Listen, cfg.PeerListen, cfg.Metrics, cfg.Pprof}
		for _, l := range cfg.Listeners {
			addrs = append(addrs, l.Listen)
		}
		for _, addr := range addrs {
			if _, port, _ := net.SplitHostPort(addr); addr == "" || port == "0" {
				continue
			}
			if other, twice := seen[addr]; twice {
				return fmt.Errorf("%s is %d, and the brokers %d and %d would both listen on %s: each port of broker %d takes the next %d as well, so leave room between them",
					s.where("loops"), s.Loops, other, cfg.Node.BrokerID, addr, s.BrokerID, s.Loops-1)
			}
			seen[addr] = int(cfg.Node.BrokerID)
		}
	}
	return nil
}

// ownMemory is the part of the process's memory that each of its brokers has.
func (s *settings) ownMemory() int64 { return s.Memory / int64(s.Loops) }
