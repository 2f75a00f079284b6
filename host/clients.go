// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"chronik/node"
)

// port is a listener for Kafka clients.
type port struct {
	name     string // see node.Request.Listener
	listener net.Listener
	tls      *certificates // nil: none
	logins   bool          // clients must log in
	most     int           // connections; 0: any number
	rate     float64       // of new ones in a second; 0: any

	conns int // with clients.mu
}

// clients are the listeners for Kafka clients and all their connections.
type clients struct {
	ports  []*port
	limits Limits
	mail   *mailbox
	small  *admission   // bytes of requests that are not answered: of those up to smallFrame,
	large  *admission   // and of the others
	unread atomic.Int64 // bytes of answers that clients have not taken
	meter  *requestMeter
	lines  clientLines
	gate   gate
	rates  rates
	turns  *turns // of those that shake hands

	quit chan struct{} // closed when everything ends
	wg   sync.WaitGroup

	mu      sync.Mutex
	conns   map[node.ConnID]*conn
	from    map[string]*client
	lastID  node.ConnID
	shaking []*conn // hands, the oldest first
	closed  bool

	looked time.Time // for connections to drop; the loop's
}

// clientLines are the kinds of lines that strangers can cause.
type clientLines struct{ accept, full, closed, unread, shaken, strangers *teller }

func newClientLines(log *slog.Logger) clientLines {
	return clientLines{&teller{log: log}, &teller{log: log}, &teller{log: log}, &teller{log: log}, &teller{log: log}, &teller{log: log}}
}

func (l clientLines) stop() {
	for _, t := range []*teller{l.accept, l.full, l.closed, l.unread, l.shaken, l.strangers} {
		t.stop()
	}
}

func listenClients(ports []Listener, limits Limits, mail *mailbox, log *slog.Logger) (*clients, error) {
	s := &clients{
		limits: limits, mail: mail,
		lines: newClientLines(log), gate: newGate(),
		small: newAdmission(limits.RequestBytes / 8), large: newAdmission(limits.RequestBytes * 7 / 8), meter: newRequestMeter(),
		rates: rates{all: limits.ConnRate, begun: time.Now()}, turns: newTurns(),
		quit:  make(chan struct{}),
		conns: make(map[node.ConnID]*conn),
		from:  make(map[string]*client),
	}
	for _, p := range ports {
		what, key := "Kafka clients", "listen"
		if p.Name != "" {
			what, key = "the clients of listener "+p.Name, "its listen"
		}
		l, err := listen(p.Listen, what, key)
		if err != nil {
			s.stopAccepting()
			return nil, err
		}
		certs, err := p.TLS.open(what, log)
		if err != nil {
			l.Close()
			s.stopAccepting()
			return nil, err
		}
		s.ports = append(s.ports, &port{name: p.Name, listener: l, tls: certs, most: p.Conns, rate: p.ConnRate})
	}
	return s, nil
}

func (s *clients) start() {
	for _, p := range s.ports {
		s.wg.Go(func() { s.accept(p) })
	}
	s.wg.Go(s.reapIdle)
}

func (s *clients) accept(p *port) {
	acceptAll(p.listener, s.lines.accept, s.quit, func(sock net.Conn) {
		if s.rates.refuses(sock) {
			s.meter.overfull.Add(1)
			s.lines.full.tell(slog.LevelWarn, "closed a new connection: its address makes too many in a second (quota connection_creation_rate)", "", from(sock))
			return
		}
		s.add(p, sock)
		if rest := s.rates.rest(p); rest > 0 {
			select {
			case <-s.quit:
			case <-time.After(rest):
			}
		}
	})
}

// add starts a connection, unless there are too many.
func (s *clients) add(p *port, sock net.Conn) {
	if p.tls != nil {
		sock = secure(sock, p.tls.config.Load(), tls.Server)
	}
	s.enter(newConn(s, p, sock))
}

// enter starts a connection, unless there are too many; then it is closed.
func (s *clients) enter(c *conn) {
	sock := c.sock
	s.mu.Lock()
	c.from = s.client(sock)
	full := len(s.conns) >= s.limits.Conns || c.from.conns >= s.limits.AddressConns || c.port.most > 0 && c.port.conns >= c.port.most
	refuse := full || s.closed
	if refuse {
		s.forget(c.from)
	} else {
		c.from.conns++
		c.port.conns++
		s.lastID++
		c.id = s.lastID
		s.conns[c.id] = c
		if c.port.logins && !c.loggedIn {
			c.expectLogin()
		}
		s.wg.Go(c.begin)
	}
	s.mu.Unlock()
	if refuse {
		c.shut()
	} else {
		s.meter.accepted.Add(1)
	}
	if full {
		s.meter.overfull.Add(1)
		s.lines.full.tell(slog.LevelWarn, "closed a new connection: there are too many", "", from(sock), slog.Int("limit", s.limits.Conns),
			slog.Int("limit_of_one_address", s.limits.AddressConns), slog.String("listener", c.port.name), slog.Int("limit_of_the_listener", c.port.most))
	}
}

func (s *clients) remove(c *conn) {
	s.mu.Lock()
	delete(s.conns, c.id)
	c.from.conns--
	c.port.conns--
	s.forget(c.from)
	s.mu.Unlock()
	if c.begun { // nobody sets it any more
		s.mail.hangup(c.id)
	}
}

// deliver hands the replies of one step to their connections. A reply to a connection that is
// gone is dropped.
func (s *clients) deliver(replies []node.Reply) {
	if len(replies) == 0 {
		return
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range replies {
		if c := s.conns[r.Conn]; c != nil {
			c.reply(r, now)
		}
	}
	if s.unread.Load() > s.limits.UnreadBytes {
		s.dropSlow(now)
	}
}

// reapIdle closes connections on which nothing is under way and nothing has moved for the idle
// time. A request that the node still works on keeps its connection open.
func (s *clients) reapIdle() {
	for {
		select {
		case <-s.quit:
			return
		case <-time.After(min(s.limits.IdleTime/20, unreadTime/2)):
		}
		now := time.Now()
		for _, c := range s.list() {
			if c.stuck(now) {
				s.lines.unread.tell(slog.LevelWarn, "closed a client connection: the client doesn't read its answers", "", from(c.sock))
				c.shut()
			}
			if c.idleSince(now) >= s.limits.IdleTime {
				c.shut()
			}
		}
	}
}

func (s *clients) list() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*conn, 0, len(s.conns))
	for _, c := range s.conns {
		list = append(list, c)
	}
	return list
}

// open is how many connections there are, and how many requests on them are not answered.
func (s *clients) open() (conns, requests int) {
	list := s.list()
	for _, c := range list {
		c.mu.Lock()
		requests += len(c.open)
		c.mu.Unlock()
	}
	return len(list), requests
}

// stopAccepting closes the listeners; connections stay.
func (s *clients) stopAccepting() {
	for _, p := range s.ports {
		p.listener.Close()
	}
}

// drain gives the writers that long to send what the node answered.
func (s *clients) drain(d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	for _, c := range s.list() {
		for c.unsent() > 0 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
	}
}

func (s *clients) close() {
	s.stopAccepting()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	close(s.quit)
	s.mu.Unlock()
	for _, c := range s.list() {
		c.shut()
	}
	s.wg.Wait()
	s.lines.stop()
}

func errFrame(n uint32, limit int) error {
	return fmt.Errorf("the request's length is %d, the limit %d bytes; is this a Kafka client without TLS?", n, limit)
}
