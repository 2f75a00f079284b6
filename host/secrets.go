// SPDX-License-Identifier: Apache-2.0

package host

import (
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"
)

// The secret changes while the cluster runs: the file may hold several, a line each. The first is what a broker proves
// with, unless the other end has proved that it knows another of them; all of them are accepted. The file is read
// again at every handshake and every secretCheck, and connections that were made with a secret that is no longer in
// it are closed. So all brokers are given the old one and the new one first, in this order, and then the new one alone.

// secretCheck is how soon a change of the file counts for connections that exist.
const secretCheck = 2 * time.Second

// secrets are those of the cluster, as the file said last.
type secrets struct {
	file string // empty: they don't change
	line teller

	mu   sync.Mutex
	list []string // empty without a secret, which is proven as an empty one
}

// now reads the file again. One that can't be read, or holds no secret, changes nothing: it may be half written.
func (s *secrets) now() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == "" && len(s.list) == 0 {
		return []string{""}
	}
	if s.file == "" {
		return s.list
	}
	list, err := ReadSecrets(s.file)
	switch {
	case err != nil:
		s.line.tell(slog.LevelWarn, "the cluster secrets stay as they were", err.Error())
	case !slices.Equal(list, s.list):
		s.line.tell(slog.LevelInfo, "took the cluster secrets anew", "", slog.String("file", s.file), slog.Int("secrets", len(list)))
		s.list = list
	}
	return s.list
}

// watchSecrets closes connections whose secret counts no more.
func (p *peers) watchSecrets() {
	for {
		select {
		case <-p.quit:
			return
		case <-time.After(secretCheck):
		}
		list := p.secrets.now()
		p.mu.Lock()
		for sock, secret := range p.proven {
			if !slices.Contains(list, secret) {
				sock.Close()
			}
		}
		p.mu.Unlock()
	}
}

// prove notes the secret with which a connection was made.
func (p *peers) prove(sock net.Conn, secret string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proven == nil {
		p.proven = make(map[net.Conn]string)
	}
	p.proven[sock] = secret
}
