// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chronik/node"
)

// serveTLS is a server of which port 0 has TLS, and port 1 hasn't.
func serveTLS(t testing.TB, config *TLS, limits Limits, step func(in *node.Input, out *node.Output)) (testServer, *safeLog) {
	t.Helper()
	lines := new(safeLog)
	log := slog.New(slog.NewTextHandler(lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return serveOn(t, log, []Listener{{Listen: "127.0.0.1:0", TLS: config}, {Name: "plain", Listen: "127.0.0.1:0"}}, limits, step), lines
}

// safeLog is what was logged.
type safeLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *safeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *safeLog) waitFor(t *testing.T, text string) {
	t.Helper()
	for range 400 {
		l.mu.Lock()
		said := l.b.String()
		l.mu.Unlock()
		if strings.Contains(said, text) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Errorf("the log lacks %q:\n%s", text, l.b.String())
}

func dialTLS(t testing.TB, s testServer, config *tls.Config) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", s.ports[0].listener.Addr().String(), config)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(30 * time.Second))
	t.Cleanup(func() { c.Close() })
	return c
}

// Requests and answers of all sizes, cut into records in all ways, arrive as they were, with both versions.
func TestFramesOverTLS(t *testing.T) {
	ca := newAuthority(t, "ca")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s, _ := serveTLS(t, ca.server(NoClientCerts), Limits{}, echo)
		var wg sync.WaitGroup
		for c := range 4 {
			config := ca.client("")
			config.MaxVersion, config.DynamicRecordSizingDisabled = version, c%2 == 0
			conn := dialTLS(t, s, config)
			sizes := []int{1, 3, copyBelow, smallFrame - 4, smallFrame, smallFrame + 1, 2*smallFrame - 4, 100_000, 3 * stint, 5}
			body := func(i int) []byte { return bytes.Repeat([]byte{byte(c), byte(i), byte(i >> 8)}, sizes[i%len(sizes)]) }
			wg.Go(func() {
				var all []byte
				for i := range 60 {
					all = append(all, frame(body(i))...)
				}
				for step := 1; len(all) > 0; step = step*7%40_000 + 1 {
					n := min(step, len(all))
					if _, err := conn.Write(all[:n]); err != nil {
						t.Error(err)
						return
					}
					all = all[n:]
				}
			})
			wg.Go(func() {
				for i := range 60 {
					if got := mustRead(t, asNetConn{conn}); !bytes.Equal(got, body(i)) {
						t.Errorf("client %d: reply %d is another's", c, i)
						return
					}
				}
			})
		}
		wg.Wait()
	}
}

type asNetConn struct{ net.Conn }

// What waits decrypted is not waited for: a buffer that has something of a request has no room for a whole record, whose last
// request stays in crypto/tls when the buffer is empty.
func TestARequestThatWaitsDecrypted(t *testing.T) {
	ca := newAuthority(t, "ca")
	s, _ := serveTLS(t, ca.server(NoClientCerts), Limits{}, echo)
	config := ca.client("")
	config.DynamicRecordSizingDisabled = true
	conn := dialTLS(t, s, config)
	const begun, rest = 100, 96 // bytes of the first request, and of the last one
	requests := [][]byte{make([]byte, 16_000), nil, make([]byte, rest)}
	requests[1] = make([]byte, 16<<10-(16_004-begun)-4-(rest+4))
	all := slices.Concat(frame(requests[0]), frame(requests[1]), frame(requests[2]))
	conn.Write(all[:begun])
	time.Sleep(50 * time.Millisecond)
	conn.Write(all[begun:]) // a record as large as can be
	for i, r := range requests {
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if got := mustRead(t, conn); len(got) != len(r) {
			t.Fatalf("answer %d has %d bytes", i, len(got))
		}
	}
}

// Principals come from certificates, if they are asked for.
func TestCertificatesArePrincipals(t *testing.T) {
	ca, foreign := newAuthority(t, "ca"), newAuthority(t, "foreign")
	rules, err := ParsePrincipalRules("RULE:^CN=(admin),.*$/$1/U,RULE:^CN=([^,]*),O=Test$/$1/")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		clients ClientAuth
		config  *tls.Config
		want    string // the principal, or after ! what the log says
	}{
		{NoClientCerts, ca.client("app"), ""},
		{ClientCertsRequested, ca.client(""), ""},
		{ClientCertsRequested, ca.client("app"), "User:app"},
		{ClientCertsRequired, ca.client("admin"), "User:ADMIN"},
		{ClientCertsRequired, ca.client(""), "!client didn't provide a certificate"},
		{ClientCertsRequired, ca.with("strange", func(c *x509.Certificate) { c.Subject.Organization = nil }), "!no rule of tls_principal_rules takes the subject of its certificate, "},
		{ClientCertsRequired, ca.with("old", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "!certificate has expired"},
		{ClientCertsRequested, ca.trusting(foreign.client("app")), "!comes from no authority in the CA file"},
	} {
		config := ca.server(c.clients)
		config.Principals = rules
		var mu sync.Mutex
		var got []string
		s, lines := serveTLS(t, config, Limits{}, func(in *node.Input, out *node.Output) {
			echo(in, out)
			mu.Lock()
			defer mu.Unlock()
			for _, r := range in.Requests {
				got = append(got, r.Principal)
			}
		})
		conn, err := tls.Dial("tcp", s.ports[0].listener.Addr().String(), c.config)
		if err == nil {
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			conn.Write(frame([]byte("hello")))
			_, err = conn.Read(make([]byte, 100))
			conn.Close()
		}
		if why, refused := strings.CutPrefix(c.want, "!"); refused {
			lines.waitFor(t, why)
			if err == nil {
				t.Errorf("%s: it was served", c.want)
			}
			continue
		}
		mu.Lock()
		if err != nil || !slices.Equal(got, []string{c.want}) {
			t.Errorf("principals %q %v, want %q", got, err, c.want)
		}
		mu.Unlock()
	}
}

