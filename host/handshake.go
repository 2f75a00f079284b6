// SPDX-License-Identifier: Apache-2.0

package host

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"time"
)

const (
	// clientHandshakeTime is how long a client may take until it has shaken hands.
	clientHandshakeTime = 10 * time.Second

	// maxShaking bounds the clients that shake hands at the same time. Another one takes the place of the one that has
	// kept this broker waiting the longest: one that means it is done in a few round trips. If all of them wait for their turn
	// here, it takes that of the last one of the address that has most.
	maxShaking = 1024
)

// begin serves a connection that was counted. A handshake has a goroutine of its own, since it needs a large stack.
func (c *conn) begin() {
	s, ok := c.sock.(*secured)
	if !ok {
		c.read()
		return
	}
	c.srv.shakes(c)
	err := c.shakeHands(s)
	c.srv.shaken(c)
	if err == nil {
		c.srv.wg.Go(c.read)
		return
	}
	c.shut()
	c.srv.remove(c)
	if !errors.Is(err, net.ErrClosed) {
		c.srv.lines.shaken.tell(slog.LevelInfo, "refused a connection with TLS", err.Error(), from(c.sock), slog.String("listener", c.port.name))
	}
}

// shakes notes that a client shakes hands.
func (s *clients) shakes(c *conn) {
	var drop *conn
	s.mu.Lock()
	c.from.shaking++
	if s.shaking = append(s.shaking, c); len(s.shaking) > maxShaking {
		drop = s.toDrop()
	}
	s.mu.Unlock()
	if drop != nil {
		drop.shut()
	}
}

// toDrop is whose place another one takes. The caller holds s.mu.
func (s *clients) toDrop() (last *conn) {
	for _, c := range s.shaking {
		switch {
		case !c.inLine.Load():
			return c
		case last == nil || c.from.shaking >= last.from.shaking:
			last = c
		}
	}
	return last
}

func (s *clients) shaken(c *conn) {
	s.mu.Lock()
	c.from.shaking--
	s.shaking = slices.DeleteFunc(s.shaking, func(o *conn) bool { return o == c })
	s.mu.Unlock()
}

// shakeHands returns when the client has proven what it has to.
func (c *conn) shakeHands(s *secured) error {
	c.sock.SetDeadline(time.Now().Add(clientHandshakeTime))
	if err := s.waitForBytes(); err != nil {
		return explainHandshake(err)
	}
	turn := turn{of: c.srv.turns, addr: c.from.addr, quit: c.quit, line: &c.inLine}
	if err := turn.shake(s); err != nil {
		if plain, ok := errors.AsType[tls.RecordHeaderError](err); ok {
			return c.notTLS(s, [4]byte(plain.RecordHeader[:4]))
		}
		return explainHandshake(err)
	}
	c.sock.SetDeadline(time.Time{})
	if shown := s.ConnectionState().PeerCertificates; len(shown) > 0 {
		var err error
		c.principal, err = c.port.tls.Principals.principal(shown[0].RawSubject)
		return err
	}
	return nil
}

// notTLS says what a client speaks instead, and tells it if that is HTTP.
func (c *conn) notTLS(s *secured, head [4]byte) error {
	what, say := foreign(head)
	switch {
	case what != "" && head[0] != 0x16:
		s.records.Conn.Write(say)
	case head[0] == 0:
		what = "a Kafka client without TLS; set security.protocol=SSL in that client, or SASL_SSL if it logs in"
	default:
		what = "nothing that is known here"
	}
	return fmt.Errorf("the first bytes %q are no handshake of TLS but look like %s", head[:], what)
}

// explainHandshake says what the usual failures mean. Errors of the system lose the addresses in them, which would make each
// time another line.
func explainHandshake(err error) error {
	op, ok := errors.AsType[*net.OpError](err)
	if ok && op.Op != "remote error" {
		err = op.Err
	}
	_, isUnknown := errors.AsType[x509.UnknownAuthorityError](err)
	alert := ""
	if ok && op.Op == "remote error" {
		alert = op.Err.Error()
	}
	switch {
	case errors.Is(err, net.ErrClosed):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("the handshake took more than %v", clientHandshakeTime)
	case isHangup(err):
		return errors.New("the client closed the connection in the handshake; if it is no scan of ports, it may not trust this broker's certificate, or have no name of it")
	case isUnknown:
		return fmt.Errorf("%w: its certificate comes from no authority in the CA file of this port", err)
	case alert != "":
		return fmt.Errorf("the client says: %s; it may lack the authority of this broker's certificate, or the name that it connects to isn't in that", alert)
	}
	return err
}
