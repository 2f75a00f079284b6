// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"chronik/node"
)

// peerTLS is what one of two brokers has; without an authority it has none.
type peerTLS struct {
	ca   *authority
	mode PeerTLS
	name string // of its certificate instead of its address
}

// pairTLS starts two brokers that know each other.
func pairTLS(t *testing.T, have [2]peerTLS) (both [2]*peers, lines [2]*safeLog) {
	t.Helper()
	addrs := [2]string{freeAddr(t), freeAddr(t)}
	for i, h := range have {
		lines[i] = new(safeLog)
		log := slog.New(slog.NewTextHandler(lines[i], nil))
		p, err := listenPeers(addrs[i], "", hello{cluster: "c", from: node.BrokerID(i + 1)}, newMailbox(), 64<<20, log)
		if err != nil {
			t.Fatal(err)
		}
		if h.ca != nil {
			cert, key := h.ca.pair(fmt.Sprint("broker", i), func(c *x509.Certificate) {
				if h.name != "" {
					c.IPAddresses, c.DNSNames = nil, []string{h.name}
				}
			})
			config := &TLS{CertFile: cert, KeyFile: key, CAFile: h.ca.file(), Clients: ClientCertsRequired}
			if p.tls, err = config.open("other brokers", log); err != nil {
				t.Fatal(err)
			}
			p.tlsMode = h.mode
		}
		p.start()
		t.Cleanup(p.close)
		both[i] = p
	}
	for _, p := range both {
		p.update([]node.Member{{ID: 1, Peer: addrs[0]}, {ID: 2, Peer: addrs[1]}})
	}
	return both, lines
}

// encrypted counts a broker's connections with TLS, and those without.
func (p *peers) encrypted() (with, without int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for sock := range p.socks {
		if _, ok := sock.(*secured); ok {
			with++
		} else {
			without++
		}
	}
	return with, without
}

// Messages pass with TLS, and while a cluster takes it up.
func TestBrokersSpeakTLS(t *testing.T) {
	ca := newAuthority(t, "ca")
	none, accept, dials, required := peerTLS{}, peerTLS{ca: ca, mode: PeerTLSAccept}, peerTLS{ca: ca, mode: PeerTLSDial}, peerTLS{ca: ca}
	for i, c := range []struct {
		have          [2]peerTLS
		with, without int
	}{
		{[2]peerTLS{required, required}, 2, 0},
		{[2]peerTLS{none, accept}, 0, 2},
		{[2]peerTLS{accept, accept}, 0, 2},
		{[2]peerTLS{accept, dials}, 1, 1},
		{[2]peerTLS{dials, dials}, 2, 0},
		{[2]peerTLS{dials, required}, 2, 0},
	} {
		both, _ := pairTLS(t, c.have)
		for k := range 60 {
			data := bytes.Repeat([]byte{byte(k)}, 1+k*200)
			both[0].send([]node.Envelope{{To: 2, Pieces: [][]byte{data, data}}})
			both[1].send([]node.Envelope{{To: 1, Pieces: [][]byte{data, data}}})
		}
		for b, p := range both {
			got := takeMessages(t, p, 50)
			if last := got[len(got)-1]; last.From != node.BrokerID(2-b) || len(last.Data) != 2*(1+int(last.Data[0])*200) {
				t.Errorf("case %d: broker %d got %d bytes from %d", i, b+1, len(last.Data), last.From)
			}
			with, without := p.encrypted()
			for end := time.Now().Add(10 * time.Second); (with != c.with || without != c.without) && time.Now().Before(end); with, without = p.encrypted() {
				time.Sleep(time.Millisecond) // its own connection may come after the other's messages
			}
			if with != c.with || without != c.without {
				t.Errorf("case %d: broker %d has %d connections with TLS and %d without, want %d and %d", i, b+1, with, without, c.with, c.without)
			}
		}
	}
}

// What doesn't fit is refused by both, in words.
func TestBrokersRefuseOtherTLS(t *testing.T) {
	ca, foreign := newAuthority(t, "ca"), newAuthority(t, "foreign")
	for _, c := range []struct {
		have  [2]peerTLS
		wants [2]string
	}{
		{[2]peerTLS{{}, {ca: ca}}, [2]string{"the other end speaks TLS, and this broker has none for others", "the other broker speaks without TLS, and this one has peer_tls_cert_file"}},
		{[2]peerTLS{{ca: ca}, {ca: foreign}}, [2]string{"certificate signed by unknown authority", "certificate signed by unknown authority"}},
		{[2]peerTLS{{ca: ca}, {ca: ca, name: "elsewhere"}}, [2]string{"doesn't contain any IP SANs", ""}},
	} {
		both, lines := pairTLS(t, c.have)
		both[0].send([]node.Envelope{{To: 2, Pieces: [][]byte{{1}}}})
		for i, want := range c.wants {
			lines[i].waitFor(t, want)
		}
		if both[1].hears(1) {
			t.Errorf("%v: broker 2 hears broker 1", c.wants)
		}
	}
}

// A stranger who stalls in the handshake of the peer port is gone after its time, and may be one of so many.
func TestStrangersAtThePeerPortWithTLS(t *testing.T) {
	ca := newAuthority(t, "ca")
	for _, mode := range []PeerTLS{PeerTLSRequired, PeerTLSDial} {
		both, _ := pairTLS(t, [2]peerTLS{{ca: ca, mode: mode}, {ca: ca, mode: mode}})
		for _, say := range []string{"", "\x16", "\x16\x03\x01\x02\x00\x01", "CHR", "GET / HTTP/1.1\r\n\r\n"} {
			c, err := net.Dial("tcp", both[0].listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			c.Write([]byte(say))
			c.SetDeadline(time.Now().Add(3 * handshakeTime))
			for err == nil {
				_, err = c.Read(make([]byte, 100))
			}
			if !isHangup(err) {
				t.Errorf("%q: %v", say, err)
			}
			c.Close()
		}
	}
}