// with is a client whose certificate was changed.
func (a *authority) with(name string, change func(*x509.Certificate)) *tls.Config {
	config := a.client("")
	pair, err := tls.LoadX509KeyPair(a.pair(name, change))
	if err != nil {
		a.t.Fatal(err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config
}

// trusting is another client that trusts this authority.
func (a *authority) trusting(other *tls.Config) *tls.Config {
	own := a.client("")
	// A client leaves out a certificate that the server's authorities didn't make, unless it is told to.
	own.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &other.Certificates[0], nil }
	return own
}

// Whoever speaks something else is told so, as far as that is possible, and the operator is.
func TestOtherProtocolsOnPortsWithTLS(t *testing.T) {
	ca := newAuthority(t, "ca")
	s, lines := serveTLS(t, ca.server(NoClientCerts), Limits{}, echo)
	for say, want := range map[string]string{
		string(frame([]byte("\x00\x12\x00\x03\x00\x00\x00\x01\x00\x01x"))): "look like a Kafka client without TLS; set security.protocol=SSL in that client",
		"GET / HTTP/1.1\r\n\r\n":    "look like HTTP",
		"SSH-2.0-x\r\n":             "look like SSH",
		"\x16\x03\x01\x00\x05hello": "refused a connection with TLS",
	} {
		conn := dialPort(t, s, 0)
		conn.Write([]byte(say))
		answer, _ := io.ReadAll(conn)
		if strings.HasPrefix(say, "GET") != bytes.HasPrefix(answer, []byte("HTTP/1.1 400")) {
			t.Errorf("%q is answered %q", say, answer)
		}
		lines.waitFor(t, want)
	}
	if _, err := tls.Dial("tcp", s.ports[1].listener.Addr().String(), ca.client("")); err == nil {
		t.Error("a port without TLS speaks it")
	}
	lines.waitFor(t, "look like TLS; set security.protocol=PLAINTEXT in that client")
}

// Versions of TLS below the least one are refused.
func TestVersionsOfTLS(t *testing.T) {
	ca := newAuthority(t, "ca")
	for only13, versions := range map[bool]map[uint16]bool{
		false: {tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true},
		true:  {tls.VersionTLS11: false, tls.VersionTLS12: false, tls.VersionTLS13: true},
	} {
		config := ca.server(NoClientCerts)
		config.OnlyTLS13 = only13
		s, _ := serveTLS(t, config, Limits{}, echo)
		for version, taken := range versions {
			client := ca.client("")
			client.MinVersion, client.MaxVersion = version, version
			conn, err := tls.Dial("tcp", s.ports[0].listener.Addr().String(), client)
			if (err == nil) != taken {
				t.Errorf("only 1.3: %v, version %x: %v", only13, version, err)
			}
			if err == nil {
				conn.Close()
			}
		}
	}
}

// Clients that stop in the middle of a handshake keep nobody waiting. There may be only so many, and their time ends.
func TestHandshakesThatStall(t *testing.T) {
	ca := newAuthority(t, "ca")
	s, _ := serveTLS(t, ca.server(NoClientCerts), Limits{Conns: 3000, AddressConns: 3000}, echo)
	var stalled []net.Conn
	for i := range maxShaking + 50 {
		c := dialPort(t, s, 0)
		if i%2 == 0 {
			c.Write([]byte{0x16, 0x03, 0x01, 0x02})
		}
		stalled = append(stalled, c)
	}
	begun := time.Now()
	conn := dialTLS(t, s, ca.client(""))
	conn.Write(frame([]byte("hello")))
	if got := mustRead(t, conn); string(got) != "hello" || time.Since(begun) > 3*time.Second {
		t.Errorf("%q after %v", got, time.Since(begun))
	}
	for _, c := range stalled[:50] {
		if _, err := c.Read(make([]byte, 1)); err == nil || !isHangup(err) {
			t.Fatalf("one of the oldest: %v", err)
		}
	}
	last := stalled[len(stalled)-1]
	last.SetReadDeadline(time.Now().Add(2 * clientHandshakeTime))
	if _, err := last.Read(make([]byte, 1)); err == nil || !isHangup(err) || time.Since(begun) < clientHandshakeTime-time.Second {
		t.Errorf("after %v: %v", time.Since(begun), err)
	}
	for range 100 {
		if n, _ := s.open(); n == 1 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("connections that ended in the handshake are still counted")
}

// busy are clients that ask until they are stopped, one of which connects anew each time.
func busy(t *testing.T, s testServer, ca *authority) (rounds *atomic.Int64, stop func()) {
	rounds = new(atomic.Int64)
	quit := make(chan struct{})
	var wg sync.WaitGroup
	again := func(conn *tls.Conn) bool {
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		_, err := conn.Write(frame(bytes.Repeat([]byte{1}, 5000)))
		if err == nil {
			_, err = io.ReadFull(conn, make([]byte, 5004))
		}
		if err != nil {
			t.Error(err)
		}
		rounds.Add(1)
		time.Sleep(time.Millisecond)
		return err == nil
	}
	stopped := func() bool {
		select {
		case <-quit:
			return true
		default:
			return false
		}
	}
	for i := range 4 {
		wg.Go(func() {
			for !stopped() {
				conn, err := tls.Dial("tcp", s.ports[0].listener.Addr().String(), ca.client(""))
				if err != nil {
					t.Error(err)
					return
				}
				for again(conn) && i > 0 && !stopped() {
				}
				conn.Close()
			}
		})
	}
	return rounds, func() { close(quit); wg.Wait() }
}

// A certificate is replaced while clients are busy: none of them notices, and new ones get the new one. One that is wrong is
// not taken.
func TestCertificatesAreReplacedUnderLoad(t *testing.T) {
	ca := newAuthority(t, "ca")
	config := ca.server(NoClientCerts)
	s, lines := serveTLS(t, config, Limits{}, echo)
	rounds, stop := busy(t, s, ca)
	serial := func() string {
		conn := dialTLS(t, s, ca.client(""))
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	certs := s.ports[0].tls
	for range 5 {
		before, done := serial(), rounds.Load()
		ca.pair("server", nil)
		certs.again()
		if serial() == before {
			t.Error("the new certificate isn't used")
		}
		for rounds.Load() < done+20 && !t.Failed() {
			time.Sleep(time.Millisecond)
		}
	}
	lines.waitFor(t, "took a new certificate")
	before := serial()
	if err := os.WriteFile(config.CertFile, []byte("-----BEGIN CERTIFICATE-----\nhalf"), 0o600); err != nil {
		t.Fatal(err)
	}
	certs.again()
	if serial() != before {
		t.Error("half a certificate was taken")
	}
	lines.waitFor(t, "a new certificate isn't taken: the one before it stays")
	ca.pair("server", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(time.Minute) })
	certs.again()
	lines.waitFor(t, "a certificate expires soon")
	stop()
}

// A client that takes no answers is got rid of as without TLS.
func TestAClosingConnectionWaitsForNobody(t *testing.T) {
	ca := newAuthority(t, "ca")
	s, _ := serveTLS(t, ca.server(NoClientCerts), Limits{}, echo)
	conn := dialTLS(t, s, ca.client(""))
	conn.Write(frame(bytes.Repeat([]byte("x"), 20<<20)))
	time.Sleep(300 * time.Millisecond) // the answer fills what the system takes
	for _, c := range s.list() {
		begun := time.Now()
		c.shut()
		if took := time.Since(begun); took > time.Second {
			t.Errorf("it took %v to close", took)
		}
	}
}

// What a connection costs that does nothing.
func TestIdleConnectionsWithTLSAreSmall(t *testing.T) {
	ca := newAuthority(t, "ca")
	s, _ := serveTLS(t, ca.server(NoClientCerts), Limits{}, echo)
	const count = 200
	per := func(dial func() net.Conn) int64 {
		var all []net.Conn
		before := inUse()
		for range count {
			c := dial()
			c.Write(frame(bytes.Repeat([]byte("x"), 200)))
			mustRead(t, asNetConn{c})
			all = append(all, c)
		}
		time.Sleep(50 * time.Millisecond)
		n := (inUse() - before) / count
		for _, c := range all {
			c.Close()
		}
		return n
	}
	plain := per(func() net.Conn { return dialPort(t, s, 1) })
	secure := per(func() net.Conn { return dialTLS(t, s, ca.client("")) })
	t.Logf("both ends of a connection: %d bytes without TLS, %d with it", plain, secure)
	if secure-plain > 64<<10 {
		t.Errorf("an idle connection takes %d bytes more with TLS", secure-plain)
	}
}

// inUse is memory for heap and stacks.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
