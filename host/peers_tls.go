// SPDX-License-Identifier: Apache-2.0

package host

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// Between brokers TLS is mutual: each end shows a certificate of one of the authorities in a file, and that of the broker that is
// dialled is for the name in its peer address. It protects what is said. The cluster's secret is proven as well, within it.

// PeerTLS says what brokers do among each other. A cluster goes from one to the next, broker by broker.
type PeerTLS int

// The ways of a cluster to TLS between its brokers.
const (
	PeerTLSRequired PeerTLS = iota // nothing else is taken or dialled
	PeerTLSDial                    // dialled; connections without it are taken as well
	PeerTLSAccept                  // taken; dialled without
)

// secureDialed makes a connection to an address one with TLS, if that is how others are dialled.
func (p *peers) secureDialed(sock net.Conn, addr string) net.Conn {
	if p.tls == nil || p.tlsMode == PeerTLSAccept {
		return sock
	}
	config := p.tls.config.Load().Clone()
	config.ServerName, _, _ = net.SplitHostPort(addr) // of a connection that came about
	return secure(sock, config, tls.Client)
}

// secureTaken does the same for a connection that was taken, by its first byte if there may be either.
func (p *peers) secureTaken(sock net.Conn) (net.Conn, error) {
	if p.tls == nil {
		return sock, nil
	}
	sock.SetDeadline(time.Now().Add(handshakeTime))
	s := secure(sock, p.tls.config.Load(), tls.Server)
	if p.tlsMode == PeerTLSRequired {
		return s, nil
	}
	first, err := s.records.in.Peek(1)
	if err != nil {
		return sock, closedBy(err, "before it said who it is", "a scan of ports, a probe of health, or a client that looks for another port")
	}
	if first[0] != recordHandshake {
		return begun{sock, s.records.in}, nil
	}
	return s, nil
}

// recordHandshake is the first byte of a connection with TLS (RFC 8446 5.1).
const recordHandshake = 0x16

// begun is a connection of which some bytes were read.
type begun struct {
	net.Conn
	in *reader
}

// Read implements net.Conn.
func (b begun) Read(p []byte) (int, error) { return b.in.Read(p) }

// shakeTLS shakes hands, if a connection has TLS: as one that was dialled, or by turns.
func shakeTLS(sock net.Conn, turn *turn) error {
	s, ok := sock.(*secured)
	if !ok {
		return nil
	}
	sock.SetDeadline(time.Now().Add(handshakeTime))
	shake := s.Handshake
	if turn != nil {
		shake = func() error { return turn.shake(s) }
	}
	err := shake()
	plain, isPlain := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case err == nil:
		return nil
	case isPlain && string(plain.RecordHeader[:4]) == peerMagic:
		return errors.New("the other broker speaks without TLS, and this one has peer_tls_cert_file: give it to all brokers, or set peer_tls to dial until they have it")
	case isPlain:
		return fmt.Errorf("the first bytes %q are no handshake of TLS; the other end is no chronik broker", plain.RecordHeader[:4])
	case errors.Is(err, os.ErrDeadlineExceeded), isHangup(err):
		return closedBy(err, "in the handshake of TLS", "it may have no TLS (peer_tls_cert_file), or not trust this broker's certificate; its own lines say more")
	}
	return fmt.Errorf("the handshake of TLS failed, see peer_tls_cert_file and peer_tls_ca_file of both brokers: %w", withoutAddresses(err))
}

// withoutAddresses is what went wrong, without the addresses that would make each time another line.
func withoutAddresses(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}
